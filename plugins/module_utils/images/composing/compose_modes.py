# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The three modes of composing: from the OS layer, from an older image, and on top of an image.

A mode answers three questions: on which disk are the changes written, which tree is applied to it,
and which layers does that tree belong to. ``compose.run`` does the work, which is the same in all modes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ...layers.entry import leads_elsewhere
from ...layers.file_index import Record
from ...ntfs.volume import Volume
from ...repository.repository import Repository
from ..stack.layer_stack import StackedLayer, merge_stack, read_indexes, script_layer, stacked_layers
from ..stack.stack_merge import MergedTree
from ..stored.thin_disk import ThinDisk
from ..stored.thin_image import ThinImage
from .file_writer import Applied
from .incremental import BasePath, ComparedStack, FullComposeNeeded, incremental_tree


@dataclass(frozen=True)
class StackState:
    """The sources from which a mode derives its tree.

    ``records`` are the file indexes of ``layers``, ``tree`` is the merged stack. ``volume`` is mounted
    for writing on the disk that the mode chose, ``original`` is the volume of the OS layer.
    """

    repository: Repository
    layers: Sequence[StackedLayer]
    records: Sequence[Sequence[Record]]
    tree: MergedTree
    volume: Volume
    original: Volume


class ComposeMode(Protocol):
    """The way in which an image is composed.

    ``older`` is the image below the changes, None for the disk of the OS layer. ``first_layer`` is the
    number of the lowest layer in the applied tree, whose layers count from there. ``writes_marker``
    is whether the disk gets a lineage marker.
    """

    older: ThinImage | None
    first_layer: int
    writes_marker: bool

    def open_below(self, base: ThinDisk) -> ThinDisk:
        """Return the disk below the changes; ``base`` is the disk of the OS layer, which the caller closes."""

    def tree_to_apply(self, state: StackState) -> MergedTree:
        """Return the tree that turns the disk below into the image."""

    def check_applied(self, applied: Applied) -> None:
        """Raise FullComposeNeeded if the result can differ from a full compose."""


class FullCompose:
    """Apply the whole stack to the disk of the OS layer."""

    older: ThinImage | None = None
    first_layer = 0
    writes_marker = True

    def open_below(self, base: ThinDisk) -> ThinDisk:
        """Return the disk of the OS layer."""
        return base

    def tree_to_apply(self, state: StackState) -> MergedTree:
        """Return the merged stack."""
        return state.tree

    def check_applied(self, applied: Applied) -> None:
        """Accept every result."""


class IncrementalCompose:
    """Apply the difference to an older image of the same OS layer, to its disk.

    Raises FullComposeNeeded if the older image cannot be turned into the new image.
    """

    first_layer = 0
    writes_marker = True

    def __init__(self, older: ThinImage) -> None:
        self.older: ThinImage | None = older
        self._image = older

    def open_below(self, base: ThinDisk) -> ThinDisk:
        """Return the disk of the older image."""
        return self._image.open_disk()

    def tree_to_apply(self, state: StackState) -> MergedTree:
        """Return the difference between the stack of the older image and the new stack."""
        config = self._image.config
        layers = stacked_layers(state.repository, config.layers)
        if config.scripts is not None:
            layers.append(script_layer(config.content_digest, config.scripts, b""))
        records = read_indexes(state.repository, layers)
        old_tree = merge_stack(layers, records, state.volume.upcase, frozenset(config.skipped))
        return incremental_tree(
            ComparedStack(old_tree, records),
            ComparedStack(state.tree, state.records),
            lambda path: base_path(state.original, path),
        )

    def check_applied(self, applied: Applied) -> None:
        """Refuse a result in which files lack metadata: which file loses it depends on the order of writing."""
        if applied.dropped:
            raise FullComposeNeeded


class GrowCompose:
    """Apply only the layers above ``ancestor``, to its disk, so that the new disk descends from the disk of ``ancestor``."""

    writes_marker = False  # The disk keeps the marker of the ancestor.

    def __init__(self, ancestor: ThinImage) -> None:
        self.older: ThinImage | None = ancestor
        self._image = ancestor
        self.first_layer = len(ancestor.config.layers)

    def open_below(self, base: ThinDisk) -> ThinDisk:
        """Return the disk of the ancestor."""
        return self._image.open_disk()

    def tree_to_apply(self, state: StackState) -> MergedTree:
        """Return the merged stack of the layers above the ancestor."""
        return merge_stack(state.layers[self.first_layer :], state.records[self.first_layer :], state.volume.upcase)

    def check_applied(self, applied: Applied) -> None:
        """Accept every result."""


def base_path(volume: Volume, path: str) -> BasePath:
    """Return what the OS layer has at a path."""
    node = volume.find(path)
    if node is None:
        return BasePath.NOTHING
    with node:
        is_folder = node.is_directory and not leads_elsewhere(node.reparse)
        return BasePath.FOLDER if is_folder else BasePath.OTHER
