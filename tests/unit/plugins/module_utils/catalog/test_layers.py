# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers in the repository: finding versions, what describes them, and two composers that work on one repository."""

from __future__ import annotations

import threading
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.catalog.kinds import NOISE
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_document import LayerDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_removal import remove_versions
from ansible_collections.strata.layering.plugins.module_utils.catalog.layers import (
    LayerMetadata,
    check_names,
    find_layer,
    find_version,
    layer_lock,
    refuse_other_script,
    store_layer,
)
from ansible_collections.strata.layering.plugins.module_utils.catalog.packaging_record import BaseImage, PackagingRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.script_record import ScriptRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.scripts import Script
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, InvalidInput, NotFound
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import (
    APP,
    OS,
    PLATFORM,
    LayerReference,
)
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.layer_documents import DIGEST, entry, software_entry


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Repository.open(str(tmp_path / "repository"), create=True)


def add(repository, kind, name, version, **fields):
    """Store a version of a layer."""
    before = find_layer(repository, kind, name)
    layer = (before or LayerDocument.new(kind, name)).with_version(version, entry(kind, **fields))
    store_layer(repository, before, layer, version, None)
    return layer


def remove(repository, kind, name, version=None):
    return remove_versions(repository, kind, name, version, comment=None, check_mode=False)


@pytest.mark.parametrize("version", [None, "latest"])
def test_find_version_without_a_version_returns_the_newest_deployable(repository, version):
    for number in ("1.9", "1.10"):
        add(repository, OS, "Windows", number)
    add(repository, OS, "Windows", "2", status="Broken")
    found = find_version(repository, OS, "Windows", version)
    assert (found.version, found.digest) == ("1.10", DIGEST)


@pytest.mark.parametrize(
    ("name", "version", "error", "code"),
    [
        ("Linux", None, NotFound, "catalog.layer_missing"),
        ("Windows", "3", NotFound, "catalog.layer_version_missing"),
        ("Windows", "2", Conflict, "catalog.layer_not_deployable"),
        ("a/b", None, InvalidInput, "layers.name"),
    ],
)
def test_find_version_that_cannot_be_used_raises(repository, name, version, error, code):
    add(repository, OS, "Windows", "1")
    add(repository, OS, "Windows", "2", status="Broken")
    with pytest.raises(error) as caught:
        find_version(repository, OS, name, version)
    assert caught.value.code == code
    assert caught.value.hint


def test_layer_that_does_not_exist_is_reported_with_the_layers_that_exist(repository):
    with pytest.raises(NotFound) as caught:
        find_version(repository, APP, "Tool", None)
    assert caught.value.hint == "Create it with strata.layering.app_layer."
    add(repository, OS, "Windows", "1")
    add(repository, APP, "Office", "1")
    with pytest.raises(NotFound) as caught:
        find_version(repository, APP, "Tool", None)
    assert "Office" in caught.value.hint


def test_layer_without_deployable_versions_is_reported(repository):
    add(repository, OS, "Windows", "2", status="Broken")
    with pytest.raises(NotFound) as caught:
        find_version(repository, OS, "Windows", "latest")
    assert caught.value.code == "catalog.layer_version_missing"


@pytest.mark.parametrize("priority", [-1, 1_000_000])
def test_priority_out_of_range_is_refused(priority):
    check_names("Tool", "1", 999_999)
    with pytest.raises(InvalidInput) as caught:
        check_names("Tool", None, priority)
    assert caught.value.code == "catalog.layer_priority"


def test_metadata_changes_only_options_that_are_set_and_supported():
    layer = LayerDocument.new(APP, "Tool").with_version("1", software_entry(version_description="first"))
    assert LayerMetadata().apply(layer, "1") == layer
    changed = LayerMetadata("Tools", "second", 400, "vdi").apply(layer, "1")
    assert (changed.description, changed.priority, changed.connector) == ("Tools", 400, None)
    assert changed.versions["1"].version_description == "second"
    os_layer = LayerDocument.new(OS, "Windows").with_version("1", entry(OS))
    changed = LayerMetadata(priority=400, connector="vdi").apply(os_layer, "1")
    assert (changed.priority, changed.connector) == (None, "vdi")


@pytest.mark.parametrize("stored", [None, ScriptRecord("other.cmd", DIGEST, 3)])
def test_version_with_another_script_is_refused(stored):
    layer = LayerDocument.new(APP, "Tool").with_version("1", software_entry(script=stored))
    refuse_other_script(layer, "1", None, None)
    with pytest.raises(Conflict) as caught:
        refuse_other_script(layer, "1", Script("setup.cmd", b"x"), "/srv/setup.cmd")
    assert caught.value.code == "catalog.layer_other_script"
    assert ("other.cmd" in caught.value.message) is (stored is not None)


def test_audit_of_a_new_version_is_a_creation_and_of_its_metadata_an_update(repository):
    add(repository, OS, "Windows", "1")
    add(repository, APP, "Tool", "1")
    layer = add(repository, APP, "Tool", "2")
    store_layer(repository, layer, LayerMetadata(description="text").apply(layer, "2"), "2", None)
    records = repository.audit.read(kinds=["app_layer"])
    assert [(record["action"], record["version"]) for record in records] == [
        ("create", "1"),
        ("create", "2"),
        ("update", "2"),
    ]


def test_version_that_is_removed_while_another_is_built_does_not_return(repository):
    add(repository, OS, "Windows", "1")
    remover = threading.Thread(target=remove, args=(repository, OS, "Windows", "1"))
    with repository.locks.hold(layer_lock(OS, "Windows"), purpose="import the OS layer Windows 2"):
        before = find_layer(repository, OS, "Windows")
        remover.start()
        time.sleep(0.3)
        store_layer(repository, before, before.with_version("2", entry(OS)), "2", None)
    remover.join(30)
    assert list(find_layer(repository, OS, "Windows").versions) == ["2"]


@pytest.mark.parametrize("removed", [(OS, "Windows"), (APP, "Runtime")])
def test_version_whose_base_was_removed_while_it_was_built_is_not_stored(repository, removed):
    add(repository, OS, "Windows", "1")
    add(repository, APP, "Runtime", "1")
    tool = LayerDocument.new(APP, "Tool").with_version(
        "1", software_entry(prerequisites=(VersionName("Runtime", "1"),))
    )
    remove(repository, APP, "Runtime")
    if removed[0] == OS:
        remove(repository, OS, "Windows")
    with pytest.raises(NotFound) as caught:
        store_layer(repository, None, tool, "1", None)
    assert removed[1] in caught.value.message
    assert find_layer(repository, APP, "Tool") is None


def test_version_that_another_layer_needs_is_not_removed(repository):
    add(repository, OS, "Windows", "1")
    add(repository, OS, "Windows", "2")
    add(repository, APP, "Runtime", "1")
    add(repository, PLATFORM, "Agent", "8")
    add(repository, APP, "Tool", "1", prerequisites=(VersionName("Runtime", "1"),))
    for kind, name, needing in ((OS, "Windows", ["Runtime 1", "Tool 1", "Agent 8"]), (APP, "Runtime", ["Tool 1"])):
        with pytest.raises(Conflict) as caught:
            remove(repository, kind, name)
        assert caught.value.code == "catalog.layer_needed"
        assert caught.value.details["layers"] == needing
    assert remove(repository, OS, "Windows", "2").changed
    for kind, name in ((APP, "Tool"), (PLATFORM, "Agent"), (APP, "Runtime"), (OS, "Windows")):
        assert remove(repository, kind, name).after is None
        assert not remove(repository, kind, name).changed
    assert document_collections.layers(repository, OS).all() == []


@pytest.mark.parametrize(("kind", "is_refused"), [(APP, True), (PLATFORM, True), (OS, False), (NOISE, False)])
def test_version_that_a_packaging_machine_was_created_from_is_not_removed(repository, kind, is_refused):
    add(repository, OS, "Windows", "1")
    add(repository, OS, "Server", "1")
    add(repository, APP, "Runtime", "1")
    add(repository, APP, "Runtime", "2")
    records = document_collections.packaging_records(repository)
    record = PackagingRecord(
        kind=kind,
        layer="Tool",
        version="3",
        os_layer=LayerReference(OS, "Server", "1", DIGEST),
        prerequisites=(LayerReference(APP, "Runtime", "1", DIGEST),),
        start_from=None,
        connector="desktops",
        base=BaseImage("sha256:1", None),
        created="2026-11-30T10:00:00Z",
    )
    records.store(f"{kind}/Tool/3", record)
    assert remove(repository, APP, "Runtime", "2").changed
    needed = ((APP, "Runtime"), (OS, "Server"))
    for layer, name in needed if is_refused else ():
        with pytest.raises(Conflict) as caught:
            remove(repository, layer, name, "1")
        assert caught.value.code == "catalog.layer_needed"
        assert caught.value.details["layers"] == [f"{kind} layer Tool 3"]
    if is_refused:
        records.remove(f"{kind}/Tool/3")
    for layer, name in needed:
        assert remove(repository, layer, name, "1").changed
