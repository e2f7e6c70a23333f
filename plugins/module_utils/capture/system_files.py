# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the paths of the files that servicing owns among the files that differ.

Servicing stores each file of Windows in a folder of a component below WinSxS, and gives it its other names by hard links
(Microsoft Learn, "Manage the Component Store"). The file records have all names of a file, so that no search is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..windows.component_store import is_component_path


@dataclass(frozen=True)
class ChangedNames:
    """The paths of a file before and after the change; both are empty if the file did not exist."""

    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass
class SystemFiles:
    """The folded paths of the files that servicing owns, and of the folders that lost such files."""

    paths: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)

    @classmethod
    def find(cls, changes: Iterable[ChangedNames], fold: Callable[[str], str]) -> SystemFiles:
        """Return the paths of system files that changed, were added, removed or replaced.

        Paths in the component store are left out: they are members of the database of servicing.
        A path belongs to servicing if the file that has or had it is stored in a component. If an installer puts a file
        of its own at such a path, the path still belongs to servicing. A name outside of the folder of Windows that an
        installer gave to a system file belongs to the installer.
        """
        found = cls()
        for names in changes:
            if not any(map(is_component_path, (*names.before, *names.after))):
                continue
            old = {fold(path) for path in names.before}
            after = [fold(path) for path in names.after]
            for path in old.difference(after):
                found.folders.update(_above(path))
            found.paths.update(old, (path for path in after if not old or path.startswith(_WINDOWS)))
        for paths in (found.paths, found.folders):
            paths.difference_update([path for path in paths if is_component_path(path)])
        return found

    def own(self, folded: str) -> bool:
        """Return whether servicing owns the file at a folded path, or had a file below the folder at that path."""
        return folded in self.paths or folded in self.folders


_WINDOWS = "WINDOWS/"


def _above(path: str) -> Iterable[str]:
    while path:
        path = path.rpartition("/")[0]
        if path:
            yield path
