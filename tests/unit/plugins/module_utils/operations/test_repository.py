# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cleaning up what killed processes left of layers, and damaged documents."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections, layer_store
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_document import LayerDocument
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import (
    APP,
    LayerReference,
    LayerVersion,
)
from ansible_collections.strata.layering.plugins.module_utils.operations.options import RepositoryOptions
from ansible_collections.strata.layering.plugins.module_utils.operations.repository import ensure_repository
from ansible_collections.strata.layering.plugins.module_utils.operations.repository_states.repository_module_options import (
    RepositoryModuleOptions,
)
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.catalogs import store_task
from ansible_collections.strata.layering.tests.support.layer_documents import software_entry


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Repository.open(str(tmp_path / "repository"), create=True)


def build(repository, name):
    """Store a layer version that no document names; return its digest."""
    os_layer = LayerReference("os", "Windows", "1", "sha256:" + "0" * 64)
    return layer_store.put_files(repository, LayerVersion(APP, name, "1", os_layer=os_layer), []).digest


def ensure(repository, state, check_mode=False, **ages):
    options = RepositoryModuleOptions(repository=RepositoryOptions(repository.path), state=state, **ages)
    return ensure_repository(options, check_mode=check_mode)


def collected(repository, check_mode=False, **ages):
    return ensure(repository, "collected", check_mode, **ages)


def test_layer_version_without_a_document_is_collected_when_it_is_a_day_old(repository):
    known, forgotten = build(repository, "Known"), build(repository, "Forgotten")
    document = LayerDocument.new(APP, "Known").with_version("1", software_entry(digest=known))
    document_collections.layers(repository, APP).store("Known", document)
    assert not collected(repository).changed
    assert len(repository.layout.references()) == 2
    for digest in repository.layout.blobs.digests():
        os.utime(repository.layout.blobs.path(digest), (1, 1))
    planned = collected(repository, check_mode=True)
    assert planned.changed
    assert planned.result["freed"] > 0
    assert len(repository.layout.references()) == 2
    assert collected(repository).result == planned.result
    assert [item.digest for item in repository.layout.references().values()] == [known]
    assert not repository.layout.has(forgotten)
    assert not collected(repository).changed


def test_verified_reports_a_document_with_a_damaged_field(repository):
    repository.catalog.put("connector", "vdi", {"name": "vdi"})
    with pytest.raises(Corrupt) as caught:
        ensure(repository, "verified")
    assert caught.value.code == "operations.repository_damaged"
    [damage] = caught.value.details["damaged"]
    assert (damage["problem"], damage["what"]) == ("document", "connector")
    assert "datacenter" in damage["message"]


def test_collected_refuses_a_repository_with_a_damaged_document(repository):
    repository.catalog.put("cancellation", "office", {})
    with pytest.raises(Corrupt) as caught:
        collected(repository)
    assert caught.value.code == "repository.collect_unsafe"


def test_collected_removes_old_tasks_and_moves_old_audit_records_on_request(repository):
    store_task(repository, "1", "office")
    store_task(repository, "2", "office", digest="sha256:" + "d" * 64, created="2026-02-01T00:00:00Z")
    with open(os.path.join(repository.path, "audit.jsonl"), "w", encoding="ascii") as stream:
        stream.write('{"time": "2020-01-01T00:00:00Z", "kind": "repository"}\n')
    ages = {"task_max_age_days": 0, "audit_max_age_days": 0}
    assert not collected(repository).changed
    planned = collected(repository, check_mode=True, **ages)
    assert planned.before["old_tasks"] == ["1"]
    assert planned.before["old_audit_records"] == {"2020-01": 1}
    done = collected(repository, **ages)
    assert (done.before, done.after) == (planned.before, planned.after)
    assert (done.result["removed_tasks"], done.result["moved_audit_records"]) == (["1"], 1)
    assert not collected(repository, **ages).changed
    assert [record["kind"] for record in repository.audit.read()] == ["repository", "repository"]
    assert repository.audit.read()[1]["details"] == {"freed": 0, "blobs": 0, "tasks": 1, "audit_records": 1}


def test_negative_age_is_refused():
    params = {"repository": "/x", "state": "collected", "task_max_age_days": None, "audit_max_age_days": -1}
    with pytest.raises(InvalidInput) as caught:
        RepositoryModuleOptions.from_params(params)
    assert caught.value.code == "operations.repository_age"
