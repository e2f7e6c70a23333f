# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session with vCenter (or an ESXi host) that renews itself.

pyVmomi's managed objects use the stub of the session. It logs in again when the session has expired, repeats
calls that change nothing when the connection breaks, and turns network failures into the engine's errors. vSphere's
faults are raised as pyVmomi's exceptions.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..common.errors import InternalError, StrataError, Unavailable
from ..common.optional_imports import pyvmomi
from ..common.tls import TlsConnection, plain_host
from ..ovf.document import local_name, parse_xml
from .connection_options import check_credentials, check_hostname
from .faults import CONNECTION_ERRORS, connection_error, explained, fault_error, fault_name
from .trust import Trust

#: Seconds; longer than any wait of WaitForUpdatesEx and than a call to a slow vCenter.
_SOCKET_TIMEOUT = 120
#: Seconds; vCenter's front end closes idle connections, and a call must not use a closed connection.
_IDLE_TIMEOUT = 20
_LONGEST_VERSIONS = 1 << 20
#: Exceptions of pyVmomi about an answer that it cannot decode.
_UNDECODABLE = (KeyError, TypeError, AttributeError, ValueError)

#: Calls that can be repeated: they read, or repeating them has no further effect.
_REPEATABLE = frozenset(
    (
        "RetrieveServiceContent",
        "RetrievePropertiesEx",
        "CreatePropertyCollector",
        "CreateFilter",
        "WaitForUpdatesEx",
        "CreateContainerView",
        "FindByUuid",
        "FindAllByUuid",
        "CreateImportSpec",
        "CreateDescriptor",
        "HttpNfcLeaseGetManifest",
        "CurrentTime",
        "QueryEvents",
        "HasUserPrivilegeOnEntities",
        "RetrieveEntityPermissions",
        "QueryConfigOptionDescriptor",
        "QueryConfigOptionEx",
        "HasUserPrivilegeOnEntities",
        "HasPrivilegeOnEntities",
        "RetrieveEntityPermissions",
    )
)
#: Faults within vCenter, or between vCenter and a host: they are often transient.
_TRANSIENT_FAULTS = frozenset(("SystemError", "HostCommunication", "HostNotReachable"))
_FAULT_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits for waiting, in seconds.

    ``calls``: while the connection fails, a repeatable call is repeated for that time. ``busy``: while a VM is busy, a call on it is
    repeated. ``stall``: a transfer may make no progress, such as when a host reads the zeros of a thick disk. ``keep_alive``: between
    two reports that keep a lease alive. ``lease``: until a lease without a holder has expired.
    """

    calls: float = 60
    busy: float = 120
    stall: float = 900
    keep_alive: float = 5
    lease: float = 330


class Session:
    """A logged-in session. ``content`` is the ServiceContent; use as a context manager to log out.

    ``trust`` also applies to connections to ESXi hosts; ``proxy`` is (host, port) or None. ``label`` names the server in
    messages. ``logins`` is the number of logins so far.
    """

    @classmethod
    def connect(
        cls,
        hostname: str,
        username: str,
        password: str,
        *,
        validate_certs: bool = True,
        port: int = 443,
        ca_file: str | None = None,
        proxy_host: str | None = None,
        proxy_port: int | None = None,
        patience: Patience = Patience(),
    ) -> Session:
        """Log in.

        Raises:
            InvalidInput: ``vsphere.hostname``, ``vsphere.credentials`` or ``vsphere.ca_file`` if an option cannot be used.
            Unavailable: ``vsphere.login``, ``vsphere.protocol``; as ``connection_error``.
            TimedOut: ``vsphere.no_answer``.
        """
        session = cls(
            hostname,
            port,
            Trust(validate_certs, ca_file),
            (plain_host(proxy_host), proxy_port or 3128) if proxy_host else None,
            patience,
        )
        check_credentials(username, password)
        session._username, session._password = username, password
        session._open()
        return session

    def __init__(
        self, hostname: str, port: int, trust: Trust, proxy: tuple[str, int] | None, patience: Patience
    ) -> None:
        check_hostname(hostname)
        self.hostname = hostname
        self.port = port
        self.trust = trust
        self.proxy = proxy
        self.patience = patience
        self.label = f"the vCenter {hostname} (port {port})"
        self._username = self._password = ""
        self._lock = threading.Lock()
        self.logins = 0
        self._soap: Any = None
        self._stub: Any = None
        self.content: Any = None

    def __repr__(self) -> str:
        return f"Session({self.hostname!r}, port={self.port})"

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_details: object) -> None:
        self.close()

    def close(self) -> None:
        """Log out; a session that has already ended is not an error."""
        soap, self._soap = self._soap, None
        if soap is None:
            return
        with contextlib.suppress(*CONNECTION_ERRORS, pyvmomi.vmodl.MethodFault):
            pyvmomi.vim.SessionManager(self.content.sessionManager._GetMoId(), soap).Logout()
        soap.DropConnections()

    @property
    def vcenter(self) -> dict[str, str]:
        """``hostname`` as the option gave it, and ``instance_uuid``, which identifies the vCenter under any hostname."""
        return {"hostname": self.hostname, "instance_uuid": self.content.about.instanceUuid or self.hostname}

    def object(self, kind: str, moid: str) -> Any:
        """Return the managed object of a type such as ``VirtualMachine`` with this ID; vCenter is not asked whether it exists."""
        return getattr(pyvmomi.vim, kind)(moid, self._stub)

    def renew(self, logins: int) -> None:
        """Log in again after a NotAuthenticated in the session of login number ``logins``; only once, if several threads request it."""
        self._patiently(functools.partial(self._renew, logins), Attempts(self.patience.calls))

    def _renew(self, logins: int) -> None:
        with self._lock:
            if self.logins == logins:
                self._login()

    def _open(self) -> None:
        versions = pyvmomi.VmomiSupport.GetServiceVersions("vim25")
        attempt = Attempts(self.patience.calls)
        while True:
            try:
                version = self._version(versions)
                self._soap = self._adapter(version)
                self._stub = _stub(self, version)
                self._login()
                with explained(f"Logging in to {self.label}"):
                    self.content = pyvmomi.vim.ServiceInstance("ServiceInstance", self._stub).RetrieveContent()
                return
            except CONNECTION_ERRORS as error:
                # A refused connection or an unknown name is more likely a wrong option than a restart of vCenter.
                if (
                    isinstance(error, (ConnectionRefusedError, TimeoutError, socket.gaierror, ssl.SSLError))
                    or not attempt.again()
                ):
                    raise self._connection_error(error) from error

    def _adapter(self, version: str, **options: Any) -> Any:
        adapter = pyvmomi.SoapStubAdapter(
            host=plain_host(self.hostname),
            port=self.port,
            version=version,
            sslContext=self.trust.context(),
            httpProxyHost=self.proxy[0] if self.proxy else None,
            httpProxyPort=self.proxy[1] if self.proxy else 80,
            httpConnectionTimeout=_SOCKET_TIMEOUT,
            connectionPoolTimeout=_IDLE_TIMEOUT,
            **options,
        )
        if self.proxy:
            # How pyVmomi passes the address of the server to the connection depends on its version.
            adapter.scheme = functools.partial(_proxied, self.proxy, (plain_host(self.hostname), self.port))
        return adapter

    @contextlib.contextmanager
    def other_service(self, path: str, version: str) -> Iterator[Any]:
        """Yield a stub for another service of the vCenter at ``path``, such as storage policies, which accepts this session.

        Raises:
            StrataError: as ``fault_error`` and ``connection_error`` for what the calls raise.
        """
        key = re.search(r'=\s*"?([^";]+)', self._soap.cookie)
        adapter = self._adapter(version, path=path, requestContext={"vcSessionCookie": key[1] if key else ""})
        try:
            yield adapter
        except CONNECTION_ERRORS as error:
            raise self._connection_error(error) from error
        except _UNDECODABLE as error:
            raise self._undecodable(error, path) from error
        finally:
            adapter.DropConnections()

    def _connection_error(self, error: BaseException) -> StrataError:
        """Return the engine's error for a failed connection; before the proxy answers, it is the proxy that failed."""
        if self.proxy and isinstance(error, (ConnectionRefusedError, TimeoutError, socket.gaierror)):
            host, port = self.proxy
            return connection_error(error, f"the proxy {host} (port {port})", "proxy_host")
        return connection_error(error, self.label)

    def _login(self) -> None:
        self._soap.cookie = ""
        attempt = Attempts(self.patience.calls)
        while True:
            try:
                content = pyvmomi.vim.ServiceInstance("ServiceInstance", self._soap).RetrieveContent()
                content.sessionManager.Login(self._username, self._password, None)
                self.logins += 1
                return
            except pyvmomi.vim.fault.InvalidLogin as fault:
                raise Unavailable(
                    f"{self.label[0].upper()}{self.label[1:]} rejected the login of the user {self._username}.",
                    code="vsphere.login",
                    hint="Check the options username and password; a user name is such as administrator@vsphere.local.",
                ) from fault
            except pyvmomi.vmodl.MethodFault as fault:
                if not attempt.again(fault_name(fault)):
                    raise fault_error(fault, f"Logging in to {self.label}") from fault

    def _version(self, versions: list[str]) -> str:
        """Return the newest API version of ``versions`` that the server supports."""
        host, port = self.proxy or (plain_host(self.hostname), self.port)
        connection = TlsConnection(host, port, timeout=30, context=self.trust.context())
        if self.proxy:
            connection.set_tunnel(plain_host(self.hostname), self.port)
        try:
            connection.request("GET", "/sdk/vimServiceVersions.xml")
            response = connection.getresponse()
            text = response.read(_LONGEST_VERSIONS)
        finally:
            connection.close()
        if response.status in (502, 503, 504):
            raise http.client.HTTPException(f"{response.status} {response.reason}")
        try:
            known = (
                {element.text for element in parse_xml(text, "It").iter() if local_name(element.tag) == "version"}
                if response.status == 200
                else set()
            )
        except StrataError:
            known = set()
        for version in versions:
            if pyvmomi.VmomiSupport.versionIdMap[version] in known:
                return version
        raise Unavailable(
            f"The server at {self.label} is not a vCenter of a supported version.",
            code="vsphere.protocol",
            hint="Check the options hostname and port.",
        )

    def _invoke(self, managed: Any, info: Any, arguments: Any) -> Any:
        """Make a call: log in again once if the session has expired, and repeat repeatable calls while the connection fails."""
        repeatable = info.wsdlName in _REPEATABLE
        attempt = Attempts(self.patience.calls)
        renewed = False
        while True:
            soap, logins = self._soap, self.logins
            if soap is None:
                raise InternalError(f"The session with {self.label} was closed before a call.", code="vsphere.session")
            try:
                status, result = soap.InvokeMethod(managed, info, arguments, self._stub)
            except CONNECTION_ERRORS as error:
                # A refused connection has transferred nothing, so that every call can be repeated.
                again = repeatable or isinstance(error, ConnectionRefusedError)
                if not again or isinstance(error, ssl.SSLCertVerificationError) or not attempt.again():
                    raise self._connection_error(error) from error
                continue
            except _UNDECODABLE as error:
                raise self._undecodable(error, info.wsdlName) from error
            if status == 200:
                return result
            if not renewed and isinstance(result, pyvmomi.vim.fault.NotAuthenticated):
                # The call was not executed, so that every call can be repeated.
                renewed = True
                self._patiently(functools.partial(self._renew, logins), attempt)
            elif not repeatable or not attempt.again(fault_name(result)):
                raise result

    def _undecodable(self, error: BaseException, call: str) -> Unavailable:
        return Unavailable(
            f"The answer of {self.label} to {call} cannot be decoded ({type(error).__name__}: {error}).",
            code="vsphere.protocol",
            hint="Install a version of pyvmomi that supports the version of the server.",
        )

    def _patiently(self, action: Callable[[], None], attempt: Attempts) -> None:
        while True:
            try:
                return action()
            except CONNECTION_ERRORS as error:
                if isinstance(error, ssl.SSLCertVerificationError) or not attempt.again():
                    raise self._connection_error(error) from error


def _proxied(
    proxy: tuple[str, int],
    server: tuple[str, int],
    *_address: object,
    host: object = None,
    port: object = None,
    **options: Any,
) -> TlsConnection:
    """Return a connection to ``server`` through ``proxy``; the address that pyVmomi passes is the proxy's, or the server's."""
    connection = TlsConnection(*proxy, **options)
    connection.set_tunnel(*server)
    return connection


class Attempts:
    """Pauses between attempts, longer each time, until the time is over or too many attempts ended with a fault.

    There is always a second attempt: the first attempt may have used all the time until its connection broke.
    """

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._pause = min(0.25, seconds / 16)
        self._faults = 0
        self._attempts = 0

    def again(self, fault: str | None = None) -> bool:
        """Wait for the next attempt; return False when there is none. ``fault`` names the fault that ended the last attempt."""
        if fault is not None:
            self._faults += 1
            if fault not in _TRANSIENT_FAULTS or self._faults > _FAULT_REPEATS:
                return False
        self._attempts += 1
        if self._attempts > 1 and time.monotonic() + self._pause > self._deadline:
            return False
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, 5)
        return True


def _stub(session: Session, version: str) -> Any:
    """Return the stub that managed objects call; its class is created here because pyVmomi may not be installed."""

    class SessionStub(pyvmomi.StubAdapterBase):
        """Passes every call on to the session."""

        def InvokeMethod(self, mo: Any, info: Any, args: Any) -> Any:
            return session._invoke(mo, info, args)

        def __deepcopy__(self, memo: dict) -> Any:
            return self

    return SessionStub(version)
