# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults of a push and of a pull: every kind of request, and every way in which it can fail.

A case returns the outcome in its cell. It also checks that the next run completes the work, that nothing incomplete is visible at
either side at any time, and that at most one chunk is sent twice.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.repository.verification import verify
from ansible_collections.strata.layering.tests.integration.faults import checks
from ansible_collections.strata.layering.tests.integration.faults.bench import FaultBench
from ansible_collections.strata.layering.tests.integration.faults.composer import KILLED, RunResult
from ansible_collections.strata.layering.tests.integration.faults.matrix import (
    AFTER,
    BEFORE,
    CLOSED,
    LOST,
    RESUMED,
    SUCCEEDS,
    UNAVAILABLE,
    Case,
)
from ansible_collections.strata.layering.tests.integration.faults.transfer_bench import (
    CHUNK,
    PULL,
    PUSH,
    TransferBench,
    TransferEnvironment,
)
from ansible_collections.strata.layering.tests.integration.faults.transfer_requests import (
    PREFIX,
    RequestKiller,
    RequestKind,
)
from ansible_collections.strata.layering.tests.support.registries import Request

#: The tables.
TABLES = {PUSH: "push to a registry", PULL: "pull from a registry"}
LIMITED, BROKEN, HALF, EXPIRED = "HTTP 429", "always HTTP 500", "connection closed halfway", "token expires"
#: The fields of the registry's rule for each way of failing.
_FAILURES: dict[str, dict] = {
    UNAVAILABLE: {"status": 503, "body": "<html>busy</html>"},
    LIMITED: {"status": 429, "headers": {"Retry-After": "0"}},
    BROKEN: {"status": 500, "body": "<html>broken</html>", "count": None},
    CLOSED: {"cut_request": 0},
    HALF: {},
    LOST: {"cut_answer": -1},
    EXPIRED: {"expire_tokens": True},
}
COLUMNS = (*_FAILURES, BEFORE, AFTER)
#: Bytes of a body after which the connection closes: in the middle of the second chunk, or of the OS layer.
_HALF = CHUNK // 2
#: Requests with a body that is worth cutting, and those whose answer has such a body.
_SENDING, _RECEIVING = ("PATCH upload",), ("GET blob",)
#: The ways of failing that every test run tries; the job of distribution tries all.
_ALWAYS_TRIED = (BROKEN, LOST, HALF, AFTER)


def cases(recorded: Mapping[str, Sequence[Sequence]]) -> list[Case]:
    """Return the cases of both operations, from what ``TransferBench.record`` returned."""
    return [
        Case(TABLES[operation], kind.name, column, _failing(operation, kind, column), slow=_is_slow(kind, column))
        for operation in TABLES
        for kind in (RequestKind(*values) for values in recorded[operation])
        for column in columns(kind)
    ]


def _is_slow(kind: RequestKind, column: str) -> bool:
    tried = kind.changes or kind.name in _RECEIVING
    return not (tried and column in _ALWAYS_TRIED) and (kind.name, column) != ("PATCH upload", EXPIRED)


def _failing(operation: str, kind: RequestKind, column: str) -> Callable[[FaultBench], str]:
    return lambda bench: attempt(bench.transfers, operation, kind, column)


def columns(kind: RequestKind) -> Iterable[str]:
    """Return the ways in which a request of a kind can fail."""
    for column in COLUMNS:
        if column == HALF and kind.name not in (*_SENDING, *_RECEIVING):
            continue
        if column == EXPIRED and kind.subject == "token":
            continue
        if column == LOST and not kind.changes:
            # For a request that only reads, this is the same as a closed connection.
            continue
        yield column


def rule(kind: RequestKind, column: str) -> dict:
    """Return the fields of the rule for the last request of a kind, or with chunks for the second."""
    found = {"method": kind.method, "path": kind.path, **_FAILURES[column]}
    if column == HALF:
        found |= {"cut_request": _HALF} if kind.name in _SENDING else {"cut_answer": _HALF}
    if found.get("count", 1) is None:
        return found
    return found | {"skip": min(1, kind.count - 1)}


def attempt(bench: TransferBench, operation: str, kind: RequestKind, column: str) -> str:
    """Run the operation with a fault, check what this run and the next run leave, and return the outcome."""
    with bench.environment(operation) as environment:
        killer, number = None, 0
        if column in (BEFORE, AFTER):
            killer = RequestKiller(min(2, kind.count), kind=kind, after=column == AFTER)
        else:
            number = environment.registry.rules.add(**rule(kind, column))
        ended = environment.start(operation, before=killer.watch if killer else None).wait()
        if killer is None:
            assert environment.registry.rules.hits(number), "the request was never made"
            assert ended.code != KILLED
        else:
            assert ended.code == KILLED, "the request was never made"
        return settle(environment, operation, ended)


def attempt_kill(bench: TransferBench, operation: str, number: int, *, after: bool) -> bool:
    """Kill the composer at the request with a number, and check as ``attempt``; return False if there are fewer requests."""
    with bench.environment(operation) as environment:
        killer = RequestKiller(number, after=after)
        ended = environment.start(operation, before=killer.watch).wait()
        if ended.code != KILLED:
            assert ended.succeeded, ended
            return False
        settle(environment, operation, ended)
        return True


def settle(environment: TransferEnvironment, operation: str, ended: RunResult) -> str:
    """Check how the run ended, what is visible then, and what the next run leaves; return the outcome for the table."""
    checks.check_error(ended)
    check_registry(environment)
    repository = environment.repository(operation)
    assert verify(Repository.open(str(repository))) == []
    environment.registry.rules.clear()
    first = environment.registry.journal()
    environment.registry.clear_journal()
    following = environment.start(operation).wait()
    assert following.succeeded, f"the next run ended with {following.code}: {following.message}"
    check_moved(environment, operation, [*first, *environment.registry.journal()])
    check_complete(environment, operation, claimed=not following.changed)
    again = environment.start(operation).wait()
    assert again.succeeded, again
    assert not again.changed, again.result
    if ended.code == KILLED:
        return RESUMED
    return SUCCEEDS if ended.succeeded else f"`{ended.code}`"


def check_moved(environment: TransferEnvironment, operation: str, journal: list[Request]) -> None:
    """Check that all runs together transferred no more than all blobs, and one chunk of each blob that was on its way."""
    part = "/blobs/uploads/" if operation == PUSH else "/blobs/"
    # What a registry refuses with an error is not data that it received.
    entries = [entry for entry in journal if part in entry.target and entry.status < 400]
    if operation == PUSH:
        # Every blob of the registry came from these runs.
        total = sum(path.stat().st_size for path in environment.registry.data.rglob("_blobs/*"))
        moved, twice = sum(entry.received for entry in entries), 1
    else:
        total = sum(path.stat().st_size for path in (environment.pulling / "blobs" / "sha256").iterdir())
        # A pull receives two blobs at a time.
        moved, twice = sum(entry.sent for entry in entries), 2
    assert moved <= total + twice * CHUNK, f"{moved} bytes were transferred for {total} bytes"


def check_registry(environment: TransferEnvironment) -> None:
    """Check that everything that a tag of the registry shows is complete."""
    data = environment.registry.data
    tags = environment.registry.tags()
    for name, named in tags.items():
        for tag, digest in named.items():
            if tag.startswith("claim."):
                continue
            manifest = _manifest(data, name, digest)
            for blob in (manifest.get("config"), *manifest.get("layers", ())):
                if blob is not None:
                    path = environment.registry.blob_path(name, blob["digest"])
                    assert path.is_file() and path.stat().st_size == blob["size"], (name, tag, blob)


def check_complete(environment: TransferEnvironment, operation: str, *, claimed: bool = False) -> None:
    """Check that the registry has the template and its layers, and that the repository is sound.

    ``claimed``: a claim may be left. A run that finds nothing to do does not release the claim of a run that was killed when all
    was done; this claim ends after ten minutes.
    """
    check_registry(environment)
    tags = environment.registry.tags()
    for part in ("os", "app", "templates", "catalog"):
        assert any(named for name, named in tags.items() if name.startswith(f"{PREFIX}/{part}")), (part, tags)
    if operation == PUSH and not claimed:
        assert not [tag for named in tags.values() for tag in named if tag.startswith("claim.")], tags
    repository = environment.repository(operation)
    checks.check_repository(environment, repository)  # type: ignore[arg-type]


def _manifest(data: pathlib.Path, name: str, digest: str) -> dict:
    return dict(json.loads(data.joinpath(*name.split("/"), "_manifests", digest.partition(":")[2]).read_bytes()))
