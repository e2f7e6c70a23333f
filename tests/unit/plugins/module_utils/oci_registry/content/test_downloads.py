# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads of blobs: ranges, resumption after a kill, redirects, damaged and truncated answers."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    Corrupt,
    NoSpace,
    NotFound,
    StrataError,
)
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.content.downloads import SEGMENT
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.content.partial_file import PartialFile
from ansible_collections.strata.layering.tests.support.oci_registry import REPOSITORY, connect, content, digest_of

#: Two segments and a half.
DATA = content(2 * SEGMENT + SEGMENT // 2)
DIGEST = digest_of(DATA)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "blob"


@pytest.fixture
def stored(simulated_registry):
    """The simulated registry with the blob, and an empty journal."""
    with connect(simulated_registry) as registry:
        registry.upload(REPOSITORY, DIGEST, len(DATA), DATA)
    simulated_registry.clear_journal()
    return simulated_registry


def download(simulated, target, **options):
    with connect(simulated, **options) as registry:
        registry.download(REPOSITORY, DIGEST, len(DATA), str(target))


def reads(simulated, server="registry"):
    return simulated.journal("GET", DIGEST, server)


def test_ranges_are_closed_and_cover_the_blob(stored, target):
    download(stored, target)
    assert target.read_bytes() == DATA
    assert sorted(entry.headers["range"] for entry in reads(stored)) == sorted(
        f"bytes={start}-{min(start + SEGMENT, len(DATA)) - 1}" for start in range(0, len(DATA), SEGMENT)
    )
    assert os.listdir(target.parent) == ["blob"]


def test_progress_ends_with_the_size(stored, target):
    seen = []
    with connect(stored) as registry:
        registry.download(
            REPOSITORY,
            DIGEST,
            len(DATA),
            str(target),
            progress=lambda step, done, total: seen.append((step, done, total)),
        )
    assert seen[-1] == ("download", len(DATA), len(DATA))


@pytest.mark.parametrize("data", [b"", b"x", content(SEGMENT)])
def test_blobs_of_one_segment_need_no_range(simulated_registry, target, data):
    with connect(simulated_registry) as registry:
        registry.upload(REPOSITORY, digest_of(data), len(data), data)
        registry.download(REPOSITORY, digest_of(data), len(data), str(target))
    assert target.read_bytes() == data
    assert [entry for entry in simulated_registry.journal("GET", "/blobs/") if "range" in entry.headers] == []


def test_registry_that_refuses_ranges_sends_one_stream(stored, target):
    stored.configure(ranges=False)
    download(stored, target)
    assert target.read_bytes() == DATA


def test_registry_that_refuses_open_ranges_is_no_problem(stored, target):
    stored.configure(open_ranges=False)
    download(stored, target)
    assert target.read_bytes() == DATA
    assert 416 not in [entry.status for entry in reads(stored)]


def test_cut_stream_without_ranges_begins_again(stored, target):
    stored.configure(ranges=False)
    stored.rules.add("GET", "/blobs/", skip=3, cut_answer=SEGMENT)
    download(stored, target, streams=1)
    assert target.read_bytes() == DATA


def test_cut_answers_continue_within_the_segment(stored, target):
    stored.rules.add("GET", "/blobs/", cut_answer=1 << 20, count=3)
    download(stored, target)
    assert target.read_bytes() == DATA
    assert sum(entry.sent for entry in reads(stored)) == len(DATA)


@pytest.mark.parametrize(
    "rule", [{"cut_answer": -1}, {"cut_answer": 0}, {"status": 503, "body": "<h1>busy</h1>"}, {"truncate": 1000}]
)
def test_each_request_may_fail_once(stored, target, rule):
    stored.rules.add("GET", "/blobs/", skip=1, **rule)
    download(stored, target)
    assert target.read_bytes() == DATA


def test_endless_failures_end_with_an_error(stored, target):
    stored.rules.add("GET", "/blobs/", cut_answer=0, count=None)
    with pytest.raises(StrataError) as caught:
        download(stored, target, streams=1)
    assert caught.value.code == "oci_registry.connection"
    assert not target.exists()
    assert len(reads(stored)) == 4


def test_next_run_fetches_only_missing_segments(stored, target):
    stored.rules.add("GET", "/blobs/", skip=2, cut_answer=0, count=None)
    with pytest.raises(StrataError):
        download(stored, target, streams=1)
    assert not target.exists()
    stored.rules.clear()
    stored.clear_journal()
    download(stored, target, streams=1)
    assert target.read_bytes() == DATA
    assert [entry.headers["range"] for entry in reads(stored)] == [f"bytes={2 * SEGMENT}-{len(DATA) - 1}"]


def test_killed_process_leaves_what_the_next_run_continues(stored, target):
    stored.rules.add("GET", "/blobs/", skip=2, delay=30, count=None)
    program = f"""
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import *
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.registry import Registry
registry = Registry.connect(RegistryConnection(RegistryAddress.parse({stored.address!r}), plain_http=True, streams=1))
registry.download({REPOSITORY!r}, {DIGEST!r}, {len(DATA)}, {str(target)!r})
"""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    with subprocess.Popen([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": path}) as process:
        deadline = time.monotonic() + 20
        while len(reads(stored)) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    stored.rules.clear()
    stored.clear_journal()
    download(stored, target)
    assert target.read_bytes() == DATA
    assert [entry.headers["range"] for entry in reads(stored)] == [f"bytes={2 * SEGMENT}-{len(DATA) - 1}"]


@pytest.mark.parametrize(("content_of_target", "requests"), [(DATA, 0), (DATA[:-1], 3), (bytes(len(DATA)), 3)])
def test_target_that_a_killed_run_has_completed_is_kept(stored, target, content_of_target, requests):
    target.write_bytes(content_of_target)
    download(stored, target)
    assert target.read_bytes() == DATA
    assert len(reads(stored)) == requests
    assert os.listdir(target.parent) == ["blob"]


def test_damaged_bytes_are_refused_and_removed(stored, target):
    stored.rules.add("GET", "/blobs/", corrupt=5, count=None)
    with pytest.raises(Corrupt) as caught:
        download(stored, target)
    assert caught.value.code == "oci_registry.blob_digest"
    assert os.listdir(target.parent) == []


def test_damaged_segment_of_an_earlier_run_is_fetched_again(stored, target):
    with PartialFile(str(target), DIGEST, len(DATA), SEGMENT) as part:
        descriptor = part.opened()
        part.write(descriptor, bytes(SEGMENT), 0)
        os.close(descriptor)
        part.mark(0)
    download(stored, target)
    assert target.read_bytes() == DATA


def test_list_with_an_incomplete_line_is_continued(stored, target):
    with PartialFile(str(target), DIGEST, len(DATA), SEGMENT) as part:
        descriptor = part.opened()
        part.write(descriptor, DATA[:SEGMENT], 0)
        os.close(descriptor)
        part.mark(0)
    with pathlib.Path(f"{target}.segments").open("ab") as stream:
        stream.write(b"1")
    download(stored, target)
    assert target.read_bytes() == DATA
    assert len(reads(stored)) == 2


def test_rest_of_a_different_blob_is_not_used(stored, target):
    with PartialFile(str(target), digest_of(b"other"), len(DATA), SEGMENT) as part:
        part.mark(0)
    download(stored, target)
    assert target.read_bytes() == DATA


def test_second_process_is_refused(stored, target):
    with PartialFile(str(target), DIGEST, len(DATA), SEGMENT), pytest.raises(Conflict) as caught:
        download(stored, target)
    assert caught.value.code == "oci_registry.download_busy"


def test_blob_of_a_different_size_is_refused(stored, target):
    with connect(stored) as registry, pytest.raises(Corrupt) as caught:
        registry.download(REPOSITORY, DIGEST, len(DATA) - 1, str(target))
    assert caught.value.code == "oci_registry.blob_size"


def test_blob_that_is_missing_is_reported(stored, target):
    with connect(stored) as registry, pytest.raises(NotFound) as caught:
        registry.download(REPOSITORY, digest_of(b"none"), 4, str(target))
    assert caught.value.code == "oci_registry.blob_missing"


def test_full_disk_is_reported(stored, target, monkeypatch):
    def full(descriptor, data, offset):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(NoSpace) as caught:
        download(stored, target)
    assert caught.value.code == "oci_registry.no_space"


def test_cancel_in_a_progress_function_ends_the_download(stored, target):
    class Canceled(Exception):
        pass

    def progress(step, done, total):
        raise Canceled

    with connect(stored) as registry, pytest.raises(Canceled):
        registry.download(REPOSITORY, DIGEST, len(DATA), str(target), progress=progress)
    assert not target.exists()


def test_redirects_are_followed_without_credentials(stored, target):
    stored.configure(auth="bearer", redirects=True)
    with connect(stored, username="pusher", password="s3cret/Pa ss") as registry:
        registry.download(REPOSITORY, DIGEST, len(DATA), str(target))
        assert registry.blob_size(REPOSITORY, DIGEST) == len(DATA)
        assert registry.read_blob(REPOSITORY, DIGEST, len(DATA)) == DATA
    assert target.read_bytes() == DATA
    store = stored.journal(server="store")
    assert {entry.method for entry in store} == {"GET", "HEAD"}
    assert [entry for entry in store if "authorization" in entry.headers] == []


def test_size_is_known_if_the_object_store_allows_only_get(stored):
    stored.configure(redirects=True)
    stored.rules.add("HEAD", server="store", status=403, count=None)
    with connect(stored) as registry:
        assert registry.blob_size(REPOSITORY, DIGEST) == len(DATA)


def test_redirect_that_has_expired_is_requested_again(stored, target):
    stored.configure(redirects=True)
    stored.rules.add("GET", server="store", skip=1, status=403)
    download(stored, target)
    assert target.read_bytes() == DATA


def test_small_blob_is_bounded(stored):
    with connect(stored) as registry, pytest.raises(Corrupt) as caught:
        registry.read_blob(REPOSITORY, DIGEST, 1000)
    assert caught.value.code == "oci_registry.answer"
    assert reads(stored)[0].sent < len(DATA)


def test_small_blob_that_is_damaged_is_refused(stored):
    stored.rules.add("GET", "/blobs/", corrupt=5)
    with connect(stored) as registry, pytest.raises(Corrupt) as caught:
        registry.read_blob(REPOSITORY, DIGEST, len(DATA))
    assert caught.value.code == "oci_registry.blob_digest"


def test_docker_registry_sends_ranges_over_tls(debian_tls_registry, target):
    login = debian_tls_registry.login
    with connect(debian_tls_registry, username=login.username, password=login.password) as registry:
        registry.upload("downloads/a", DIGEST, len(DATA), DATA)
        registry.download("downloads/a", DIGEST, len(DATA), str(target))
    assert target.read_bytes() == DATA
