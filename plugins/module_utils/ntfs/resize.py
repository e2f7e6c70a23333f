# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grow an NTFS volume in place.

No data is moved: $Bitmap gets one more run in the new space, $BadClus:$Bad and the boot
sector get their new sizes, and the backup boot sector is written at the new end. Source:
libntfs-3g's layout.h and volumes that "Extend Volume" of Windows has grown.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from ..common.errors import InternalError, InvalidInput, NoSpace, Unsupported
from ..disk.block_device import BlockDevice
from . import attribute_records, boot, volume_state
from .attribute_records import Attribute, Runs
from .damage import damaged
from .raw_volume import BAD_CLUSTERS, BITMAP, RawVolume
from .volume import Volume

_CHUNK = 1 << 20
_EXTEND_HINT = "Extend the volume in Windows before you export the VM."
_SIZE_HINT = "Change max_layer_size_gb of the OS layer, or disk_size_gb of the image template."


def grow(device: BlockDevice, new_size: int) -> boot.Geometry:
    """Grow the NTFS volume at the start of ``device`` to ``new_size`` bytes and return its new geometry.

    ``device`` has at least that size. An interrupted call leaves a volume that cannot be
    used: grow a copy.

    Raises:
        InvalidInput ntfs.shrink: the volume is larger than ``new_size``.
        Unsupported ntfs.too_many_clusters: the volume would have more clusters than NTFS can number.
        Unsupported ntfs.grow: the volume's metadata has a form that is not supported.
        NoSpace ntfs.grow: the new space is too small for the cluster bitmap.
        Unsupported, Corrupt: the volume is damaged or was not shut down cleanly (see ``volume_state.require_clean``).
    """
    raw = _require_growable(device, new_size)
    old = raw.geometry
    sectors, clusters = _grown(old, new_size)
    if sectors == old.sectors:
        return old
    _write_boot(device, sectors, sectors * old.sector_size)
    if clusters > old.clusters:
        _grow_bitmap(raw, clusters)
        _grow_bad_clusters(raw, clusters)
    _write_boot(device, sectors, 0)
    device.flush()
    # The index of the root directory has a copy of the size of $Bitmap.
    with Volume.mount(device, writable=True) as volume:
        inode = volume.inodes.acquire(BITMAP)
        try:
            inode.sync_names()
        finally:
            inode.release()
    return boot.read_geometry(device)


def _grown(old: boot.Geometry, new_size: int) -> tuple[int, int]:
    """Return the numbers of sectors and clusters of a volume of ``new_size`` bytes; the last sector is the backup boot sector."""
    sectors = new_size // old.sector_size - 1
    return sectors, sectors * old.sector_size // old.cluster_size


def _require_growable(device: BlockDevice, new_size: int) -> RawVolume:
    """Return the volume on ``device`` if it can grow to ``new_size`` bytes."""
    if new_size > device.size:
        raise InternalError(
            f"{device.name} has {device.size} bytes, so its volume cannot have {new_size} bytes.", code="ntfs.grow"
        )
    volume_state.require_clean(device)
    raw = RawVolume(device)
    old = raw.geometry
    sectors, clusters = _grown(old, new_size)
    if sectors < old.sectors:
        raise InvalidInput(
            f"The NTFS volume on {device.name} has {old.sectors * old.sector_size} bytes; it cannot shrink to {new_size} bytes.",
            code="ntfs.shrink",
            hint=_SIZE_HINT,
        )
    if clusters > boot.MAXIMUM_CLUSTERS:
        raise Unsupported(
            f"The NTFS volume on {device.name} has clusters of {old.cluster_size} bytes and can have at most "
            f"{boot.MAXIMUM_CLUSTERS * old.cluster_size} bytes, not {new_size}.",
            code="ntfs.too_many_clusters",
            hint=_SIZE_HINT,
        )
    return raw


def _write_boot(device: BlockDevice, sectors: int, offset: int) -> None:
    size = boot.read_geometry(device).sector_size
    sector = bytearray(device.pread(size, 0))
    struct.pack_into("<Q", sector, 40, sectors)
    device.pwrite(bytes(sector), offset)


def _total(runs: Runs) -> int:
    return sum(length for length, _first in runs)


def _append(runs: Runs, length: int, first: int | None) -> Runs:
    if runs:
        last_length, last_first = runs[-1]
        joins = last_first is None if first is None else last_first is not None and last_first + last_length == first
        if joins:
            return runs[:-1] + [(last_length + length, last_first)]
    return runs + [(length, first)]


def _single(raw: RawVolume, number: int, name: str) -> Attribute:
    """Return the attribute, which must be completely in the file's base record."""
    attribute, runs = raw.attribute(number, attribute_records.DATA, name)
    if (
        attribute.value is not None
        or attribute_records.decode_runs(attribute.runs, raw.subject) != runs
        or not _in_base(raw, number, name)
    ):
        raise Unsupported(
            f"{raw.subject} cannot grow: file record {number} has extension records or other content than expected.",
            code="ntfs.grow",
            hint=_EXTEND_HINT,
        )
    return attribute


def _in_base(raw: RawVolume, number: int, name: str) -> bool:
    return any(
        attribute.type == attribute_records.DATA and attribute.name == name
        for attribute in attribute_records.attributes(raw.record(number), raw.subject)
    )


def _grow_bitmap(raw: RawVolume, clusters: int) -> None:
    size = raw.geometry.cluster_size
    old_clusters = raw.geometry.clusters
    attribute = _single(raw, BITMAP, "")
    runs = attribute_records.decode_runs(attribute.runs, raw.subject)
    if attribute.size * 8 < old_clusters or attribute.size > _total(runs) * size:
        raise damaged(raw.subject, "$Bitmap covers only a part of the volume")
    bytes_needed = (clusters + 63) // 64 * 8
    more = -(-bytes_needed // size) - _total(runs)
    if more > 0:
        if old_clusters + more > clusters:
            raise NoSpace(
                f"{raw.subject} grows by {clusters - old_clusters} clusters, but its bitmap needs {more} more clusters.",
                code="ntfs.grow",
                hint=_SIZE_HINT,
            )
        runs = _append(runs, more, old_clusters)
    # The first byte that changes, and its bits for clusters of the old volume.
    start = old_clusters // 8
    present = raw.read_runs(runs, start, 1) if start < attribute.size else b"\0"
    first = present[0] & ((1 << old_clusters % 8) - 1)

    def content(offset: int, count: int) -> bytes:
        piece = bytearray(count)
        if offset <= start < offset + count:
            piece[start - offset] = first
        _set(piece, offset, old_clusters, old_clusters + max(more, 0))
        _set(piece, offset, clusters, bytes_needed * 8)
        return bytes(piece)

    _write(raw, runs, start, bytes_needed, content)
    _replace(raw, BITMAP, "", runs, bytes_needed, bytes_needed)


def _set(piece: bytearray, offset: int, begin: int, end: int) -> None:
    """Set the bits from ``begin`` to ``end`` of a bitmap of which ``piece`` is the part from byte ``offset``."""
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


def _write(raw: RawVolume, runs: Runs, start: int, end: int, content: Callable[[int, int], bytes]) -> None:
    """Write ``content(offset, count)`` from ``start`` to ``end``, where the bytes differ."""
    # The rest of the bitmap's last cluster is filled with zeros.
    limit = _total(runs) * raw.geometry.cluster_size
    position = start
    while position < limit:
        count = min(_CHUNK, limit - position)
        data = content(position, min(count, max(end - position, 0))).ljust(count, b"\0")
        done = 0
        for target, part in raw.pieces(runs, position, count):
            if target is None:
                raise damaged(raw.subject, "$Bitmap has a hole")
            piece = data[done : done + part]
            if raw.device.pread(part, target) != piece:
                raw.device.pwrite(piece, target)
            done += part
        position += count


def _grow_bad_clusters(raw: RawVolume, clusters: int) -> None:
    attribute = _single(raw, BAD_CLUSTERS, "$Bad")
    runs = attribute_records.decode_runs(attribute.runs, raw.subject)
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


def _replace(raw: RawVolume, number: int, name: str, runs: Runs, size: int, initialized: int) -> None:
    """Write new runs and sizes of a $DATA attribute to its base record."""
    record = raw.record(number)
    attribute = next(
        attribute
        for attribute in attribute_records.attributes(record, raw.subject)
        if attribute.type == attribute_records.DATA and attribute.name == name
    )
    packed = attribute_records.encode_runs(runs)
    length = attribute.runs_offset + len(packed) + 7 & ~7
    used = struct.unpack_from("<I", record, 24)[0]
    if used + length - attribute.length > len(record):
        raise Unsupported(
            f"{raw.subject} cannot grow: file record {number} has no space for another run.",
            code="ntfs.grow",
            hint=_EXTEND_HINT,
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
