# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session with vCenter (or an ESXi host) that renews itself.

pyVmomi's managed objects call the stub that is kept here. It logs in again when the
session has expired, repeats calls that change nothing when the connection breaks, and
turns what the network does into the engine's errors; faults that vSphere answers with
pass through as pyVmomi's exceptions.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..common.errors import InvalidInput, StrataError, Unavailable
from ..common.optional_imports import pyvmomi
from ..ovf.document import local_name, parse_xml
from .faults import CONNECTION_ERRORS, connection_error, explained, fault_error, fault_name
from .trust import Trust

#: Longer than any call of WaitForUpdatesEx is asked to wait, and than a slow vCenter takes for a call.
_SOCKET_TIMEOUT = 120
#: Kept-alive connections are closed by vCenter's front end when idle; a call must not meet a closed one.
_IDLE_TIMEOUT = 20
_MAXIMUM_ANSWER = 1 << 20

#: Calls that may be made twice: they read, or say again what was said.
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
    )
)
#: Faults by which vCenter says that something went wrong within it, or between it and a host: they often pass.
_PASSING_FAULTS = frozenset(("SystemError", "HostCommunication", "HostNotReachable"))
_FAULT_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Patience:
    """For how many seconds to wait. ``calls``: a repeatable call is repeated while the connection fails; ``stall``: a transfer may
    stand still; ``keep_alive``: between two reports that keep a lease; ``lease``: until a lease that nobody holds has expired."""

    calls: float = 60
    stall: float = 120
    keep_alive: float = 5
    lease: float = 330


class Session:
    """A logged-in session. ``content`` is the ServiceContent; use as a context manager to log out.

    ``trust`` is used for host connections too; ``proxy`` is (host, port) or None.
    ``logins`` counts the times of logging in.
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
        """Log in. Raises Unavailable (or TimedOut) with what is wrong, InvalidInput for unusable options."""
        session = cls(
            hostname,
            port,
            Trust(validate_certs, ca_file),
            (proxy_host, proxy_port or 3128) if proxy_host else None,
            patience,
        )
        session._username, session._password = username, password
        session._open()
        return session

    def __init__(
        self, hostname: str, port: int, trust: Trust, proxy: tuple[str, int] | None, patience: Patience
    ) -> None:
        if not hostname:
            raise InvalidInput(
                "No name of a vCenter was given.",
                code="vsphere.hostname",
                hint="Set hostname, or VMWARE_HOST in the environment.",
            )
        self.hostname = hostname
        self.port = port
        self.trust = trust
        self.proxy = proxy
        self.patience = patience
        self.place = f"the vCenter {hostname} (port {port})"
        self._username = self._password = ""
        self._lock = threading.Lock()
        self.logins = 0
        self._soap = self._stub = self.content = None

    def __repr__(self) -> str:
        return f"Session({self.hostname!r}, port={self.port})"

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *unused) -> None:
        self.close()

    def close(self) -> None:
        """Log out; a session that is gone already is no error."""
        soap, self._soap = self._soap, None
        if soap is None:
            return
        with contextlib.suppress(*CONNECTION_ERRORS, pyvmomi.vmodl.MethodFault):
            pyvmomi.vim.SessionManager(self.content.sessionManager._GetMoId(), soap).Logout()
        soap.DropConnections()

    @property
    def vcenter(self) -> dict[str, str]:
        """What documents say of the vCenter: the name by which it was reached, and the identifier that it keeps under any name."""
        return {"hostname": self.hostname, "instance_uuid": self.content.about.instanceUuid or self.hostname}

    def object(self, kind: str, moid: str):
        """The managed object of a type such as ``VirtualMachine`` with this identifier, whether it exists or not."""
        return getattr(pyvmomi.vim, kind)(moid, self._stub)

    def renew(self, logins: int) -> None:
        """Log in again because a call of after login number ``logins`` was told NotAuthenticated; once, whoever asks."""
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
                self._soap = pyvmomi.SoapStubAdapter(
                    host=self.hostname,
                    port=self.port,
                    version=version,
                    sslContext=self.trust.context(),
                    httpProxyHost=self.proxy[0] if self.proxy else None,
                    httpProxyPort=self.proxy[1] if self.proxy else 80,
                    httpConnectionTimeout=_SOCKET_TIMEOUT,
                    connectionPoolTimeout=_IDLE_TIMEOUT,
                )
                self._stub = _stub(self, version)
                self._login()
                with explained(f"Logging in to {self.place}"):
                    self.content = pyvmomi.vim.ServiceInstance("ServiceInstance", self._stub).RetrieveContent()
                return
            except CONNECTION_ERRORS as error:
                # Whoever refuses, or cannot be found, is more likely named wrongly than being restarted.
                if (
                    isinstance(error, (ConnectionRefusedError, TimeoutError, socket.gaierror, ssl.SSLError))
                    or not attempt.again()
                ):
                    raise connection_error(error, self.place) from error

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
                    f"{self.place[0].upper()}{self.place[1:]} refused the user name or the password of {self._username or 'nobody'}.",
                    code="vsphere.login",
                    hint="Check both; the user name is such as administrator@vsphere.local.",
                ) from fault
            except pyvmomi.vmodl.MethodFault as fault:
                if not attempt.again(fault_name(fault)):
                    raise fault_error(fault, f"Logging in to {self.place}") from fault

    def _version(self, versions: list[str]) -> str:
        """The newest API version of ``versions`` that the server knows too."""
        host, port = self.proxy or (self.hostname, self.port)
        connection = http.client.HTTPSConnection(host, port, timeout=30, context=self.trust.context())
        if self.proxy:
            connection.set_tunnel(self.hostname, self.port)
        try:
            connection.request("GET", "/sdk/vimServiceVersions.xml")
            response = connection.getresponse()
            text = response.read(_MAXIMUM_ANSWER)
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
            f"What answers as {self.place} is not a vCenter of a supported version.",
            code="vsphere.protocol",
            hint="Check the name and the port.",
        )

    def _invoke(self, managed, info, arguments):
        repeatable = info.wsdlName in _REPEATABLE
        attempt = Attempts(self.patience.calls)
        renewed = False
        while True:
            soap, logins = self._soap, self.logins
            if soap is None:
                raise Unavailable(f"The session with {self.place} was closed.", code="vsphere.session")
            try:
                status, result = soap.InvokeMethod(managed, info, arguments, self._stub)
            except CONNECTION_ERRORS as error:
                # A refused connection has carried nothing, so any call may try again.
                again = repeatable or isinstance(error, ConnectionRefusedError)
                if not again or isinstance(error, ssl.SSLCertVerificationError) or not attempt.again():
                    raise connection_error(error, self.place) from error
                continue
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                raise Unavailable(
                    f"The answer of {self.place} to {info.wsdlName} cannot be decoded ({type(error).__name__}: {error}).",
                    code="vsphere.protocol",
                    hint="Check that pyvmomi is not older than the server.",
                ) from error
            if status == 200:
                return result
            if not renewed and isinstance(result, pyvmomi.vim.fault.NotAuthenticated):
                # The call was not carried out, so it may be made again whatever it is.
                renewed = True
                self._patiently(functools.partial(self._renew, logins), attempt)
            elif not repeatable or not attempt.again(fault_name(result)):
                raise result

    def _patiently(self, action: Callable[[], None], attempt: Attempts) -> None:
        while True:
            try:
                return action()
            except CONNECTION_ERRORS as error:
                if isinstance(error, ssl.SSLCertVerificationError) or not attempt.again():
                    raise connection_error(error, self.place) from error


class Attempts:
    """Pauses between attempts, longer each time, until the time is over, or too many were answered by a fault.

    There is always a second attempt: the first one may have taken all the time until its connection broke.
    """

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._pause = min(0.25, seconds / 16)
        self._faults = 0
        self._attempts = 0

    def again(self, fault: str | None = None) -> bool:
        """Wait for the next attempt; False when there is to be none. ``fault`` is the name of the fault that was the answer."""
        if fault is not None:
            self._faults += 1
            if fault not in _PASSING_FAULTS or self._faults > _FAULT_REPEATS:
                return False
        self._attempts += 1
        if self._attempts > 1 and time.monotonic() + self._pause > self._deadline:
            return False
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, 5)
        return True


def _stub(session: Session, version: str):
    """The stub that managed objects call; its class cannot be made before pyVmomi is known to be there."""

    class SessionStub(pyvmomi.StubAdapterBase):
        """Passes every call on to the session."""

        def InvokeMethod(self, mo, info, args):
            return session._invoke(mo, info, args)

        def __deepcopy__(self, memo):
            return self

    return SessionStub(version)
