# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that Windows gives to devices and driver packages, which a layer replaces by numbers of its own.

Windows takes the lowest free number: two layers that were captured on the same image give the same number to different
things, and so does the next version of the OS layer. A capture therefore replaces

- the number of a published driver package, ``oem11.inf``, by one from 10000 to 99999,
- the number of a class key, ``Control\\Class\\{...}\\0007``, by one from 1000 to 9999,
- the number of a root-enumerated device without a name of its own, ``ROOT\\NET\\0000``, by one from 1000 to 9999,
- the index of the interface of a software network adapter (NetLuidIndex), by one from 0x9000 to 0xFFFF. NDIS does not
  register an adapter with the index of another adapter (Microsoft Learn, NdisIfRegisterInterface); the index has 24 bits.

The numbers depend only on the content, so that the same package has the same number in all layers. See
docs/decisions/0023-devices-are-whole.md.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..winregistry.delta import REMOVE, Delta, KeyDelta, ValueDelta
from ..winregistry.delta_compute import created
from ..winregistry.hive_model import Hive
from ..winregistry.registry_values import (
    REG_DWORD,
    REG_EXPAND_SZ,
    REG_LINK,
    REG_MULTI_SZ,
    REG_SZ,
    decode_integer,
    decode_multi_string,
    decode_string,
)
from .databases.compared import Compared
from .databases.device_tree import Device, read_devices
from .databases.devices import software_devices
from .databases.driver_packages import new_packages, published_names
from .path_changes import PathChanges, Taken

#: The types of texts, and of texts and lists of texts in the properties of devices (DEVPROP_TYPE_STRING, _STRING_INDIRECT, _STRING_LIST).
_TEXTS = frozenset((REG_SZ, REG_EXPAND_SZ, REG_LINK, REG_MULTI_SZ, 0xFFFF0012, 0xFFFF0019, 0xFFFF2012))
_PACKAGES = range(10000, 100000)
_INSTANCES = range(1000, 10000)
_INTERFACES = range(0x9000, 0x10000)


@dataclass(frozen=True)
class Numbering:
    """The replacements.

    ``texts`` are parts of texts (lower case), ``keys`` are last names of keys below the control set (lower case), and
    ``interfaces`` are the indexes of network adapters by the key below the control set that has the value.
    """

    control: str
    texts: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    interfaces: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, compared: Compared) -> Numbering:
        """Return the numbers for what the packaging machine has in addition to the image."""
        numbering = cls(compared.after.control.name)
        numbering._number_packages(compared)
        numbering._number_devices(compared)
        return numbering

    def _number_packages(self, compared: Compared) -> None:
        packages = new_packages(compared)
        used = {int(package.inf[3:-4]) for package in packages}
        # A package that has the number of a package of the image replaced or installed it again: what names it may be unchanged.
        known = published_names(compared.before) if compared.before is not None else frozenset()
        for package in packages:
            if package.inf in known:
                continue
            old = package.inf.removesuffix(".inf")
            number = _free(_PACKAGES, int(old[3:]), package.name.lower(), used)
            if f"oem{number}" != old:
                self.texts.update({f"{old}.{end}": f"oem{number}.{end}" for end in ("inf", "cat", "pnf")})

    def _number_devices(self, compared: Compared) -> None:
        before = read_devices(compared.before.control) if compared.before is not None else {}
        for folded, device in sorted(software_devices(compared).added.items()):
            known = before.get(folded)
            path = self._number_instance(compared, device) if known is None else device.path
            if device.driver and (known is None or known.driver.lower() != device.driver.lower()):
                self._number_settings(compared, device, path)
                self._number_interface(device)

    def _number_instance(self, compared: Compared, device: Device) -> str:
        """Return the new path of a device that has the name of its class instead of a name of its own."""
        kind, _separator, name = device.path.rpartition("\\")
        class_key = compared.after.control.key(f"Control\\Class\\{device.driver.partition(chr(92))[0]}")
        class_name = decode_string(class_key.value("Class")) if class_key is not None and device.driver else None
        if device.enumerator != "ROOT" or not _is_number(name) or (class_name or "").upper() != device.kind:
            return device.path
        siblings = compared.after.control.key(f"Enum\\{kind}")
        used = _numbers(siblings.subkeys if siblings is not None else ())
        used |= _numbers(new for key, new in self.keys.items() if key.startswith(f"enum\\{kind.lower()}\\"))
        identity = "\n".join((*(decode_multi_string(device.key.value("HardwareID")) or ()), name)).lower()
        number = _free(_INSTANCES, int(name), identity, used)
        path = f"{kind}\\{number:04d}"
        if path != device.path:
            self.keys[f"enum\\{device.path}".lower()] = f"{number:04d}"
            for separator in "\\#":
                self.texts[device.path.replace("\\", separator).lower()] = path.replace("\\", separator)
        return path

    def _number_settings(self, compared: Compared, device: Device, path: str) -> None:
        class_id, _separator, name = device.driver.rpartition("\\")
        if not _is_number(name):
            return
        siblings = compared.after.control.key(f"Control\\Class\\{class_id}")
        used = _numbers(siblings.subkeys if siblings is not None else ())
        used |= _numbers(
            new for key, new in self.keys.items() if key.startswith(f"control\\class\\{class_id.lower()}\\")
        )
        number = _free(_INSTANCES, int(name), path.lower(), used)
        if f"{number:04d}" != name:
            self.keys[f"control\\class\\{device.driver}".lower()] = f"{number:04d}"
            self.texts[device.driver.lower()] = f"{class_id}\\{number:04d}"

    def _number_interface(self, device: Device) -> None:
        old = decode_integer(device.settings.value("NetLuidIndex")) if device.settings is not None else None
        if not device.adapter or old is None:
            return
        number = _free(_INTERFACES, old, device.adapter, set(self.interfaces.values()))
        driver = self.texts.get(device.driver.lower(), device.driver)
        self.interfaces[f"Control\\Class\\{driver}"] = number
        self.interfaces[f"Control\\NetworkSetup2\\Interfaces\\{device.adapter}\\Kernel"] = number

    @property
    def is_empty(self) -> bool:
        """True when nothing is replaced."""
        return not self.texts and not self.keys and not self.interfaces

    def text(self, text: str) -> str:
        """Return a text with the new numbers."""
        return self._pattern.sub(lambda match: self.texts[match[0].lower()], text) if self.texts else text

    @functools.cached_property
    def _pattern(self) -> re.Pattern:
        parts = "|".join(re.escape(part) for part in sorted(self.texts, key=len, reverse=True))
        return re.compile(f"(?<![0-9a-z])(?:{parts})(?![0-9a-z])", re.IGNORECASE | re.ASCII)

    def apply_to_paths(self, changes: PathChanges) -> None:
        """Give the published files of driver packages their new names in ``changes``."""
        for folded, taken in list(changes.taken.items()):
            folder, _separator, name = taken.path.rpartition("/")
            new = self.texts.get(name.lower())
            if new is None or not folder.lower().startswith(("windows/inf", "windows/system32/catroot/")):
                continue
            del changes.taken[folded]
            if taken.existed:
                # The number belonged to a package of the image, which was removed.
                changes.whiteouts[folded] = taken.path
            path = f"{folder}/{new}"
            renamed = Taken(path, taken.reference, taken.name, taken.is_directory, False)
            changes.taken[f"{folded.rpartition('/')[0]}/{new.upper()}"] = renamed

    def apply_to_delta(self, delta: Delta, after: Hive) -> None:
        """Replace the numbers in a delta; ``after`` is the hive of the packaging machine."""
        if delta.hive == "SYSTEM":
            self._move_keys(delta, after)
            self._set_interfaces(delta)
        if not self.texts:
            return
        for path, key in delta.walk():
            for folded, below in list(key.subkeys.items()):
                self._rename_key(delta, after, path, key, folded, below)
            for folded, value in list(key.values.items()):
                self._rename_value(delta, key, folded, value)

    def _move_keys(self, delta: Delta, after: Hive) -> None:
        fold = delta.upcase.fold
        for path, new in self.keys.items():
            parent_path, _separator, old = f"{self.control}\\{path}".rpartition("\\")
            parent = delta.key(parent_path)
            node = parent.subkeys.pop(fold(old), None) if parent is not None else None
            source = after.key(f"{parent_path}\\{old}")
            if parent is None or node is None or source is None:
                continue
            if not node.is_fresh:
                # In the image, the number belongs to a different device, which stays.
                node = created(source, delta.hive)
            node.name = new
            parent.subkeys[fold(new)] = node

    def _set_interfaces(self, delta: Delta) -> None:
        for path, number in self.interfaces.items():
            key = delta.key(f"{self.control}\\{path}")
            value = key.values.get(delta.upcase.fold("NetLuidIndex")) if key is not None else None
            if value is not None and value.data is not None and value.type == REG_DWORD:
                value.data = number.to_bytes(4, "little")

    def _rename_key(self, delta: Delta, after: Hive, path: str, parent: KeyDelta, folded: str, key: KeyDelta) -> None:
        name = self.text(key.name)
        if name == key.name or key.action == REMOVE:
            return
        if not key.is_fresh:
            source = after.key(f"{path}\\{key.name}")
            if source is None:
                return
            parent.subkeys[folded] = KeyDelta(key.name, REMOVE)
            key = created(source, delta.hive)
        else:
            del parent.subkeys[folded]
        key.name = name
        parent.subkeys[delta.upcase.fold(name)] = key

    def _rename_value(self, delta: Delta, key: KeyDelta, folded: str, value: ValueDelta) -> None:
        if value.data is None:
            return
        data = self._data(value.type, value.data)
        name = self.text(value.name)
        if name == value.name:
            value.data = data
            return
        if value.before is None:
            del key.values[folded]
        else:
            key.values[folded] = ValueDelta(value.name, 0, None, value.before)
        key.values[delta.upcase.fold(name)] = ValueDelta(name, value.type, data)

    def _data(self, kind: int, data: bytes) -> bytes:
        if kind not in _TEXTS:
            return data
        even = len(data) & ~1
        text = data[:even].decode("utf-16-le", "surrogatepass")
        return self.text(text).encode("utf-16-le", "surrogatepass") + data[even:]


def _is_number(name: str) -> bool:
    return len(name) == 4 and name.isascii() and name.isdecimal()


def _numbers(names: Iterable[str]) -> set[int]:
    return {int(name) for name in names if _is_number(name)}


def _free(numbers: range, old: int, identity: str, used: set[int]) -> int:
    """Return a number for ``identity`` that is not in ``used``; a number that an earlier capture gave stays."""
    if old in numbers:
        return old
    digest = int.from_bytes(hashlib.sha256(identity.encode("utf-8", "surrogatepass")).digest()[:8], "little")
    for step in range(len(numbers)):
        number = numbers[(digest + step) % len(numbers)]
        if number not in used:
            used.add(number)
            return number
    return old
