# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that is downloaded in segments, in any order and over several runs.

Next to ``TARGET``, ``TARGET.part`` has the bytes. ``TARGET.segments`` has a line of JSON with digest, size and segment size, and then
a line with the number of each segment that is complete. A segment is written before its line, and a line that is incomplete is
ignored. After a power failure a listed segment may still be damaged: the digest of the whole file decides.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import threading
from types import TracebackType
from typing import Self

from ...common.atomic_files import sync_folder
from ...common.errors import Conflict, NoSpace, StrataError, composer_error

#: Bytes of the list of segments.
_LONGEST_LIST = 16 << 20


class PartialFile:
    """The segments of a blob on disk. Use it as a context manager; several threads may write different segments."""

    def __init__(self, target: str, digest: str, size: int, segment: int) -> None:
        """Open what a run has left for the same blob, or begin a new file.

        Raises:
            Conflict: ``oci_registry.download_busy`` if another process downloads to the same target.
            NoSpace: ``oci_registry.no_space``.
            StrataError: ``common.host_io`` for other failures of the file system.
        """
        self._target = target
        self._digest = digest
        self.path, self._list_path = f"{target}.part", f"{target}.segments"
        self.size = size
        self.segment = segment
        self.count = -(-size // segment)
        self._head = json.dumps({"digest": digest, "size": size, "segment": segment}).encode() + b"\n"
        self._lock = threading.Lock()
        self.done: set[int] = set()
        self._list = self._data = -1
        try:
            self._open()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise self.failed(error) from error
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; they stay for the next run."""
        for descriptor in (self._list, self._data):
            if descriptor >= 0:
                os.close(descriptor)
        self._list = self._data = -1

    def bounds(self, number: int) -> tuple[int, int]:
        """Return offset and end of a segment in bytes."""
        return number * self.segment, min((number + 1) * self.segment, self.size)

    def opened(self) -> int:
        """Return a new descriptor of the data for a thread, which closes it."""
        try:
            return os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise self.failed(error) from error

    def write(self, descriptor: int, data: bytes, offset: int) -> None:
        """Write bytes at an offset."""
        view = memoryview(data)
        try:
            while view:
                count = os.pwrite(descriptor, view, offset)
                view, offset = view[count:], offset + count
        except OSError as error:
            raise self.failed(error) from error

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Fill a buffer with bytes that were written; return their number."""
        try:
            return os.preadv(self._data, [buffer], offset)
        except OSError as error:
            raise self.failed(error) from error

    def mark(self, number: int) -> None:
        """Record that a segment is complete."""
        with self._lock:
            self.done.add(number)
            try:
                os.write(self._list, b"%d\n" % number)
            except OSError as error:
                raise self.failed(error) from error

    def reset(self) -> None:
        """Forget all segments."""
        with self._lock:
            self.done.clear()
            try:
                os.ftruncate(self._list, 0)
                os.write(self._list, self._head)
                os.ftruncate(self._data, 0)
                os.ftruncate(self._data, self.size)
            except OSError as error:
                raise self.failed(error) from error

    def is_finished(self) -> bool:
        """Return whether the target exists and has the digest."""
        try:
            with open(self._target, "rb") as stream:
                if os.fstat(stream.fileno()).st_size != self.size:
                    return False
                return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}" == self._digest
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self.failed(error) from error

    def finish(self) -> None:
        """Give the complete file its name."""
        try:
            os.fsync(self._data)
            os.replace(self.path, self._target)
            sync_folder(os.path.dirname(os.path.abspath(self._target)))
            os.unlink(self._list_path)
        except OSError as error:
            raise self.failed(error) from error

    def remove(self) -> None:
        """Remove the files: their content cannot be used."""
        for path in (self.path, self._list_path):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def failed(self, error: OSError) -> StrataError:
        """Return the engine's error for a failure of the file system."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            folder = os.path.dirname(os.path.abspath(self._target))
            return NoSpace(
                f"The file system of {folder} has no space left for a blob of {self.size} bytes.",
                code="oci_registry.no_space",
                hint="Free space on this file system and run again: the download resumes.",
                bytes=self.size,
            )
        error.filename = error.filename or self.path
        return composer_error(error)

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._list = os.open(self._list_path, flags | os.O_APPEND, 0o600)
        try:
            fcntl.flock(self._list, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                f"A different process is downloading to {self._target}.",
                code="oci_registry.download_busy",
                hint="Wait until the other run has ended, and run this playbook again.",
            ) from error
        self._data = os.open(self.path, flags, 0o600)
        if os.fstat(self._data).st_size != self.size or not self._load():
            self.reset()

    def _load(self) -> bool:
        """Read the list of segments; return False if it is for a different blob."""
        text = os.pread(self._list, _LONGEST_LIST, 0)
        if not text.startswith(self._head):
            return False
        lines = text[len(self._head) :].split(b"\n")
        # The last line is empty, or was not completed: a new line must not continue it.
        os.ftruncate(self._list, len(text) - len(lines[-1]))
        numbers = {int(line) for line in lines[:-1] if line.isdigit() and len(line) < 12}
        self.done = {number for number in numbers if number < self.count}
        return True
