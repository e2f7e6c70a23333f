# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository in a temporary folder, and a separate home folder for the state of a host."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def repository(tmp_path):
    """An empty repository."""
    return Repository.open(str(tmp_path / "repository"), create=True)
