# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites with a repository each, for tests of transfers between them."""

from __future__ import annotations

import os
import pathlib
import shutil
from types import SimpleNamespace
from typing import Any

from ansible_collections.strata.layering.tests.sample.package import make_package
from ansible_collections.strata.layering.tests.sample.plan import Spec
from ansible_collections.strata.layering.tests.support.module_options import OS_LAYER, connector
from ansible_collections.strata.layering.tests.support.modules import run

#: The layer versions of the first site; TEMPLATE needs all of them but Tool 1.9.
LAYERS = (("os", "Windows 11", "1.0"), ("app", "Runtime", "1.0"), ("app", "Tool", "1.9"), ("app", "Tool", "1.10"))
TEMPLATE = "office"
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def build_site(folder: pathlib.Path) -> pathlib.Path:
    """Create the repository of the first site in ``folder``: LAYERS, TEMPLATE with icon and script; return its path."""
    path = folder / "repository"
    make_package(os.fspath(folder / "share" / "gold"), Spec("small"))
    site = new_site(folder)
    run(
        "os_layer",
        **site.options,
        **OS_LAYER,
        file_share=os.fspath(folder / "share"),
        packaging_disk="gold/gold-w11.ovf",
    )
    add_version(site, "Runtime", "1.0")
    for version in ("1.9", "1.10"):
        add_version(site, "Tool", version, prerequisites=[{"name": "Runtime", "version": "1.0"}], priority=300)
    (folder / "icon.png").write_bytes(_PNG)
    (folder / "first.cmd").write_text("exit /b 0\r\n")
    add_template(site, icon=os.fspath(folder / "icon.png"), script=os.fspath(folder / "first.cmd"))
    return path


def add_version(site: SimpleNamespace, name: str, version: str, content: str = "", **options: Any) -> dict:
    """Create an app layer version; ``content`` is in its only file."""
    files = site.tmp_path / f"{name}-{version}-{content}"
    program = files / "Program Files" / name / f"{name.lower()}.txt"
    program.parent.mkdir(parents=True)
    program.write_text(content or f"{name} {version}")
    layer: dict[str, Any] = {
        "name": name,
        "version": version,
        "os_layer": {"name": "Windows 11"},
        "files": os.fspath(files),
    }
    return run("app_layer", **site.options, **layer, **options)


def add_template(site: SimpleNamespace, **options: Any) -> dict:
    """Create or change TEMPLATE."""
    layers = [{"name": "Runtime", "version": "1.0"}, {"name": "Tool", "version": "1.10"}]
    template: dict[str, Any] = {
        "name": TEMPLATE,
        "os_layer": {"name": "Windows 11", "version": "1.0"},
        "connector": "desktops",
    }
    return run("image_template", **site.options, **({"app_layers": layers} | template | options))


def new_site(folder: pathlib.Path) -> SimpleNamespace:
    """Create a repository with a connector in ``folder``."""
    site = _site(folder)
    run("repository", **site.options)
    run("connector", **site.options, **connector())
    return site


def copied_site(repository: pathlib.Path, folder: pathlib.Path) -> SimpleNamespace:
    """Return a copy of a repository in ``folder``. Blobs are linked: nothing writes to a stored blob."""
    site = _site(folder)

    def copy(source: str, target: str) -> None:
        if f"{os.sep}blobs{os.sep}" in source:
            os.link(source, target)
        else:
            shutil.copy2(source, target)

    shutil.copytree(repository, site.path, copy_function=copy)
    return site


def _site(folder: pathlib.Path) -> SimpleNamespace:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "repository"
    return SimpleNamespace(path=path, options={"repository": os.fspath(path)}, tmp_path=folder)
