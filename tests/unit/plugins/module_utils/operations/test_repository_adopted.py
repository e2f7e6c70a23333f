# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer versions that skopeo, oras and regctl copy into a repository become versions of its catalogue."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import shutil
import uuid

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections, layer_store
from ansible_collections.strata.layering.plugins.module_utils.common.outcome import Outcome
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends.folder import Folder
from ansible_collections.strata.layering.plugins.module_utils.distribution.items import details
from ansible_collections.strata.layering.plugins.module_utils.distribution.signatures.trust import sign
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import (
    APP,
    OS,
    LayerReference,
    LayerVersion,
)
from ansible_collections.strata.layering.plugins.module_utils.operations.distribution.trust_options import (
    VerificationOptions,
)
from ansible_collections.strata.layering.plugins.module_utils.operations.options import RepositoryOptions
from ansible_collections.strata.layering.plugins.module_utils.operations.repository import ensure_repository
from ansible_collections.strata.layering.plugins.module_utils.operations.repository_states.repository_module_options import (
    RepositoryModuleOptions,
)
from ansible_collections.strata.layering.plugins.module_utils.repository.blobs import Descriptor
from ansible_collections.strata.layering.plugins.module_utils.repository.oci_layout import MANIFEST
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.repository.upstream import OPTIONAL, UpstreamSettings
from ansible_collections.strata.layering.plugins.module_utils.repository.verification import verify
from ansible_collections.strata.layering.plugins.module_utils.shares.local import LocalShare
from ansible_collections.strata.layering.plugins.module_utils.signing.keys import SigningKey
from ansible_collections.strata.layering.tests.support import signing_keys
from ansible_collections.strata.layering.tests.support.copied_layers import add_entry, add_os, copy, digest_in, record
from ansible_collections.strata.layering.tests.support.memory_backend import MemoryBackend
from ansible_collections.strata.layering.tests.support.registry_clients import Oras, Regctl, Skopeo
from ansible_collections.strata.layering.tests.support.registry_fixtures import debian_registry  # noqa: F401  pylint: disable=unused-import

PAIR = signing_keys.key_pair()


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A repository with an OS layer, and an app layer on it with a prerequisite; it is only read."""
    repository = Repository.open(str(tmp_path_factory.mktemp("built")), create=True)
    windows = add_os(repository)
    runtime = add_app(repository, "Runtime", windows.reference())
    add_app(repository, "Editor", windows.reference(), prerequisites=[runtime.reference()])
    return repository


@pytest.fixture
def source(built, tmp_path):
    """A copy of that repository."""
    shutil.copytree(built.path, tmp_path / "source")
    return Repository.open(str(tmp_path / "source"))


@pytest.fixture
def target(tmp_path):
    """An empty repository."""
    return Repository.open(str(tmp_path / "target"), create=True)


def add_app(repository, name: str, os_layer: LayerReference, **fields) -> LayerVersion:
    version = LayerVersion(APP, name, "1", os_layer=os_layer, description="as built", **fields)
    version = layer_store.put_files(repository, version, [])
    record(repository, version)
    return version


def ensure(repository, state: str = "adopted", *, check_mode: bool = False, keys=(), required=False) -> Outcome:
    options = RepositoryModuleOptions(
        repository=RepositoryOptions(repository.path, comment="CHG-1"),
        state=state,
        verification=VerificationOptions(keys=tuple(keys), required=required),
    )
    return ensure_repository(options, check_mode=check_mode)


def state_of(repository) -> dict[str, bytes]:
    found = {}
    for path in pathlib.Path(repository.path).rglob("*"):
        if path.is_file() and path.parent.name not in ("locks", "pins"):
            found[str(path)] = path.read_bytes()
    return found


def names(outcome: Outcome) -> list[str]:
    return [f"{item['kind']} {item['name']} {item['version']}" for item in outcome.result["adopted"]]


def codes(outcome: Outcome) -> list[str]:
    return [item["code"] for item in outcome.result["left"]]


def test_repository_without_copies_is_not_changed(source):
    before = state_of(source)
    outcome = ensure(source)
    assert not outcome.changed
    assert (outcome.result["adopted"], outcome.result["left"]) == ([], [])
    assert state_of(source) == before


def test_copies_are_adopted_in_the_order_of_their_bases(source, target):
    editor = copy(source, target, "Editor", "a/editor:1")
    copy(source, target, "Runtime", "b")
    copy(source, target, "Windows", None, OS)
    before = state_of(target)
    planned = ensure(target, check_mode=True)
    assert state_of(target) == before
    outcome = ensure(target)
    assert outcome.changed
    assert (planned.result, planned.before, planned.after) == (outcome.result, outcome.before, outcome.after)
    assert names(outcome) == ["os Windows 1", "app Runtime 1", "app Editor 1"]
    assert outcome.result["left"] == []
    assert list(target.layout.references()) == ["layers/app/Editor/1", "layers/app/Runtime/1", "layers/os/Windows/1"]
    assert len(target.layout.index()) == 3
    assert digest_in(target, "Editor") == editor
    assert target.layout.blobs.read(editor, 1 << 20) == source.layout.blobs.read(editor, 1 << 20)
    document = document_collections.layers(target, APP).require("Editor")
    assert document.description == "as built"
    assert [(record["action"], record["name"], record["comment"]) for record in target.audit.read()][-1] == (
        "adopt",
        "Editor",
        "CHG-1",
    )
    assert verify(target) == []
    after = state_of(target)
    assert not ensure(target).changed
    assert state_of(target) == after


def test_copy_under_the_name_of_this_collection_is_adopted(source, target):
    copy(source, target, "Windows", "layers/os/Windows/1", OS)
    outcome = ensure(target)
    assert names(outcome) == ["os Windows 1"]
    assert list(target.layout.references()) == ["layers/os/Windows/1"]


def test_copy_of_a_recorded_version_only_loses_its_name(source):
    editor = digest_in(source, "Editor")
    add_entry(source, editor, "editor-copy")
    outcome = ensure(source)
    assert outcome.changed
    assert outcome.result["removed_references"] == ["editor-copy"]
    assert outcome.result["adopted"] == []
    assert "editor-copy" not in source.layout.references()
    assert not ensure(source).changed


def test_copy_whose_base_is_missing_is_left(source, target):
    copy(source, target, "Windows", "windows", OS)
    copy(source, target, "Editor", "editor")
    outcome = ensure(target)
    assert names(outcome) == ["os Windows 1"]
    assert codes(outcome) == ["distribution.base_missing"]
    (left,) = outcome.result["left"]
    assert (left["kind"], left["name"], left["version"], left["references"]) == ("app", "Editor", "1", ["editor"])
    assert "editor" in target.layout.references()
    assert not ensure(target).changed


def test_copy_for_a_different_os_layer_is_left(source, target):
    add_os(target, b"other disk")
    copy(source, target, "Runtime", "runtime")
    copy(source, target, "Windows", "windows", OS)
    outcome = ensure(target)
    assert not outcome.changed
    assert codes(outcome) == ["distribution.other_base", "distribution.other_content"]


def test_copy_in_a_different_spelling_is_left(source, target):
    copy(source, target, "Windows", "windows", OS)
    ensure(target)
    record(target, add_app(target, "EDITOR", LayerReference(OS, "Windows", "1", digest_in(target, "Windows", OS))))
    copy(source, target, "Runtime", "runtime")
    copy(source, target, "Editor", "editor")
    outcome = ensure(target)
    assert names(outcome) == ["app Runtime 1"]
    assert codes(outcome) == ["catalog.other_spelling"]


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda path: path.write_bytes(b"x" * path.stat().st_size), "repository.blob_corrupt"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "repository.blob_corrupt"),
        (lambda path: path.unlink(), "repository.blob_missing"),
    ],
)
def test_damaged_copy_is_left(source, target, damage, code):
    digest = copy(source, target, "Windows", "windows", OS)
    manifest = json.loads(target.layout.blobs.read(digest, 1 << 20))
    damage(pathlib.Path(target.layout.blobs.path(manifest["layers"][0]["digest"])))
    before = state_of(target)
    outcome = ensure(target)
    assert (outcome.changed, codes(outcome)) == (False, [code])
    assert state_of(target) == before


def test_copy_with_a_damaged_config_is_left(source, target):
    digest = copy(source, target, "Windows", "windows", OS)
    config = json.loads(target.layout.blobs.read(digest, 1 << 20))["config"]["digest"]
    pathlib.Path(target.layout.blobs.path(config)).write_bytes(b"{}")
    assert codes(ensure(target)) == ["distribution.layout_blob"]


def test_two_copies_with_one_name_are_left(source, target, tmp_path):
    other = Repository.open(str(tmp_path / "other"), create=True)
    add_os(other, b"other disk")
    copy(source, target, "Windows", "windows", OS)
    copy(other, target, "Windows", "windows-too", OS)
    outcome = ensure(target)
    assert not outcome.changed
    assert codes(outcome) == ["distribution.copy_ambiguous"] * 2


def test_layer_that_is_being_changed_is_left(source, target):
    copy(source, target, "Windows", "windows", OS)
    with target.locks.hold("layer/os/Windows", purpose="build"):
        assert codes(ensure(target)) == ["distribution.copy_in_use"]
    assert names(ensure(target)) == ["os Windows 1"]


def test_other_content_of_the_folder_is_ignored(source, target):
    target.layout.put_manifest(
        target.layout.put_blob(b"{}", "application/vnd.oci.image.config.v1+json"), [], reference="some-image"
    )
    (pathlib.Path(target.layout.blobs.path("sha256:" + "a" * 64))).write_bytes(b"not a manifest")
    add_entry(target, "sha256:" + "a" * 64, "junk")
    before = state_of(target)
    outcome = ensure(target)
    assert (outcome.changed, outcome.result["left"]) == (False, [])
    assert state_of(target) == before


def test_details_that_were_copied_are_used(source, target):
    digest = copy(source, target, "Windows", "windows", OS)
    described = details.of_document(document_collections.layers(source, OS).require("Windows"), "1")
    described = dataclasses.replace(
        described, document=dataclasses.replace(described.document, description="as it is now")
    )
    subject = Descriptor(MANIFEST, digest, target.layout.size(digest))
    manifest, config = details.to_artifact(described, subject, "2026-02-02T00:00:00.000Z")
    target.layout.put_blob(config, "application/json")
    target.layout.put_blob(b"{}", "application/json")
    stored = target.layout.put_blob(manifest, MANIFEST)
    add_entry(target, stored.digest, None)
    outcome = ensure(target)
    assert outcome.result["left"] == []
    assert outcome.result["adopted"][0]["has_details"] is True
    assert document_collections.layers(target, OS).require("Windows").description == "as it is now"
    assert len(target.layout.index()) == 1
    assert not ensure(target).changed


def add_signature(repository, digest: str, private: str) -> None:
    """Add the signature of a stored manifest as oras copies it: an entry without a name."""
    memory = MemoryBackend()
    data = repository.layout.blobs.read(digest, 1 << 20)
    manifest = json.loads(data)
    for blob in (manifest["config"], *manifest["layers"]):
        content = pathlib.Path(repository.layout.blobs.path(blob["digest"])).read_bytes()
        memory.upload("x", blob["digest"], blob["size"], content)
    memory.put_manifest("x", digest, data, MANIFEST)
    sign(memory, "x", Descriptor(MANIFEST, digest, len(data)), SigningKey.load(private))
    (referrer,) = memory.referrers("x", digest)
    signature = memory.manifest("x", referrer.digest)
    assert signature is not None
    document = json.loads(signature.data)
    for blob in (document["config"], *document["layers"]):
        content = memory.read_blob("x", blob["digest"], 1 << 20)
        repository.layout.put_blob(content, blob["mediaType"])
    repository.layout.put_blob(signature.data, MANIFEST)
    add_entry(repository, referrer.digest, None)


def test_signature_is_required_by_the_policy(source, target):
    digest = copy(source, target, "Windows", "windows", OS)
    public = PAIR.public
    before = state_of(target)
    outcome = ensure(target, keys=[public], required=True)
    assert (outcome.changed, codes(outcome)) == (False, ["distribution.unsigned"])
    assert state_of(target) == before
    add_signature(target, digest, signing_keys.key_pair().private)
    assert codes(ensure(target, keys=[public], required=True)) == ["distribution.signature_unknown"]
    add_signature(target, digest, PAIR.private)
    outcome = ensure(target, keys=[public], required=True)
    assert names(outcome) == ["os Windows 1"]
    assert outcome.result["adopted"][0]["signer"]
    # The signatures are kept under references of the collection, so that they travel with the version.
    assert len([name for name in target.layout.references() if name.startswith("attachments/")]) == 2
    assert len(target.layout.index()) == 3
    assert not ensure(target, keys=[public], required=True).changed


def test_new_signature_of_a_recorded_version_is_kept(source):
    digest = digest_in(source, "Windows", OS)
    add_signature(source, digest, PAIR.private)
    planned = ensure(source, check_mode=True)
    outcome = ensure(source)
    assert outcome.changed
    assert planned.result == outcome.result
    assert len(outcome.result["signatures_added"]) == 1
    assert f"attachments/{digest[7:]}/{outcome.result['signatures_added'][0][7:]}" in source.layout.references()
    assert all("annotations" in item for item in source.layout.index())
    assert not ensure(source).changed


def test_unnamed_entry_of_a_recorded_version_is_removed(source):
    add_entry(source, digest_in(source, "Windows", OS), None)
    outcome = ensure(source)
    assert outcome.changed
    assert outcome.before != outcome.after
    assert len(source.layout.index()) == 3
    assert not ensure(source).changed


def test_attachments_of_other_kinds_are_kept(source, target):
    digest = copy(source, target, "Windows", "windows", OS)
    empty = target.layout.put_blob(b"{}", "application/vnd.oci.empty.v1+json").to_json()
    size = target.layout.size(digest)
    subject = {"mediaType": MANIFEST, "digest": digest, "size": size}
    bill = {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/x.bill", "subject": subject}
    stored = target.layout.put_blob(json.dumps(bill | {"config": empty, "layers": [empty]}).encode(), MANIFEST)
    add_entry(target, stored.digest, None)
    assert names(ensure(target)) == ["os Windows 1"]
    assert stored.digest in [item["digest"] for item in target.layout.index()]
    assert not ensure(target).changed


def test_unsigned_copy_is_adopted_with_a_warning_if_signatures_are_optional(source, target):
    copy(source, target, "Windows", "windows", OS)
    outcome = ensure(target, keys=[PAIR.public])
    assert names(outcome) == ["os Windows 1"]
    assert len(outcome.warnings) == 1


def test_collecting_keeps_fresh_copies_and_mentions_them(source, target):
    copy(source, target, "Windows", "layers/os/Windows/1", OS)
    copy(source, target, "Runtime", "runtime")
    ordinary = ensure(source, "collected").result["message"]
    outcome = ensure(target, "collected")
    assert not outcome.changed
    assert outcome.result["message"] != ordinary
    assert names(ensure(target)) == ["os Windows 1", "app Runtime 1"]
    assert not ensure(target, "collected").changed


def test_copy_in_a_repository_with_upstream_is_sent_there(source, target, tmp_path):
    public = tmp_path / "key.pub"
    public.write_text(PAIR.public)
    target.set_upstream(UpstreamSettings(file_share=str(tmp_path / "share"), verify_keys=(str(public),)))
    digest = copy(source, target, "Windows", "windows", OS)
    assert codes(ensure(target)) == ["distribution.unsigned"]
    target.set_upstream(UpstreamSettings(file_share=str(tmp_path / "share"), signatures=OPTIONAL))
    assert names(ensure(target)) == ["os Windows 1"]
    with Folder(LocalShare(str(tmp_path / "share"))) as folder:
        assert folder.digest_of("os/windows", "1") == digest
    assert not ensure(target).changed


@pytest.mark.parametrize("tool", [Skopeo, Oras, Regctl])
def test_copies_of_real_tools_are_adopted_with_equal_manifests(tool, source, target, tmp_path, debian_registry):  # noqa: F811
    client = tool(tmp_path, debian_registry.login)
    scheme = {Skopeo: "oci:", Oras: "oci:", Regctl: "ocidir://"}[tool]
    prefix = "docker://" if tool is Skopeo else ""
    for kind, name in ((OS, "Windows"), (APP, "Runtime"), (APP, "Editor")):
        remote = f"{prefix}{debian_registry.address}/{uuid.uuid4().hex}:1.0"
        if tool is Skopeo:
            local = f"{scheme}{source.path}:layers/{kind}/{name}/1"
        else:
            local = f"{scheme}{source.path}@{digest_in(source, name, kind)}"
        client.copy(local, remote)
        client.copy(remote, f"{scheme}{target.path}:{name.lower()}-1.0")
    assert not ensure(target, "collected").changed
    outcome = ensure(target)
    assert names(outcome) == ["os Windows 1", "app Runtime 1", "app Editor 1"]
    for kind, name in ((OS, "Windows"), (APP, "Runtime"), (APP, "Editor")):
        digest = digest_in(source, name, kind)
        assert digest_in(target, name, kind) == digest
        manifest = source.layout.blobs.read(digest, 1 << 20)
        assert target.layout.blobs.read(digest, 1 << 20) == manifest
        document = json.loads(manifest)
        for blob in (document["config"], *document["layers"]):
            stored = [pathlib.Path(side.layout.blobs.path(blob["digest"])).read_bytes() for side in (source, target)]
            assert stored[0] == stored[1]
    assert verify(target) == []
    assert not ensure(target).changed


@pytest.mark.parametrize("tool", [Oras, Regctl])
def test_signatures_that_tools_copy_are_verified_and_kept(tool, source, target, tmp_path, debian_registry):  # noqa: F811
    oras = Oras(tmp_path, debian_registry.login)
    digest = digest_in(source, "Windows", OS)
    add_signature(source, digest, PAIR.private)
    remote = f"{debian_registry.address}/{uuid.uuid4().hex}:1.0"
    oras.copy(f"oci:{source.path}@{digest}", remote, "-r")
    if tool is Oras:
        oras.copy(remote, f"oci:{target.path}:windows-1.0", "-r")
    else:
        regctl = Regctl(tmp_path, debian_registry.login)
        regctl.copy(remote, f"ocidir://{target.path}:windows-1.0", "--referrers", "--digest-tags")
    assert codes(ensure(target, keys=[signing_keys.key_pair().public], required=True)) == [
        "distribution.signature_unknown"
    ]
    assert names(ensure(target, keys=[PAIR.public], required=True)) == ["os Windows 1"]
    references = list(target.layout.references())
    assert references[0].startswith(f"attachments/{digest[7:]}/")
    assert references[1:] == ["layers/os/Windows/1"]
    assert len(target.layout.index()) == 2
    assert verify(target) == []
