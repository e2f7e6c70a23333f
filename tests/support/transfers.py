# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Short forms of calls of layer_transfer, for tests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ansible_collections.strata.layering.tests.support.modules import attempt, run
from ansible_collections.strata.layering.tests.support.sites import TEMPLATE

EVERYTHING = {"everything": True}
OFFICE = {"templates": [TEMPLATE]}


def layer(name: str, version: object = None, kind: str = "app", **options: str) -> dict:
    """Return an element of the option ``layers``."""
    return {"kind": kind, "name": name, **({"version": version} if version else {}), **options}


def actions(result: dict) -> dict[tuple, str]:
    """Return the actions of a result by kind, name and version."""
    return {(item["kind"], item["name"], item["version"]): item["action"] for item in result["transfers"]}


def push(site: SimpleNamespace, remote: dict, **options: Any) -> dict:
    """Push from the repository of a site."""
    return run("layer_transfer", **site.options, **remote, state="pushed", **options)


def pull(site: SimpleNamespace, remote: dict, **options: Any) -> dict:
    """Pull to the repository of a site."""
    return run("layer_transfer", **site.options, **remote, state="pulled", **options)


def layers_of(site: SimpleNamespace) -> dict[tuple, str]:
    """Return the digests of the layer versions of a repository by kind, name and version."""
    layers = run("layer_info", **site.options)["layers"]
    return {
        (item["kind"], item["name"], version["version"]): version["digest"]
        for item in layers
        for version in item["versions"]
    }


def offered(remote: dict) -> dict | str:
    """Return what a remote has, or the code of the error if it does not exist yet."""
    result = attempt("remote_layer_info", **remote)
    return result.get("code") or {kind: result[kind] for kind in ("layers", "templates")}
