# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module platform_layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog.layer_document import LayerDocument
from ..catalog.layers import find_layer
from ..catalog.spelling import spelling_hint
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..layers.layer_version import OS, PLATFORM
from ..repository.repository import Repository
from .software_layer import SoftwareLayerOptions, ensure_software_layer, software_layer_fields


@dataclass(frozen=True, kw_only=True)
class PlatformLayerOptions(SoftwareLayerOptions):
    """Options of the module platform_layer. ``confirmed_for`` adds confirmed versions of the OS layer."""

    kind = PLATFORM

    confirmed_for: tuple[str, ...]

    def apply(self, layer: LayerDocument) -> LayerDocument:
        """Return the document of the layer with the options that describe it or its version."""
        layer = super().apply(layer)
        if not self.confirmed_for:
            return layer
        entry = layer.software_version(self.present_version)
        confirmed = tuple(sorted({*entry.confirmed_for, *self.confirmed_for}))
        return layer.with_version(self.present_version, dataclasses.replace(entry, confirmed_for=confirmed))

    def warnings(self, repository: Repository, layer: LayerDocument, before: LayerDocument | None) -> list[str]:
        """Return a warning for each confirmed version that the OS layer does not have.

        A version that was confirmed before may have been deleted since.
        """
        confirmed: tuple[str, ...] = ()
        if before is not None and self.present_version in before.versions:
            confirmed = before.software_version(self.present_version).confirmed_for
        name = layer.software_version(self.present_version).os_layer.name
        os_layer = find_layer(repository, OS, name)
        known = list(os_layer.versions) if os_layer is not None else []
        return [
            f"The {self.subject} is confirmed for the version {version!r} of the OS layer {name}, which does not exist. "
            f"{spelling_hint(version, known)}The OS layer has: {', '.join(known) or 'no version'}."
            for version in self.confirmed_for
            if version not in known and (version not in confirmed or spelling_hint(version, known))
        ]

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> PlatformLayerOptions:
        """Read the parameters of the module."""
        return cls(**software_layer_fields(params), confirmed_for=tuple(params["confirmed_for"] or ()))


def ensure_platform_layer(options: PlatformLayerOptions, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Bring the platform layer version into its state; raise as ``ensure_software_layer``."""
    return ensure_software_layer(options, check_mode=check_mode, progress=progress)
