# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository, a file share with an exported OS machine, and a vCenter, for the modules' tests."""

from __future__ import annotations

import os
import pathlib
import shutil
from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.tests.sample.package import make_package
from ansible_collections.strata.layering.tests.sample.plan import Spec
from ansible_collections.strata.layering.tests.support.module_options import OS_LAYER, connector
from ansible_collections.strata.layering.tests.support.modules import run
from ansible_collections.strata.layering.tests.support.packaging_workspace import office  # noqa: F401  pylint: disable=unused-import
from ansible_collections.strata.layering.tests.support.simulator_fixtures import shared_simulator, simulator  # noqa: F401  pylint: disable=unused-import
from ansible_collections.strata.layering.tests.support.vcenter import options_of


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> pathlib.Path:
    """A share with the package ``gold/gold-w11.ovf``."""
    share = tmp_path_factory.mktemp("share")
    make_package(os.fspath(share / "gold"), Spec("small"))
    return share


@pytest.fixture(scope="session")
def stocked(exported, tmp_path_factory) -> pathlib.Path:
    """A repository with a connector and an OS layer; tests get copies of it."""
    path = tmp_path_factory.mktemp("stocked") / "repository"
    repository = {"repository": os.fspath(path)}
    run("repository", **repository)
    run("connector", **repository, **connector())
    run("os_layer", **repository, **OS_LAYER, file_share=os.fspath(exported), packaging_disk="gold/gold-w11.ovf")
    return path


@pytest.fixture
def workspace(stocked, tmp_path) -> SimpleNamespace:
    """A repository of the test's own with an OS layer: ``options`` for modules, ``path``, ``files(name, tree)`` makes folders."""
    path = tmp_path / "repository"
    shutil.copytree(stocked, path)

    def files(name: str, tree: dict[str, str | bytes]) -> str:
        folder = tmp_path / name
        for relative, content in tree.items():
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
        return os.fspath(folder)

    return SimpleNamespace(path=path, options={"repository": os.fspath(path)}, files=files, tmp_path=tmp_path)


@pytest.fixture
def vcenter(simulator) -> dict:  # noqa: F811  pylint: disable=redefined-outer-name
    """A fresh vCenter whose guests shut down at once: options for modules."""
    simulator.guest("true")
    return options_of(simulator)
