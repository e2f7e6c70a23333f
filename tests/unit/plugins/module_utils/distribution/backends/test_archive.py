# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A single file with layers: writing in one pass, reading at positions, and files that must be refused."""

from __future__ import annotations

import io
import json
import os
import tarfile
import uuid
from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    Corrupt,
    NotFound,
    StrataError,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends import archive_members
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends.archive import Archive
from ansible_collections.strata.layering.plugins.module_utils.layers import tar
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import Uploaded
from ansible_collections.strata.layering.plugins.module_utils.shares.local import LocalShare
from ansible_collections.strata.layering.plugins.module_utils.shares.smb import SmbShare
from ansible_collections.strata.layering.tests.support.oci_artifacts import MANIFEST, Artifact, digest

EDITOR = "windows/app/editor"
_NAME = "export/layers.tar"


@pytest.fixture(params=["local", "smb"])
def export(request, tmp_path):
    """A file of each kind: ``open`` opens it, ``path`` is its path on this host."""
    if request.param == "local":
        return _local(tmp_path)
    samba = request.getfixturevalue("samba")
    name = uuid.uuid4().hex

    def smb(**options):
        share = SmbShare.at(samba.address(path=name), username=samba.username, password=samba.password)
        return Archive(share, _NAME, **options)

    return SimpleNamespace(path=samba.path / name / _NAME, open=smb)


def _local(folder):
    return SimpleNamespace(
        path=folder / _NAME, open=lambda **options: Archive(LocalShare(os.fspath(folder)), _NAME, **options)
    )


@pytest.fixture
def local(tmp_path):
    """A local file."""
    return _local(tmp_path)


def test_export_and_import_return_the_same_bytes(export, tmp_path):
    big = os.urandom(3_000_000)
    source = tmp_path / "blob"
    source.write_bytes(big)
    layer = Artifact(layers=(big, b"index"))
    details = Artifact(config=b"{}", layers=(b"icon",), subject=layer, artifact_type="application/x.details")
    with export.open(create=True) as archive:
        assert archive.tags(EDITOR) == []
        assert archive.upload(EDITOR, digest(big), len(big), os.fspath(source)) is Uploaded.SENT
        layer.push(archive, EDITOR, "1.0")
        details.push(archive, EDITOR)
        assert archive.digest_of(EDITOR, "1.0") == layer.digest
        assert not export.path.exists()
    with export.open() as archive:
        found = archive.manifest(EDITOR, "1.0")
        assert found is not None
        assert (found.data, found.digest, found.media_type) == (layer.manifest, layer.digest, MANIFEST)
        assert [item.digest for item in archive.referrers(EDITOR, layer.digest)] == [details.digest]
        target = tmp_path / "target"
        target.write_bytes(big[:1_500_000])
        archive.download(EDITOR, digest(big), len(big), os.fspath(target))
        assert target.read_bytes() == big
        assert archive.read_blob(EDITOR, digest(b"icon"), 10) == b"icon"
        assert archive.upload(EDITOR, digest(big), len(big), b"") is Uploaded.PRESENT
        with pytest.raises(NotFound):
            archive.read_blob(EDITOR, digest(b"other"), 10)
    assert os.listdir(export.path.parent) == [export.path.name]


def test_tarfile_reads_the_file(local):
    with local.open(create=True) as archive:
        Artifact().push(archive, EDITOR, "1.0")
    with tarfile.open(local.path) as opened:
        members = opened.getmembers()
        assert [member.name for member in members[:4]] == ["oci-layout", "index.json", "blobs", "blobs/sha256"]
        for member in members[4:]:
            stream = opened.extractfile(member)
            assert stream is not None
            assert digest(stream.read()) == f"sha256:{member.name.rpartition('/')[2]}"
        assert {(member.mtime, member.uid, member.uname) for member in members} == {(0, 0, "")}


def test_equal_content_gives_an_equal_file(tmp_path):
    artifacts = [Artifact(config=b'{"n":%d}' % number) for number in range(4)]
    files = []
    for order in (artifacts, artifacts[::-1]):
        export = _local(tmp_path / str(len(files)))
        with export.open(create=True) as archive:
            for artifact in order:
                artifact.push(archive, EDITOR, f"v{artifacts.index(artifact)}")
        files.append(export.path.read_bytes())
    assert files[0] == files[1]


def test_second_export_keeps_what_is_there_and_writes_only_changes(export):
    first, second = Artifact(), Artifact(config=b"{}", layers=(b"archive", b"second"))
    with export.open(create=True) as archive:
        first.push(archive, EDITOR, "1.0")
    before = export.path.stat()
    with export.open(create=True) as archive:
        first.push(archive, EDITOR, "1.0")
        second.push(archive, EDITOR, "claim")
        archive.delete_tag(EDITOR, "claim")
    assert (export.path.stat().st_ino, export.path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    with export.open(create=True) as archive:
        second.push(archive, EDITOR, "2.0")
    with export.open() as archive:
        assert archive.tags(EDITOR) == ["1.0", "2.0"]
        for blob in (*first.blobs, *second.blobs):
            assert archive.read_blob(EDITOR, digest(blob), 100) == blob
    with export.open() as archive:
        assert archive.delete_manifest(EDITOR, first.digest)
    with export.open() as archive:
        assert archive.tags(EDITOR) == ["2.0"]
        assert archive.blob_size(EDITOR, digest(b"index")) is None
        assert archive.blob_size(EDITOR, digest(b"archive")) == len(b"archive")


def test_failed_export_leaves_the_file_as_it_was(export, tmp_path):
    with export.open(create=True) as archive:
        Artifact().push(archive, EDITOR, "1.0")
    before = export.path.read_bytes()
    with pytest.raises(RuntimeError), export.open() as archive:
        Artifact(config=b"{}").push(archive, EDITOR, "2.0")
        raise RuntimeError
    source = tmp_path / "blob"
    source.write_bytes(b"right")
    with pytest.raises(Corrupt) as error, export.open() as archive:
        archive.upload(EDITOR, digest(b"right"), 5, os.fspath(source))
        Artifact(layers=(b"right",)).push(archive, EDITOR, "2.0")
        source.write_bytes(b"wrong")
    assert error.value.code == "distribution.layout_blob"
    assert export.path.read_bytes() == before
    assert os.listdir(export.path.parent) == [export.path.name]


def test_manifest_whose_blob_is_missing_is_refused(local):
    with pytest.raises(Conflict) as error, local.open(create=True) as archive:
        archive.put_manifest(EDITOR, "1.0", Artifact().manifest, MANIFEST)
    assert error.value.code == "distribution.layout_incomplete"
    assert not local.path.exists()


def test_missing_file_is_an_error_without_create(local):
    with pytest.raises(NotFound) as error:
        local.open()
    assert error.value.code == "distribution.archive_missing"


def test_file_that_changes_while_it_is_read_is_refused(local):
    with local.open(create=True) as archive:
        Artifact().push(archive, EDITOR, "1.0")
    with local.open() as reader:
        with local.open() as archive:
            Artifact(config=b"{}").push(archive, EDITOR, "2.0")
        with pytest.raises(Corrupt) as error:
            reader.read_blob(EDITOR, digest(b"archive"), 100)
        assert error.value.code == "distribution.archive_changed"


def test_damaged_blob_is_refused(local, tmp_path):
    with local.open(create=True) as archive:
        Artifact(layers=(b"unmistakable",)).push(archive, EDITOR, "1.0")
    local.path.write_bytes(local.path.read_bytes().replace(b"unmistakable", b"unmistakAble"))
    with local.open() as archive:
        with pytest.raises(Corrupt):
            archive.read_blob(EDITOR, digest(b"unmistakable"), 100)
        with pytest.raises(Corrupt):
            archive.download(EDITOR, digest(b"unmistakable"), 12, os.fspath(tmp_path / "target"))
        assert not (tmp_path / "target").exists()
    with pytest.raises(Corrupt), local.open() as archive:
        Artifact(config=b"{}").push(archive, EDITOR, "2.0")


def layout(*members: tarfile.TarInfo | tuple[str, bytes], tar_format: int = tarfile.GNU_FORMAT) -> bytes:
    """Return a tar file with an empty layout and more members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tar_format) as opened:
        standard = [("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", b'{"manifests":[]}')]
        for member in (*standard, *members):
            if isinstance(member, tarfile.TarInfo):
                opened.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                opened.addfile(info, io.BytesIO(member[1]))
    return stream.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_formats_of_tar_are_read(local, tar_format):
    blob = b"x" * 1000
    local.path.parent.mkdir()
    long_name = "extra/" + "n" * 90 + ("ä" * 50 if tar_format != tarfile.USTAR_FORMAT else "")
    local.path.write_bytes(
        layout(
            member("blobs", tarfile.DIRTYPE),
            (long_name, b"ignored"),
            ("./blobs/sha256/" + digest(blob)[7:], blob),
            tar_format=tar_format,
        )
    )
    with local.open() as archive:
        assert archive.read_blob(EDITOR, digest(blob), 1000) == blob


def _flipped(data: bytes) -> bytes:
    return data[:3] + b"X" + data[4:]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a tar file" * 100,
        bytes(10240),
        layout()[:700],
        layout(("blobs/sha256/x", bytes(5000)))[:3000],
        _flipped(layout()),
        layout(member("blobs/sha256/" + "0" * 64, tarfile.SYMTYPE, "/etc/passwd")),
        layout(member("blobs/sha256/" + "0" * 64, tarfile.LNKTYPE, "index.json")),
        layout(member("device", tarfile.CHRTYPE)),
        layout(("/blobs/x", b"")),
        layout(("../x", b"")),
        layout(("blobs/../../x", b"")),
        layout(("a\\b", b"")),
        layout(("index.json", b'{"manifests":[]}')),
        layout(("./index.json", b'{"manifests":[]}')),
        layout(("x" * 2000, b"")),
        layout()[:1024] + bytes(1024),
    ],
)
def test_hostile_and_damaged_files_are_refused(local, data):
    local.path.parent.mkdir()
    local.path.write_bytes(data)
    with pytest.raises(Corrupt) as error:
        local.open()
    assert error.value.code == "distribution.archive"
    assert local.path.read_bytes() == data


@pytest.mark.parametrize(
    "index", [b"[]", b'{"manifests":[{"digest":"sha256:x"}]}', b"[" * 100_000, b'{"manifests":[{}]}']
)
def test_damaged_index_is_refused(local, index):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as opened:
        for name, data in (("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", index)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))
    local.path.parent.mkdir()
    local.path.write_bytes(stream.getvalue())
    with pytest.raises(Corrupt) as error:
        local.open()
    assert error.value.code == "distribution.layout_index"


@pytest.mark.parametrize("magic", [b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"])
def test_compressed_file_is_refused(local, magic):
    local.path.parent.mkdir()
    local.path.write_bytes(magic + bytes(2000))
    with pytest.raises(Unsupported) as error:
        local.open()
    assert error.value.code == "distribution.archive_compressed"


def test_flipped_bytes_raise_only_errors_of_the_collection(local):
    with local.open(create=True) as archive:
        Artifact().push(archive, EDITOR, "1.0")
    data = local.path.read_bytes()
    for position in range(0, 1024 + 512, 7):
        local.path.write_bytes(data[:position] + bytes([data[position] ^ 0x41]) + data[position + 1 :])
        try:
            with local.open() as archive:
                archive.manifest(EDITOR, "1.0")
        except StrataError:
            pass


def test_member_of_more_than_8_gib_has_a_size_that_tar_reads():
    size = (9 << 30) + 5
    header = archive_members.member_header("blobs/sha256/" + "0" * 64, size)
    with tarfile.open(fileobj=io.BytesIO(header + tar.END)) as opened:
        assert opened.next().size == size

    class Sparse(io.BytesIO):
        """A file of the size of the member, of which only the start has data."""

        def seek(self, offset, whence=0):
            if whence == io.SEEK_END:
                return len(header) + size + 2000
            return super().seek(offset, whence)

    members = archive_members.read_members(Sparse(header), "x")
    assert members == {"blobs/sha256/" + "0" * 64: archive_members.Member(len(header), size)}


def test_index_of_archive_is_that_of_a_folder(local):
    with local.open(create=True) as archive:
        Artifact().push(archive, EDITOR, "1.0")
    with tarfile.open(local.path) as opened:
        stream = opened.extractfile("index.json")
        assert stream is not None
        (entry,) = json.loads(stream.read())["manifests"]
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": f"{EDITOR}:1.0"}
