# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module layer_cleanup: versions that no rule keeps and that nothing uses are deleted."""

from __future__ import annotations

import dataclasses
import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.catalog.packaging_record import BaseImage, PackagingRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.catalogs import (
    CREATED,
    image_of,
    reference,
    store_connector,
    store_images,
    store_layer,
    store_template,
)
from ansible_collections.strata.layering.tests.support.module_options import add_app
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run, state_of

OLD = "2020-01-01T00:00:00Z"
WINDOWS, NEXT = VersionName("Windows", "1"), VersionName("Windows", "2")


@pytest.fixture
def repository(tmp_path):
    repository = Repository.open(os.fspath(tmp_path / "repository"), create=True)
    store_connector(repository)
    for version in ("1", "2", "3"):
        store_layer(repository, "os", "Windows", version, created=OLD)
    for version in ("1", "2", "3", "4"):
        store_layer(repository, "app", "Tool", version, os_layer=WINDOWS, created=OLD)
    store_layer(repository, "app", "Reader", "1", os_layer=NEXT, prerequisites=(VersionName("Tool", "2"),), created=OLD)
    return repository


def clean(repository, **options):
    return converges(
        "layer_cleanup",
        lambda: state_of(repository.path),
        **{"repository": repository.path, "keep_newest": 1, **options},
    )


def versions(items):
    return {(item["name"], item["version"]) for item in items}


def reasons(result, name, version):
    (found,) = [item for item in result["kept"] if (item["name"], item["version"]) == (name, version)]
    return [reason["reason"] for reason in found["reasons"]]


def test_versions_that_nothing_needs_are_deleted(repository):
    result = clean(repository)
    assert versions(result["removed"]) == {("Tool", "1"), ("Tool", "3")}
    assert reasons(result, "Tool", "2") == ["needed"]
    assert reasons(result, "Windows", "1") == ["needed"]
    assert [record["action"] for record in repository.audit.read()] == ["delete", "delete"]
    assert "layers/app/Tool/1" not in repository.layout.references()


def test_versions_that_templates_images_and_packaging_machines_use_stay(repository):
    store_template(repository, "office", WINDOWS, VersionName("Tool", "1"))
    store_images(repository, "office")
    store_template(repository, "office", WINDOWS)
    machine = PackagingRecord(
        kind="app",
        layer="Editor",
        version="1",
        os_layer=reference(repository, "os", WINDOWS),
        prerequisites=(reference(repository, "app", VersionName("Tool", "3")),),
        start_from=None,
        connector="site",
        base=BaseImage("sha256:" + "c" * 64, None),
        created=CREATED,
    )
    document_collections.packaging_records(repository).store("app/Editor/1", machine)
    result = run("layer_cleanup", repository=repository.path, keep_newest=1)
    assert result["changed"] is False
    assert reasons(result, "Tool", "1") == reasons(result, "Tool", "3") == ["in_use"]
    (tool,) = [item for item in result["kept"] if (item["name"], item["version"]) == ("Tool", "1")]
    assert tool["reasons"][0]["objects"] == [{"kind": "image", "name": "office-vm"}]


def test_patterns_select_layers(repository):
    for options in ({"kinds": ["os"]}, {"names": ["Read*"]}, {"exclude": ["Tool"]}, {"names": ["tool"]}):
        assert run("layer_cleanup", repository=repository.path, keep_newest=1, **options)["changed"] is False
    assert versions(clean(repository, names=["T*"], kinds=["app"])["removed"]) == {("Tool", "1"), ("Tool", "3")}


def test_last_use_is_known_from_the_audit_history(repository):
    layers = {"os/Windows": "1", "app/Tool": "1"}
    repository.audit.append(
        "publish", "image_template", "office", details={"image_digest": "sha256:1", "layers": layers}
    )
    change = {"before": [{"name": "Tool", "version": "3"}], "after": []}
    repository.audit.append("update", "image_template", "office", details={"app_layers": change})
    result = run("layer_cleanup", repository=repository.path, unused_for_days=30, check=True)
    assert reasons(result, "Tool", "1") == reasons(result, "Tool", "3") == ["recent"]
    result = run("layer_cleanup", repository=repository.path, never_used=True, check=True)
    assert reasons(result, "Tool", "1") == ["was_used"]
    assert ("Tool", "3") in versions(result["removed"])


def test_use_of_a_layer_is_known_after_it_was_renamed(repository):
    repository.audit.append(
        "publish", "image_template", "x", details={"image_digest": "d", "layers": {"app/Tool": "1"}}
    )
    run("layer_metadata", repository=repository.path, kind="app", name="Zoom", rename_from={"name": "Tool"})
    result = run("layer_cleanup", repository=repository.path, never_used=True, check=True)
    assert reasons(result, "Zoom", "1") == ["was_used"]


def test_image_that_horizon_used_counts_until_it_was_replaced(repository):
    store_template(repository, "office", WINDOWS, VersionName("Tool", "1"))
    image = dataclasses.replace(image_of(repository, "office"), published=OLD)
    store_images(repository, "office", image)
    result = run("layer_cleanup", repository=repository.path, keep_newest=1, check=True)
    (tool,) = [item for item in result["kept"] if (item["name"], item["version"]) == ("Tool", "1")]
    assert {user["kind"] for user in tool["reasons"][0]["objects"]} == {"image_template", "image"}


def test_collecting_frees_the_bytes_that_were_announced(workspace):
    add_app(workspace)
    content = workspace.path.parent / "second"
    (content / "Program Files" / "Tool").mkdir(parents=True)
    (content / "Program Files" / "Tool" / "tool.exe").write_bytes(os.urandom(50_000))
    options = {"os_layer": {"name": "Windows 11"}, "files": os.fspath(content)}
    run("app_layer", **workspace.options, name="Tool", version="0.1", **options)
    result = run("layer_cleanup", **workspace.options, keep_newest=1, kinds=["app"])
    assert versions(result["removed"]) == {("Tool", "0.1")}
    assert result["reclaimable"] > 50_000
    for blob in (workspace.path / "blobs/sha256").iterdir():
        os.utime(blob, (1, 1))
    assert run("repository", **workspace.options, state="collected")["freed"] == result["reclaimable"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"keep_newest": 0}, "operations.cleanup_rule"),
        ({"unused_for_days": -1}, "operations.cleanup_rule"),
        ({"never_used": False}, "operations.cleanup_no_rule"),
    ],
)
def test_rules_that_would_delete_everything_are_refused(repository, options, code):
    fails("layer_cleanup", code, repository=repository.path, **options)


def test_module_without_rules_is_refused(repository):
    assert attempt("layer_cleanup", repository=repository.path)["failed"]
