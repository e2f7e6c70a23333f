# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second site: it pulls the image template from a registry and composes the same image without connecting to the first site."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

from ...plugins.module_utils.images.stored.thin_image import reference_of
from ...plugins.module_utils.repository.repository import Repository
from ..support import modules
from .checks import require
from .playbook import Run

#: The name of the registry's project and of the site's connector.
_PREFIX, _CONNECTOR = "windows", "madrid"


@dataclasses.dataclass(frozen=True)
class SecondSite:
    """What the second site did: the content digest of the composed image, and the bytes and seconds of the push, the pull and a second pull."""

    image: str
    moved: tuple[int, int, int]
    seconds: tuple[float | None, float | None, float | None]


def create(folder: pathlib.Path) -> str:
    """Create the repository of the second site with a connector of a different name; return its path."""
    repository = os.fspath(folder)
    modules.run("repository", repository=repository)
    placement: dict[str, Any] = {
        "datacenter": "DC0",
        "cluster": "DC0_C0",
        "datastore": "LocalDS_0",
        "vm_template": "windows-template",
    }
    modules.run("connector", repository=repository, name=_CONNECTOR, **placement)
    return repository


def push_variables(address: str, template: str) -> dict[str, Any]:
    """Return the variables with which the first site pushes."""
    return _connection(address) | {"distribution_push": [{"templates": [template]}]}


def pull_variables(address: str, template: str, repository: str, connector: str) -> dict[str, Any]:
    """Return the variables with which the second site pulls."""
    entry = {"templates": [template], "connectors": {connector: _CONNECTOR}}
    # The inventory has the connectors of the first site, which the role would create for a pull.
    own = {"distribution_repository": repository, "distribution_pull": [entry], "layered_image_connectors": []}
    return _connection(address) | own


def _connection(address: str) -> dict[str, Any]:
    return {"layering_registry": f"{address}/{_PREFIX}", "layering_registry_plain_http": True}


def check(first: str, second: str, template: str, file: pathlib.Path, runs: tuple[Run, Run, Run]) -> SecondSite:
    """Compose the image at the second site; check that the first site published it and that the second pull moved nothing."""
    composed = modules.run("layered_image_export", repository=second, template=template, path=os.fspath(file))
    content = composed["content_digest"]
    # The bytes of the disks may differ: the first site composed its image from an earlier image, the second site from the OS layer.
    published = Repository.open(first).layout.references()
    require(
        reference_of(content) in published, f"The second site composed {content}, which the first site did not publish."
    )
    moved = [run.of("layer_transfer")[-1]["result"]["bytes"]["moved"] for run in runs]
    require(moved[0] > 0, "The push moved no bytes.")
    require(moved[1] > 0, "The pull moved no bytes.")
    require(moved[2] == 0 and not runs[2].changed, f"The second pull moved {moved[2]} bytes.")
    durations = [run.seconds_of("layer_transfer") for run in runs]
    return SecondSite(content, (moved[0], moved[1], moved[2]), (durations[0], durations[1], durations[2]))
