# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An encrypted file of the image that Windows moved to other clusters: it is unknown whether its content changed."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture
from ansible_collections.strata.layering.plugins.module_utils.capture.rules import parse_rules
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Unsupported
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.captured import Packaging, make_windows_disk
from ansible_collections.strata.layering.tests.support.volume_changes import put

_PATH = "Program Files/Alpha/file number 5.dat"
_RECORD = 1024


def toggle_encrypted(window) -> None:
    """Set or clear the EFS flag of the file and its data. Source: libntfs-3g's layout.h."""
    with Volume.mount(window) as volume, volume.find(_PATH) as node:
        number = node.file_reference & 0xFFFFFFFFFFFF
    sector, per_cluster = struct.unpack("<HB", window.pread(3, 11))
    start = struct.unpack("<Q", window.pread(8, 48))[0] * sector * per_cluster + number * _RECORD
    record = bytearray(window.pread(_RECORD, start))
    assert record[:4] == b"FILE"
    assert struct.unpack_from("<I", record, 44)[0] == number
    position = struct.unpack_from("<H", record, 20)[0]
    while (kind := struct.unpack_from("<I", record, position)[0]) != 0xFFFFFFFF:
        if kind == 0x10:
            record[position + struct.unpack_from("<H", record, position + 20)[0] + 33] ^= 0x40
        elif kind == 0x80:
            record[position + 13] ^= 0x40
        position += struct.unpack_from("<I", record, position + 4)[0]
    window.pwrite(bytes(record), start)


def test_capture_encrypted_file_that_moved_is_rejected(tmp_path):
    make_windows_disk(str(tmp_path / "raw"))
    with FileDevice(str(tmp_path / "raw"), writable=True) as device:
        toggle_encrypted(max(read_partitions(device).partitions, key=lambda partition: partition.size).window(device))
    packaging = Packaging(str(tmp_path), str(tmp_path / "raw"))
    version = LayerVersion("app", "App", "1")
    with packaging.changed(lambda volume: None) as device:
        window = packaging.partition.window(device)
        toggle_encrypted(window)
        with Volume.mount(window, writable=True) as volume:
            with volume.find(_PATH) as node:
                data, times = node.read(), node.times
                node.truncate(0)
                put(volume, "gap", bytes(2_000_000))
                node.write(data)
                node.set_times(times)
            with volume.find("gap") as node:
                node.delete()
        toggle_encrypted(window)
        with pytest.raises(Unsupported) as caught:
            capture(packaging.repository, packaging.base_image, lambda: device, version)
        assert caught.value.code == "capture.encrypted"
        assert caught.value.details["path"] == _PATH
        rules = parse_rules([{"path": _PATH, "reason": "secret"}])
        result = capture(packaging.repository, packaging.base_image, lambda: device, version, rules)
    assert [(entry["reason"], entry["examples"]) for entry in result.left_out] == [("secret", [_PATH])]
