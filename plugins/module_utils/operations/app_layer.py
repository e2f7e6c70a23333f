# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module app_layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog.layers import LayerMetadata
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..layers.layer_version import APP
from .software_layer import SoftwareLayerOptions, ensure_software_layer, software_layer_fields


@dataclass(frozen=True, kw_only=True)
class AppLayerOptions(SoftwareLayerOptions):
    """Options of the module app_layer."""

    kind = APP

    priority: int | None

    def metadata(self) -> LayerMetadata:
        """Return the options that describe the layer or its version."""
        return LayerMetadata(self.description, self.version_description, priority=self.priority)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> AppLayerOptions:
        """Read the parameters of the module."""
        return cls(**software_layer_fields(params), priority=params["priority"])


def ensure_app_layer(options: AppLayerOptions, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Bring the app layer version into its state; raise as ``ensure_software_layer``."""
    return ensure_software_layer(options, check_mode=check_mode, progress=progress)
