# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One workshop for all acceptance tests; its folder is removed in the end."""

from __future__ import annotations

import os
import shutil

import pytest

from ansible_collections.strata.layering.tests.acceptance import compare, wine
from ansible_collections.strata.layering.tests.acceptance.workshop import Workshop


@pytest.fixture(scope="session")
def workshop(tmp_path_factory):
    """Prefix, OS layer and installers."""
    if missing := wine.missing_tools():
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = str(tmp_path_factory.mktemp("acceptance"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", os.path.join(folder, "cache"))
        try:
            yield Workshop(folder)
        finally:
            shutil.rmtree(folder)


@pytest.fixture(scope="session")
def packaged(workshop):
    """Every application as a layer, by name."""
    return workshop.package_all()


@pytest.fixture(scope="session")
def reference(workshop):
    """The prefix in which all applications were installed in order, and its disk."""
    return workshop.reference()


@pytest.fixture(scope="session")
def composed(workshop, packaged):
    """The prefix and the disk of the image with the layers of all applications. Not run yet."""
    return workshop.composed()


@pytest.fixture(scope="session")
def allowed():
    """The named list of differences."""
    return compare.load_allowed(os.path.join(os.path.dirname(__file__), "differences.yml"))
