# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Old records of the audit history in compressed parts: none is lost or doubled, whenever the process ends."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import shutil
import threading
import tracemalloc

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.expectations import raises
from ansible_collections.strata.layering.tests.support.killing import BETWEEN_WRITES, WRITES, kill_before_each_write

NOW = datetime.datetime.now(datetime.UTC)


def record(time, number):
    return json.dumps({"time": time, "kind": "layer", "name": str(number)}) + "\n"


def write(repository, times):
    """Append a record for each time."""
    with open(current(repository), "a", encoding="ascii") as stream:
        stream.writelines(record(time, number) for number, time in enumerate(times))


def current(repository):
    return os.path.join(repository.path, "audit.jsonl")


def parts(repository):
    folder = pathlib.Path(repository.path) / "audit"
    names = [path.name for path in folder.iterdir()] if folder.exists() else []
    return sorted(name for name in names if not name.startswith(".strata-tmp-"))


def names(repository, **filters):
    return [(found["time"], found["name"]) for found in repository.audit.read(**filters)]


def month(ago):
    """Return a time in the month ``ago`` months ago."""
    total = NOW.year * 12 + NOW.month - 1 - ago
    return f"{total // 12:04}-{total % 12 + 1:02}-15T08:00:00.000Z"


def part(ago):
    return f"{month(ago)[:7]}.jsonl.zst"


OLD = [month(3), month(3), month(2), month(1), month(0)]


def test_records_of_past_months_are_moved_to_a_part_for_each_month(repository):
    write(repository, OLD)
    before = names(repository)
    assert repository.audit.move(0, dry_run=True).records == 4
    assert parts(repository) == []
    moved = repository.audit.move(0)
    assert moved.months == {month(3)[:7]: 2, month(2)[:7]: 1, month(1)[:7]: 1}
    assert parts(repository) == [part(3), part(2), part(1)]
    assert names(repository) == before
    assert len(pathlib.Path(current(repository)).read_text().splitlines()) == 1
    assert repository.audit.move(0).records == 0


def test_age_counts_in_whole_months(repository):
    write(repository, OLD)
    repository.audit.move(31)
    assert part(3) in parts(repository)
    assert part(1) not in parts(repository)


def test_late_record_is_added_to_the_part_of_its_month(repository):
    write(repository, [month(2)])
    repository.audit.move(0)
    write(repository, [month(2), month(1)])
    repository.audit.move(0)
    assert parts(repository) == [part(2), part(1)]
    assert sorted(names(repository)) == [(month(2), "0"), (month(2), "0"), (month(1), "1")]


def test_filters_apply_to_records_in_parts(repository):
    write(repository, OLD)
    expected = names(repository)
    repository.audit.move(0)
    assert names(repository, limit=3) == expected[-3:]
    assert names(repository, since=month(2)) == expected[2:]
    assert names(repository, name="1") == [expected[1]]
    assert list(repository.audit.records()) == repository.audit.read()


def test_line_that_is_not_a_record_is_kept_with_the_record_before_it(repository):
    write(repository, [month(2)])
    with open(current(repository), "ab") as stream:
        stream.write(b'{"time": "2026-01-\n' + b"x" * 200_000)
    repository.audit.move(0)
    data = (
        zstandard.ZstdDecompressor().stream_reader(open(os.path.join(repository.path, "audit", part(2)), "rb")).read()
    )
    assert data.count(b"x") == 200_000
    assert len(names(repository)) == 1


def test_files_that_were_rotated_by_hand_are_read(repository):
    write(repository, [month(0)])
    os.makedirs(os.path.join(repository.path, "audit"))
    with open(os.path.join(repository.path, "audit", "2025-by-hand.jsonl"), "w", encoding="ascii") as stream:
        stream.write(record("2025-06-01T00:00:00Z", "hand"))
    assert [name for _time, name in names(repository)] == ["hand", "0"]


def test_damaged_part_is_an_error_that_names_it(repository):
    write(repository, [month(2)] * 100)
    repository.audit.move(0)
    path = pathlib.Path(repository.path) / "audit" / part(2)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with raises(Corrupt, "repository.audit_corrupt") as caught:
        repository.audit.read()
    assert caught.value.details["name"] == part(2)


@pytest.mark.parametrize("already", [0, 1])
def test_move_that_is_killed_loses_and_doubles_no_record(repository, tmp_path, monkeypatch, already):
    write(repository, [month(2), month(1)])
    if already:
        repository.audit.move(0)
    write(repository, OLD)
    original = tmp_path / "original"
    shutil.copytree(repository.path, original)
    expected = sorted(names(repository))

    def restore():
        shutil.rmtree(repository.path)
        shutil.copytree(original, repository.path)

    count = 0
    calls = (*WRITES, *BETWEEN_WRITES)
    for _survived in kill_before_each_write(monkeypatch, restore, lambda: repository.audit.move(0), calls=calls):
        assert sorted(names(repository)) == expected
        repository.audit.append("later", "layer", "x")
        assert len(names(repository)) == len(expected) + 1
        repository.audit.move(0)
        assert sorted(names(repository))[: len(expected)] == expected
        assert len(names(repository)) == len(expected) + 1
        assert all(name.endswith(".jsonl.zst") for name in parts(repository))
        count += 1
    assert count > 10


def test_readers_and_writers_at_the_same_time_miss_nothing(repository):
    write(repository, OLD * 50)
    counts, stop = [], threading.Event()

    def read():
        own = Repository.open(repository.path)
        while not stop.is_set():
            counts.append(len(own.audit.read()))

    reader = threading.Thread(target=read)
    reader.start()
    for _number in range(5):
        repository.audit.move(0)
        write(repository, OLD)
    stop.set()
    reader.join()
    assert counts == sorted(counts)
    assert all(count >= 250 for count in counts)


def test_listing_a_long_history_takes_little_memory(repository):
    write(repository, [month(2)] * 15_000)
    repository.audit.move(0)
    tracemalloc.start()
    assert len(repository.audit.read(limit=5)) == 5
    assert tracemalloc.get_traced_memory()[1] < 2 << 20
    tracemalloc.stop()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.lists(st.integers(0, 5), max_size=6), st.integers(0, 120)), min_size=1, max_size=4))
def test_any_sequence_of_records_and_moves_keeps_every_record(tmp_path_factory, steps):
    repository = Repository.open(str(tmp_path_factory.mktemp("audit") / "repository"), create=True)
    expected = []
    for months, days in steps:
        write(repository, [month(ago) for ago in months])
        expected += [(month(ago), str(number)) for number, ago in enumerate(months)]
        repository.audit.move(days)
        assert sorted(names(repository)) == sorted(expected)
        for ago in range(6):
            since = [item for item in expected if item[0] >= month(ago)]
            assert sorted(names(repository, since=month(ago))) == sorted(since)
