# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs are whole or absent, and reading a damaged blob raises an error."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import signal

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InternalError,
    NoSpace,
    NotFound,
)
from ansible_collections.strata.layering.plugins.module_utils.repository import blobs as blobs_module
from ansible_collections.strata.layering.plugins.module_utils.repository.blobs import Descriptor, check_digest
from ansible_collections.strata.layering.tests.support.expectations import raises

TYPE = "application/octet-stream"
BIG = bytes(range(256)) * 8192  # 2 MiB: large enough to be remembered


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def temporaries(repository):
    return os.listdir(os.path.join(repository.path, "tmp"))


@pytest.mark.parametrize("data", [b"", b"abc", BIG])
def test_put_blob_can_be_read(repository, data):
    blobs = repository.layout.blobs
    for source in (data, io.BytesIO(data)):
        assert blobs.put(source, TYPE) == Descriptor(TYPE, digest_of(data), len(data))
    with blobs.open(digest_of(data)) as stream:
        assert stream.read() == data
    assert blobs.digests() == [digest_of(data)]
    assert temporaries(repository) == []


def test_writer_leaves_nothing_when_its_block_raises(repository):
    with pytest.raises(RuntimeError), repository.layout.blob_writer(TYPE) as writer:
        writer.write(b"half")
        raise RuntimeError
    with raises(InternalError, "repository.blob_unfinished"):
        assert writer.descriptor
    assert repository.layout.blobs.digests() == []
    assert temporaries(repository) == []


def test_killed_writer_leaves_only_a_temporary_file(repository):
    child = os.fork()
    if not child:
        with repository.layout.blob_writer(TYPE) as writer:
            writer.write(BIG)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert repository.layout.blobs.digests() == []
    assert len(temporaries(repository)) == 1


def test_full_disk_raises_no_space_and_leaves_nothing(repository, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(blobs_module.os, "fsync", full)
    with raises(NoSpace, "repository.no_space"):
        repository.layout.put_blob(BIG, TYPE)
    assert repository.layout.blobs.digests() == []
    assert temporaries(repository) == []


def test_put_refuses_data_with_another_digest_than_expected(repository):
    with raises(Corrupt, "repository.digest_mismatch"):
        repository.layout.put_blob(b"other", TYPE, expected=digest_of(b"expected"))
    assert repository.layout.blobs.digests() == []
    repository.layout.put_blob(b"expected", TYPE, expected=digest_of(b"expected"))


def test_existing_blob_is_not_written_again(repository):
    for data in (b"small", BIG):
        digest = repository.layout.put_blob(data, TYPE).digest
        path = repository.layout.blobs.path(digest)
        os.utime(path, (1, 1))
        repository.layout.blobs.verify(digest)
        inode = os.stat(path).st_ino
        repository.layout.put_blob(io.BytesIO(data) if data is BIG else data, TYPE)
        assert os.stat(path).st_ino == inode
        assert os.stat(path).st_mtime > 1  # as if it were stored now


def test_put_replaces_a_damaged_blob(repository):
    for data in (b"small", BIG):
        digest = repository.layout.put_blob(data, TYPE).digest
        with open(repository.layout.blobs.path(digest), "r+b") as stream:
            stream.write(b"X")
        repository.layout.put_blob(data, TYPE)
        repository.layout.blobs.verify(digest)


@pytest.mark.parametrize("data", [b"small content", BIG])
@pytest.mark.parametrize("step", [7, 65536, -1])
def test_read_damaged_blob_raises_corrupt(repository, data, step):
    descriptor = repository.layout.put_blob(data, TYPE)
    path = repository.layout.blobs.path(descriptor.digest)
    damaged = bytearray(data)
    damaged[-1] ^= 1
    with open(path, "wb") as stream:
        stream.write(damaged)

    def read_all():
        with repository.layout.open_blob(descriptor) as stream:
            count = 0
            while count < len(data):  # a reader that stops at the expected size must get the error, too
                count += len(stream.read(step if step > 0 else len(data)))

    with raises(Corrupt, "repository.blob_corrupt"):
        read_all()
    with pytest.raises(Corrupt):
        repository.layout.blob_path(descriptor)
    with pytest.raises(Corrupt):
        repository.layout.blobs.read(descriptor, 1 << 30)


@pytest.mark.parametrize("length", [0, 1000, len(BIG) - 1, len(BIG) + 1])
def test_open_blob_of_wrong_size_raises_corrupt(repository, length):
    descriptor = repository.layout.put_blob(BIG, TYPE)
    os.truncate(repository.layout.blobs.path(descriptor.digest), length)
    with raises(Corrupt, "repository.blob_corrupt"):
        repository.layout.open_blob(descriptor)
    with pytest.raises(Corrupt), repository.layout.open_blob(descriptor.digest) as stream:
        while stream.read(65536):
            pass


def test_verified_blob_is_hashed_once(repository, monkeypatch):
    descriptor = repository.layout.put_blob(BIG, TYPE)
    calls = []
    monkeypatch.setattr(blobs_module.Blobs, "verify", lambda self, digest, progress=None: calls.append(digest))
    repository.layout.blob_path(descriptor)
    assert not calls  # this host wrote it
    path = repository.layout.blobs.path(descriptor.digest)
    status = os.stat(path)
    with open(path, "r+b") as stream:
        stream.write(b"X")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # only the change time differs
    repository.layout.blob_path(descriptor)
    assert calls == [descriptor.digest]


def test_blob_is_verified_if_the_cache_folder_cannot_be_written(repository, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    descriptor = repository.layout.put_blob(BIG, TYPE)
    assert repository.layout.blob_path(descriptor) == repository.layout.blobs.path(descriptor.digest)


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256:",
        "sha256:" + "A" * 64,
        "sha256:" + "0" * 63,
        "sha512:" + "0" * 64,
        "sha256:../" + "0" * 61,
        "sha256:" + "0" * 64 + "\n",
        None,
        7,
    ],
)
def test_malformed_digest_is_an_internal_error(repository, digest):
    with raises(InternalError, "repository.digest"):
        check_digest(digest)
    with raises(InternalError, "repository.digest"):
        repository.layout.has(digest)


def test_open_missing_blob_raises_not_found(repository):
    with raises(NotFound, "repository.blob_missing"):
        repository.layout.open_blob("sha256:" + "0" * 64)


def test_read_refuses_a_blob_larger_than_the_bound(repository):
    descriptor = repository.layout.put_blob(BIG, TYPE)
    with raises(Corrupt, "repository.blob_corrupt"):
        repository.layout.blobs.read(descriptor, 1000)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"mediaType": "a/b", "digest": digest_of(b""), "size": -1},
        {"mediaType": "a/b", "digest": digest_of(b""), "size": True},
        {"mediaType": "a", "digest": digest_of(b""), "size": 1},
        {"mediaType": "a/b", "digest": "sha256:x", "size": 1},
    ],
)
def test_malformed_descriptor_raises_corrupt(value):
    with raises(Corrupt, "repository.manifest"):
        Descriptor.from_json(value)
