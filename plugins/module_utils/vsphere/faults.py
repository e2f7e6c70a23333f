# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What vSphere and the network say when something fails, as the engine's own errors."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from xml.parsers import expat

from ..common.errors import Conflict, InvalidInput, NoSpace, NotFound, StrataError, TimedOut, Unavailable, Unsupported
from ..common.optional_imports import pyvmomi

#: What a call over a connection raises when the other side is not there, goes away or talks nonsense.
CONNECTION_ERRORS = (OSError, http.client.HTTPException, expat.ExpatError)

_SESSION = re.compile(r"session(?:\[|%5b)[^\]%\s]*(?:\]|%5d)[0-9a-f-]*", re.IGNORECASE)

_KINDS = {
    "ManagedObjectNotFound": (NotFound, "vsphere.gone", "Something else removed it meanwhile; run again."),
    "DuplicateName": (Conflict, "vsphere.duplicate_name", "Remove or rename what has that name."),
    "AlreadyExists": (Conflict, "vsphere.duplicate_name", "Remove or rename what has that name."),
    "FileAlreadyExists": (
        Conflict,
        "vsphere.file_exists",
        "Remove the file or folder of that name from the datastore.",
    ),
    "InvalidPowerState": (Conflict, "vsphere.power_state", "Check the power state of the virtual machine."),
    "InvalidState": (Conflict, "vsphere.state", "Wait until other work on the object has ended and run again."),
    "TaskInProgress": (Conflict, "vsphere.busy", "Wait until other work on the object has ended and run again."),
    "ConcurrentAccess": (Conflict, "vsphere.busy", "Wait until other work on the object has ended and run again."),
    "ResourceInUse": (Conflict, "vsphere.busy", "Wait until other work on the object has ended and run again."),
    "NoPermission": (Unavailable, "vsphere.permission", "Give the role of the user who logs in what it lacks there."),
    "InvalidLogin": (Unavailable, "vsphere.login", "Check the user name and the password."),
    "NotAuthenticated": (Unavailable, "vsphere.session", "Run again."),
    "InvalidArgument": (InvalidInput, "vsphere.argument", None),
    "InvalidName": (InvalidInput, "vsphere.name", "Use another name."),
    "NotSupported": (Unsupported, "vsphere.not_supported", None),
    "MethodNotFound": (
        Unsupported,
        "vsphere.not_supported",
        "The server does not know this call; is it a vCenter of a supported version?",
    ),
    "InsufficientResourcesFault": (
        NoSpace,
        "vsphere.resources",
        "Free resources in the cluster or choose another one.",
    ),
    "NoDiskSpace": (NoSpace, "vsphere.no_space", "Free space on the datastore or choose another one."),
    "InsufficientStorageSpace": (NoSpace, "vsphere.no_space", "Free space on the datastore or choose another one."),
    "RestrictedVersion": (
        Unavailable,
        "vsphere.license",
        "The license of the host does not allow this; use a vCenter with a full license.",
    ),
    "Timedout": (TimedOut, "vsphere.timed_out", "Run again."),
}


def fault_name(fault: object) -> str:
    """The plain type name of a fault, such as ``InvalidPowerState``."""
    return type(fault).__name__.rpartition(".")[2]


def fault_text(fault: object) -> str:
    """vSphere's own words for ``fault``, else the little it carries, and the fault's type name."""
    words = getattr(fault, "msg", None) or ""
    if not words.strip() or words.startswith("*"):
        words = ""
    for message in getattr(fault, "faultMessage", None) or []:
        if message.message and message.message not in words:
            words = f"{words} {message.message}".strip()
    name = fault_name(fault)
    if name == "NoPermission":
        words = " ".join(filter(None, (words.rstrip(". ") or "permission was denied", _missing_privileges(fault))))
    words = without_sessions(" ".join(words.split()))[:500].rstrip(". ")
    return f"{words} ({name})" if words else name


def _missing_privileges(fault: object) -> str:
    """What a NoPermission says is lacking, in parentheses; newer servers list it, older ones name one privilege."""
    listed = [(one.entity, list(one.privilegeIds or [])) for one in getattr(fault, "missingPrivileges", None) or []]
    listed = listed or [(getattr(fault, "object", None), list(filter(None, [getattr(fault, "privilegeId", None)])))]
    said = []
    for entity, privileges in listed:
        words = f"privilege{'s' if len(privileges) > 1 else ''} {', '.join(privileges)}" if privileges else ""
        place = f"on {type(entity).__name__.rpartition('.')[2]} {entity._GetMoId()}" if entity is not None else ""
        said.append(f"{words} {place}".strip())
    said = list(filter(None, said))
    return f"({'; '.join(said)})" if said else ""


def without_sessions(text: str) -> str:
    """``text`` without the identifiers of sessions that are in those of leases and collectors: they may be as good as a password."""
    return _SESSION.sub("session[...]", text)


def fault_error(fault: object, subject: str) -> StrataError:
    """The engine's error for ``fault``; ``subject`` is what was being done, as the start of a sentence."""
    for kind in type(fault).__mro__:
        known = _KINDS.get(kind.__name__.rpartition(".")[2])
        if known:
            break
    else:
        known = (Unavailable, "vsphere.fault", "Look at the task and the events in vCenter.")
    error, code, hint = known
    return error(f"{subject} failed: {fault_text(fault)}.", code=code, hint=hint, fault=fault_name(fault))


@contextlib.contextmanager
def explained(subject: str) -> Iterator[None]:
    """Turn a fault that leaves the block into the engine's error; ``subject`` starts its sentence."""
    try:
        yield
    except pyvmomi.vmodl.MethodFault as fault:
        raise fault_error(fault, subject) from fault


def connection_error(error: BaseException, place: str) -> StrataError:
    """The engine's error for a failed connection; ``place`` is such as ``the vCenter vc.example.com (port 443)``."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unavailable(
            f"The certificate of {place} is not trusted: {error.verify_message}.",
            code="vsphere.certificate",
            hint="Make its certificate authority known to the composer, name its file with ca_path, or set validate_certs to false.",
        )
    if isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return Unavailable(
            f"No TLS connection to {place} is possible: {error.reason or error}.",
            code="vsphere.tls",
            hint="Check the name and the port.",
        )
    if isinstance(error, socket.gaierror):
        return Unavailable(
            f"The name of {place} cannot be resolved.",
            code="vsphere.name_resolution",
            hint="Check the name, and DNS on the composer.",
        )
    if isinstance(error, ConnectionRefusedError):
        return Unavailable(
            f"The connection to {place} was refused.",
            code="vsphere.refused",
            hint="Check that the service runs and no firewall is between.",
        )
    if isinstance(error, TimeoutError):
        return TimedOut(
            f"There was no answer from {place} in time.",
            code="vsphere.no_answer",
            hint="Check that the service runs and no firewall is between.",
        )
    if isinstance(error, expat.ExpatError):
        return Unavailable(
            f"The answer from {place} is not what vSphere sends.",
            code="vsphere.protocol",
            hint="Check the name and the port.",
        )
    text = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, http.client.HTTPException) and text[:3] in ("502", "503", "504"):
        return Unavailable(
            f"The service of {place} is not ready: {text}.",
            code="vsphere.not_ready",
            hint="Wait until its services run, and run again.",
        )
    return Unavailable(
        f"The connection to {place} broke: {text}.",
        code="vsphere.connection",
        hint="Check the network and the service, and run again.",
    )


#: Errors that may pass by themselves, by their code; of faults without a code of their own, by their name.
_TRANSIENT_CODES = frozenset(
    (
        "vsphere.connection",
        "vsphere.refused",
        "vsphere.no_answer",
        "vsphere.not_ready",
        "vsphere.busy",
        "vsphere.session",
        "vsphere.lease",
        "vsphere.lease_lost",
        "vsphere.checksum",
    )
)
_TRANSIENT_FAULTS = frozenset(
    (
        "SystemError",
        "HostCommunication",
        "HostNotConnected",
        "HostNotReachable",
        "HostConnectFault",
        "CommunicationTimeout",
        "Timedout",
        "FileLocked",
    )
)


def is_transient(error: StrataError) -> bool:
    """Whether the same work may succeed when it is done again a little later, without anybody doing anything."""
    if error.code == "vsphere.http":
        return error.details.get("status") in (408, 429, 500, 502, 503, 504)
    return error.code in _TRANSIENT_CODES or error.details.get("fault") in _TRANSIENT_FAULTS
