# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as CompactOS stores them: compressors, the stream WofCompressedData, the reparse point; plain data to compress.

``encode_xpress`` is a small encoder for samples: they do not need libwim. Ground truth for the decoders are wimlib's
compressors (``Wimlib``) and the vectors that tests/tools/wof_vectors.py wrote with them.
"""

from __future__ import annotations

import ctypes
import random
import struct
from collections.abc import Callable

from ...plugins.module_utils.ntfs.node import Node
from ...plugins.module_utils.ntfs.volume import Volume
from ...plugins.module_utils.ntfs.wof.container import ALGORITHMS, STREAM
from ...plugins.module_utils.ntfs.wof.huffman import MASKS
from .volume_changes import existing

XPRESS4K, LZX, XPRESS8K, XPRESS16K = range(4)
_SPARSE = 0x200
#: The numbers of wimlib's compression types.
_WIMLIB_XPRESS, _WIMLIB_LZX = 1, 2

#: Compresses a chunk; returns None if the result is not smaller.
Compressor = Callable[[bytes], bytes | None]


class Wimlib:
    """The compressors of libwim.

    Raises:
        OSError: the library is not installed.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libwim.so.15")
        pointer, size, data = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p
        for verb in ("compress", "decompress"):
            run = getattr(self._library, f"wimlib_{verb}")
            run.argtypes, run.restype = (data, size, data, size, pointer), size if verb == "compress" else ctypes.c_int
        self._library.wimlib_create_compressor.argtypes = ctypes.c_int, size, ctypes.c_uint, ctypes.POINTER(pointer)
        self._library.wimlib_create_decompressor.argtypes = ctypes.c_int, size, ctypes.POINTER(pointer)

    def compressor(self, algorithm: int, level: int = 0) -> Compressor:
        """Return a compressor of chunks; ``level`` is that of wimlib (50 is its default, which 0 means as well)."""
        kind, size = self._kind(algorithm)
        handle = ctypes.c_void_p()
        assert not self._library.wimlib_create_compressor(kind, size, level, ctypes.byref(handle))

        def compress(chunk: bytes) -> bytes | None:
            out = ctypes.create_string_buffer(len(chunk))
            count = self._library.wimlib_compress(chunk, len(chunk), out, len(chunk) - 1, handle)
            return out.raw[:count] if count else None

        return compress

    def decompressor(self, algorithm: int) -> Callable[[bytes, int], bytes]:
        """Return a decompressor of chunks (data, plain size)."""
        kind, size = self._kind(algorithm)
        handle = ctypes.c_void_p()
        assert not self._library.wimlib_create_decompressor(kind, size, ctypes.byref(handle))

        def decompress(data: bytes, plain_size: int) -> bytes:
            out = ctypes.create_string_buffer(plain_size)
            assert not self._library.wimlib_decompress(data, len(data), out, plain_size, handle)
            return out.raw

        return decompress

    @staticmethod
    def _kind(algorithm: int) -> tuple[int, int]:
        return _WIMLIB_LZX if algorithm == LZX else _WIMLIB_XPRESS, ALGORITHMS[algorithm].chunk_size


def encode_xpress(chunk: bytes) -> bytes | None:
    """Encode a chunk with codeparts of 9 bits for all symbols and the matches that a search by three bytes finds."""
    out = bytearray(b"\x99" * 256)
    free: list[int] = []
    bits = left = position = 0
    seen: dict[bytes, int] = {}

    def reserve() -> None:
        """Make room for the next 16 bits: the decoder has read them when it reads an interspersed byte."""
        free.append(len(out))
        out.extend(b"\0\0")

    def write(value: int, count: int) -> None:
        nonlocal bits, left
        bits, left = bits << count | value, left + count
        while left > 16:
            left -= 16
            struct.pack_into("<H", out, free.pop(0), bits >> left)
            bits &= MASKS[left]
            reserve()

    reserve()
    reserve()
    while position < len(chunk):
        key = chunk[position : position + 3]
        start = seen.get(key, -1)
        length = 0
        if start >= 0 and len(key) == 3:
            while position + length < len(chunk) and chunk[start + length] == chunk[position + length]:
                length += 1
        seen[key] = position
        if length < 3:
            write(chunk[position], 9)
            position += 1
            continue
        distance = position - start
        width = distance.bit_length() - 1
        write(256 | width << 4 | min(length - 3, 15), 9)
        if length - 3 >= 15:
            out += bytes((min(length - 18, 255),))
            if length - 18 >= 255:
                out += struct.pack("<H", length - 3)
        write(distance & MASKS[width], width)
        position += length
    struct.pack_into("<H", out, free.pop(0), bits << (16 - left))
    return bytes(out) if len(out) < len(chunk) else None


def pack(data: bytes, algorithm: int = XPRESS4K, compress: Compressor = encode_xpress) -> bytes:
    """Return the stream WofCompressedData of a file with this data."""
    size = ALGORITHMS[algorithm].chunk_size
    plain = [data[start : start + size] for start in range(0, len(data), size)]
    chunks = [compress(chunk) or chunk for chunk in plain]
    offsets, end = [], 0
    for chunk in chunks[:-1]:
        end += len(chunk)
        offsets.append(end)
    return struct.pack(f"<{len(offsets)}{'Q' if len(data) >> 32 else 'L'}", *offsets) + b"".join(chunks)


def reparse_point(algorithm: int = XPRESS4K, *, provider: int = 2) -> bytes:
    """Return the reparse point: WOF_EXTERNAL_INFO and FILE_PROVIDER_EXTERNAL_INFO, both of version 1."""
    return struct.pack("<IHHIIII", 0x80000017, 16, 0, 1, provider, 1, algorithm)


def compact(node: Node, algorithm: int = XPRESS4K, compress: Compressor = encode_xpress) -> None:
    """Store a file as CompactOS does: the unnamed stream is a hole of its size; the times do not change."""
    data, times, attributes = node.read(), node.times, node.attributes
    with node.open_stream() as stream:
        stream.leave_record()
        stream.truncate(0)
        stream.truncate(len(data))
    node.write(pack(data, algorithm, compress), 0, STREAM)
    node.set_reparse(reparse_point(algorithm))
    node.set_attributes(attributes | _SPARSE)
    node.set_times(times)


def compact_path(volume: Volume, path: str, algorithm: int = XPRESS4K) -> None:
    """Store the file at ``path`` as CompactOS does."""
    with existing(volume, path) as node:
        compact(node, algorithm)


def compact_windows(volume: Volume) -> list[str]:
    """Store the programs of Windows and the hive of the default user as CompactOS does; return their paths."""
    paths = []
    with existing(volume, "Windows/System32") as folder:
        for child in list(folder.children()):
            if child.name.lower().endswith((".exe", ".dll")):
                paths.append(f"Windows/System32/{child.name}")
    paths.append("Users/Default/NTUSER.DAT")
    for number, path in enumerate(paths):
        compact_path(volume, path, (XPRESS4K, XPRESS8K, XPRESS16K)[number % 3])
    return paths


def plain_samples(size: int) -> dict[str, bytes]:
    """Return data of every kind that decoders treat in different ways, up to ``size`` bytes, by name; always the same."""
    rng = random.Random(size)
    parts = [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _part in range(300)]
    text = b" ".join(rng.choices(parts, k=size // 5))
    code = b"".join(
        b"\xe8" + struct.pack("<i", rng.choice((64, 4096, -64, rng.randrange(-(2**31), 2**31)))) + rng.randbytes(4) * 2
        for _call in range(size // 13 + 1)
    )
    return {
        "text": text[:size],
        "code": code[:size],
        "zeros": bytes(size),
        "two bytes": (b"\1\2" * size)[:size],
        "period of 700": (rng.randbytes(700) * (size // 700 + 1))[:size],
        "half random": rng.randbytes(size // 2) + text[: size // 2],
        "odd size": text[: size // 2 | 1],
        "few bytes": b"aaaaaaaa" * 100 + b"abc",
        "all values": bytes(range(256)) * (size // 256),
        "skewed": bytes(int(rng.paretovariate(0.7)) & 0xFF for _byte in range(size)),
    }
