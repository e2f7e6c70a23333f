# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module remote_layer_info: what a remote has, compared with a repository."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...catalog.spelling import lookup_warnings
from ...common.errors import StrataError, Unavailable
from ...common.outcome import Outcome
from ...distribution.items.catalog_entry import CatalogEntry
from ...distribution.items.items import LayerItem
from ...distribution.items.names import TEMPLATE, ItemName
from ...distribution.items.template_item import TemplateItem
from ...distribution.sides.local import Local
from ...distribution.transfers.selection import Side
from ...layers.layer_version import version_key
from ..options import RepositoryOptions
from .remote_options import RemoteOptions
from .remote_side import open_remote
from .trust_options import VerificationOptions

MISSING, SAME, DIFFERENT = "missing", "same", "different"


@dataclass(frozen=True, kw_only=True)
class RemoteLayerInfoOptions:
    """Options of the module remote_layer_info: filters, of which None selects everything, and a repository to compare with."""

    remote: RemoteOptions
    repository: RepositoryOptions | None
    verification: VerificationOptions
    kind: str | None
    name: str | None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> RemoteLayerInfoOptions:
        """Read the parameters of the module.

        Raises:
            InvalidInput: as ``RemoteOptions.from_params``.
        """
        return cls(
            remote=RemoteOptions.from_params(params),
            repository=RepositoryOptions.optional(params),
            verification=VerificationOptions.from_params(params),
            kind=params["kind"],
            name=params["name"],
        )

    def selects(self, entry: CatalogEntry) -> bool:
        """Return whether a layer or template is listed."""
        return self.kind in (None, entry.kind) and self.name in (None, entry.name)


def remote_layer_info(options: RemoteLayerInfoOptions) -> Outcome:
    """Return the layers and templates of a remote. A version that cannot be read has its error as ``problem``.

    Raises:
        StrataError: the remote or the repository cannot be opened; a key cannot be read.
    """
    local = Local(options.repository.open()) if options.repository else None
    guard = options.verification.guard()
    with open_remote(options.remote, guard) as remote:
        entries = remote.names()
        chosen = [entry for entry in entries if options.selects(entry)]
        lister = _Lister(remote, local)
        layers = [lister.layer(entry) for entry in chosen if entry.kind != TEMPLATE]
        templates = [lister.template(entry) for entry in chosen if entry.kind == TEMPLATE]
        label = remote.label
    warnings = lookup_warnings("layer or template", options.name, (entry.name for entry in entries))
    return Outcome(False, result={"remote": label, "layers": layers, "templates": templates}, warnings=warnings)


class _Lister:
    """Describes what a remote has, compared with the repository ``local``."""

    def __init__(self, remote: Side, local: Local | None) -> None:
        self._remote = remote
        self._local = local

    def layer(self, entry: CatalogEntry) -> dict[str, Any]:
        """Describe a layer and its versions, oldest first."""
        names, problem = _read(lambda: self._remote.version_names(entry))
        versions = [self._version(entry, version) for version in names or ()]
        return {
            "kind": entry.kind,
            "name": entry.name,
            "path": entry.path,
            "versions": versions,
            "newer": self._is_newer(entry, names or []),
            "problem": problem,
        }

    def _version(self, entry: CatalogEntry, version: str) -> dict[str, Any]:
        item = ItemName(entry.kind, entry.name, version)
        found, problem = _read(lambda: self._remote.layer(item, entry.path))
        document = found.details.entry if isinstance(found, LayerItem) else None
        return {
            "version": version,
            "digest": found.digest if found else None,
            "size": found.size if found else None,
            "created": document.created if document else None,
            "local": self._compare(found.digest if found else None, lambda local: local.layer(item)),
            "signed_by": found.signer if found else None,
            "problem": problem,
        }

    def template(self, entry: CatalogEntry) -> dict[str, Any]:
        """Describe a template."""
        found, problem = _read(lambda: self._remote.template(entry.name, entry.path))
        template = found if isinstance(found, TemplateItem) else None
        return {
            "name": entry.name,
            "path": entry.path,
            "digest": template.digest if template else None,
            "revision": template.revision if template else None,
            "layers": [layer.to_dict() for layer in template.layers] if template else [],
            "local": self._compare(
                template.content if template else None, lambda local: local.template(entry.name), of="content"
            ),
            "signed_by": template.signer if template else None,
            "problem": problem,
        }

    def _compare(self, remote: str | None, read: Callable[[Local], object], of: str = "digest") -> str | None:
        """Return how the local state differs from the digest ``remote``; None if there is nothing to compare with."""
        if self._local is None:
            return None
        local = self._local
        found, problem = _read(lambda: read(local))
        if found is None and problem is None:
            return MISSING
        if found is None:
            return DIFFERENT
        return SAME if getattr(found, of) == remote else DIFFERENT

    def _is_newer(self, entry: CatalogEntry, versions: list[str]) -> bool | None:
        if self._local is None:
            return None
        mine = self._local.version_names(entry)
        if not versions or not mine:
            return bool(versions)
        return version_key(max(versions, key=version_key)) > version_key(max(mine, key=version_key))


def _read(read: Callable[[], Any]) -> tuple[Any, str | None]:
    """Return what was read, None if it is not acceptable, and the error. Raises Unavailable if the connection failed."""
    try:
        return read(), None
    except Unavailable:
        raise
    except StrataError as error:
        return None, str(error)
