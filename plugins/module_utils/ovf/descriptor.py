# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OVF descriptors: what an export from vSphere says about its machine, read.

Source: DSP0243 (Open Virtualization Format Specification 1.1.1 and 2.1.1) and the
``http://www.vmware.com/schema/ovf`` extensions that vSphere writes. Elements are matched
by their local name below an envelope of a known namespace, because 2.x moved storage and
network items into namespaces of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from ..common.errors import Corrupt, Unsupported
from .document import local_name, namespace, parse_xml

ENVELOPES = {
    "http://schemas.dmtf.org/ovf/envelope/1": "1",
    "http://schemas.dmtf.org/ovf/envelope/2": "2",
}
STREAM_OPTIMIZED = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

#: No virtual disk is larger: 62 TiB is vSphere's limit.
MAXIMUM_CAPACITY = 64 << 40
_MAXIMUM_NAME = 255

#: CIM resource types (CIM_ResourceAllocationSettingData) used by vSphere.
CPU, MEMORY, IDE, SCSI, NETWORK, DISK, OTHER_STORAGE = 3, 4, 5, 6, 10, 17, 20

_UNIT_WORDS = {
    "byte": 1,
    "bytes": 1,
    "kilobytes": 1 << 10,
    "kb": 1 << 10,
    "megabytes": 1 << 20,
    "mb": 1 << 20,
    "gigabytes": 1 << 30,
    "gb": 1 << 30,
}
_HINT = "Export the virtual machine again."


@dataclass(frozen=True, slots=True)
class File:
    """One entry of References. ``size`` is in bytes as declared, None when the descriptor does not say."""

    id: str
    href: str
    size: int | None
    compression: str
    chunk_size: int | None


@dataclass(frozen=True, slots=True)
class Disk:
    """One entry of DiskSection; ``capacity`` and ``populated_size`` are in bytes."""

    id: str
    file_id: str | None
    capacity: int
    populated_size: int | None
    format: str
    parent: str | None


@dataclass(frozen=True, slots=True)
class DiskItem:
    """A disk as a machine has it: which disk, and where it is attached.

    ``controller`` is "scsi", "sata", "ide", "nvme" or "other"; ``controller_type`` the
    subtype as written, such as ``lsilogicsas`` or ``VirtualSCSI``.
    """

    disk_id: str | None
    name: str
    controller: str
    controller_type: str
    bus: int
    unit: int


@dataclass(frozen=True, slots=True)
class Nic:
    """A network adapter: its type (``VmxNet3``, ``E1000``, ...) and the name of its network."""

    type: str
    network: str
    name: str


@dataclass(frozen=True, slots=True)
class System:
    """One virtual machine of the envelope. ``firmware`` is "bios" or "efi"."""

    id: str
    name: str
    os_id: int | None
    os_type: str | None
    firmware: str
    secure_boot: bool
    hardware_versions: tuple[str, ...]
    cpus: int | None
    cores_per_socket: int | None
    memory_mib: int | None
    disks: tuple[DiskItem, ...]
    nics: tuple[Nic, ...]
    annotation: str


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A whole envelope. ``collection`` tells that it holds a VirtualSystemCollection (a vApp)."""

    version: str
    files: tuple[File, ...]
    disks: tuple[Disk, ...]
    networks: tuple[str, ...]
    systems: tuple[System, ...]
    collection: bool

    def file(self, file_id: str) -> File:
        """The entry of References with this id; Corrupt when there is none."""
        for file in self.files:
            if file.id == file_id:
                return file
        raise Corrupt(
            f"The OVF descriptor refers to a file '{file_id}' that it does not list.", code="ovf.reference", hint=_HINT
        )

    def disk(self, disk_id: str) -> Disk:
        """The entry of DiskSection with this id; Corrupt when there is none."""
        for disk in self.disks:
            if disk.id == disk_id:
                return disk
        raise Corrupt(
            f"The OVF descriptor attaches a disk '{disk_id}' that it does not describe.",
            code="ovf.reference",
            hint=_HINT,
        )

    def single_system(self) -> System:
        """The one machine of the envelope; Unsupported when it is a vApp or holds several."""
        if self.collection or len(self.systems) != 1:
            what = "a vApp" if self.collection else f"{len(self.systems)} virtual machines"
            raise Unsupported(
                f"The OVF descriptor holds {what}; one virtual machine is expected.",
                code="ovf.not_single",
                hint="Export the virtual machine by itself, not the vApp it is in.",
            )
        return self.systems[0]


def parse_descriptor(data: bytes, what: str = "The OVF descriptor") -> Descriptor:
    """Read the envelope in ``data``. ``what`` names it in errors.

    Raises Corrupt when it is damaged or contradicts itself or names files outside its own
    folder, Unsupported when it is of a version or uses a feature that is not handled.
    """
    root = parse_xml(data, what)
    if local_name(root.tag) != "Envelope":
        raise Corrupt(
            f"{what} is not an OVF envelope but has the root element '{local_name(root.tag)[:80]}'.",
            code="ovf.not_ovf",
            hint="Name the .ovf file.",
        )
    version = ENVELOPES.get(namespace(root.tag))
    if version is None:
        raise Unsupported(
            f"{what} is written in an OVF version that is not handled ({namespace(root.tag)[:120]}).",
            code="ovf.version",
            hint="Export the virtual machine from vSphere 6.5 or newer.",
        )
    files = tuple(_file(element, what) for element in _all(_child(root, "References"), "File"))
    _unique((file.id for file in files), "file", what)
    _unique((file.href.casefold() for file in files), "file name", what)
    disks = tuple(_disk(element, what) for element in _all(_child(root, "DiskSection"), "Disk"))
    _unique((disk.id for disk in disks), "disk", what)
    networks = tuple(_attribute(element, "name") or "" for element in _all(_child(root, "NetworkSection"), "Network"))
    systems = tuple(_system(element, what) for element in root.iter() if local_name(element.tag) == "VirtualSystem")
    collection = _child(root, "VirtualSystemCollection") is not None
    descriptor = Descriptor(version, files, disks, networks, systems, collection)
    for disk in disks:
        if disk.file_id is not None:
            descriptor.file(disk.file_id)
    for system in systems:
        for item in system.disks:
            if item.disk_id is not None:
                descriptor.disk(item.disk_id)
    return descriptor


def check_file_name(name: str, what: str) -> str:
    """Return ``name`` when it is a plain file name that stays in the package's folder, else raise Corrupt."""
    if (
        not name
        or name in (".", "..")
        or len(name.encode("utf-8", "surrogatepass")) > _MAXIMUM_NAME
        or any(character in name for character in "/\\:")
        or any(ord(character) < 32 or 0xD800 <= ord(character) <= 0xDFFF for character in name)
    ):
        raise Corrupt(
            f"{what} names a file that is not a plain file name: {name[:120]!r}.",
            code="ovf.file_name",
            hint="All files of the package must lie beside the descriptor; export the virtual machine as a folder of files.",
        )
    return name


def parse_units(text: str | None, default: int, what: str) -> int:
    """Bytes in one unit of a programmatic unit string: ``byte * 2^30``, ``byte``, ``MegaBytes``, ..."""
    if text is None or not text.strip():
        return default
    words = _UNIT_WORDS.get(text.strip().lower())
    if words is not None:
        return words
    match = re.fullmatch(r"\s*byte\s*\*\s*(\d{1,12})\s*(?:\^\s*(\d{1,2})\s*)?", text, re.IGNORECASE)
    if match:
        factor = int(match[1]) ** int(match[2] or 1)
        if 0 < factor <= MAXIMUM_CAPACITY:
            return factor
    raise Unsupported(
        f"{what} gives a size in units that are not handled: {text[:60]!r}.", code="ovf.units", hint=_HINT
    )


def _file(element: ElementTree.Element, what: str) -> File:
    href = check_file_name(_required(element, "href", what), what)
    size = _attribute(element, "size")
    chunk = _attribute(element, "chunkSize")
    return File(
        _required(element, "id", what),
        href,
        None if size is None else _number(size, "file size", what),
        _attribute(element, "compression") or "identity",
        None if chunk is None else _number(chunk, "chunk size", what),
    )


def _disk(element: ElementTree.Element, what: str) -> Disk:
    units = parse_units(_attribute(element, "capacityAllocationUnits"), 1, what)
    capacity = _number(_required(element, "capacity", what), "disk capacity", what) * units
    if not 0 < capacity <= MAXIMUM_CAPACITY:
        raise Corrupt(
            f"{what} describes a disk of {capacity} bytes, which no virtual disk can have.",
            code="ovf.capacity",
            hint=_HINT,
        )
    populated = _attribute(element, "populatedSize")
    return Disk(
        _required(element, "diskId", what),
        _attribute(element, "fileRef"),
        capacity,
        None if populated is None else _number(populated, "populated size", what),
        _attribute(element, "format") or "",
        _attribute(element, "parentRef"),
    )


def _system(element: ElementTree.Element, what: str) -> System:
    operating = _child(element, "OperatingSystemSection")
    hardware = _child(element, "VirtualHardwareSection")
    if hardware is None:
        raise Corrupt(f"{what} describes a virtual machine without hardware.", code="ovf.no_hardware", hint=_HINT)
    items = [_item(entry) for entry in hardware if local_name(entry.tag) in ("Item", "StorageItem", "EthernetPortItem")]
    settings = {}
    for entry in hardware:
        if local_name(entry.tag) in ("Config", "ExtraConfig"):
            settings.setdefault(_attribute(entry, "key") or "", _attribute(entry, "value") or "")
    by_instance = {item["InstanceID"]: item for item in items if item.get("InstanceID")}
    cpus = next((item for item in items if item["type"] == CPU), None)
    memory = next((item for item in items if item["type"] == MEMORY), None)
    family = _text(_child(_child(hardware, "System"), "VirtualSystemType"))
    os_id = None if operating is None else _attribute(operating, "id")
    return System(
        id=_attribute(element, "id") or "",
        name=_text(_child(element, "Name")) or _attribute(element, "id") or "",
        os_id=int(os_id) if os_id and re.fullmatch(r"[0-9]{1,5}", os_id) else None,
        os_type=None if operating is None else _attribute(operating, "osType"),
        firmware="efi" if settings.get("firmware", "bios").lower() in ("efi", "uefi") else "bios",
        secure_boot=settings.get("bootOptions.efiSecureBootEnabled", "").lower() in ("true", "1"),
        hardware_versions=tuple(family.replace(",", " ").split()),
        cpus=_quantity(cpus, what),
        cores_per_socket=_number(cpus["CoresPerSocket"], "number of cores", what)
        if cpus and cpus.get("CoresPerSocket")
        else None,
        memory_mib=None
        if memory is None
        else _quantity(memory, what) * parse_units(memory.get("AllocationUnits"), 1 << 20, what) >> 20,
        disks=tuple(_disk_item(item, by_instance, what) for item in items if item["type"] == DISK),
        nics=tuple(
            Nic(item.get("ResourceSubType", ""), item.get("Connection", ""), item.get("ElementName", ""))
            for item in items
            if item["type"] == NETWORK
        ),
        annotation=_text(_child(_child(element, "AnnotationSection"), "Annotation")),
    )


def _item(element: ElementTree.Element) -> dict:
    item: dict = {}
    for entry in element:
        item.setdefault(local_name(entry.tag), _text(entry))
    kind = item.get("ResourceType", "")
    item["type"] = int(kind) if re.fullmatch(r"[0-9]{1,5}", kind) else None
    return item


def _disk_item(item: dict, by_instance: dict[str, dict], what: str) -> DiskItem:
    resource = item.get("HostResource", "")
    match = re.fullmatch(r"(?:ovf:)?/disk/(.+)", resource)
    if resource and match is None:
        raise Unsupported(
            f"{what} attaches a disk from '{resource[:120]}', which is not handled.",
            code="ovf.host_resource",
            hint=_HINT,
        )
    controller = by_instance.get(item.get("Parent", ""), {})
    subtype = controller.get("ResourceSubType", "")
    kind = {IDE: "ide", SCSI: "scsi"}.get(controller.get("type"), "other")
    if controller.get("type") == OTHER_STORAGE:
        kind = (
            "sata"
            if "ahci" in subtype.lower() or "sata" in subtype.lower()
            else "nvme"
            if "nvme" in subtype.lower()
            else "other"
        )
    return DiskItem(
        match[1] if match else None,
        item.get("ElementName", ""),
        kind,
        subtype,
        _small(controller.get("Address")),
        _small(item.get("AddressOnParent")),
    )


def _small(text: str | None) -> int:
    return int(text) if text and re.fullmatch(r"[0-9]{1,4}", text) else 0


def _quantity(item: dict | None, what: str) -> int | None:
    if item is None:
        return None
    return _number(item.get("VirtualQuantity", ""), "amount of hardware", what)


def _number(text: str, kind: str, what: str) -> int:
    match = re.fullmatch(r"\s*([0-9]{1,19})\s*", text)
    if match is None:
        raise Corrupt(f"{what} has a {kind} that is not a number: {text[:60]!r}.", code="ovf.number", hint=_HINT)
    return int(match[1])


def _attribute(element: ElementTree.Element, name: str) -> str | None:
    for key, value in element.attrib.items():
        if local_name(key) == name:
            return value
    return None


def _required(element: ElementTree.Element, name: str, what: str) -> str:
    value = _attribute(element, name)
    if not value:
        raise Corrupt(f"{what} has a {local_name(element.tag)} without {name}.", code="ovf.missing", hint=_HINT)
    return value


def _child(element: ElementTree.Element | None, name: str) -> ElementTree.Element | None:
    return next(_all(element, name), None)


def _all(element: ElementTree.Element | None, name: str) -> Iterator[ElementTree.Element]:
    for entry in element if element is not None else ():
        if local_name(entry.tag) == name:
            yield entry


def _text(element: ElementTree.Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""


def _unique(values: Iterator[str], kind: str, what: str) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise Corrupt(f"{what} lists the {kind} '{value[:120]}' twice.", code="ovf.duplicate", hint=_HINT)
        seen.add(value)
