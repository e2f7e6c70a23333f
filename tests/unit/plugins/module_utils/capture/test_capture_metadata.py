# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metadata that moved to another place or has another form is not a change; metadata with another value is captured."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common import security_descriptors
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.layers.extended_attributes import pack_eas
from ansible_collections.strata.layering.plugins.module_utils.ntfs import attribute_records, file_security
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.captured import Packaging, capture_change, make_windows_disk
from ansible_collections.strata.layering.tests.support.ntfs_changes import move_out, overwrite, store_own_descriptor
from ansible_collections.strata.layering.tests.support.volume_changes import put

EAS = [(b"FIRST", 0, b"1" * 20), (b"SECOND", 0x80, b"2" * 150)]
OTHER_EAS = [(b"FIRST", 0, b"1" * 20), (b"SECOND", 0x80, b"2" * 149 + b"3")]
KERNEL_EAS = [(b"$KERNEL.PURGE.ESBCACHE", 0, b"3" * 100), (b"$CI.CATALOGHINT", 0, b"\1\0\6\0id.cat")]
CLOUD = b"\x1a\x70\x00\x90\x40\x00\x00\x00" + b"c" * 64
USER = security_descriptors.sid("S-1-5-21-1-2-3-1001")


def _describe(node) -> None:
    times = node.times
    node.set_eas(pack_eas(EAS))
    node.set_object_id(struct.pack("<QQ", node.file_reference, 7))
    node.set_reparse(CLOUD)
    node.set_security(file_security.default(node.is_directory, owner=USER, readers=(USER,)))
    node.set_times(times)


@pytest.fixture(name="packaging", scope="module")
def _packaging(tmp_path_factory):
    """A repository with an OS layer in which a file and a folder have metadata of every kind."""
    folder = tmp_path_factory.mktemp("metadata")
    raw = str(folder / "raw")
    make_windows_disk(raw)
    with FileDevice(raw, writable=True) as device:
        window = max(read_partitions(device).partitions, key=lambda partition: partition.size).window(device)
        with Volume.mount(window, writable=True) as volume:
            for path in ("Data/rich/inside.txt", "Data/rich.txt", "Data/outside.txt"):
                put(volume, path, b"rich" * 10)
            for path in ("Data/rich", "Data/rich.txt", "Data/outside.txt"):
                with volume.find(path) as node:
                    _describe(node)
                    if "outside" in path:
                        move_out(node, attribute_records.EA)
    return Packaging(str(folder), raw)


def reordered(descriptor: bytes) -> bytes:
    """Return an equal descriptor with owner and group before the access control list."""
    parsed = security_descriptors.parse(descriptor)
    dacl = parsed.dacl.pack()
    owner = 20
    group = owner + len(parsed.owner)
    header = struct.pack("<BBHIIII", 1, 0, parsed.control, owner, group, 0, group + len(parsed.group))
    return header + parsed.owner + parsed.group + dacl


@pytest.mark.parametrize(
    "move",
    [
        lambda node: move_out(node, attribute_records.EA),
        lambda node: move_out(node, attribute_records.REPARSE_POINT),
        lambda node: node.set_eas(pack_eas(reversed(EAS))),
        lambda node: node.set_security(reordered(node.security)),
        store_own_descriptor,
        lambda node: node.set_object_id(b"another ID of 16"),
        lambda node: node.set_eas(pack_eas([*EAS, *KERNEL_EAS])),
        lambda node: (store_own_descriptor(node), move_out(node, attribute_records.SECURITY_DESCRIPTOR)),
    ],
)
@pytest.mark.parametrize("path", ["Data/rich", "Data/rich.txt"])
def test_capture_metadata_in_another_place_is_not_a_change(packaging, path, move):
    def change(volume):
        with volume.find(path) as node:
            times = node.times
            move(node)
            node.set_times(times)

    result, entries, _deltas = capture_change(packaging, change)
    assert entries == {}
    assert result.statistics["files_different"] == 1


@pytest.mark.parametrize(
    "differ",
    [
        lambda node: node.set_eas(pack_eas(OTHER_EAS)),
        lambda node: node.set_reparse(CLOUD[:-1] + b"d"),
        lambda node: node.set_security(file_security.default(node.is_directory, owner=USER, readers=())),
        lambda node: (node.set_eas(pack_eas(OTHER_EAS)), move_out(node, attribute_records.EA)),
    ],
)
@pytest.mark.parametrize(("path", "kind"), [("Data/rich", "directory"), ("Data/rich.txt", "file")])
def test_capture_metadata_with_another_value_is_a_change(packaging, path, kind, differ):
    def change(volume):
        with volume.find(path) as node:
            times = node.times
            differ(node)
            node.set_times(times)

    assert capture_change(packaging, change)[1] == {path: kind}


def test_capture_metadata_overwritten_in_place_is_a_change(packaging):
    def change(volume):
        with volume.find("Data/outside.txt") as node:
            overwrite(node, attribute_records.EA, pack_eas(OTHER_EAS))

    result, entries, _deltas = capture_change(packaging, change)
    assert entries == {"Data/outside.txt": "file"}
    assert result.statistics["whole_table_read"] == 1


def test_capture_folder_whose_metadata_moves_for_a_new_name_is_not_taken(packaging):
    def change(volume):
        with volume.find("Data/rich") as folder:
            times = folder.times
            # The index needs the space in the record in which the attributes were.
            for number in range(40):
                folder.create_file(f"a file with a long name, number {number}", b"new").close()
            move_out(folder, attribute_records.EA)
            folder.set_times(times._replace(written=times.written + 1, changed=times.changed + 1))

    _result, entries, _deltas = capture_change(packaging, change)
    assert entries == {f"Data/rich/a file with a long name, number {number}": "file" for number in range(40)}
