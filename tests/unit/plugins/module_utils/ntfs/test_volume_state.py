# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state in which Windows left a volume."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, StrataError, Unsupported
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs import attribute_records, boot, volume_state
from ansible_collections.strata.layering.plugins.module_utils.ntfs.raw_volume import LOG_FILE, VOLUME, RawVolume
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume


def patch_record(path, number, kind, change):
    """Change the value of a resident attribute in place."""
    with FileDevice(str(path), writable=True) as device:
        raw = RawVolume(device)
        record = raw.record(number)
        attribute = next(part for part in attribute_records.attributes(record, "") if part.type == kind)
        offset = attribute.offset + struct.unpack_from("<H", record, attribute.offset + 20)[0]
        record[offset : offset + len(attribute.value)] = change(bytearray(attribute.value))
        raw.write_record(number, record)


def restart_page(major, minor, in_use=0xFFFF, flags=2):
    page = bytearray(4096)
    struct.pack_into("<4sHHQIIHhh", page, 0, b"RSTR", 30, 9, 0, 4096, 4096, 48, minor, major)
    struct.pack_into("<QHHHH", page, 48, 1000, 1, 0, in_use, flags)
    attribute_records.protect(page)
    return bytes(page)


def write_log(path, data):
    with FileDevice(str(path), writable=True) as device:
        raw = RawVolume(device)
        _attribute, runs = raw.attribute(LOG_FILE, attribute_records.DATA)
        position = 0
        for start, part in raw.pieces(runs, 0, len(data)):
            device.pwrite(data[position : position + part], start)
            position += part


def state_of(path):
    with FileDevice(str(path)) as device:
        return volume_state.read_state(device)


def rejection_code(path):
    """Return the error code of ``require_clean``; a mount for writing must fail, too."""
    with FileDevice(str(path), writable=True) as device:
        with pytest.raises(StrataError) as caught:
            volume_state.require_clean(device)
        with pytest.raises(StrataError):
            with Volume.mount(device, writable=True):
                pass
    assert caught.value.hint
    return caught.value.code


def test_state_of_a_fresh_volume(image):
    state = state_of(image)
    assert state == volume_state.State((3, 1), "Test", 0, False, "none", "empty", True, True)
    assert state.clean


def test_state_of_a_volume_of_windows(windows_image, tmp_path):
    state = state_of(windows_image(tmp_path / "image"))
    assert state.version == (3, 1)
    assert state.label == "New Volume"
    assert not state.dirty
    assert state.hibernation == "none"
    assert state.journal == "clean"
    assert state.mirror
    assert state.clean


def test_dirty_volume_is_rejected(image):
    def mark(value):
        struct.pack_into("<H", value, 10, 1)
        return value

    patch_record(image, VOLUME, attribute_records.VOLUME_INFORMATION, mark)
    assert state_of(image).dirty
    assert rejection_code(image) == "ntfs.dirty"


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        (b"hibr", "hibernated"),
        (b"HIBR", "hibernated"),
        (b"RSTR", "hibernated"),
        (b"rstr", "hibernated"),
        (b"wake", "resumed"),
        (b"WAKE", "resumed"),
        (bytes(4), "none"),
        (b"", "none"),
    ],
)
@pytest.mark.parametrize("size", [4, 5000])
def test_hibernation_file_is_recognised(image, begin, expected, size):
    with (
        FileDevice(str(image), writable=True) as device,
        Volume.mount(device, writable=True) as volume,
        volume.root as root,
    ):
        for number in range(100):
            root.create_file(f"A file that fills the index {number}").close()
        root.create_file("HiberFil.sys", begin + bytes(size - len(begin)) if begin else b"").close()
    state = state_of(image)
    assert state.hibernation == expected
    assert state.clean == (expected != "hibernated")
    if expected == "hibernated":
        assert rejection_code(image) == "ntfs.hibernated"


@pytest.mark.parametrize(
    ("log", "expected", "code"),
    [
        (restart_page(1, 1), "clean", None),
        (restart_page(1, 1, in_use=0, flags=0), "dirty", "ntfs.dirty"),
        (restart_page(2, 0), "fast_startup", "ntfs.hibernated"),
        (b"garbage" * 1000, "damaged", "ntfs.dirty"),
    ],
)
def test_journal_is_recognised(image, log, expected, code):
    write_log(image, log)
    assert state_of(image).journal == expected
    if code:
        with FileDevice(str(image)) as device, pytest.raises(Unsupported) as caught:
            volume_state.require_clean(device)
        assert caught.value.code == code


def test_mirror_that_differs_is_rejected(image):
    with FileDevice(str(image), writable=True) as device:
        raw = RawVolume(device)
        offset = raw.geometry.mirror_cluster * raw.geometry.cluster_size + 3 * 1024 + 200
        device.pwrite(b"\x55" * 8, offset)
    assert not state_of(image).mirror
    assert rejection_code(image) == "ntfs.damaged"


def test_backup_boot_sector_that_differs_is_reported(image):
    with open(image, "r+b") as stream:
        stream.seek(-512, 2)
        stream.write(b"x" * 512)
    assert not state_of(image).backup_boot


def test_other_file_systems_are_not_supported(tmp_path):
    signs = {
        "bitlocker": b"\xeb\x58\x90-FVE-FS-",
        "refs": b"\0\0\0ReFS\0\0\0\0",
        "exfat": b"\xeb\x76\x90EXFAT   ",
        "fat": (b"\xeb\x58\x90MSDOS5.0".ljust(82, b"\0") + b"FAT32   ").ljust(510, b"\0") + b"\x55\xaa",
        None: b"",
    }
    for kind, begin in signs.items():
        path = tmp_path / str(kind)
        path.write_bytes(begin.ljust(4096, b"\0"))
        with FileDevice(str(path)) as device:
            assert boot.recognise(device) == kind
            with pytest.raises(Unsupported) as caught:
                Volume.mount(device)
            assert caught.value.code == ("ntfs.bitlocker" if kind == "bitlocker" else "ntfs.not_ntfs")
            assert caught.value.hint


def test_truncated_volume_is_rejected(image):
    with open(image, "r+b") as stream:
        stream.truncate(40 << 20)
    with FileDevice(str(image)) as device, pytest.raises(Corrupt) as caught:
        volume_state.read_state(device)
    assert caught.value.code == "ntfs.too_small"
