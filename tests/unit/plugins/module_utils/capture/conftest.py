# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.support.captured import (
    Packaging,
    make_started_disk,
    make_windows_disk,
)


@pytest.fixture(name="packaging", scope="module")
def _packaging(tmp_path_factory):
    """A repository with a small Windows disk as its OS layer, and the image of that OS layer."""
    folder = tmp_path_factory.mktemp("packaging")
    make_windows_disk(str(folder / "raw"))
    return Packaging(str(folder), str(folder / "raw"))


@pytest.fixture(name="started", scope="module")
def _started(tmp_path_factory):
    """As ``packaging``, with the files, keys and values that ``windows_start.start`` changes."""
    folder = tmp_path_factory.mktemp("started")
    make_started_disk(str(folder / "raw"))
    return Packaging(str(folder), str(folder / "raw"))
