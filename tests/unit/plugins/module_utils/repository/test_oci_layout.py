# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OCI image layout: other OCI tools can read and write it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InternalError,
    NotFound,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.repository.blobs import Descriptor
from ansible_collections.strata.layering.plugins.module_utils.repository.oci_layout import MANIFEST
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.expectations import raises

ARTIFACT = "application/vnd.example.thing.v1+json"


def store(repository, content=b"layer", reference=None, config=b'{"a":1}'):
    first = repository.layout.put_blob(config, "application/vnd.example.config.v1+json")
    second = repository.layout.put_blob(content, "application/vnd.oci.image.layer.v1.tar+zstd")
    return repository.layout.put_manifest(
        first, [second], {"org.opencontainers.image.title": "B\u00fcro"}, ARTIFACT, reference=reference
    )


def test_layout_has_the_form_that_the_specification_requires(repository):
    manifest = store(repository, reference="layers/app/x/1.0")
    with open(os.path.join(repository.path, "oci-layout"), "rb") as stream:
        assert json.load(stream) == {"imageLayoutVersion": "1.0.0"}
    with open(os.path.join(repository.path, "index.json"), "rb") as stream:
        index = json.load(stream)
    assert index == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": manifest.digest,
                "size": manifest.size,
                "artifactType": ARTIFACT,
                "annotations": {"org.opencontainers.image.ref.name": "layers/app/x/1.0"},
            }
        ],
    }
    with open(os.path.join(repository.path, "blobs", "sha256", manifest.digest[7:]), "rb") as stream:
        document = json.load(stream)
    assert document["schemaVersion"] == 2
    assert document["artifactType"] == ARTIFACT
    assert document["annotations"] == {"org.opencontainers.image.title": "B\u00fcro"}
    assert [layer["size"] for layer in document["layers"]] == [5]


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_skopeo_reads_and_copies(repository, tmp_path):
    manifest = store(repository, reference="layers/app/Editor/1.0")
    source = f"oci:{repository.path}:layers/app/Editor/1.0"
    raw = subprocess.run(["skopeo", "inspect", "--raw", source], check=True, capture_output=True, timeout=60).stdout
    assert raw == repository.layout.blobs.read(manifest, 1 << 20)
    subprocess.run(["skopeo", "copy", source, f"oci:{tmp_path}/copy:1.0"], check=True, capture_output=True, timeout=60)
    assert sorted(os.listdir(tmp_path / "copy/blobs/sha256")) == sorted(
        digest[7:] for digest in repository.layout.blobs.digests()
    )


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_skopeo_writes_into_the_repository(repository, tmp_path):
    other = Repository.open(str(tmp_path / "other"), create=True)
    manifest = store(other, b"from elsewhere", "x")
    store(repository, reference="kept")
    subprocess.run(
        ["skopeo", "copy", f"oci:{other.path}:x", f"oci:{repository.path}:arrived"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert repository.layout.resolve("arrived").digest == manifest.digest
    assert repository.layout.manifest("arrived")["artifactType"] == ARTIFACT
    assert set(repository.layout.references()) == {"arrived", "kept"}


def test_same_arguments_give_the_same_digest(repository, tmp_path):
    assert store(repository) == store(Repository.open(str(tmp_path / "two"), create=True))


def test_reference_can_be_moved_and_removed(repository):
    first, second = store(repository, b"1", "a"), store(repository, b"2")
    assert repository.layout.add_reference("b", first)
    assert not repository.layout.add_reference("b", first)
    assert repository.layout.add_reference("a", second)
    assert {name: item.digest for name, item in repository.layout.references().items()} == {
        "a": second.digest,
        "b": first.digest,
    }
    assert repository.layout.remove_reference("a")
    assert not repository.layout.remove_reference("a")
    with raises(NotFound, "repository.reference_missing"):
        repository.layout.resolve("a")


@pytest.mark.parametrize("reference", ["", "a b", "/a", "a/", "a//b", "-a", "a\n", "\u00e9", "a" * 600])
def test_malformed_reference_is_an_internal_error(repository, reference):
    with raises(InternalError, "repository.reference"):
        repository.layout.add_reference(reference, store(repository))


def test_manifest_with_missing_blobs_is_refused(repository):
    stored = repository.layout.put_blob(b"x", "a/b")
    with pytest.raises(NotFound):
        repository.layout.put_manifest(stored, [Descriptor("a/b", "sha256:" + "0" * 64, 1)])
    with pytest.raises(Corrupt):
        repository.layout.put_manifest(Descriptor("a/b", stored.digest, 2), [])


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b"x", b'{"layers": 1, "config": {}}', b'{"layers": [{}]}', b"[" * 100000]
)
def test_malformed_manifest_raises_corrupt(repository, content):
    digest = repository.layout.put_blob(content, MANIFEST).digest
    with pytest.raises(Corrupt):
        repository.layout.manifest(digest)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"manifests": 1}', b'{"manifests": [1]}', b'{"manifests": [{"digest": "x"}]}']
)
def test_damaged_index_raises_corrupt(repository, content):
    with open(os.path.join(repository.path, "index.json"), "wb") as stream:
        stream.write(content)
    with pytest.raises(Corrupt):
        repository.layout.references()
    with pytest.raises(Corrupt):
        store(repository, reference="a")


def test_layout_of_another_version_raises_unsupported(repository):
    with open(os.path.join(repository.path, "oci-layout"), "wb") as stream:
        stream.write(b'{"imageLayoutVersion":"2.0.0"}')
    with raises(Unsupported, "repository.layout_version"):
        Repository.open(repository.path)


def test_many_writers_lose_no_reference(repository):
    manifest = store(repository)

    def work(number):
        own = Repository.open(repository.path)
        for step in range(5):
            own.layout.add_reference(f"r{number}.{step}", manifest)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(repository.layout.references()) == 30
