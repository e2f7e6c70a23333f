# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file share that this host sees as a folder: a local disk, or a mounted SMB or NFS share."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import BinaryIO

from ..common.atomic_files import atomic_file
from ..common.errors import InvalidInput, NotFound, Unavailable
from .share import Share, Status


class LocalShare(Share):
    """The folder ``root`` of this host; where it is ``confined``, links do not lead out of it."""

    def __init__(self, root: str, *, confined: bool = False) -> None:
        self._root = os.path.abspath(root)
        self._bounds = os.path.realpath(root) if confined else None
        self.name = root

    def where(self, path: str = "") -> str:
        return os.path.join(self.name, path) if path else self.name

    def folder(self, path: str) -> Share:
        if not path:
            return self
        below = LocalShare(self._inside(path))
        below._bounds = self._bounds  # pylint: disable=protected-access  # its own kind's
        return below

    def local_path(self, path: str) -> str | None:
        return self._inside(path)

    def check_writable(self) -> None:
        if not os.path.isdir(self._root):
            raise missing(self.name)
        if not os.access(self._root, os.W_OK | os.X_OK):
            raise Unavailable(
                f"Nothing can be written to {self.name}.",
                code="shares.denied",
                hint="Check the folder's permissions and its mount.",
            )

    def space(self) -> tuple[int, int]:
        found = os.statvfs(self._root)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize

    def stat(self, path: str) -> Status | None:
        try:
            found = os.stat(self._inside(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Status(found.st_size, found.st_mtime_ns, stat.S_ISDIR(found.st_mode))

    def names(self, path: str = "") -> list[tuple[str, Status]]:
        found = []
        for entry in os.scandir(self._inside(path)):
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat()
                found.append((entry.name, Status(status.st_size, status.st_mtime_ns, entry.is_dir())))
        return found

    def open(self, path: str) -> BinaryIO:
        return open(self._inside(path), "rb")

    def create(self, path: str, *, temporary: str | None = None) -> contextlib.AbstractContextManager[BinaryIO]:
        return atomic_file(self._inside(path), None, temporary=temporary)

    def make_folders(self, path: str = "") -> None:
        os.makedirs(self._inside(path), exist_ok=True)

    def remove(self, path: str) -> bool:
        try:
            os.unlink(self._inside(path))
        except FileNotFoundError:
            return False
        return True

    def remove_folder(self, path: str = "") -> bool:
        try:
            os.rmdir(self._inside(path))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
                return False
            raise
        return True

    def _inside(self, path: str) -> str:
        """The path on this host; InvalidInput when it leads out of the share."""
        if not path:
            return self._root
        if ".." in path.split("/") or os.path.isabs(path):
            raise InvalidInput(
                f"{path} leads out of the file share {self.name}.",
                code="shares.outside",
                hint="Give a path within the share, without '..'.",
            )
        full = os.path.join(self._root, path)
        if self._bounds is not None and os.path.commonpath((self._bounds, os.path.realpath(full))) != self._bounds:
            raise InvalidInput(
                f"The link {full} leads out of the file share {self._bounds}.",
                code="shares.outside",
                hint="Put the file itself where the link is.",
            )
        return full


def missing(name: str) -> NotFound:
    """The error for a share whose folder is not there."""
    return NotFound(
        f"The file share {name} is not there.",
        code="shares.missing",
        hint="Mount it on the composer, or create the folder.",
    )


def as_share(folder: Share | str) -> Share:
    """A share, or a folder of this host as one."""
    return folder if isinstance(folder, Share) else LocalShare(folder)
