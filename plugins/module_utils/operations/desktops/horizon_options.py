# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the connection to a Horizon Connection Server, as the operations take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...common.errors import InvalidInput
from ...horizon.rest.connection import HorizonConnection

if TYPE_CHECKING:
    from ...horizon.rest.client import HorizonClient


@dataclass(frozen=True)
class HorizonOptions:
    """The connection to a Connection Server."""

    connection: HorizonConnection

    def connect(self) -> HorizonClient:
        """Log in to the Connection Server.

        Raises:
            Unavailable, TimedOut, InvalidInput: as ``HorizonClient.connect``.
        """
        from ...horizon.rest.client import HorizonClient

        return HorizonClient.connect(self.connection)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> HorizonOptions:
        """Read the options of ``horizon_arguments``.

        Raises:
            InvalidInput: ``operations.horizon_account`` if the user or its domain cannot be used.
        """
        domain, username = _account(params["username"], params["domain"])
        return cls(
            HorizonConnection(
                hostname=params["hostname"],
                username=username,
                domain=domain,
                password=params["password"],
                validate_certs=params["validate_certs"],
                port=params["port"],
                ca_file=params["ca_path"],
                proxy_host=params["proxy_host"],
                proxy_port=params["proxy_port"],
                api_log=params["api_log"],
            )
        )

    @classmethod
    def optional(cls, params: Mapping[str, Any]) -> HorizonOptions | None:
        """Read the options of a module for which the connection is not required."""
        return cls.from_params(params) if params.get("hostname") is not None else None


def _account(username: str, domain: str | None) -> tuple[str, str]:
    """Return domain and name of a user that is given as ``user``, with the option domain, or as ``DOMAIN\\user``."""
    prefix, backslash, name = username.strip().rpartition("\\")
    domain = (domain or "").strip()
    if "@" in username and not backslash:
        user, unused, suffix = username.strip().partition("@")
        raise InvalidInput(
            f"The option username is {username!r}: Horizon does not accept user principal names.",
            code="operations.horizon_account",
            hint=f"Set username to {user or 'the name of the user'}, and domain to the domain's NetBIOS name"
            f" (often {suffix.split('.')[0].upper() or 'EXAMPLE'}).",
        )
    if prefix and domain and prefix.lower() != domain.lower():
        raise InvalidInput(
            f"The option username names the domain {prefix!r}, but the option domain is {domain!r}.",
            code="operations.horizon_account",
            hint=f"Set username to {name or 'the name of the user'} without the domain, or remove domain.",
        )
    if not (prefix or domain):
        raise InvalidInput(
            f"The domain of the user {username!r} is not known: the option domain is not set.",
            code="operations.horizon_account",
            hint="Set domain, or the environment variable HORIZON_DOMAIN.",
        )
    if not name:
        raise InvalidInput(
            f"The option username has no name of a user: {username!r}.",
            code="operations.horizon_account",
            hint="Set username to a name such as svc-images.",
        )
    return domain or prefix, name
