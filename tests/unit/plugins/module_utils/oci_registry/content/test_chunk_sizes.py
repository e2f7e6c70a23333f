# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The size of the chunks of an upload."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.oci_registry.content import chunk_sizes
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.content.chunk_sizes import (
    LONGEST_CHUNK,
    ChunkSizes,
)
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import CHUNK_SIZE, CHUNK_UNIT
from ansible_collections.strata.layering.tests.support.oci_registry import (
    CHUNK,
    REPOSITORY,
    connect,
    content,
    digest_of,
)

DATA = content(5 * CHUNK)


@pytest.fixture
def small_chunks(monkeypatch):
    """Let chunks begin with a few MiB."""
    monkeypatch.setattr(chunk_sizes, "CHUNK_SIZE", CHUNK)


def lengths(simulated):
    return [int(entry.headers["content-length"]) for entry in simulated.journal("PATCH")]


def upload(simulated):
    with connect(simulated, chunk_size=None) as registry:
        registry.upload(REPOSITORY, digest_of(DATA), len(DATA), DATA)
    assert simulated.blob_path(REPOSITORY, digest_of(DATA)).read_bytes() == DATA


def test_size_grows_while_requests_are_short():
    sizes, found = ChunkSizes(None), []
    for _number in range(8):
        found.append(sizes.current)
        sizes.sent(sizes.current, 1)
    assert found == [min(CHUNK_SIZE << number, LONGEST_CHUNK) for number in range(8)]


@pytest.mark.parametrize(("seconds", "factor"), [(60, 1), (8, 1.25), (2, 2), (0, 2)])
def test_size_is_bounded_by_the_time_of_a_request(seconds, factor):
    sizes = ChunkSizes(None)
    sizes.sent(CHUNK_SIZE, seconds)
    assert sizes.current == CHUNK_SIZE * factor


def test_short_last_chunk_does_not_count():
    sizes = ChunkSizes(None)
    sizes.sent(CHUNK_SIZE - 1, 0.1)
    assert sizes.current == CHUNK_SIZE


def test_configured_size_is_fixed():
    sizes = ChunkSizes(CHUNK_UNIT)
    sizes.sent(CHUNK_UNIT, 0.1)
    assert sizes.current == CHUNK_UNIT


def test_size_after_a_failure_stays_at_the_first_size():
    sizes = ChunkSizes(None)
    sizes.sent(CHUNK_SIZE, 1)
    sizes.failed()
    sizes.sent(CHUNK_SIZE, 1)
    assert sizes.current == CHUNK_SIZE


def test_size_shrinks_to_the_smallest_chunk():
    sizes = ChunkSizes(2 * CHUNK_UNIT)
    assert sizes.shrink()
    assert not sizes.shrink()
    assert sizes.current == CHUNK_UNIT


def test_upload_without_a_configured_size_uses_growing_chunks(simulated_registry, small_chunks):
    upload(simulated_registry)
    assert lengths(simulated_registry) == [CHUNK, 2 * CHUNK, 2 * CHUNK]


def test_gateway_that_refuses_a_grown_chunk_gets_small_chunks(simulated_registry, small_chunks):
    simulated_registry.rules.add("PATCH", skip=1, status=413, count=1)
    upload(simulated_registry)
    assert lengths(simulated_registry) == [CHUNK, 2 * CHUNK, CHUNK, CHUNK, CHUNK, CHUNK]


def test_gateway_that_interrupts_a_grown_chunk_gets_small_chunks(simulated_registry, small_chunks):
    simulated_registry.configure(interrupted="parts")
    simulated_registry.rules.add("PATCH", skip=1, cut_request=0)
    upload(simulated_registry)
    assert lengths(simulated_registry) == [CHUNK, 2 * CHUNK, CHUNK, CHUNK, CHUNK, CHUNK]
