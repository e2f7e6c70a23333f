# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NTFS's own files while $MFT grows for many new files."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs import attribute_records, resize, volume_state
from ansible_collections.strata.layering.plugins.module_utils.ntfs.raw_volume import RawVolume
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.ntfs_images import verify_volume

_SYSTEM_FILES = 12
CLOUD = b"\x1a\x70\x00\x90\x08\x00\x00\x00cloudy!!"


def information(independent, path) -> dict[int, bytes]:
    """Return $STANDARD_INFORMATION of NTFS's own files and of the files below $Extend, by record number."""
    table = independent(path).ntfs.mft
    below = [entry.dereference().segment for entry in table.get(11).listdir().values()]
    assert below
    with FileDevice(str(path)) as device:
        raw = RawVolume(device)
        return {
            number: raw.attribute(number, attribute_records.STANDARD_INFORMATION)[0].value or b""
            for number in (*range(_SYSTEM_FILES), *below)
            if number != 5
        }


def name_times(independent, path) -> dict[str, tuple[int, ...]]:
    """Return the times in the entries of the root's index for NTFS's own files, by name."""
    entries = {}
    for entry in independent(path).ntfs.mft.get(5).index("$I30").entries():
        name = attribute_records.FileName.unpack(entry.buf, "the index")
        if name.name.startswith("$"):
            entries[name.name] = (name.created, name.written, name.changed, name.accessed)
    return entries


@pytest.fixture(params=["mkntfs", "windows"])
def formatted(request, blank, windows_image, independent, tmp_path):
    """The path of a volume that mkntfs or Windows formatted."""
    path = tmp_path / "image"
    if request.param == "mkntfs":
        return blank(path)
    windows_image(path)
    os.truncate(path, 64 << 20)
    before = information(independent, path)
    with FileDevice(str(path), writable=True) as device:
        resize.grow(device, device.size)
    assert information(independent, path) == before
    return path


@pytest.mark.parametrize("count", [400, 1500])
def test_table_that_grows_keeps_the_metadata_of_the_systems_files(formatted, independent, descriptor, count):
    before = information(independent, formatted)
    with FileDevice(str(formatted)) as device:
        size = RawVolume(device).mft_size
    names = name_times(independent, formatted)
    with (
        FileDevice(str(formatted), writable=True) as device,
        Volume.mount(device, writable=True) as volume,
        volume.root as root,
        root.create_directory("grow") as folder,
    ):
        for number in range(count):
            with folder.create_file(f"file {number}", b"text") as node:
                if not number % 100:
                    node.set_object_id(number.to_bytes(16, "big"))
                    node.set_reparse(CLOUD)
                    node.set_security(descriptor(number))
    with FileDevice(str(formatted)) as device:
        assert RawVolume(device).mft_size > size
        assert volume_state.read_state(device).mirror
    assert information(independent, formatted) == before
    assert any(before[0][:8])
    assert name_times(independent, formatted) == names
    verify_volume(formatted, entries_follow=False)
