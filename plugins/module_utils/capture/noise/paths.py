# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove from the paths that a layer would take those that Windows changes by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ...layers.entry import printable
from ...ntfs.volume import Volume
from ..path_changes import PathChanges, Taken
from . import file_content
from .noise_profile import ADDED, CHANGED, DATA, DIRECTORY, FILE, REMOVED, NoiseProfile, PathNoise
from .similarity import is_settings, is_settled, shape_of_path
from .subtraction import REASON, Subtraction, Verdict

#: Folders in which Windows creates files under generated names; elsewhere such names are those of programs.
_GENERATING = ("windows/", "programdata/microsoft/")
#: Folders below in which installers create files under generated names.
_OF_INSTALLERS = ("windows/installer/", "windows/assembly/", "windows/microsoft.net/assembly/", "windows/winsxs/")


class PathSubtraction:
    """Compares the paths of a capture with a noise profile. ``old`` and ``new`` are the volumes, ``fold`` folds a path."""

    def __init__(self, profile: NoiseProfile, old: Volume, new: Volume, fold: Callable[[str], str]) -> None:
        self._profile = profile
        self._old, self._new, self._fold = old, new, fold
        self._by_shape = profile.by_shape()
        self._verdicts: dict[str, Verdict] = {}

    def apply(self, changes: PathChanges, state: Subtraction) -> None:
        """Remove paths and removals from ``changes`` and report them."""
        varying = self._remove_files(changes, state)
        self._remove_directories(changes, state)
        for folded, path in list(changes.whiteouts.items()):
            noise = self._profile.paths.get(folded)
            if noise is None or noise.change != REMOVED or state.overrides.file(path):
                continue
            del changes.whiteouts[folded]
            changes.removed_files -= noise.kind == FILE
            state.left_out.add("removal", REASON, printable(path))
        # A file that differs from that of the profile, next to files of the installer, may be a file of the installer.
        folders = {folded.rpartition("/")[0] for folded, taken in changes.taken.items() if not taken.is_directory}
        state.doubtful += [
            f"file {printable(path)}" for path in varying if self._fold(path).rpartition("/")[0] in folders
        ]

    def _remove_files(self, changes: PathChanges, state: Subtraction) -> list[str]:
        """Remove files, each with all its names or not at all; return those that vary."""
        names: dict[int, list[tuple[str, Taken]]] = {}
        for folded, taken in changes.taken.items():
            if not taken.is_directory:
                names.setdefault(taken.reference, []).append((folded, taken))
        varying: list[str] = []
        for group in names.values():
            verdicts = [self._file_verdict(folded, taken) for folded, taken in group]
            if Verdict.KEPT in verdicts or any(state.overrides.file(taken.path) for _folded, taken in group):
                continue
            for (folded, taken), verdict in zip(group, verdicts):
                del changes.taken[folded]
                state.left_out.add("file", REASON, printable(taken.path))
                if verdict is Verdict.VARIES:
                    varying.append(taken.path)
        return varying

    def _remove_directories(self, changes: PathChanges, state: Subtraction) -> None:
        """Remove folders; those on the way to a file that is taken are created anyway."""
        needed = {
            above for folded, taken in changes.taken.items() if not taken.is_directory for above in _above(folded)
        }
        for folded, taken in list(changes.taken.items()):
            if not taken.is_directory or state.overrides.file(taken.path):
                continue
            noise = self._profile.paths.get(folded)
            if noise is None and (folded in needed or not self._candidates(taken)):
                continue
            if noise is None or self._directory_verdict(taken, noise) is Verdict.EQUAL:
                del changes.taken[folded]
                state.left_out.add("file", REASON, printable(taken.path))

    def _directory_verdict(self, taken: Taken, noise: PathNoise) -> Verdict:
        if noise.kind != DIRECTORY:
            return Verdict.KEPT
        if not taken.existed:
            return Verdict.EQUAL if noise.change == ADDED else Verdict.KEPT
        if noise.change != CHANGED:
            return Verdict.KEPT
        aspects = self._aspects(taken)
        return Verdict.EQUAL if aspects is not None and set(aspects) <= set(noise.aspects) else Verdict.KEPT

    def _file_verdict(self, folded: str, taken: Taken) -> Verdict:
        verdict = self._verdicts.get(folded)
        if verdict is None:
            noise = self._profile.paths.get(folded)
            verdict = self._generated_file(taken) if noise is None else self._known_file(taken, noise)
            self._verdicts[folded] = verdict
        return verdict

    def _known_file(self, taken: Taken, noise: PathNoise) -> Verdict:
        """Return the verdict about a file whose path the profile has."""
        if noise.kind != FILE or noise.change != (CHANGED if taken.existed else ADDED):
            return Verdict.KEPT
        if taken.existed:
            aspects = self._aspects(taken)
            if aspects is None or not set(aspects) <= set(noise.aspects):
                return Verdict.KEPT
            if DATA not in aspects:
                return Verdict.EQUAL
        return self._content_verdict(taken, [noise])

    def _generated_file(self, taken: Taken) -> Verdict:
        """Return the verdict about a file whose path differs from a path of the profile only in generated parts."""
        candidates = self._candidates(taken)
        return self._content_verdict(taken, candidates) if candidates else Verdict.KEPT

    def _candidates(self, taken: Taken) -> list[PathNoise]:
        """Return the paths of the profile that differ from a new path only in generated parts."""
        lowered = taken.path.lower()
        if taken.existed or not lowered.startswith(_GENERATING) or lowered.startswith(_OF_INSTALLERS):
            return []
        shape = shape_of_path(taken.path)
        kind = DIRECTORY if taken.is_directory else FILE
        return [noise for noise in self._by_shape.get(shape, []) if noise.kind == kind] if shape is not None else []

    def _content_verdict(self, taken: Taken, candidates: list[PathNoise]) -> Verdict:
        with self._new.open(taken.reference) as node:
            digest = file_content.content_digest(node)
            if digest is not None and any(noise.content == digest for noise in candidates):
                return Verdict.EQUAL
            shape = file_content.shape_digest(node)
            if shape is not None and any(noise.shape == shape for noise in candidates):
                return Verdict.EQUAL
            if is_settings(taken.path) or is_settled(taken.path, file_content.start_of(node, 2)):
                return Verdict.KEPT
        return Verdict.VARIES

    def _aspects(self, taken: Taken) -> tuple[str, ...] | None:
        before = self._old.find(taken.path)
        if before is None:
            return None
        with before, self._new.open(taken.reference) as after:
            return file_content.aspects_of(before, after) if before.is_directory == after.is_directory else None


def _above(path: str) -> Iterator[str]:
    """Yield the folders above a path."""
    while path := path.rpartition("/")[0]:
        yield path
