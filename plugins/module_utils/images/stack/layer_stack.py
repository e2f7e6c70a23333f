# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers of an image as composing and planning read them: archives, file indexes and stale files."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from ...catalog import layer_store, scripts
from ...layers.archive import ArchiveReader
from ...layers.entry import WHITEOUT, Entry
from ...layers.file_index import Record, load_index
from ...layers.layer_version import ROLE_ARCHIVE, ROLE_INDEX, LayerReference
from ...ntfs.journals import main_name
from ...ntfs.volume import Volume
from ...repository.blobs import Descriptor
from ...repository.repository import Repository
from ..stored.os_disk import mount_os_layer
from .stack_merge import MergedTree, merge
from .stale_files import StaleFile, find_stale_files

#: Opens the archive of a layer.
Opener = Callable[[], ArchiveReader]


@dataclass(frozen=True)
class StackedLayer:
    """A layer that is applied to an image.

    ``label`` names it in messages; ``digest`` is that of its version; ``archive`` and ``index`` are
    blobs, or bytes. ``built_on`` are the labels, in its stack, of the app layers that its packaging VM had,
    ``made_for`` is the digest of the OS layer version that it was built for.
    """

    label: str
    digest: str
    archive: Descriptor | bytes
    index: Descriptor | bytes
    built_on: tuple[str, ...] = ()
    made_for: str | None = None


def stacked_layer(repository: Repository, reference: LayerReference) -> StackedLayer:
    """Return a stored layer version by itself."""
    return stacked_layers(repository, [reference])[0]


def stacked_layers(repository: Repository, references: Sequence[LayerReference]) -> list[StackedLayer]:
    """Return the stored layer versions of a stack."""
    labels = {reference.digest: reference.label for reference in references}
    return [_stacked(repository, reference, labels) for reference in references]


def _stacked(repository: Repository, reference: LayerReference, labels: Mapping[str, str]) -> StackedLayer:
    layer = layer_store.load_version(repository, reference.digest)
    return StackedLayer(
        reference.label,
        reference.digest,
        Descriptor(*layer_store.role_blob(layer, ROLE_ARCHIVE)),
        Descriptor(*layer_store.role_blob(layer, ROLE_INDEX)),
        # A prerequisite may have been renamed since: the digest identifies it.
        tuple(labels.get(prerequisite.digest, prerequisite.label) for prerequisite in layer.prerequisites),
        layer.os_layer.digest if layer.os_layer else None,
    )


def script_layer(content_digest: str, placed: Sequence[scripts.PlacedScript], archive: bytes) -> StackedLayer:
    """Return the generated top layer that places the scripts of the image ``content_digest``.

    ``archive`` may be empty if only the index is needed.
    """
    index = scripts.pack_index(content_digest, placed)
    return StackedLayer("scripts of the image", content_digest, archive, index)


def read_indexes(repository: Repository, layers: Sequence[StackedLayer]) -> list[list[Record]]:
    """Return the file indexes of a stack, lowest layer first."""
    records = []
    for layer in layers:
        with _open(repository, layer.index) as stream:
            records.append(load_index(stream, layer.label))
    return records


def merge_stack(
    layers: Sequence[StackedLayer],
    records: Sequence[Sequence[Record]],
    fold: Callable[[str], str],
    skipped: Collection[tuple[int, int]] = (),
) -> MergedTree:
    """Merge a stack; entries whose (layer, position) is in ``skipped`` are left out."""
    entries = [[record.entry for record in index] for index in records]
    if skipped:
        skipped = _with_journals(entries, fold, skipped)
    return merge([(layer.label, listed) for layer, listed in zip(layers, entries)], fold, skipped)


def _with_journals(
    stack: Sequence[Sequence[Entry]], fold: Callable[[str], str], skipped: Collection[tuple[int, int]]
) -> set[tuple[int, int]]:
    """Return ``skipped`` so that the journals of a layer are skipped together with their main file, and only then."""
    result = set(skipped)
    for number in {number for number, _position in skipped}:
        positions = {fold(entry.path): position for position, entry in enumerate(stack[number])}
        for position, entry in enumerate(stack[number]):
            main = positions.get(fold(main_name(entry.path) or ""))
            if main is not None and entry.kind != WHITEOUT:
                (result.add if (number, main) in skipped else result.discard)((number, position))
    return result


def open_archive(
    repository: Repository, layer: StackedLayer, stack: ExitStack, *, hives: bool = False, ahead: bool = False
) -> ArchiveReader:
    """Open the archive of a layer, on request with its registry deltas, until ``stack`` is closed.

    With ``ahead``, a thread unpacks the next data.
    """
    stream = stack.enter_context(_open(repository, layer.archive))
    reader = ArchiveReader(stream, layer.label, hives=hives, ahead=ahead)
    stack.callback(reader.close)
    return reader


def archive_openers(
    repository: Repository,
    layers: Sequence[StackedLayer],
    stack: ExitStack,
    *,
    hives: bool = False,
    ahead: bool = False,
) -> list[Opener]:
    """Return a function per layer that opens its archive, as ``open_archive`` does."""
    return [partial(open_archive, repository, layer, stack, hives=hives, ahead=ahead) for layer in layers]


def find_stale_in_stack(
    repository: Repository,
    layers: Sequence[StackedLayer],
    records: Sequence[Sequence[Record]],
    os_digest: str,
    current: Volume,
    stack: ExitStack,
) -> list[StaleFile]:
    """Return the files of layers that the OS layer has changed since the layers were built.

    ``current`` is the volume of the OS layer version ``os_digest``.
    """
    stale: list[StaleFile] = []
    volumes: dict[str, Volume] = {}
    for number, (layer, index) in enumerate(zip(layers, records)):
        if layer.made_for is None or layer.made_for == os_digest:
            continue
        if layer.made_for not in volumes:
            volumes[layer.made_for] = mount_os_layer(repository, layer.made_for, stack)
        stale += find_stale_files(number, index, volumes[layer.made_for], current)
    return stale


def _open(repository: Repository, blob: Descriptor | bytes) -> BinaryIO:
    return io.BytesIO(blob) if isinstance(blob, bytes) else repository.layout.open_blob(blob)
