# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving a disk's bytes to or from an ESXi host over one TLS connection.

Bytes are never held as a whole: blocks of one MiB go over the wire while their digests are
computed beside it, a few blocks behind.
"""

from __future__ import annotations

import collections
import concurrent.futures
import hashlib
import http.client
import re
import ssl
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..common.errors import Corrupt, InvalidInput, StrataError, Unavailable, Unsupported
from .faults import CONNECTION_ERRORS, connection_error, without_sessions
from .session import Session
from .trust import check_thumbprint, unverified_context

_BLOCK = 1 << 20
#: Blocks by which a digest may be behind, so that neither the connection nor the digest waits for the other's every block.
_BEHIND = 5
_STREAM_VMDK = "application/x-vnd.vmware-streamVmdk"
_LEASE_PATH = re.compile(r"/nfc/[^\s<>\"']+")


@dataclass(frozen=True, slots=True)
class Transfer:
    """What went over the wire: bytes and their digests in hexadecimal. ``sha256`` is empty for what was sent, of which hosts tell the SHA-1."""

    size: int
    sha1: str
    sha256: str


class HostConnection:
    """A connection to the host of one device URL; use as a context manager.

    The host's certificate is verified as usual; when that fails and vCenter gave a
    ``thumbprint`` (or the ``certificate`` itself, in PEM), it must be that one. A session with
    ``validate_certs`` false checks neither. An asterisk as the URL's host stands for the
    server that the session is with.
    """

    def __init__(
        self,
        session: Session,
        url: str,
        *,
        thumbprint: str | None = None,
        certificate: str | None = None,
        timeout: float = 120,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise Unsupported(
                f"vCenter gave an address for the transfer that cannot be used: {parts.scheme[:20]}://{parts.netloc[:100]}.",
                code="vsphere.url",
                hint="Only https addresses are.",
            )
        own = parts.hostname == "*"
        self._session = session
        self._host = session.hostname if own else parts.hostname
        self._port = parts.port or (session.port if own else 443)
        self._path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._timeout = timeout
        self._connection: http.client.HTTPSConnection | None = None
        self.place = f"the host {self._host} (port {self._port})"
        try:
            self._connect(thumbprint, certificate)
        except CONNECTION_ERRORS as error:
            self.close()
            raise connection_error(error, self.place) from error

    def __enter__(self) -> HostConnection:
        return self

    def __exit__(self, *unused) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; whatever is under way ends."""
        if self._connection is not None:
            self._connection.close()

    def send(self, blocks: Iterable[bytes], length: int, on_bytes: Callable[[int], None]) -> Transfer:
        """POST ``blocks``, which must make exactly ``length`` bytes of a stream-optimized VMDK.

        ``on_bytes`` is told the total so far and may raise to stop. Raises Unavailable when
        the host refuses or goes away, InvalidInput when ``blocks`` have another length.
        """
        connection = self._connection
        sent = 0
        with _Digests("sha1") as digests:
            try:
                connection.putrequest("POST", self._path, skip_accept_encoding=True)
                connection.putheader("Content-Type", _STREAM_VMDK)
                connection.putheader("Content-Length", str(length))
                connection.endheaders()
                for block in _whole(blocks):
                    if sent + len(block) > length:
                        raise InvalidInput(
                            f"The stream is longer than the {length} bytes that were announced.", code="vsphere.length"
                        )
                    digests.update(block)
                    connection.send(block)
                    sent += len(block)
                    on_bytes(sent)
                if sent != length:
                    raise InvalidInput(
                        f"The stream ended after {sent} of the {length} bytes that were announced.",
                        code="vsphere.length",
                    )
                response = connection.getresponse()
                answer = response.read(2000)
            except CONNECTION_ERRORS as error:
                raise self._cut(error, sent, length) from error
            if response.status not in (200, 201):
                raise self._refused(response.status, answer)
            return digests.result(sent)

    def receive(self, out: BinaryIO, on_bytes: Callable[[int], None]) -> Transfer:
        """GET the device into ``out``; ``on_bytes`` is told the total so far and may raise to stop.

        Raises Unavailable when the host refuses, goes away or sends less than it announced;
        OSErrors of ``out`` pass through.
        """
        connection = self._connection
        got = 0
        try:
            connection.request("GET", self._path, headers={"Accept-Encoding": "identity"})
            response = connection.getresponse()
            if response.status != 200:
                raise self._refused(response.status, response.read(2000))
        except CONNECTION_ERRORS as error:
            raise self._cut(error, got, None) from error
        announced = response.length
        with _Digests("sha1", "sha256") as digests:
            while True:
                try:
                    block = response.read(_BLOCK)
                except CONNECTION_ERRORS as error:
                    raise self._cut(error, got, announced) from error
                if not block:
                    break
                digests.update(block)
                out.write(block)
                got += len(block)
                on_bytes(got)
            if announced is not None and got != announced:
                raise self._cut(ConnectionResetError("the connection was closed early"), got, announced)
            return digests.result(got)

    def _connect(self, thumbprint: str | None, certificate: str | None) -> None:
        trust = self._session.trust
        try:
            self._open(trust.context())
        except ssl.SSLCertVerificationError:
            if not thumbprint and not certificate:
                raise
            self._open(unverified_context())
            found = self._connection.sock.getpeercert(binary_form=True) or b""
            if certificate and _der(certificate) == found:
                return
            check_thumbprint(found, thumbprint or "", self.place)

    def _open(self, context: ssl.SSLContext) -> None:
        self.close()
        host, port = self._session.proxy or (self._host, self._port)
        self._connection = http.client.HTTPSConnection(host, port, timeout=self._timeout, context=context)
        if self._session.proxy:
            self._connection.set_tunnel(self._host, self._port)
        self._connection.connect()

    def _cut(self, error: BaseException, done: int, length: int | None) -> StrataError:
        """The error for a connection that broke; what the host may still have said counts more."""
        if not isinstance(error, TimeoutError) and self._connection.sock is not None:
            try:
                self._connection.sock.settimeout(2)
                response = self._connection.getresponse()
                if response.status >= 400:
                    return self._refused(response.status, response.read(2000))
            except CONNECTION_ERRORS:
                pass
        found = connection_error(error, self.place)
        found.message = (
            f"{found.message} {done}{f' of {length}' if length is not None else ''} bytes had been transferred."
        )
        found.details.update(done=done, total=length)
        return found

    def _refused(self, status: int, answer: bytes) -> StrataError:
        # Who knows the whole address of a lease can use it.
        text = without_sessions(_LEASE_PATH.sub("/nfc/...", " ".join(answer.decode("utf-8", "replace").split())))[:200]
        return Unavailable(
            f"{self.place[0].upper()}{self.place[1:]} refused the transfer with HTTP status {status}{f': {text}' if text else ''}.",
            code="vsphere.http",
            hint="Run again; when it stays, look at the host's log.",
            status=status,
        )


class _Digests:
    """Digests of a stream, each computed by a thread of its own while the stream moves on."""

    def __init__(self, *names: str) -> None:
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
        # One thread each: with more, two blocks of the same digest could change places.
        self._workers = {name: concurrent.futures.ThreadPoolExecutor(1) for name in names}
        self._pending: collections.deque[list[concurrent.futures.Future]] = collections.deque()

    def __enter__(self) -> _Digests:
        return self

    def __exit__(self, *unused) -> None:
        for worker in self._workers.values():
            worker.shutdown(cancel_futures=True)

    def update(self, block: bytes | memoryview) -> None:
        """Have ``block`` hashed, which must stay as it is until ``_BEHIND`` more have been given."""
        if len(self._pending) == _BEHIND:
            self._wait()
        self._pending.append(
            [worker.submit(self._hashes[name].update, block) for name, worker in self._workers.items()]
        )

    def result(self, size: int) -> Transfer:
        """The digests of all blocks, which make ``size`` bytes."""
        while self._pending:
            self._wait()
        found = {name: digest.hexdigest() for name, digest in self._hashes.items()}
        return Transfer(size, found["sha1"], found.get("sha256", ""))

    def _wait(self) -> None:
        for future in self._pending.popleft():
            future.result()


def _whole(blocks: Iterable[bytes]) -> Iterator[memoryview]:
    """The same bytes in blocks of exactly one MiB (the last one excepted), each of which stays as it is until ``_BEHIND`` more are asked for.

    A block that is given may reuse the memory of the one before it. Whole blocks make TLS records of full size, which a host can store
    in whole pages: with others the simulated one takes a tenth more of its processor.
    """
    buffers = [memoryview(bytearray(_BLOCK)) for _number in range(_BEHIND + 1)]
    number = filled = 0
    for block in blocks:
        rest = memoryview(block)
        while rest:
            part = rest[: _BLOCK - filled]
            buffers[number][filled : filled + len(part)] = part
            filled += len(part)
            rest = rest[len(part) :]
            if filled == _BLOCK:
                yield buffers[number]
                number, filled = (number + 1) % len(buffers), 0
    if filled:
        yield buffers[number][:filled]


def _der(certificate: str) -> bytes:
    try:
        return ssl.PEM_cert_to_DER_cert(certificate.strip() + "\n")
    except ValueError as error:
        raise Corrupt(
            "vCenter gave a host's certificate that is not in PEM form.", code="vsphere.certificate"
        ) from error
