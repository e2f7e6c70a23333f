# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A catalog with documents that are not stored."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InternalError, InvalidInput, NotFound
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.expectations import raises


@pytest.fixture
def repository(tmp_path):
    opened = Repository.open(str(tmp_path / "repository"), create=True)
    for name in ("a", "C"):
        opened.catalog.put("kind", name, {"name": name})
    return opened


def test_changes_hide_documents_and_are_not_stored(repository):
    catalog = repository.overlaid({("kind", "a"): None, ("kind", "B"): {"name": "new"}, ("other", "x"): {}}).catalog
    assert catalog.names("kind") == ["B", "C"]
    assert catalog.get("kind", "a") is None
    assert catalog.require("kind", "B") == {"name": "new"}
    assert catalog.get("kind", "C") == {"name": "C"}
    with raises(NotFound, "repository.catalog_missing"):
        catalog.require("kind", "a")
    assert repository.catalog.names("kind") == ["a", "C"]


def test_overlaid_catalog_refuses_changes(repository):
    catalog = repository.overlaid({}).catalog
    for change in (lambda: catalog.put("kind", "a", {}), lambda: catalog.delete("kind", "a")):
        with raises(InternalError, "repository.catalog_overlaid"):
            change()


def test_planned_repository_is_empty_and_is_not_created(tmp_path):
    planned = Repository.planned(str(tmp_path / "new"))
    assert (planned.catalog.names("kind"), planned.catalog.get("kind", "a")) == ([], None)
    assert not (tmp_path / "new").exists()


def test_repository_cannot_be_planned_in_a_folder_with_other_files(tmp_path):
    (tmp_path / "file.txt").write_text("text")
    with raises(InvalidInput, "repository.not_empty"):
        Repository.planned(str(tmp_path))
