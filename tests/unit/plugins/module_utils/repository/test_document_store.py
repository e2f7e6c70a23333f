# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The document store: reading, writing, listing, and damaged files."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InternalError,
    InvalidInput,
    NotFound,
    Unsupported,
)
from ansible_collections.strata.layering.tests.support.expectations import raises


def file_of(repository, kind="layer"):
    folder = os.path.join(repository.path, "catalog", kind)
    return os.path.join(folder, os.listdir(folder)[0])


def test_put_document_can_be_read_and_changed(repository):
    catalog = repository.catalog
    assert catalog.get("layer", "Office 365") is None
    assert catalog.put("layer", "Office 365", {"b": 1, "a": ["\u00fc", None]})
    assert not catalog.put("layer", "Office 365", {"a": ["\u00fc", None], "b": 1})
    assert catalog.put("layer", "Office 365", {"b": 2})
    assert catalog.get("layer", "Office 365") == catalog.require("layer", "Office 365") == {"b": 2}
    with open(file_of(repository), "rb") as stream:
        assert json.load(stream) == {"schema_version": 1, "kind": "layer", "name": "Office 365", "document": {"b": 2}}
    assert catalog.delete("layer", "Office 365")
    assert not catalog.delete("layer", "Office 365")


def test_names_that_differ_in_case_are_different_documents(repository):
    repository.catalog.put("layer", "App", {"n": 1})
    repository.catalog.put("layer", "app", {"n": 2})
    assert repository.catalog.get("layer", "App") == {"n": 1}
    assert len({name.lower() for name in os.listdir(os.path.join(repository.path, "catalog", "layer"))}) == 2


def test_lists_are_sorted_without_regard_to_case(repository):
    for name in ("b", "A", "c", "a"):
        repository.catalog.put("layer", name, {"name": name})
    repository.catalog.put("task", "x", {})
    with open(os.path.join(repository.path, "catalog", "layer", ".strata-tmp-1"), "wb"):
        pass
    assert repository.catalog.names("layer") == ["A", "a", "b", "c"]
    assert repository.catalog.kinds() == ["layer", "task"]
    assert repository.catalog.documents("nothing") == []


def test_require_missing_document_lists_existing_names(repository):
    repository.catalog.put("image_template", "Desktop", {})
    with raises(NotFound, "repository.catalog_missing") as caught:
        repository.catalog.require("image_template", "Destkop")
    assert caught.value.details == {"kind": "image_template", "name": "Destkop"}
    assert "Desktop" in caught.value.hint


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"schema_version": 1}',
        b'{"schema_version": 1, "kind": "layer", "name": "other", "document": {}}',
        b"[" * 100000,
        b'{"schema_version": true, "kind": "layer", "name": "x", "document": {}}',
    ],
)
def test_damaged_file_raises_corrupt(repository, content):
    repository.catalog.put("layer", "x", {})
    with open(file_of(repository), "wb") as stream:
        stream.write(content)
    with raises(Corrupt, "repository.catalog_corrupt"):
        repository.catalog.get("layer", "x")


def test_document_of_a_newer_version_raises_unsupported(repository):
    repository.catalog.put("layer", "x", {})
    with open(file_of(repository), "wb") as stream:
        stream.write(b'{"schema_version": 2}')
    with raises(Unsupported, "repository.catalog_schema"):
        repository.catalog.documents("layer")


@pytest.mark.parametrize("kind", ["", "..", "a/b", "Layer", "x" * 40])
def test_malformed_kind_is_an_internal_error(repository, kind):
    with raises(InternalError, "repository.catalog_kind"):
        repository.catalog.put(kind, "x", {})


@pytest.mark.parametrize("document", [{"x": object()}, {"x": float("nan")}])
def test_document_that_is_not_json_is_an_internal_error(repository, document):
    with raises(InternalError, "repository.catalog_json"):
        repository.catalog.put("layer", "x", document)


@pytest.mark.parametrize("document", [{"x": "\ud800"}, {"a \udfff": 1}])
def test_text_that_is_not_unicode_is_refused(repository, document):
    with raises(InvalidInput, "repository.catalog_text"):
        repository.catalog.put("layer", "x", document)


def test_document_that_is_too_large_is_refused(repository):
    with raises(InvalidInput, "repository.catalog_document"):
        repository.catalog.put("layer", "x", {"x": "y" * (5 << 20)})
