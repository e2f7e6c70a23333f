# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preflight of one image: whether its template's connector can receive it now, before it is composed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..catalog import layer_store
from ..catalog.resolved_template import ResolvedTemplate
from ..images.stored.os_disk import OsDisk
from ..layers.layer_version import LayerReference
from ..preflight.checks import run_checks
from ..preflight.subject import ImageNeeds
from ..repository.repository import Repository
from ..vsphere.session import Session
from .machine.boot_controller import boot_drivers
from .machine.placement import Target


def preflight(
    repository: Repository, session: Session, template: ResolvedTemplate, target: Target
) -> list[dict[str, Any]]:
    """Return the findings of all checks for an image. Raises StrataError as ``run_checks``."""
    needs = image_needs(repository, target, template.os_layer, template.layers, template.disk_size_gb)
    return run_checks(target.preflight(session, needs))


def image_needs(
    repository: Repository,
    target: Target,
    os_layer: LayerReference,
    layers: Sequence[LayerReference],
    disk_size_gb: int | None = None,
) -> ImageNeeds:
    """Return what an image of ``layers`` on ``os_layer`` needs, as far as the layers show it before they are composed."""
    facts = layer_store.load_version(repository, os_layer.digest).facts
    index = OsDisk.load(repository, os_layer.digest).load_index(repository)
    return ImageNeeds(
        os_layer=f"{os_layer.name} {os_layer.version}",
        firmware=facts.get("firmware"),
        boot=boot_drivers(repository, os_layer, layers, target.hardware.disk_controller),
        capacity=max((disk_size_gb or 0) << 30, index.capacity),
        stored=index.stored_size,
    )
