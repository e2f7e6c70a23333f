# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of pools and RDS servers of farms: which image they run, how many do, and which of them become the canary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...common.errors import InvalidInput, NotFound
from ..model import ImageRef, Machine, Target
from ..rest.answers import Answer
from ..rest.client import HorizonClient
from .similar_names import listed, similar_names
from .status_fields import image_in

#: The oldest versions that report the image of a machine; Horizon 2206 has both.
MACHINES, RDS_SERVERS = "/inventory/v3/machines", "/inventory/v1/rds-servers"

_AVAILABLE = "AVAILABLE"
_HOLDING, _FAULT = "HOLDING", "FAULT"
#: States of operations that are over or do not exist.
_NO_OPERATION = (None, "UNDEFINED", "COMPLETED")
#: States of a machine that an administrator has to correct. The other errors of agents can occur while Windows starts.
_FAULTY = frozenset(
    "PROVISIONING_ERROR ERROR AGENT_CONFIG_ERROR AGENT_ERROR_DISABLED AGENT_ERR_DISABLED BLOCKED_AGENT_VERSION".split()
)
#: States in which users can work with a machine, or can log in.
_READY = frozenset(
    "AVAILABLE CONNECTED DISCONNECTED UNASSIGNED_USER_CONNECTED UNASSIGNED_USER_DISCONNECTED ALREADY_USED IN_PROGRESS".split()
)


@dataclass(frozen=True)
class MachineCounts:
    """The machines of a target by what became of an image.

    ``total`` is the sum of ``on_image``, ``pending``, ``halted`` and ``failed``. ``pending`` machines run a different image and
    have not failed; ``halted`` machines wait because a different machine failed. ``failed`` has names and errors. ``not_ready``
    counts the machines on the image that users cannot log in to at the moment: they start, or their agent is unreachable.
    """

    total: int = 0
    on_image: int = 0
    pending: int = 0
    halted: int = 0
    failed: tuple[tuple[str, str], ...] = ()
    not_ready: int = 0


def count_machines(machines: Iterable[Machine], image: ImageRef) -> MachineCounts:
    """Return how many machines run ``image``. The base image that Horizon reports for a machine decides, not its tasks."""
    total = on_image = pending = halted = not_ready = 0
    failed = []
    for machine in machines:
        total += 1
        if machine.faulty:
            failed.append((machine.name, machine.error or machine.state))
        elif runs_image(machine, image):
            on_image += 1
            not_ready += machine.state not in _READY
        elif is_halted(machine, image):
            halted += 1
        else:
            pending += 1
    return MachineCounts(total, on_image, pending, halted, tuple(sorted(failed)), not_ready)


def runs_image(machine: Machine, image: ImageRef) -> bool:
    """Return whether a machine runs ``image`` and no push of a different image to it is scheduled."""
    return machine.image == image and machine.pending in (None, image)


def is_halted(machine: Machine, image: ImageRef) -> bool:
    """Return whether a machine does not get ``image`` because Horizon stopped the push when a different machine failed."""
    return machine.operation_state == _HOLDING and not machine.faulty and not runs_image(machine, image)


def choose_canary(
    machines: Iterable[Machine],
    image: ImageRef,
    *,
    names: Sequence[str] | None = None,
    count: int | None = None,
) -> tuple[Machine, ...]:
    """Return the machines that get ``image`` first: those with ``names``, or ``count`` of them; by default none.

    For a count, machines that run the image or are about to get it come first, so that a second run chooses the same machines.
    Then come machines that are available and without a session, other machines without a session, machines with a session, and
    faulty machines; each group by name.

    Raises:
        NotFound: ``horizon.no_such_machine`` with the names that are ``missing`` and the names that are ``similar``.
        InvalidInput: ``horizon.canary_count`` if there are fewer machines, or the count is negative.
    """
    found = sorted(machines, key=lambda machine: machine.name)
    if names is not None:
        return _named(found, names)
    number = count or 0
    if not 0 <= number <= len(found):
        raise InvalidInput(
            f"The canary cannot have {number} machines: there are {len(found)}.",
            code="horizon.canary_count",
            hint="Correct the option canary.",
            expected=number,
            found=len(found),
        )
    return tuple(sorted(found, key=lambda machine: _canary_rank(machine, image))[:number])


def _canary_rank(machine: Machine, image: ImageRef) -> int:
    if runs_image(machine, image) or machine.pending == image:
        return 0
    if machine.faulty:
        return 4
    if machine.in_session:
        return 3
    return 1 if machine.state == _AVAILABLE else 2


def _named(machines: list[Machine], names: Sequence[str]) -> tuple[Machine, ...]:
    by_name = {machine.name: machine for machine in machines}
    names = list(dict.fromkeys(names))
    missing = [name for name in names if name not in by_name]
    if missing:
        similar = sorted({other for name in missing for other in similar_names(name, by_name)})
        hint = f"Similar names are {listed(similar)}: correct" if similar else "Correct"
        raise NotFound(
            f"There is no machine named {listed(missing)} in Horizon's list.",
            code="horizon.no_such_machine",
            hint=f"{hint} the option machines.",
            missing=missing,
            similar=similar,
        )
    return tuple(by_name[name] for name in names)


def pool_machines(client: HorizonClient, target: Target) -> tuple[Machine, ...]:
    """Return the machines of a pool, by name, with a request for each page."""
    return _sorted(map(read_machine, members(client, MACHINES, "desktop_pool_id", target)))


def farm_servers(client: HorizonClient, target: Target) -> tuple[Machine, ...]:
    """Return the RDS servers of a farm, by name, with a request for each page."""
    return _sorted(map(read_rds_server, members(client, RDS_SERVERS, "farm_id", target)))


def members(client: HorizonClient, path: str, owner: str, target: Target) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list whose field ``owner`` is the ID of a target.

    A Connection Server that ignored the filter would return the objects of all pools: a push must not concern them.
    """
    for member in client.pages(path, filter={owner: target.id}):
        if member.get(owner) in (None, target.id):
            yield member


def _sorted(machines: Iterable[Machine]) -> tuple[Machine, ...]:
    # A machine can be on two pages if the list changes between the requests for them.
    return tuple(sorted({machine.id: machine for machine in machines}.values(), key=lambda machine: machine.name))


def read_machine(value: Any) -> Machine:
    """Return the machine of a pool that an answer describes (version 3 of the API). Raises Corrupt (horizon.answer)."""
    answer = Answer(value, "a machine")
    name = answer.text("name")
    answer = Answer(value, f"the machine {name}")
    managed = answer.record("managed_machine_data")
    missing = managed.flag("missing_in_vcenter")
    return _machine(
        answer,
        managed,
        in_session=bool(answer.text_or_none("session_id")),
        error="The VM is missing in vCenter" if missing else managed.text_or_none("clone_error_message") or None,
        missing=missing,
    )


def read_rds_server(value: Any) -> Machine:
    """Return the RDS server that an answer describes (version 1 of the API). Raises Corrupt (horizon.answer)."""
    answer = Answer(value, "an RDS server")
    name = answer.text("name")
    answer = Answer(value, f"the RDS server {name}")
    return _machine(answer, answer, in_session=(answer.number_or_none("session_count") or 0) > 0)


def _machine(
    answer: Answer, images: Answer, *, in_session: bool, error: str | None = None, missing: bool = False
) -> Machine:
    state = answer.text_or_none("state") or ""
    operation_state = images.text_or_none("operation_state")
    faulty = missing or state in _FAULTY or operation_state == _FAULT
    if faulty and not error:
        error = (
            f"The operation {images.text_or_none('operation') or ''} has failed" if operation_state == _FAULT else state
        )
    return Machine(
        id=answer.text("id"),
        name=answer.text("name"),
        state=state,
        image=image_in(images, "base_vm_id", "base_vm_snapshot_id"),
        pending=image_in(images, "pending_base_vm_id", "pending_base_vm_snapshot_id"),
        operation_state=None if operation_state in _NO_OPERATION else operation_state,
        logoff_policy=images.text_or_none("logoff_policy"),
        in_session=in_session,
        faulty=faulty,
        # An error of an earlier attempt may remain after a machine works.
        error=error if faulty else None,
    )
