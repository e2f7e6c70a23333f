# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading files that CompactOS compressed, compared with wimlib, which is a library in C."""

from __future__ import annotations

import statistics
import time

from ...plugins.module_utils.ntfs.wof.container import ALGORITHMS
from ..sample.pe import filler
from ..sample.plan import MIB
from ..support import wof
from .bench import Bench
from .rows import Row, seconds

_NOTE = "Decoding only, in a process that runs already, from memory to memory. The data compresses like program code."


def decompressing(bench: Bench) -> list[Row]:
    """Measure each algorithm."""
    data = filler("compact", (1 if bench.quick else 16) * MIB)
    return [_compare(bench, number, data) for number in (wof.XPRESS4K, wof.XPRESS16K, wof.LZX)]


def _compare(bench: Bench, algorithm: int, data: bytes) -> Row:
    wimlib, compression = wof.Wimlib(), ALGORITHMS[algorithm]
    compress = wimlib.compressor(algorithm)
    plain = [data[start : start + compression.chunk_size] for start in range(0, len(data), compression.chunk_size)]
    chunks = [(compressed, len(chunk)) for chunk in plain if (compressed := compress(chunk)) is not None]
    ours, theirs = (
        statistics.median(_timed(decompress, chunks) for _run in range(1 if bench.quick else 3))
        for decompress in (compression.decompress, wimlib.decompressor(algorithm))
    )
    decoded = sum(size for _compressed, size in chunks)
    return Row(
        "decompress",
        f"{compression.name}, {decoded / MIB:.0f} MiB",
        f"{seconds(ours)}, {decoded / ours / 1e6:.1f} MB/s",
        f"wimlib {seconds(theirs)}, {decoded / theirs / 1e6:.0f} MB/s",
        theirs / ours,
        note=_NOTE,
    )


def _timed(decompress, chunks: list[tuple[bytes, int]]) -> float:
    begin = time.perf_counter()
    for compressed, size in chunks:
        decompress(compressed, size)
    return time.perf_counter() - begin
