# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses and connections of OCI registries, and what their requests return.

The forms of repository names, tags and digests are those of the distribution specification of the Open Container
Initiative (https://github.com/opencontainers/distribution-spec).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..common.errors import InvalidInput

#: The first chunk of an upload in bytes, and the unit of chunks: object stores have parts of at least 5 MiB.
CHUNK_SIZE, CHUNK_UNIT = 64 << 20, 5 << 20

_HOST = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)(?::(?P<port>[0-9]{1,5}))?"
)
_PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PATH_PART}(?:/{_PATH_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LONGEST_REPOSITORY = 255
#: Hosts that mean this computer: a registry there may be used without TLS.
_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|::1")


class Uploaded(enum.Enum):
    """How a blob came into a repository of the target."""

    #: The repository had the blob.
    PRESENT = "present"
    #: The registry linked the blob from a different repository.
    MOUNTED = "mounted"
    #: The bytes were sent.
    SENT = "sent"


@dataclass(frozen=True, slots=True)
class RemoteManifest:
    """A manifest as stored: its bytes, which agree with ``digest``, and its media type."""

    data: bytes
    digest: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Referrer:
    """The descriptor of a manifest whose ``subject`` is a given manifest. ``size`` is in bytes."""

    digest: str
    size: int
    media_type: str
    artifact_type: str
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RegistryAddress:
    """The host of a registry, its port, and the path in front of all repositories, such as ``windows``; both optional.

    An IPv6 address has no brackets in ``host``.
    """

    host: str
    port: int | None = None
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> RegistryAddress:
        """Return the address for a text such as ``registry.example.com:5000/windows``.

        Raises:
            InvalidInput: ``oci_registry.address`` if the text is not a host with an optional port and path.
        """
        if "://" in text:
            raise _bad_address(text.rpartition("@")[2], "it has a scheme; write the host without it")
        if "@" in text:
            # The text may contain a password.
            raise _bad_address(text.rpartition("@")[2], "it has a user or a digest (@); write only host, port and path")
        authority, _slash, prefix = text.strip().partition("/")
        match = _HOST.fullmatch(authority)
        if match is None:
            raise _bad_address(text, "it does not begin with a host name or an IP address")
        port = int(match["port"]) if match["port"] else None
        if port is not None and not 0 < port < 65536:
            raise _bad_address(text, f"the port {port} is not between 1 and 65535")
        prefix = prefix.strip("/")
        if prefix and not is_repository_name(prefix):
            raise _bad_address(text, f"the path '{prefix}' has characters that repository names must not have")
        return cls(match["host"].strip("[]"), port, prefix)

    @property
    def authority(self) -> str:
        """Return host and port as in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Return whether the host is this computer."""
        return _LOOPBACK.fullmatch(self.host) is not None

    def __str__(self) -> str:
        return f"{self.authority}/{self.prefix}" if self.prefix else self.authority


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of requests, in seconds, and numbers of attempts.

    ``connect``: a connection must be open. ``read``: the registry may send nothing. ``attempts``: a request, or a range
    of a blob, is tried that often without progress. ``pause``: the first pause between attempts; each further pause is
    twice as long, at most ``longest_pause``. ``throttled``: a request waits that long in total when the registry limits
    the rate of requests. ``bytes_per_second``: the slowest registry that is expected to hash a blob at the end of its upload.
    """

    connect: float = 30
    read: float = 120
    attempts: int = 7
    pause: float = 1
    longest_pause: float = 30
    throttled: float = 600
    bytes_per_second: int = 20 << 20


@dataclass(frozen=True, slots=True)
class RegistryConnection:
    """A registry, the account with which to log in, and how to connect.

    Without ``username``, the credentials come from ``credentials_file``, or from the files of docker and podman.
    ``ca_file`` has certificate authorities in PEM form in addition to those of the system. ``plain_http``: use HTTP without
    TLS. ``proxy`` is the URL of a proxy, an empty text for none, or None for the proxies of the environment.
    ``chunk_size`` is in bytes; None for chunks that grow while requests are short. ``streams`` is the number of ranges of a
    blob that are read in parallel. ``uploads_folder`` is an existing folder that remembers unfinished uploads, so that the
    next run resumes them; None to forget them.
    """

    address: RegistryAddress
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    validate_certs: bool = True
    ca_file: str | None = None
    plain_http: bool = False
    credentials_file: str | None = None
    proxy: str | None = field(default=None, repr=False)
    chunk_size: int | None = None
    streams: int = 4
    uploads_folder: str | None = None
    patience: Patience = Patience()

    @property
    def label(self) -> str:
        """Return the name of the registry in messages."""
        return f"the registry {self.address.authority}"


def is_repository_name(text: str) -> bool:
    """Return whether a text is a valid name of a repository, such as ``windows/app/editor``."""
    return len(text) <= _LONGEST_REPOSITORY and _REPOSITORY.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Return whether a text is a valid tag."""
    return _TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Return whether a text is a SHA-256 digest, such as ``sha256:`` with 64 hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


def _bad_address(text: str, reason: str) -> InvalidInput:
    return InvalidInput(
        f"The address '{text}' of a registry is not valid: {reason}.",
        code="oci_registry.address",
        hint="Set registry to a host with an optional port and path, such as registry.example.com:5000/windows.",
        address=text,
    )
