# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of layers on local disks and on a real Samba server: contents, several writers, removal, refusals."""

from __future__ import annotations

import json
import os
import threading
import uuid
from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    Corrupt,
    InvalidInput,
    NoSpace,
    NotFound,
    StrataError,
    Unavailable,
)
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends import folder as folder_module
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends import share_lock
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends.folder import Folder
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import Uploaded
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.shares import share as share_module
from ansible_collections.strata.layering.plugins.module_utils.shares.local import LocalShare
from ansible_collections.strata.layering.plugins.module_utils.shares.smb import SmbShare
from ansible_collections.strata.layering.tests.support.oci_artifacts import MANIFEST, Artifact, digest

EDITOR = "windows/app/editor"
_DAY = 24 * 3600


@pytest.fixture(params=["local", "smb"])
def target_folder(request, tmp_path):
    """A new folder of each kind: ``open`` opens it, ``path`` is its path on this host."""
    if request.param == "local":
        path = tmp_path / "layers"
        return SimpleNamespace(path=path, open=lambda **options: Folder(LocalShare(os.fspath(path)), **options))
    samba = request.getfixturevalue("samba")
    name = uuid.uuid4().hex

    def smb(**options):
        share = SmbShare.at(samba.address(path=name), username=samba.username, password=samba.password)
        return Folder(share, **options)

    return SimpleNamespace(path=samba.path / name, open=smb)


@pytest.fixture
def local(tmp_path):
    """A new local folder."""
    path = tmp_path / "layers"
    return SimpleNamespace(path=path, open=lambda **options: Folder(LocalShare(os.fspath(path)), **options))


def index_of(target_folder) -> dict:
    return json.loads((target_folder.path / "index.json").read_bytes())


def age(target_folder, *digests: str, seconds: float = 2 * _DAY) -> None:
    for item in digests:
        path = target_folder.path / "blobs/sha256" / item[7:]
        old = path.stat().st_mtime - seconds
        os.utime(path, (old, old))
    swept = target_folder.path / ".strata-swept"
    if swept.exists():
        os.utime(swept, (swept.stat().st_mtime - seconds,) * 2)


def code_of(error) -> str:
    return error.value.code


def test_folder_missing_reads_as_empty_with_create(target_folder):
    with target_folder.open(create=True) as folder:
        assert folder.tags(EDITOR) == []
        assert folder.digest_of(EDITOR, "1.0") is None
        assert folder.manifest(EDITOR, "1.0") is None
        assert folder.referrers(EDITOR, digest(b"x")) == []
        assert folder.blob_size(EDITOR, digest(b"x")) is None
        assert not folder.delete_tag(EDITOR, "1.0")
    assert not target_folder.path.exists()


def test_folder_missing_without_create_is_an_error(target_folder):
    with pytest.raises(NotFound) as error:
        target_folder.open()
    assert code_of(error) == "distribution.folder_missing"


def test_push_and_pull_return_the_same_bytes(target_folder, tmp_path):
    artifact = Artifact(layers=(os.urandom(3_000_000), b"index"))
    with target_folder.open(create=True) as folder:
        artifact.push(folder, EDITOR, "1.0")
    with target_folder.open() as folder:
        found = folder.manifest(EDITOR, "1.0")
        assert found is not None
        assert (found.data, found.digest, found.media_type) == (artifact.manifest, artifact.digest, MANIFEST)
        assert folder.tags(EDITOR) == ["1.0"]
        assert folder.digest_of(EDITOR, artifact.digest) == artifact.digest
        assert folder.digest_of("windows/app/other", artifact.digest) is None
        target = tmp_path / "blob"
        big = artifact.layers[0]
        folder.download(EDITOR, digest(big), len(big), os.fspath(target))
        assert target.read_bytes() == big
        assert folder.read_blob(EDITOR, digest(artifact.config), 100) == artifact.config
        assert folder.upload(EDITOR, digest(big), len(big), big) is Uploaded.PRESENT
        assert abs(folder.server_time() - target.stat().st_mtime) < 60
    assert json.loads((target_folder.path / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert not [name for name in os.listdir(target_folder.path / "blobs/sha256") if name.startswith(".")]
    assert not (target_folder.path / ".strata-index.lock").exists()


def test_download_continues_what_a_killed_run_left(local, tmp_path):
    data = os.urandom(3_000_000)
    target = tmp_path / "blob"
    with local.open(create=True) as folder:
        Artifact(layers=(data,)).push(folder, EDITOR, "1.0")
        target.write_bytes(data[:2_000_000])
        steps: list[int] = []
        folder.download(
            EDITOR, digest(data), len(data), os.fspath(target), progress=lambda step, done, total: steps.append(done)
        )
        assert target.read_bytes() == data
        assert steps[0] > 2_000_000
        target.write_bytes(b"wrong" + data[5:2_000_000])
        folder.download(EDITOR, digest(data), len(data), os.fspath(target))
        assert target.read_bytes() == data
        target.write_bytes(data + b"longer")
        folder.download(EDITOR, digest(data), len(data), os.fspath(target))
        assert target.read_bytes() == data


@pytest.mark.parametrize("damage", [lambda data: b"x" + data[1:], lambda data: data[:-1], lambda data: data + b"x"])
def test_download_of_a_damaged_blob_leaves_nothing(local, tmp_path, damage):
    data = b"content of a blob"
    target = tmp_path / "blob"
    with local.open(create=True) as folder:
        Artifact(layers=(data,)).push(folder, EDITOR, "1.0")
        (local.path / "blobs/sha256" / digest(data)[7:]).write_bytes(damage(data))
        with pytest.raises(Corrupt) as error:
            folder.download(EDITOR, digest(data), len(data), os.fspath(target))
        assert code_of(error) == "distribution.layout_blob"
        with pytest.raises(Corrupt):
            folder.read_blob(EDITOR, digest(data), 1000)
    assert not target.exists()


class _Killed(BaseException):
    """The run ends in the middle of an upload."""


@pytest.fixture
def _small_blobs_are_resumed(monkeypatch):
    monkeypatch.setattr(folder_module, "_LARGE", 1 << 20)
    monkeypatch.setattr(share_module, "REWIND", 1 << 20)


def _upload_until(folder, data: bytes, end: int, started: list[int] | None = None) -> None:
    def progress(_step: str, done: int, _total: int | None) -> None:
        if started is not None:
            started.append(done)
        if done > end:
            raise _Killed

    folder.upload(EDITOR, digest(data), len(data), data, progress=progress)


def _partial(target_folder, data: bytes):
    return target_folder.path / "blobs/sha256" / f".strata-tmp-part-{digest(data)[7:]}"


@pytest.mark.usefixtures("_small_blobs_are_resumed")
def test_upload_continues_what_a_killed_run_left(target_folder):
    data = os.urandom(8 << 20)
    with target_folder.open(create=True) as folder, pytest.raises(_Killed):
        _upload_until(folder, data, 5 << 20)
    partial = _partial(target_folder, data)
    size = partial.stat().st_size
    assert size >= 5 << 20
    # A server that lost its power may have lost the newest bytes.
    with partial.open("r+b") as stream:
        stream.seek(size - 700_000)
        stream.write(bytes(700_000))
    started: list[int] = []
    with target_folder.open(create=True) as folder:
        assert folder.blob_size(EDITOR, digest(data)) is None
        _upload_until(folder, data, len(data), started)
        assert folder.read_blob(EDITOR, digest(data), len(data)) == data
    assert started[0] > 4 << 20
    assert not partial.exists()


@pytest.mark.usefixtures("_small_blobs_are_resumed")
def test_upload_of_wrong_or_few_data_leaves_nothing(target_folder):
    data = os.urandom(4 << 20)
    with target_folder.open(create=True) as folder:
        with pytest.raises(Corrupt):
            folder.upload(EDITOR, digest(data), len(data), data[:-1] + b"x")
        with pytest.raises(_Killed):
            _upload_until(folder, data, 100_000)
        assert os.listdir(target_folder.path / "blobs/sha256") == []
        _partial(target_folder, data).write_bytes(bytes(5 << 20))
        folder.upload(EDITOR, digest(data), len(data), data)
        assert folder.read_blob(EDITOR, digest(data), len(data)) == data


@pytest.mark.usefixtures("_small_blobs_are_resumed")
def test_full_share_is_noticed_before_a_large_blob_is_written(target_folder, monkeypatch):
    data = os.urandom(4 << 20)
    with target_folder.open(create=True) as folder:
        with pytest.raises(_Killed):
            _upload_until(folder, data, 3 << 20)
        partial = _partial(target_folder, data).stat().st_size
        monkeypatch.setattr(type(folder.share), "space", lambda share: (len(data) - partial - 1, 1 << 30))
        with pytest.raises(NoSpace) as error:
            folder.upload(EDITOR, digest(data), len(data), data)
        assert code_of(error) == "distribution.folder_no_space"
        assert error.value.details["needed"] == len(data) - partial
        monkeypatch.setattr(type(folder.share), "space", lambda share: (len(data) - partial, 1 << 30))
        folder.upload(EDITOR, digest(data), len(data), data)


@pytest.mark.usefixtures("_small_blobs_are_resumed")
def test_uploads_of_one_blob_at_the_same_time_do_not_disturb_each_other(target_folder):
    data = os.urandom(8 << 20)
    errors: list[BaseException] = []

    def upload() -> None:
        try:
            with target_folder.open(create=True) as folder:
                folder.upload(EDITOR, digest(data), len(data), data)
        except BaseException as error:  # pylint: disable=broad-exception-caught
            errors.append(error)

    threads = [threading.Thread(target=upload) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with target_folder.open() as folder:
        assert folder.read_blob(EDITOR, digest(data), len(data)) == data
    assert os.listdir(target_folder.path / "blobs/sha256") == [digest(data)[7:]]


def test_upload_of_wrong_data_stores_nothing(target_folder):
    with target_folder.open(create=True) as folder:
        for source in (b"other data", b"short", b"longer than ten"):
            with pytest.raises(Corrupt) as error:
                folder.upload(EDITOR, digest(b"right data"), 10, source)
            assert code_of(error) == "distribution.layout_blob"
        assert folder.blob_size(EDITOR, digest(b"right data")) is None
    assert os.listdir(target_folder.path / "blobs/sha256") == []


def test_manifest_whose_blob_is_missing_is_refused(target_folder):
    artifact = Artifact()
    with target_folder.open(create=True) as folder:
        folder.upload(EDITOR, digest(artifact.config), len(artifact.config), artifact.config)
        with pytest.raises(Conflict) as error:
            folder.put_manifest(EDITOR, "1.0", artifact.manifest, MANIFEST)
        assert code_of(error) == "distribution.layout_incomplete"
        assert folder.tags(EDITOR) == []


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"config":1,"layers":[]}', b'{"manifests":{}}', b"[" * 100_000, b"{" * 3]
)
def test_bytes_that_are_no_manifest_are_refused(local, data):
    with local.open(create=True) as folder, pytest.raises(Corrupt) as error:
        folder.put_manifest(EDITOR, "1.0", data, MANIFEST)
    assert code_of(error) == "distribution.layout_manifest"


def test_deleting_a_tag_of_one_repository_keeps_the_other(target_folder):
    artifact = Artifact()
    with target_folder.open(create=True) as folder:
        artifact.push(folder, EDITOR, "1.0")
        artifact.push(folder, EDITOR, "latest")
        artifact.push(folder, "dmz/app/editor", "1.0")
        assert folder.delete_tag(EDITOR, "1.0")
        assert not folder.delete_tag(EDITOR, "1.0")
        assert folder.tags(EDITOR) == ["latest"]
        assert folder.delete_manifest(EDITOR, artifact.digest)
        assert not folder.delete_manifest(EDITOR, artifact.digest)
        assert folder.digest_of(EDITOR, artifact.digest) is None
        assert folder.digest_of("dmz/app/editor", "1.0") == artifact.digest
        assert folder.read_blob("dmz/app/editor", digest(artifact.layers[0]), 100) == artifact.layers[0]


def test_tag_that_moves_keeps_the_old_manifest_by_digest(local):
    old, new = Artifact(config=b"{}"), Artifact(config=b'{"new":1}')
    with local.open(create=True) as folder:
        old.push(folder, EDITOR, "current")
        new.push(folder, EDITOR, "current")
        assert folder.digest_of(EDITOR, "current") == new.digest
        assert folder.digest_of(EDITOR, old.digest) == old.digest
        old.push(folder, EDITOR, "current")
    assert len(index_of(local)["manifests"]) == 2


def test_referrers_are_found_by_subject_and_type(target_folder):
    layer = Artifact()
    details = Artifact(config=b"{}", layers=(b"icon",), subject=layer, artifact_type="application/x.details")
    signature = Artifact(
        config=b"{}", layers=(b"sig",), subject=layer, artifact_type="application/x.sig", annotations={"a": "b"}
    )
    with target_folder.open(create=True) as folder:
        layer.push(folder, EDITOR, "1.0")
        details.push(folder, EDITOR)
        signature.push(folder, EDITOR)
    with target_folder.open() as folder:
        assert {item.digest for item in folder.referrers(EDITOR, layer.digest)} == {details.digest, signature.digest}
        (found,) = folder.referrers(EDITOR, layer.digest, "application/x.sig")
        assert (found.digest, found.size, found.media_type) == (signature.digest, len(signature.manifest), MANIFEST)
        assert (found.artifact_type, dict(found.annotations)) == ("application/x.sig", {"a": "b"})
        assert folder.referrers("windows/app/other", layer.digest) == []
        assert folder.tags(EDITOR) == ["1.0"]


def test_referrers_of_the_fallback_tag_are_found(local):
    layer = Artifact()
    signature = Artifact(config=b"{}", layers=(b"sig",), subject=layer, artifact_type="application/x.sig")
    with local.open(create=True) as folder:
        layer.push(folder, EDITOR, "1.0")
        signature.push(folder, EDITOR)
        listing = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{"mediaType": MANIFEST, "digest": signature.digest, "size": len(signature.manifest)}],
        }
        folder.put_manifest(
            EDITOR, layer.digest.replace(":", "-"), json.dumps(listing).encode(), str(listing["mediaType"])
        )
        folder.delete_manifest(EDITOR, signature.digest)
        assert [item.digest for item in folder.referrers(EDITOR, layer.digest)] == [signature.digest]
        assert folder.digest_of(EDITOR, signature.digest) == signature.digest


def test_writers_at_the_same_time_lose_nothing(target_folder):
    errors: list[BaseException] = []

    def push(writer: int) -> None:
        try:
            with target_folder.open(create=True) as folder:
                for number in range(6):
                    Artifact(config=b'{"n":%d}' % (10 * writer + number)).push(
                        folder, f"windows/app/tool{writer}", f"{number}"
                    )
                folder.delete_tag(f"windows/app/tool{writer}", "0")
        except BaseException as error:  # pylint: disable=broad-exception-caught
            errors.append(error)

    threads = [threading.Thread(target=push, args=(writer,)) for writer in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with target_folder.open() as folder:
        for writer in range(3):
            assert folder.tags(f"windows/app/tool{writer}") == ["1", "2", "3", "4", "5"]


def test_lock_of_a_killed_process_is_removed_when_it_is_old(target_folder, monkeypatch):
    monkeypatch.setattr(share_lock, "WAIT", 0.3)
    with target_folder.open(create=True) as folder:
        Artifact().push(folder, EDITOR, "1.0")
        lock = target_folder.path / ".strata-index.lock"
        lock.write_bytes(b'{"host":"other","process":1,"token":"x"}')
        with pytest.raises(Conflict) as error:
            Artifact().push(folder, EDITOR, "2.0")
        assert code_of(error) == "distribution.folder_locked"
        os.utime(lock, (lock.stat().st_mtime - 100,) * 2)
        Artifact().push(folder, EDITOR, "2.0")
        assert folder.tags(EDITOR) == ["1.0", "2.0"]
    assert not lock.exists()


def test_holder_that_was_suspended_writes_nothing(local, monkeypatch):
    with local.open(create=True) as folder:
        Artifact().push(folder, EDITOR, "1.0")
        monkeypatch.setattr(share_lock, "HELD", -1.0)
        with pytest.raises(Conflict) as error:
            Artifact().push(folder, EDITOR, "2.0")
        assert code_of(error) == "distribution.folder_lock_lost"
        assert folder.tags(EDITOR) == ["1.0"]


def test_unused_blobs_are_removed_after_a_day(target_folder):
    kept, old, attached = Artifact(), Artifact(layers=(b"old", b"index")), Artifact(layers=(b"a",), subject=Artifact())
    orphan = Artifact(layers=(b"b",), subject=old)
    with target_folder.open(create=True) as folder:
        kept.push(folder, EDITOR, "1.0")
        old.push(folder, EDITOR, "0.9")
        attached.push(folder, EDITOR)
        orphan.push(folder, EDITOR)
        folder.upload(EDITOR, digest(b"lost"), 4, b"lost")
        folder.delete_tag(EDITOR, "0.9")
        assert folder.blob_size(EDITOR, digest(b"old")) == 3
        everything = [f"sha256:{name}" for name in os.listdir(target_folder.path / "blobs/sha256")]
        leftover = target_folder.path / "blobs/sha256/.strata-tmp-killed"
        leftover.write_bytes(b"half")
        os.utime(leftover, (1, 1))
        age(target_folder, *everything)
        Artifact(layers=(b"new",)).push(folder, EDITOR, "1.1")
        assert not leftover.exists()
        assert folder.blob_size(EDITOR, digest(b"lost")) is None
        assert folder.blob_size(EDITOR, digest(b"old")) is None
        assert folder.digest_of(EDITOR, old.digest) is None
        assert folder.digest_of(EDITOR, orphan.digest) is None
        assert folder.digest_of(EDITOR, attached.digest) == attached.digest
        assert folder.tags(EDITOR) == ["1.0", "1.1"]
        for blob in (*kept.blobs, *attached.blobs, b"new"):
            assert folder.blob_size(EDITOR, digest(blob)) == len(blob)


def test_nothing_is_removed_while_a_manifest_is_damaged(local):
    artifact = Artifact()
    with local.open(create=True) as folder:
        artifact.push(folder, EDITOR, "1.0")
        folder.upload(EDITOR, digest(b"lost"), 4, b"lost")
        age(local, *(digest(blob) for blob in (*artifact.blobs, artifact.manifest, b"lost")))
        (local.path / "blobs/sha256" / artifact.digest[7:]).write_bytes(b"damaged")
    with local.open() as folder:
        Artifact(layers=(b"new",)).push(folder, EDITOR, "2.0")
        assert folder.blob_size(EDITOR, digest(b"lost")) == 4


def test_repository_of_this_collection_is_refused(tmp_path):
    Repository.open(os.fspath(tmp_path / "repository"), create=True)
    for create in (False, True):
        with pytest.raises(InvalidInput) as error:
            Folder(LocalShare(os.fspath(tmp_path / "repository")), create=create)
        assert code_of(error) == "distribution.folder_is_repository"


def test_folder_with_other_files_is_refused(local):
    local.path.mkdir()
    (local.path / "lost+found").mkdir()
    (local.path / "invoices.txt").touch()
    with pytest.raises(InvalidInput) as error:
        local.open(create=True)
    assert code_of(error) == "distribution.folder_not_empty"


def test_read_only_folders_can_be_read_and_not_written(samba):
    name = uuid.uuid4().hex
    share = {
        side: SmbShare.at(samba.address(side, name), username=samba.username, password=samba.password)
        for side in ("data", "readonly")
    }
    with Folder(share["data"], create=True) as folder:
        Artifact().push(folder, EDITOR, "1.0")
    with Folder(share["readonly"]) as folder:
        assert folder.tags(EDITOR) == ["1.0"]
        assert folder.server_time() is None
        with pytest.raises(Unavailable) as error:
            Artifact().push(folder, EDITOR, "2.0")
        assert code_of(error) == "shares.denied"


def test_local_folder_that_cannot_be_written_is_an_error(local, monkeypatch):
    with local.open(create=True) as folder:
        Artifact().push(folder, EDITOR, "1.0")

        def denied(*_arguments, **_options):
            raise PermissionError(13, "Permission denied", "x")

        monkeypatch.setattr(LocalShare, "create", denied)
        monkeypatch.setattr(LocalShare, "create_new", denied)
        with pytest.raises(Unavailable) as error:
            folder.upload(EDITOR, digest(b"new"), 3, b"new")
        assert code_of(error) == "distribution.folder_read_only"
        with pytest.raises(Unavailable):
            folder.delete_tag(EDITOR, "1.0")


ENTRY = {"mediaType": MANIFEST, "digest": "sha256:" + "0" * 64, "size": 3}


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[]",
        b'{"manifests":1}',
        b'{"manifests":[1]}',
        b"[" * 100_000,
        json.dumps({"manifests": [ENTRY | {"size": -1}]}).encode(),
        json.dumps({"manifests": [ENTRY | {"digest": "sha256:../../etc/passwd"}]}).encode(),
        json.dumps({"manifests": [ENTRY | {"annotations": []}]}).encode(),
        json.dumps({"manifests": [ENTRY | {"annotations": {"org.opencontainers.image.ref.name": 1}}]}).encode(),
        b'{"manifests":[]}' + b" " * (33 << 20),
    ],
)
def test_damaged_index_is_refused(local, index):
    with local.open(create=True) as folder:
        Artifact().push(folder, EDITOR, "1.0")
    (local.path / "index.json").write_bytes(index)
    with local.open() as folder:
        for work in (
            lambda: folder.tags(EDITOR),
            lambda: folder.manifest(EDITOR, "1.0"),
            lambda: Artifact().push(folder, EDITOR, "2.0"),
        ):
            with pytest.raises(Corrupt) as error:
                work()
            assert code_of(error) == "distribution.layout_index"
    assert (local.path / "index.json").read_bytes() == index


def test_tag_with_two_manifests_is_refused_and_other_tags_work(local):
    first, second = Artifact(), Artifact(config=b"{}")
    with local.open(create=True) as folder:
        first.push(folder, EDITOR, "1.0")
        second.push(folder, EDITOR, "2.0")
        index = index_of(local)
        index["manifests"].append(
            {
                "mediaType": MANIFEST,
                "digest": second.digest,
                "size": len(second.manifest),
                "annotations": {"org.opencontainers.image.ref.name": f"{EDITOR}:1.0"},
            }
        )
        (local.path / "index.json").write_text(json.dumps(index))
        with pytest.raises(Corrupt):
            folder.digest_of(EDITOR, "1.0")
        assert folder.digest_of(EDITOR, "2.0") == second.digest


@pytest.mark.parametrize("content", [b"", b"{}", b'{"imageLayoutVersion":"2.0.0"}', b"[" * 5000])
def test_layout_of_another_version_is_refused(local, content):
    with local.open(create=True) as folder:
        Artifact().push(folder, EDITOR, "1.0")
    (local.path / "oci-layout").write_bytes(content)
    with pytest.raises(InvalidInput) as error:
        local.open()
    assert code_of(error) == "distribution.folder_version"


def test_entries_of_other_tools_are_kept(local):
    artifact = Artifact()
    with local.open(create=True) as folder:
        artifact.push(folder, EDITOR, "1.0")
        index = index_of(local)
        foreign = [
            {**ENTRY, "digest": artifact.digest, "size": len(artifact.manifest), "platform": {"os": "windows"}},
            {**ENTRY, "annotations": {"org.opencontainers.image.ref.name": "some-image", "x": "y"}},
        ]
        index["manifests"] += foreign
        index["annotations"] = {"owner": "other"}
        (local.path / "index.json").write_text(json.dumps(index))
        Artifact(config=b"{}").push(folder, EDITOR, "2.0")
        folder.delete_tag(EDITOR, "2.0")
    after = index_of(local)
    assert after["annotations"] == {"owner": "other"}
    assert all(item in after["manifests"] for item in foreign)


def test_names_that_no_registry_accepts_are_an_internal_error(local):
    with local.open(create=True) as folder:
        for repository, reference in (("Upper/case", "1.0"), ("../x", "1.0"), (EDITOR, "../x"), (EDITOR, "a:b")):
            with pytest.raises(StrataError):
                folder.digest_of(repository, reference)
