# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file share is to the rest of the collection: a place for a few large files and their folders.

All paths are relative to the share and written with slashes; "" is the share's own folder. What
is missing raises FileNotFoundError or is None; what stands against an operation is an error of the
family, and errors of a local file system are its OSErrors.
"""

from __future__ import annotations

import abc
import contextlib
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class Status:
    """A file or folder: ``size`` in bytes, ``mtime_ns`` since 1970."""

    size: int
    mtime_ns: int
    is_folder: bool


class Share(abc.ABC):
    """A file share, or a folder of one. ``name`` is what error messages call it.

    A context manager: leaving it ends its connection, if it has one.
    """

    name: str

    @abc.abstractmethod
    def where(self, path: str = "") -> str:
        """The path as people write it: on a local share a path of this host, else //server/share/path."""

    @abc.abstractmethod
    def folder(self, path: str) -> Share:
        """The folder ``path`` as a share of its own; it need not exist. Both share a connection."""

    @abc.abstractmethod
    def local_path(self, path: str) -> str | None:
        """The path on this host for readers that need a real file; None when the share is spoken to directly."""

    @abc.abstractmethod
    def check_writable(self) -> None:
        """Raise Unavailable "share.denied" when nothing could be created in the share's folder; NotFound when it is missing."""

    @abc.abstractmethod
    def space(self) -> tuple[int, int]:
        """Bytes that are free for this user, and bytes in all."""

    @abc.abstractmethod
    def stat(self, path: str) -> Status | None:
        """What ``path`` is, None when it does not exist."""

    @abc.abstractmethod
    def names(self, path: str = "") -> list[tuple[str, Status]]:
        """The files and folders in the folder ``path``; FileNotFoundError when there is none."""

    @abc.abstractmethod
    def open(self, path: str) -> BinaryIO:
        """Open a file for reading; seekable. FileNotFoundError when it is missing."""

    @abc.abstractmethod
    def create(self, path: str, *, temporary: str | None = None) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open a binary file that becomes ``path`` when the block ends, and vanishes if it raises.

        It is written under the name ``temporary`` in the same folder, which a killed process, or
        a server that went away, leaves behind for the caller to remove; by default under a name
        with ``TEMPORARY_PREFIX``. Raises NoSpace when the share is full.
        """

    @abc.abstractmethod
    def make_folders(self, path: str = "") -> None:
        """Make the folder ``path`` and those above it, up to and with the share's own, where they are missing."""

    @abc.abstractmethod
    def remove(self, path: str) -> bool:
        """Remove a file; False when there is none."""

    @abc.abstractmethod
    def remove_folder(self, path: str = "") -> bool:
        """Remove a folder if it is empty; False when it is not there or not empty."""

    def close(self) -> None:
        """End the connection; using the share again makes a new one."""

    def is_folder(self, path: str = "") -> bool:
        """Whether ``path`` is a folder."""
        status = self.stat(path)
        return status is not None and status.is_folder

    def is_file(self, path: str) -> bool:
        """Whether ``path`` is a file."""
        status = self.stat(path)
        return status is not None and not status.is_folder

    def read(self, path: str, limit: int) -> bytes:
        """The first ``limit`` bytes of a file."""
        with self.open(path) as stream:
            return stream.read(limit)

    def write(self, path: str, data: bytes) -> None:
        """Write ``data`` as the file ``path``, whole or not at all."""
        with self.create(path) as stream:
            stream.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def parent_of(path: str) -> str:
    """The path of the folder that ``path`` is in."""
    return path.rpartition("/")[0]


def join(*parts: str) -> str:
    """Put the parts of a path together; empty ones count for nothing."""
    return "/".join(part for part in parts if part)
