# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that CompactOS compressed, on a volume: the table of chunks, the reparse point, parts of the data, new content."""

from __future__ import annotations

import os
import random
import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, StrataError, Unsupported
from ansible_collections.strata.layering.plugins.module_utils.ntfs.wof import container
from ansible_collections.strata.layering.plugins.module_utils.ntfs.wof.container import (
    ALGORITHMS,
    CompressedStream,
    is_compressed,
    read_compression,
)
from ansible_collections.strata.layering.tests.support import wof

DATA = b"".join(wof.plain_samples(20_000).values())


class Memory:
    """Compressed data in memory; ``read`` counts its bytes that were read."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size, self.read, self.closed = data, len(data), 0, False

    def pread(self, count: int, offset: int) -> bytes:
        assert 0 <= offset and 0 <= count <= self.size - offset
        self.read += count
        return self.data[offset : offset + count]

    def close(self) -> None:
        self.closed = True


def opened(data: bytes, size: int, algorithm: int = wof.XPRESS4K) -> CompressedStream:
    return CompressedStream(Memory(data), ALGORITHMS[algorithm], size, lambda: "file x")


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 8192, 100_000, len(DATA)])
def test_file_of_any_size_is_read(size):
    with opened(wof.pack(DATA[:size]), size) as stream:
        parts = []
        stream.copy_to(parts.append)
        assert b"".join(parts) == stream.pread(size + 10, 0) == DATA[:size]
        assert stream.pread(10, size) == stream.pread(10, size + 1) == stream.pread(0, 0) == b""


def test_any_part_is_read_and_only_its_chunks(monkeypatch):
    source = Memory(wof.pack(DATA))
    rng = random.Random(1)
    for limit in (container._KEPT_TABLE, 0):  # pylint: disable=protected-access
        monkeypatch.setattr(container, "_KEPT_TABLE", limit)
        with CompressedStream(source, ALGORITHMS[0], len(DATA), lambda: "file x") as stream:
            for _part in range(100):
                offset, count = rng.randrange(len(DATA)), rng.choice((1, 10, 4096, 20_000))
                assert stream.pread(count, offset) == DATA[offset : offset + count]
            source.read = 0
            stream.pread(2, 0)
            stream.pread(2, 4)
            assert source.read <= 4096 + 8
        assert source.closed


def test_table_of_a_file_of_four_gib_has_long_entries():
    chunk, size = wof.plain_samples(4096)["text"], 1 << 32
    first = wof.encode_xpress(chunk)
    table = (size // 4096 - 1) * 8

    class Large(Memory):
        """Only the first entry of the table and the first chunk are in memory."""

        def pread(self, count: int, offset: int) -> bytes:
            return super().pread(count, offset if offset < 8 else offset - table + 8)

    source = Large(struct.pack("<Q", len(first)) + first)
    source.size += table - 8
    assert CompressedStream(source, ALGORITHMS[0], size, lambda: "file x").pread(4096, 0) == chunk


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"", 1),
        (b"", 5000),
        (b"\1\0\0", 5000),
        (struct.pack("<L", 0) + bytes(904), 5000),
        (struct.pack("<L", 4097) + bytes(5000), 5000),
        (struct.pack("<L", 0xFFFFFFFF) + bytes(5000), 5000),
        (struct.pack("<LL", 4096, 4095) + bytes(9000), 9000),
        (struct.pack("<L", 100) + bytes(4096), 5000),
        (bytes(5001), 5000),
        (bytes(100), 4096),
    ],
)
def test_table_or_chunk_that_does_not_fit_is_damaged(data, size):
    with pytest.raises(Corrupt) as caught, opened(data, size) as stream:
        stream.pread(size, 0)
    assert caught.value.code == "ntfs.compact_os_damaged"
    assert "file x" in caught.value.message


def test_any_damage_is_reported_or_read_wrongly():
    data = wof.pack(DATA[:30_000])
    rng = random.Random(2)
    for _round in range(200):
        damaged = bytearray(data)
        for _byte in range(rng.randrange(1, 4)):
            damaged[rng.randrange(rng.choice((28, len(data))))] = rng.randrange(256)
        damaged = damaged[: rng.choice((len(data), rng.randrange(len(data))))]
        try:
            with opened(bytes(damaged), 30_000) as stream:
                assert len(stream.pread(30_000, 0)) == 30_000
        except StrataError as error:
            assert error.code == "ntfs.compact_os_damaged"


@pytest.mark.parametrize(
    ("reparse", "code"),
    [
        (wof.reparse_point(provider=1), "ntfs.compact_os_provider"),
        (wof.reparse_point(provider=9), "ntfs.compact_os_provider"),
        (wof.reparse_point(4), "ntfs.compact_os_provider"),
        (wof.reparse_point()[:20], "ntfs.compact_os_damaged"),
        (wof.reparse_point()[:12], "ntfs.compact_os_damaged"),
    ],
)
def test_reparse_point_of_another_kind_is_refused(reparse, code):
    assert is_compressed(reparse)
    with pytest.raises((Corrupt, Unsupported)) as caught:
        read_compression(reparse, lambda: "file x")
    assert caught.value.code == code


def test_other_reparse_points_are_not_compressed():
    assert not is_compressed(None)
    assert not is_compressed(struct.pack("<IHH", 0xA000000C, 0, 0))
    assert read_compression(wof.reparse_point(wof.LZX) + bytes(4), lambda: "file x").name == "LZX"


@pytest.mark.parametrize("algorithm", [wof.XPRESS4K, wof.XPRESS8K, wof.XPRESS16K])
@pytest.mark.parametrize("size", [1, 700, 100_000])
def test_compressed_file_of_a_volume_is_read_as_windows_shows_it(volume, algorithm, size):
    with volume.root.create_file("plain", DATA[:size]) as node:
        assert node.read_content() == DATA[:size]
        assert not node.is_external
    with volume.root.create_file("compressed", DATA[:size]) as node:
        wof.compact(node, algorithm)
        assert node.is_external
        assert node.read() == bytes(size)
        assert node.read_content() == DATA[:size]
        assert node.read_content(10, size // 2) == DATA[size // 2 : size // 2 + 10][: size - size // 2]


def test_file_without_its_compressed_stream_is_damaged(volume):
    with volume.root.create_file("file", DATA) as node:
        node.set_reparse(wof.reparse_point())
        with pytest.raises(Corrupt) as caught:
            node.read_content()
        assert caught.value.code == "ntfs.compact_os_damaged"


def test_compressed_file_gets_new_content_without_a_trace(volume):
    """The volume is verified at the end."""
    with volume.root.create_file("file", DATA, attributes=0x21) as node:
        node.write(b"kept", 0, "other")
        wof.compact(node)
        times = node.times
        node.remove_compression()
        assert (node.size, node.reparse, node.streams, node.attributes, node.times) == (
            0,
            None,
            [("other", 4)],
            0x21,
            times,
        )
        node.write(DATA[:50_000])
        node.remove_compression()
        assert node.read() == node.read_content() == DATA[:50_000]
    with volume.find("file") as node:
        assert node.read_content() == DATA[:50_000]
        with node.open_stream() as stream:
            assert stream.extents() == [(0, 50_000)]
            assert stream.allocated < 60_000


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_machine_code_that_wimlib_compressed_is_read(volume, algorithm):
    """The largest library of this process has calls of every kind; the size is not a multiple of a chunk."""
    try:
        compress = wof.Wimlib().compressor(algorithm)
    except OSError:
        pytest.skip("libwim is not installed")
    with open("/proc/self/maps", encoding="utf-8") as maps:
        mapped = {line.split()[-1] for line in maps if ".so" in line}
    with open(max(mapped, key=os.path.getsize), "rb") as library:
        library.seek(200_000)
        data = library.read(700_001)
    with volume.root.create_file("program", data) as node:
        wof.compact(node, algorithm, compress)
        assert dict(node.streams)[wof.STREAM] < 0.8 * len(data)
        assert node.read_content() == data
        assert node.read_content(10, 650_000) == data[650_000:650_010]
