# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file share that is a folder of this host: a local disk, or a mounted SMB or NFS share."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from ..common.atomic_files import atomic_file, no_space, sync_folder
from ..common.composer_paths import current_user, path_hint
from ..common.errors import Conflict, Corrupt, InvalidInput, NoSpace, NotFound, Unavailable
from . import share
from .share import Share, Status

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Bytes that are written before they are synced, as a server is asked to.
_UNSYNCED = 64 << 20


class _SyncedFile(io.FileIO):
    """A file that is created if it does not exist, and synced while it is written."""

    def __init__(self, path: str) -> None:
        super().__init__(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666), "r+b")
        self._unsynced = 0

    def write(self, data: ReadableBuffer) -> int:
        """Write all of ``data``."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            done += super().write(view[done:])
        self._unsynced += done
        if self._unsynced >= _UNSYNCED:
            os.fsync(self.fileno())
            self._unsynced = 0
        return done


class LocalShare(Share):
    """The folder ``root`` of this host. If it is ``confined``, links that lead out of it are refused."""

    def __init__(self, root: str, *, confined: bool = False) -> None:
        self._root = os.path.abspath(root)
        self._bounds = os.path.realpath(root) if confined else None
        self.name = root

    def where(self, path: str = "") -> str:
        return os.path.join(self.name, path) if path else self.name

    def folder(self, path: str) -> Share:
        if not path:
            return self
        subfolder = LocalShare(self._inside(path))
        subfolder._bounds = self._bounds  # pylint: disable=protected-access  # of the same class
        return subfolder

    def local_path(self, path: str) -> str | None:
        return self._inside(path)

    def missing(self) -> NotFound:
        if os.path.exists(self._root):
            return NotFound(
                f"The file share {self.name} is a file on the composer, not a folder.",
                code="shares.missing",
                hint="Set file_share to a folder.",
            )
        return NotFound(
            f"The file share {self.name} does not exist on the composer.",
            code="shares.missing",
            hint=f"{path_hint(self.name, 'file_share')}Mount the share on the composer, or correct file_share. The module "
            "strata.layering.file_share creates the folder if create is true.",
        )

    def check_writable(self) -> None:
        if not os.path.isdir(self._root):
            raise self.missing()
        if not os.access(self._root, os.W_OK | os.X_OK):
            raise Unavailable(
                f"The folder {self.name} is not writable by the user {current_user()}.",
                code="shares.denied",
                hint="Check the permissions of the folder and the options of its mount.",
            )

    def space(self) -> tuple[int, int]:
        volume = os.statvfs(self._root)
        return volume.f_bavail * volume.f_frsize, volume.f_blocks * volume.f_frsize

    def stat(self, path: str) -> Status | None:
        try:
            status = os.stat(self._inside(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Status(status.st_size, status.st_mtime_ns, stat.S_ISDIR(status.st_mode))

    def names(self, path: str = "") -> list[tuple[str, Status]]:
        entries = []
        for entry in os.scandir(self._inside(path)):
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat()
                entries.append((entry.name, Status(status.st_size, status.st_mtime_ns, entry.is_dir())))
        return entries

    def open(self, path: str) -> BinaryIO:
        return open(self._inside(path), "rb")

    def create(self, path: str, *, temporary: str | None = None) -> contextlib.AbstractContextManager[BinaryIO]:
        return atomic_file(self._inside(path), None, temporary=temporary)

    @contextlib.contextmanager
    def resume(self, path: str, temporary: str) -> Iterator[BinaryIO]:
        full = self._inside(path)
        name = os.path.join(os.path.dirname(full), temporary)
        try:
            with _SyncedFile(name) as stream:
                stream.seek(max(0, os.fstat(stream.fileno()).st_size - share.REWIND))
                yield stream
                os.fsync(stream.fileno())
            os.replace(name, full)
            sync_folder(os.path.dirname(full))
        except BaseException as error:
            full_disk = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            with contextlib.suppress(OSError):
                if full_disk or isinstance(error, (Corrupt, NoSpace)) or os.stat(name).st_size <= share.REWIND:
                    os.unlink(name)
            if full_disk:
                raise no_space(full) from error
            raise

    def create_new(self, path: str, data: bytes) -> bool:
        try:
            with open(self._inside(path), "xb") as stream:
                stream.write(data)
        except FileExistsError:
            return False
        return True

    def make_folders(self, path: str = "") -> None:
        folder = self._inside(path)
        try:
            os.makedirs(folder, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise Conflict(
                f"The folder {folder} cannot be created: a part of its path is not a folder.",
                code="shares.kind",
                hint="Set a path whose parents are folders, or remove the file that is in the way.",
            ) from error
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            raise Unavailable(
                f"The folder {folder} cannot be created by the user {current_user()}: {error.strerror}.",
                code="shares.denied",
                hint=f"Give the user write access to {os.path.dirname(error.filename or folder)}.",
            ) from error

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
        """Return the path on this host; raise InvalidInput if it leads out of the share."""
        if not path:
            return self._root
        if ".." in path.split("/") or os.path.isabs(path):
            raise InvalidInput(
                f"The path '{path}' leads out of the file share {self.name}.",
                code="shares.outside",
                hint="Set a path below the share, without '..'.",
            )
        full = os.path.join(self._root, path)
        if self._bounds is not None and os.path.commonpath((self._bounds, os.path.realpath(full))) != self._bounds:
            raise InvalidInput(
                f"The link {full} leads out of the file share {self._bounds}.",
                code="shares.outside",
                hint="Replace the link with the file or folder itself.",
            )
        return full


def as_share(folder: Share | str) -> Share:
    """Return a share as it is, and a folder of this host as a share."""
    return folder if isinstance(folder, Share) else LocalShare(folder)
