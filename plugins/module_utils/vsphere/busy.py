# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait while vCenter refuses a call because it is still working on the VM.

Right after an import, a reconfiguration or a power-on has ended, vCenter may answer the next call with TaskInProgress or
InvalidState for a moment. Such an answer means that the call was not executed, so that it can be made again. The property
``disabledMethod`` lists the methods that vCenter refuses at present; a user may lack the privilege to read it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ..common.errors import NotFound, StrataError
from .faults import is_transient
from .properties import wait_for
from .session import Attempts, Session

_Result = TypeVar("_Result")
#: Seconds: the pauses before a call is made again, which double, and the time between two ticks.
_FIRST_PAUSE, _LONGEST_PAUSE, _TICK = 0.25, 5.0, 5.0


@dataclass(frozen=True)
class Waiting:
    """How to wait for a busy VM: ``timeout`` in seconds (None: ``busy`` of the session's patience).

    ``tick`` is called every few seconds of the wait and may raise to end it.
    """

    timeout: float | None = None
    tick: Callable[[], None] = lambda: None


PATIENTLY = Waiting()


def is_busy(error: StrataError) -> bool:
    """Return whether vCenter refused a call because of work that is in progress.

    InvalidState has subtypes that describe a lasting state, such as a host in maintenance mode: these do not count.
    """
    return error.code == "vsphere.busy" or error.details.get("fault") == "InvalidState"


def patiently(
    session: Session,
    vm: Any,
    method: str,
    work: Callable[[], _Result],
    waiting: Waiting = PATIENTLY,
) -> _Result:
    """Return the result of ``work``, which calls ``method`` of the VM; repeat it while the VM is busy.

    Raises:
        StrataError: as ``work`` and ``tick``; after the timeout the error for a busy VM (``vsphere.busy`` or ``vsphere.state``).
    """
    limit = session.patience.busy if waiting.timeout is None else waiting.timeout
    deadline = time.monotonic() + limit
    pause = min(_FIRST_PAUSE, session.patience.busy / 16)
    while True:
        try:
            return work()
        except StrataError as error:
            left = deadline - time.monotonic()
            if not is_busy(error):
                raise
            if left <= 0:
                error.message = f"{error.message} The call was repeated for {limit:g} s."
                raise
        waiting.tick()
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE)
        wait_until_enabled(session, vm, method, deadline - time.monotonic(), waiting.tick)


def wait_until_enabled(
    session: Session, vm: Any, method: str, timeout: float, tick: Callable[[], None] = lambda: None
) -> None:
    """Wait up to ``timeout`` seconds until vCenter does not refuse ``method`` of the VM; return at once if that is not known.

    Raises:
        NotFound: ``vsphere.gone`` if the VM does not exist.
        StrataError: as ``tick``.
    """
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        try:
            wait_for(
                session,
                vm,
                ["disabledMethod"],
                lambda values: method not in values.get("disabledMethod", ()),
                min(left, _TICK),
                subject="Waiting for the virtual machine",
            )
            return
        except NotFound:
            raise
        except StrataError as error:
            if error.code != "vsphere.timed_out":
                return
        tick()


def when_free(session: Session, call: Callable[[], _Result]) -> _Result:
    """Return the result of ``call``, which may be repeated.

    While a task holds the VM, it is repeated until a lease without a holder must have expired. While the state of the VM does not
    allow the call, it is repeated as long as a VM may be busy; after a transient error, a few times.
    """
    started = time.monotonic()
    pause = min(2, session.patience.lease / 20)
    attempts = Attempts(session.patience.calls)
    while True:
        try:
            return call()
        except StrataError as error:
            if is_busy(error):
                limit = session.patience.lease if error.code == "vsphere.busy" else session.patience.busy
                if time.monotonic() + pause > started + limit:
                    raise
                time.sleep(pause)
            elif not is_transient(error) or not attempts.again(fault_of(error)):
                raise


def fault_of(error: StrataError) -> str | None:
    """Return the name of the fault that caused an error."""
    fault = error.details.get("fault")
    return fault if isinstance(fault, str) else None
