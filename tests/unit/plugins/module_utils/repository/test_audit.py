# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit history: records, filters, damage and concurrent writers."""

from __future__ import annotations

import json
import os
import threading

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InternalError, InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.expectations import raises


def path_of(repository):
    return os.path.join(repository.path, "audit.jsonl")


def test_read_filters_records(repository, monkeypatch):
    audit = repository.audit
    monkeypatch.setenv("LOGNAME", "ann")
    audit.append("create", "layer", "A", version="1", comment="first\nline \u2713")
    audit.append("delete", "layer", "A", details={"blobs": 2})
    audit.append("create", "template", "A")
    with open(path_of(repository), "rb") as stream:
        lines = stream.read().split(b"\n")
    assert len(lines) == 4
    first = json.loads(lines[0])
    assert (first["comment"], first["user"], first["version"]) == ("first\nline \u2713", "ann", "1")
    assert first["time"].endswith("Z")
    assert [record["action"] for record in audit.read(kinds=["layer"])] == ["create", "delete"]
    assert [record["kind"] for record in audit.read(name="A", limit=2)] == ["layer", "template"]
    assert audit.read(limit=0) == audit.read(name="B") == []


def test_read_filters_by_time(repository):
    with open(path_of(repository), "w", encoding="ascii") as stream:
        for time in ("2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00Z", "2026-02-02T12:00:00+02:00", "nonsense"):
            stream.write(json.dumps({"time": time, "name": time[:10]}) + "\n")
    audit = repository.audit
    assert [record["name"] for record in audit.read(since="2026-02-01")] == ["2026-02-01", "2026-02-02"]
    assert [record["name"] for record in audit.read(since="2026-02-02T10:00:00Z")] == ["2026-02-02"]
    assert len(audit.read()) == 4
    with raises(InvalidInput, "repository.audit_time"):
        audit.read(since="yesterday")


def test_truncated_line_loses_only_its_record(repository):
    repository.audit.append("a", "layer", "1")
    with open(path_of(repository), "ab") as stream:
        stream.write(b'{"time": "2026-01-01T00:00:00Z", "acti')
    assert len(repository.audit.read()) == 1
    repository.audit.append("b", "layer", "2")
    assert [record["action"] for record in repository.audit.read()] == ["a", "b"]


def test_rotated_file_begins_a_new_history(repository):
    repository.audit.append("a", "layer", "1")
    os.rename(path_of(repository), path_of(repository) + ".1")
    assert repository.audit.read() == []
    repository.audit.append("b", "layer", "2")
    assert [record["action"] for record in repository.audit.read()] == ["b"]


def test_record_that_cannot_be_stored_is_refused(repository):
    with raises(InvalidInput, "repository.audit_record"):
        repository.audit.append("a", "layer", "1", comment="x" * 70000)
    with raises(InternalError, "repository.audit_record"):
        repository.audit.append("a", "layer", "1", details={"x": object()})
    with open(path_of(repository), "wb") as stream:
        stream.write(b"[" * 300000 + b"\n")
    repository.audit.append("a", "layer", "1")
    assert len(repository.audit.read()) == 1


def test_many_writers_lose_no_record(repository):
    def work(number):
        own = Repository.open(repository.path)
        for step in range(10):
            own.audit.append("act", "layer", f"{number}.{step}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({record["name"] for record in repository.audit.read()}) == 40
