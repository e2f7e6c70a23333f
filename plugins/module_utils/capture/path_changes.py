# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The paths that a layer adds or removes, and rules about paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..images.stack.stack_merge import MAX_DEPTH
from ..layers.entry import component_problem, path_problem
from ..ntfs.file_state import Name


@dataclass(slots=True)
class Taken:
    """A path that the layer contains: the file's reference and its name there. ``existed``: the path existed before."""

    path: str
    reference: int
    name: Name
    is_directory: bool
    existed: bool


@dataclass
class PathChanges:
    """The changes of paths, by folded path.

    ``touched_hives`` are folded paths of changed hives. ``respelled`` lists folders of which only the case of the
    name changed; the layer does not change it. ``completed`` lists files whose security descriptor was completed.
    """

    taken: dict[str, Taken] = field(default_factory=dict)
    whiteouts: dict[str, str] = field(default_factory=dict)
    touched_hives: set[str] = field(default_factory=set)
    respelled: list[str] = field(default_factory=list)
    completed: list[str] = field(default_factory=list)
    removed_files: int = 0


def path_problem_of(path: str) -> str | None:
    """Return why a layer cannot contain a path, or None."""
    if path.count("/") >= MAX_DEPTH:
        return f"has more than {MAX_DEPTH} levels of folders"
    return path_problem(path, component_problem)


def starts(path: str) -> list[str]:
    """Return the paths of the folders above a path, the topmost first, and the path itself."""
    return [*ancestors(path)][::-1] + [path]


def ancestors(path: str) -> Iterator[str]:
    """Yield the paths of the folders above a path, the lowest first."""
    position = path.rfind("/")
    while position > 0:
        yield path[:position]
        position = path.rfind("/", 0, position)
