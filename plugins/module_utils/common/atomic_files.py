# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write files completely or not at all: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import secrets
from collections.abc import Iterator
from typing import BinaryIO

from .composer_paths import TEMPORARY_PREFIX
from .errors import NoSpace

#: A temporary file that did not change for this number of seconds is abandoned.
ABANDONED = 24 * 3600


def sync_folder(folder: str) -> None:
    """Make renames inside ``folder`` durable; file systems without this function are tolerated."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_file(path: str, mode: int | None = 0o644, *, temporary: str | None = None) -> Iterator[BinaryIO]:
    """Open a binary file for writing that gets the name ``path`` at the end of the block.

    If the block raises, the file is removed. Until the end it has the name ``temporary`` in the same folder,
    by default a unique name with TEMPORARY_PREFIX. With ``mode`` None, the umask and the file system decide
    the permissions.

    Raises:
        NoSpace: ``common.files_no_space`` if the disk or the quota is full.
        OSError: other failures of the file system.
    """
    folder = os.path.dirname(os.path.abspath(path))
    name = os.path.join(folder, temporary or f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
    try:
        # If a mode is requested, other users must not read the file before the mode is set.
        with open(name, "w+b", opener=functools.partial(os.open, mode=0o666 if mode is None else 0o600)) as stream:
            yield stream
            stream.flush()
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(name, path)
        sync_folder(folder)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_space(path) from error
        raise


def no_space(path: str) -> NoSpace:
    """Return the error for a disk or quota that is too full for the file ``path``."""
    return NoSpace(
        f"The file system of {os.path.dirname(os.path.abspath(path))} has no space left for {os.path.basename(path)}.",
        code="common.files_no_space",
        hint="Free space on this file system and run again.",
        path=path,
    )


def atomic_write(path: str, data: bytes, mode: int = 0o644) -> None:
    """Write ``data`` as ``path``, completely or not at all."""
    with atomic_file(path, mode) as stream:
        stream.write(data)
