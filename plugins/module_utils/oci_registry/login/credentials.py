# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials for a registry: options, or the files of docker and podman.

The format of the files is that of containers-auth.json(5) and of docker's config.json: ``auths`` maps a host or the beginning of
a repository to base64 of ``USER:PASSWORD``, ``credHelpers`` maps hosts to credential helpers, and ``credsStore`` names the
helper of all other hosts.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...common.errors import InvalidInput
from ..model import RegistryConnection
from .credential_helpers import ask_helper, program_of

#: The user name with which docker marks an identity token in place of a password.
TOKEN_USER = "<token>"
#: The key of Docker Hub in the files.
_DOCKER_HUB_KEY, _DOCKER_HUB = "index.docker.io", ("docker.io", "index.docker.io", "registry-1.docker.io")
_LONGEST_FILE = 1 << 20
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_API_PATH = re.compile(r"/v[12]/?")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and a password, or an identity token with which a token server grants access."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


class CredentialStore:
    """The credentials of a connection for each repository. Several threads may use it."""

    def __init__(self, connection: RegistryConnection, environment: Mapping[str, str] | None = None) -> None:
        self._connection = connection
        self._environment = os.environ if environment is None else environment
        self._files: list[_File] | None = None
        self._found: dict[str, Credentials | None] = {}
        self._helpers: dict[tuple[str, str], Credentials | None] = {}
        self._lock = threading.Lock()

    def find(self, repository: str) -> Credentials | None:
        """Return the credentials for a repository, None to use the registry without a login.

        Raises:
            InvalidInput: ``oci_registry.credentials_file`` or ``oci_registry.credential_helper``.
        """
        if self._connection.username:
            return _credentials(self._connection.username, self._connection.password or "")
        with self._lock:
            if repository not in self._found:
                self._found[repository] = self._search(repository)
            return self._found[repository]

    def account(self, repository: str) -> str:
        """Return the account for a repository in a sentence."""
        credentials = self.find(repository)
        if credentials is None:
            return "a client without credentials"
        return f"the user {credentials.username}" if credentials.username else "the owner of the identity token"

    def _search(self, repository: str) -> Credentials | None:
        if self._files is None:
            self._files = list(self._read_files())
        keys = list(self._keys(repository))
        for file in self._files:
            for key in keys:
                found = self._from_helper(file.helpers.get(key), keys[-1]) or file.logins.get(key)
                if found is not None:
                    return found
            if file.store and program_of(file.store) is not None:
                found = self._from_helper(file.store, keys[-1])
                if found is not None:
                    return found
        return None

    def _keys(self, repository: str) -> Iterator[str]:
        """Yield the keys of a repository, the longest first: host with path, then the host alone."""
        address = self._connection.address
        host = _DOCKER_HUB_KEY if address.host in _DOCKER_HUB else address.authority.lower()
        parts = [part for part in repository.split("/") if part]
        for count in range(len(parts), -1, -1):
            yield "/".join((host, *parts[:count]))

    def _from_helper(self, helper: str | None, host: str) -> Credentials | None:
        if helper is None:
            return None
        if (helper, host) not in self._helpers:
            server = f"https://{host}/v1/" if host == _DOCKER_HUB_KEY else host
            answer = ask_helper(helper, server)
            self._helpers[helper, host] = None if answer is None else _credentials(answer.username, answer.secret)
        return self._helpers[helper, host]

    def _read_files(self) -> Iterator[_File]:
        required = self._connection.credentials_file
        for path in [required] if required else self._usual_files():
            data = _read(path, required=path == required)
            if data is not None:
                yield _parse(path, data)

    def _usual_files(self) -> Iterator[str]:
        environment = self._environment
        home = environment.get("HOME") or os.path.expanduser("~")
        if environment.get("REGISTRY_AUTH_FILE"):
            yield environment["REGISTRY_AUTH_FILE"]
        runtime = environment.get("XDG_RUNTIME_DIR")
        yield os.path.join(
            runtime or f"/run/containers/{os.getuid()}", *(["containers"] if runtime else []), "auth.json"
        )
        yield os.path.join(
            environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "containers", "auth.json"
        )
        yield os.path.join(environment.get("DOCKER_CONFIG") or os.path.join(home, ".docker"), "config.json")


@dataclass(frozen=True, slots=True)
class _File:
    """A file of credentials: helpers and logins by normalized key, and the helper for all other hosts."""

    helpers: dict[str, str]
    logins: dict[str, Credentials]
    store: str | None


def _read(path: str, *, required: bool) -> bytes | None:
    """Return the content of a file, None if it is not there or must not be read, unless it is required."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(_LONGEST_FILE + 1)
    except OSError as error:
        if required:
            raise _unusable(path, error.strerror or str(error)) from error
        return None
    if len(data) > _LONGEST_FILE:
        raise _unusable(path, f"it has more than {_LONGEST_FILE >> 20} MiB")
    return data


def _parse(path: str, data: bytes) -> _File:
    try:
        value = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError):
        raise _unusable(path, "it is not JSON") from None
    if not isinstance(value, dict):
        raise _unusable(path, "it is not a JSON object")
    helpers, logins = _mapping(path, value, "credHelpers"), _mapping(path, value, "auths")
    store = value.get("credsStore")
    return _File(
        {_normalized(key): helper for key, helper in helpers.items() if isinstance(helper, str) and helper},
        {_normalized(key): found for key, entry in logins.items() if (found := _login(path, key, entry)) is not None},
        store if isinstance(store, str) and store else None,
    )


def _mapping(path: str, value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _unusable(path, f"the field {name} is not an object")
    return found


def _login(path: str, key: str, entry: Any) -> Credentials | None:
    """Return the credentials of an entry of auths, None if it has none: docker leaves empty entries for its store."""
    if not isinstance(entry, dict):
        raise _unusable(path, f"the entry '{key[:100]}' of auths is not an object")
    fields = {name: entry.get(name) or "" for name in ("auth", "username", "password", "identitytoken")}
    if not all(isinstance(text, str) for text in fields.values()):
        raise _unusable(path, f"the entry '{key[:100]}' of auths has a field that is not a text")
    username, password = fields["username"], fields["password"]
    if fields["auth"]:
        try:
            # Docker pads passwords with zero bytes.
            username, _colon, password = (
                base64.b64decode(fields["auth"], validate=True).decode().rstrip("\0").partition(":")
            )
        except (binascii.Error, ValueError):
            raise _unusable(path, f"the field auth of the entry '{key[:100]}' is not base64 of USER:PASSWORD") from None
    if fields["identitytoken"]:
        return Credentials(username, "", fields["identitytoken"])
    return _credentials(username, password) if password else None


def _credentials(username: str, password: str) -> Credentials:
    if username == TOKEN_USER:
        return Credentials("", "", password)
    return Credentials(username, password)


def _normalized(key: str) -> str:
    """Return a key without the scheme, and without the path of the API that docker once wrote."""
    text = _SCHEME.sub("", key, count=1)
    host, slash, path = text.partition("/")
    if _API_PATH.fullmatch(slash + path):
        path = ""
    path = path.strip("/")
    host = host.lower()
    if host in _DOCKER_HUB:
        host = _DOCKER_HUB_KEY
    return f"{host}/{path}" if path else host


def _unusable(path: str, reason: str) -> InvalidInput:
    return InvalidInput(
        f"The file of registry credentials {path} cannot be used: {reason}.",
        code="oci_registry.credentials_file",
        hint="Set registry_auth_file to a file that podman login or docker login has written, or set registry_username and registry_password.",
        path=path,
    )
