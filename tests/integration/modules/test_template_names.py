# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renaming and cloning image templates."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.catalogs import (
    digests,
    documents,
    store_connector,
    store_images,
    store_layer,
    store_task,
    store_template,
)
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run, state_of

CONTENT = {"os_layer": {"name": "Windows", "version": "1"}, "connector": "site"}
CONTENT_WITH_TOOL = CONTENT | {"app_layers": [{"name": "Tool", "version": "1"}]}


@pytest.fixture
def repository(tmp_path):
    repository = Repository.open(os.fspath(tmp_path / "repository"), create=True)
    store_connector(repository)
    windows = store_layer(repository, "os", "Windows", "1")
    tool = store_layer(repository, "app", "Tool", "1", os_layer=windows)
    store_template(repository, "office", windows, tool, outdated_files="newest_system")
    store_images(repository, "office")
    store_task(repository, "task-1", "office")
    return repository


def convert(repository, **options):
    return converges("image_template", lambda: state_of(repository.path), **{"repository": repository.path, **options})[
        "template"
    ]


def test_template_is_renamed_and_its_images_stay(repository):
    before = digests(repository)["office"]
    renamed = convert(repository, name="desk", rename_from="office", **CONTENT_WITH_TOOL)
    assert (renamed["content_digest"], renamed["image_digest"]) == before
    assert (renamed["vm_name"], renamed["former_names"]) == ("office", ["office"])
    found = documents(repository)
    assert [path for path in found if path.startswith(("image_template/", "image/"))] == [
        "image/desk",
        "image_template/desk",
    ]
    assert found["task/task-1"]["template"] == "desk"


def test_images_of_a_renamed_template_are_listed_by_its_new_name(repository):
    run("image_template", repository=repository.path, name="desk", rename_from="office", **CONTENT_WITH_TOOL)
    (image,) = run("layered_image_info", repository=repository.path, template="desk")["images"]
    assert (image["template"], image["former_templates"]) == ("desk", ["office"])
    assert run("task_info", repository=repository.path, template="desk")["tasks"][0]["id"] == "task-1"


def test_rename_changes_the_content_in_the_same_run(repository):
    renamed = convert(repository, name="desk", rename_from="office", **CONTENT)
    assert renamed["app_layers"] == []
    actions = [record["action"] for record in run("audit_info", repository=repository.path)["records"]]
    assert actions == ["update", "rename"]


def test_template_that_exists_under_its_new_name_only_is_not_renamed(repository):
    created = convert(repository, name="desk", rename_from="other", **CONTENT)
    assert "former_names" not in created


def test_template_that_is_renamed_back_has_no_trace(repository):
    before = documents(repository)
    for name, former in (("desk", "office"), ("office", "desk")):
        run("image_template", repository=repository.path, name=name, rename_from=former, **CONTENT_WITH_TOOL)
    after = documents(repository)
    former = after["image_template/office"].pop("former_names")
    assert former == ["desk"]
    for path in ("image_template/office", "image/office", "task/task-1"):
        assert _without_former(after[path]) == before[path]


def _without_former(document):
    document = {key: value for key, value in document.items() if key != "former_templates"}
    for image in document.get("images", ()):
        image.pop("former_templates", None)
    return document


def test_new_template_with_a_former_name_must_not_share_vm_names(repository):
    run("image_template", repository=repository.path, name="desk", rename_from="office", **CONTENT_WITH_TOOL)
    options = {"repository": repository.path, "name": "office", **CONTENT_WITH_TOOL}
    fails("image_template", "operations.template_former_name", **options)
    assert run("image_template", **options, vm_name="office2")["changed"] is True


def test_template_with_an_open_task_is_not_renamed(repository):
    store_task(repository, "task-2", "office", status="ActionRequired")
    options = {"repository": repository.path, "name": "desk", "rename_from": "office", **CONTENT}
    assert fails("image_template", "catalog.rename_open_task", **options)["details"]["tasks"] == ["task-2"]


def test_name_of_another_template_is_refused(repository):
    run("image_template", repository=repository.path, name="desk", **CONTENT)
    options = {"repository": repository.path, "rename_from": "office", **CONTENT}
    fails("image_template", "operations.template_both_exist", name="desk", **options)
    fails("image_template", "catalog.other_spelling", name="DESK", **options)


def test_name_of_images_of_a_deleted_template_is_refused(repository):
    run("image_template", repository=repository.path, name="desk", **CONTENT)
    run("image_template", repository=repository.path, name="office", state="absent")
    options = {"repository": repository.path, "name": "office", "rename_from": "desk", **CONTENT}
    fails("image_template", "catalog.name_taken", **options)


def test_clone_copies_what_is_not_set(repository):
    cloned = convert(repository, name="copy", clone_from="office", description="Mine")
    assert (cloned["vm_name"], cloned["description"], cloned["outdated_files"]) == ("copy", "Mine", "newest_system")
    assert [layer["name"] for layer in cloned["app_layers"]] == ["Tool"]
    assert digests(repository)["copy"][0] == digests(repository)["office"][0]


def test_clone_keeps_its_values_when_its_source_changes_or_disappears(repository):
    convert(repository, name="copy", clone_from="office", app_layers=[])
    run("image_template", repository=repository.path, name="office", state="absent")
    again = run("image_template", repository=repository.path, name="copy", clone_from="office")
    assert again["changed"] is False
    assert again["template"]["app_layers"] == []


def test_clone_of_a_missing_template_is_refused(repository):
    fails("image_template", "repository.catalog_missing", repository=repository.path, name="copy", clone_from="none")


def test_template_without_layers_or_source_is_refused(repository):
    assert attempt("image_template", repository=repository.path, name="copy")["failed"]
