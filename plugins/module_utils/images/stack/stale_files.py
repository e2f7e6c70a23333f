# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stale files: files of a layer that the OS layer has changed since the version for which the layer was built.

An old library over a patched library is the typical defect of layered images. The policy of the image
template decides: the file of the layer wins, the file of the OS layer wins, the file with the higher
file version wins, or the image is refused. The default protects files of Windows: captures of earlier
releases contain files that a running Windows had only marked, with all their names in the component store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ...catalog.resolved_template import StaleFilePolicy
from ...common.errors import Conflict
from ...layers.archive import Contents
from ...layers.entry import FILE, LINK, WHITEOUT, Entry
from ...layers.file_index import Record
from ...ntfs.volume import Volume
from ...windows.component_store import is_component_path, is_serviced
from ...windows.installation import exists
from .file_content import UnreadableContent, content_at, content_of_record, version_at, version_of_entry

_MAX_PROGRAM = 256 << 20
_SHOWN = 3

#: Opens an archive and yields its entries.
Opener = Callable[[], Iterable[tuple[Entry, Contents]]]


@dataclass(frozen=True, slots=True)
class StaleFile:
    """A name of a file of a layer.

    ``layer`` and ``position`` are the number of the layer and the position in its index. ``path`` is the
    name in the spelling of the layer. ``source`` is the path of the entry with the content, which differs
    from ``path`` for a hard link. ``is_unchanged``: the layer has the content of the OS layer version for which it was
    built. ``is_system``: servicing owns the file on one of the OS layer versions. ``is_removed``: the file or folder
    belongs to a component of Windows that only the OS layer version has for which the layer was built.
    """

    layer: int
    position: int
    path: str
    source: str
    is_unchanged: bool = False
    is_system: bool = False
    is_removed: bool = False


def find_stale_files(number: int, records: Sequence[Record], original: Volume, current: Volume) -> list[StaleFile]:
    """Return the files of a layer that the OS layer has changed or, in the component store, removed.

    The layer was built for the OS layer on ``original``; the OS layer on ``current`` has the file with
    other content than the layer and than ``original``.
    """
    stale = []
    files = {current.upcase(record.entry.path): record for record in records if record.entry.kind == FILE}
    for position, record in enumerate(records):
        entry = record.entry
        if entry.kind != WHITEOUT and is_component_path(entry.path) and not exists(current, entry.path):
            if exists(original, entry.path):
                stale.append(StaleFile(number, position, entry.path, entry.path, is_removed=True))
            continue
        file: Record | None = None
        if entry.kind == FILE:
            file = record
        elif entry.kind == LINK:
            file = files.get(current.upcase(entry.link_target or ""))
        if file is None:
            continue
        present, content = content_at(current, entry.path), content_of_record(file)
        if present is None or present == content:
            continue
        before = content_at(original, entry.path)
        if present != before:
            is_system = any(_is_serviced(volume, entry.path) for volume in (current, original))
            stale.append(StaleFile(number, position, entry.path, file.entry.path, content == before, is_system))
    return stale


def select_skipped(
    policy: StaleFilePolicy,
    stale: Sequence[StaleFile],
    labels: Sequence[str],
    openers: Sequence[Opener],
    current: Volume,
) -> frozenset[tuple[int, int]]:
    """Return (layer, position) of the entries that must not be applied.

    Raises:
        Conflict images.outdated_files: the policy is to refuse stale files.
    """
    removed = frozenset((file.layer, file.position) for file in stale if file.is_removed)
    stale = [file for file in stale if not file.is_removed]
    if policy is StaleFilePolicy.NEWEST_SYSTEM:
        return removed | _older_system_files(stale, openers, current)
    if policy is StaleFilePolicy.LAYER or not stale:
        return frozenset()
    if policy is StaleFilePolicy.FAIL:
        shown = ", ".join(f"{file.path} ({labels[file.layer]})" for file in stale[:_SHOWN])
        more = f" and {len(stale) - _SHOWN} more" if len(stale) > _SHOWN else ""
        raise Conflict(
            f"Layers contain files that the OS layer has changed since the layers were built: {shown}{more}.",
            code="images.outdated_files",
            hint="Build these layers again for this version of the OS layer, or set outdated_files of the image template.",
            files=[{"path": file.path, "layer": labels[file.layer]} for file in stale[:1000]],
        )
    if policy is StaleFilePolicy.OS:
        return frozenset((file.layer, file.position) for file in stale)
    return _older(stale, openers, current)


def _older_system_files(
    stale: Sequence[StaleFile], openers: Sequence[Opener], current: Volume
) -> frozenset[tuple[int, int]]:
    """Return the files of Windows that a layer has without changes, or that servicing owns and that are older."""
    unchanged = [file for file in stale if file.is_unchanged and (file.is_system or _is_below_windows(file.path))]
    changed = [file for file in stale if file.is_system and not file.is_unchanged]
    return frozenset((file.layer, file.position) for file in unchanged) | _older(changed, openers, current)


def _older(stale: Sequence[StaleFile], openers: Sequence[Opener], current: Volume) -> frozenset[tuple[int, int]]:
    """Return the files with a lower file version than the file of the OS layer; a file without a version counts as newer.

    If CompactOS stored one of both in a way that cannot be read, the file of the OS layer counts as newer: an old library
    over a patched library does more harm.
    """
    older = set()
    for layer in sorted({file.layer for file in stale}):
        by_source: dict[str, list[StaleFile]] = {}
        for file in stale:
            if file.layer == layer:
                by_source.setdefault(file.source, []).append(file)
        for entry, contents in openers[layer]():
            names = by_source.pop(entry.path, []) if entry.kind == FILE else []
            if names and entry.size <= _MAX_PROGRAM:
                older |= {
                    (file.layer, file.position)
                    for file, is_older in zip(names, _are_older(entry, contents, current, names))
                    if is_older
                }
            if not by_source:
                break
    return frozenset(older)


def _are_older(entry: Entry, contents: Contents, current: Volume, names: Sequence[StaleFile]) -> list[bool]:
    """Return for each of the names of a layer's file whether the file of the OS layer there has a higher file version."""
    try:
        version = version_of_entry(entry, contents)
    except UnreadableContent:
        return [True] * len(names)
    result = []
    for file in names:
        try:
            present = version_at(current, file.path)
        except UnreadableContent:
            result.append(True)
            continue
        result.append(version is not None and present is not None and version < present)
    return result


def _is_below_windows(path: str) -> bool:
    return path[:8].lower() == "windows/"


def _is_serviced(volume: Volume, path: str) -> bool:
    node = volume.find(path)
    if node is None:
        return False
    with node:
        return is_serviced(volume, node)
