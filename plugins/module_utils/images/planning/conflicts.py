# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conflicts: which layers claim the same path, which layer wins, and from which layer a path comes.

A layer *claims* a path if it provides it (implied folders do not count), removes it or a folder above
it, puts a file in place of a folder above it, or creates a folder there. The last layer that claims a
path wins. The others lose, unless they claim the same: the same content with the same metadata. A
layer's claim is not a conflict with a later claim of a layer that was built on it, that is, whose
packaging VM contained it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ...layers.entry import DIRECTORY, HIVE, LINK, WHITEOUT, Entry
from ...layers.extended_attributes import without_kernel_eas
from ...layers.file_index import Record
from ..stack.node_writer import attributes_of
from ..stack.stack_merge import is_leaf

#: The kinds of claims of a layer about a path.
BRINGS, REMOVES, MAKES_FOLDER = "brings", "removes", "makes a folder of"
#: A claim: one of the above, followed by what makes it comparable with other claims.
Claim = tuple
#: An implied folder, and an implied folder after the same layer removed the path.
_FOLDER: Claim = (MAKES_FOLDER,)
_NEW_FOLDER: Claim = (MAKES_FOLDER, "new")


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path on which layers contradict each other: numbers of the winner and, ascending, of the losers.

    ``outcome`` is the claim of the winner.
    """

    path: str
    winner: int
    losers: tuple[int, ...]
    outcome: str


class _Layer:
    """The claims of a layer, by folded path."""

    def __init__(self, records: Sequence[Record], fold: Callable[[str], str], skipped: Collection[int]) -> None:
        self.provided: dict[str, tuple[Entry, tuple]] = {}
        self._removed: set[str] = set()
        self._leaves: set[str] = set()
        self._folders: set[str] = set()
        by_path = {fold(record.entry.path): record for record in records if record.entry.kind not in (WHITEOUT, HIVE)}
        for position, record in enumerate(records):
            entry, folded = record.entry, fold(record.entry.path)
            if position in skipped:
                continue
            if entry.kind == WHITEOUT:
                self._removed.add(folded)
            elif entry.kind != HIVE:
                parts = folded.split("/")
                self._folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
                if entry.kind == DIRECTORY and entry.implied:
                    self._folders.add(folded)
                else:
                    target = by_path.get(fold(entry.link_target or ""), record) if entry.kind == LINK else record
                    self.provided[folded] = (entry, content_identity(target))
                if is_leaf(entry):
                    self._leaves.add(folded)

    def claim(self, folded: str) -> Claim | None:
        """Return the claim of this layer about a path, None if it has none."""
        if folded in self.provided:
            return (BRINGS, *self.provided[folded][1])
        is_removed = folded in self._removed or self._is_removed_above(folded)
        if folded in self._folders:
            return _NEW_FOLDER if is_removed else _FOLDER
        return (REMOVES,) if is_removed else None

    def _is_removed_above(self, folded: str) -> bool:
        parts = folded.split("/")
        above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        return any(folder in self._removed or folder in self._leaves for folder in above)


def content_identity(record: Record) -> tuple:
    """Return what makes the entries of two layers for a path equal: content and metadata, without the times.

    Extended attributes of the kernel do not count: they are not written to images.
    """
    entry = record.entry
    return (
        entry.kind,
        attributes_of(entry),
        entry.security,
        entry.size,
        entry.reparse,
        without_kernel_eas(entry.eas),
        tuple(entry.streams),
        record.digest,
        tuple(record.stream_digests),
    )


class StackClaims:
    """The claims of a stack, lowest layer first.

    ``fold`` folds a whole path as the volume does. ``built_on`` holds, for each layer, the numbers of the
    layers on which it was built. ``skipped`` holds (layer, position) of entries that are not applied.
    """

    def __init__(
        self,
        stack: Sequence[Sequence[Record]],
        fold: Callable[[str], str],
        built_on: Sequence[Collection[int]] | None = None,
        skipped: Collection[tuple[int, int]] = (),
    ) -> None:
        self._fold = fold
        self._built_on: Sequence[Collection[int]] = built_on or [()] * len(stack)
        self._layers = [
            _Layer(records, fold, {position for layer, position in skipped if layer == number})
            for number, records in enumerate(stack)
        ]

    def conflicts(self) -> list[Conflict]:
        """Return every path that a layer provides and about which another layer claims something else, by path."""
        spelled = {
            folded: entry.path for layer in self._layers for folded, (entry, _identity) in layer.provided.items()
        }
        conflicts = []
        for folded, path in spelled.items():
            claims = self._claims(folded)
            if len(claims) < 2:
                continue
            states = _states([claim for _number, claim in claims])
            superseded = {below for number, _claim in claims for below in self._built_on[number] if below < number}
            losers = tuple(
                number
                for (number, _claim), state in zip(claims[:-1], states)
                if number not in superseded and not _is_fulfilled(state, states[-1])
            )
            winner, final = claims[-1]
            if losers:
                conflicts.append(Conflict(path, winner, losers, final[0]))
        return sorted(conflicts, key=lambda conflict: conflict.path)

    def provenance(self, path: str) -> list[tuple[int, str]]:
        """Return (layer number, claim) of every layer that claims a path; the last claim wins."""
        folded = self._fold(path.replace("\\", "/").strip("/"))
        return [(number, claim[0]) for number, claim in self._claims(folded)]

    def _claims(self, folded: str) -> list[tuple[int, Claim]]:
        claims = [(number, layer.claim(folded)) for number, layer in enumerate(self._layers)]
        return [(number, claim) for number, claim in claims if claim is not None]


def _states(claims: list[Claim]) -> list[Claim]:
    """Return the state of the path after each claim; an implied folder does not change an existing folder."""
    states: list[Claim] = []
    for claim in claims:
        state = claim
        if claim == _NEW_FOLDER:
            state = _FOLDER
        elif claim == _FOLDER and states and (states[-1] == _FOLDER or states[-1][:2] == (BRINGS, DIRECTORY)):
            state = states[-1]
        states.append(state)
    return states


def _is_fulfilled(state: Claim, final: Claim) -> bool:
    """Return whether the state after a layer is the final state; any folder fulfills a folder without metadata."""
    return state == final or (state == _FOLDER and final[:2] == (BRINGS, DIRECTORY))
