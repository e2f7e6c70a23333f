# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a folder that cannot be in a layer, reported all at once with what to do about them."""

from __future__ import annotations

import errno

from ..common.composer_paths import current_user
from ..common.errors import InvalidInput
from .entry import printable

_LISTED = 20
_RENAME = "Rename or remove the listed files and paths, then run again."
_CONVERT = "Convert the names to UTF-8, such as with 'convmv -f cp1252 -t utf8 -r --notest FOLDER'."
_MOUNT = "Check the mount and the disk of the folder."


class FolderProblems:
    """Why files cannot be in a layer, and what to do about them."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._hints: dict[str, None] = {}

    def add(self, text: str, hint: str = _RENAME) -> None:
        self._texts.append(text)
        self._hints[hint] = None

    def add_name(self, path: str, problem: str) -> None:
        """Add a problem with the name of a file."""
        self.add(f"{printable(path)} {problem}", _CONVERT if problem.startswith("is not UTF-8") else _RENAME)

    def add_unreadable(self, path: str, error: OSError) -> None:
        """Add a file or folder that cannot be read."""
        hint = _MOUNT
        if error.errno in (errno.EACCES, errno.EPERM):
            hint = f"Grant the user {current_user()} read access to the listed files and folders."
        self.add(f"{printable(path) or 'the folder itself'} cannot be read ({error.strerror})", hint)

    def refuse(self, subject: str) -> None:
        """Raise InvalidInput layers.folder if there are problems."""
        if not self._texts:
            return
        shown = "; ".join(self._texts[:_LISTED])
        more = f"; and {len(self._texts) - _LISTED} more" if len(self._texts) > _LISTED else ""
        raise InvalidInput(
            f"{subject} cannot be converted to a layer: {shown}{more}.",
            code="layers.folder",
            hint=" ".join(self._hints),
            problems=self._texts[:1000],
        )
