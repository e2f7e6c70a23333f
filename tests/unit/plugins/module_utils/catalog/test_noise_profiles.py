# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Noise profiles in the repository: they belong to an OS layer version without being part of it."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import layer_store, noise_profiles
from ansible_collections.strata.layering.plugins.module_utils.catalog.document_collections import check_document
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_document import LayerDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_removal import remove_versions
from ansible_collections.strata.layering.plugins.module_utils.catalog.layers import find_layer, store_layer
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, NotFound
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import (
    OS,
    ROLE_DISK,
    ROLE_GRAINS,
    Blob,
    LayerVersion,
)
from ansible_collections.strata.layering.plugins.module_utils.operations.info import InfoOptions, layer_info
from ansible_collections.strata.layering.plugins.module_utils.operations.options import RepositoryOptions
from ansible_collections.strata.layering.plugins.module_utils.repository.garbage_collection import collect
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.repository.verification import verify
from ansible_collections.strata.layering.tests.support.layer_documents import os_entry

OLD = -60.0  # a grace period that keeps nothing


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Repository.open(str(tmp_path / "repository"), create=True)


def add_version(repository, version="1", content=b"disk"):
    """Store a version of the OS layer Windows; return the reference to it."""
    disk = repository.layout.put_blob(content, "a/disk")
    blobs = {role: Blob("a/disk", disk.digest, disk.size) for role in (ROLE_DISK, ROLE_GRAINS)}
    stored = layer_store.put_version(repository, LayerVersion(OS, "Windows", version, size_gb=60, blobs=blobs))
    before = find_layer(repository, OS, "Windows")
    layer = (before or LayerDocument.new(OS, "Windows")).with_version(version, os_entry(digest=stored.digest))
    store_layer(repository, before, layer, version, None)
    return stored.reference()


def store(repository, os_layer, content=b"profile", comment=None):
    return noise_profiles.store(
        repository, os_layer, content, source={"packaged_disk": "x"}, changes={"paths": 2}, comment=comment
    )


def test_profile_of_a_version_is_found_and_loaded(repository):
    os_layer, other = add_version(repository), add_version(repository, "2", b"newer")
    assert not noise_profiles.has_noise_profile(repository, "Windows", "1")
    store(repository, os_layer)
    assert noise_profiles.has_noise_profile(repository, "Windows", "1")
    assert not noise_profiles.has_noise_profile(repository, "Windows", "2")
    assert not noise_profiles.has_noise_profile(repository, "Windows", "3")
    assert not noise_profiles.has_noise_profile(repository, "Other", "1")
    record = noise_profiles.find_record(repository, os_layer)
    assert noise_profiles.load(repository, record) == b"profile"
    assert noise_profiles.find_record(repository, other) is None


def test_profile_changes_neither_document_nor_digest_of_the_version(repository):
    os_layer = add_version(repository)
    before = repository.catalog.get("os_layer", "Windows")
    store(repository, os_layer)
    assert repository.catalog.get("os_layer", "Windows") == before


def test_profile_is_kept_by_garbage_collection_and_verified(repository):
    os_layer = add_version(repository)
    record = store(repository, os_layer)
    collect(repository, grace=OLD, check=check_document)
    assert noise_profiles.load(repository, record) == b"profile"
    assert verify(repository, check=check_document) == []


def test_replaced_profile_is_collected(repository):
    os_layer = add_version(repository)
    first = store(repository, os_layer)
    second = store(repository, os_layer, b"second")
    collect(repository, grace=OLD, check=check_document)
    assert not repository.layout.has(first.digest)
    assert noise_profiles.load(repository, second) == b"second"
    with pytest.raises(NotFound) as caught:
        noise_profiles.load(repository, first)
    assert caught.value.code == "repository.blob_missing"


@pytest.mark.parametrize("version", ["1", None])
def test_removing_the_version_removes_its_profile(repository, version):
    os_layer = add_version(repository)
    record = store(repository, os_layer)
    remove_versions(repository, OS, "Windows", version, comment=None, check_mode=True)
    assert noise_profiles.has_noise_profile(repository, "Windows", "1")
    remove_versions(repository, OS, "Windows", version, comment=None, check_mode=False)
    assert not noise_profiles.has_noise_profile(repository, "Windows", "1")
    assert repository.catalog.names("noise_profile") == []
    collect(repository, grace=OLD, check=check_document)
    assert not repository.layout.has(record.digest)
    assert not repository.layout.has(os_layer.digest)


def test_profile_of_other_content_under_the_same_version_does_not_count(repository):
    os_layer = add_version(repository)
    store(repository, os_layer)
    add_version(repository, "1", b"imported again")
    assert not noise_profiles.has_noise_profile(repository, "Windows", "1")


def test_profile_is_audited_when_it_is_stored_replaced_and_removed(repository):
    os_layer = add_version(repository)
    first = store(repository, os_layer, comment="CHG-1")
    second = store(repository, os_layer, b"second", comment="CHG-2")
    noise_profiles.remove(repository, os_layer, comment="CHG-3")
    records = repository.audit.read(kinds=["noise_profile"])
    assert [(r["action"], r["name"], r["version"], r["comment"]) for r in records] == [
        ("create", "Windows", "1", "CHG-1"),
        ("update", "Windows", "1", "CHG-2"),
        ("delete", "Windows", "1", "CHG-3"),
    ]
    assert records[1]["details"]["digest"] == {"before": first.digest, "after": second.digest}
    assert noise_profiles.find_record(repository, os_layer) is None


def test_layer_info_shows_the_profile(repository):
    os_layer = add_version(repository)
    add_version(repository, "2", b"newer")
    record = store(repository, os_layer)
    options = InfoOptions(repository=RepositoryOptions(repository.path, None))
    versions = layer_info(options).result["layers"][0]["versions"]
    assert [version["noise_profile"] for version in versions] == [record.result(), None]


def test_damaged_profile_raises_corrupt(repository):
    record = store(repository, add_version(repository))
    path = repository.layout.blobs.path(record.digest)
    os.chmod(path, 0o644)
    with open(path, "wb") as stream:
        stream.write(b"PROFILE")
    with pytest.raises(Corrupt) as caught:
        noise_profiles.load(repository, record)
    assert caught.value.code == "repository.blob_corrupt"
