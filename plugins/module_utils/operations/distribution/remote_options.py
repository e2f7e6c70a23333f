# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that name the remote of a transfer, and the policy by which signatures are verified."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...common.errors import InvalidInput
from ...oci_registry.model import CHUNK_UNIT, RegistryAddress, RegistryConnection
from ...shares.open import ShareCredentials
from ..options import share_credentials

_REMOTES = ("registry", "file_share", "other_repository", "file")
_MIB = 1 << 20
_LARGEST_CHUNK_MB = 4096


@dataclass(frozen=True, kw_only=True)
class RemoteOptions:
    """The remote: exactly one of ``registry``, ``file_share``, ``other_repository`` and ``file`` is set.

    ``credentials`` are those of a file share. ``flat``: all layers and templates are tags of a single repository.
    """

    registry: RegistryConnection | None = None
    file_share: str | None = None
    other_repository: str | None = None
    file: str | None = None
    credentials: ShareCredentials = ShareCredentials()
    flat: bool = False

    def remembering_uploads(self, folder: str) -> RemoteOptions:
        """Return these options with an existing folder in which unfinished uploads are remembered for the next run."""
        if self.registry is None:
            return self
        return dataclasses.replace(self, registry=dataclasses.replace(self.registry, uploads_folder=folder))

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> RemoteOptions:
        """Read the options of ``remote_arguments``.

        Raises:
            InvalidInput: ``operations.remote`` unless exactly one remote is set; ``operations.chunk_size``;
                ``operations.registry_credentials`` if a user or a password is missing;
                ``oci_registry.address`` if the address is not valid.
        """
        chosen = [name for name in _REMOTES if params.get(name)]
        if len(chosen) != 1:
            raise InvalidInput(
                f"The options {' and '.join(chosen)} are set together." if chosen else "No remote is set.",
                code="operations.remote",
                hint=f"Set exactly one of {', '.join(_REMOTES[:-1])} and {_REMOTES[-1]}.",
                options=chosen,
            )
        return cls(
            registry=registry_connection(params) if params["registry"] else None,
            file_share=params["file_share"],
            other_repository=params["other_repository"],
            file=params["file"],
            credentials=share_credentials(params),
            flat=params["flat"],
        )


def registry_connection(params: Mapping[str, Any]) -> RegistryConnection:
    """Read the options of ``registry_arguments``.

    Raises:
        InvalidInput: as ``RemoteOptions.from_params``.
    """
    chunk = params["chunk_size_mb"]
    smallest = CHUNK_UNIT // _MIB
    if chunk is not None and not smallest <= chunk <= _LARGEST_CHUNK_MB:
        raise InvalidInput(
            f"The option chunk_size_mb is {chunk} MiB; it must be between {smallest} and {_LARGEST_CHUNK_MB} MiB.",
            code="operations.chunk_size",
            hint="Set chunk_size_mb to a value such as 64.",
        )
    username, password = params["registry_username"], params["registry_password"]
    if bool(username) != bool(password):
        present, missing = ("user", "registry_password") if username else ("password", "registry_username")
        raise InvalidInput(
            f"A {present} for the registry is set, and the option {missing} is not set.",
            code="operations.registry_credentials",
            hint=f"Set {missing}, or REGISTRY_{missing.rpartition('_')[2].upper()} in the environment.",
        )
    return RegistryConnection(
        RegistryAddress.parse(params["registry"]),
        username=username,
        password=password,
        validate_certs=params["validate_certs"],
        ca_file=params["ca_path"],
        plain_http=params["plain_http"],
        credentials_file=params["registry_auth_file"],
        proxy=params["proxy"],
        chunk_size=None if chunk is None else chunk * _MIB,
    )
