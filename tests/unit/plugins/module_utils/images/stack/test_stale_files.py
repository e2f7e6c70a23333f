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
from ansible_collections.strata.layering.plugins.module_utils.images.stack.file_version import (
    file_version,
    read_version,
)
from ansible_collections.strata.layering.plugins.module_utils.images.stack.stale_files import (
    find_stale_files,
    select_skipped,
)
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.sample.pe import make_pe
from ansible_collections.strata.layering.tests.support import stored_layers, wof
from ansible_collections.strata.layering.tests.support.captured import Packaging, make_windows_disk
from ansible_collections.strata.layering.tests.support.volume_changes import put


def program(*version: int) -> bytes:
    return (
        b"MZ"
        + bytes(100)
        + struct.pack("<4I", 0xFEEF04BD, 0x10000, version[0] << 16 | version[1], version[2] << 16 | version[3])
    )


def long_program(*version: int) -> bytes:
    """Return a program of several chunks with its version in the last chunk."""
    return b"MZ" + bytes(58) + b"text of a program " * 1500 + program(*version, 0, 0)[-16:] + bytes(100)


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


TOOL = "Windows/tool.exe"


def plain(*version):
    return lambda volume: put(volume, TOOL, long_program(*version))


def compressed(*version, algorithm=wof.XPRESS4K):
    def change(volume):
        put(volume, TOOL, long_program(*version))
        wof.compact_path(volume, TOOL, algorithm)

    return change


def unreadable(*version):
    """Store the tool so that its data is in a WIM archive."""

    def change(volume):
        put(volume, TOOL, bytes(len(long_program(*version))))
        with volume.find(TOOL) as node:
            node.write(repr(version).encode(), 0, "WofCompressedData")
            node.set_reparse(wof.reparse_point(provider=1))

    return change


def replaced(change):
    """Return a change that deletes the tool first."""

    def layer(volume):
        with volume.find(TOOL) as node:
            node.delete()
        change(volume)

    return layer


@pytest.mark.parametrize(
    ("base", "layer", "patch", "expected"),
    [
        (compressed(1, 0), plain(2, 0), compressed(3, 0), {TOOL: True}),
        (compressed(1, 0), plain(2, 0), compressed(1, 9), {TOOL: False}),
        (plain(1, 0), plain(2, 0), compressed(3, 0, algorithm=wof.XPRESS16K), {TOOL: True}),
        (plain(1, 0), compressed(2, 0), plain(3, 0), {TOOL: True}),
        (plain(1, 0), compressed(2, 0), plain(1, 9), {TOOL: False}),
        (compressed(1, 0), compressed(2, 0), compressed(3, 0), {TOOL: True}),
        # The patch only compressed the file, or compressed it in another way.
        (compressed(1, 0), plain(2, 0), compressed(1, 0), {}),
        (plain(1, 0), plain(2, 0), compressed(1, 0), {}),
        (compressed(1, 0), plain(2, 0), compressed(1, 0, algorithm=wof.XPRESS8K), {}),
        # The OS layer now has the data of the layer.
        (plain(1, 0), plain(2, 0), compressed(2, 0), {}),
        (plain(1, 0), compressed(2, 0), compressed(2, 0), {}),
        # The version cannot be read: the file of the OS layer counts as newer.
        (unreadable(1, 0), plain(2, 0), unreadable(1, 9), {TOOL: True}),
        (unreadable(1, 0), plain(2, 0), unreadable(1, 0), {}),
        (plain(1, 0), unreadable(2, 0), plain(1, 9), {TOOL: True}),
    ],
)
def test_versions_of_compressed_files_are_compared(packaging, base, layer, patch, expected):
    """The unnamed stream of a compressed file is a hole of the file's size."""
    assert outdated(packaging, base, replaced(layer), patch) == expected


def test_only_the_headers_and_resources_of_a_program_are_read():
    data = make_pe("tool.exe", 3 << 20)
    header = struct.unpack_from("<I", data, 60)[0]
    start, size = 1 << 20, 4096
    sections = header + 24 + struct.unpack_from("<H", data, header + 20)[0]
    changed = bytearray(data)
    # The second section gets the resources; another part of the program contains the signature, too.
    address = struct.unpack_from("<I", data, sections + 40 + 12)[0]
    struct.pack_into("<II", changed, header + 24 + 128, address, size)
    struct.pack_into("<II", changed, sections + 40 + 16, size, start)
    changed[5000:5016] = program(9, 9, 9, 9)[-16:]
    changed[start + 3000 : start + 3016] = program(1, 2, 3, 4)[-16:]
    read = []

    def pread(count, offset):
        read.append(count)
        return bytes(changed[offset : offset + count])

    assert read_version(len(changed), pread) == (1, 2, 3, 4)
    assert sum(read) < 10_000
    struct.pack_into("<II", changed, header + 24 + 128, 0, 0)
    assert read_version(len(changed), pread) is None


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
