# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read OVF descriptors, as vSphere exports them.

Source: DSP0243 (Open Virtualization Format Specification 1.1.1 and 2.1.1) and the extensions
``http://www.vmware.com/schema/ovf`` of vSphere. Elements are matched by their local name below an envelope of a
known namespace, because version 2 moved storage and network items into separate namespaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from ..common.errors import Corrupt, Unsupported
from .document import local_name, namespace, parse_xml
from .envelope import EXPORT_AGAIN, Descriptor, Disk, DiskItem, File, Nic, System

ENVELOPES = {
    "http://schemas.dmtf.org/ovf/envelope/1": "1",
    "http://schemas.dmtf.org/ovf/envelope/2": "2",
}
STREAM_OPTIMIZED = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

#: The maximum capacity of a disk in bytes; the limit of vSphere is 62 TiB.
MAXIMUM_CAPACITY = 64 << 40
_MAXIMUM_NAME = 255
_MAXIMUM_PATH = 1000

#: CIM resource types (CIM_ResourceAllocationSettingData) used by vSphere.
CPU, MEMORY, IDE, SCSI, NETWORK, DISK, OTHER_STORAGE = 3, 4, 5, 6, 10, 17, 20

_UNIT_NAMES = {
    "byte": 1,
    "bytes": 1,
    "kilobytes": 1 << 10,
    "kb": 1 << 10,
    "megabytes": 1 << 20,
    "mb": 1 << 20,
    "gigabytes": 1 << 30,
    "gb": 1 << 30,
}


def parse_descriptor(data: bytes, subject: str = "The OVF descriptor") -> Descriptor:
    """Parse the envelope in ``data``. ``subject`` is the descriptor's name at the start of error messages.

    Raises:
        Corrupt: ``ovf.not_xml``, ``ovf.not_ovf``, ``ovf.too_large``, ``ovf.doctype``, or a code for the part that
            is damaged or contradictory, such as ``ovf.reference``; ``ovf.file_name`` if it names a file outside
            its folder.
        Unsupported: ``ovf.version``, ``ovf.units`` or ``ovf.host_resource`` for features that are not supported.
    """
    root = parse_xml(data, subject)
    if local_name(root.tag) != "Envelope":
        raise Corrupt(
            f"{subject} is not an OVF descriptor: its root element is '{local_name(root.tag)[:80]}', not 'Envelope'.",
            code="ovf.not_ovf",
            hint="Set the option to the .ovf file of the export.",
        )
    version = ENVELOPES.get(namespace(root.tag))
    if version is None:
        raise Unsupported(
            f"{subject} uses the unsupported OVF version '{namespace(root.tag)[:120]}'.",
            code="ovf.version",
            hint="Export the virtual machine from vSphere 6.5 or newer.",
        )
    files = tuple(_file(element, subject) for element in _all(_child(root, "References"), "File"))
    _unique((file.id for file in files), "file", subject)
    _unique((file.href.casefold() for file in files), "file name", subject)
    disks = tuple(_disk(element, subject) for element in _all(_child(root, "DiskSection"), "Disk"))
    _unique((disk.id for disk in disks), "disk", subject)
    networks = tuple(_attribute(element, "name") or "" for element in _all(_child(root, "NetworkSection"), "Network"))
    systems = tuple(_system(element, subject) for element in root.iter() if local_name(element.tag) == "VirtualSystem")
    collection = _child(root, "VirtualSystemCollection") is not None
    descriptor = Descriptor(version, files, disks, networks, systems, collection, subject)
    for disk in disks:
        if disk.file_id is not None:
            descriptor.file(disk.file_id)
    for system in systems:
        for item in system.disks:
            if item.disk_id is not None:
                descriptor.disk(item.disk_id)
    return descriptor


def check_file_name(name: str, subject: str) -> str:
    """Return ``name`` if it is a plain file name, which cannot lead out of its folder.

    Raises:
        Corrupt: ``ovf.file_name`` if it is not.
    """
    if not _is_plain(name):
        raise _bad_name(name, subject)
    return name


def check_file_path(path: str, subject: str) -> str:
    """Return ``path``, a file in the package's folder or in a folder below it, without a leading ``./``.

    Raises:
        Corrupt: ``ovf.file_name`` if it is absolute, has ``..`` or a drive letter, or uses backslashes.
    """
    relative = re.sub(r"^(?:\./)+", "", path)
    if len(relative) > _MAXIMUM_PATH or not all(map(_is_plain, relative.split("/"))):
        raise _bad_name(path, subject)
    return relative


def _is_plain(name: str) -> bool:
    return not (
        not name
        or name in (".", "..")
        or len(name.encode("utf-8", "surrogatepass")) > _MAXIMUM_NAME
        or any(character in name for character in "/\\:")
        or any(ord(character) < 32 or 0xD800 <= ord(character) <= 0xDFFF for character in name)
    )


def _bad_name(name: str, subject: str) -> Corrupt:
    return Corrupt(
        f"{subject} contains the file name {name[:120]!r}, which does not name a file of the package.",
        code="ovf.file_name",
        hint="Write names relative to the descriptor, with '/' between folders and without '..', or export the "
        "virtual machine again.",
        file=name[:120],
    )


def parse_units(text: str | None, default: int, subject: str) -> int:
    """Return the bytes of a programmatic unit: ``byte * 2^30``, ``byte``, ``MegaBytes``, ...; ``default`` without text.

    Raises:
        Unsupported: ``ovf.units`` if the unit is unknown.
    """
    if text is None or not text.strip():
        return default
    named = _UNIT_NAMES.get(text.strip().lower())
    if named is not None:
        return named
    match = re.fullmatch(r"\s*byte\s*\*\s*(\d{1,12})\s*(?:\^\s*(\d{1,2})\s*)?", text, re.IGNORECASE)
    if match:
        factor = int(match[1]) ** int(match[2] or 1)
        if 0 < factor <= MAXIMUM_CAPACITY:
            return factor
    raise Unsupported(f"{subject} uses the unsupported unit {text[:60]!r}.", code="ovf.units", hint=EXPORT_AGAIN)


def _file(element: ElementTree.Element, subject: str) -> File:
    href = check_file_path(_required(element, "href", subject), subject)
    size = _optional(element, "size")
    chunk = _optional(element, "chunkSize")
    return File(
        _required(element, "id", subject),
        href,
        None if size is None else _number(size, "file size", subject),
        _attribute(element, "compression") or "identity",
        None if chunk is None else _number(chunk, "chunk size", subject),
    )


def _disk(element: ElementTree.Element, subject: str) -> Disk:
    units = parse_units(_attribute(element, "capacityAllocationUnits"), 1, subject)
    capacity = _number(_required(element, "capacity", subject), "disk capacity", subject) * units
    if not 0 < capacity <= MAXIMUM_CAPACITY:
        raise Corrupt(
            f"{subject} describes a disk of {capacity} bytes; expected 1 to {MAXIMUM_CAPACITY} bytes.",
            code="ovf.capacity",
            hint=EXPORT_AGAIN,
        )
    populated = _optional(element, "populatedSize")
    return Disk(
        _required(element, "diskId", subject),
        # Descriptors of VMware appliances write an empty fileRef for a blank disk.
        _optional(element, "fileRef"),
        capacity,
        None if populated is None else _number(populated, "populated size", subject),
        _attribute(element, "format") or "",
        _optional(element, "parentRef"),
    )


@dataclass(frozen=True, slots=True)
class _Item:
    """An item of virtual hardware: its CIM resource type, and the text of its elements by local name."""

    type: int | None
    fields: dict[str, str]

    def get(self, name: str) -> str:
        return self.fields.get(name, "")


def _system(element: ElementTree.Element, subject: str) -> System:
    operating_system = _child(element, "OperatingSystemSection")
    hardware = _child(element, "VirtualHardwareSection")
    if hardware is None:
        raise Corrupt(
            f"{subject} describes a virtual machine without a VirtualHardwareSection.",
            code="ovf.no_hardware",
            hint=EXPORT_AGAIN,
        )
    items = [_item(entry) for entry in hardware if local_name(entry.tag) in ("Item", "StorageItem", "EthernetPortItem")]
    settings = _settings(hardware)
    by_instance = {item.get("InstanceID"): item for item in items if item.get("InstanceID")}
    # Appliances have items without a quantity, which a deployment option replaces.
    cpus = next((item for item in items if item.type == CPU and item.get("VirtualQuantity")), None)
    memory = next((item for item in items if item.type == MEMORY and item.get("VirtualQuantity")), None)
    family = _text(_child(_child(hardware, "System"), "VirtualSystemType"))
    os_id = None if operating_system is None else _attribute(operating_system, "id")
    return System(
        id=_attribute(element, "id") or "",
        name=_text(_child(element, "Name")) or _attribute(element, "id") or "",
        os_id=int(os_id) if os_id and re.fullmatch(r"[0-9]{1,5}", os_id) else None,
        os_type=None if operating_system is None else _attribute(operating_system, "osType"),
        firmware="efi" if settings.get("firmware", "bios").lower() in ("efi", "uefi") else "bios",
        secure_boot=settings.get("bootOptions.efiSecureBootEnabled", "").lower() in ("true", "1"),
        hardware_versions=tuple(family.replace(",", " ").split()),
        cpus=None if cpus is None else _quantity(cpus, subject),
        cores_per_socket=_number(cpus.get("CoresPerSocket"), "number of cores", subject)
        if cpus and cpus.get("CoresPerSocket")
        else None,
        memory_mib=None if memory is None else _memory_mib(memory, subject),
        disks=tuple(_disk_item(item, by_instance, subject) for item in items if item.type == DISK),
        nics=tuple(
            Nic(item.get("ResourceSubType"), item.get("Connection"), item.get("ElementName"))
            for item in items
            if item.type == NETWORK
        ),
        annotation=_text(_child(_child(element, "AnnotationSection"), "Annotation")),
    )


def _settings(hardware: ElementTree.Element) -> dict[str, str]:
    """Return vSphere's settings; the first value of a key counts."""
    settings: dict[str, str] = {}
    for entry in hardware:
        if local_name(entry.tag) in ("Config", "ExtraConfig"):
            settings.setdefault(_attribute(entry, "key") or "", _attribute(entry, "value") or "")
    return settings


def _item(element: ElementTree.Element) -> _Item:
    fields: dict[str, str] = {}
    for entry in element:
        fields.setdefault(local_name(entry.tag), _text(entry))
    resource_type = fields.get("ResourceType", "")
    return _Item(int(resource_type) if re.fullmatch(r"[0-9]{1,5}", resource_type) else None, fields)


def _disk_item(item: _Item, by_instance: dict[str, _Item], subject: str) -> DiskItem:
    resource = item.get("HostResource")
    match = re.fullmatch(r"(?:ovf:)?/disk/(.+)", resource)
    if resource and match is None:
        raise Unsupported(
            f"{subject} attaches a disk from the unsupported resource '{resource[:120]}'.",
            code="ovf.host_resource",
            hint=EXPORT_AGAIN,
        )
    controller = by_instance.get(item.get("Parent"), _Item(None, {}))
    return DiskItem(
        match[1] if match else None,
        item.get("ElementName"),
        _controller_kind(controller),
        controller.get("ResourceSubType"),
        _small_number(controller.get("Address")),
        _small_number(item.get("AddressOnParent")),
    )


def _controller_kind(controller: _Item) -> str:
    subtype = controller.get("ResourceSubType").lower()
    if controller.type == IDE:
        return "ide"
    if controller.type == SCSI:
        return "scsi"
    if controller.type == OTHER_STORAGE and ("ahci" in subtype or "sata" in subtype):
        return "sata"
    if controller.type == OTHER_STORAGE and "nvme" in subtype:
        return "nvme"
    return "other"


def _small_number(text: str) -> int:
    return int(text) if re.fullmatch(r"[0-9]{1,4}", text) else 0


def _quantity(item: _Item, subject: str) -> int:
    return _number(item.get("VirtualQuantity"), "hardware quantity", subject)


def _memory_mib(memory: _Item, subject: str) -> int:
    return _quantity(memory, subject) * parse_units(memory.get("AllocationUnits"), 1 << 20, subject) >> 20


def _number(text: str, kind: str, subject: str) -> int:
    match = re.fullmatch(r"\s*([0-9]{1,19})\s*", text)
    if match is None:
        raise Corrupt(
            f"{subject} has the {kind} {text[:60]!r}; expected a whole number.", code="ovf.number", hint=EXPORT_AGAIN
        )
    return int(match[1])


def _attribute(element: ElementTree.Element, name: str) -> str | None:
    for key, value in element.attrib.items():
        if local_name(key) == name:
            return value
    return None


def _optional(element: ElementTree.Element, name: str) -> str | None:
    """Return the attribute, None if it is missing or empty."""
    return (_attribute(element, name) or "").strip() or None


def _required(element: ElementTree.Element, name: str, subject: str) -> str:
    value = _attribute(element, name)
    if not value:
        raise Corrupt(
            f"{subject} has a {local_name(element.tag)} element without the attribute {name}.",
            code="ovf.missing",
            hint=EXPORT_AGAIN,
        )
    return value


def _child(element: ElementTree.Element | None, name: str) -> ElementTree.Element | None:
    return next(_all(element, name), None)


def _all(element: ElementTree.Element | None, name: str) -> Iterator[ElementTree.Element]:
    for entry in element if element is not None else ():
        if local_name(entry.tag) == name:
            yield entry


def _text(element: ElementTree.Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""


def _unique(values: Iterator[str], kind: str, subject: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise Corrupt(f"{subject} lists the {kind} '{value[:120]}' twice.", code="ovf.duplicate", hint=EXPORT_AGAIN)
        seen.add(value)
