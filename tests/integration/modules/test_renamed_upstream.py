# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renames and clones of one composer reach the other composers of a registry of record."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.operations.options import RepositoryOptions
from ansible_collections.strata.layering.tests.support.catalogs import (
    digests,
    documents,
    store_connector,
    store_layer,
    store_template,
)
from ansible_collections.strata.layering.tests.support.modules import run


def sync(path):
    run("repository", repository=path, state="synced")


@pytest.fixture
def composers(tmp_path):
    """Return the repositories of two composers that share a folder, with the same layers and templates."""
    upstream = {"file_share": os.fspath(tmp_path / "shared"), "signatures": "optional"}
    (tmp_path / "shared").mkdir()
    paths = [os.fspath(tmp_path / name) for name in ("first", "second")]
    for path in paths:
        run("repository", repository=path, upstream=upstream)
    first, second = (RepositoryOptions(path).open(check_mode=False) for path in paths)
    store_connector(first)
    store_connector(second)
    windows = store_layer(first, "os", "Windows", "1")
    tool = store_layer(first, "app", "Tool", "1", os_layer=windows)
    reader = store_layer(first, "app", "Reader", "1", os_layer=windows, prerequisites=(tool,))
    store_template(first, "office", windows, tool, reader)
    sync(second.path)
    assert digests(first) == digests(second)
    return first, second


def shared(repository):
    kinds = ("app_layer/", "os_layer/", "image_template/")
    return sorted(name for name in documents(repository) if name.startswith(kinds))


def test_renamed_layer_reaches_the_other_composer(composers):
    first, second = composers
    before = digests(first)
    run("layer_metadata", repository=first.path, kind="app", name="Zoom", rename_from={"name": "Tool"})
    sync(second.path)
    assert shared(first) == shared(second)
    assert "app_layer/Zoom" in shared(second)
    assert digests(first) == digests(second) == before


def test_renamed_version_reaches_the_other_composer(composers):
    first, second = composers
    before = digests(first)
    options = {"kind": "os", "name": "Windows", "version": "23H2", "rename_from": {"version": "1"}}
    run("layer_metadata", repository=first.path, **options)
    sync(second.path)
    assert documents(second)["os_layer/Windows"]["versions"].keys() == {"23H2"}
    assert digests(first) == digests(second) == before


def test_renamed_template_reaches_the_other_composer(composers):
    first, second = composers
    options = {"name": "desk", "rename_from": "office", "connector": "site"}
    run("image_template", repository=first.path, os_layer={"name": "Windows", "version": "1"}, **options)
    sync(second.path)
    assert shared(first) == shared(second)
    assert digests(first) == digests(second)


def test_clone_reaches_the_other_composer(composers):
    first, second = composers
    options = {"kind": "app", "name": "Copy", "version": "1", "clone_from": {"name": "Tool"}}
    run("layer_clone", repository=first.path, **options)
    sync(second.path)
    assert (
        documents(first)["app_layer/Copy"]["versions"]["1"]["digest"]
        == (documents(second)["app_layer/Copy"]["versions"]["1"]["digest"])
    )


def test_deleted_version_disappears_at_the_other_composer(composers):
    first, second = composers
    for version in ("2", "3"):
        run("layer_clone", repository=first.path, kind="app", name="Tool", version=version, clone_from={"name": "Tool"})
    sync(second.path)
    run("layer_cleanup", repository=first.path, keep_newest=1)
    sync(second.path)
    assert documents(second)["app_layer/Tool"]["versions"].keys() == {"1", "3"}
