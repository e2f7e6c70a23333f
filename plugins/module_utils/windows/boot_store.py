# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The boot configuration data (BCD), a hive with an object for each boot program and an element for each setting.

Sources: Microsoft Learn, "BCD Reference" and "BCD settings and BitLocker" (names of elements as bcdedit shows them);
Geoff Chappell, "Boot Configuration Data" (objects, and the values of the key Description).
"""

from __future__ import annotations

from ..winregistry.hive_model import Hive, Key
from ..winregistry.registry_values import decode_integer

_OBJECTS = {
    "{0ce4991b-e6b3-4b16-b23c-5e0d9250e5d9}": "{emssettings}",
    "{1afa9c49-16ab-4a5c-901b-212802da9460}": "{resumeloadersettings}",
    "{4636856e-540f-4170-a130-a84776f4c654}": "{dbgsettings}",
    "{5189b25c-5558-4bf2-bca4-289b11bd29e2}": "{badmemory}",
    "{6efb52bf-1766-41db-a6b3-0ee5eff72bd7}": "{bootloadersettings}",
    "{7ea2e1ac-2e61-4728-aaa3-896d9d0a9f0e}": "{globalsettings}",
    "{7ff607e0-4395-11db-b0de-0800200c9a66}": "{hypervisorsettings}",
    "{9dea862c-5cdd-4e70-acc1-f32b344d4795}": "{bootmgr}",
    "{b2721d73-1db4-4c62-bf78-c548a880142d}": "{memdiag}",
}
#: The elements that all objects can have, those of the boot manager, and those of the loader of Windows.
_LIBRARY = {
    0x11000001: "device",
    0x12000002: "path",
    0x12000004: "description",
    0x12000005: "locale",
    0x14000006: "inherit",
    0x15000007: "truncatememory",
    0x14000008: "recoverysequence",
    0x16000009: "recoveryenabled",
    0x1700000A: "badmemorylist",
    0x1600000B: "badmemoryaccess",
    0x16000010: "bootdebug",
    0x15000011: "debugtype",
    0x12000016: "targetname",
    0x16000020: "bootems",
    0x12000030: "loadoptions",
    0x16000040: "advancedoptions",
    0x16000041: "optionsedit",
    0x16000046: "graphicsmodedisabled",
    0x15000047: "configaccesspolicy",
    0x16000048: "nointegritychecks",
    0x16000049: "testsigning",
    0x15000052: "graphicsresolution",
    0x16000054: "highestmode",
    0x16000060: "isolatedcontext",
}
_MANAGER = {
    0x24000001: "displayorder",
    0x24000002: "bootsequence",
    0x23000003: "default",
    0x25000004: "timeout",
    0x26000005: "resume",
    0x23000006: "resumeobject",
    0x24000010: "toolsdisplayorder",
    0x26000020: "displaybootmenu",
    0x26000021: "noerrordisplay",
}
_LOADER = {
    0x21000001: "osdevice",
    0x22000002: "systemroot",
    0x23000003: "resumeobject",
    0x22000011: "kernel",
    0x22000012: "hal",
    0x25000020: "nx",
    0x25000021: "pae",
    0x26000022: "winpe",
    0x26000024: "nocrashautoreboot",
    0x25000031: "removememory",
    0x25000032: "increaseuserva",
    0x26000040: "vga",
    0x26000041: "quietboot",
    0x26000051: "usephysicaldestination",
    0x25000055: "x2apicpolicy",
    0x26000060: "onecpu",
    0x25000061: "numproc",
    0x26000062: "maxproc",
    0x25000071: "msi",
    0x25000072: "pciexpress",
    0x25000080: "safeboot",
    0x26000081: "safebootalternateshell",
    0x26000090: "bootlog",
    0x26000091: "sos",
    0x260000A0: "debug",
    0x260000A2: "useplatformclock",
    0x260000A4: "useplatformtick",
    0x260000A5: "disabledynamictick",
    0x250000A6: "tscsyncpolicy",
    0x260000B0: "ems",
    0x250000C1: "driverloadfailurepolicy",
    0x250000C2: "bootmenupolicy",
    0x260000C3: "onetimeadvancedoptions",
    0x250000E0: "bootstatuspolicy",
    0x260000E1: "disableelamdrivers",
    0x250000F0: "hypervisorlaunchtype",
    0x260000F2: "hypervisordebug",
}
_BOOT_MANAGER = 0x10100002
#: Types of objects that mirror the boot entries in the NVRAM of a VM: its firmware boot manager, and other entries.
_FIRMWARE = frozenset((0x10100001, 0x101FFFFF))


def changed_settings(before: Hive, after: Hive) -> list[str]:
    """Return the keys of the elements that were added, changed or removed, each with the names that bcdedit shows.

    Objects that mirror the firmware of a VM are left out: they are other objects in every VM.
    """
    old, new = _elements(before), _elements(after)
    return [
        new.get(key, old.get(key, ("", b"")))[0]
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _elements(hive: Hive) -> dict[tuple[str, str], tuple[str, object]]:
    """Return (text, content) of each element, by the names of its object and of the element in lower case."""
    found: dict[tuple[str, str], tuple[str, object]] = {}
    objects = hive.root.key("Objects")
    for entry in objects.subkeys.values() if objects is not None else ():
        kind = _kind(entry)
        elements = entry.key("Elements")
        if kind in _FIRMWARE or elements is None:
            continue
        for element in elements.subkeys.values():
            value = element.value("Element")
            content = None if value is None else (value.type, value.data)
            found[entry.name.lower(), element.name.lower()] = (_text(entry.name, kind, element.name), content)
    return found


def _kind(entry: Key) -> int | None:
    description = entry.key("Description")
    return decode_integer(description.value("Type")) if description is not None else None


def _text(entry: str, kind: int | None, element: str) -> str:
    named = _LIBRARY | (_MANAGER if kind == _BOOT_MANAGER else _LOADER)
    try:
        name = named.get(int(element, 16))
    except ValueError:
        name = None
    names = " ".join(part for part in (_OBJECTS.get(entry.lower()), name) if part)
    key = f"BCD\\Objects\\{entry}\\Elements\\{element}"
    return f"{key} ({names})" if names else key
