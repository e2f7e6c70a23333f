# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several layers say about the same path: who wins, who loses, where a path comes from.

A layer *says* something about a path when it brings it (folders that are only implied do
not count), removes it or a folder above it, puts a file where a folder above it is, or
makes a folder of it. The last layer that says something wins. The others lose unless they
say the same: the same content with the same metadata. What a layer says counts no more once a
later one speaks that knew it, that is, was made on a machine that had it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ..layers.entry import DIRECTORY, HIVE, LINK, WHITEOUT, Entry
from ..layers.file_index import Record
from .stack_merge import is_leaf

#: What a layer can say about a path.
BRINGS, REMOVES, MAKES_FOLDER = "brings", "removes", "makes a folder of"
#: A folder that is implied, and one that is implied after what was there has been removed.
_FOLDER, _FOLDER_ANEW = (MAKES_FOLDER,), (MAKES_FOLDER, "anew")


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path on which layers contradict each other: numbers of the winning layer and, ascending, of the losing ones.

    ``outcome`` is what the winner says.
    """

    path: str
    winner: int
    losers: tuple[int, ...]
    outcome: str


class _Layer:
    """One layer's sayings, by folded path."""

    def __init__(self, records: Sequence[Record], fold: Callable[[str], str], skip: Collection[int]) -> None:
        self.brings: dict[str, tuple[Entry, tuple]] = {}
        self.removes: set[str] = set()
        self.leaves: set[str] = set()
        self.folders: set[str] = set()
        by_path = {fold(record.entry.path): record for record in records if record.entry.kind not in (WHITEOUT, HIVE)}
        for position, record in enumerate(records):
            entry, folded = record.entry, fold(record.entry.path)
            if position in skip:
                continue
            if entry.kind == WHITEOUT:
                self.removes.add(folded)
            elif entry.kind != HIVE:
                parts = folded.split("/")
                self.folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
                if entry.kind == DIRECTORY and entry.implied:
                    self.folders.add(folded)
                else:
                    target = by_path.get(fold(entry.link_target), record) if entry.kind == LINK else record
                    self.brings[folded] = (entry, content_identity(target))
                if is_leaf(entry):
                    self.leaves.add(folded)

    def saying(self, folded: str) -> tuple | None:
        """What this layer says about a path, comparable with what another says; None when it says nothing."""
        if folded in self.brings:
            return (BRINGS, *self.brings[folded][1])
        removed = folded in self.removes or self._removed_above(folded)
        if folded in self.folders:
            return _FOLDER_ANEW if removed else _FOLDER
        return (REMOVES,) if removed else None

    def _removed_above(self, folded: str) -> bool:
        parts = folded.split("/")
        above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        return any(folder in self.removes or folder in self.leaves for folder in above)


def content_identity(record: Record) -> tuple:
    """What makes two layers' entries for a path the same: content, metadata that lasts, but not the times."""
    entry = record.entry
    return (
        entry.kind,
        entry.attributes,
        entry.security,
        entry.size,
        entry.reparse,
        entry.eas,
        tuple(entry.streams),
        record.digest,
        tuple(record.stream_digests),
    )


class Plan:
    """The sayings of a stack, lowest layer first; ``fold`` folds a whole path as the volume does, ``knew`` are the numbers of the
    layers that each layer knew (none without it), ``skip`` holds (layer, position) of the entries that are not brought."""

    def __init__(
        self,
        stack: Sequence[Sequence[Record]],
        fold: Callable[[str], str],
        knew: Sequence[Collection[int]] | None = None,
        skip: Collection[tuple[int, int]] = (),
    ) -> None:
        self._fold = fold
        self._knew = knew or [()] * len(stack)
        self._layers = [
            _Layer(records, fold, {position for layer, position in skip if layer == number})
            for number, records in enumerate(stack)
        ]

    def conflicts(self) -> list[Conflict]:
        """Every path that a layer brings and on which another layer says something else, by path."""
        spelled: dict[str, str] = {}
        for layer in self._layers:
            for folded, (entry, _identity) in layer.brings.items():
                spelled[folded] = entry.path
        found = []
        for folded, path in spelled.items():
            sayings = self._sayings(folded)
            if len(sayings) < 2:
                continue
            states = _states([saying for _number, saying in sayings])
            replaced = {known for number, _saying in sayings for known in self._knew[number] if known < number}
            losers = tuple(
                number
                for (number, _saying), state in zip(sayings[:-1], states)
                if number not in replaced and not _fulfilled(state, states[-1])
            )
            winner, final = sayings[-1]
            if losers:
                found.append(Conflict(path, winner, losers, final[0]))
        return sorted(found, key=lambda conflict: conflict.path)

    def provenance(self, path: str) -> list[tuple[int, str]]:
        """(layer number, what it says) of every layer that says something about a path, the one that counts last."""
        folded = self._fold(path.replace("\\", "/").strip("/"))
        return [(number, saying[0]) for number, saying in self._sayings(folded)]

    def _sayings(self, folded: str) -> list[tuple[int, tuple]]:
        sayings = [(number, layer.saying(folded)) for number, layer in enumerate(self._layers)]
        return [(number, saying) for number, saying in sayings if saying is not None]


def _states(sayings: list[tuple]) -> list[tuple]:
    """What the path is after each saying; an implied folder leaves one that is there as it is."""
    states: list[tuple] = []
    for saying in sayings:
        before = states[-1] if states else None
        is_folder = before is not None and (before == _FOLDER or before[:2] == (BRINGS, DIRECTORY))
        states.append(before if saying == _FOLDER and is_folder else _FOLDER if saying == _FOLDER_ANEW else saying)
    return states


def _fulfilled(state: tuple, final: tuple) -> bool:
    """Whether what a layer made of a path is what it is in the end; a folder without metadata of its own is any folder."""
    return state == final or state == _FOLDER and final[:2] == (BRINGS, DIRECTORY)
