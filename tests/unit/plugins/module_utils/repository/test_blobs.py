# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blobs are whole or absent, and nobody reads a damaged one without hearing of it."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import signal

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InvalidInput,
    NoSpace,
    NotFound,
)
from ansible_collections.strata.layering.plugins.module_utils.repository import blobs as workspace
from ansible_collections.strata.layering.plugins.module_utils.repository.blobs import Descriptor, check_digest

TYPE = "application/octet-stream"
BIG = bytes(range(256)) * 8192  # 2 MiB: worth remembering


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def temporaries(repository):
    return os.listdir(os.path.join(repository.path, "tmp"))


@pytest.mark.parametrize("data", [b"", b"abc", BIG])
def test_put_and_open(repository, data):
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
    assert writer.descriptor is None
    assert repository.layout.blobs.digests() == [] and temporaries(repository) == []


def test_killed_writer_leaves_only_a_temporary_file(repository):
    child = os.fork()
    if not child:
        with repository.layout.blob_writer(TYPE) as writer:
            writer.write(BIG)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert repository.layout.blobs.digests() == []
    assert len(temporaries(repository)) == 1


def test_full_disk_is_a_clear_error(repository, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(workspace.os, "fsync", full)
    with pytest.raises(NoSpace, match="No space is left in the repository"):
        repository.layout.put_blob(BIG, TYPE)
    assert repository.layout.blobs.digests() == [] and temporaries(repository) == []


def test_expected_digest(repository):
    with pytest.raises(Corrupt, match="has the digest"):
        repository.layout.put_blob(b"other", TYPE, expected=digest_of(b"wanted"))
    assert repository.layout.blobs.digests() == []
    repository.layout.put_blob(b"wanted", TYPE, expected=digest_of(b"wanted"))


def test_an_existing_sound_blob_is_not_written_again(repository):
    for data in (b"small", BIG):
        digest = repository.layout.put_blob(data, TYPE).digest
        path = repository.layout.blobs.path(digest)
        os.utime(path, (1, 1))
        repository.layout.blobs.verify(digest)
        inode = os.stat(path).st_ino
        repository.layout.put_blob(io.BytesIO(data) if data is BIG else data, TYPE)
        assert os.stat(path).st_ino == inode
        assert os.stat(path).st_mtime > 1  # young again


def test_putting_a_damaged_blob_again_cures_it(repository):
    for data in (b"small", BIG):
        digest = repository.layout.put_blob(data, TYPE).digest
        with open(repository.layout.blobs.path(digest), "r+b") as stream:
            stream.write(b"X")
        repository.layout.put_blob(data, TYPE)
        repository.layout.blobs.verify(digest)


@pytest.mark.parametrize("data", [b"small content", BIG])
@pytest.mark.parametrize("step", [7, 65536, -1])
def test_damage_is_found_while_reading(repository, data, step):
    descriptor = repository.layout.put_blob(data, TYPE)
    path = repository.layout.blobs.path(descriptor.digest)
    damaged = bytearray(data)
    damaged[-1] ^= 1
    with open(path, "wb") as stream:
        stream.write(damaged)

    def read_all():
        with repository.layout.open_blob(descriptor) as stream:
            count = 0
            while count < len(data):  # a reader that stops at the size it expects must hear of it too
                count += len(stream.read(step if step > 0 else len(data)))

    with pytest.raises(Corrupt, match="does not have the content"):
        read_all()
    with pytest.raises(Corrupt):
        repository.layout.blob_path(descriptor)
    with pytest.raises(Corrupt):
        repository.layout.blobs.read(descriptor, 1 << 30)


@pytest.mark.parametrize("length", [0, 1000, len(BIG) - 1, len(BIG) + 1])
def test_wrong_size_is_found(repository, length):
    descriptor = repository.layout.put_blob(BIG, TYPE)
    os.truncate(repository.layout.blobs.path(descriptor.digest), length)
    with pytest.raises(Corrupt, match="bytes instead of"):
        repository.layout.open_blob(descriptor)
    with pytest.raises(Corrupt), repository.layout.open_blob(descriptor.digest) as stream:
        while stream.read(65536):
            pass


def test_a_verified_blob_is_hashed_once(repository, monkeypatch):
    descriptor = repository.layout.put_blob(BIG, TYPE)
    calls = []
    monkeypatch.setattr(workspace.Blobs, "verify", lambda self, digest, progress=None: calls.append(digest))
    repository.layout.blob_path(descriptor)
    assert not calls  # this host wrote it
    path = repository.layout.blobs.path(descriptor.digest)
    status = os.stat(path)
    with open(path, "r+b") as stream:
        stream.write(b"X")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # only the change time tells
    repository.layout.blob_path(descriptor)
    assert calls == [descriptor.digest]


def test_a_home_that_cannot_be_written_only_costs_time(repository, monkeypatch):
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
def test_digests_are_checked(repository, digest):
    with pytest.raises(InvalidInput):
        check_digest(digest)
    with pytest.raises(InvalidInput):
        repository.layout.has(digest)


def test_missing_blob(repository):
    with pytest.raises(NotFound, match="is missing"):
        repository.layout.open_blob("sha256:" + "0" * 64)


def test_small_reads_are_bounded(repository):
    descriptor = repository.layout.put_blob(BIG, TYPE)
    with pytest.raises(Corrupt, match="larger than"):
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
def test_untrusted_descriptors(value):
    with pytest.raises(Corrupt):
        Descriptor.from_json(value)
