# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults of a push and of a pull: every kind of request, and every way in which it can fail.

A case returns the outcome in its cell. It also checks that the next run completes the work, that nothing incomplete is visible at
either side at any time, and that at most one chunk is sent twice.
"""

from __future__ import annotations

import fcntl
import json
import pathlib
from collections.abc import Callable, Iterable

from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.repository.verification import verify
from ansible_collections.strata.layering.tests.integration.faults import checks
from ansible_collections.strata.layering.tests.integration.faults.composer import KILLED, RunResult
from ansible_collections.strata.layering.tests.integration.faults.transfer_bench import (
    CHUNK,
    PULL,
    PUSH,
    TransferBench,
    TransferEnvironment,
)
from ansible_collections.strata.layering.tests.integration.faults.transfer_requests import (
    RequestKiller,
    RequestKind,
    kinds,
)
from ansible_collections.strata.layering.tests.support.registries import Request

SUCCEEDS, RESUMED = "succeeds", "resumed"
UNAVAILABLE, LIMITED, BROKEN, CLOSED, HALF, LOST, EXPIRED = (
    "HTTP 503",
    "HTTP 429",
    "always HTTP 500",
    "connection closed",
    "connection closed halfway",
    "response lost",
    "token expires",
)
BEFORE, AFTER = "killed before", "killed after"
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


def record(bench: TransferBench, operation: str) -> list[RequestKind]:
    """Run an operation without faults and return the kinds of its requests."""
    with bench.environment(operation) as environment:
        ended = environment.start(operation).wait()
        assert ended.succeeded, ended
        return kinds(environment.registry.journal())


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
        # Chunks whose answer was lost, or that met an old token, arrive twice.
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
    kept = _stored(environment) if operation == PULL else 0
    environment.registry.rules.clear()
    first = environment.registry.journal()
    environment.registry.clear_journal()
    following = environment.start(operation).wait()
    assert following.succeeded, f"the next run ended with {following.code}: {following.message}"
    check_moved(operation, first, environment.registry.journal(), environment, kept)
    check_complete(environment, operation)
    again = environment.start(operation).wait()
    assert again.succeeded, again
    assert not again.changed, again.result
    if ended.code == KILLED:
        return RESUMED
    return SUCCEEDS if ended.succeeded else f"`{ended.code}`"


def check_moved(
    operation: str, first: list[Request], second: list[Request], environment: TransferEnvironment, kept: int
) -> None:
    """Check that both runs together transferred no more than all blobs and one chunk."""
    if operation == PUSH:
        # Every blob of the registry came from these runs.
        total = sum(path.stat().st_size for path in environment.registry.data.rglob("_blobs/*"))
        moved = sum(entry.received for entry in (*first, *second) if "/blobs/uploads/" in entry.target)
    else:
        total = _stored(environment)
        moved = kept + sum(entry.sent for entry in second if "/blobs/" in entry.target)
    assert moved <= total + CHUNK, f"{moved} bytes were transferred for {total} bytes"


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


def check_complete(environment: TransferEnvironment, operation: str) -> None:
    """Check that the registry has the template and its layers, and after a pull the repository as well; no claim is alive."""
    check_registry(environment)
    tags = environment.registry.tags()
    shown = {name: named for name, named in tags.items() if set(named) - {tag for tag in named if "-" in tag}}
    for part in ("os", "app", "templates", "catalog"):
        assert any(name.startswith(f"{PREFIX_OF}{part}") for name in shown), (part, tags)
    if operation == PUSH:
        assert not [tag for named in tags.values() for tag in named if tag.startswith("claim.")], tags
    repository = environment.repository(operation)
    checks.check_repository(environment, repository)  # type: ignore[arg-type]


def _manifest(data: pathlib.Path, name: str, digest: str) -> dict:
    return dict(json.loads(data.joinpath(*name.split("/"), "_manifests", digest.partition(":")[2]).read_bytes()))


def _stored(environment: TransferEnvironment) -> int:
    """Return the bytes of the blobs in the repository that pulls, including unfinished ones."""
    blobs = environment.pulling / "blobs" / "sha256"
    return sum(path.stat().st_size for path in blobs.iterdir())
