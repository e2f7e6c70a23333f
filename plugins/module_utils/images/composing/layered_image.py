# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose the thin image of a resolved template, or of a stack of layers."""

from __future__ import annotations

import dataclasses

from ...catalog import layer_store, scripts
from ...catalog.resolved_template import COMPOSE_FORMAT, ResolvedTemplate, canonical_digest, content_digest
from ...common.progress import Progress, silent
from ...layers.layer_version import LayerReference
from ...repository.repository import Repository
from ..stack.layer_stack import script_layer, stacked_layers
from ..stored.compose_config import ComposeConfig
from ..stored.os_disk import OsDisk, windows_partition_number
from ..stored.thin_image import ThinImage
from .boot_drivers import stored_controllers
from .compose import Composition, compose


def os_layer_facts(repository: Repository, template: ResolvedTemplate) -> dict:
    """Return the offline facts of a template's OS layer version."""
    return layer_store.load_version(repository, template.os_layer.digest).facts


def compose_template(repository: Repository, template: ResolvedTemplate, *, progress: Progress = silent) -> ThinImage:
    """Return the thin image of a template with all scripts; compose it if needed. Raises like ``compose``."""
    placed = scripts.scripts_of(repository, (template.os_layer, *template.layers), template.script)
    config = _config(
        template.content_digest, template.os_layer, template.layers, template.disk_size_gb, template.merging
    )
    return _compose(repository, dataclasses.replace(config, scripts=tuple(placed)), None, progress)


def compose_stack(
    repository: Repository,
    os_layer: LayerReference,
    layers: tuple[LayerReference, ...],
    *,
    disk_size_gb: int | None = None,
    merging: dict | None = None,
    progress: Progress = silent,
) -> ThinImage:
    """Return the thin image of ``layers``, lowest first, on an OS layer version, without scripts; compose it if needed.

    Raises like ``compose``.
    """
    digest = content_digest(os_layer, layers, disk_size_gb, merging or {})
    return _compose(repository, _config(digest, os_layer, layers, disk_size_gb, merging or {}), None, progress)


def grow_image(
    repository: Repository, image: ThinImage, layer: LayerReference, *, progress: Progress = silent
) -> ThinImage:
    """Return the thin image with ``layer`` on top of ``image``, whose volume is continued; compose it if needed.

    A disk that was created from it can therefore be compared with ``image``. Incremental composing
    never starts from a grown image. Raises like ``compose``.
    """
    layers = (*image.config.layers, layer)
    content = {
        "format": COMPOSE_FORMAT,
        "ancestor": image.manifest.digest,
        "layers": [reference.digest for reference in layers],
    }
    config = ComposeConfig(
        content_digest=canonical_digest(content),
        os_layer=image.config.os_layer,
        layers=layers,
        disk_size_gb=image.config.disk_size_gb,
        ancestor=image.manifest.digest,
    )
    return _compose(repository, config, image, progress)


def _config(
    digest: str,
    os_layer: LayerReference,
    layers: tuple[LayerReference, ...],
    disk_size_gb: int | None,
    merging: dict,
) -> ComposeConfig:
    registry_lists = merging.get("registry_lists")
    return ComposeConfig(
        content_digest=digest,
        os_layer=os_layer,
        layers=layers,
        disk_size_gb=disk_size_gb,
        outdated_files=merging.get("outdated_files"),
        registry_lists=None if registry_lists is None else tuple(registry_lists),
    )


def _compose(
    repository: Repository, config: ComposeConfig, ancestor: ThinImage | None, progress: Progress
) -> ThinImage:
    stack = stacked_layers(repository, config.layers)
    if config.scripts is not None:
        archive = scripts.pack_archive(repository, config.content_digest, config.scripts)
        stack.append(script_layer(config.content_digest, config.scripts, archive))
    digest = config.os_layer.digest
    composition = Composition(
        base=OsDisk.load(repository, digest),
        partition=windows_partition_number(repository, digest),
        layers=tuple(stack),
        disk_size=config.disk_size_gb << 30 if config.disk_size_gb else None,
        config=config,
        ancestor=ancestor,
        boot_controllers=stored_controllers(repository, digest),
    )
    with repository.pin([digest, *(layer.digest for layer in config.layers)], purpose="compose an image"):
        return compose(repository, composition, progress=progress)
