# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a resolved template to its thin image."""

from __future__ import annotations

from ..catalog import layer_store, scripts
from ..catalog.resolved_template import COMPOSE_FORMAT, ResolvedTemplate, canonical_digest, content_digest
from ..common.progress import Progress, silent
from ..layers.layer_version import LayerReference
from ..repository.repository import Repository
from .compose import Composition, compose, placing_layer, stacked_layer
from .os_disk import OsDisk
from .thin_image import ThinImage


def os_layer_facts(repository: Repository, template: ResolvedTemplate) -> dict:
    """The offline facts of a template's OS layer version."""
    return layer_store.load_version(repository, template.os_layer.digest).facts


def compose_template(repository: Repository, template: ResolvedTemplate, *, progress: Progress = silent) -> ThinImage:
    """The thin image of a template, with its scripts and those of its layers, composed unless the repository has it."""
    config = template.merging | {
        "content_digest": template.content_digest,
        "os_layer": template.os_layer.to_dict(),
        "layers": [layer.to_dict() for layer in template.layers],
        "disk_size_gb": template.disk_size_gb,
        "scripts": [
            one.to_dict()
            for one in scripts.scripts_of(repository, (template.os_layer, *template.layers), template.script)
        ],
    }
    return _compose(repository, template.os_layer, template.layers, config, None, progress)


def compose_stack(
    repository: Repository,
    os_layer: LayerReference,
    layers: tuple[LayerReference, ...],
    *,
    disk_size_gb: int | None = None,
    merging: dict | None = None,
    progress: Progress = silent,
) -> ThinImage:
    """The thin image of ``layers``, the lowest first, on an OS layer version, without scripts, composed unless the repository has it."""
    config = (merging or {}) | {
        "content_digest": content_digest(os_layer, layers, disk_size_gb, merging or {}),
        "os_layer": os_layer.to_dict(),
        "layers": [layer.to_dict() for layer in layers],
        "disk_size_gb": disk_size_gb,
    }
    return _compose(repository, os_layer, layers, config, None, progress)


def grow_image(
    repository: Repository, image: ThinImage, layer: LayerReference, *, progress: Progress = silent
) -> ThinImage:
    """The thin image with ``layer`` put on top of ``image``, whose volume becomes the new one's by writing alone.

    A disk that was made from it can therefore be compared with ``image`` when it comes back. No other image
    starts from it.
    """
    layers = (*(LayerReference.from_dict(one) for one in image.config["layers"]), layer)
    grown = {"format": COMPOSE_FORMAT, "ancestor": image.manifest.digest, "layers": [one.digest for one in layers]}
    config = {
        "content_digest": canonical_digest(grown),
        "os_layer": image.config["os_layer"],
        "layers": [one.to_dict() for one in layers],
        "disk_size_gb": image.config["disk_size_gb"],
        "ancestor": image.manifest.digest,
    }
    return _compose(repository, LayerReference.from_dict(image.config["os_layer"]), layers, config, image, progress)


def _compose(
    repository: Repository,
    os_layer: LayerReference,
    layers: tuple[LayerReference, ...],
    config: dict,
    ancestor: ThinImage | None,
    progress: Progress,
) -> ThinImage:
    disk_size_gb = config["disk_size_gb"]
    stack = [stacked_layer(repository, reference) for reference in layers]
    if "scripts" in config:
        placed = [scripts.PlacedScript.from_dict(script) for script in config["scripts"]]
        stack.append(
            placing_layer(
                config["content_digest"], placed, scripts.pack_archive(repository, config["content_digest"], placed)
            )
        )
    composition = Composition(
        base=OsDisk.of(repository, os_layer.digest),
        partition=layer_store.load_version(repository, os_layer.digest).facts["disk"]["partition"],
        layers=tuple(stack),
        disk_size=disk_size_gb << 30 if disk_size_gb else None,
        config=config,
        ancestor=ancestor,
    )
    with repository.pin([os_layer.digest, *(layer.digest for layer in layers)], purpose="compose an image"):
        return compose(repository, composition, progress=progress)
