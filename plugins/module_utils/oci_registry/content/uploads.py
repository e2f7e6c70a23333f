# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upload blobs: find them in the registry, mount them from other repositories, or send them in chunks.

A failure costs at most the current chunk where the registry keeps what it has: the client asks for the number of bytes and
continues there. Otherwise the blob begins again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from ...common.errors import Corrupt, StrataError
from ...common.progress import Progress, silent
from ..connection.exchange import Answer, ExchangeFailed, Request
from ..connection.pacing import Attempts
from ..connection.refusals import read_refusal
from ..connection.requester import TRANSIENT, Requester
from ..login import scopes
from ..model import Uploaded
from .blob_sources import BlobSource
from .blobs import Blobs
from .chunk_sizes import ChunkSizes
from .upload_records import UploadRecord
from .upload_session import UploadSession

#: Repositories from which a blob is mounted.
_MOST_MOUNTS = 4
#: Statuses with which a registry refuses a mount; the blob is then sent.
_MOUNT_REFUSED = (400, 401, 403, 404, 405, 409, 501)
#: Statuses with which a registry that has no chunked uploads refuses the first chunk.
_CHUNK_REFUSED = (400, 404, 405, 501)
#: Statuses after which the session is asked for its state.
_ASK_AGAIN = TRANSIENT | {400, 404, 409, 410, 416}
_MOUNT_ERRORS = ("oci_registry.login", "oci_registry.forbidden", "oci_registry.token")


class Uploads:
    """The uploads to all repositories of a registry. Several threads may use it for different blobs."""

    def __init__(self, requester: Requester, blobs: Blobs) -> None:
        self._requester = requester
        self._blobs = blobs

    def upload(
        self,
        repository: str,
        source: BlobSource,
        *,
        mount_from: Sequence[str] = (),
        progress: Progress = silent,
    ) -> Uploaded:
        """Store a blob in a repository and return how it came there.

        Raises:
            Corrupt: ``oci_registry.source`` if the source is damaged, ``oci_registry.upload_digest`` if the registry keeps
                receiving different bytes, ``oci_registry.blob_size`` if it has a different blob.
            StrataError: as ``Requester.answer``.
        """
        if self._blobs.has(repository, source.digest, source.size):
            return Uploaded.PRESENT
        begin = Request("POST", self._requester.endpoints.uploads(repository), repository, "")
        record, done = UploadRecord(self._requester.connection.uploads_folder, begin, source.digest), False
        try:
            session = self._unfinished(repository, source, record)
            if session is None:
                session = self._mount(repository, source, mount_from)
                if session is None:
                    done = True
                    return Uploaded.MOUNTED
            BlobUpload(self._requester, self._blobs, repository, source, record, progress).run(session)
            done = True
            return Uploaded.SENT
        finally:
            record.finish(done=done)

    def _unfinished(self, repository: str, source: BlobSource, record: UploadRecord) -> UploadSession | None:
        """Return the session of a run that ended before the upload was complete, if the registry still has it."""
        url = record.url()
        if url is None:
            return None
        session = UploadSession(self._requester, repository, source, self._requester.endpoints.resolve(url, url))
        return session if session.find_offset() and session.offset else None

    def _mount(self, repository: str, source: BlobSource, mount_from: Sequence[str]) -> UploadSession | None:
        """Link the blob from a repository that has it: return None, or the session in which it must be sent."""
        opened: UploadSession | None = None
        for other in [name for name in dict.fromkeys(mount_from) if name != repository][:_MOST_MOUNTS]:
            request = Request(
                "POST",
                self._requester.endpoints.uploads(repository, {"mount": source.digest, "from": other}),
                repository,
                f"the blob {source.digest}",
                scopes.push(repository, other),
            )
            try:
                answer = self._requester.answer(request, 201, 202, *_MOUNT_REFUSED)
            except StrataError as error:
                if error.code not in _MOUNT_ERRORS:
                    raise
                continue
            if answer.status in (201, 202) and opened is not None:
                opened.cancel()
                opened = None
            if answer.status == 201:
                return None
            if answer.status == 202:
                # The registry did not find the blob there, and has opened a session.
                opened = UploadSession.opened_by(self._requester, request, answer, source)
        return opened or UploadSession.begin(self._requester, repository, source)


class _Setback(Exception):
    """A step failed and can be repeated; ``restart`` says that the session must not be used again."""

    def __init__(self, error: StrataError, *, restart: bool = False) -> None:
        super().__init__()
        self.error = error
        self.restart = restart


class BlobUpload:
    """Sends one blob."""

    def __init__(
        self,
        requester: Requester,
        blobs: Blobs,
        repository: str,
        source: BlobSource,
        record: UploadRecord,
        progress: Progress,
    ) -> None:
        self._requester = requester
        self._blobs = blobs
        self._repository = repository
        self._source = source
        self._record = record
        self._progress = progress
        self._attempts = Attempts(requester.connection.patience)
        self._sizes = ChunkSizes(requester.connection.chunk_size)
        #: The number of bytes that the registry has confirmed at most, and whether it has accepted a chunk.
        self._best, self._chunked = 0, False
        #: Whether the blob is sent in the request that closes the session.
        self._whole = source.size <= self._sizes.current

    def run(self, session: UploadSession) -> None:
        """Send the blob in a session, and in further sessions if that session breaks. Raises as ``Uploads.upload``."""
        current: UploadSession | None = session
        while True:
            try:
                if current is None:
                    current = UploadSession.begin(self._requester, self._repository, self._source)
                self._record.save(current.url)
                whole = self._whole and not current.offset
                if not whole:
                    self._send_chunks(current)
                self._finish(current, whole=whole)
                return
            except _Setback as setback:
                if not self._attempts.again():
                    raise setback.error from setback.__cause__
                if setback.restart or current is None or not self._continues(current):
                    current = None
                    self._record.save(None)

    def _continues(self, session: UploadSession) -> bool:
        """Return whether the session can be continued; forget the failures if the registry has more bytes than before.

        A session without bytes is not used again: what registries send for no byte may also mean one byte.
        """
        if not session.find_offset() or not session.offset:
            return False
        if session.offset > self._best:
            self._best = session.offset
            self._attempts.progress()
        return True

    def _send_chunks(self, session: UploadSession) -> None:
        size = self._source.size
        while session.offset < size:
            length = min(session.chunk_size(self._sizes.current), size - session.offset)
            began = time.monotonic()
            try:
                answer = session.send_chunk(length, self._sent)
            except ExchangeFailed as failure:
                if failure.final:
                    raise failure.error from failure.cause
                if self._attempts.failures:
                    self._sizes.shrink()
                else:
                    self._sizes.failed()
                raise _Setback(failure.error) from failure.cause
            if not 200 <= answer.status < 300:
                self._after_refusal(session, answer)
            self._chunked = True
            self._sizes.sent(length, time.monotonic() - began)
            self._record.save(session.url)
            if session.offset > self._best:
                self._best = session.offset
                self._attempts.progress()

    def _after_refusal(self, session: UploadSession, answer: Answer) -> None:
        """Raise for a chunk that was refused."""
        error = session.refused("PATCH", answer)
        codes = read_refusal(answer, self._requester.secrets).codes
        first = not session.offset and not self._chunked and not self._whole
        if first and answer.status in _CHUNK_REFUSED and not any(code.startswith("BLOB_UPLOAD") for code in codes):
            self._whole = True
            session.cancel()
            raise _Setback(error, restart=True)
        if answer.status == 413 and self._sizes.shrink():
            raise _Setback(error)
        if answer.status in _ASK_AGAIN:
            self._sizes.failed()
            raise _Setback(error)
        raise error

    def _finish(self, session: UploadSession, *, whole: bool) -> None:
        """Close a session; the registry compares the digest."""
        patience = self._requester.connection.patience
        timeout = patience.read + self._source.size / patience.bytes_per_second
        try:
            answer = session.finish(timeout, sent=self._sent if whole else None)
        except ExchangeFailed as failure:
            if failure.final:
                raise failure.error from failure.cause
            # The registry may have stored the blob: its hash takes time, and gateways give up early.
            if self._stored():
                return
            raise _Setback(failure.error, restart=whole) from failure.cause
        if answer.status in (200, 201, 204):
            self._progress("upload", self._source.size, self._source.size)
            return
        error = session.refused("PUT", answer)
        if "DIGEST_INVALID" in read_refusal(answer, self._requester.secrets).codes:
            self._source.check_digest()
            raise _Setback(self._other_digest(), restart=True)
        if answer.status == 413 and whole and self._sizes.shrink():
            self._whole = False
            raise _Setback(error, restart=True)
        if answer.status not in _ASK_AGAIN:
            raise error
        if self._stored():
            return
        raise _Setback(error, restart=whole or answer.status == 400)

    def _stored(self) -> bool:
        return self._blobs.has(self._repository, self._source.digest, self._source.size)

    def _sent(self, position: int) -> None:
        self._progress("upload", position, self._source.size)

    def _other_digest(self) -> Corrupt:
        return Corrupt(
            f"{self._requester.connection.label[0].upper()}{self._requester.connection.label[1:]} received different bytes than those of "
            f"the blob {self._source.digest}.",
            code="oci_registry.upload_digest",
            hint="Check the network and the proxies between the composer and the registry, and the disks of the registry.",
            digest=self._source.digest,
        )
