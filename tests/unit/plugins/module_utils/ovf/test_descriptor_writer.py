# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write descriptors, and read them with our reader and with an independent XML parser."""

from __future__ import annotations

import xml.dom.minidom

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.ovf.descriptor import parse_descriptor
from ansible_collections.strata.layering.plugins.module_utils.ovf.descriptor_writer import (
    CONTROLLER_TYPES,
    ImageDescription,
    write_descriptor,
)

IMAGE = {
    "name": "win11",
    "disk_file": "win11-disk1.vmdk",
    "disk_size": 1234,
    "capacity": 100 << 30,
    "guest_id": "windows11_64Guest",
}

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=40).filter(
    lambda text: text == text.strip()
)


@settings(max_examples=80, deadline=None)
@given(
    name=texts,
    networks=st.lists(texts, min_size=0, max_size=3),
    capacity=st.integers(1, 62 << 30),
    firmware=st.sampled_from(["bios", "efi"]),
    controller_type=st.sampled_from(sorted(CONTROLLER_TYPES)),
    cpus=st.integers(1, 128),
    memory_mib=st.integers(4, 1 << 20),
    annotation=st.one_of(st.just(""), texts),
)
def test_written_descriptor_is_read_back(
    name, networks, capacity, firmware, controller_type, cpus, memory_mib, annotation
):
    image = ImageDescription(
        **IMAGE
        | {
            "name": name,
            "networks": tuple(networks),
            "capacity": capacity * 1024,
            "firmware": firmware,
            "secure_boot": firmware == "efi",
            "controller_type": controller_type,
            "cpus": cpus,
            "memory_mib": memory_mib,
            "annotation": annotation,
            "populated_size": 77,
        }
    )
    text = write_descriptor(image)
    assert text == write_descriptor(image)
    descriptor = parse_descriptor(text)
    system = descriptor.single_system()
    assert (system.name, system.annotation, system.firmware, system.secure_boot) == (
        name,
        annotation,
        firmware,
        firmware == "efi",
    )
    assert (system.cpus, system.memory_mib, system.os_type) == (cpus, memory_mib, "windows11_64Guest")
    assert [nic.network for nic in system.nics] == networks
    assert {nic.type for nic in system.nics} <= {"VmxNet3"}
    kinds = {"vmware.nvme.controller": "nvme", "vmware.sata.ahci": "sata"}
    assert (system.disks[0].controller, system.disks[0].controller_type) == (
        kinds.get(controller_type, "scsi"),
        controller_type,
    )
    disk = descriptor.disk(system.disks[0].disk_id)
    assert (disk.capacity, disk.populated_size) == (capacity * 1024, 77)
    assert (descriptor.file(disk.file_id).href, descriptor.file(disk.file_id).size) == ("win11-disk1.vmdk", 1234)


def test_written_descriptor_is_valid_for_an_independent_parser():
    document = xml.dom.minidom.parseString(write_descriptor(ImageDescription(**IMAGE)))
    assert document.documentElement.tagName == "ovf:Envelope"
    disk = document.getElementsByTagName("ovf:Disk")[0]
    assert (disk.getAttribute("ovf:capacity"), disk.getAttribute("ovf:capacityAllocationUnits")) == (
        "100",
        "byte * 2^30",
    )
    assert [node.tagName for node in document.documentElement.childNodes if node.nodeType == node.ELEMENT_NODE] == [
        "ovf:References",
        "ovf:DiskSection",
        "ovf:NetworkSection",
        "ovf:VirtualSystem",
    ]
    # The schema requires CIM elements in alphabetical order.
    for item in document.getElementsByTagName("ovf:Item"):
        names = [
            node.tagName
            for node in item.childNodes
            if node.nodeType == node.ELEMENT_NODE and node.tagName.startswith("rasd:")
        ]
        assert names == sorted(names)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"capacity": 1000}, "ovf.image_capacity"),
        ({"capacity": 0}, "ovf.image_capacity"),
        ({"capacity": 1 << 60}, "ovf.image_capacity"),
        ({"disk_file": "../x"}, "ovf.file_name"),
        ({"controller_type": "floppy"}, "ovf.scsi"),
        ({"firmware": "coreboot"}, "ovf.firmware"),
        ({"name": "a\x00b"}, "ovf.text"),
    ],
)
def test_value_that_ovf_cannot_express_raises(change, code):
    with pytest.raises((InvalidInput, Corrupt)) as caught:
        write_descriptor(ImageDescription(**IMAGE | change))
    assert caught.value.code == code
