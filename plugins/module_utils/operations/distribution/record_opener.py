# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the registry of record of a repository: address and policy come from the repository.

The user name, the password and the passphrase of the key come from the environment of the task, because the repository
contains no secrets. Nothing connects before the registry is needed.
"""

from __future__ import annotations

import os

from ...common.errors import InvalidInput, NotFound, Unavailable
from ...distribution.backends.backend import Backend
from ...distribution.items.names import Naming
from ...distribution.record.connection import RecordConnection
from ...distribution.record.state import RecordState
from ...distribution.signatures.trust import SignatureGuard
from ...oci_registry.model import RegistryAddress, RegistryConnection
from ...repository.repository import Repository
from ...repository.upstream import REQUIRED, UpstreamSettings
from ...shares.open import ShareCredentials, open_share


def open_record(repository: Repository, settings: UpstreamSettings) -> RecordConnection:
    """Return the registry of record of a repository.

    Raises:
        InvalidInput: ``oci_registry.address``, ``distribution.prefix``; ``operations.registry_credentials`` if only one of
            user name and password is set.
    """
    opener = _Opener(repository, settings)
    has_key = bool(_environment("STRATA_SIGN_KEY", "STRATA_SIGN_KEY_CONTENT") or settings.sign_key)
    return RecordConnection(
        repository,
        settings.location,
        opener.label,
        opener.naming,
        opener.connect,
        opener.guard,
        must_sign=settings.signatures == REQUIRED and not has_key,
    )


class _Opener:
    def __init__(self, repository: Repository, settings: UpstreamSettings) -> None:
        self._repository = repository
        self._settings = settings
        uploads_folder = os.path.join(repository.path, "tmp")
        self._registry = _registry_connection(settings, uploads_folder) if settings.registry else None
        prefix = self._registry.address.prefix if self._registry else ""
        self.naming = Naming(prefix, settings.flat and self._registry is not None)
        self.label = self._registry.label if self._registry else f"the folder {settings.file_share}"

    def connect(self) -> Backend:
        if self._registry is not None:
            from ...oci_registry.registry import Registry

            return Registry.connect(self._registry)
        from ...distribution.backends.folder import Folder

        credentials = ShareCredentials(
            username=_environment("STRATA_FILE_SHARE_USERNAME"),
            password=_environment("STRATA_FILE_SHARE_PASSWORD"),
            encrypt=(_environment("STRATA_FILE_SHARE_ENCRYPT") or "").lower() not in ("no", "false", "0", "off"),
        )
        share = open_share(self._settings.file_share or "", credentials)
        try:
            return Folder(share, create=not RecordState.load(self._repository, self._settings.location).digests)
        except NotFound as error:
            # A share that is not mounted must not look like an upstream from which everything was deleted.
            raise Unavailable(error.message, code="operations.upstream_missing", hint=error.hint) from error

    def guard(self, signing: bool) -> SignatureGuard:
        key = self._settings.sign_key or _environment("STRATA_SIGN_KEY", "STRATA_SIGN_KEY_CONTENT")
        guard = SignatureGuard.load(
            self._settings.verify_keys,
            self._settings.signatures == REQUIRED,
            key if signing else None,
            _environment("STRATA_SIGN_KEY_PASSPHRASE"),
        )
        if guard.policy.required and guard.key is not None and guard.key.public not in guard.policy.verify_keys:
            raise InvalidInput(
                f"The key that signs what is sent to {self.label} is not trusted: verify_keys does not have its public key. "
                "No composer would accept what is signed with it.",
                code="operations.upstream_sign_key",
                hint="Set sign_key or STRATA_SIGN_KEY to a key of verify_keys, or add its public key to verify_keys of all composers.",
            )
        return guard


def _registry_connection(settings: UpstreamSettings, uploads_folder: str) -> RegistryConnection:
    username, password = _environment("REGISTRY_USERNAME"), _environment("REGISTRY_PASSWORD")
    if bool(username) != bool(password):
        missing = "REGISTRY_PASSWORD" if username else "REGISTRY_USERNAME"
        raise InvalidInput(
            f"The environment has credentials for the registry {settings.registry} without {missing}.",
            code="operations.registry_credentials",
            hint=f"Set {missing} in the environment of the task, or use a credentials file.",
        )
    return RegistryConnection(
        RegistryAddress.parse(settings.registry or ""),
        username=username,
        password=password,
        validate_certs=settings.validate_certs,
        ca_file=settings.ca_path,
        plain_http=settings.plain_http,
        credentials_file=settings.registry_auth_file,
        proxy=settings.proxy,
        uploads_folder=uploads_folder,
    )


def _environment(*names: str) -> str | None:
    """Return the first of these environment variables that has a value."""
    return next((value for name in names if (value := os.environ.get(name, "").strip())), None)
