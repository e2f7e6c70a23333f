# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files own given clusters: one pass over $MFT, all records of a piece at once.

Every step of walking attributes and run lists is done for all records that still have one.
Source: libntfs-3g's layout.h (attribute headers, mapping pairs).
"""

from __future__ import annotations

from ..common.optional_imports import np
from . import attribute_records
from .mft import MasterFileTable
from .ranges import Ranges

#: Attributes whose clusters hold what a file is; the index of a directory follows from its files.
_OWNING = (
    attribute_records.DATA,
    attribute_records.SECURITY_DESCRIPTOR,
    attribute_records.REPARSE_POINT,
    attribute_records.EA,
)
_CHUNK = 8192


def find_owners(table: MasterFileTable, ranges: Ranges) -> set[int]:
    """Return the base record numbers of the files with data in ``ranges`` (bytes of the volume).

    Raises Corrupt for a run list that does not fit its record.
    """
    owners: set[int] = set()
    for first, data, sound in table.chunks(_CHUNK):
        in_use = np.flatnonzero(sound & (data[:, 22] & attribute_records.RECORD_IN_USE).astype(np.bool_))
        if not len(in_use):
            continue
        chosen = data[in_use]
        rows, starts, ends = _attributes(chosen)
        hit = _in_ranges(chosen, rows, starts, ends, ranges, table)
        if not len(hit):
            continue
        bases = np.ascontiguousarray(chosen[hit, 32:40]).view("<u8").reshape(-1) & np.uint64(
            attribute_records.REFERENCE_MASK
        )
        owners.update(np.where(bases > 0, bases.astype(np.int64), first + in_use[hit]).tolist())
    return owners


def _attributes(data):
    """Return (rows, starts, ends) of the packed runs of every non-resident attribute of interest; starts and ends within the record."""
    halves, words = data.view(np.uint16), data.view(np.uint32)
    size = data.shape[1]
    position = halves[:, 10].astype(np.int64)
    used = np.minimum(words[:, 6], size).astype(np.int64)
    active = np.flatnonzero((position % 8 == 0) & (position >= 42) & (position + 24 <= used))
    found_rows, found_starts, found_ends = [], [], []
    for _step in range(size // 24):
        if not len(active):
            break
        place = position[active]
        kind = words[active, place // 4]
        length = words[active, place // 4 + 1].astype(np.int64)
        sound = (kind != attribute_records.END) & (length >= 24) & (length % 8 == 0) & (place + length <= used[active])
        active, place, kind, length = active[sound], place[sound], kind[sound], length[sound]
        wanted = (data[active, place + 8] != 0) & np.isin(kind, _OWNING) & (length >= 64)
        rows, place_w, length_w = active[wanted], place[wanted], length[wanted]
        runs = halves[rows, place_w // 2 + 16].astype(np.int64)
        found_rows.append(rows)
        found_starts.append(place_w + np.minimum(runs, length_w))
        found_ends.append(place_w + length_w)
        position[active] = place + length
        active = active[position[active] + 24 <= used[active]]
    if not found_rows:
        none = np.zeros(0, np.int64)
        return none, none, none
    return np.concatenate(found_rows), np.concatenate(found_starts), np.concatenate(found_ends)


def _in_ranges(data, rows, position, ends, ranges: Ranges, table: MasterFileTable):
    """Return the rows one of whose runs shares a byte with ``ranges``."""
    cluster = table.raw.geometry.cluster_size
    # A number of up to 8 bytes may be read behind a record's last run.
    data = np.concatenate((data, np.zeros((len(data), 24), np.uint8)), axis=1)
    lcn = np.zeros(len(rows), np.int64)
    hit = np.zeros(len(rows), np.bool_)
    active = np.arange(len(rows))
    for _step in range(data.shape[1]):
        active = active[position[active] < ends[active]]
        header = data[rows[active], position[active]].astype(np.int64)
        active, header = active[header != 0], header[header != 0]
        if not len(active):
            break
        length_size, offset_size = header & 15, header >> 4
        end = position[active] + 1 + length_size + offset_size
        if ((length_size < 1) | (length_size > 8) | (offset_size > 8) | (end > ends[active])).any():
            raise attribute_records.damaged(table.raw.what, "the run list of a file does not fit")
        length = _number(data, rows[active], position[active] + 1, length_size)
        lcn[active] += _number(data, rows[active], position[active] + 1 + length_size, offset_size)
        start = lcn[active]
        if (
            (length <= 0)
            | (start < 0)
            | (start > table.raw.geometry.clusters)
            | (length > table.raw.geometry.clusters) & (offset_size > 0)
        ).any():
            raise attribute_records.damaged(table.raw.what, "a run of a file lies outside it")
        hit[active] |= (offset_size > 0) & ranges.touched(start * cluster, (start + length) * cluster)
        position[active] = end
        # What is hit already needs no further look.
        active = active[~hit[active]]
    return np.unique(rows[hit])


def _number(data, rows, position, sizes):
    """Return the signed little-endian numbers of ``sizes`` bytes (0 to 8) at ``position`` of each row."""
    result = np.zeros(len(rows), np.int64)
    for index in range(8):
        more = index < sizes
        if not more.any():
            break
        result[more] |= data[rows[more], position[more] + index].astype(np.int64) << (8 * index)
    short = (sizes > 0) & (sizes < 8)
    bits = np.where(short, 8 * sizes, 0)
    negative = short & (result >> np.maximum(bits - 1, 0) & 1).astype(np.bool_)
    result[negative] -= np.int64(1) << bits[negative]
    return result
