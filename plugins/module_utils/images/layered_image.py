# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a resolved template to its thin image."""

from __future__ import annotations

from ..common.progress import Progress, silent
from ..layers.model import LayerReference
from ..repository.repository import Repository
from . import store
from .compose import Composition, compose, stacked_layer
from .os_disk import OsDisk
from .template import ResolvedTemplate, content_digest
from .thin_image import ThinImage


def os_layer_facts(repository: Repository, template: ResolvedTemplate) -> dict:
    """The offline facts of a template's OS layer version."""
    return store.load_version(repository, template.os_layer.digest).facts


def compose_template(repository: Repository, template: ResolvedTemplate, *, progress: Progress = silent) -> ThinImage:
    """The thin image of a template, composed unless the repository has it."""
    return compose_stack(repository, template.os_layer, template.layers, disk_size_gb=template.disk_size_gb, progress=progress)


def compose_stack(
    repository: Repository, os_layer: LayerReference, layers: tuple[LayerReference, ...], *, disk_size_gb: int | None = None, progress: Progress = silent
) -> ThinImage:
    """The thin image of ``layers``, the lowest first, on an OS layer version, composed unless the repository has it."""
    composition = Composition(
        base=OsDisk.of(repository, os_layer.digest),
        partition=store.load_version(repository, os_layer.digest).facts["disk"]["partition"],
        layers=tuple(stacked_layer(repository, reference) for reference in layers),
        disk_size=disk_size_gb << 30 if disk_size_gb else None,
        config={
            "content_digest": content_digest(os_layer, layers, disk_size_gb),
            "os_layer": os_layer.to_dict(),
            "layers": [layer.to_dict() for layer in layers],
            "disk_size_gb": disk_size_gb,
        },
    )
    with repository.pin([os_layer.digest, *(layer.digest for layer in layers)], purpose="compose an image"):
        return compose(repository, composition, progress=progress)
