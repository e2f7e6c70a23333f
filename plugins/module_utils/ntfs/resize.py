# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Enlarging an NTFS volume in place.

Nothing moves: $Bitmap gets one more run in the new space, $BadClus:$Bad and the boot
sector get their new sizes, and the backup boot sector goes to the new end. Source:
libntfs-3g's layout.h and what Windows' own "extend volume" leaves behind.
"""

from __future__ import annotations

import struct

from ..common.errors import InvalidInput, NoSpace, Unsupported
from ..disk.block_device import BlockDevice
from . import attribute_records, boot, volume_state
from .raw_volume import BAD_CLUSTERS, BITMAP, RawVolume
from .volume import Volume

_CHUNK = 1 << 20
_Runs = list[tuple[int, "int | None"]]


def grow(device: BlockDevice, new_size: int) -> boot.Geometry:
    """Make the NTFS that begins at ``device``'s start fill ``new_size`` bytes and return its new geometry.

    ``device`` has at least that size. The volume must have been shut down cleanly
    (Unsupported). InvalidInput when it is larger already, Unsupported when it would have
    more clusters than NTFS can number, Corrupt when it is damaged. Interrupted work
    leaves a volume that must be thrown away: grow a copy.
    """
    if new_size > device.size:
        raise InvalidInput(
            f"{device.name} has {device.size} bytes, so its volume cannot have {new_size}.", code="ntfs.grow"
        )
    volume_state.require_clean(device)
    raw = RawVolume(device)
    old = raw.geometry
    sectors = new_size // old.sector_size - 1
    clusters = sectors * old.sector_size // old.cluster_size
    if sectors < old.sectors:
        raise InvalidInput(
            f"The NTFS volume on {device.name} has {old.sectors * old.sector_size} bytes; it can be enlarged, not shrunk to {new_size}.",
            code="ntfs.shrink",
            hint="Ask for a size that is at least the disk's present one.",
        )
    if clusters > boot.MAXIMUM_CLUSTERS:
        raise Unsupported(
            f"With clusters of {old.cluster_size} bytes the volume on {device.name} can have at most {boot.MAXIMUM_CLUSTERS * old.cluster_size} bytes.",
            code="ntfs.too_many_clusters",
            hint="Ask for a smaller disk.",
        )
    if sectors == old.sectors:
        return old
    _write_boot(device, sectors, sectors * old.sector_size)
    if clusters > old.clusters:
        _grow_bitmap(raw, clusters)
        _grow_bad_clusters(raw, clusters)
    _write_boot(device, sectors, 0)
    device.flush()
    # The root directory shows the size of $Bitmap too.
    with Volume.mount(device, writable=True) as volume:
        inode = volume.acquire(BITMAP)
        try:
            inode.sync_names()
        finally:
            inode.release()
    return boot.read_geometry(device)


def _write_boot(device: BlockDevice, sectors: int, offset: int) -> None:
    size = boot.read_geometry(device).sector_size
    sector = bytearray(device.pread(size, 0))
    struct.pack_into("<Q", sector, 40, sectors)
    device.pwrite(bytes(sector), offset)


def _total(runs: _Runs) -> int:
    return sum(length for length, _first in runs)


def _append(runs: _Runs, length: int, first: int | None) -> _Runs:
    if runs:
        last_length, last_first = runs[-1]
        joins = last_first is None if first is None else last_first is not None and last_first + last_length == first
        if joins:
            return runs[:-1] + [(last_length + length, last_first)]
    return runs + [(length, first)]


def _single(raw: RawVolume, number: int, name: str) -> attribute_records.Attribute:
    """The attribute, which must stand whole in the file's base record."""
    attribute, runs = raw.attribute(number, attribute_records.DATA, name)
    if (
        attribute.value is not None
        or attribute_records.decode_runs(attribute.runs, raw.what) != runs
        or not _in_base(raw, number, name)
    ):
        raise Unsupported(
            f"{raw.what} keeps file record {number} in a form that is not handled.",
            code="ntfs.grow",
            hint="Extend the volume in Windows before it is exported.",
        )
    return attribute


def _in_base(raw: RawVolume, number: int, name: str) -> bool:
    return any(
        one.type == attribute_records.DATA and one.name == name
        for one in attribute_records.attributes(raw.record(number), raw.what)
    )


def _grow_bitmap(raw: RawVolume, clusters: int) -> None:
    size = raw.geometry.cluster_size
    old_clusters = raw.geometry.clusters
    attribute = _single(raw, BITMAP, "")
    runs = attribute_records.decode_runs(attribute.runs, raw.what)
    if attribute.size * 8 < old_clusters or attribute.size > _total(runs) * size:
        raise attribute_records.damaged(raw.what, "$Bitmap does not cover it")
    bytes_needed = (clusters + 63) // 64 * 8
    more = -(-bytes_needed // size) - _total(runs)
    if more > 0:
        if old_clusters + more > clusters:
            raise NoSpace(
                f"{raw.what} grows by too little to hold its own bitmap.",
                code="ntfs.grow",
                hint="Ask for a larger disk.",
            )
        runs = _append(runs, more, old_clusters)
    start = old_clusters // 8
    _write(
        raw,
        runs,
        start,
        bytes_needed,
        _bits(raw, runs, start, attribute.size, old_clusters, more, clusters, bytes_needed),
    )
    _replace(raw, BITMAP, "", runs, bytes_needed, bytes_needed)


def _bits(
    raw: RawVolume, runs: _Runs, start: int, old_bytes: int, old_clusters: int, more: int, clusters: int, new_bytes: int
):
    """Return a function (offset, count) -> the bitmap's new bytes there; ``start`` is the first byte that changes."""
    known = raw.read_runs(runs, start, 1) if start < old_bytes else b"\0"
    first = known[0] & ((1 << old_clusters % 8) - 1)

    def content(offset: int, count: int) -> bytes:
        piece = bytearray(count)
        if offset <= start < offset + count:
            piece[start - offset] = first
        _set(piece, offset, old_clusters, old_clusters + max(more, 0))
        _set(piece, offset, clusters, new_bytes * 8)
        return bytes(piece)

    return content


def _set(piece: bytearray, offset: int, begin: int, end: int) -> None:
    begin, end = max(begin, offset * 8), min(end, (offset + len(piece)) * 8)
    while begin < end and begin % 8:
        piece[begin // 8 - offset] |= 1 << begin % 8
        begin += 1
    whole = (end - begin) // 8
    if whole > 0:
        piece[begin // 8 - offset : begin // 8 - offset + whole] = b"\xff" * whole
        begin += 8 * whole
    while begin < end:
        piece[begin // 8 - offset] |= 1 << begin % 8
        begin += 1


def _write(raw: RawVolume, runs: _Runs, start: int, end: int, content) -> None:
    # The bytes behind the bitmap's end are zeros up to the end of its last cluster.
    limit = _total(runs) * raw.geometry.cluster_size
    position = start
    while position < limit:
        count = min(_CHUNK, limit - position)
        wanted = content(position, min(count, max(end - position, 0))).ljust(count, b"\0")
        done = 0
        for target, part in raw.pieces(runs, position, count):
            if target is None:
                raise attribute_records.damaged(raw.what, "$Bitmap has a hole")
            piece = wanted[done : done + part]
            if raw.device.pread(part, target) != piece:
                raw.device.pwrite(piece, target)
            done += part
        position += count


def _grow_bad_clusters(raw: RawVolume, clusters: int) -> None:
    attribute = _single(raw, BAD_CLUSTERS, "$Bad")
    runs = attribute_records.decode_runs(attribute.runs, raw.what)
    size = clusters * raw.geometry.cluster_size
    runs = _append(runs, clusters - _total(runs), None)
    _replace(
        raw,
        BAD_CLUSTERS,
        "$Bad",
        runs,
        size,
        size if attribute.initialized == attribute.size else attribute.initialized,
    )


def _replace(raw: RawVolume, number: int, name: str, runs: _Runs, size: int, initialized: int) -> None:
    """Give an attribute of a base record new runs and sizes."""
    record = raw.record(number)
    attribute = next(
        one
        for one in attribute_records.attributes(record, raw.what)
        if one.type == attribute_records.DATA and one.name == name
    )
    packed = attribute_records.encode_runs(runs)
    length = attribute.runs_offset + len(packed) + 7 & ~7
    used = struct.unpack_from("<I", record, 24)[0]
    if used + length - attribute.length > len(record):
        raise Unsupported(
            f"File record {number} of {raw.what} has no room for another run.",
            code="ntfs.grow",
            hint="Extend the volume in Windows before it is exported.",
        )
    body = bytearray(record[attribute.offset : attribute.offset + attribute.runs_offset]) + packed
    body += bytes(length - len(body))
    cluster = raw.geometry.cluster_size
    allocated = _total(runs) * cluster
    struct.pack_into("<I", body, 4, length)
    struct.pack_into("<q", body, 24, _total(runs) - 1)
    struct.pack_into("<qqq", body, 40, allocated, size, initialized)
    tail = record[attribute.offset + attribute.length : used]
    changed = (record[: attribute.offset] + body + tail).ljust(len(record), b"\0")
    struct.pack_into("<I", changed, 24, used + length - attribute.length)
    raw.write_record(number, changed)
