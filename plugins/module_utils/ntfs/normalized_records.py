# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File records in a form in which records of two volumes can be compared byte by byte."""

from __future__ import annotations

from ..common.arrays import I64, U8, Indexes
from ..common.optional_imports import np
from .mft import MasterFileTable, has_signature, undo_fixups


def record_positions(table: MasterFileTable) -> I64:
    """Return the offset of each record on the volume (bytes), -1 for a record that is not contiguous."""
    cluster, size = table.raw.geometry.cluster_size, table.record_size
    result = np.full(table.record_count, -1, dtype=np.int64)
    if cluster % size:
        return result
    number = 0
    for length, first in table.raw.mft_runs:
        count = min(length * cluster // size, len(result) - number)
        if count <= 0:
            break
        if first is not None:
            result[number : number + count] = first * cluster + np.arange(count, dtype=np.int64) * size
        number += count
    return result


def read_normalized(table: MasterFileTable, positions: I64, numbers: Indexes) -> U8:
    """Return the records, shape (n, record size), without fixups and the fields that every write changes.

    The row of a record that does not exist is zero.
    """
    size = table.record_size
    result = np.zeros((len(numbers), size), dtype=np.uint8)
    inside = int(np.searchsorted(numbers, len(positions)))
    if inside:
        chosen = numbers[:inside]
        offsets = positions[chosen]
        follows = (np.diff(chosen) == 1) & ((np.diff(offsets) == size) | (offsets[1:] < 0) & (offsets[:-1] < 0))
        cuts = [0, *(np.flatnonzero(~follows) + 1).tolist(), inside]
        for begin, end in zip(cuts, cuts[1:]):
            if offsets[begin] < 0:
                data = table.raw.read_runs(table.raw.mft_runs, int(chosen[begin]) * size, (end - begin) * size)
            else:
                data = table.raw.device.pread((end - begin) * size, int(offsets[begin]))
            result[begin:end] = np.frombuffer(data, np.uint8).reshape(-1, size)
    _normalize(result, table, numbers)
    return result


def _normalize(records: U8, table: MasterFileTable, numbers: Indexes) -> None:
    """Clear the bytes of records that every write changes, and records that are not FILE records, in place."""
    signed = has_signature(records, b"FILE")
    broken = signed & ~undo_fixups(records)
    table.require_free(numbers[broken | has_signature(records, b"BAAD")])
    signed &= ~broken
    records[~signed] = 0
    units = records.view(np.uint16)
    records[:, 8:16] = 0
    for offset in np.unique(units[signed, 2]).tolist():
        rows = signed & (units[:, 2] == offset)
        records[rows, offset : offset + 2 * (records.shape[1] // 512 + 1)] = 0
    used = records.view(np.uint32)[:, 6]
    records[np.arange(records.shape[1], dtype=np.uint32) >= used[:, None]] = 0
