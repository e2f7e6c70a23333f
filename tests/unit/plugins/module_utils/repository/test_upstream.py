# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository with a registry of record: its marker, blobs that are fetched on first use, and the cache."""

from __future__ import annotations

import json
import os
import threading

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InternalError,
    NotFound,
    Unavailable,
)
from ansible_collections.strata.layering.plugins.module_utils.repository import blobs as blobs_module
from ansible_collections.strata.layering.plugins.module_utils.repository.blobs import Descriptor
from ansible_collections.strata.layering.plugins.module_utils.repository.cache import CacheBounds, evict
from ansible_collections.strata.layering.plugins.module_utils.repository.garbage_collection import collect
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import MARKER, Repository
from ansible_collections.strata.layering.plugins.module_utils.repository.upstream import UpstreamSettings
from ansible_collections.strata.layering.plugins.module_utils.repository.verification import missing_upstream, verify
from ansible_collections.strata.layering.tests.support.expectations import raises
from ansible_collections.strata.layering.tests.support.upstreams import UpstreamInMemory

SETTINGS = UpstreamSettings(registry="registry.example.com/windows", verify_keys=("/etc/strata/key.pem",))
SIZE = blobs_module.MIN_CACHED


def marker(repository):
    with open(os.path.join(repository.path, MARKER), encoding="utf-8") as stream:
        return json.load(stream)


@pytest.fixture
def upstream():
    return UpstreamInMemory()


@pytest.fixture
def shared(repository, upstream):
    """A repository with a registry of record."""
    repository.set_upstream(SETTINGS)
    repository = Repository.open(repository.path)
    repository.attach(upstream)
    return repository


def put(shared, *contents, reference="layers/app/Editor/1.0"):
    """Store a manifest with these blobs here and upstream; return the digests of the blobs."""
    layout = shared.layout
    config = layout.put_blob(b"{}", "application/json")
    listed = [layout.put_blob(content, "application/zstd") for content in contents]
    layout.put_manifest(config, listed, reference=reference)
    for blob, content in zip(listed, contents):
        shared.upstream.blobs[blob.digest] = content
    return [blob.digest for blob in listed]


def drop(shared, *digests):
    for digest in digests:
        shared.layout.blobs.remove(digest)


def age(shared, digest, seconds):
    """Let a blob be unused for some seconds."""
    for path in (shared.layout.blobs.path(digest), os.path.join(shared.path, "uses", digest[7:])):
        if os.path.exists(path):
            moment = os.stat(path).st_mtime - seconds
            os.utime(path, (moment, moment))


def test_marker_without_upstream_keeps_its_bytes(repository):
    before = marker(repository)
    assert before == {"format": "strata.layering.repository", "schema_version": 1}
    assert repository.set_upstream(SETTINGS)
    assert not repository.set_upstream(SETTINGS)
    assert repository.set_upstream(None)
    assert marker(repository) == before


def test_marker_with_upstream_is_refused_by_older_collections_and_read_by_this_one(repository):
    repository.set_upstream(SETTINGS)
    assert marker(repository)["schema_version"] == 2
    assert Repository.open(repository.path).upstream_settings == SETTINGS


def test_marker_keeps_fields_of_newer_collections(repository):
    settings = UpstreamSettings(file_share="//server/share", unrecognized={"mirrors": ["a"]})
    repository.set_upstream(settings)
    assert marker(repository)["upstream"] == {"file_share": "//server/share", "mirrors": ["a"]}
    assert Repository.open(repository.path).upstream_settings == settings


@pytest.mark.parametrize(
    "upstream",
    [
        None,
        {},
        {"registry": ""},
        {"registry": "a", "file_share": "b"},
        {"registry": "a", "flat": 1},
        {"registry": "a", "signatures": "never"},
        {"registry": "a", "cache_days": -1},
        {"registry": "a", "verify_keys": [1]},
    ],
)
def test_damaged_upstream_is_reported(repository, upstream):
    with open(os.path.join(repository.path, MARKER), "w", encoding="utf-8") as stream:
        json.dump({"format": "strata.layering.repository", "schema_version": 2, "upstream": upstream}, stream)
    with raises(Corrupt, "repository.marker"):
        Repository.open(repository.path)


def test_change_without_the_attached_upstream_is_refused(repository):
    repository.set_upstream(SETTINGS)
    with raises(InternalError, "repository.upstream_detached"):
        Repository.open(repository.path).shared_upstream()
    assert repository.shared_upstream() is None


def test_missing_blob_is_fetched_on_first_use(shared, upstream):
    (first, second, third) = put(shared, b"a" * SIZE, b"b" * 100, b"c" * 200)
    drop(shared, first, second, third)
    assert shared.layout.size(first) == SIZE
    assert not upstream.calls
    assert shared.layout.blobs.read(second, 1000) == b"b" * 100
    with shared.layout.open_blob(first) as stream:
        assert stream.read() == b"a" * SIZE
    with open(shared.layout.blob_path(third), "rb") as stream:
        assert stream.read() == b"c" * 200
    assert [call[0] for call in upstream.calls] == ["fetch"] * 3
    assert shared.layout.has(first)
    assert not os.listdir(os.path.join(shared.path, "tmp"))


def test_blob_that_no_layer_lists_is_missing(shared, upstream):
    (digest,) = put(shared, b"grains", reference="image/" + "0" * 64)
    drop(shared, digest)
    with raises(NotFound, "repository.blob_missing"):
        shared.layout.open_blob(digest)
    assert not upstream.calls


def test_blob_is_missing_when_the_upstream_is_offline(shared, upstream):
    (digest,) = put(shared, b"archive")
    drop(shared, digest)
    upstream.offline = True
    with raises(Unavailable, "oci_registry.connection"):
        shared.layout.open_blob(digest)
    upstream.offline = False
    assert shared.layout.blobs.read(digest, 100) == b"archive"


def test_blob_of_another_size_is_not_stored(shared, upstream):
    (digest,) = put(shared, b"archive")
    drop(shared, digest)
    upstream.blobs[digest] = b"truncated"
    with raises(Corrupt, "repository.digest_mismatch"):
        shared.layout.open_blob(digest)
    assert not shared.layout.has(digest)


def test_parallel_reads_fetch_a_blob_once(shared, upstream):
    (digest,) = put(shared, b"archive")
    drop(shared, digest)
    upstream.pause = 0.1
    found = []

    def read():
        own = Repository.open(shared.path)
        own.attach(upstream)
        found.append(own.layout.blobs.read(digest, 100))

    threads = [threading.Thread(target=read) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [b"archive"] * 4
    assert upstream.calls == [("fetch", digest)]


def test_verification_accepts_blobs_that_only_the_upstream_has(shared, upstream):
    kept, lost = put(shared, b"kept", b"lost")
    drop(shared, kept, lost)
    assert not verify(shared)
    check = missing_upstream(shared)
    assert (check.blobs, check.damages) == (2, [])
    del upstream.blobs[lost]
    (damage,) = missing_upstream(shared).damages
    assert (damage.problem, damage.subject) == ("missing", lost)
    shared.layout.blobs.source = shared.upstream_blobs = None
    assert {damage.subject for damage in verify(shared)} == {kept, lost}


def test_collection_works_without_the_blobs_and_fetches_none(shared, upstream):
    (digest,) = put(shared, b"{" + b"a" * SIZE)
    unused = shared.layout.put_blob(b"unused", "text/plain").digest
    drop(shared, digest)
    with shared.pin([digest]):
        result = collect(shared, grace=-10)
    assert result.blobs == [unused]
    assert not upstream.calls


def test_eviction_removes_the_least_recently_used_first(shared, upstream):
    first, second, third = put(shared, b"a" * SIZE, b"b" * SIZE, b"c" * SIZE)
    for digest, unused in ((first, 9000), (second, 8000), (third, 7000)):
        age(shared, digest, unused)
    shared.layout.open_blob(first).close()
    age(shared, first, 6000)
    planned = evict(shared, [first, second, third], CacheBounds(size=2 * SIZE), dry_run=True)
    assert (planned.blobs, shared.layout.has(second)) == ([second], True)
    result = evict(shared, [first, second, third], CacheBounds(size=2 * SIZE))
    assert (result.blobs, result.freed, result.cached) == ([second], SIZE, 2 * SIZE)
    assert not evict(shared, [first, second, third], CacheBounds(size=2 * SIZE)).blobs
    assert shared.layout.blobs.read(second, SIZE) == b"b" * SIZE


def test_eviction_by_age_keeps_what_was_used_since(shared, upstream):
    first, second = put(shared, b"a" * SIZE, b"b" * SIZE)
    age(shared, first, 9 * 86400)
    age(shared, second, 5 * 86400)
    assert evict(shared, [first, second], CacheBounds(age=7 * 86400)).blobs == [first]


def test_eviction_keeps_what_is_pinned_used_or_only_here(shared, upstream):
    pinned, recent, only_here, free = put(shared, b"a" * SIZE, b"b" * SIZE, b"c" * SIZE, b"d" * SIZE)
    for digest in (pinned, only_here, free):
        age(shared, digest, 9000)
    del upstream.blobs[only_here]
    with shared.pin([pinned]):
        result = evict(shared, [pinned, recent, only_here, free], CacheBounds(size=0))
    assert (result.blobs, result.only_here) == ([free], [only_here])


def test_eviction_needs_the_upstream(shared, upstream):
    (digest,) = put(shared, b"a" * SIZE)
    age(shared, digest, 9000)
    upstream.offline = True
    with raises(Unavailable, "oci_registry.connection"):
        evict(shared, [digest], CacheBounds(size=0))
    assert shared.layout.has(digest)


def test_use_of_a_blob_does_not_verify_it_again(shared, upstream, monkeypatch):
    (digest,) = put(shared, b"a" * (1 << 20))
    shared.layout.blob_path(digest)
    monkeypatch.setattr(blobs_module.Blobs, "verify", lambda *arguments: pytest.fail("verified again"))
    assert os.listdir(os.path.join(shared.path, "uses")) == [digest[7:]]
    shared.layout.blob_path(digest)


def test_blobs_are_fetched_in_advance_with_the_progress_of_all(shared, upstream):
    first, second, third = put(shared, b"a" * 100, b"b" * 200, b"c" * 300)
    blobs = [Descriptor("text/plain", digest, shared.layout.size(digest)) for digest in (first, second, third)]
    drop(shared, first, third)
    seen = []
    shared.layout.obtain([*blobs, blobs[0]], lambda *progress: seen.append(progress))
    assert seen == [("fetch", 100, 400), ("fetch", 400, 400)]
    assert all(map(shared.layout.has, (first, second, third)))
    shared.layout.obtain(blobs, lambda *progress: seen.append(progress))
    assert len(seen) == 2
