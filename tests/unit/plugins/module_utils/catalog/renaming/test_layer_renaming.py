# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renaming layers and versions: only names change, whenever the run ends."""

from __future__ import annotations

import contextlib
import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.catalog.kinds import RENAME
from ansible_collections.strata.layering.plugins.module_utils.catalog.noise_profile_record import NoiseProfileRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.packaging_record import BaseImage, PackagingRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.renaming.interrupted import complete_renames
from ansible_collections.strata.layering.plugins.module_utils.catalog.renaming.layer_rename import LayerRename
from ansible_collections.strata.layering.plugins.module_utils.catalog.renaming.layer_renaming import (
    naming_documents,
    refuse_rename,
    rename_layer,
    rename_locks,
    resume_rename,
)
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, Unavailable
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import APP, OS, PLATFORM
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.catalogs import (
    CREATED,
    digests,
    documents,
    reference,
    store_connector,
    store_images,
    store_layer,
    store_template,
)
from ansible_collections.strata.layering.tests.support.killing import kill_before_each_write

TOOL, READER = VersionName("Tool", "1"), VersionName("Reader", "2")
WINDOWS = VersionName("Windows", "23H2")
TO_ZOOM = LayerRename(kind=APP, name="Tool", new_name="Zoom")
RENAMES = [
    TO_ZOOM,
    LayerRename(kind=APP, name="Tool", new_name="TOOL"),
    LayerRename(kind=APP, name="Tool", new_name="Tool", versions={"1": "9"}),
    LayerRename(kind=APP, name="Tool", new_name="Zoom", versions={"1": "9"}),
    LayerRename(kind=OS, name="Windows", new_name="Windows 11"),
    LayerRename(kind=OS, name="Windows", new_name="Windows", versions={"23H2": "2026-11"}),
    LayerRename(kind=PLATFORM, name="Horizon", new_name="Agent", versions={"1": "2"}),
]


def fill(path):
    """Create a repository in which documents of every kind name layers."""
    repository = Repository.open(str(path), create=True)
    store_connector(repository)
    store_layer(repository, OS, *_names(WINDOWS))
    store_layer(repository, APP, "Tool", "1", os_layer=WINDOWS)
    store_layer(repository, APP, "Tool", "2", os_layer=WINDOWS)
    store_layer(repository, APP, "Reader", "2", os_layer=WINDOWS, prerequisites=(TOOL,))
    store_layer(repository, PLATFORM, "Horizon", "1", os_layer=WINDOWS, confirmed_for=["23H2"])
    store_template(repository, "office", WINDOWS, TOOL, READER, platform_layer=VersionName("Horizon", "1"))
    store_template(repository, "plain", WINDOWS)
    store_images(repository, "office")
    windows = reference(repository, OS, WINDOWS)
    machine = PackagingRecord(
        kind=APP,
        layer="Editor",
        version="1",
        os_layer=windows,
        prerequisites=(reference(repository, APP, TOOL),),
        start_from=None,
        connector="site",
        base=BaseImage("sha256:" + "c" * 64, None),
        created=CREATED,
    )
    document_collections.packaging_records(repository).store("app/Editor/1", machine)
    profile = NoiseProfileRecord(
        os_layer=windows, digest=windows.digest, size=1, source={}, changes={}, created=CREATED
    )
    document_collections.noise_profiles(repository).store("Windows/23H2", profile)
    return repository


def _names(layer):
    return layer.name, layer.version


@pytest.fixture
def repository(tmp_path):
    return fill(tmp_path / "repository")


def rename(repository, change, comment=None):
    with rename_locks(repository, change):
        layer = document_collections.layers(repository, change.kind).require(change.name)
        refuse_rename(repository, change, layer)
        rename_layer(repository, change, layer, comment)


def inverse(change):
    versions = {new: old for old, new in change.versions.items()}
    return LayerRename(kind=change.kind, name=change.new_name, new_name=change.name, versions=versions)


@pytest.mark.parametrize("change", RENAMES)
def test_rename_keeps_the_digests_of_all_images(repository, change):
    before = digests(repository)
    rename(repository, change)
    assert digests(repository) == before


@pytest.mark.parametrize("change", RENAMES)
def test_rename_and_its_inverse_restore_every_document(repository, change):
    before, references = documents(repository), repository.layout.references()
    rename(repository, change)
    assert documents(repository) != before
    rename(repository, inverse(change))
    assert documents(repository) == before
    assert repository.layout.references() == references


def test_rename_leaves_no_document_with_the_old_name(repository):
    rename(repository, TO_ZOOM)
    found = documents(repository)
    layer = found.pop("app_layer/Zoom")
    assert layer["sort_name"] == "Tool"
    assert "'Tool'" not in repr(found)
    assert "app/Tool" not in repr(found)


def test_rename_is_reported_with_the_documents_that_name_the_layer(repository):
    found = {f"{document.kind}/{document.name}" for document in naming_documents(repository, TO_ZOOM)}
    assert found == {"app_layer/Reader", "image_template/office", "image/office", "packaging/app/Editor/1"}


def test_rename_is_one_audit_record_with_both_names(repository):
    rename(repository, TO_ZOOM, "CHG-1")
    (record,) = repository.audit.read(kinds=["app_layer"])
    assert (record["action"], record["name"], record["comment"]) == ("rename", "Zoom", "CHG-1")
    assert record["details"]["name"] == {"before": "Tool", "after": "Zoom"}


@pytest.mark.parametrize("change", [TO_ZOOM, RENAMES[2], RENAMES[5]])
def test_rename_that_is_killed_is_completed_by_the_next_run(repository, tmp_path, monkeypatch, change):
    original = tmp_path / "original"
    shutil.copytree(repository.path, original)
    expected = digests(repository)
    rename(repository, change)
    done, references = documents(repository), repository.layout.references()

    def restore():
        shutil.rmtree(repository.path)
        shutil.copytree(original, repository.path)

    stages = 0
    for _survived in kill_before_each_write(monkeypatch, restore, lambda: rename(repository, change)):
        assert digests(repository) == expected
        complete_renames(repository)
        assert not repository.catalog.names(RENAME)
        if repository.audit.read():
            assert documents(repository) == done
            assert repository.layout.references() == references
            assert len(repository.audit.read()) == 1
            stages += 1
    assert stages > 5


def test_versions_added_while_a_rename_is_interrupted_are_kept(repository, monkeypatch):
    def killed(*_arguments):
        raise KeyboardInterrupt

    stop = repository.catalog.delete
    monkeypatch.setattr(repository.catalog, "delete", killed)
    with contextlib.suppress(KeyboardInterrupt):
        rename(repository, TO_ZOOM)
    monkeypatch.setattr(repository.catalog, "delete", stop)
    store_layer(repository, APP, "Tool", "3", os_layer=WINDOWS)
    store_layer(repository, APP, "Zoom", "4", os_layer=WINDOWS)
    complete_renames(repository)
    layers = document_collections.layers(repository, APP)
    assert layers.get("Tool") is None
    assert layers.require("Zoom").sorted_versions() == ["1", "2", "3", "4"]
    assert "layers/app/Zoom/3" in repository.layout.references()


def test_rename_that_cannot_be_completed_reports_the_reason_until_it_can(repository, monkeypatch):
    failing = True

    def upstream(_documents, name, _document):
        if failing and name == "office":
            raise Unavailable("The registry cannot be reached.", code="oci_registry.connection", hint="Wait.")

    monkeypatch.setattr(document_collections.Documents, "send", upstream)
    with pytest.raises(Unavailable):
        rename(repository, TO_ZOOM)
    complete_renames(repository)
    assert repository.catalog.names(RENAME) == ["app_layer/Tool"]
    with rename_locks(repository, TO_ZOOM), pytest.raises(Unavailable):
        resume_rename(repository, "app_layer", "Tool")
    failing = False
    with rename_locks(repository, TO_ZOOM):
        resume_rename(repository, "app_layer", "Tool")
    assert document_collections.layers(repository, APP).get("Tool") is None
    assert repository.catalog.names(RENAME) == []


def test_name_of_an_existing_layer_is_refused(repository):
    with pytest.raises(Conflict) as caught:
        rename(repository, LayerRename(kind=APP, name="Tool", new_name="Reader"))
    assert caught.value.code == "catalog.name_taken"


def test_version_that_exists_is_refused(repository):
    with pytest.raises(Conflict) as caught:
        rename(repository, LayerRename(kind=APP, name="Tool", new_name="Tool", versions={"1": "2"}))
    assert caught.value.code == "catalog.name_taken"


def test_other_spelling_of_another_layer_is_refused(repository):
    with pytest.raises(Conflict) as caught:
        rename(repository, LayerRename(kind=APP, name="Tool", new_name="reader"))
    assert caught.value.code == "catalog.other_spelling"


def test_version_that_is_being_packaged_is_refused(repository):
    packaging = document_collections.packaging_records(repository)
    machine = packaging.require("app/Editor/1")
    packaging.store("app/Tool/3", type(machine).from_dict(machine.to_dict() | {"layer": "Tool", "version": "3"}, "x"))
    with pytest.raises(Conflict) as caught:
        rename(repository, TO_ZOOM)
    assert caught.value.code == "catalog.rename_packaging"


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    names=st.lists(
        st.sampled_from(["Ant", "bee", "Cat", "dog", "Eel", "fox", "Gnu"]), min_size=4, max_size=4, unique=True
    ),
)
def test_any_sequence_of_renames_keeps_the_digests_of_all_images(tmp_path_factory, data, names):
    repository = Repository.open(str(tmp_path_factory.mktemp("renames") / "repository"), create=True)
    store_connector(repository)
    store_layer(repository, OS, *_names(WINDOWS))
    first, *others = [VersionName(name, "1") for name in names[:3]]
    store_layer(repository, APP, *_names(first), os_layer=WINDOWS)
    for other in others:
        below = (first,) if data.draw(st.booleans()) else ()
        store_layer(repository, APP, *_names(other), os_layer=WINDOWS, prerequisites=below)
    store_template(repository, "office", WINDOWS, first, *others)
    expected = digests(repository)
    for _number in range(data.draw(st.integers(1, 4))):
        existing = document_collections.layers(repository, APP).names()
        free = sorted({"Ant", "bee", "Cat", "dog", "Eel", "fox", "Gnu"} - set(existing))
        change = LayerRename(
            kind=APP, name=data.draw(st.sampled_from(existing)), new_name=data.draw(st.sampled_from(free))
        )
        rename(repository, change)
        assert digests(repository) == expected
