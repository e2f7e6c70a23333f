# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""skopeo, regctl and oras copy between folders, files and a real registry: manifests and blobs remain the same bytes."""

from __future__ import annotations

import json
import os
import pathlib
import uuid

import pytest

from ansible_collections.strata.layering.plugins.module_utils.distribution.backends.archive import Archive
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends.backend import Backend
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends.folder import Folder
from ansible_collections.strata.layering.plugins.module_utils.shares.local import LocalShare
from ansible_collections.strata.layering.tests.support.oci_artifacts import Artifact, digest
from ansible_collections.strata.layering.tests.support.registry_clients import Oras, Regctl, Skopeo

EDITOR = "windows/app/editor"
LAYER = Artifact(config=b'{"name":"Editor"}', layers=(b"archive" * 50_000, b"index"))
SIGNATURE = Artifact(config=b"{}", layers=(b"signature",), subject=LAYER, artifact_type="application/x.signature")


def opened(kind: str, path: pathlib.Path, *, create: bool = False) -> Backend:
    if kind == "oci":
        return Folder(LocalShare(os.fspath(path)), create=create)
    return Archive(LocalShare(os.fspath(path.parent)), path.name, create=create)


def check_same(backend: Backend, artifact: Artifact, repository: str, reference: str) -> None:
    found = backend.manifest(repository, reference)
    assert found is not None
    assert found.data == artifact.manifest
    for blob in artifact.blobs:
        assert backend.read_blob(repository, digest(blob), 1 << 20) == blob


@pytest.mark.parametrize("kind", ["oci", "oci-archive"])
def test_skopeo_copies_to_a_registry_and_back(kind, debian_registry, tmp_path):
    skopeo = Skopeo(tmp_path, debian_registry.login)
    remote = f"docker://{debian_registry.address}/{uuid.uuid4().hex}:1.0"
    with opened(kind, tmp_path / "ours", create=True) as backend:
        LAYER.push(backend, EDITOR, "1.0")
        SIGNATURE.push(backend, EDITOR)
    skopeo.copy(f"{kind}:{tmp_path}/ours:{EDITOR}:1.0", remote)
    assert skopeo.inspect(remote) == LAYER.manifest
    skopeo.copy(remote, f"{kind}:{tmp_path}/theirs:{EDITOR}:1.0")
    with opened(kind, tmp_path / "theirs") as backend:
        assert backend.tags(EDITOR) == ["1.0"]
        check_same(backend, LAYER, EDITOR, "1.0")


def test_skopeo_adds_to_a_folder_of_layers(debian_registry, tmp_path):
    skopeo = Skopeo(tmp_path, debian_registry.login)
    first, second = tmp_path / "first", tmp_path / "second"
    other = Artifact(config=b'{"name":"Viewer"}')
    with opened("oci", first, create=True) as backend:
        LAYER.push(backend, EDITOR, "1.0")
    with opened("oci", second, create=True) as backend:
        other.push(backend, "windows/app/viewer", "2.0")
        SIGNATURE.push(backend, EDITOR)
    skopeo.copy(f"oci:{first}:{EDITOR}:1.0", f"oci:{second}:{EDITOR}:1.0")
    with opened("oci", second) as backend:
        check_same(backend, LAYER, EDITOR, "1.0")
        check_same(backend, other, "windows/app/viewer", "2.0")
        # The untagged entry of the signature survives that skopeo rewrites index.json.
        assert [item.digest for item in backend.referrers(EDITOR, LAYER.digest)] == [SIGNATURE.digest]
        LAYER.push(backend, EDITOR, "1.1")
        assert backend.tags(EDITOR) == ["1.0", "1.1"]


def test_regctl_copies_a_folder_to_a_registry_and_back(debian_registry, tmp_path):
    regctl, skopeo = Regctl(tmp_path, debian_registry.login), Skopeo(tmp_path, debian_registry.login)
    remote = f"{debian_registry.address}/{uuid.uuid4().hex}:1.0"
    with opened("oci", tmp_path / "ours", create=True) as backend:
        LAYER.push(backend, EDITOR, "1.0")
    regctl.copy(f"ocidir://{tmp_path}/ours@{LAYER.digest}", remote)
    assert skopeo.inspect(f"docker://{remote}") == LAYER.manifest
    with opened("oci", tmp_path / "theirs", create=True) as backend:
        Artifact().push(backend, "windows/app/viewer", "2.0")
    regctl.copy(remote, f"ocidir://{tmp_path}/theirs:1.0")
    with opened("oci", tmp_path / "theirs") as backend:
        assert backend.tags("windows/app/viewer") == ["2.0"]
        # The reference name of regctl is only a tag; a push of the version finds the blobs and adds the name.
        assert backend.blob_size(EDITOR, digest(LAYER.layers[0])) == len(LAYER.layers[0])
        LAYER.push(backend, EDITOR, "1.0")
        check_same(backend, LAYER, EDITOR, "1.0")
    entries = json.loads((tmp_path / "theirs/index.json").read_bytes())["manifests"]
    assert "1.0" in [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries]


def test_oras_copies_a_folder_with_its_referrers(debian_registry, tmp_path):
    oras = Oras(tmp_path, debian_registry.login)
    remote = f"{debian_registry.address}/{uuid.uuid4().hex}:1.0"
    with opened("oci", tmp_path / "ours", create=True) as backend:
        LAYER.push(backend, EDITOR, "1.0")
        SIGNATURE.push(backend, EDITOR)
    oras.copy(f"oci:{tmp_path}/ours@{LAYER.digest}", remote, "-r")
    oras.copy(remote, f"oci:{tmp_path}/theirs:{EDITOR}-1.0".replace(EDITOR, "editor"), "-r")
    with opened("oci", tmp_path / "theirs") as backend:
        # Entries that oras adds without a name belong to all repositories.
        assert [item.digest for item in backend.referrers(EDITOR, LAYER.digest)] == [SIGNATURE.digest]
