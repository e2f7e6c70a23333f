# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stale files: files of a layer that the OS layer has changed, and the policies for them."""

from __future__ import annotations

import struct
from contextlib import ExitStack

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture
from ansible_collections.strata.layering.plugins.module_utils.catalog.resolved_template import StaleFilePolicy
from ansible_collections.strata.layering.plugins.module_utils.images.stale_files import (
    file_version,
    find_stale_files,
    select_skipped,
)
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.captured import Packaging, make_windows_disk
from ansible_collections.strata.layering.tests.support.volume_changes import put

_WOF = struct.pack("<IHHIIII", 0x80000017, 16, 0, 1, 2, 1, 0)


def program(*version: int) -> bytes:
    return (
        b"MZ"
        + bytes(100)
        + struct.pack("<4I", 0xFEEF04BD, 0x10000, version[0] << 16 | version[1], version[2] << 16 | version[3])
    )


@pytest.fixture(name="packaging", scope="module")
def _packaging(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packaging")
    make_windows_disk(str(folder / "raw"))
    return Packaging(str(folder), str(folder / "raw"))


def outdated(packaging, base, layer, patch):
    """Return the stale files of a layer that ``layer`` built on ``base`` after ``patch``: {path: skipped by the policy newest}."""

    def both(change):
        return lambda volume: (base(volume), change(volume))

    with packaging.changed(base) as device:
        below = capture(
            packaging.repository, packaging.base_image, lambda: device, LayerVersion("app", "Below", "1")
        ).layer
    image = packaging.compose([below])
    with packaging.changed(layer, image) as device:
        made = capture(packaging.repository, image, lambda: device, LayerVersion("app", "App", "1")).layer
    records = stored_layers.records(packaging.repository, made)
    with ExitStack() as stack:
        then = stack.enter_context(packaging.changed(base))
        now = stack.enter_context(packaging.changed(both(patch)))
        first, second = (
            stack.enter_context(Volume.mount(packaging.partition.window(device))) for device in (then, now)
        )
        found = find_stale_files(0, records, first, second)
        archive = stack.enter_context(stored_layers.open_archive(packaging.repository, made))
        older = select_skipped(StaleFilePolicy.NEWEST, found, ["app"], [lambda: archive], second)
        assert select_skipped(StaleFilePolicy.OS, found, ["app"], [], second) == {(0, file.position) for file in found}
        assert all(records[file.position].entry.path == file.path for file in found)
    return {file.path: (0, file.position) in older for file in found}


def test_stale_hard_link_is_found(packaging):
    """The first name of the file is not that of the OS layer, as for programs in WinSxS."""

    def base(volume):
        put(volume, "Windows/System32/lib.dll", program(1, 0, 0, 0))

    def layer(volume):
        put(volume, "App/lib.dll", program(2, 0, 0, 0))
        with volume.find("Windows/System32/lib.dll") as old:
            old.delete()
        with volume.find("App/lib.dll") as node, volume.find("Windows/System32") as folder:
            folder.link(node, "lib.dll").close()

    assert outdated(
        packaging, base, layer, lambda volume: put(volume, "Windows/System32/lib.dll", program(3, 0, 0, 0))
    ) == {"Windows/System32/lib.dll": True}
    assert outdated(
        packaging, base, layer, lambda volume: put(volume, "Windows/System32/lib.dll", program(1, 9, 0, 0))
    ) == {"Windows/System32/lib.dll": False}
    assert outdated(packaging, base, layer, lambda volume: None) == {}


def test_stale_compressed_file_is_found(packaging):
    """The unnamed stream of a compressed file is a hole of the file's size."""

    def compressed(data):
        def change(volume):
            put(volume, "Windows/tool.exe", bytes(4096))
            with volume.find("Windows/tool.exe") as node:
                node.write(data, 0, "WofCompressedData")
                node.set_reparse(_WOF)

        return change

    def layer(volume):
        with volume.find("Windows/tool.exe") as node:
            node.delete()
        put(volume, "Windows/tool.exe", program(2, 0, 0, 0))

    # The version of the compressed file cannot be read: the file of the OS layer counts as newer.
    assert outdated(packaging, compressed(b"first"), layer, compressed(b"patched")) == {"Windows/tool.exe": True}
    assert outdated(packaging, compressed(b"first"), layer, compressed(b"first")) == {}


@pytest.mark.parametrize(
    ("data", "version"),
    [
        (program(1, 2, 3, 4), (1, 2, 3, 4)),
        (b"no program", None),
        (b"MZ", None),
        (b"XX" + program(1, 2, 3, 4)[2:], None),
        (program(1, 2, 3, 4)[:-1], None),
        (b"MZ" + struct.pack("<I", 0xFEEF04BD), None),
    ],
)
def test_file_version_of_program(data, version):
    assert file_version(data) == version
