# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening and creating repositories."""

from __future__ import annotations

import os
import threading

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InvalidInput,
    NotFound,
    Unavailable,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.repository import oci_layout
from ansible_collections.strata.layering.plugins.module_utils.repository import repository as repository_module
from ansible_collections.strata.layering.plugins.module_utils.repository.blobs import Descriptor
from ansible_collections.strata.layering.plugins.module_utils.repository.oci_layout import MANIFEST
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.expectations import raises


def test_create_is_idempotent(tmp_path):
    assert Repository.open(str(tmp_path / "a/b"), create=True).created
    assert not Repository.open(str(tmp_path / "a/b"), create=True).created
    assert not Repository.open(str(tmp_path / "a/b")).created


def test_interrupted_creation_is_finished(tmp_path, repository):
    os.unlink(os.path.join(repository.path, "repository.json"))
    os.unlink(os.path.join(repository.path, "oci-layout"))
    with pytest.raises(NotFound):
        Repository.open(repository.path)
    assert Repository.open(repository.path, create=True).created


def test_two_processes_that_create_the_same_repository_keep_each_others_references(tmp_path, monkeypatch):
    path, manifest = str(tmp_path / "shared"), Descriptor(MANIFEST, "sha256:" + "1" * 64, 2)

    def other():
        Repository.open(path, create=True).layout._set_reference("a/b", manifest, None)

    second, exists = threading.Thread(target=other), os.path.exists

    def checked_before_the_other_process_wrote(name):
        found = exists(name)
        if name.endswith("index.json") and not second.ident:
            second.start()
            second.join(0.5)
        return found

    monkeypatch.setattr(oci_layout.os.path, "exists", checked_before_the_other_process_wrote)
    first = Repository.open(path, create=True)
    second.join(30)
    assert list(first.layout.references()) == ["a/b"]


def test_folder_that_is_not_a_repository_is_refused(tmp_path):
    with raises(NotFound, "repository.missing"):
        Repository.open(str(tmp_path / "none"))
    with raises(NotFound, "repository.missing"):
        Repository.open(str(tmp_path))
    (tmp_path / "file").write_text("x")
    with raises(InvalidInput, "repository.not_empty"):
        Repository.open(str(tmp_path), create=True)
    with raises(InvalidInput, "repository.path"):
        Repository.open(str(tmp_path / "file"), create=True)
    assert os.listdir(tmp_path) == ["file"]


def test_new_file_system_may_contain_its_own_folders(tmp_path):
    (tmp_path / "lost+found").mkdir()
    assert Repository.open(str(tmp_path), create=True).created


@pytest.mark.parametrize(
    "content, error",
    [
        (b'{"format": "strata.layering.repository", "schema_version": 99}', Unsupported),
        (b"", Corrupt),
        (b"[]", Corrupt),
        (b'{"format": "x", "schema_version": 1}', Corrupt),
        (b'{"format": "strata.layering.repository", "schema_version": "1"}', Corrupt),
    ],
)
def test_marker_that_cannot_be_read_is_refused(repository, content, error):
    with open(os.path.join(repository.path, "repository.json"), "wb") as stream:
        stream.write(content)
    with pytest.raises(error):
        Repository.open(repository.path)


def test_read_only_repository_can_only_be_read(repository, monkeypatch):
    monkeypatch.setattr(repository_module.os, "access", lambda path, mode: False)
    with raises(Unavailable, "repository.read_only"):
        Repository.open(repository.path, writable=True)
    Repository.open(repository.path)
