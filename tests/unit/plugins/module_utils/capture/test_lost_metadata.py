# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metadata that a layer cannot carry is reported; a descriptor without a group is completed."""

from __future__ import annotations

import ctypes
import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture
from ansible_collections.strata.layering.plugins.module_utils.common import security_descriptors
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.layers.extended_attributes import pack_eas
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs import attribute_records, file_security
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.captured import (
    Packaging,
    capture_change,
    left_out,
    make_windows_disk,
)
from ansible_collections.strata.layering.tests.support.ntfs_changes import delete_stream
from ansible_collections.strata.layering.tests.support.volume_changes import existing, put, rename

CLOUD = b"\x1a\x70\x00\x90\x40\x00\x00\x00" + b"c" * 64
USER = security_descriptors.sid("S-1-5-21-1-2-3-1001")


@pytest.fixture(name="packaging", scope="module")
def _packaging(tmp_path_factory):
    """A repository with an OS layer in which a folder has a stream, extended attributes and a reparse point."""
    folder = tmp_path_factory.mktemp("metadata")
    raw = str(folder / "raw")
    make_windows_disk(raw)
    with FileDevice(raw, writable=True) as device:
        window = max(read_partitions(device).partitions, key=lambda partition: partition.size).window(device)
        with Volume.mount(window, writable=True) as volume:
            put(volume, "Data/rich/inside.txt")
            with existing(volume, "Data/rich") as node:
                node.write(b"stream", 0, "notes")
                node.set_eas(pack_eas([(b"NAME", 0, b"value")]))
                node.set_reparse(CLOUD)
    return Packaging(str(folder), raw)


def set_case_sensitive(node) -> None:
    """Set the version number in $STANDARD_INFORMATION, as ``fsutil file setCaseSensitiveInfo`` does."""
    address = node.inode.fields.mrec
    record = ctypes.string_at(address, node.volume.record_size)
    position = struct.unpack_from("<H", record, 20)[0]
    assert struct.unpack_from("<I", record, position)[0] == attribute_records.STANDARD_INFORMATION
    value = position + struct.unpack_from("<H", record, position + 20)[0]
    ctypes.memmove(address + value + 36, struct.pack("<II", 0, 1), 8)
    node.inode.mark_dirty()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda node: delete_stream(node, "notes"), "removed_stream"),
        (lambda node: node.set_eas(None), "removed_eas"),
        (lambda node: node.set_reparse(None), "removed_reparse_point"),
    ],
)
def test_capture_metadata_that_a_folder_lost_is_reported(packaging, change, reason):
    def work(volume):
        with existing(volume, "Data/rich") as node:
            change(node)

    result, entries, _deltas = capture_change(packaging, work)
    assert entries == {"Data/rich": "directory"}
    assert left_out(result, "metadata") == {reason: ["Data/rich"]}
    assert left_out(capture_change(packaging, work, {"path": "Data/rich"})[0], "metadata") == {}


def test_capture_folder_that_was_a_junction_is_replaced(packaging):
    def work(volume):
        with existing(volume, "Data/junction") as node:
            node.set_reparse(None)
            node.create_file("inside.txt", b"inside").close()

    with packaging.changed(work) as device:
        result = capture(packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "App", "1"))
    with (
        packaging.compose([result.layer]).open_disk() as disk,
        Volume.mount(packaging.partition.window(disk)) as volume,
        existing(volume, "Data/junction") as node,
    ):
        assert node.reparse is None and [child.name for child in node.children()] == ["inside.txt"]


def test_capture_case_sensitive_folder_is_reported(packaging):
    def work(volume):
        put(volume, "Data/new/inside.txt")
        for path in ("Data/one", "Data/new"):
            with existing(volume, path) as node:
                set_case_sensitive(node)

    result, _entries, _deltas = capture_change(packaging, work)
    assert left_out(result, "metadata") == {"case_sensitivity": ["Data/one", "Data/new"]}


def test_capture_case_sensitive_folder_that_moved_is_reported(packaging):
    def first(volume):
        with existing(volume, "Data/one/two") as node:
            set_case_sensitive(node)

    def work(volume):
        first(volume)
        rename(volume, "Data/one", "Data", "other")

    assert left_out(capture_change(packaging, work)[0], "metadata") == {"case_sensitivity": ["Data/other/two"]}


@pytest.mark.parametrize(("owner", "group"), [(USER, USER), (None, security_descriptors.SYSTEM)])
def test_capture_descriptor_without_group_gets_one_and_is_reported(packaging, owner, group):
    complete = security_descriptors.parse(file_security.default(False))
    complete.owner, complete.group = owner, None
    stored = security_descriptors.build(complete)

    def work(volume):
        put(volume, "Data/plain.txt")
        with existing(volume, "Data/plain.txt") as node:
            inode, library = node.inode, volume.library
            kind = attribute_records.SECURITY_DESCRIPTOR
            assert not library.ntfs_attr_add(
                inode.address, kind, library.AT_UNNAMED, 0, stored, ctypes.c_int64(len(stored))
            )
            inode.fields.security_id = 0
            inode.mark_dirty()

    with packaging.changed(work) as device:
        result = capture(packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "App", "1"))
    assert left_out(result, "metadata") == {"no_group": ["Data/plain.txt"]}
    with (
        packaging.compose([result.layer]).open_disk() as disk,
        Volume.mount(packaging.partition.window(disk)) as volume,
        existing(volume, "Data/plain.txt") as node,
    ):
        written = security_descriptors.parse(node.security)
    assert (written.group, written.owner) == (group, owner or security_descriptors.SYSTEM)
    assert written.dacl == complete.dacl


def test_complete_descriptor_keeps_its_bytes():
    descriptor = file_security.default(True)
    assert security_descriptors.complete(descriptor) is descriptor
    assert security_descriptors.complete(b"damaged" * 3) == b"damaged" * 3
