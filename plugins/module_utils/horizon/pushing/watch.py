# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Push to several pools and farms in one session: all pushes are started first and then watched together.

While an image is published, a pool costs one request in each interval; while its machines change, one request for each page of
1,000 machines.
"""

from __future__ import annotations

from collections.abc import Sequence

from .push_plan import plan_push
from .push_results import PushGoal, PushOptions, PushResult, PushTools
from .pushes import TargetPush


def run_pushes(
    goals: Sequence[PushGoal], options: PushOptions, tools: PushTools, *, check_mode: bool = False
) -> list[PushResult]:
    """Carry out the pushes and return their results, in the order of ``goals``.

    A push that fails does not stop the others; its result has the error. In check mode, the results say what would be requested first.
    """
    if check_mode:
        return [plan_push(goal, options, tools) for goal in goals]
    pushes = [TargetPush(goal, options, tools) for goal in goals]
    while waiting := [push for push in pushes if push.due is not None]:
        first = min(waiting, key=lambda push: push.due or 0.0)
        pause = (first.due or 0.0) - tools.clock()
        if pause > 0:
            tools.sleep(pause)
        first.step()
    return [push.result for push in pushes]
