# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the files that own given clusters in one pass over $MFT.

All file records of a chunk are processed at the same time, one step per numpy operation:

1. ``_find_runs`` moves a cursor over the attributes of each record. Every iteration of
   its loop handles the next attribute of all records that have one, and collects the
   position of the packed runs of each non-resident attribute of interest.
2. ``_in_ranges`` moves a cursor over the packed runs of each collected attribute. Every
   iteration decodes the next run of all attributes that have one, and marks the
   attributes with a run in the given ranges.

Source: libntfs-3g's layout.h (attribute headers, mapping pairs).
"""

from __future__ import annotations

from typing import NamedTuple

from ..common.arrays import I64, U8, Indexes
from ..common.optional_imports import np
from . import attribute_records
from .damage import damaged
from .mft import MasterFileTable
from .ranges import Ranges

#: Attributes that hold the content of a file. Indexes are left out: they follow from the files of their directory.
_OWNING = (
    attribute_records.DATA,
    attribute_records.SECURITY_DESCRIPTOR,
    attribute_records.REPARSE_POINT,
    attribute_records.EA,
)
_CHUNK = 8192


class _PackedRuns(NamedTuple):
    """The positions of packed runs: ``rows`` of the records, ``starts`` and ``ends`` in bytes within the record; each shape (n,)."""

    rows: Indexes
    starts: I64
    ends: I64


def find_owners(table: MasterFileTable, ranges: Ranges) -> set[int]:
    """Return the base record numbers of the files with data in ``ranges`` (bytes of the volume).

    Raises Corrupt ``ntfs.damaged`` for runs that do not fit their record or the volume.
    """
    owners: set[int] = set()
    for first, data, sound in table.chunks(_CHUNK):
        in_use = np.flatnonzero(sound & (data[:, 22] & attribute_records.RECORD_IN_USE).astype(np.bool_))
        if not len(in_use):
            continue
        records = data[in_use]
        hits = _in_ranges(records, _find_runs(records), ranges, table)
        if not len(hits):
            continue
        bases = np.ascontiguousarray(records[hits, 32:40]).view("<u8").reshape(-1) & np.uint64(
            attribute_records.REFERENCE_MASK
        )
        owners.update(np.where(bases > 0, bases.astype(np.int64), first + in_use[hits]).tolist())
    return owners


def _find_runs(records: U8) -> _PackedRuns:
    """Return the packed runs of every non-resident attribute in ``_OWNING``; ``records`` has shape (n, record size)."""
    view16, view32 = records.view(np.uint16), records.view(np.uint32)
    size = records.shape[1]
    position = view16[:, 10].astype(np.int64)
    used = np.minimum(view32[:, 6], size).astype(np.int64)
    active = np.flatnonzero((position % 8 == 0) & (position >= 42) & (position + 24 <= used))
    all_rows, all_starts, all_ends = [], [], []
    for _step in range(size // 24):
        if not len(active):
            break
        start = position[active]
        kind = view32[active, start // 4]
        length = view32[active, start // 4 + 1].astype(np.int64)
        sound = (kind != attribute_records.END) & (length >= 24) & (length % 8 == 0) & (start + length <= used[active])
        active, start, kind, length = active[sound], start[sound], kind[sound], length[sound]
        owning = (records[active, start + 8] != 0) & np.isin(kind, _OWNING) & (length >= 64)
        rows, owning_start, owning_length = active[owning], start[owning], length[owning]
        runs_offset = view16[rows, owning_start // 2 + 16].astype(np.int64)
        all_rows.append(rows)
        all_starts.append(owning_start + np.minimum(runs_offset, owning_length))
        all_ends.append(owning_start + owning_length)
        position[active] = start + length
        active = active[position[active] + 24 <= used[active]]
    if not all_rows:
        return _PackedRuns(np.zeros(0, np.intp), np.zeros(0, np.int64), np.zeros(0, np.int64))
    return _PackedRuns(np.concatenate(all_rows), np.concatenate(all_starts), np.concatenate(all_ends))


def _in_ranges(records: U8, runs: _PackedRuns, ranges: Ranges, table: MasterFileTable) -> Indexes:
    """Return the ascending rows of the records with a run that shares a byte with ``ranges``.

    A run is stored as a header byte with the sizes of two numbers (low and high four
    bits), the run's length in clusters, and its first cluster relative to the previous
    run's. A second number of size 0 marks a hole. A header byte 0 ends the runs.
    """
    cluster, clusters = table.raw.geometry.cluster_size, table.raw.geometry.clusters
    rows, position, ends = runs
    # A number of up to 8 bytes may extend beyond the end of a record.
    records = np.concatenate((records, np.zeros((len(records), 24), np.uint8)), axis=1)
    lcn = np.zeros(len(rows), np.int64)
    hit = np.zeros(len(rows), np.bool_)
    active = np.arange(len(rows))
    for _step in range(records.shape[1]):
        active = active[position[active] < ends[active]]
        header = records[rows[active], position[active]].astype(np.int64)
        active, header = active[header != 0], header[header != 0]
        if not len(active):
            break
        length_size, offset_size = header & 15, header >> 4
        end = position[active] + 1 + length_size + offset_size
        if ((length_size < 1) | (length_size > 8) | (offset_size > 8) | (end > ends[active])).any():
            raise damaged(table.raw.subject, "the run list of a file does not fit")
        length = _number(records, rows[active], position[active] + 1, length_size)
        lcn[active] += _number(records, rows[active], position[active] + 1 + length_size, offset_size)
        start = lcn[active]
        if ((length <= 0) | (start < 0) | (start > clusters) | (length > clusters) & (offset_size > 0)).any():
            raise damaged(table.raw.subject, "a run of a file is outside the volume")
        hit[active] |= (offset_size > 0) & ranges.touched(start * cluster, (start + length) * cluster)
        position[active] = end
        # One hit is enough: the other runs of the attribute are skipped.
        active = active[~hit[active]]
    return np.unique(rows[hit])


def _number(records: U8, rows: Indexes, position: I64, sizes: I64) -> I64:
    """Return the signed little-endian number of ``sizes`` bytes (0 to 8) at ``position`` of each row."""
    result = np.zeros(len(rows), np.int64)
    for index in range(8):
        more = index < sizes
        if not more.any():
            break
        result[more] |= records[rows[more], position[more] + index].astype(np.int64) << (8 * index)
    short = (sizes > 0) & (sizes < 8)
    bits = np.where(short, 8 * sizes, 0)
    negative = short & (result >> np.maximum(bits - 1, 0) & 1).astype(np.bool_)
    result[negative] -= np.int64(1) << bits[negative]
    return result
