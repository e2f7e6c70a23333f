# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Collecting what killed processes left of layers."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import layer_store, layers
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import (
    APP,
    DEPLOYABLE,
    LayerReference,
    LayerVersion,
)
from ansible_collections.strata.layering.plugins.module_utils.operations.repository import ensure_repository
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Repository.open(str(tmp_path / "repository"), create=True)


def layer(repository, name):
    ground = LayerReference("os", "Windows", "1", "sha256:" + "0" * 64)
    return layer_store.put_files(repository, LayerVersion(APP, name, "1", os_layer=ground), []).digest


def collected(repository, check_mode=False):
    return ensure_repository(
        {"repository": repository.path, "state": "collected", "comment": None}, check_mode=check_mode
    )


def test_a_layer_that_never_came_into_the_catalogue_is_collected_when_it_is_a_day_old(repository):
    known, forgotten = layer(repository, "Known"), layer(repository, "Forgotten")
    entry = {
        "digest": known,
        "status": DEPLOYABLE,
        "os_layer": {"name": "Windows", "version": "1"},
        "prerequisites": [],
    }
    repository.catalog.put("app_layer", "Known", dict(layers.new_document(APP, "Known"), versions={"1": entry}))
    assert not collected(repository).changed and len(repository.layout.references()) == 2
    for digest in repository.layout.blobs.digests():
        os.utime(repository.layout.blobs.path(digest), (1, 1))
    planned = collected(repository, check_mode=True)
    assert planned.changed and planned.result["freed"] > 0 and len(repository.layout.references()) == 2
    assert collected(repository).result == planned.result
    assert [item.digest for item in repository.layout.references().values()] == [known] and not repository.layout.has(
        forgotten
    )
    assert not collected(repository).changed
