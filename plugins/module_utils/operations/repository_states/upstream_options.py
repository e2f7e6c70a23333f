# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``upstream`` of the module repository."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...common.errors import InvalidInput
from ...repository.upstream import OPTIONAL, REQUIRED, UpstreamSettings

_FIELDS = tuple(field.name for field in dataclasses.fields(UpstreamSettings) if field.name != "unrecognized")


@dataclass(frozen=True)
class UpstreamOptions:
    """The registry of record that is set; ``settings`` is None to remove it."""

    settings: UpstreamSettings | None

    @classmethod
    def from_params(cls, params: Mapping[str, Any] | None) -> UpstreamOptions | None:
        """Read the option, None if it is not set: the registry of record stays as it is then.

        Raises:
            InvalidInput: ``operations.upstream_location`` unless exactly one location is set;
                ``operations.upstream_keys`` if signatures are required without a key;
                ``operations.upstream_secret`` if an address contains credentials; ``operations.upstream_cache``;
                ``operations.upstream_path`` if a path is relative.
        """
        if params is None:
            return None
        chosen = {name: params[name] for name in _FIELDS if params[name] is not None}
        if not params["registry"] and not params["file_share"]:
            default = UpstreamSettings()
            if any(value not in (getattr(default, key), [], "") for key, value in chosen.items()):
                raise _no_location("sets no location")
            return cls(None)
        if params["registry"] and params["file_share"]:
            raise _no_location("sets registry and file_share together")
        chosen["verify_keys"] = tuple(dict.fromkeys(params["verify_keys"] or ()))
        settings = UpstreamSettings(**{key: value for key, value in chosen.items() if value != ""})
        _check(settings)
        return cls(settings)


def _no_location(problem: str) -> InvalidInput:
    return InvalidInput(
        f"The option upstream {problem}.",
        code="operations.upstream_location",
        hint="Set registry or file_share in the option upstream; an empty option removes the upstream.",
    )


def _check(settings: UpstreamSettings) -> None:
    if settings.signatures == REQUIRED and not settings.verify_keys:
        raise InvalidInput(
            f"The upstream {settings.location} has no key to verify signatures.",
            code="operations.upstream_keys",
            hint=f"Set verify_keys in the option upstream to public keys, or set signatures to {OPTIONAL}.",
        )
    for name in ("file_share", "ca_path", "registry_auth_file", "sign_key"):
        path = getattr(settings, name)
        if path and not os.path.isabs(path):
            raise InvalidInput(
                f"The field {name} of the option upstream is the relative path '{path}', which means another file in another folder.",
                code="operations.upstream_path",
                hint=f"Set {name} to an absolute path, such as {{{{ playbook_dir }}}}/{path}.",
            )
    for name in ("registry", "proxy"):
        # The repository is readable for everyone who uses it.
        if "@" in (getattr(settings, name) or ""):
            raise InvalidInput(
                f"The field {name} of the option upstream contains credentials, which the repository does not store.",
                code="operations.upstream_secret",
                hint="Set REGISTRY_USERNAME and REGISTRY_PASSWORD in the environment, or registry_auth_file.",
            )
    for name in ("cache_size_gb", "cache_days"):
        value = getattr(settings, name)
        if value is not None and value < 0:
            raise InvalidInput(
                f"The field {name} of the option upstream is {value:g}; it must not be negative.",
                code="operations.upstream_cache",
                hint=f"Set {name} to 0 or more.",
            )
