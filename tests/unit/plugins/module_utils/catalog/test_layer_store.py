# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer versions in the repository."""

from __future__ import annotations

import errno
import io
import os
import shutil
import signal
import struct
import subprocess
import zlib

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import layer_store
from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InvalidInput,
    NoSpace,
    NotFound,
)
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.layers.folder import (
    entries_from_folder,
    source_fingerprint,
)
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerReference, LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.repository import blobs
from ansible_collections.strata.layering.plugins.module_utils.repository.garbage_collection import collect
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.repository.verification import verify
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.expectations import raises


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def repository(tmp_path):
    return Repository.open(str(tmp_path / "repository"), create=True)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "files"
    (root / "Program Files/App").mkdir(parents=True)
    (root / "Program Files/App/app.exe").write_bytes(b"MZ" * 5000)
    (root / "readme.txt").write_bytes(b"hello")
    os.link(root / "readme.txt", root / "again.txt")
    (root / "link").symlink_to("Program Files")
    return root


def layer(version="1.0", **options):
    return LayerVersion("app", "My App", version, **options)


def entries(folder):
    return entries_from_folder(str(folder), delete=["Windows\\old.dll"])


def png():
    header = struct.pack(">IIBBBBB", 8, 8, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )


def test_layer_version_round_trip(repository, folder):
    reference = LayerReference("os", "Windows", "11", "sha256:" + "0" * 64)
    stored = layer_store.put_files(
        repository, layer(os_layer=reference, description="An app", priority=7), entries(folder), icon=png()
    )
    assert set(stored.blobs) == {"archive", "index", "icon"}
    assert stored.statistics == {"files": 3, "whiteouts": 1, "entries": 7, "bytes": 10005}
    for found in (
        layer_store.load_version(repository, stored.digest),
        stored_layers.find_version(repository, "app", "My App", "1.0"),
        stored_layers.versions(repository)[0],
    ):
        assert found == stored
    assert [record.entry for record in stored_layers.records(repository, stored)] == [
        entry for entry, _opener in entries(folder)
    ]
    with stored_layers.open_archive(repository, stored) as archive:
        contents = {entry.path: b"".join(part.read() for _name, _size, part in parts) for entry, parts in archive}
    assert contents["Program Files/App/app.exe"] == b"MZ" * 5000
    assert contents["again.txt"] == b"hello"
    assert verify(repository) == []
    assert collect(repository, grace=-60).blobs == []


def test_same_folder_gives_same_digest(repository, folder, tmp_path):
    first = layer_store.put_files(repository, layer(), entries(folder))
    second = layer_store.put_files(Repository.open(str(tmp_path / "other"), create=True), layer(), entries(folder))
    assert first.digest == second.digest
    assert first.content_digest == source_fingerprint(entries(folder))
    (folder / "readme.txt").write_bytes(b"world")
    third = layer_store.put_files(repository, layer("1.1"), entries(folder))
    assert third.content_digest == source_fingerprint(entries(folder)) != first.content_digest


def test_entry_with_all_metadata_round_trip(repository):
    entry = Entry(
        "a", "file", 0x20, 1, 2, 3, 4, b"SD", "A~1", 4, streams=[("s", 2)], object_id=bytes(16), sparse=[(2, 2)]
    )
    parts = {"": b"\0\0ab", "s": b"xy"}
    stored = layer_store.put_files(repository, layer(), [(entry, lambda name: io.BytesIO(parts[name]))])
    with stored_layers.open_archive(repository, stored) as archive:
        assert [(found, {name: part.read() for name, _size, part in contents}) for found, contents in archive] == [
            (entry, parts)
        ]


def test_versions_are_listed_in_natural_order(repository, folder):
    for version in ("1.10", "1.9", "1.0-rc1", "1.0"):
        layer_store.put_files(repository, layer(version), entries(folder))
    assert [found.version for found in stored_layers.versions(repository, "app", "My App")] == [
        "1.0-rc1",
        "1.0",
        "1.9",
        "1.10",
    ]
    assert stored_layers.versions(repository, "os") == []
    assert stored_layers.find_version(repository, "app", "my app", "1.0") is None
    assert layer_store.remove_version(repository, "app", "My App", "1.9")
    assert not layer_store.remove_version(repository, "app", "My App", "1.9")
    assert collect(repository, grace=-60).freed > 0
    assert [found.version for found in stored_layers.versions(repository)] == ["1.0-rc1", "1.0", "1.10"]
    assert verify(repository) == []


def test_killed_process_leaves_only_temporary_files(repository, folder):
    child = os.fork()
    if not child:
        try:
            layer_store.put_files(
                repository,
                layer(),
                entries(folder),
                progress=lambda *step: step[1] > 5 and os.kill(os.getpid(), signal.SIGKILL),
            )
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    assert repository.layout.blobs.digests() == []
    assert repository.layout.references() == {}
    assert len(os.listdir(os.path.join(repository.path, "tmp"))) == 2
    assert collect(repository, grace=-60).temporaries == 2
    assert layer_store.put_files(repository, layer(), entries(folder)).digest
    assert os.listdir(os.path.join(repository.path, "tmp")) == os.listdir(os.path.join(repository.path, "pins")) == []


def test_failed_store_leaves_no_files(repository, folder, monkeypatch):
    found = entries(folder)
    (folder / "readme.txt").write_bytes(b"longer than before")
    with raises(InvalidInput, "layers.changed"):
        layer_store.put_files(repository, layer(), found)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(blobs.os, "fsync", full)
    with pytest.raises(NoSpace):
        layer_store.put_files(repository, layer(), entries(folder))
    assert repository.layout.blobs.digests() == []
    assert os.listdir(os.path.join(repository.path, "tmp")) == []


@pytest.mark.parametrize("role", ["archive", "index"])
def test_damaged_blob_is_reported(repository, folder, role):
    stored = layer_store.put_files(repository, layer(), entries(folder))
    path = repository.layout.blobs.path(stored.blobs[role].digest)
    with open(path, "r+b") as stream:
        stream.seek(-3, os.SEEK_END)  # in the frame's checksum or last block: the contents may still unpack
        stream.write(b"\xaa\xbb\xcc")
    with pytest.raises(Corrupt):
        if role == "index":
            stored_layers.records(repository, stored)
        else:
            with stored_layers.open_archive(repository, stored) as archive:
                for _entry, _contents in archive:
                    pass


def test_missing_role_is_reported(repository, folder):
    stored = layer_store.put_files(repository, layer(), entries(folder))
    with raises(NotFound, "catalog.layer_role_missing"):
        layer_store.role_blob(stored, "disk")


@pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")
def test_layer_copied_by_skopeo_is_unchanged(repository, folder, tmp_path):
    stored = layer_store.put_files(repository, layer(), entries(folder), icon=png())
    other = Repository.open(str(tmp_path / "other"), create=True)
    name = layer_store.layer_reference_name("app", "My App", "1.0")
    subprocess.run(
        ["skopeo", "copy", f"oci:{repository.path}:{name}", f"oci:{other.path}:{name}"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert stored_layers.find_version(other, "app", "My App", "1.0") == stored
    assert verify(other) == []
