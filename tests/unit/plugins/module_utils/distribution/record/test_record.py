# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two composers that share a registry of record: changes, conflicts, synchronization and work without the registry."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.catalog.kinds import LOCK
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_removal import remove_versions
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_store import load_version
from ansible_collections.strata.layering.plugins.module_utils.catalog.renaming.layer_rename import LayerRename
from ansible_collections.strata.layering.plugins.module_utils.catalog.renaming.layer_renaming import (
    rename_layer,
    rename_locks,
)
from ansible_collections.strata.layering.plugins.module_utils.catalog.renaming.template_renaming import rename_template
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName
from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    InvalidInput,
    Unavailable,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.distribution.record import survey
from ansible_collections.strata.layering.plugins.module_utils.distribution.sides import claims
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import ROLE_ARCHIVE
from ansible_collections.strata.layering.plugins.module_utils.repository.document_store import Catalog
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.composers import Composer
from ansible_collections.strata.layering.tests.support.expectations import raises
from ansible_collections.strata.layering.tests.support.shared_registry import SharedRegistry
from ansible_collections.strata.layering.tests.support.small_layers import (
    add_app_layer,
    add_connector,
    add_os_layer,
    delete_template,
    describe_layer,
    put_template,
)

WINDOWS, EDITOR = VersionName("Windows", "1"), VersionName("Editor", "1.0")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(claims.time, "sleep", lambda seconds: None)


@pytest.fixture
def registry():
    return SharedRegistry()


@pytest.fixture
def first(tmp_path, registry):
    return Composer(str(tmp_path / "first"), registry)


@pytest.fixture
def second(tmp_path, registry):
    return Composer(str(tmp_path / "second"), registry)


def fill(composer):
    """Create an OS layer, an app layer and a template."""
    add_os_layer(composer.repository, "Windows", "1")
    add_app_layer(composer.repository, "Editor", "1.0", os_layer=WINDOWS)
    add_connector(composer.repository)
    put_template(composer.repository, "office", WINDOWS, (EDITOR,))


def rename_app(repository, name, new_name):
    rename = LayerRename(kind="app", name=name, new_name=new_name)
    with rename_locks(repository, rename):
        rename_layer(repository, rename, document_collections.layers(repository, "app").require(name), None)


def remove(composer, kind, name, version=None):
    return remove_versions(composer.repository, kind, name, version, comment=None, check_mode=False)


def actions(result):
    return [(change.action, str(change.item)) for change in result.changes]


def without_times(documents):
    """Return documents without what a composer notes about transfers."""
    return {
        kind: {
            name: {
                **document,
                **(
                    {"versions": {number: {**entry, "updated": None} for number, entry in document["versions"].items()}}
                    if "versions" in document
                    else {}
                ),
            }
            for name, document in named.items()
        }
        for kind, named in documents.items()
    }


def test_second_composer_gets_everything_but_large_blobs(first, second, registry):
    fill(first)
    result = second.sync()
    assert actions(result) == [
        ("create", "OS layer Windows 1"),
        ("create", "app layer Editor 1.0"),
        ("create", "image template office"),
    ]
    assert without_times(second.documents()) == without_times(first.documents())
    assert len(result.warnings) == 1  # the connector
    layer = load_version(second.repository, "layers/app/Editor/1.0")
    archive = layer.blobs[ROLE_ARCHIVE]
    assert not second.repository.layout.has(archive.digest)
    assert second.repository.layout.blobs.read(archive.digest, 100) == b"archive"
    assert second.repository.layout.has(archive.digest)


def test_second_synchronization_is_one_request_and_changes_nothing(first, second, registry):
    fill(first)
    second.sync()
    for composer in (first, second):
        composer.sync()
        before = composer.documents()
        registry.requests.clear()
        result = composer.sync()
        assert (result.changes, result.compared, result.online) == ([], False, True)
        assert [request[0] for request in registry.requests] == ["digest_of"]
        assert not composer.sync(full=True).changes
        assert composer.documents() == before


def test_check_mode_shows_the_changes_and_makes_none(first, second):
    fill(first)
    planned = second.sync(check_mode=True)
    assert not second.documents()["os_layer"]
    assert not second.repository.layout.references()
    assert planned.changes == second.sync().changes


def test_changes_by_others_arrive(first, second):
    fill(first)
    second.sync()
    describe_layer(first.repository, "app", "Editor", "An editor")
    add_app_layer(first.repository, "Editor", "2.0", b"newer", os_layer=WINDOWS)
    put_template(first.repository, "office", WINDOWS, (VersionName("Editor", "2.0"),))
    remove(first, "app", "Editor", "1.0")
    assert actions(second.sync()) == [
        ("create", "app layer Editor 2.0"),
        ("update", "image template office"),
        ("delete", "app layer Editor 1.0"),
    ]
    assert without_times(second.documents()) == without_times(first.documents())
    delete_template(first.repository, "office")
    remove(first, "app", "Editor")
    remove(first, "os", "Windows")
    assert [action for action, _item in actions(second.sync())] == ["delete"] * 3
    assert second.documents() == first.documents()


def test_one_of_two_versions_of_the_same_name_wins(first, second, registry):
    fill(first)
    second.sync()
    digest = add_app_layer(first.repository, "Editor", "2.0", b"mine", os_layer=WINDOWS).digest
    with raises(Conflict, "distribution.upstream_version"):
        add_app_layer(second.repository, "Editor", "2.0", b"yours", os_layer=WINDOWS)
    assert "layers/app/Editor/2.0" not in second.repository.layout.references()
    second.sync()
    assert document_collections.layers(second.repository, "app").require("Editor").versions["2.0"].digest == digest


def test_version_made_by_both_at_once_is_refused_at_the_end(first, second, registry):
    fill(first)
    second.sync()
    made = []

    def make_first(method, repository):
        # The second composer has built its version, and is about to claim the registry.
        if method == "put_manifest" and repository == "windows/catalog" and not made:
            made.append(None)
            add_app_layer(first.repository, "Editor", "2.0", b"mine", os_layer=WINDOWS)

    second.before_request = make_first
    with raises(Conflict, "distribution.other_content"):
        add_app_layer(second.repository, "Editor", "2.0", b"yours", os_layer=WINDOWS)
    assert made
    assert "2.0" not in second.documents()["app_layer"]["Editor"]["versions"]
    assert "layers/app/Editor/2.0" not in second.repository.layout.references()
    second.sync()
    assert without_times(second.documents()) == without_times(first.documents())


def test_new_versions_of_both_composers_need_no_synchronization(first, second):
    fill(first)
    second.sync()
    add_app_layer(first.repository, "Editor", "2.0", b"mine", os_layer=WINDOWS)
    add_app_layer(second.repository, "Editor", "3.0", b"yours", os_layer=WINDOWS)
    first.sync()
    second.sync()
    assert list(first.documents()["app_layer"]["Editor"]["versions"]) == ["1.0", "2.0", "3.0"]
    assert without_times(second.documents()) == without_times(first.documents())


def test_changes_that_would_be_lost_are_refused(first, second):
    fill(first)
    second.sync()
    describe_layer(first.repository, "app", "Editor", "An editor")
    put_template(first.repository, "office", WINDOWS)
    for change in (
        lambda: describe_layer(second.repository, "app", "Editor", "A text editor"),
        lambda: put_template(second.repository, "office", WINDOWS, (EDITOR,), "With an editor", connector="vdi"),
        lambda: delete_template(second.repository, "office"),
    ):
        add_connector(second.repository, "vdi")
        before = second.documents()
        with raises(Conflict, "distribution.upstream_changed"):
            change()
        assert second.documents() == before
    second.sync()
    describe_layer(second.repository, "app", "Editor", "A text editor")
    first.sync()
    assert first.documents()["app_layer"]["Editor"]["description"] == "A text editor"


def test_change_of_a_deleted_layer_is_refused(first, second):
    fill(first)
    second.sync()
    delete_template(first.repository, "office")
    remove(first, "app", "Editor")
    before = second.documents()
    with raises(Conflict, "distribution.upstream_changed"):
        describe_layer(second.repository, "app", "Editor", "A text editor")
    assert second.documents() == before


def test_registry_links_the_blobs_of_a_renamed_layer(first, registry):
    fill(first)
    archive = load_version(first.repository, "layers/app/Editor/1.0").blobs[ROLE_ARCHIVE].digest
    registry.requests.clear()
    rename_app(first.repository, "Editor", "Zoom")
    linked = registry.requests.index(("mount", "windows/app/zoom", archive))
    claimed = next(number for number, request in enumerate(registry.requests) if request[0] == "put_manifest")
    assert linked < claimed


def test_rename_by_a_composer_that_is_behind_changes_nothing(first, second, registry):
    fill(first)
    second.sync()
    describe_layer(first.repository, "app", "Editor", "An editor")
    before, shared = second.documents(), registry.tags()
    for rename in (
        lambda: rename_app(second.repository, "Editor", "Zoom"),
        lambda: rename_template(second.repository, "office", "desk", None),
    ):
        with raises(Conflict, "distribution.upstream_behind"):
            rename()
        assert second.documents() == before
        assert registry.tags() == shared
        assert not document_collections.renames(second.repository).names()
    second.sync()
    rename_app(second.repository, "Editor", "Zoom")
    first.sync()
    assert without_times(first.documents()) == without_times(second.documents())


def test_run_killed_before_it_wrote_its_document_is_found_by_a_synchronization(first, registry, monkeypatch):
    fill(first)
    first.sync()

    def killed(*arguments):
        raise KeyboardInterrupt

    changes = (
        lambda: add_app_layer(first.repository, "Viewer", "1.0", os_layer=WINDOWS),
        lambda: describe_layer(first.repository, "app", "Editor", "An editor"),
        lambda: put_template(first.repository, "office", WINDOWS, (EDITOR,), "changed"),
        lambda: delete_template(first.repository, "office"),
        lambda: remove(first, "app", "Editor"),
    )
    for change in changes:
        with monkeypatch.context() as patched:
            patched.setattr(Catalog, "put", killed)
            patched.setattr(Catalog, "delete", killed)
            with pytest.raises(KeyboardInterrupt):
                change()
        assert first.sync().changes
        assert not first.sync().compared
    documents = first.documents()
    assert documents["app_layer"].keys() == {"Viewer"}
    assert not documents["image_template"]


def test_template_of_this_repository_gives_way_to_that_of_the_registry(first, second):
    fill(first)
    upstream = second.repository.upstream_settings
    second.repository.set_upstream(None)
    alone = Repository.open(second.path)
    add_os_layer(alone, "Windows", "1")
    add_app_layer(alone, "Editor", "1.0", b"other content", os_layer=WINDOWS)
    add_connector(alone)
    put_template(alone, "office", WINDOWS, (EDITOR,), "mine")
    alone.set_upstream(upstream)
    second = Composer(second.path, first.registry)
    assert len(second.sync().conflicts) == 2
    delete_template(second.repository, "office")
    rename_app(second.repository, "Editor", "My editor")
    assert not second.sync().conflicts
    first.sync()
    assert without_times(first.documents()) == without_times(second.documents())


def test_claim_that_ended_while_blobs_were_sent_is_not_used(first, registry, monkeypatch):
    monkeypatch.setattr(claims, "LIFETIME", 0)
    with raises(Conflict, "distribution.claim_lost"):
        add_os_layer(first.repository, "Windows", "1")
    assert not [tag for tag in registry.tags() if tag.startswith("windows/os/")]


def test_version_that_another_composer_uses_is_not_deleted(first, second):
    fill(first)
    second.sync()
    add_connector(second.repository)
    put_template(second.repository, "kiosk", WINDOWS, (EDITOR,))
    delete_template(first.repository, "office")
    with raises(Conflict, "distribution.upstream_behind"):
        remove(first, "app", "Editor")
    first.sync()
    with raises(Conflict, "catalog.in_use"):
        remove(first, "app", "Editor")
    assert first.documents()["app_layer"]["Editor"]["versions"]


def test_template_of_a_deleted_version_is_refused(first, second):
    fill(first)
    second.sync()
    add_connector(second.repository)
    delete_template(first.repository, "office")
    remove(first, "app", "Editor")
    with raises(Conflict, "distribution.base_missing"):
        put_template(second.repository, "kiosk", WINDOWS, (EDITOR,))
    assert "kiosk" not in second.documents()["image_template"]
    second.sync()
    assert without_times(second.documents()) == without_times(first.documents())


def test_version_that_a_local_template_needs_is_kept_with_a_warning(first, second):
    fill(first)
    second.sync()
    second.repository.upstream = None
    second.repository.upstream_settings = None
    add_connector(second.repository)
    put_template(second.repository, "local", WINDOWS, (EDITOR,))
    delete_template(first.repository, "office")
    remove(first, "app", "Editor")
    composer = Composer(second.path, second.registry)
    result = composer.sync()
    assert actions(result) == [("delete", "image template office")]
    assert "1.0" in composer.documents()["app_layer"]["Editor"]["versions"]
    assert len(result.warnings) == 1
    assert len(composer.sync().warnings) == 1


def test_what_exists_only_here_is_kept(first, second, registry):
    second.repository.upstream = second.repository.upstream_settings = None
    add_os_layer(second.repository, "Server", "1", b"server")
    add_os_layer(second.repository, "Windows", "1", b"other")
    fill(first)
    composer = Composer(second.path, registry)
    result = composer.sync()
    assert len(result.conflicts) == 1
    assert set(composer.documents()["os_layer"]) == {"Server", "Windows"}
    assert len(composer.sync().conflicts) == 1


def test_registry_that_lost_everything_deletes_nothing(first, second, registry):
    fill(first)
    second.sync()
    before = second.documents()
    registry.repositories.clear()
    result = second.sync(full=True)
    assert result.problem is not None
    assert (result.problem.code, result.online, result.changes) == ("distribution.upstream_empty", False, [])
    assert second.documents() == before


def test_work_without_the_registry(first, second, registry):
    fill(first)
    second.sync()
    registry.offline = True
    result = second.sync()
    assert (result.online, result.changes) == (False, [])
    assert isinstance(result.problem, Unavailable)
    assert second.repository.layout.manifest("layers/app/Editor/1.0")
    before = second.documents()
    with raises(Unavailable, "oci_registry.connection"):
        add_app_layer(second.repository, "Editor", "2.0", b"newer", os_layer=WINDOWS)
    with raises(Unavailable, "oci_registry.connection"):
        describe_layer(second.repository, "app", "Editor", "An editor")
    assert second.documents() == before
    templates = document_collections.templates(second.repository)
    template = templates.require("office")
    with second.repository.locks.hold(LOCK):
        # Connectors belong to a site: the registry is not needed.
        templates.put("office", dataclasses.replace(template, connector="other"), before=template, comment=None)
    registry.offline = False
    assert not second.sync(full=True).changes
    assert templates.require("office").connector == "other"


def test_connection_sends_no_request_before_it_is_needed(first, second, registry):
    fill(first)
    registry.requests.clear()
    composer = Composer(first.path, registry)
    document_collections.layers(composer.repository, "os").all()
    assert composer.repository.layout.blobs.size(load_version(composer.repository, "layers/os/Windows/1").digest)
    assert registry.requests == []


def test_registry_that_deletes_nothing_keeps_the_version_here(tmp_path):
    registry = SharedRegistry(deletion=False)
    composer = Composer(str(tmp_path / "first"), registry)
    fill(composer)
    before = composer.documents()
    with raises(Unsupported, "oci_registry.delete"):
        delete_template(composer.repository, "office")
    assert composer.documents() == before


def test_names_with_the_same_place_get_different_places(first, second, registry):
    add_os_layer(first.repository, "Windows 11", "1", b"a")
    add_os_layer(first.repository, "Windows-11", "1", b"b")
    second.sync()
    assert set(second.documents()["os_layer"]) == {"Windows 11", "Windows-11"}
    describe_layer(second.repository, "os", "Windows-11", "With a dash")
    first.sync()
    assert first.documents()["os_layer"]["Windows-11"]["description"] == "With a dash"
    assert first.documents()["os_layer"]["Windows 11"]["description"] == ""


def test_survey_begins_again_when_the_registry_changes(first, second, monkeypatch):
    monkeypatch.setattr(survey, "_PAUSE", 0)
    fill(first)
    changed = []

    def change(method, repository):
        if method == "referrers" and len(changed) < 3:
            changed.append(None)
            describe_layer(first.repository, "app", "Editor", f"Text {len(changed)}")

    second.before_request = change
    second.sync()
    assert len(changed) == 3
    assert without_times(second.documents()) == without_times(first.documents())


def test_claim_of_another_composer_is_waited_for(first, second, registry, monkeypatch):
    fill(first)
    monkeypatch.setattr(claims.time, "sleep", lambda seconds: setattr(registry, "time", registry.time + 700))
    backend = first.connection.remote().backend
    claims.Claim(backend, first.connection.remote().naming, "killed", "host", "push").acquire(1)
    describe_layer(first.repository, "app", "Editor", "An editor")


def test_composer_without_a_key_changes_nothing_if_signatures_are_required(first, second, registry):
    fill(first)
    second.sync()
    second.connection._must_sign = True
    registry.requests.clear()
    for change in (
        lambda: add_app_layer(second.repository, "Editor", "2.0", b"newer", os_layer=WINDOWS),
        lambda: describe_layer(second.repository, "app", "Editor", "An editor"),
    ):
        with raises(InvalidInput, "distribution.upstream_key"):
            change()
    assert not registry.requests
    assert not second.sync().changes
