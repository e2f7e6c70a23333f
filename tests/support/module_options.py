# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that tests have in common, and the layers and templates that they create with them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from .modules import run

OS_LAYER: dict[str, Any] = {"name": "Windows 11", "version": "1.0", "max_layer_size_gb": 1}


def connector(**changes: Any) -> dict:
    """Return the options of a connector to the simulator."""
    placement = {"datacenter": "DC0", "cluster": "DC0_C0", "datastore": "LocalDS_0", "folder": "Images/Desktops"}
    return {"name": "desktops", "vm_template": "windows-template"} | placement | changes


def add_app(
    workspace: SimpleNamespace, name: str = "Tool", version: str = "1.0", tree: dict | None = None, **options: Any
) -> dict:
    """Create an app layer version from a tree of files; return the module's result."""
    folder = workspace.files(f"{name}-{version}", tree or {f"Program Files/{name}/{name.lower()}.txt": version})
    return run(
        "app_layer",
        **workspace.options,
        name=name,
        version=version,
        os_layer={"name": "Windows 11"},
        files=folder,
        **options,
    )


def add_template(
    workspace: SimpleNamespace, name: str = "office", apps: tuple = (("Tool", "1.0"),), **options: Any
) -> dict:
    """Create an image template with app layer versions; return the module's result."""
    return run(
        "image_template",
        **workspace.options,
        name=name,
        os_layer={"name": "Windows 11", "version": "1.0"},
        connector="desktops",
        app_layers=[{"name": app, "version": version} for app, version in apps],
        **options,
    )
