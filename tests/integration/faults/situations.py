# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that do not belong to a single call: transfers, leases, certificates of hosts, killed and concurrent composers."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable

from ansible_collections.strata.layering.plugins.module_utils.repository.garbage_collection import collect
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.integration.faults import checks
from ansible_collections.strata.layering.tests.integration.faults.bench import (
    ENDLESS,
    EXPORT,
    PATIENCE,
    PUBLISH,
    TEMPLATE,
    CaseEnvironment,
    FaultBench,
)
from ansible_collections.strata.layering.tests.integration.faults.composer import KILLED
from ansible_collections.strata.layering.tests.integration.faults.matrix import ENDLESS_MS, SYSTEM_ERROR, Case, settle
from ansible_collections.strata.layering.tests.integration.faults.recording import Recording, watched_folder
from ansible_collections.strata.layering.tests.integration.faults.writes import BLOB, TASK_DOCUMENT, Pause, Writes
from ansible_collections.strata.layering.tests.support.modules import fails, run

TRANSFERS, KILLS, CONCURRENT = (
    "transfers and leases",
    "a composer that is killed while it writes",
    "concurrent composers",
)
OUTCOME = "outcome"
OPERATIONS = (PUBLISH, EXPORT)
_HALF = 450_000
_WRONG_THUMBPRINT = ":".join(["AB"] * 20)
_TRANSFER = {"method": "NFC:*"}
_HALFWAY = _TRANSFER | {"after_bytes": _HALF}
#: A transfer that waits until the test releases the rule.
_HELD = _HALFWAY | {"delay_ms": ENDLESS_MS}
_LEASE_ERROR = {"method": "LEASE"} | SYSTEM_ERROR
#: In the situations in which a transfer stalls: the seconds that a composer waits, and for how long it stalls.
_STALL = 2
_STALLED = _HALFWAY | {"delay_ms": 5000}
_ALWAYS = {"count": None}


@dataclasses.dataclass(frozen=True)
class _Situation:
    """One row of the table of transfers.

    ``rules`` and ``settings`` of the simulator, ``options`` of the module. When the last rule acts, the composer is
    killed (``kill``), or ``event`` is called and the rule is released. ``stall``: seconds that a transfer may stall.
    """

    name: str
    rules: tuple[dict, ...] = ()
    settings: dict = dataclasses.field(default_factory=dict)
    options: dict = dataclasses.field(default_factory=dict)
    kill: bool = False
    event: Callable[[CaseEnvironment], object] | None = None
    stall: float = PATIENCE.stall


def _expire_leases(environment: CaseEnvironment) -> None:
    environment.simulator.expire_leases()


def _expire_sessions(environment: CaseEnvironment) -> None:
    environment.simulator.expire_sessions()


def _restart(leases: str) -> Callable[[CaseEnvironment], None]:
    return lambda environment: environment.simulator.restart(0.3, leases=leases)


_SITUATIONS = (
    _Situation("the connection closes before the first byte", (_TRANSFER | {"drop_connection": True},)),
    _Situation("the connection closes halfway, once", (_HALFWAY | {"drop_connection": True},)),
    _Situation("the connection closes halfway, always", (_HALFWAY | {"drop_connection": True} | _ALWAYS,)),
    _Situation("the transfer stalls halfway, once", (_STALLED,), stall=_STALL),
    _Situation("the transfer stalls halfway, always", (_STALLED | _ALWAYS,), stall=_STALL),
    _Situation("the host answers 503, once", (_TRANSFER | {"http_status": 503},)),
    _Situation("the host answers 503, always", (_TRANSFER | {"http_status": 503} | _ALWAYS,)),
    _Situation("the host answers 503 halfway", (_HALFWAY | {"http_status": 503},)),
    _Situation("the host's response at the end is lost", (_TRANSFER | {"drop_connection": True, "after": True},)),
    _Situation("the lease fails before it is ready, once", (_LEASE_ERROR,)),
    _Situation("the lease fails before it is ready, always", (_LEASE_ERROR | _ALWAYS,)),
    _Situation("the lease expires halfway", (_HELD,), event=_expire_leases),
    _Situation("the session ends halfway, its leases remain", (_HELD,), event=_expire_sessions),
    _Situation(
        "the session ends halfway, and its leases with it",
        (_HELD,),
        {"session_leases": "abort"},
        event=_expire_sessions,
    ),
    _Situation("vCenter restarts halfway, leases remain", (_HELD,), event=_restart("keep")),
    _Situation("vCenter restarts halfway, leases end", (_HELD,), event=_restart("abort")),
    _Situation("vCenter restarts halfway, leases end and leave their VM", (_HELD,), event=_restart("orphan")),
    _Situation(
        "the host's certificate is not the certificate that vCenter announces",
        settings={"thumbprint": _WRONG_THUMBPRINT},
    ),
    _Situation(
        "the same, and `validate_certs` is false",
        settings={"thumbprint": _WRONG_THUMBPRINT},
        options={"validate_certs": False},
    ),
    _Situation("the composer is killed halfway", (_HELD | {"drop_connection": True},), kill=True),
)


def cases(recording: Recording) -> list[Case]:
    """Return the cases of all situations, of all writes and of all concurrent composers."""
    found = [
        Case(TRANSFERS, situation.name, operation, _in_situation(situation, operation))
        for situation in _SITUATIONS
        for operation in OPERATIONS
    ]
    for operation in OPERATIONS:
        for name, count in recording.writes[operation].items():
            found += [
                Case(KILLS, name, operation, _killed(operation, name, number), number=number)
                for number in range(1, count + 1)
            ]
    found += [Case(CONCURRENT, name, OUTCOME, function) for name, function in _CONCURRENT.items()]
    return found


def _in_situation(situation: _Situation, operation: str) -> Callable[[FaultBench], str]:
    def attempt(bench: FaultBench) -> str:
        with bench.environment() as environment:
            if situation.settings:
                environment.simulator.settings(**situation.settings)
            numbers = [environment.simulator.rules.add(**rule) for rule in situation.rules]
            held = situation.kill or situation.event is not None
            patience = ENDLESS if held else dataclasses.replace(PATIENCE, stall=situation.stall)
            composer = environment.start(operation, patience=patience, **situation.options)
            if held:
                environment.wait_for_hit(numbers[-1])
            if situation.event is not None:
                situation.event(environment)
                environment.simulator.rules.release(numbers[-1])
            if situation.kill:
                composer.kill()
            ended = composer.wait()
            assert not numbers or environment.hits(numbers[-1]), "the last rule did not act"
            return settle(environment, operation, ended)

    return attempt


def _killed(operation: str, name: str, number: int) -> Callable[[FaultBench], str]:
    """Return the case in which the composer is killed right before the ``number``th write of ``name``."""

    def attempt(bench: FaultBench) -> str:
        with bench.environment() as environment:
            writes = Writes(watched_folder(environment, operation), name, number)
            ended = environment.start(operation, before=writes.watch).wait()
            # The number of writes of a task depends on the time that a run takes.
            assert ended.code == KILLED or (name == TASK_DOCUMENT and ended.succeeded), ended
            return settle(environment, operation, ended)

    return attempt


def _same_template(bench: FaultBench) -> str:
    with bench.environment() as environment:
        rule = environment.simulator.rules.add(**_HELD)
        first = environment.publish(patience=ENDLESS)
        environment.wait_for_hit(rule)
        second = environment.publish().wait()
        checks.check_error(second)
        environment.simulator.rules.release(rule)
        ended = first.wait()
        assert ended.succeeded, ended
        settle(environment, PUBLISH, ended)
        return f"the first succeeds, the second ends: `{second.code}`"


def _two_repositories(rule: dict) -> Callable[[FaultBench], str]:
    """Return the case of composers that share no repository: each knows of the other only what vSphere contains."""

    def attempt(bench: FaultBench) -> str:
        with bench.environment() as environment:
            other = environment.repository.with_name("other")
            shutil.copytree(environment.repository, other)
            number = environment.simulator.rules.add(**rule, delay_ms=800)
            first = environment.publish()
            environment.wait_for_hit(number)
            second = environment.publish(repository=str(other))
            for ended in (first.wait(), second.wait()):
                checks.check_error(ended)
            environment.remove_faults()
            again = environment.publish(repository=str(other)).wait()
            assert again.succeeded, again
            checks.check_next_publish(environment)
            repeated = environment.publish(repository=str(other)).wait()
            assert not repeated.changed, "the two composers undo each other's work"
            checks.check_repository(environment, other)
            return "each succeeds or ends with an error; one VM remains"

    return attempt


def _same_vm(bench: FaultBench) -> str:
    with bench.environment() as environment:
        rule = environment.simulator.rules.add(**_HALFWAY, delay_ms=800)
        first = environment.export()
        environment.wait_for_hit(rule)
        second = environment.export()
        results = first.wait(), second.wait()
        assert all(ended.succeeded for ended in results), results
        settle(environment, EXPORT, results[0])
        return "the second waits for the first"


def _layer_in_use(bench: FaultBench) -> str:
    with bench.environment() as environment:
        repository = {"repository": str(environment.repository)}
        result = fails("app_layer", "catalog.in_use", **repository, name="Tool", version="1.0", state="absent")
        assert TEMPLATE in result["msg"]
        return f"refused: `{result['code']}`"


def _layer_removed(bench: FaultBench) -> str:
    """Remove template and layer and collect the repository while a composer composes the image."""
    with bench.environment() as environment:
        repository = {"repository": str(environment.repository)}
        pause = Pause()
        composer = environment.publish(before=Writes(environment.repository, BLOB, 1, pause).watch)
        pause.wait()
        run("image_template", **repository, name=TEMPLATE, state="absent")
        run("app_layer", **repository, name="Tool", version="1.0", state="absent")
        for blob in (environment.repository / "blobs" / "sha256").iterdir():
            os.utime(blob, (0, 0))
        freed = collect(Repository.open(str(environment.repository)))
        pause.end()
        ended = composer.wait()
        checks.check_error(ended)
        assert ended.succeeded, ended
        checks.check_published(environment)
        assert freed.blobs == [], "blobs that a running task needs were collected"
        # Created again from the same files, they are the same.
        bench.add_layer(environment.repository, "1.0")
        bench.add_template(environment.repository, "1.0")
        return settle(environment, PUBLISH, ended)


_CONCURRENT: dict[str, Callable[[FaultBench], str]] = {
    "two composers publish the same template": _same_template,
    "the same from two repositories, the second while the first uploads": _two_repositories(_HALFWAY),
    "the same from two repositories, the second while the first powers on": _two_repositories(
        {"method": "PowerOnMultiVM_Task", "after": True}
    ),
    "the same from two repositories, the second while the first takes the snapshot": _two_repositories(
        {"method": "CreateSnapshot_Task", "after": True}
    ),
    "two composers export the same VM to the same folder": _same_vm,
    "a layer is removed that a template uses": _layer_in_use,
    "template and layer are removed and the repository is collected while the image is composed": _layer_removed,
}
