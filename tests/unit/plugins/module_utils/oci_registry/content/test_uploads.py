# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads of blobs: chunks, mounts, failures in every request."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, StrataError
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import Uploaded
from ansible_collections.strata.layering.tests.support.oci_registry import (
    CHUNK,
    REPOSITORY,
    connect,
    content,
    digest_of,
    file_of,
    push_blob,
)

#: Two chunks and a half.
DATA = content(2 * CHUNK + CHUNK // 2)
DIGEST = digest_of(DATA)


@pytest.fixture
def path(tmp_path):
    return file_of(tmp_path, DATA)


def upload(registry, path, **options):
    return registry.upload(REPOSITORY, DIGEST, len(DATA), path, **options)


def stored(simulated):
    return simulated.blob_path(REPOSITORY, DIGEST).read_bytes()


def sent(simulated):
    """Return the number of bytes of the blob that arrived in all requests."""
    return sum(
        entry.received for method in ("PATCH", "PUT", "POST") for entry in simulated.journal(method, "/uploads/")
    )


def test_file_is_sent_in_chunks(simulated_registry, path):
    with connect(simulated_registry) as registry:
        assert upload(registry, path) is Uploaded.SENT
    assert stored(simulated_registry) == DATA
    ranges = [entry.headers["content-range"] for entry in simulated_registry.journal("PATCH")]
    assert ranges == [f"0-{CHUNK - 1}", f"{CHUNK}-{2 * CHUNK - 1}", f"{2 * CHUNK}-{len(DATA) - 1}"]


def test_progress_counts_bytes_of_the_blob(simulated_registry, path):
    seen = []
    with connect(simulated_registry) as registry:
        upload(registry, path, progress=lambda step, done, total: seen.append((step, done, total)))
    assert seen[-1] == ("upload", len(DATA), len(DATA))
    assert [done for step, done, total in seen] == sorted(done for step, done, total in seen)


def test_small_blob_needs_two_requests(simulated_registry):
    with connect(simulated_registry) as registry:
        simulated_registry.clear_journal()
        push_blob(registry, b"small")
    assert [entry.method for entry in simulated_registry.journal()] == ["HEAD", "POST", "PUT"]


@pytest.mark.parametrize("data", [b"", b"x"])
def test_shortest_blobs(simulated_registry, data):
    with connect(simulated_registry) as registry:
        push_blob(registry, data)
        assert registry.blob_size(REPOSITORY, digest_of(data)) == len(data)
        assert registry.read_blob(REPOSITORY, digest_of(data), 10) == data


def test_blob_that_is_there_is_not_sent(simulated_registry, path):
    with connect(simulated_registry) as registry:
        upload(registry, path)
        simulated_registry.clear_journal()
        assert upload(registry, path) is Uploaded.PRESENT
    assert [entry.method for entry in simulated_registry.journal()] == ["HEAD"]


def test_chunks_have_the_size_that_the_registry_demands(simulated_registry, path):
    simulated_registry.configure(least_chunk=CHUNK + 1)
    with connect(simulated_registry) as registry:
        upload(registry, path)
    assert [entry.received for entry in simulated_registry.journal("PATCH")] == [2 * CHUNK, len(DATA) - 2 * CHUNK]


@pytest.mark.parametrize("skip", [0, 1, 2])
def test_cut_in_a_chunk_continues_where_the_registry_is(simulated_registry, path, skip):
    simulated_registry.rules.add("PATCH", skip=skip, cut_request=1 << 20)
    with connect(simulated_registry) as registry:
        assert upload(registry, path) is Uploaded.SENT
    assert stored(simulated_registry) == DATA
    assert sent(simulated_registry) == len(DATA)


def test_cut_with_lost_parts_continues_at_the_last_part(simulated_registry, path):
    simulated_registry.configure(interrupted="parts")
    simulated_registry.rules.add("PATCH", skip=1, cut_request=1 << 20)
    with connect(simulated_registry) as registry:
        upload(registry, path)
    assert stored(simulated_registry) == DATA
    assert sent(simulated_registry) <= len(DATA) + CHUNK


def test_cut_that_ends_the_session_begins_again(simulated_registry, path):
    simulated_registry.configure(interrupted="nothing")
    simulated_registry.rules.add("PATCH", skip=1, cut_request=1 << 20)
    with connect(simulated_registry) as registry:
        upload(registry, path)
    assert stored(simulated_registry) == DATA
    assert len(simulated_registry.journal("POST")) == 2


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
@pytest.mark.parametrize(
    "rule", [{"cut_answer": -1}, {"cut_request": 0}, {"status": 502, "body": "<h1>Bad Gateway</h1>"}]
)
def test_each_request_may_fail_once(simulated_registry, path, method, rule):
    simulated_registry.rules.add(method, "/uploads/", **rule)
    with connect(simulated_registry) as registry:
        assert upload(registry, path) is Uploaded.SENT
    assert stored(simulated_registry) == DATA
    assert sent(simulated_registry) <= len(DATA) + CHUNK


def test_lost_answer_of_the_closing_request_is_found_by_a_look(simulated_registry, path):
    simulated_registry.rules.add("PUT", "/uploads/", cut_answer=-1)
    with connect(simulated_registry) as registry:
        assert upload(registry, path) is Uploaded.SENT
    assert len(simulated_registry.journal("PUT")) == 1


def test_endless_failures_end_with_an_error(simulated_registry, path):
    simulated_registry.rules.add("PATCH", cut_request=0, count=None)
    with connect(simulated_registry) as registry, pytest.raises(StrataError) as caught:
        upload(registry, path)
    assert caught.value.code == "oci_registry.connection"
    assert len(simulated_registry.journal("PATCH")) == 4


def test_registry_without_chunks_gets_one_request(simulated_registry, path):
    simulated_registry.configure(patch=405)
    with connect(simulated_registry) as registry:
        assert upload(registry, path) is Uploaded.SENT
    assert stored(simulated_registry) == DATA
    assert [entry.received for entry in simulated_registry.journal("PUT")] == [len(DATA)]


def test_gateway_that_refuses_large_requests_gets_smaller_chunks(simulated_registry, path):
    simulated_registry.rules.add("PATCH", status=413)
    with connect(simulated_registry, chunk_size=2 * CHUNK) as registry:
        upload(registry, path)
    assert stored(simulated_registry) == DATA
    assert [entry.headers["content-length"] for entry in simulated_registry.journal("PATCH")][1] == str(CHUNK)


def test_blob_that_is_too_large_is_reported(simulated_registry, path):
    simulated_registry.rules.add("PATCH", status=413, count=None)
    with connect(simulated_registry) as registry, pytest.raises(StrataError) as caught:
        upload(registry, path)
    assert caught.value.code == "oci_registry.too_large"


def test_blob_is_mounted(simulated_registry, path):
    with connect(simulated_registry) as registry:
        registry.upload("windows/os/base", DIGEST, len(DATA), path)
        simulated_registry.clear_journal()
        assert upload(registry, path, mount_from=[REPOSITORY, "windows/os/base"]) is Uploaded.MOUNTED
    assert stored(simulated_registry) == DATA
    assert [entry.method for entry in simulated_registry.journal()] == ["HEAD", "POST"]


def test_refused_mount_sends_in_the_session_that_it_opened(simulated_registry, path):
    simulated_registry.configure(mount=False)
    with connect(simulated_registry) as registry:
        registry.upload("windows/os/base", DIGEST, len(DATA), path)
        simulated_registry.clear_journal()
        assert upload(registry, path, mount_from=["windows/os/base"]) is Uploaded.SENT
    assert stored(simulated_registry) == DATA
    assert len(simulated_registry.journal("POST")) == 1


def test_sessions_of_refused_mounts_are_removed(simulated_registry, path):
    with connect(simulated_registry) as registry:
        assert upload(registry, path, mount_from=["windows/a", "windows/b", "windows/c"]) is Uploaded.SENT
    assert [entry.status for entry in simulated_registry.journal("DELETE")] == [204, 204]


def test_damaged_source_is_reported(simulated_registry, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    with connect(simulated_registry) as registry, pytest.raises(Corrupt) as caught:
        upload(registry, str(damaged))
    assert caught.value.code == "oci_registry.source"


def test_source_of_a_different_size_is_reported(simulated_registry, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.write_bytes(DATA[:-1])
    with connect(simulated_registry) as registry, pytest.raises(Corrupt) as caught:
        upload(registry, str(damaged))
    assert caught.value.code == "oci_registry.source"
    assert simulated_registry.journal("POST") == []


def test_registry_that_receives_other_bytes_is_reported(simulated_registry, path):
    error = '{"errors": [{"code": "DIGEST_INVALID", "message": "no"}]}'
    simulated_registry.rules.add(
        "PUT", status=400, body=error, headers={"Content-Type": "application/json"}, count=None
    )
    with connect(simulated_registry) as registry, pytest.raises(Corrupt) as caught:
        upload(registry, path)
    assert caught.value.code == "oci_registry.upload_digest"


def test_next_run_resumes_the_session_of_a_killed_run(simulated_registry, path, tmp_path):
    simulated_registry.rules.add("PATCH", skip=2, cut_request=0, count=4)
    with connect(simulated_registry, uploads_folder=str(tmp_path)) as registry, pytest.raises(StrataError):
        upload(registry, path)
    assert len(list(tmp_path.glob(".strata-tmp-upload-*"))) == 1
    with connect(simulated_registry, uploads_folder=str(tmp_path)) as registry:
        assert upload(registry, path) is Uploaded.SENT
    assert stored(simulated_registry) == DATA
    assert sent(simulated_registry) == len(DATA)
    assert list(tmp_path.glob(".strata-tmp-upload-*")) == []


def test_next_run_begins_again_if_the_session_is_gone(simulated_registry, path, tmp_path):
    simulated_registry.rules.add("PATCH", skip=2, cut_request=0, count=4)
    with connect(simulated_registry, uploads_folder=str(tmp_path)) as registry, pytest.raises(StrataError):
        upload(registry, path)
    simulated_registry.reset()
    with connect(simulated_registry, uploads_folder=str(tmp_path)) as registry:
        assert upload(registry, path) is Uploaded.SENT
    assert stored(simulated_registry) == DATA


def test_cancel_in_a_progress_function_ends_the_upload(simulated_registry, path):
    class Canceled(Exception):
        pass

    def progress(step, done, total):
        raise Canceled

    with connect(simulated_registry) as registry, pytest.raises(Canceled):
        upload(registry, path, progress=progress)


def test_several_threads_upload_at_the_same_time(simulated_registry):
    blobs = [content(CHUNK + number, number) for number in range(6)]
    with connect(simulated_registry) as registry:
        threads = [threading.Thread(target=push_blob, args=(registry, blob)) for blob in blobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [registry.blob_size(REPOSITORY, digest_of(blob)) for blob in blobs] == [len(blob) for blob in blobs]


def test_docker_registry_gets_chunks_and_mounts(debian_registry, path):
    with connect(debian_registry) as registry:
        assert registry.upload("uploads/a", DIGEST, len(DATA), path) is Uploaded.SENT
        assert registry.upload("uploads/a", DIGEST, len(DATA), path) is Uploaded.PRESENT
        assert registry.upload("uploads/b", DIGEST, len(DATA), path, mount_from=["uploads/a"]) is Uploaded.MOUNTED
        assert registry.blob_size("uploads/b", DIGEST) == len(DATA)
