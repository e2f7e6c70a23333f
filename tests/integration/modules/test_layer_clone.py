# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module layer_clone: layer versions that share their data with another version."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import layer_store, noise_profiles
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.catalogs import (
    reference,
    store_connector,
    store_layer,
    store_template,
)
from ansible_collections.strata.layering.tests.support.module_options import add_app
from ansible_collections.strata.layering.tests.support.modules import converges, fails, run, state_of

COPY = {"kind": "app", "name": "Copy", "version": "7", "clone_from": {"name": "Tool", "version": "2"}}


@pytest.fixture
def repository(tmp_path):
    repository = Repository.open(os.fspath(tmp_path / "repository"), create=True)
    store_connector(repository)
    windows = store_layer(repository, "os", "Windows", "1")
    base = store_layer(repository, "app", "Base", "1", os_layer=windows)
    store_layer(repository, "app", "Tool", "1", os_layer=windows)
    store_layer(repository, "app", "Tool", "2", os_layer=windows, prerequisites=(base,), version_description="Two")
    return repository


def clone(repository, **options):
    return converges(
        "layer_clone", lambda: state_of(repository.path), **{"repository": repository.path, **COPY, **options}
    )["layer"]


def test_clone_keeps_what_its_source_was_built_on_and_has_its_own_digest(repository):
    cloned = clone(repository)
    source = run("layer_info", repository=repository.path, name="Tool")["layers"][0]["versions"][1]
    assert cloned["digest"] != source["digest"]
    assert cloned["cloned_from"]["digest"] == source["digest"]
    assert (cloned["os_layer"], cloned["prerequisites"]) == (source["os_layer"], source["prerequisites"])
    assert cloned["version_description"] == "Two"
    stored = layer_store.load_version(repository, cloned["digest"])
    assert (stored.name, stored.version, stored.version_description) == ("Copy", "7", "Two")


def test_clone_shares_the_data_of_its_source(workspace):
    add_app(workspace)
    before = set(os.listdir(workspace.path / "blobs/sha256"))
    run("layer_clone", **workspace.options, **COPY | {"clone_from": {"name": "Tool"}})
    added = set(os.listdir(workspace.path / "blobs/sha256")) - before
    assert len(added) == 2
    assert sum(os.path.getsize(workspace.path / "blobs/sha256" / name) for name in added) < 4096
    run("app_layer", **workspace.options, name="Tool", state="absent")
    assert run("repository", **workspace.options, state="verified")["damaged"] == []
    again = run("layer_clone", **workspace.options, **COPY | {"clone_from": {"name": "Tool"}})
    assert again["changed"] is False


def test_clone_of_the_newest_version_remains_when_a_newer_version_exists(repository):
    options = {"clone_from": {"name": "Tool"}}
    clone(repository, **options)
    store_layer(repository, "app", "Tool", "3", os_layer=VersionName("Windows", "1"))
    assert run("layer_clone", repository=repository.path, **COPY | options)["changed"] is False


def test_clone_into_an_existing_layer_keeps_what_describes_the_layer(repository):
    run("layer_metadata", repository=repository.path, kind="app", name="Base", description="Base", priority=1)
    cloned = clone(repository, name="Base")
    assert (cloned["description"], cloned["priority"]) == ("Base", 1)


def test_clone_gets_the_description_and_priority_of_the_options(repository):
    cloned = clone(repository, description="Mine", version_description="First", priority=3)
    assert (cloned["description"], cloned["version_description"], cloned["priority"]) == ("Mine", "First", 3)
    assert layer_store.load_version(repository, cloned["digest"]).description == "Mine"


def test_image_uses_a_clone_with_its_prerequisite(repository):
    clone(repository)
    base, copy = VersionName("Base", "1"), VersionName("Copy", "7")
    store_template(repository, "office", VersionName("Windows", "1"), base, copy)
    template = run("image_template_info", repository=repository.path)["templates"][0]
    assert template["problem"] is None


def test_clone_of_an_os_layer_has_its_noise_profile(repository):
    windows = reference(repository, "os", VersionName("Windows", "1"))
    noise_profiles.store(repository, windows, b"profile", source={}, changes={}, comment=None)
    cloned = clone(repository, kind="os", clone_from={"name": "Windows"})
    profiles = noise_profiles.records_by_digest(repository)
    assert profiles[cloned["digest"]].digest == profiles[windows.digest].digest


def test_version_with_other_content_is_refused(workspace):
    add_app(workspace)
    content = workspace.path.parent / "other"
    (content / "Program Files" / "Other").mkdir(parents=True)
    (content / "Program Files" / "Other" / "other.exe").write_bytes(b"other")
    options = {"os_layer": {"name": "Windows 11"}, "files": os.fspath(content)}
    run("app_layer", **workspace.options, name="Copy", version="7", **options)
    fails(
        "layer_clone", "operations.clone_other_source", **workspace.options, **COPY | {"clone_from": {"name": "Tool"}}
    )


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"clone_from": {"name": "None"}}, "catalog.layer_missing"),
        ({"clone_from": {"name": "Tool", "version": "9"}}, "catalog.layer_version_missing"),
        ({"name": "Tool", "version": "2"}, "operations.clone_itself"),
        ({"name": "TOOL"}, "catalog.other_spelling"),
        ({"name": "a/b"}, "layers.name"),
        ({"version": "latest"}, "layers.version"),
        ({"kind": "os", "clone_from": {"name": "Windows"}, "priority": 5}, "operations.clone_priority"),
        ({"priority": -1}, "catalog.layer_priority"),
    ],
)
def test_options_that_cannot_be_followed_are_refused(repository, options, code):
    before = state_of(repository.path)
    fails("layer_clone", code, **{"repository": repository.path, **COPY, **options})
    assert state_of(repository.path) == before
