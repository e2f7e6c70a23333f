# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the OVF descriptor of a virtual machine with one disk.

Source: DSP0243 1.1 with the extensions of vSphere. The text depends only on its input: the same image always has
the same descriptor.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from xml.etree import ElementTree

from ..common.errors import InvalidInput
from .descriptor import MAXIMUM_CAPACITY, STREAM_OPTIMIZED, check_file_name

_OVF = "http://schemas.dmtf.org/ovf/envelope/1"
_RASD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
_VSSD = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
_VMW = "http://www.vmware.com/schema/ovf"
_PREFIXES = {"ovf": _OVF, "rasd": _RASD, "vssd": _VSSD, "vmw": _VMW}

#: The ResourceSubTypes of disk controllers in OVF, and their ResourceTypes: 6 is SCSI, 20 other storage.
CONTROLLER_TYPES = {
    "lsilogicsas": 6,
    "VirtualSCSI": 6,
    "lsilogic": 6,
    "buslogic": 6,
    "vmware.nvme.controller": 20,
    "vmware.sata.ahci": 20,
}
_CONTROLLER_NAMES = {"vmware.nvme.controller": "NVME Controller", "vmware.sata.ahci": "SATA Controller"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDescription:
    """The content of an image's descriptor. ``capacity`` (of the disk) and ``disk_size`` (of the file) are in bytes.

    ``controller_type`` is one of ``CONTROLLER_TYPES``, ``controller_bus`` its bus number, ``disk_unit`` the disk's place on it.
    """

    name: str
    disk_file: str
    disk_size: int
    capacity: int
    guest_id: str
    populated_size: int | None = None
    firmware: str = "bios"
    secure_boot: bool = False
    hardware_version: str = "vmx-13"
    cpus: int = 2
    cores_per_socket: int = 1
    memory_mib: int = 4096
    controller_type: str = "lsilogicsas"
    controller_bus: int = 0
    disk_unit: int = 0
    networks: tuple[str, ...] = ("VM Network",)
    annotation: str = ""


def write_descriptor(image: ImageDescription) -> bytes:
    """Return the descriptor as UTF-8 XML.

    Raises:
        InvalidInput: ``ovf.scsi``, ``ovf.firmware`` or ``ovf.text`` if a value cannot be expressed in OVF;
            ``ovf.image_capacity`` if the capacity is not a whole number of KiB.
    """
    _check(image)
    root = _element(None, "ovf:Envelope")
    references = _element(root, "ovf:References")
    _element(references, "ovf:File", {"ovf:href": image.disk_file, "ovf:id": "file1", "ovf:size": str(image.disk_size)})

    _disk_section(root, image)

    section = _section(root, "ovf:NetworkSection", "The list of logical networks")
    for network in dict.fromkeys(image.networks):
        _element(
            _element(section, "ovf:Network", {"ovf:name": network}), "ovf:Description", text=f"The {network} network"
        )

    system = _element(root, "ovf:VirtualSystem", {"ovf:id": image.name})
    _element(system, "ovf:Info", text="A virtual machine")
    _element(system, "ovf:Name", text=image.name)
    # The CIM number 1 means "other": vSphere uses vmw:osType.
    _section(
        system,
        "ovf:OperatingSystemSection",
        "The guest operating system",
        {"ovf:id": "1", "vmw:osType": image.guest_id},
    )
    if image.annotation:
        section = _section(system, "ovf:AnnotationSection", "A human-readable annotation")
        _element(section, "ovf:Annotation", text=image.annotation)
    _hardware(system, image)

    for prefix, uri in _PREFIXES.items():
        ElementTree.register_namespace(prefix, uri)
    ElementTree.indent(root)
    out = io.BytesIO()
    ElementTree.ElementTree(root).write(out, encoding="UTF-8", xml_declaration=True)
    return out.getvalue() + b"\n"


def _disk_section(root: ElementTree.Element, image: ImageDescription) -> None:
    amount, exponent = _units(image.capacity)
    disk = {
        "ovf:capacity": str(amount),
        "ovf:capacityAllocationUnits": f"byte * 2^{exponent}",
        "ovf:diskId": "vmdisk1",
        "ovf:fileRef": "file1",
        "ovf:format": STREAM_OPTIMIZED,
    }
    if image.populated_size is not None:
        disk["ovf:populatedSize"] = str(image.populated_size)
    section = _section(root, "ovf:DiskSection", "The list of the virtual disks")
    _element(section, "ovf:Disk", disk)


def _hardware(system: ElementTree.Element, image: ImageDescription) -> None:
    section = _section(system, "ovf:VirtualHardwareSection", "Virtual hardware requirements")
    family = _element(section, "ovf:System")
    _element(family, "vssd:ElementName", text="Virtual Hardware Family")
    _element(family, "vssd:InstanceID", text="0")
    _element(family, "vssd:VirtualSystemIdentifier", text=image.name)
    _element(family, "vssd:VirtualSystemType", text=image.hardware_version)

    _processor_and_memory(section, image)
    controller = _CONTROLLER_NAMES.get(image.controller_type, "SCSI Controller")
    _item(
        section,
        Address=image.controller_bus,
        Description=controller,
        ElementName=f"{controller} {image.controller_bus}",
        InstanceID=3,
        ResourceSubType=image.controller_type,
        ResourceType=CONTROLLER_TYPES[image.controller_type],
    )
    _item(
        section,
        AddressOnParent=image.disk_unit,
        ElementName="Hard disk 1",
        HostResource="ovf:/disk/vmdisk1",
        InstanceID=4,
        Parent=3,
        ResourceType=17,
    )
    for number, network in enumerate(image.networks):
        _item(
            section,
            AddressOnParent=7 + number,
            AutomaticAllocation="true",
            Connection=network,
            ElementName=f"Network adapter {number + 1}",
            InstanceID=5 + number,
            ResourceSubType="VmxNet3",
            ResourceType=10,
        )
    _config(section, "firmware", image.firmware)
    if image.secure_boot:
        _config(section, "bootOptions.efiSecureBootEnabled", "true")


def _processor_and_memory(section: ElementTree.Element, image: ImageDescription) -> None:
    cpu = _item(
        section,
        AllocationUnits="hertz * 10^6",
        ElementName=f"{image.cpus} virtual CPU(s)",
        InstanceID=1,
        ResourceType=3,
        VirtualQuantity=image.cpus,
    )
    _element(cpu, "vmw:CoresPerSocket", {"ovf:required": "false"}, str(image.cores_per_socket))
    _item(
        section,
        AllocationUnits="byte * 2^20",
        ElementName=f"{image.memory_mib}MB of memory",
        InstanceID=2,
        ResourceType=4,
        VirtualQuantity=image.memory_mib,
    )


def _check(image: ImageDescription) -> None:
    check_file_name(image.disk_file, f"The image {image.name}")
    if image.capacity <= 0 or image.capacity % 1024 or image.capacity > MAXIMUM_CAPACITY:
        raise InvalidInput(
            f"The image {image.name} has a disk of {image.capacity} bytes; expected whole KiB up to "
            f"{MAXIMUM_CAPACITY >> 40} TiB.",
            code="ovf.image_capacity",
            hint="Set disk_size_gb of the image template, or change the size of the OS machine's disk and import the OS layer again.",
            capacity=image.capacity,
        )
    if image.controller_type not in CONTROLLER_TYPES:
        raise InvalidInput(
            f"The image {image.name} has the unknown disk controller type '{image.controller_type}'.",
            code="ovf.scsi",
            hint=f"Use one of these types: {', '.join(CONTROLLER_TYPES)}.",
        )
    if image.firmware not in ("bios", "efi"):
        raise InvalidInput(
            f"The image {image.name} has the unknown firmware '{image.firmware}'.",
            code="ovf.firmware",
            hint="Use bios or efi.",
        )
    for text in (image.name, image.guest_id, image.hardware_version, image.annotation, *image.networks):
        if re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", text):
            raise InvalidInput(
                f"The image {image.name!r} has the text {text[:80]!r} with a character that XML does not allow.",
                code="ovf.text",
                hint="Remove control characters from the name, the description and the networks of the image.",
            )


def _units(capacity: int) -> tuple[int, int]:
    exponent = next(power for power in (30, 20, 10) if capacity % (1 << power) == 0)
    return capacity >> exponent, exponent


def _qualified(name: str) -> str:
    prefix, _colon, local = name.partition(":")
    return f"{{{_PREFIXES[prefix]}}}{local}"


def _element(
    parent: ElementTree.Element | None, name: str, attributes: dict[str, str] | None = None, text: str | None = None
) -> ElementTree.Element:
    qualified = {_qualified(key): value for key, value in (attributes or {}).items()}
    element = (
        ElementTree.Element(_qualified(name), qualified)
        if parent is None
        else ElementTree.SubElement(parent, _qualified(name), qualified)
    )
    element.text = text
    return element


def _section(
    parent: ElementTree.Element, name: str, info: str, attributes: dict[str, str] | None = None
) -> ElementTree.Element:
    section = _element(parent, name, attributes)
    _element(section, "ovf:Info", text=info)
    return section


def _item(section: ElementTree.Element, **fields: object) -> ElementTree.Element:
    item = _element(section, "ovf:Item")
    for name, value in fields.items():
        _element(item, f"rasd:{name}", text=str(value))
    return item


def _config(section: ElementTree.Element, key: str, value: str) -> None:
    _element(section, "vmw:Config", {"ovf:required": "false", "vmw:key": key, "vmw:value": value})
