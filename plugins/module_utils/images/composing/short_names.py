# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Assignment of 8.3 names that several files of a folder have.

Layers that were captured on separate VMs can have the same 8.3 name for different files of a folder,
because Windows numbers these names per folder and VM (STRATA~1). In a folder, an 8.3 name belongs

* to the file whose long name it is,
* then to the file of the OS layer that has it and is kept (or replaced by a file of the same long
  name), unless a layer gives this file another 8.3 name,
* then to the file of the lowest layer that has it, as if the layers had been installed in order;
  within a layer to the first file in the volume's order of long names.

A file that does not get its name keeps the 8.3 name that the OS layer has at its path, or has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ...layers.entry import Entry, leads_elsewhere
from ...ntfs.node import Node
from ...ntfs.volume import Volume
from ..stack.stack_merge import MergedNode, MergedTree


@dataclass(frozen=True, slots=True)
class Clash:
    """An 8.3 name that ``path`` does not get, because the file ``holder`` (a long name) of the same folder has it.

    ``layer``, a number, gives the name to ``path``, or replaces a file there that has the name.
    """

    path: str
    short_name: str
    layer: int
    holder: str


class ShortNames:
    """The 8.3 names that files get while a tree is applied."""

    def __init__(self, fold_path: Callable[[str], str]) -> None:
        self._fold_path = fold_path
        self._refused: set[tuple[str, str]] = set()
        self._inherited: dict[str, str] = {}

    def refuse(self, path: str, short_name: str) -> None:
        """Do not give ``short_name`` to a path, because another file has it."""
        self._refused.add((self._fold_path(path), short_name))

    def inherit(self, path: str, short_name: str) -> None:
        """Give ``short_name`` to the file that replaces the file at a path, unless it has an 8.3 name."""
        self._inherited[self._fold_path(path)] = short_name

    def get(self, entry: Entry, path: str) -> str | None:
        """Return the 8.3 name that an entry gets at a path: its own, or that of the file that it replaces."""
        if entry.short_name is None and not self._inherited:
            return None
        key = self._fold_path(path)
        for short_name in (entry.short_name, self._inherited.get(key)):
            if short_name is not None and (key, short_name) not in self._refused:
                return short_name
        return None


def find_clashes(tree: MergedTree, volume: Volume) -> list[Clash]:
    """Return every 8.3 name of a merged tree that a file will not get when the tree is applied to ``volume``."""
    with volume.root as root:
        return list(_below(tree, tree.root, root, ""))


def _below(tree: MergedTree, merged: MergedNode, folder: Node | None, path: str) -> Iterator[Clash]:
    if any(
        (child.entry is not None and child.entry.short_name is not None) or (child.is_leaf and folder is not None)
        for child in merged.children.values()
    ):
        yield from _in_folder(tree, merged, folder, path)
    for folded, child in merged.children.items():
        if not child.children:
            continue
        existing = _existing(tree, folded, child, folder)
        try:
            yield from _below(
                tree,
                child,
                existing if existing is not None and _stays_folder(child, existing) else None,
                f"{path}{child.name}/",
            )
        finally:
            if existing is not None:
                existing.close()


def _existing(tree: MergedTree, folded: str, child: MergedNode, folder: Node | None) -> Node | None:
    """Return the file of the volume that has the long name of a child."""
    existing = folder.child(child.name) if folder is not None else None
    if existing is not None and tree.fold(existing.name or "") != folded:
        existing.close()
        return None
    return existing


def _stays_folder(child: MergedNode, existing: Node) -> bool:
    return existing.is_directory and not leads_elsewhere(existing.reparse) and not child.is_leaf and not child.hides


def _in_folder(tree: MergedTree, merged: MergedNode, folder: Node | None, path: str) -> Iterator[Clash]:
    spelled: dict[str, str] = {}
    kept: dict[str, str] = {}
    claims: dict[str, tuple[int, str]] = {}
    for folded, child in merged.children.items():
        present, stays = _present(tree, folded, child, folder)
        if not child.exists and not stays:
            continue
        spelled[folded] = child.name
        if present is not None:
            kept[folded] = present
        claimed = child.entry.short_name if child.entry is not None and not (stays and child.entry.implied) else None
        if claimed is not None and tree.fold(claimed) not in (folded, present and tree.fold(present)):
            claims[folded] = child.layer, claimed

    def other(short: str) -> str | None:
        """Return the long name of the file that has a name, if no layer claims that file."""
        node = folder.child(short) if folder is not None else None
        if node is None:
            return None
        with node:
            return None if tree.fold(node.name or "") in merged.children else node.name

    for folded, short, holder in settle(tree.fold, claims, spelled, kept, other):
        child = merged.children[folded]
        yield Clash(path + child.name, short, child.layer, holder)


def _present(tree: MergedTree, folded: str, child: MergedNode, folder: Node | None) -> tuple[str | None, bool]:
    """Return the 8.3 name that a child has before layers are applied, and whether the file at its path is kept."""
    existing = _existing(tree, folded, child, folder)
    if existing is None:
        return None, False
    with existing:
        stays = _stays_folder(child, existing) or (not child.exists and not child.hides)
        return (existing.short_name if stays or child.is_leaf else None), stays


def settle(
    fold: Callable[[str], str],
    claims: Mapping[str, tuple[int, str]],
    spelled: Mapping[str, str],
    kept: Mapping[str, str],
    other: Callable[[str], str | None],
) -> list[tuple[str, str, str]]:
    """Return the 8.3 names of a folder that files do not get: (long name, 8.3 name, spelling of the holder).

    By folded long name, ``claims`` are (layer, 8.3 name), ``spelled`` is the spelling of all files of the
    layers, and ``kept`` are the 8.3 names that files have unless a claim of theirs is granted. ``other``
    returns which further file of the volume has a name.
    """
    lost: dict[tuple[str, str], str] = {}
    while True:
        before = len(lost)
        open_claims = sorted(
            (layer, folded, short) for folded, (layer, short) in claims.items() if (folded, short) not in lost
        )
        claiming = {folded for _layer, folded, _short in open_claims}
        taken = dict(spelled)
        for folded, short in kept.items():
            if folded not in claiming:
                owner = taken.setdefault(fold(short), spelled[folded])
                if owner != spelled[folded]:
                    lost[folded, short] = owner
        for _layer, folded, short in open_claims:
            holder = taken.get(fold(short)) or other(short)
            if holder is None:
                taken[fold(short)] = spelled[folded]
            else:
                lost[folded, short] = holder
        # A file whose claim is refused keeps its old name, which other claims may need: check them again.
        if len(lost) == before:
            return [(folded, short, holder) for (folded, short), holder in lost.items()]
