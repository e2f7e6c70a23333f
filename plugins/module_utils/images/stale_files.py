# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a layer brings although the OS layer has changed them since the version the layer was made for.

An old library over a patched one is the classic of layered images. What is to be done is
the template's policy: the layer's file wins as ever, the OS layer's does, the one with the
higher file version does, or the image is refused.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..catalog.resolved_template import FAIL, LAYER, OS
from ..common.errors import Conflict
from ..layers.archive import Contents
from ..layers.entry import FILE, LINK, Entry
from ..layers.file_index import Record
from ..ntfs.volume import Volume

# VS_FIXEDFILEINFO of a version resource: its signature, and the four numbers of the file version behind it.
_SIGNATURE = struct.pack("<I", 0xFEEF04BD)
_VERSION = struct.Struct("<II")
_MAX_PROGRAM = 256 << 20
_WOF_STREAM = "WofCompressedData"

Opened = Iterable[tuple[Entry, Contents]]


@dataclass(frozen=True, slots=True)
class Outdated:
    """A name of a file of one layer: ``layer`` and ``position`` say where it stands, ``path`` as the layer spells it;
    ``source`` is the path of the entry that has its content, another one for a further name of a file."""

    layer: int
    position: int
    path: str
    source: str


def find_outdated(number: int, records: Sequence[Record], then: Volume, now: Volume) -> list[Outdated]:
    """Files of a layer that was made for the OS layer on ``then`` and that the one on ``now`` has with another content."""
    found = []
    files = {now.upcase(record.entry.path): record for record in records if record.entry.kind == FILE}
    for position, record in enumerate(records):
        entry = record.entry
        file = (
            files.get(now.upcase(entry.link_target)) if entry.kind == LINK else record if entry.kind == FILE else None
        )
        if file is None:
            continue
        present = _digest(now, entry.path)
        if present is not None and present != _brought(file) and present != _digest(then, entry.path):
            found.append(Outdated(number, position, entry.path, file.entry.path))
    return found


def _brought(record: Record) -> bytes:
    streams = {name: digest for (name, _size), digest in zip(record.entry.streams, record.stream_digests)}
    return streams.get(_WOF_STREAM, record.digest)


def choose(
    policy: str,
    outdated: Sequence[Outdated],
    labels: Sequence[str],
    openers: Sequence[Callable[[], Opened]],
    now: Volume,
) -> set[tuple[int, int]]:
    """(layer, position) of the entries that must not be applied; Conflict when the policy is to refuse them."""
    if policy == LAYER or not outdated:
        return set()
    if policy == FAIL:
        shown = ", ".join(f"{one.path} ({labels[one.layer]})" for one in outdated[:3]) + (
            f" and {len(outdated) - 3} more" if len(outdated) > 3 else ""
        )
        raise Conflict(
            f"Layers bring files that the OS layer has changed since they were made: {shown}.",
            code="images.outdated_files",
            hint="Make those layers again for this version of the OS layer, or set outdated_files of the template.",
            files=[{"path": one.path, "layer": labels[one.layer]} for one in outdated[:1000]],
        )
    if policy == OS:
        return {(one.layer, one.position) for one in outdated}
    return _older(outdated, openers, now)


def _older(outdated: Sequence[Outdated], openers: Sequence[Callable[[], Opened]], now: Volume) -> set[tuple[int, int]]:
    """Those whose file version is lower than that of the OS layer's file; a file without a version counts as newer."""
    older = set()
    for layer in sorted({one.layer for one in outdated}):
        wanted: dict[str, list[Outdated]] = {}
        for one in outdated:
            if one.layer == layer:
                wanted.setdefault(one.source, []).append(one)
        for entry, contents in openers[layer]():
            names = wanted.pop(entry.path, ()) if entry.kind == FILE else ()
            if names and entry.size <= _MAX_PROGRAM:
                brought = file_version(next((part.read() for name, _size, part in contents if not name), b""))
                for one in names:
                    present = file_version(_content(now, one.path))
                    if brought is not None and present is not None and brought < present:
                        older.add((one.layer, one.position))
            if not wanted:
                break
    return older


def file_version(data: bytes) -> tuple[int, int, int, int] | None:
    """The file version of a program or library, None when it has none."""
    place = data.find(_SIGNATURE) if data[:2] == b"MZ" else -1
    if place < 0 or place + 16 > len(data):
        return None
    high, low = _VERSION.unpack_from(data, place + 8)
    return high >> 16, high & 0xFFFF, low >> 16, low & 0xFFFF


def _content(volume: Volume, path: str) -> bytes:
    node = volume.find(path)
    if node is None:
        return b""
    with node:
        return node.read() if not node.is_directory and node.size <= _MAX_PROGRAM else b""


def _digest(volume: Volume, path: str) -> bytes | None:
    node = volume.find(path)
    if node is None:
        return None
    with node:
        if node.is_directory:
            return None
        # A file that Windows keeps compressed has only a hole where its content would be.
        compressed = any(name == _WOF_STREAM for name, _size in node.streams)
        digest = hashlib.sha256()
        with node.open_stream(_WOF_STREAM if compressed else "") as stream:
            stream.copy_to(digest.update)
        return digest.digest()
