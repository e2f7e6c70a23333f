# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file of a folder gets an 8.3 name that several want.

Layers that were captured on machines of their own may give one 8.3 name to different files of a
folder, because Windows counts them up anew on each (STRATA~1). In a folder an 8.3 name belongs

* to the file whose long name it is,
* then to the file of the OS layer that has it and stays (or is replaced by a file of the same long
  name), unless a layer gives that another 8.3 name,
* then to the file of the lowest layer that gives it, as if the layers had been installed one after
  the other; within a layer to the first in the volume's order of long names.

Who does not get the name keeps the one that the OS layer has at its path, or has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ..layers.entry import leads_elsewhere
from ..ntfs.node import Node
from ..ntfs.volume import Volume
from .stack_merge import MergedNode, MergedTree


@dataclass(frozen=True, slots=True)
class Clash:
    """An 8.3 name that ``layer`` (its number) gives to ``path``, or that the file it replaces there has, but that now belongs to the
    file ``holder`` (a long name) of the same folder."""

    path: str
    short_name: str
    layer: int
    holder: str


def find_clashes(tree: MergedTree, volume: Volume) -> list[Clash]:
    """Every 8.3 name that a merged tree asks for and does not get on a volume to which it is yet to be applied."""
    with volume.root as root:
        return list(_below(tree, tree.root, root, ""))


def _below(tree: MergedTree, merged: MergedNode, folder: Node | None, path: str) -> Iterator[Clash]:
    if any(
        child.entry is not None and child.entry.short_name is not None or child.is_leaf and folder is not None
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
    """What the volume has under a child's long name."""
    found = folder.child(child.name) if folder is not None else None
    if found is not None and tree.fold(found.name) != folded:
        found.close()
        return None
    return found


def _stays_folder(child: MergedNode, existing: Node) -> bool:
    return existing.is_directory and not leads_elsewhere(existing.reparse) and not child.is_leaf and not child.hides


def _in_folder(tree: MergedTree, merged: MergedNode, folder: Node | None, path: str) -> Iterator[Clash]:
    spelled: dict[str, str] = {}
    kept: dict[str, str] = {}
    claims: dict[str, tuple[int, str]] = {}
    for folded, child in merged.children.items():
        has, stays = _present(tree, folded, child, folder)
        if not child.exists and not stays:
            continue
        spelled[folded] = child.name
        if has is not None:
            kept[folded] = has
        asked = child.entry.short_name if child.entry is not None and not (stays and child.entry.implied) else None
        if asked is not None and tree.fold(asked) not in (folded, has and tree.fold(has)):
            claims[folded] = child.layer, asked

    def other(short: str) -> str | None:
        """A file of the volume of which the layers say nothing, by a name that it has."""
        node = folder.child(short) if folder is not None else None
        if node is None:
            return None
        with node:
            return None if tree.fold(node.name) in merged.children else node.name

    for folded, short, holder in settle(tree.fold, claims, spelled, kept, other):
        child = merged.children[folded]
        yield Clash(path + child.name, short, child.layer, holder)


def _present(tree: MergedTree, folded: str, child: MergedNode, folder: Node | None) -> tuple[str | None, bool]:
    """The 8.3 name that a child has without what layers say of it, and whether what the volume has at its path stays."""
    existing = _existing(tree, folded, child, folder)
    if existing is None:
        return None, False
    with existing:
        stays = _stays_folder(child, existing) or not child.exists and not child.hides
        return (existing.short_name if stays or child.is_leaf else None), stays


def settle(
    fold: Callable[[str], str],
    claims: Mapping[str, tuple[int, str]],
    spelled: Mapping[str, str],
    kept: Mapping[str, str],
    other: Callable[[str], str | None],
) -> list[tuple[str, str, str]]:
    """The 8.3 names of a folder that files do not get: (long name, 8.3 name, spelling of the file that has it).

    By folded long name, ``claims`` are (layer, 8.3 name), ``spelled`` the spelling of all files that layers speak of,
    ``kept`` the 8.3 names that they have while no claim of theirs is granted; ``other`` says which further file has a name.
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
                holder = taken.setdefault(fold(short), spelled[folded])
                if holder != spelled[folded]:
                    lost[folded, short] = holder
        for _layer, folded, short in open_claims:
            holder = taken.get(fold(short)) or other(short)
            if holder is None:
                taken[fold(short)] = spelled[folded]
            else:
                lost[folded, short] = holder
        # Who is denied a name keeps the one it had, which others may have counted on.
        if len(lost) == before:
            return [(folded, short, holder) for (folded, short), holder in lost.items()]
