# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab for all acceptance tests of a worker; its folder is removed at the end."""

from __future__ import annotations

import os
import shutil

import pytest

from ansible_collections.strata.layering.tests.acceptance import compare, wine
from ansible_collections.strata.layering.tests.acceptance.lab import AcceptanceLab


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Provide the prefix, the OS layer and the installers."""
    if missing := wine.missing_tools():
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = str(tmp_path_factory.mktemp("acceptance"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", os.path.join(folder, "cache"))
        try:
            yield AcceptanceLab(folder)
        finally:
            shutil.rmtree(folder)


@pytest.fixture(scope="session")
def packaged(lab):
    """Return every application as a layer, by name."""
    return lab.package_all()


@pytest.fixture(scope="session")
def reference(lab):
    """Return the prefix in which all applications were installed in order, and its disk."""
    return lab.reference()


@pytest.fixture(scope="session")
def composed(lab, packaged):
    """Return the prefix and the disk of the image with the layers of all applications. The prefix was not started yet."""
    return lab.composed()


@pytest.fixture(scope="session")
def allowed():
    """Return the list of allowed differences."""
    return compare.load_allowed(os.path.join(os.path.dirname(__file__), "differences.yml"))
