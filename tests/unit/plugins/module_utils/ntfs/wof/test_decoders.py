# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decoders of XPRESS and LZX, against data that libwim compressed: stored vectors, and random data where libwim is installed."""

from __future__ import annotations

import base64
import functools
import json
import pathlib
import random
import struct

import pytest
from dissect.util.compression import lzxpress_huffman

from ansible_collections.strata.layering.plugins.module_utils.ntfs.wof import lzx, xpress
from ansible_collections.strata.layering.plugins.module_utils.ntfs.wof.container import ALGORITHMS
from ansible_collections.strata.layering.plugins.module_utils.ntfs.wof.huffman import DamagedData, decoding_table
from ansible_collections.strata.layering.tests.support import wof

_VECTORS = json.loads((pathlib.Path(__file__).parent / "data/vectors.json").read_text(encoding="ascii"))


@functools.cache
def vectors() -> list[tuple[str, int, bytes, bytes]]:
    """Return (name, algorithm, compressed, plain) of each vector."""
    samples = {size: wof.plain_samples(size) for size in {vector["size"] for vector in _VECTORS}}
    return [
        (
            f"{ALGORITHMS[vector['algorithm']].name} {vector['sample']}",
            vector["algorithm"],
            base64.b64decode(vector["data"]),
            samples[vector["size"]][vector["sample"]],
        )
        for vector in _VECTORS
    ]


@pytest.fixture(name="wimlib", scope="module")
def _wimlib():
    try:
        return wof.Wimlib()
    except OSError:
        pytest.skip("libwim is not installed")


def test_vectors_are_decoded():
    assert {algorithm for _name, algorithm, _data, _plain in vectors()} == set(ALGORITHMS)
    assert [
        name for name, kind, data, plain in vectors() if ALGORITHMS[kind].decompress(data, len(plain)) != plain
    ] == []


def test_dissect_decodes_xpress_vectors_to_the_same_data():
    """dissect does not know the size of the data; it ends at the last word of the input."""
    for name, algorithm, data, plain in vectors():
        if algorithm != wof.LZX:
            decoded = bytes(lzxpress_huffman.decompress(data))[: len(plain)]
            assert plain.startswith(decoded) and len(decoded) >= len(plain) - 16, name


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_data_that_wimlib_compressed_is_decoded(wimlib, algorithm):
    compression, rng = ALGORITHMS[algorithm], random.Random(algorithm)
    for level in (1, 100):
        compress = wimlib.compressor(algorithm, level)
        sizes = [compression.chunk_size, *(rng.randrange(1, compression.chunk_size) for _size in range(4))]
        plain = [data for size in sizes for data in wof.plain_samples(size).values() if len(data) <= size]
        for data in plain:
            compressed = compress(data)
            assert compressed is None or compression.decompress(compressed, len(data)) == data


def test_samples_of_the_small_encoder_are_valid(wimlib):
    for algorithm in (wof.XPRESS4K, wof.XPRESS16K):
        decompress = wimlib.decompressor(algorithm)
        for data in wof.plain_samples(ALGORITHMS[algorithm].chunk_size).values():
            compressed = wof.encode_xpress(data)
            if compressed is not None:
                assert decompress(compressed, len(data)) == xpress.decompress(compressed, len(data)) == data


def bit_words(*fields: tuple[int, int]) -> bytes:
    """Return (value, bits) fields as LZX stores them: the highest bit first, in 16-bit words, with zeros at the end."""
    text = "".join(f"{value:0{bits}b}" for value, bits in fields)
    text += "0" * (-len(text) % 16)
    return b"".join(struct.pack("<H", int(text[start : start + 16], 2)) for start in range(0, len(text), 16))


@pytest.mark.parametrize("size", [1, 2, 7, 32768])
def test_lzx_block_that_is_not_compressed_is_copied(size):
    """wimlib does not write such blocks. The pad byte of an odd size is missing at the end of a chunk."""
    data = bytes(range(32, 128)) * (size // 96 + 1)
    header = bit_words((3, 3), (1, 1)) if size == 32768 else bit_words((3, 3), (0, 1), (size, 16))
    stored = header + struct.pack("<III", 1, 1, 1) + data[:size]
    assert lzx.decompress(stored, size) == data[:size]


def test_lzx_blocks_follow_each_other_after_a_pad_byte():
    block = bit_words((3, 3), (0, 1), (3, 16)) + struct.pack("<III", 1, 1, 1)
    assert lzx.decompress(block + b"abc\0" + block + b"def", 6) == b"abcdef"
    with pytest.raises(DamagedData):
        lzx.decompress(block + b"abc\0" + block + b"de", 6)


def test_calls_are_not_translated_in_the_last_bytes():
    def stored(data):
        return lzx.decompress(
            bit_words((3, 3), (0, 1), (len(data), 16)) + struct.pack("<III", 1, 1, 1) + data, len(data)
        )

    call = b"\xe8" + struct.pack("<i", 100)
    moved = b"\xe8" + struct.pack("<i", 100 - 1)
    assert stored(b"a" + call + bytes(6)) == b"a" + moved + bytes(6)
    assert stored(b"a" + call + bytes(5)) == b"a" + call + bytes(5)
    assert stored(b"a\xe8" + struct.pack("<i", 12_000_000) + bytes(6))[2:6] == struct.pack("<i", 12_000_000)
    assert stored(b"a\xe8" + struct.pack("<i", -1) + bytes(6))[2:6] == struct.pack("<i", 11_999_999)
    assert stored(b"a\xe8" + struct.pack("<i", -2) + bytes(6))[2:6] == struct.pack("<i", -2)


@pytest.mark.parametrize("algorithm", [wof.XPRESS4K, wof.LZX])
def test_damaged_data_is_reported_or_decoded_wrongly(algorithm):
    """Every truncation and many changed bytes end in DamagedData or in wrong data of the right size."""
    decompress, rng = ALGORITHMS[algorithm].decompress, random.Random(1)
    reported = 0
    for name, kind, data, plain in vectors():
        if kind != algorithm:
            continue
        size = min(len(plain), 1500)
        damaged = [data[:end] for end in range(0, len(data), 7)]
        for _change in range(60):
            position = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(len(data), 300))
            damaged.append(data[:position] + rng.randbytes(1 + rng.randrange(3)) + data[position + 1 :])
        for item in damaged:
            try:
                assert len(decompress(item, size)) == size, name
            except DamagedData:
                reported += 1
    assert reported > 100


def test_truncated_data_is_reported():
    """The last words can be missing without being needed; without more of the data, the decoders report it."""
    for name, algorithm, data, plain in vectors():
        for end in (0, 1, len(data) // 2, len(data) - 8):
            with pytest.raises(DamagedData):
                ALGORITHMS[algorithm].decompress(data[: max(end, 0)], len(plain))
                pytest.fail(name)


@pytest.mark.parametrize(
    "lengths", [[1, 1, 1], [1, 2, 3], [2], [16] * 3, [1, 2, 2, 5]], ids=["many", "few", "one", "long", "one more"]
)
def test_code_with_unused_or_ambiguous_codewords_is_damaged(lengths):
    with pytest.raises(DamagedData):
        decoding_table(lengths, "code")


def test_code_without_symbols_is_accepted_only_for_match_lengths():
    assert decoding_table([0, 0], "code", may_be_empty=True) == ([], 0)
    with pytest.raises(DamagedData):
        decoding_table([0, 0], "code")
