# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The URLs of a registry, and which of the URLs that it sends belong to it."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping

from ...common.errors import InternalError, Unavailable
from ..model import RegistryConnection, is_digest, is_repository_name, is_tag

#: Docker Hub has its API on a different host than the host in its names.
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_DOCKER_HUB_API = "registry-1.docker.io"
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST_URL = 16 << 10


class Endpoints:
    """The URLs of a registry. Each method raises InternalError for a name that is not valid."""

    def __init__(self, connection: RegistryConnection) -> None:
        address = connection.address
        self._label = connection.label
        self._secure = not connection.plain_http
        authority = _DOCKER_HUB_API if address.host in _DOCKER_HUB else address.authority
        self.base = f"{'https' if self._secure else 'http'}://{authority}"

    @property
    def ping(self) -> str:
        """Return the URL that every registry has."""
        return f"{self.base}/v2/"

    def manifest(self, repository: str, reference: str) -> str:
        """Return the URL of a manifest by tag or digest."""
        if not is_tag(reference) and not is_digest(reference):
            raise InternalError(f"'{reference}' is not a tag or a digest.", code="oci_registry.reference")
        return f"{self._repository(repository)}/manifests/{reference}"

    def blob(self, repository: str, digest: str) -> str:
        """Return the URL of a blob."""
        return f"{self._repository(repository)}/blobs/{_checked(digest)}"

    def uploads(self, repository: str, query: Mapping[str, str] | None = None) -> str:
        """Return the URL at which uploads begin."""
        return f"{self._repository(repository)}/blobs/uploads/" + _query(query or {})

    def tags(self, repository: str, query: Mapping[str, str]) -> str:
        """Return the URL of a page of tags."""
        return f"{self._repository(repository)}/tags/list" + _query(query)

    def referrers(self, repository: str, digest: str, query: Mapping[str, str]) -> str:
        """Return the URL of the manifests that refer to a manifest."""
        return f"{self._repository(repository)}/referrers/{_checked(digest)}" + _query(query)

    def is_own(self, url: str) -> bool:
        """Return whether a URL has the scheme, host and port of the registry: credentials are sent only there."""
        return origin(url) == origin(self.base)

    def resolve(self, current: str, location: str, *, upload: bool = False) -> str:
        """Return the absolute URL for a Location or Link that an answer from ``current`` has.

        A registry behind a proxy that ends TLS may send its own host with the scheme http; an ``upload`` then uses the URL
        of the connection.

        Raises:
            Unavailable: ``oci_registry.redirect`` if the URL is not valid, or leads from https to http.
        """
        try:
            url = urllib.parse.urljoin(current, location)
            parts = urllib.parse.urlsplit(url)
            scheme, host, userinfo = parts.scheme, parts.hostname, "@" in parts.netloc
            port, base = parts.port, urllib.parse.urlsplit(self.base)
            if upload and host == base.hostname and port in (None, 80, base.port):
                url = urllib.parse.urlunsplit((base.scheme, base.netloc, parts.path, parts.query, ""))
                scheme = base.scheme
        except ValueError:
            scheme, host, userinfo = "", None, False
        if scheme not in _DEFAULT_PORTS or not host or userinfo or len(url) > _LONGEST_URL or _has_control(url):
            raise self._refused("a URL that is not valid")
        if self._secure and scheme != "https":
            raise self._refused(f"http://{host}, which is not encrypted")
        return url

    def _repository(self, repository: str) -> str:
        if not is_repository_name(repository):
            raise InternalError(f"'{repository}' is not the name of a repository.", code="oci_registry.repository_name")
        return f"{self.base}/v2/{repository}"

    def _refused(self, target: str) -> Unavailable:
        return Unavailable(
            f"{self._label[0].upper()}{self._label[1:]} redirects a request to {target}.",
            code="oci_registry.redirect",
            hint="Check the external URL in the configuration of the registry, and the headers of its reverse proxy (X-Forwarded-Proto).",
        )


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a valid URL."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)


def shown(url: str) -> str:
    """Return a URL without its query, which may contain a signature."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:300]


def with_query(url: str, name: str, value: str) -> str:
    """Return a URL with an additional parameter; the parameters that it has stay as they are."""
    return f"{url}{'&' if '?' in url else '?'}{name}={urllib.parse.quote(value, safe='')}"


def _query(values: Mapping[str, str]) -> str:
    return "?" + urllib.parse.urlencode(values, quote_via=urllib.parse.quote) if values else ""


def _checked(digest: str) -> str:
    if not is_digest(digest):
        raise InternalError(f"'{digest}' is not a SHA-256 digest.", code="oci_registry.digest")
    return digest


def _has_control(url: str) -> bool:
    return any(ord(character) <= 32 or ord(character) == 127 for character in url)
