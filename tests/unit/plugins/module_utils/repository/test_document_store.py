# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of the catalogue."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InvalidInput,
    NotFound,
    Unsupported,
)


def file_of(repository, kind="layer"):
    folder = os.path.join(repository.path, "catalog", kind)
    return os.path.join(folder, os.listdir(folder)[0])


def test_round_trip_and_change(repository):
    catalog = repository.catalog
    assert catalog.get("layer", "Office 365") is None
    assert catalog.put("layer", "Office 365", {"b": 1, "a": ["\u00fc", None]})
    assert not catalog.put("layer", "Office 365", {"a": ["\u00fc", None], "b": 1})
    assert catalog.put("layer", "Office 365", {"b": 2})
    assert catalog.get("layer", "Office 365") == catalog.require("layer", "Office 365") == {"b": 2}
    with open(file_of(repository), "rb") as stream:
        assert json.load(stream) == {"schema_version": 1, "kind": "layer", "name": "Office 365", "document": {"b": 2}}
    assert catalog.delete("layer", "Office 365") and not catalog.delete("layer", "Office 365")


def test_names_that_differ_in_case_are_two(repository):
    repository.catalog.put("layer", "App", {"n": 1})
    repository.catalog.put("layer", "app", {"n": 2})
    assert repository.catalog.get("layer", "App") == {"n": 1}
    assert len({name.lower() for name in os.listdir(os.path.join(repository.path, "catalog", "layer"))}) == 2


def test_lists_are_sorted(repository):
    for name in ("b", "A", "c", "a"):
        repository.catalog.put("layer", name, {"name": name})
    repository.catalog.put("task", "x", {})
    with open(os.path.join(repository.path, "catalog", "layer", ".strata-tmp-1"), "wb"):
        pass
    assert repository.catalog.names("layer") == ["A", "a", "b", "c"]
    assert repository.catalog.kinds() == ["layer", "task"]
    assert repository.catalog.documents("nothing") == []


def test_missing_says_what_there_is(repository):
    repository.catalog.put("image_template", "Desktop", {})
    with pytest.raises(NotFound) as caught:
        repository.catalog.require("image_template", "Destkop")
    assert "no image template named 'Destkop'" in str(caught.value) and "Desktop" in caught.value.hint


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
def test_damaged(repository, content):
    repository.catalog.put("layer", "x", {})
    with open(file_of(repository), "wb") as stream:
        stream.write(content)
    with pytest.raises(Corrupt, match="is damaged"):
        repository.catalog.get("layer", "x")


def test_newer_schema(repository):
    repository.catalog.put("layer", "x", {})
    with open(file_of(repository), "wb") as stream:
        stream.write(b'{"schema_version": 2}')
    with pytest.raises(Unsupported, match="newer version"):
        repository.catalog.documents("layer")


@pytest.mark.parametrize("kind", ["", "..", "a/b", "Layer", "x" * 40])
def test_kinds_are_checked(repository, kind):
    with pytest.raises(InvalidInput):
        repository.catalog.put(kind, "x", {})


@pytest.mark.parametrize("document", [{"x": object()}, {"x": float("nan")}, {"x": "y" * (5 << 20)}])
def test_what_is_no_json_is_refused(repository, document):
    with pytest.raises(InvalidInput):
        repository.catalog.put("layer", "x", document)
