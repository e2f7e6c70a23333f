# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfers between repositories, by a folder as the remote and directly."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.catalog.templates import require_resolved
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, NotFound
from ansible_collections.strata.layering.plugins.module_utils.distribution.items.catalog_entry import CatalogEntry
from ansible_collections.strata.layering.plugins.module_utils.distribution.items.names import ItemName
from ansible_collections.strata.layering.plugins.module_utils.distribution.sides.local import Local
from ansible_collections.strata.layering.plugins.module_utils.distribution.transfers.plan import Rules, make_plan
from ansible_collections.strata.layering.plugins.module_utils.distribution.transfers.selection import (
    LayerChoice,
    Selection,
    TemplateChoice,
)
from ansible_collections.strata.layering.plugins.module_utils.distribution.transfers.transfer import Transfer
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.repository.verification import verify
from ansible_collections.strata.layering.tests.support import small_layers

from .two_sites import (
    EDITOR,
    EVERYTHING,
    WINDOWS,
    actions,
    empty,
    filled,
    folder_remote,
    plan_pull,
    plan_push,
    pull,
    push,
)


@pytest.fixture
def remote(tmp_path):
    """A folder as the remote."""
    return folder_remote(tmp_path / "remote")


@pytest.fixture(params=[False, True], ids=["nested", "flat"])
def any_remote(tmp_path, request):
    """A folder as the remote, in both forms of names."""
    return folder_remote(tmp_path / "remote", flat=request.param)


@pytest.fixture
def home(tmp_path):
    """The repository that has layers."""
    return filled(tmp_path / "home")


@pytest.fixture
def other(tmp_path):
    """The empty repository."""
    return empty(tmp_path / "other")


def documents(repository: Repository) -> dict:
    """Return all documents of layers and templates."""
    return {
        kind: dict(repository.catalog.documents(kind))
        for kind in ("os_layer", "app_layer", "platform_layer", "image_template")
    }


def without_times(found: dict) -> dict:
    """Return the documents of layers without the times of their details."""
    for kind in found:
        for document in found[kind].values():
            for version in document.get("versions", {}).values():
                version.pop("updated", None)
    return found


def test_second_repository_gets_the_same_images(home, other, any_remote):
    push(home, any_remote)
    plan = pull(other, any_remote)
    assert actions(plan) == {
        "OS layer Windows 11 24H2": "copy",
        "app layer Editor 1.0": "copy",
        "image template office": "copy",
    }
    assert without_times(documents(other)) == without_times(documents(home))
    assert require_resolved(other, "office").image_digest == require_resolved(home, "office").image_digest
    assert verify(other) == []


def test_second_push_and_pull_change_nothing(home, other, remote):
    push(home, remote)
    assert set(actions(plan_push(home, remote)).values()) == {"keep"}
    pull(other, remote)
    before = documents(other)
    plan = pull(other, remote)
    assert set(actions(plan).values()) == {"keep"} and not plan.changed
    assert documents(other) == before
    assert set(actions(plan_push(other, remote)).values()) == {"keep"}


def test_planning_changes_nothing(home, other, remote):
    plan_push(home, remote)
    assert remote.names() == []
    push(home, remote)
    plan_pull(other, remote)
    assert documents(other)["os_layer"] == {}


def test_layer_brings_what_it_was_built_on(home, other, remote):
    push(home, remote)
    pull(other, remote, Selection(layers=(LayerChoice("app", "Editor", "latest"),)))
    assert Local(other).names() == [CatalogEntry("os", "Windows 11"), CatalogEntry("app", "Editor")]


def test_template_brings_its_layers_only(home, other, remote):
    small_layers.add_app_layer(home, "Player", "1.0", b"player", os_layer=WINDOWS)
    push(home, remote, Selection(templates=(TemplateChoice("office"),)))
    assert [entry.name for entry in remote.names()] == ["Editor", "Windows 11", "office"]


def test_missing_item_is_named(home, remote):
    with pytest.raises(NotFound) as caught:
        plan_push(home, remote, Selection(layers=(LayerChoice("app", "Editr"),)))
    assert caught.value.code == "distribution.missing"


def test_other_content_is_refused_on_both_sides(home, other, remote):
    push(home, remote)
    small_layers.add_os_layer(other, WINDOWS.name, WINDOWS.version, b"another disk")
    for plan in (plan_push(other, remote), plan_pull(other, remote)):
        with pytest.raises(Conflict) as caught:
            plan.refuse_conflicts()
        assert caught.value.code in ("distribution.other_content", "distribution.other_base")


def test_layer_for_another_os_layer_is_refused(home, other, remote):
    push(home, remote, Selection(layers=(LayerChoice("app", "Editor"),)))
    small_layers.add_os_layer(other, WINDOWS.name, WINDOWS.version, b"another disk")
    plan = plan_pull(other, remote, Selection(layers=(LayerChoice("app", "Editor"),)))
    assert [problem.code for problem in plan.problems] == ["distribution.other_content", "distribution.other_base"]


def test_same_content_keeps_the_version_of_the_target(home, other, remote):
    push(home, remote)
    entry = small_layers.add_os_layer(other, WINDOWS.name, WINDOWS.version, b"disk" * 1000)
    before = document_collections.layers(other, "os").require(WINDOWS.name)
    changed = dataclasses.replace(entry, version_description="")
    document_collections.layers(other, "os").store(WINDOWS.name, before.with_version(WINDOWS.version, changed))
    plan = plan_pull(other, remote, Selection(layers=(LayerChoice("os", WINDOWS.name),)))
    assert actions(plan) == {"OS layer Windows 11 24H2": "keep"}


def test_changed_description_travels(home, other, remote):
    push(home, remote)
    pull(other, remote)
    small_layers.describe_layer(home, "app", "Editor", "Edits texts")
    assert actions(push(home, remote))["app layer Editor 1.0"] == "details"
    assert actions(pull(other, remote))["app layer Editor 1.0"] == "details"
    assert document_collections.layers(other, "app").require("Editor").description == "Edits texts"
    assert not plan_pull(other, remote).changed and not plan_push(home, remote).changed


def test_older_repository_does_not_take_back_a_description(home, other, remote):
    push(home, remote)
    pull(other, remote)
    small_layers.describe_layer(home, "app", "Editor", "Edits texts")
    push(home, remote)
    assert not plan_push(other, remote).changed


def test_new_version_of_a_layer_travels_alone(home, other, any_remote):
    push(home, any_remote)
    pull(other, any_remote)
    small_layers.add_app_layer(home, "Editor", "1.1", b"new", os_layer=WINDOWS)
    assert [step.item.version for step in push(home, any_remote).steps if step.changes] == ["1.1"]
    assert [step.item.version for step in pull(other, any_remote).steps if step.changes] == ["1.1"]


def test_changed_template_travels_and_both_changed_is_refused(home, other, remote):
    push(home, remote)
    pull(other, remote)
    small_layers.put_template(home, "office", WINDOWS, (), "without the editor")
    assert actions(push(home, remote))["image template office"] == "replace"
    assert actions(pull(other, remote))["image template office"] == "replace"
    small_layers.put_template(home, "office", WINDOWS, (EDITOR,), "home")
    push(home, remote)
    small_layers.put_template(other, "office", WINDOWS, (EDITOR,), "other")
    for plan in (plan_push(other, remote), plan_pull(other, remote)):
        assert [problem.code for problem in plan.problems] == ["distribution.both_changed"]
    pull(other, remote, force=True)
    assert document_collections.templates(other).require("office").description == "home"


def test_template_that_changed_here_only_is_kept(home, other, remote):
    push(home, remote)
    pull(other, remote)
    small_layers.put_template(other, "office", WINDOWS, (), "mine")
    plan = plan_pull(other, remote)
    assert not plan.changed and not plan.problems


def test_connector_of_another_site_is_mapped(home, tmp_path, remote):
    push(home, remote)
    site = Repository.open(str(tmp_path / "site"), create=True)
    small_layers.add_connector(site, "production")
    assert [problem.code for problem in plan_pull(site, remote).problems] == ["distribution.connector"]
    plan = plan_pull(site, remote, connectors={"vdi": "production"})
    Transfer(plan, Local(site)).apply()
    assert document_collections.templates(site).require("office").connector == "production"
    assert not plan_pull(site, remote).changed


def test_other_name_of_the_same_path_is_refused(home, other, any_remote):
    push(home, any_remote)
    small_layers.add_os_layer(other, WINDOWS.name, WINDOWS.version, b"disk" * 1000)
    small_layers.add_app_layer(other, "EDITOR", "1.0", b"x", os_layer=WINDOWS)
    plan = plan_push(other, any_remote, Selection(layers=(LayerChoice("app", "EDITOR"),)))
    assert [problem.code for problem in plan.problems] == ["distribution.other_title"]
    push(other, any_remote, Selection(layers=(LayerChoice("app", "EDITOR", None, "tools/editor"),)))
    assert CatalogEntry("app", "EDITOR", "tools/editor") in any_remote.names()


def test_copy_between_two_repositories(home, other):
    plan = make_plan(Local(home), Local(other), EVERYTHING, Rules(pull=False))
    moved = Transfer(plan, Local(home)).apply()
    assert moved[ItemName("os", WINDOWS.name, WINDOWS.version)].moved > 4000
    assert documents(other) == documents(home)
    assert not make_plan(Local(home), Local(other), EVERYTHING, Rules(pull=False)).changed
    assert [record["action"] for record in other.audit.read(kinds=["os_layer"])] == ["pull"]
    assert home.audit.read(kinds=["os_layer"])[-1]["action"] == "push"


def test_odd_names_and_versions_travel(home, other, any_remote):
    odd = VersionName("Überblick & Co.", "2.0+build 1")
    small_layers.add_app_layer(home, odd.name, odd.version, b"odd", os_layer=WINDOWS)
    push(home, any_remote)
    pull(other, any_remote)
    assert list(document_collections.layers(other, "app").require(odd.name).versions) == [odd.version]
