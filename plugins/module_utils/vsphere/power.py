# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power on a VM on a host that DRS selects.

PowerOnVM_Task uses the host on which the VM was created when DRS only recommends placements (level manual): that host may be in
maintenance mode or full by now. PowerOnMultiVM_Task lets DRS select the host, for this call also at the level manual.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ..common.errors import StrataError
from ..common.optional_imports import pyvmomi
from .faults import explained, fault_error
from .inventory.compute import has_drs
from .inventory.inventory import Inventory
from .properties import wait_for
from .session import Session
from .tasks import wait_for_task

#: Errors after which PowerOnVM_Task is used: the account may not ask DRS, or the server does not know the call or its options.
_CANNOT_ASK = frozenset(("vsphere.permission", "vsphere.not_supported", "vsphere.argument"))

#: Seconds between two reads of the events.
_INTERVAL = 2


def power_on_by_drs(
    session: Session, vm: Any, subject: str, *, last_power_on: Callable[[], int | None], timeout: float
) -> bool:
    """Power a VM on, on a host that DRS selects; return False, and change nothing, if DRS cannot be asked.

    ``subject`` is the beginning of error messages, such as "Powering on X"; ``last_power_on`` returns the number of the VM's newest
    power-on event.

    Raises:
        StrataError: as ``fault_error`` if no host of the cluster can run the VM; as ``wait_for_task``.
    """
    if not has_drs(session, vm):
        return False
    deadline = time.monotonic() + timeout
    before = last_power_on()
    try:
        result = _request(session, vm, subject, timeout)
        for recommendation in getattr(result, "recommendations", None) or []:
            # The cluster does not let callers override its level.
            with explained(subject):
                recommendation.target.ApplyRecommendation(recommendation.key)
    except StrataError as error:
        if error.code not in _CANNOT_ASK:
            raise
        return False
    for refused in getattr(result, "notAttempted", None) or []:
        raise fault_error(refused.fault, subject)
    for attempted in getattr(result, "attempted", None) or []:
        if attempted.task is not None:
            wait_for_task(session, attempted.task, subject, timeout=max(1, deadline - time.monotonic()))
    # Without a task, the event says that the VM was powered on: it may have powered itself off again.
    wait_for(
        session,
        vm,
        ["runtime.powerState"],
        lambda values: values.get("runtime.powerState") == "poweredOn" or last_power_on() != before,
        max(1, deadline - time.monotonic()),
        subject=subject,
        interval=_INTERVAL,
    )
    return True


def _request(session: Session, vm: Any, subject: str, timeout: float) -> Any:
    """Call PowerOnMultiVM_Task for one VM; return its result, a ClusterPowerOnVmResult."""
    # A text: so other clients send this option.
    level = str(pyvmomi.vim.cluster.DrsConfigInfo.DrsBehavior.fullyAutomated)
    option = pyvmomi.vim.option.OptionValue(key="OverrideAutomationLevel", value=level)
    with explained(subject):
        task = Inventory(session).datacenter_of(vm).PowerOnMultiVM_Task([vm], [option])
    return wait_for_task(session, task, subject, timeout=timeout, result=True)
