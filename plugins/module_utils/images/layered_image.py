# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a resolved template to its thin image."""

from __future__ import annotations

from ..common.progress import Progress, silent
from ..repository.repository import Repository
from . import store
from .compose import Composition, compose, stacked_layer
from .os_disk import OsDisk
from .template import ResolvedTemplate
from .thin_image import ThinImage


def os_layer_facts(repository: Repository, template: ResolvedTemplate) -> dict:
    """The offline facts of a template's OS layer version."""
    return store.load_version(repository, template.os_layer.digest).facts


def compose_template(repository: Repository, template: ResolvedTemplate, *, progress: Progress = silent) -> ThinImage:
    """The thin image of a template, composed unless the repository has it."""
    composition = Composition(
        base=OsDisk.of(repository, template.os_layer.digest),
        partition=os_layer_facts(repository, template)["disk"]["partition"],
        layers=tuple(stacked_layer(repository, reference) for reference in template.layers),
        disk_size=template.disk_size_gb << 30 if template.disk_size_gb else None,
        config={
            "content_digest": template.content_digest,
            "os_layer": template.os_layer.to_dict(),
            "layers": [layer.to_dict() for layer in template.layers],
            "disk_size_gb": template.disk_size_gb,
        },
    )
    with repository.pin([template.os_layer.digest, *(layer.digest for layer in template.layers)], purpose=f"compose {template.name}"):
        return compose(repository, composition, progress=progress)
