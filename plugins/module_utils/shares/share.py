# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface of a file share: a folder that holds a few large files and their folders.

All paths are relative to the share and written with slashes; "" is the share's own folder. A missing file
raises FileNotFoundError or is reported as None. Refused operations raise a StrataError; failures of a local
file system raise OSError.
"""

from __future__ import annotations

import abc
import contextlib
from dataclasses import dataclass
from typing import BinaryIO, Self

from ..common.errors import NotFound

#: Bytes at the end of a temporary file that are written again: up to 64 MiB may be written before they are flushed, and
#: requests for 8 MiB are in flight.
REWIND = 72 << 20


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a file or folder: ``size`` in bytes, ``mtime_ns`` in nanoseconds since 1970."""

    size: int
    mtime_ns: int
    is_folder: bool


class Share(abc.ABC):
    """A file share, or a folder on it. ``name`` identifies it in error messages.

    As a context manager it closes its connection at the end, if it has one.
    """

    name: str

    @abc.abstractmethod
    def where(self, path: str = "") -> str:
        """Return the full location of ``path``: a path of this host, or //server/share/path."""

    @abc.abstractmethod
    def folder(self, path: str) -> Share:
        """Return the folder ``path`` as a share; it need not exist. Both use the same connection."""

    @abc.abstractmethod
    def local_path(self, path: str) -> str | None:
        """Return the path on this host for readers that need a real file; None for an SMB share."""

    @abc.abstractmethod
    def missing(self) -> NotFound:
        """Return the error (``shares.missing``) for a share whose own folder does not exist."""

    @abc.abstractmethod
    def check_writable(self) -> None:
        """Check that files can be created in the share's folder.

        Raises:
            Unavailable: ``shares.denied`` if they cannot be created.
            NotFound: ``shares.missing`` if the folder does not exist.
        """

    @abc.abstractmethod
    def space(self) -> tuple[int, int]:
        """Return the bytes that this user may still write, and the size of the file system in bytes."""

    @abc.abstractmethod
    def stat(self, path: str) -> Status | None:
        """Return the status of ``path``; None if it does not exist."""

    @abc.abstractmethod
    def names(self, path: str = "") -> list[tuple[str, Status]]:
        """Return the files and folders in the folder ``path``.

        Raises:
            FileNotFoundError: if the folder does not exist.
        """

    @abc.abstractmethod
    def open(self, path: str) -> BinaryIO:
        """Open a file for reading; the stream is seekable.

        Raises:
            FileNotFoundError: if the file does not exist.
        """

    @abc.abstractmethod
    def create(self, path: str, *, temporary: str | None = None) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open a binary file for writing that gets the name ``path`` at the end of the block.

        If the block raises, the file is removed. Until then it has the name ``temporary`` in the same folder,
        by default a name with ``TEMPORARY_PREFIX``. A killed process or a lost server leaves the temporary
        file behind; the caller removes it later.

        Raises:
            NoSpace: ``common.files_no_space`` or ``shares.files_no_space`` if the share is full.
        """

    @abc.abstractmethod
    def resume(self, path: str, temporary: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """Continue to write the file ``temporary``, which gets the name ``path`` at the end of the block.

        The stream starts behind the bytes that an earlier, killed or failed call certainly wrote: all but the last
        ``REWIND`` bytes, which a lost connection or a power failure may have damaged. The block must write the rest of
        the same content. Several processes may do so at the same time, because they write the same bytes.

        The temporary file remains if the block raises, except for NoSpace and Corrupt, or if it is too small to be of use.

        Raises:
            NoSpace: as ``create``.
        """

    @abc.abstractmethod
    def create_new(self, path: str, data: bytes) -> bool:
        """Create a file with a few bytes; return False if a file of this name exists.

        Of several processes that create the file at the same time, only one succeeds. If the connection to a server
        is lost during the call, False may also be returned for a file that this call created.
        """

    @abc.abstractmethod
    def make_folders(self, path: str = "") -> None:
        """Create the folder ``path`` and its missing parents, up to and including the share's own folder."""

    @abc.abstractmethod
    def remove(self, path: str) -> bool:
        """Remove a file; return False if it does not exist."""

    @abc.abstractmethod
    def remove_folder(self, path: str = "") -> bool:
        """Remove a folder if it is empty; return False if it does not exist or is not empty."""

    def close(self) -> None:
        """Close the connection; the next use of the share opens a new connection."""

    def is_folder(self, path: str = "") -> bool:
        """Return whether ``path`` is a folder."""
        status = self.stat(path)
        return status is not None and status.is_folder

    def is_file(self, path: str) -> bool:
        """Return whether ``path`` is a file."""
        status = self.stat(path)
        return status is not None and not status.is_folder

    def read(self, path: str, limit: int) -> bytes:
        """Return the first ``limit`` bytes of a file."""
        with self.open(path) as stream:
            return stream.read(limit)

    def write(self, path: str, data: bytes) -> None:
        """Write ``data`` as the file ``path``, completely or not at all."""
        with self.create(path) as stream:
            stream.write(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def parent_of(path: str) -> str:
    """Return the path of the folder that contains ``path``."""
    return path.rpartition("/")[0]


def join(*parts: str) -> str:
    """Join the parts of a path; empty parts are skipped."""
    return "/".join(part for part in parts if part)
