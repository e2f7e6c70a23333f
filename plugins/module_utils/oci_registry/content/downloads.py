# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Download blobs: closed ranges in parallel, which a later run continues, and a hash that follows the complete segments."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable

from ...common.errors import Corrupt, StrataError
from ...common.progress import Progress, silent
from ..connection.exchange import PIECE, ExchangeFailed, Stream
from ..connection.pacing import Attempts
from ..connection.requester import TRANSIENT, Requester
from .blobs import Blobs, range_in
from .partial_file import PartialFile

#: Bytes of a segment: what a killed run loses at most for each stream.
SEGMENT = 16 << 20
#: Seconds between two progress calls, and seconds to wait for threads after a failure.
_INTERVAL, _LONGEST_END = 0.3, 5.0
#: Bytes that must arrive after a failure to count as progress.
_PROGRESS = 64 << 10


class Downloads:
    """The downloads of a registry. Several threads may use it for different targets."""

    def __init__(self, requester: Requester, blobs: Blobs) -> None:
        self._requester = requester
        self._blobs = blobs
        #: Whether the registry was found to refuse ranges.
        self._whole = False

    def download(self, repository: str, digest: str, size: int, target: str, *, progress: Progress = silent) -> None:
        """Write a blob to the file ``target``, which exists only when it is complete and its digest was checked.

        A target that a killed run has completed is kept.

        Raises:
            NotFound: ``oci_registry.blob_missing``.
            Corrupt: ``oci_registry.blob_digest``, ``oci_registry.blob_size``, ``oci_registry.answer``.
            Conflict: ``oci_registry.download_busy``.
            NoSpace: ``oci_registry.no_space``.
            StrataError: as ``Requester.answer``.
        """
        with PartialFile(target, digest, size, SEGMENT) as part:
            if part.is_finished():
                part.remove()
                return
            while True:
                resumed = bool(part.done)
                if self._read(repository, digest, part, progress) == digest:
                    part.finish()
                    progress("download", size, size)
                    return
                if not resumed:
                    part.remove()
                    raise self._blobs.other_digest(repository, digest)
                # A power failure may have damaged the segments of the earlier run.
                part.reset()

    def _read(self, repository: str, digest: str, part: PartialFile, progress: Progress) -> str:
        """Fill a file and return its digest."""
        blob = _Blob(self._requester, self._blobs, repository, digest, part.size)
        if not self._whole:
            try:
                return SegmentedDownload(self._requester, blob, part, progress).run()
            except _RangesRefused:
                self._whole = True
                part.reset()
        return _read_stream(self._requester, blob, part, progress)


class _RangesRefused(Exception):
    """The registry sends blobs only as a whole."""


class _Blob:
    """A blob that is read, and the errors for what can be wrong with its answers."""

    def __init__(self, requester: Requester, blobs: Blobs, repository: str, digest: str, size: int) -> None:
        self._requester = requester
        self._blobs = blobs
        self._repository = repository
        self._digest = digest
        self.size = size

    def open(self, start: int, end: int) -> Stream:
        """Return the bytes from ``start`` to ``end``, or all bytes; only then the range may be refused.

        Raises:
            _RangesRefused: the registry answered with different bytes.
            _Transient: the registry is not available at present.
            ExchangeFailed, StrataError: there is no answer, or a refusal.
        """
        whole = not start and end == self.size
        # Not every registry answers an open range. A range of the whole blob needs no range.
        bytes_range = "" if whole else f"{start}-{end - 1}"
        request = self._blobs.request("GET", self._repository, self._digest, bytes_range=bytes_range)
        stream = self._requester.stream(request)
        try:
            if stream.status == 200 and whole:
                self._check_length(stream)
            elif stream.status in (200, 416):
                raise _RangesRefused
            elif stream.status == 206:
                found = range_in(stream.headers.get("Content-Range"))
                if found is None or found[:2] != (start, end):
                    raise _RangesRefused
                if found[2] not in (None, self.size):
                    raise self._blobs.other_size(self._repository, self._digest, self.size, found[2] or 0)
            else:
                raise self._refusal(stream)
        except BaseException:
            stream.close()
            raise
        return stream

    def _check_length(self, stream: Stream) -> None:
        length = stream.headers.get("Content-Length")
        if length is not None and length.isdigit() and int(length[:20]) != self.size:
            raise self._blobs.other_size(self._repository, self._digest, self.size, int(length[:20]))

    def _refusal(self, stream: Stream) -> Exception:
        request = self._blobs.request("GET", self._repository, self._digest)
        answer = self._requester.complete(request, stream)
        if answer.status == 404:
            return self._blobs.missing(self._repository, self._digest)
        error = self._requester.refused(request, answer)
        # The signature of a redirect to an object store expires: the next request gets a new redirect.
        expired = answer.status == 403 and not self._requester.endpoints.is_own(answer.url)
        return _Transient(error) if answer.status in TRANSIENT or expired else error

    def truncated(self, position: int) -> Corrupt:
        """Return the error for an answer that ended early without a failure of the connection."""
        return self._requester.wrong(
            f"the blob {self._digest}", f"it ended after {position} bytes of {self.size} bytes"
        )


class _Transient(Exception):
    """A refusal that a repetition may overcome."""

    def __init__(self, error: StrataError) -> None:
        super().__init__()
        self.error = error


def _copy(
    requester: Requester, blob: _Blob, start: int, end: int, *, restart: bool, take: Callable[[bytes, int], None]
) -> None:
    """Pass the bytes from ``start`` to ``end`` with their offsets to ``take``, across failures of the connection.

    After a failure, only the rest is requested; with ``restart`` everything is, because the registry refuses ranges.
    """
    attempts, position, since = Attempts(requester.connection.patience), start, start
    while position < end:
        try:
            stream = blob.open(position, end)
            try:
                while position < end:
                    data = stream.read(min(PIECE, end - position))
                    if not data:
                        break
                    take(data, position)
                    position += len(data)
                    if position - since >= _PROGRESS and attempts.failures and not restart:
                        attempts.progress()
            finally:
                stream.close()
            if position < end:
                raise _Transient(blob.truncated(position))
        except (ExchangeFailed, _Transient) as failure:
            final = isinstance(failure, ExchangeFailed) and failure.final
            if final or not attempts.again():
                raise failure.error from failure
            if restart:
                position = start
            since = position


def _read_stream(requester: Requester, blob: _Blob, part: PartialFile, progress: Progress) -> str:
    """Read a blob as a whole and return its digest."""
    descriptor, hasher = part.opened(), hashlib.sha256()

    def take(data: bytes, offset: int) -> None:
        nonlocal hasher
        if not offset:
            hasher = hashlib.sha256()
        hasher.update(data)
        part.write(descriptor, data, offset)
        progress("download", offset + len(data), part.size)

    try:
        _copy(requester, blob, 0, part.size, restart=True, take=take)
    finally:
        os.close(descriptor)
    return f"sha256:{hasher.hexdigest()}"


class SegmentedDownload:
    """Fills the missing segments of a file with several threads, and hashes the file as far as it is complete."""

    def __init__(self, requester: Requester, blob: _Blob, part: PartialFile, progress: Progress) -> None:
        self._requester = requester
        self._blob = blob
        self._part = part
        self._progress = progress
        self._missing = [number for number in range(part.count) if number not in part.done]
        self._received = sum(end - start for start, end in map(part.bounds, part.done))
        self._changed = threading.Condition()
        self._failure: BaseException | None = None
        self._stopped = False
        self._reported = 0.0

    def run(self) -> str:
        """Return the digest of the complete file. Raises _RangesRefused, or StrataError."""
        count = min(self._requester.connection.streams, len(self._missing))
        threads = [threading.Thread(target=self._work, daemon=True) for number in range(count)]
        for thread in threads:
            thread.start()
        try:
            return self._hash()
        finally:
            with self._changed:
                self._stopped = True
            deadline = time.monotonic() + _LONGEST_END
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _hash(self) -> str:
        hasher, buffer = hashlib.sha256(), memoryview(bytearray(PIECE))
        for number in range(self._part.count):
            self._wait_for(number)
            position, end = self._part.bounds(number)
            while position < end:
                read = self._part.read_into(buffer[: min(PIECE, end - position)], position)
                if not read:
                    raise self._blob.truncated(position)
                hasher.update(buffer[:read])
                position += read
                self._report()
        return f"sha256:{hasher.hexdigest()}"

    def _wait_for(self, number: int) -> None:
        while True:
            with self._changed:
                if self._failure is not None:
                    raise self._failure
                if number in self._part.done:
                    return
                self._changed.wait(_INTERVAL)
            self._report()

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._reported >= _INTERVAL:
            self._reported = now
            self._progress("download", self._received, self._part.size)

    def _work(self) -> None:
        """Fetch segments until none is missing, or a thread has failed."""
        try:
            descriptor = self._part.opened()
            try:
                while (number := self._next()) is not None:
                    start, end = self._part.bounds(number)
                    _copy(
                        self._requester,
                        self._blob,
                        start,
                        end,
                        restart=False,
                        take=lambda data, offset: self._take(descriptor, data, offset),
                    )
                    self._mark(number)
            finally:
                os.close(descriptor)
        except BaseException as failure:
            with self._changed:
                self._failure = self._failure or failure
                self._stopped = True
                self._changed.notify_all()

    def _next(self) -> int | None:
        with self._changed:
            return None if self._stopped or not self._missing else self._missing.pop(0)

    def _take(self, descriptor: int, data: bytes, offset: int) -> None:
        if self._stopped:
            raise _Stopped
        self._part.write(descriptor, data, offset)
        with self._changed:
            self._received += len(data)

    def _mark(self, number: int) -> None:
        with self._changed:
            if self._stopped:
                raise _Stopped
            self._part.mark(number)
            self._changed.notify_all()


class _Stopped(Exception):
    """The download has ended; the thread stops."""
