# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several modules share, as the operations take them.

Every ``from_params`` reads the parameters that Ansible has validated; below the operations nothing
knows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..catalog.version_name import VersionRequest
from ..common.errors import InvalidInput, NotFound
from ..repository.repository import Repository

if TYPE_CHECKING:
    from ..shares.open import ShareCredentials
    from ..vsphere.session import Patience, Session


@dataclass(frozen=True)
class RepositoryOptions:
    """The repository, and the comment for its audit history."""

    path: str
    comment: str | None = None

    def open(self, *, check_mode: bool = True) -> Repository:
        """Open the repository, for writing unless in check mode; a rename that was interrupted is completed then.

        A registry of record is attached; it is not connected to before it is needed.

        Raises:
            NotFound, InvalidInput, Corrupt, Unsupported, Unavailable: as ``Repository.open``.
        """
        repository = Repository.open(self.path, writable=not check_mode)
        if repository.upstream_settings is not None:
            from .distribution.record_upstream import attach_upstream

            attach_upstream(repository, repository.upstream_settings)
        if not check_mode:
            from ..catalog.renaming.interrupted import complete_renames

            complete_renames(repository)
        return repository

    def open_audited(self, *, check_mode: bool) -> Repository | None:
        """Open the repository of which only the audit history is written.

        Return None in check mode if there is no repository: an earlier step of the run may create it.

        Raises:
            NotFound, InvalidInput, Corrupt, Unsupported, Unavailable: as ``Repository.open``.
        """
        try:
            return self.open(check_mode=check_mode)
        except NotFound as error:
            if not check_mode or error.code != "repository.missing":
                raise
            return None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> RepositoryOptions:
        """Read the options of ``repository_arguments`` or ``change_arguments``."""
        return cls(params["repository"], params.get("comment"))

    @classmethod
    def optional(cls, params: Mapping[str, Any]) -> RepositoryOptions | None:
        """Read the options of a module for which ``repository`` is not required."""
        return cls.from_params(params) if params["repository"] else None


@dataclass(frozen=True)
class ConnectionOptions:
    """The connection to vCenter and its hosts.

    ``stall_timeout`` is the number of seconds in which a transfer may move no byte, None for the default. ``patience`` has all
    limits for waiting, None for the default limits.
    """

    hostname: str
    username: str
    password: str = field(repr=False)
    validate_certs: bool = True
    port: int = 443
    ca_file: str | None = None
    proxy_host: str | None = None
    proxy_port: int | None = None
    stall_timeout: float | None = None
    patience: Patience | None = None

    def connect(self) -> Session:
        """Log in to vCenter.

        Raises:
            Unavailable, TimedOut, InvalidInput: as ``Session.connect``.
        """
        from ..vsphere.session import Patience, Session

        patience = self.patience or Patience()
        if self.stall_timeout is not None and self.patience is None:
            patience = replace(patience, stall=self.stall_timeout)
        return Session.connect(
            self.hostname,
            self.username,
            self.password,
            validate_certs=self.validate_certs,
            port=self.port,
            ca_file=self.ca_file,
            proxy_host=self.proxy_host,
            proxy_port=self.proxy_port,
            patience=patience,
        )

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> ConnectionOptions:
        """Read the options of ``vsphere_arguments`` and, if there are any, of ``transfer_arguments``.

        Raises:
            InvalidInput: ``operations.stall_timeout`` if the option is less than 1.
        """
        stall_timeout = params.get("stall_timeout")
        if stall_timeout is not None and stall_timeout < 1:
            raise InvalidInput(
                f"The option stall_timeout is {stall_timeout} s; it must be at least 1 s.",
                code="operations.stall_timeout",
                hint="Set stall_timeout to 1 or more, such as 900.",
            )
        return cls(
            hostname=params["hostname"],
            username=params["username"],
            password=params["password"],
            validate_certs=params["validate_certs"],
            port=params["port"],
            ca_file=params["ca_path"],
            proxy_host=params["proxy_host"],
            proxy_port=params["proxy_port"],
            stall_timeout=stall_timeout,
        )

    @classmethod
    def optional(cls, params: Mapping[str, Any]) -> ConnectionOptions | None:
        """Read the options of a module for which the connection is not required."""
        return cls.from_params(params) if params.get("hostname") is not None else None


def share_credentials(params: Mapping[str, Any]) -> ShareCredentials:
    """Read the options of ``share_arguments``."""
    from ..shares.open import ShareCredentials

    return ShareCredentials(
        username=params.get("file_share_username"),
        password=params.get("file_share_password"),
        encrypt=params.get("file_share_encrypt") is not False,
    )


def version_request(value: Mapping[str, Any] | None) -> VersionRequest | None:
    """Read an option that names a layer version, None when it is not set."""
    return VersionRequest(value["name"], value["version"]) if value else None


def version_requests(values: Sequence[Mapping[str, Any]] | None) -> tuple[VersionRequest, ...]:
    """Read an option that lists layer versions; empty when it is null."""
    return tuple(VersionRequest(value["name"], value["version"]) for value in values or ())
