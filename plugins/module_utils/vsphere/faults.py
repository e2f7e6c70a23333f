# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's errors for faults of vSphere and for failed connections."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from ..common.errors import Conflict, InvalidInput, NoSpace, NotFound, StrataError, TimedOut, Unavailable, Unsupported
from ..common.optional_imports import pyvmomi

#: Exceptions of a call over a connection when the server is unreachable, closes the connection or sends invalid data.
CONNECTION_ERRORS = (OSError, http.client.HTTPException, expat.ExpatError)

_SESSION = re.compile(r"session(?:\[|%5b)[^\]%\s]*(?:\]|%5d)[0-9a-f-]*", re.IGNORECASE)

_KINDS = {
    "ManagedObjectNotFound": (
        NotFound,
        "vsphere.gone",
        "Another client removed it while the module was running; run this playbook again.",
    ),
    "DuplicateName": (Conflict, "vsphere.duplicate_name", "Remove or rename the object with that name."),
    "AlreadyExists": (Conflict, "vsphere.duplicate_name", "Remove or rename the object with that name."),
    "FileAlreadyExists": (
        Conflict,
        "vsphere.file_exists",
        "Remove the file or folder with that name from the datastore.",
    ),
    "InvalidPowerState": (Conflict, "vsphere.power_state", "Check the power state of the virtual machine."),
    "InvalidState": (
        Conflict,
        "vsphere.state",
        "Wait until the running task of that object has ended, and run this playbook again.",
    ),
    "TaskInProgress": (
        Conflict,
        "vsphere.busy",
        "Wait until the running task of that object has ended, and run this playbook again.",
    ),
    "ConcurrentAccess": (
        Conflict,
        "vsphere.busy",
        "Wait until the running task of that object has ended, and run this playbook again.",
    ),
    "MethodDisabled": (
        Conflict,
        "vsphere.busy",
        "Wait until the program that has disabled this operation, such as a backup, enables it, and run this playbook again.",
    ),
    "ResourceInUse": (
        Conflict,
        "vsphere.busy",
        "Wait until the running task of that object has ended, and run this playbook again.",
    ),
    "NoPermission": (
        Unavailable,
        "vsphere.permission",
        "Add the missing privileges to the role of the user that the option username names.",
    ),
    "InvalidLogin": (Unavailable, "vsphere.login", "Check the options username and password."),
    "NotAuthenticated": (Unavailable, "vsphere.session", "Run this playbook again."),
    "InvalidArgument": (InvalidInput, "vsphere.argument", "Check the options that name objects in vSphere."),
    "InvalidName": (
        InvalidInput,
        "vsphere.name",
        "Set a name that vSphere accepts: at most 80 characters, without control characters.",
    ),
    "NotSupported": (Unsupported, "vsphere.not_supported", "Use a vCenter of a supported version."),
    "MethodNotFound": (
        Unsupported,
        "vsphere.not_supported",
        "Use a vCenter of a supported version: the server does not know this call.",
    ),
    "InsufficientResourcesFault": (
        NoSpace,
        "vsphere.resources",
        "Free resources in the cluster, or choose a different cluster.",
    ),
    "NoDiskSpace": (NoSpace, "vsphere.no_space", "Free space on the datastore, or choose a different datastore."),
    "InsufficientStorageSpace": (
        NoSpace,
        "vsphere.no_space",
        "Free space on the datastore, or choose a different datastore.",
    ),
    "RestrictedVersion": (
        Unavailable,
        "vsphere.license",
        "Use a vCenter with a full license: the license of the host does not allow this.",
    ),
    "Timedout": (TimedOut, "vsphere.timed_out", "Run this playbook again."),
}


def fault_name(fault: object) -> str:
    """Return the type name of a fault without its packages, such as ``InvalidPowerState``."""
    return type(fault).__name__.rpartition(".")[2]


def fault_text(fault: object) -> str:
    """Return vSphere's message for ``fault``, if it has one, and the fault's type name."""
    text = getattr(fault, "msg", None) or ""
    if not text.strip() or text.startswith("*"):
        text = ""
    for message in getattr(fault, "faultMessage", None) or []:
        if message.message and message.message not in text:
            text = f"{text} {message.message}".strip()
    name = fault_name(fault)
    if name == "NoPermission":
        text = " ".join(filter(None, (text.rstrip(". ") or "permission was denied", _missing_privileges(fault))))
    text = without_sessions(" ".join(text.split()))[:500].rstrip(". ")
    return f"{text} ({name})" if text else name


def _missing_on_objects(fault: object) -> list[tuple[Any, list[str]]]:
    """Return the privileges that a NoPermission reports as missing, with their object; older servers report only one privilege."""
    missing = [
        (entry.entity, list(entry.privilegeIds or [])) for entry in getattr(fault, "missingPrivileges", None) or []
    ]
    if missing:
        return missing
    privilege = getattr(fault, "privilegeId", None)
    return [(getattr(fault, "object", None), [privilege] if privilege else [])]


def _missing_privileges(fault: object) -> str:
    """Return the privileges that a NoPermission reports as missing, in parentheses."""
    phrases = []
    for entity, privileges in _missing_on_objects(fault):
        names = f"privilege{'s' if len(privileges) > 1 else ''} {', '.join(privileges)}" if privileges else ""
        target = f"on {type(entity).__name__.rpartition('.')[2]} {entity._GetMoId()}" if entity is not None else ""
        phrases.append(f"{names} {target}".strip())
    phrases = list(filter(None, phrases))
    return f"({'; '.join(phrases)})" if phrases else ""


def without_sessions(text: str) -> str:
    """Return ``text`` without session identifiers, which are part of the identifiers of leases and collectors and may give access."""
    return _SESSION.sub("session[...]", text)


def fault_error(fault: object, subject: str) -> StrataError:
    """Return the engine's error for ``fault``; ``subject`` is the beginning of its message, such as "Powering on X"."""
    for kind in type(fault).__mro__:
        known = _KINDS.get(kind.__name__.rpartition(".")[2])
        if known:
            break
    else:
        known = (Unavailable, "vsphere.fault", "Check the task and the events in vCenter.")
    error, code, hint = known
    facts: dict[str, Any] = {"fault": fault_name(fault)}
    if facts["fault"] == "NoPermission":
        facts["missing_privileges"] = [
            {"object": entity._GetMoId(), "privileges": privileges}
            for entity, privileges in _missing_on_objects(fault)
            if entity is not None
        ]
    return error(f"{subject} failed: {fault_text(fault)}.", code=code, hint=hint, **facts)


@contextlib.contextmanager
def explained(subject: str) -> Iterator[None]:
    """Turn a fault that leaves the block into the engine's error; ``subject`` is the beginning of its message."""
    try:
        yield
    except pyvmomi.vmodl.MethodFault as fault:
        raise fault_error(fault, subject) from fault


def connection_error(error: BaseException, label: str, option: str = "hostname") -> StrataError:
    """Return the engine's error for a failed connection.

    ``label`` names the server, such as "the vCenter vc.example.com (port 443)", ``option`` the option with its name.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return Unavailable(
            f"The certificate of {label} is not trusted: {error.verify_message}.",
            code="vsphere.certificate",
            hint="Set ca_path to a file with its certificate authority, add that authority to the composer's, or set validate_certs to false.",
        )
    if isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return Unavailable(
            f"The TLS connection to {label} failed: {error.reason or error}.",
            code="vsphere.tls",
            hint="Check the options hostname and port.",
        )
    if isinstance(error, socket.gaierror):
        return Unavailable(
            f"The name of {label} cannot be resolved.",
            code="vsphere.name_resolution",
            hint=f"Check the option {option}, and DNS on the composer.",
        )
    if isinstance(error, ConnectionRefusedError):
        return Unavailable(
            f"The connection to {label} was refused.",
            code="vsphere.refused",
            hint="Check that the service runs, and that no firewall blocks the connection.",
        )
    if isinstance(error, TimeoutError):
        return TimedOut(
            f"{label[0].upper()}{label[1:]} did not respond: the connection timed out.",
            code="vsphere.no_answer",
            hint="Check that the service runs, and that no firewall blocks the connection.",
        )
    if isinstance(error, expat.ExpatError):
        return Unavailable(
            f"The answer from {label} is not a message of vSphere.",
            code="vsphere.protocol",
            hint="Check the options hostname and port.",
        )
    text = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, http.client.HTTPException) and text[:3] in ("502", "503", "504"):
        return Unavailable(
            f"The service of {label} is not ready: {text}.",
            code="vsphere.not_ready",
            hint="Wait until its services have started, and run this playbook again.",
        )
    return Unavailable(
        f"The connection to {label} broke: {text}.",
        code="vsphere.connection",
        hint="Check the network and the service, and run this playbook again.",
    )


#: Transient errors by their code; faults without a code of their own by their name.
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
    """Return whether the same work may succeed when it is repeated a little later."""
    if error.code == "vsphere.http":
        return error.details.get("status") in (408, 429, 500, 502, 503, 504)
    return error.code in _TRANSIENT_CODES or error.details.get("fault") in _TRANSIENT_FAULTS
