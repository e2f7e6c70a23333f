# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that manage layers, and what these modules have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog.icons import store_icon
from ..catalog.layer_document import LayerDocument
from ..catalog.layers import LayerMetadata, store_layer
from ..common.errors import InternalError
from ..repository.repository import Repository
from ..shares.open import ShareCredentials
from .options import RepositoryOptions, share_credentials


@dataclass(frozen=True, kw_only=True)
class LayerOptions:
    """A layer and one of its versions; ``version`` None (with ``absent``) means all versions."""

    repository: RepositoryOptions
    credentials: ShareCredentials
    name: str
    version: str | None
    description: str | None = None
    version_description: str | None = None
    script: str | None = None
    icon: str | None = None
    absent: bool = False

    @property
    def present_version(self) -> str:
        """The version that is to be present."""
        if self.version is None:
            raise InternalError(
                f"The layer {self.name} was to be present without a version.", code="operations.layer_version"
            )
        return self.version

    def apply(self, layer: LayerDocument) -> LayerDocument:
        """Return the document of the layer with the options that describe it or its version."""
        return self.metadata().apply(layer, self.present_version)

    def metadata(self) -> LayerMetadata:
        """Return the options that describe the layer or its version."""
        return LayerMetadata(self.description, self.version_description)


def layer_fields(params: Mapping[str, Any]) -> dict[str, Any]:
    """Read the options of ``layer_arguments`` as the fields of LayerOptions."""
    return {
        "repository": RepositoryOptions.from_params(params),
        "credentials": share_credentials(params),
        "name": params["name"],
        "version": params["version"],
        "description": params["description"],
        "version_description": params["version_description"],
        "script": params["script"],
        "icon": params["icon"],
        "absent": params["state"] == "absent",
    }


@dataclass(frozen=True)
class LayerChange:
    """A layer as it is stored (``before``, None: it does not exist), and with the requested version (``layer``)."""

    before: LayerDocument | None
    layer: LayerDocument
    icon: bytes | None

    def save(self, repository: Repository, options: LayerOptions, *, check_mode: bool) -> tuple[LayerDocument, bool]:
        """Apply the options, and store the document where it differs from ``before``, unless in check mode.

        Return the document and whether it differs.

        Raises:
            NotFound, Conflict: as ``store_layer``.
        """
        after = options.apply(self.layer)
        if self.icon is not None:
            after = dataclasses.replace(after, icon=store_icon(repository, self.icon, check_mode=check_mode))
        changed = after != self.before
        if changed and not check_mode:
            store_layer(repository, self.before, after, options.present_version, options.repository.comment)
        return after, changed
