# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that are no single call's: transfers, leases, hosts' certificates, a composer that dies while it writes, composers in each other's way."""

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
    KILLED,
    PATIENCE,
    TEMPLATE,
    Bench,
    CaseEnvironment,
)
from ansible_collections.strata.layering.tests.integration.faults.matrix import Case, settle
from ansible_collections.strata.layering.tests.integration.faults.writes import Pause, Writes
from ansible_collections.strata.layering.tests.support.modules import fails, run

TRANSFERS, DEATHS, RIVALS = (
    "transfers and leases",
    "a composer that dies while it writes",
    "composers in each other's way",
)
OUTCOME = "outcome"
WORKS = ("publish", "export")
_HALF = 450_000
_FOR_EVER_MS = 120_000
_WRONG = ":".join(["AB"] * 20)
_MOVE = {"method": "NFC:*"}
_HALFWAY = _MOVE | {"after_bytes": _HALF}
#: A transfer that waits until the test releases the rule.
_HELD = _HALFWAY | {"delay_ms": _FOR_EVER_MS}
_MISTAKE = {"fault": "SystemError", "message": "A general system error occurred."}
#: Seconds that a transfer may make no progress in the situations in which it stops, and for how long it stops.
_STALL = 2
_STALL_MS = 5000


@dataclasses.dataclass(frozen=True)
class _Situation:
    """``rules`` and ``settings`` of the simulator, ``options`` of the module; ``kill`` when the last rule acts; ``then`` at that moment."""

    name: str
    rules: tuple[dict, ...] = ()
    settings: dict = dataclasses.field(default_factory=dict)
    options: dict = dataclasses.field(default_factory=dict)
    kill: bool = False
    then: Callable[[CaseEnvironment], object] | None = None
    stall: float = PATIENCE.stall


_SITUATIONS = (
    _Situation("the connection is cut before the first byte", (_MOVE | {"drop_connection": True},)),
    _Situation("the connection is cut halfway, once", (_HALFWAY | {"drop_connection": True},)),
    _Situation("the connection is cut halfway, always", (_HALFWAY | {"drop_connection": True, "count": None},)),
    _Situation("the transfer stands still halfway, once", (_HALFWAY | {"delay_ms": _STALL_MS},), stall=_STALL),
    _Situation(
        "the transfer stands still halfway, always", (_HALFWAY | {"delay_ms": _STALL_MS, "count": None},), stall=_STALL
    ),
    _Situation("the host answers 503, once", (_MOVE | {"http_status": 503},)),
    _Situation("the host answers 503, always", (_MOVE | {"http_status": 503, "count": None},)),
    _Situation("the host answers 503 halfway", (_HALFWAY | {"http_status": 503},)),
    _Situation("the host's answer at the end is lost", (_MOVE | {"drop_connection": True, "after": True},)),
    _Situation("the lease ends in error before it is ready, once", ({"method": "LEASE"} | _MISTAKE,)),
    _Situation("the lease ends in error before it is ready, always", ({"method": "LEASE", "count": None} | _MISTAKE,)),
    _Situation(
        "the lease expires halfway",
        (_HELD,),
        then=lambda environment: environment.simulator.expire_leases(),
    ),
    _Situation(
        "the session ends halfway, its leases stay",
        (_HELD,),
        then=lambda environment: environment.simulator.expire_sessions(),
    ),
    _Situation(
        "the session ends halfway, its leases with it",
        (_HELD,),
        {"session_leases": "abort"},
        then=lambda environment: environment.simulator.expire_sessions(),
    ),
    _Situation(
        "vCenter restarts halfway, leases stay",
        (_HELD,),
        then=lambda environment: environment.simulator.restart(0.3, leases="keep"),
    ),
    _Situation(
        "vCenter restarts halfway, leases end",
        (_HELD,),
        then=lambda environment: environment.simulator.restart(0.3, leases="abort"),
    ),
    _Situation(
        "vCenter restarts halfway, leases end and leave their machine",
        (_HELD,),
        then=lambda environment: environment.simulator.restart(0.3, leases="orphan"),
    ),
    _Situation("the host's certificate is not the one that vCenter announces", settings={"thumbprint": _WRONG}),
    _Situation(
        "the same, and `validate_certs` is false", settings={"thumbprint": _WRONG}, options={"validate_certs": False}
    ),
    _Situation("the composer is killed halfway", (_HELD | {"drop_connection": True},), kill=True),
)


def cases(bench: Bench) -> list[Case]:
    """What is tried beside the calls."""
    found = [Case(TRANSFERS, one.name, work, _trying(one, work)) for one in _SITUATIONS for work in WORKS]
    for work in WORKS:
        for name, count in _written(bench, work).items():
            found += [
                Case(DEATHS, name, work, _dying(work, name, number), number=number) for number in range(1, count + 1)
            ]
    found += [Case(RIVALS, name, OUTCOME, function) for name, function in _RIVALS.items()]
    return found


def _trying(situation: _Situation, work: str) -> Callable[[Bench], str]:
    def attempt(bench: Bench) -> str:
        with bench.environment() as environment:
            if situation.settings:
                environment.simulator.settings(**situation.settings)
            numbers = [environment.simulator.rules.add(**rule) for rule in situation.rules]
            waits = situation.kill or situation.then
            patience = ENDLESS if waits else dataclasses.replace(PATIENCE, stall=situation.stall)
            composer = getattr(environment, work)(patience=patience, **situation.options)
            if waits:
                environment.wait_for_hit(numbers[-1])
            if situation.then:
                situation.then(environment)
                environment.simulator.rules.release(numbers[-1])
            if situation.kill:
                composer.kill()
            ended = composer.wait()
            assert not numbers or environment.hits(numbers[-1]), "what was to fail was never tried"
            return settle(environment, work, ended)

    return attempt


def _written(bench: Bench, work: str) -> dict[str, int]:
    """What a run writes, and how often, in the order in which ``FILES`` has it."""
    with bench.environment() as environment:
        writes = Writes(_root(environment, work))
        ended = getattr(environment, work)(before=writes.watch).wait()
        assert ended.complete, ended
        return {name: count for name, count in writes.counts.items() if count}


def _root(environment: CaseEnvironment, work: str) -> os.PathLike:
    return environment.share if work == "export" else environment.repository


def _dying(work: str, name: str, number: int) -> Callable[[Bench], str]:
    """The composer dies right before it writes ``name`` for the ``number``th time."""

    def attempt(bench: Bench) -> str:
        with bench.environment() as environment:
            writes = Writes(_root(environment, work), name, number)
            ended = getattr(environment, work)(before=writes.watch).wait()
            # How often a task is noted depends on how long things take.
            assert ended.code == KILLED or (name == "the task's document" and ended.complete), ended
            return settle(environment, work, ended)

    return attempt


def _same_template(bench: Bench) -> str:
    with bench.environment() as environment:
        rule = environment.simulator.rules.add(**_HELD)
        first = environment.publish(patience=ENDLESS)
        environment.wait_for_hit(rule)
        second = environment.publish().wait()
        checks.explained(second)
        environment.simulator.rules.release(rule)
        ended = first.wait()
        assert ended.complete, ended
        settle(environment, "publish", ended)
        return f"one goes on, the other ends: `{second.code}`"


def _two_repositories(rule: dict) -> Callable[[Bench], str]:
    """Composers that share no repository know of each other only by what stands in vSphere."""

    def attempt(bench: Bench) -> str:
        with bench.environment() as environment:
            other = environment.repository.with_name("other")
            shutil.copytree(environment.repository, other)
            number = environment.simulator.rules.add(**rule, delay_ms=800)
            first = environment.publish()
            environment.wait_for_hit(number)
            second = environment.publish(repository=str(other))
            ended = first.wait(), second.wait()
            for one in ended:
                checks.explained(one)
            environment.calm()
            again = environment.publish(repository=str(other)).wait()
            assert again.complete, again
            checks.published(environment)
            assert not environment.publish(repository=str(other)).wait().changed, (
                "the two composers undo each other's work"
            )
            checks.whole(environment, other)
            return "each goes on or ends with an error; one machine remains"

    return attempt


def _same_machine(bench: Bench) -> str:
    with bench.environment() as environment:
        rule = environment.simulator.rules.add(**_HALFWAY, delay_ms=800)
        first = environment.export()
        environment.wait_for_hit(rule)
        second = environment.export()
        ended = first.wait(), second.wait()
        assert all(one.complete for one in ended), ended
        settle(environment, "export", ended[0])
        return "the second waits for the first"


def _layer_is_used(bench: Bench) -> str:
    with bench.environment() as environment:
        given = {"repository": str(environment.repository)}
        result = fails("app_layer", "catalog.in_use", **given, name="Tool", version="1.0", state="absent")
        assert TEMPLATE in result["msg"]
        return f"refused: `{result['code']}`"


def _layer_removed(bench: Bench) -> str:
    """Template and layer are removed and the repository is collected while the image is composed."""
    with bench.environment() as environment:
        given = {"repository": str(environment.repository)}
        pause = Pause()
        composer = environment.publish(before=Writes(environment.repository, "a blob", 1, pause).watch)
        pause.reached()
        run("image_template", **given, name=TEMPLATE, state="absent")
        run("app_layer", **given, name="Tool", version="1.0", state="absent")
        for blob in (environment.repository / "blobs" / "sha256").iterdir():
            os.utime(blob, (0, 0))
        freed = collect(Repository.open(str(environment.repository)))
        pause.go()
        ended = composer.wait()
        checks.explained(ended)
        assert ended.complete, ended
        checks.standing(environment)
        assert freed.blobs == [], "what a running task needs was collected"
        # Made again from the same files they are the same.
        bench.add_layer(environment.repository, "1.0")
        bench.add_template(environment.repository, "1.0")
        return settle(environment, "publish", ended)


_RIVALS: dict[str, Callable[[Bench], str]] = {
    "two composers publish the same template": _same_template,
    "the same from two repositories, the second while the first uploads": _two_repositories(_HALFWAY),
    "the same from two repositories, the second while the first powers on": _two_repositories(
        {"method": "PowerOnVM_Task", "after": True}
    ),
    "the same from two repositories, the second while the first takes the snapshot": _two_repositories(
        {"method": "CreateSnapshot_Task", "after": True}
    ),
    "two composers export the same machine to the same folder": _same_machine,
    "a layer is removed that a template names": _layer_is_used,
    "template and layer are removed and the repository is collected while the image is composed": _layer_removed,
}
