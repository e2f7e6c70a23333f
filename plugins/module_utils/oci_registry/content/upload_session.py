# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session of an upload: its URL, which changes with every answer, and the number of bytes that the registry has."""

from __future__ import annotations

import re

from ...common.errors import StrataError
from ..connection.endpoints import with_query
from ..connection.exchange import Answer, Body, ExchangeFailed, Request
from ..connection.requester import Requester
from ..login import scopes
from ..model import CHUNK_UNIT
from .blob_sources import BlobSource, Sent

_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})")
_CONTENT = {"Content-Type": "application/octet-stream"}


class UploadSession:
    """An open session. ``offset`` is the number of bytes that the registry has confirmed."""

    def __init__(
        self, requester: Requester, repository: str, source: BlobSource, url: str, *, minimum: int = 0
    ) -> None:
        self._requester = requester
        self._repository = repository
        self._source = source
        self.url = url
        self.offset = 0
        #: The shortest chunk that the registry accepts, except the last chunk; in bytes.
        self.minimum = minimum

    @classmethod
    def begin(cls, requester: Requester, repository: str, source: BlobSource) -> UploadSession:
        """Open a session. Raises as ``Requester.answer``."""
        request = Request(
            "POST", requester.endpoints.uploads(repository), repository, _subject(source), scopes.push(repository)
        )
        return cls.opened_by(requester, request, requester.answer(request, 202), source)

    @classmethod
    def opened_by(cls, requester: Requester, request: Request, answer: Answer, source: BlobSource) -> UploadSession:
        """Return the session that an answer has opened. Raises Corrupt (``oci_registry.answer``) if it has no URL."""
        location = answer.header("Location")
        if not location:
            raise requester.wrong(request.subject, "it has no Location")
        url = requester.endpoints.resolve(answer.url, location, upload=True)
        minimum = answer.number("OCI-Chunk-Min-Length") or 0
        return cls(requester, request.repository, source, url, minimum=minimum)

    def chunk_size(self, preferred: int) -> int:
        """Return the size of chunks in bytes: multiples of the parts of object stores, at least what the registry demands."""
        units = max(preferred // CHUNK_UNIT, -(-self.minimum // CHUNK_UNIT), 1)
        return units * CHUNK_UNIT

    def send_chunk(self, length: int, sent: Sent) -> Answer:
        """Send the next bytes; the answer may have any status. Raises ExchangeFailed."""
        body = self._source.body(self.offset, length, sent)
        headers = _CONTENT | {"Content-Range": f"{self.offset}-{self.offset + length - 1}"}
        answer = self._requester.attempt(self._request("PATCH", self.url, headers=headers, body=body))
        if 200 <= answer.status < 300:
            self._take_location(answer)
            confirmed = _confirmed(answer)
            self.offset += length
            if confirmed is not None and 0 < confirmed < self.offset:
                # The registry took only a part of the chunk.
                self.offset = confirmed
        return answer

    def finish(self, timeout: float, *, sent: Sent | None = None) -> Answer:
        """Close the session with the digest; with ``sent``, the request has the whole blob. Raises ExchangeFailed."""
        url = with_query(self.url, "digest", self._source.digest)
        body = None if sent is None else self._source.body(0, self._source.size, sent)
        return self._requester.attempt(self._request("PUT", url, headers=_CONTENT, body=body, timeout=timeout))

    def find_offset(self) -> bool:
        """Ask the registry how many bytes it has; return whether the session is still alive. Raises as ``Requester.answer``."""
        request = self._request("GET", self.url)
        answer = self._requester.answer(request, 200, 202, 204, 400, 404, 405, 409, 410, 416, 501)
        confirmed = _confirmed(answer) if answer.status in (200, 202, 204) else None
        if confirmed is None or confirmed > self._source.size:
            return False
        self._take_location(answer)
        self.offset = confirmed
        return True

    def cancel(self) -> None:
        """Remove the session as far as the registry allows it; its end would come after days otherwise."""
        try:
            self._requester.attempt(self._request("DELETE", self.url))
        except (ExchangeFailed, StrataError):
            # The registry removes it later.
            return

    def refused(self, method: str, answer: Answer) -> StrataError:
        """Return the error for a refused request of this session."""
        return self._requester.refused(self._request(method, self.url), answer)

    def _request(
        self,
        method: str,
        url: str,
        *,
        headers: dict[str, str] | None = None,
        body: Body | None = None,
        timeout: float | None = None,
    ) -> Request:
        return Request(
            method,
            url,
            self._repository,
            _subject(self._source),
            scopes.push(self._repository),
            headers or {},
            body,
            timeout=timeout,
        )

    def _take_location(self, answer: Answer) -> None:
        location = answer.header("Location")
        if location:
            self.url = self._requester.endpoints.resolve(answer.url, location, upload=True)


def _confirmed(answer: Answer) -> int | None:
    """Return the number of bytes in the header Range, None if there is none; ``0-0`` is what registries send for no byte."""
    match = _RANGE.fullmatch((answer.header("Range") or "").strip())
    if match is None:
        return None
    last = int(match[1])
    return last + 1 if last else 0


def _subject(source: BlobSource) -> str:
    return f"the blob {source.digest}"
