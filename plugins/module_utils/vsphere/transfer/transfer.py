# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfer a disk's bytes to or from an ESXi host over one TLS connection.

The disk is never held in memory: blocks of one MiB are transferred while other threads compute their digests, a
few blocks behind.
"""

from __future__ import annotations

import collections
import concurrent.futures
import hashlib
import re
import ssl
import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ...common.errors import Corrupt, InternalError, StrataError, Unavailable, Unsupported
from ...common.tls import TlsConnection, plain_host, unverified_context
from ..faults import CONNECTION_ERRORS, connection_error, without_sessions
from ..session import Session
from ..trust import check_thumbprint
from .patient_socket import PatientSocket

_BLOCK = 1 << 20
#: Seconds.
_CONNECT_TIMEOUT = 60
#: Blocks by which a digest may be behind, so that the connection and the digest do not wait for each other at every block.
_BEHIND = 5
_STREAM_VMDK = "application/x-vnd.vmware-streamVmdk"
_LEASE_PATH = re.compile(r"/nfc/[^\s<>\"']+")


@dataclass(frozen=True, slots=True)
class Transfer:
    """The transferred bytes: their number and digests in hexadecimal. ``sha256`` is empty for uploads, for which hosts report the SHA-1."""

    size: int
    sha1: str
    sha256: str


class HostConnection:
    """A connection to the host of one device URL; use as a context manager.

    The host's certificate is verified as usual. If that fails and vCenter reported a ``thumbprint`` (or the
    ``certificate`` itself, in PEM), the certificate must match it. A session with ``validate_certs`` false checks
    neither. An asterisk as the URL's host means the server of the session. ``timeout`` is the number of seconds in
    which no byte may move; it also limits connecting, which never takes longer than a minute.

    The constructor connects. It raises Unsupported (vsphere.url), Unavailable (vsphere.thumbprint and the codes of
    ``connection_error``) or TimedOut.
    """

    def __init__(
        self,
        session: Session,
        url: str,
        *,
        thumbprint: str | None = None,
        certificate: str | None = None,
        timeout: float = 900,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise Unsupported(
                f"vCenter returned an address for the transfer that is not an https address: {parts.scheme[:20]}://{parts.netloc[:100]}.",
                code="vsphere.url",
                hint="Check the version of the ESXi host; the transfer needs https.",
            )
        own = parts.hostname == "*"
        self._session = session
        self._host = plain_host(session.hostname) if own else parts.hostname
        self._port = parts.port or (session.port if own else 443)
        self._path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._timeout = timeout
        self._connection: TlsConnection | None = None
        self.label = f"the host {self._host} (port {self._port})"
        try:
            self._connect(thumbprint, certificate)
        except CONNECTION_ERRORS as error:
            self.close()
            raise connection_error(error, self.label) from error

    def __enter__(self) -> HostConnection:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, which ends a transfer that is in progress."""
        if self._connection is not None:
            self._connection.close()

    def send(self, blocks: Iterable[bytes | memoryview], length: int, on_bytes: Callable[[int], None]) -> Transfer:
        """POST ``blocks``, which must be exactly ``length`` bytes of a stream-optimized VMDK.

        ``on_bytes`` receives the number of bytes so far, also about once a second while no byte moves, and may raise to stop.

        Raises:
            Unavailable: ``vsphere.http`` if the host refuses; as ``connection_error`` if the connection breaks.
            TimedOut: ``vsphere.no_answer``.
            InternalError: ``vsphere.length`` if ``blocks`` have a different length.
        """
        connection = self._connected()
        sent = 0
        self._be_patient(lambda: on_bytes(sent))
        with _Digests("sha1") as digests:
            try:
                connection.putrequest("POST", self._path, skip_accept_encoding=True)
                connection.putheader("Content-Type", _STREAM_VMDK)
                connection.putheader("Content-Length", str(length))
                connection.endheaders()
                for block in _whole(blocks):
                    if sent + len(block) > length:
                        raise InternalError(
                            f"The stream is longer than the announced {length} bytes.", code="vsphere.length"
                        )
                    digests.update(block)
                    connection.send(block)
                    sent += len(block)
                    on_bytes(sent)
                if sent != length:
                    raise InternalError(
                        f"The stream ended after {sent} of the announced {length} bytes.", code="vsphere.length"
                    )
                response = connection.getresponse()
                answer = response.read(2000)
            except CONNECTION_ERRORS as error:
                raise self._interrupted(error, sent, length) from error
            if response.status not in (200, 201):
                raise self._refused(response.status, answer)
            return digests.result(sent)

    def receive(self, out: BinaryIO, on_bytes: Callable[[int], None]) -> Transfer:
        """GET the device into ``out``; ``on_bytes`` as for ``send``.

        Raises:
            Unavailable: ``vsphere.http`` if the host refuses; ``vsphere.connection`` if it sends fewer bytes than it announced; as
                ``connection_error`` if the connection breaks.
            TimedOut: ``vsphere.no_answer``.
            OSError: as ``out``.
        """
        connection = self._connected()
        received = 0
        self._be_patient(lambda: on_bytes(received))
        try:
            connection.request("GET", self._path, headers={"Accept-Encoding": "identity"})
            response = connection.getresponse()
            if response.status != 200:
                raise self._refused(response.status, response.read(2000))
        except CONNECTION_ERRORS as error:
            raise self._interrupted(error, received, None) from error
        announced = response.length
        with _Digests("sha1", "sha256") as digests:
            while True:
                try:
                    block = response.read(_BLOCK)
                except CONNECTION_ERRORS as error:
                    raise self._interrupted(error, received, announced) from error
                if not block:
                    break
                digests.update(block)
                out.write(block)
                received += len(block)
                on_bytes(received)
            if announced is not None and received != announced:
                raise self._interrupted(ConnectionResetError("the connection was closed early"), received, announced)
            return digests.result(received)

    def _connect(self, thumbprint: str | None, certificate: str | None) -> None:
        trust = self._session.trust
        try:
            self._open(trust.context())
        except ssl.SSLCertVerificationError:
            if not thumbprint and not certificate:
                raise
            connection = self._open(unverified_context())
            found = connection.sock.getpeercert(binary_form=True) or b""
            if certificate and _der(certificate) == found:
                return
            check_thumbprint(found, thumbprint or "", self.label)

    def _connected(self) -> TlsConnection:
        if self._connection is None:
            raise InternalError("A transfer began without a connection.", code="vsphere.transfer")
        return self._connection

    def _open(self, context: ssl.SSLContext) -> TlsConnection:
        self.close()
        host, port = self._session.proxy or (self._host, self._port)
        context.sslsocket_class = PatientSocket
        connection = TlsConnection(host, port, timeout=min(self._timeout, _CONNECT_TIMEOUT), context=context)
        self._connection = connection
        if self._session.proxy:
            connection.set_tunnel(self._host, self._port)
        connection.connect()
        if isinstance(connection.sock, PatientSocket):
            connection.sock.keep_alive()
        return connection

    def _be_patient(self, tick: Callable[[], None]) -> None:
        sock = self._connected().sock
        if isinstance(sock, PatientSocket):
            sock.be_patient(self._timeout, tick)

    def _interrupted(self, error: BaseException, done: int, length: int | None) -> StrataError:
        """Return the error for a broken connection; an HTTP error that the host has sent takes precedence."""
        connection = self._connected()
        if not isinstance(error, TimeoutError) and isinstance(connection.sock, PatientSocket):
            try:
                connection.sock.be_impatient(2)
                response = connection.getresponse()
                if response.status >= 400:
                    return self._refused(response.status, response.read(2000))
            except CONNECTION_ERRORS:
                pass
        found = connection_error(error, self.label)
        found.message = (
            f"{found.message} {done}{f' of {length}' if length is not None else ''} bytes had been transferred."
        )
        found.details.update(done=done, total=length)
        return found

    def _refused(self, status: int, answer: bytes) -> StrataError:
        # The full address of a lease gives access to the disk.
        text = without_sessions(_LEASE_PATH.sub("/nfc/...", " ".join(answer.decode("utf-8", "replace").split())))[:200]
        return Unavailable(
            f"{self.label[0].upper()}{self.label[1:]} refused the transfer with HTTP status {status}{f': {text}' if text else ''}.",
            code="vsphere.http",
            hint="Run this playbook again. If the error persists, check the log of the ESXi host.",
            status=status,
        )


class _Digests:
    """Digests of a stream, each computed by its own thread while the transfer continues."""

    def __init__(self, *names: str) -> None:
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in names}
        # One thread for each digest: with more, two blocks of a digest could be processed in the wrong order.
        self._workers = {name: concurrent.futures.ThreadPoolExecutor(1) for name in names}
        self._pending: collections.deque[list[concurrent.futures.Future]] = collections.deque()

    def __enter__(self) -> _Digests:
        return self

    def __exit__(self, *_details: object) -> None:
        for worker in self._workers.values():
            worker.shutdown(cancel_futures=True)

    def update(self, block: bytes | memoryview) -> None:
        """Hash ``block``, which must not change until ``_BEHIND`` more blocks have been passed."""
        if len(self._pending) == _BEHIND:
            self._wait()
        self._pending.append(
            [worker.submit(self._hashes[name].update, block) for name, worker in self._workers.items()]
        )

    def result(self, size: int) -> Transfer:
        """Return the digests of all blocks, which are ``size`` bytes in total."""
        while self._pending:
            self._wait()
        found = {name: digest.hexdigest() for name, digest in self._hashes.items()}
        return Transfer(size, found["sha1"], found.get("sha256", ""))

    def _wait(self) -> None:
        for future in self._pending.popleft():
            future.result()


def _whole(blocks: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    """Yield the same bytes in blocks of exactly one MiB, except the last; a block does not change until ``_BEHIND`` more were requested.

    A block of ``blocks`` may reuse the memory of its predecessor. Whole blocks make TLS records of full size, which a host can
    store in whole pages: with other sizes the simulated host needs a tenth more processor time.
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
            "vCenter returned the certificate of an ESXi host that is not in PEM form.",
            code="vsphere.certificate",
            hint="Refresh the certificate of the ESXi host in vCenter.",
        ) from error
