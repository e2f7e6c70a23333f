# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recording from which the fault cases are derived: the calls and the writes of runs in which nothing fails."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import tempfile

from ansible_collections.strata.layering.tests.integration.faults.bench import (
    EXPORT,
    PUBLISH,
    REPLACE,
    CaseEnvironment,
    FaultBench,
)
from ansible_collections.strata.layering.tests.integration.faults.writes import Writes

_HALF = 450_000
#: A transfer that pauses, so that the composer reports progress in the meantime.
SLOW_TRANSFER = {"method": "NFC:*", "after_bytes": _HALF, "delay_ms": 1500}


@dataclasses.dataclass(frozen=True)
class Recording:
    """``journals``: operation -> journal entries; ``writes``: operation -> kind of file -> number of writes.

    ``transfers``: push or pull -> kinds of requests to the registry.
    """

    journals: dict[str, list[dict]]
    writes: dict[str, dict[str, int]]
    transfers: dict[str, list[list]]


def record(bench: FaultBench) -> Recording:
    """Run every operation once without faults and once with counted writes."""
    return Recording(
        {operation: _journal(bench, operation) for operation in (PUBLISH, REPLACE, EXPORT)},
        {operation: _writes(bench, operation) for operation in (PUBLISH, EXPORT)},
        bench.transfers.record(),
    )


def shared_recording() -> Recording:
    """Return the recording of this test run: the first pytest-xdist worker makes it, the others read it."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if not run:
        with FaultBench() as bench:
            return record(bench)
    path = pathlib.Path(tempfile.gettempdir()) / f"strata-faults-{run}.json"
    with path.open("a+", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        if not (text := stream.read()):
            with FaultBench() as bench:
                text = json.dumps(dataclasses.asdict(record(bench)))
            stream.write(text)
    return Recording(**json.loads(text))


def forget_shared_recording() -> None:
    """Delete the file through which the workers share the recording."""
    if run := os.environ.get("PYTEST_XDIST_TESTRUNUID"):
        with contextlib.suppress(FileNotFoundError):
            (pathlib.Path(tempfile.gettempdir()) / f"strata-faults-{run}.json").unlink()


def watched_folder(environment: CaseEnvironment, operation: str) -> os.PathLike:
    """Return the folder into which an operation writes."""
    return environment.share if operation == EXPORT else environment.repository


def _journal(bench: FaultBench, operation: str) -> list[dict]:
    with bench.environment() as environment:
        if operation == REPLACE:
            environment.prepare_replacing()
        environment.simulator.rules.add(**SLOW_TRANSFER)
        ended = environment.start(operation).wait()
        assert ended.succeeded, ended
        return [{"kind": entry["kind"], "method": entry["method"]} for entry in environment.simulator.journal()]


def _writes(bench: FaultBench, operation: str) -> dict[str, int]:
    with bench.environment() as environment:
        writes = Writes(watched_folder(environment, operation))
        ended = environment.start(operation, before=writes.watch).wait()
        assert ended.succeeded, ended
        return {name: count for name, count in writes.counts.items() if count}
