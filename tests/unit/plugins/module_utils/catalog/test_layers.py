# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of layers when two composers work on one repository."""

from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import layers
from ansible_collections.strata.layering.plugins.module_utils.common.errors import NotFound
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import APP, DEPLOYABLE, OS
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository

WORDS = {"comment": None, "name": "Tool", "version": "1"}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Repository.open(str(tmp_path / "repository"), create=True)


def entry(**more):
    return {"digest": "sha256:" + "1" * 64, "status": DEPLOYABLE, "size": 1, **more}


def keep(repository, kind, name, version, **more):
    before = layers.layer_document(repository, kind, name)
    document = before or layers.new_document(kind, name)
    after = dict(document, versions=dict(document["versions"], **{version: entry(**more)}))
    layers.keep_layer(repository, before, after, None, {"comment": None, "version": version}, check_mode=False)


def test_a_version_that_is_removed_while_another_is_made_does_not_come_back(repository):
    keep(repository, OS, "Windows", "1")
    remover = threading.Thread(
        target=layers.remove_versions, args=(repository, OS, WORDS | {"name": "Windows"}), kwargs={"check_mode": False}
    )
    with repository.locks.hold(layers.lock_of(OS, "Windows"), purpose="import the OS layer Windows 2"):
        before = layers.layer_document(repository, OS, "Windows")
        remover.start()
        time.sleep(0.3)
        after = dict(before, versions=dict(before["versions"], **{"2": entry()}))
        layers.keep_layer(repository, before, after, None, {"comment": None, "version": "2"}, check_mode=False)
    remover.join(30)
    assert list(layers.layer_document(repository, OS, "Windows")["versions"]) == ["2"]


@pytest.mark.parametrize("gone", [(OS, "Windows"), (APP, "Runtime")])
def test_a_layer_whose_ground_was_removed_meanwhile_is_not_kept(repository, gone):
    keep(repository, OS, "Windows", "1")
    keep(repository, APP, "Runtime", "1", os_layer={"name": "Windows", "version": "1"}, prerequisites=[])
    before = layers.new_document(APP, "Tool")
    ground = {"os_layer": {"name": "Windows", "version": "1"}, "prerequisites": [{"name": "Runtime", "version": "1"}]}
    if gone[0] == OS:
        layers.remove_versions(repository, APP, WORDS | {"name": "Runtime"}, check_mode=False)
    layers.remove_versions(repository, *gone[:1], WORDS | {"name": gone[1]}, check_mode=False)
    with pytest.raises(NotFound, match=gone[1] if gone[0] == APP else "Windows"):
        layers.keep_layer(
            repository,
            None,
            dict(before, versions={"1": entry(**ground)}),
            None,
            {"comment": None, "version": "1"},
            check_mode=False,
        )
    assert layers.layer_document(repository, APP, "Tool") is None
