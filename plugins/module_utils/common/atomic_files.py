# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear whole or not at all: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import secrets
from collections.abc import Iterator
from typing import BinaryIO

from .errors import NoSpace

#: Every temporary file that may be left by a killed process carries this prefix; the
#: repository's collection removes what is older than its grace time.
TEMPORARY_PREFIX = ".strata-tmp-"
#: Seconds after which a temporary file that did not change belongs to nobody.
ABANDONED = 24 * 3600


def sync_folder(folder: str) -> None:
    """Make renames inside ``folder`` durable; file systems that cannot do so are tolerated."""
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
    """Open a binary file that becomes ``path`` when the block ends, and vanishes if it raises.

    ``mode`` None leaves the rights to the umask and the file system. Until it is whole the file has
    the name ``temporary`` in the same folder; by default one with TEMPORARY_PREFIX that no other has.
    Raises NoSpace when the disk or quota is full; other OSErrors pass through.
    """
    folder = os.path.dirname(os.path.abspath(path))
    name = os.path.join(folder, temporary or f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
    try:
        # With a mode of its own nobody else may look into it before that is set.
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
            raise NoSpace(
                f"No space is left for {os.path.basename(path)} in {folder}.",
                code="common.files_no_space",
                hint="Free space on that file system and run again.",
                path=path,
            ) from error
        raise


def atomic_write(path: str, data: bytes, mode: int = 0o644) -> None:
    """Write ``data`` as ``path``, whole or not at all."""
    with atomic_file(path, mode) as stream:
        stream.write(data)
