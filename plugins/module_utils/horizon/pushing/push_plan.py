# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a push would do first: one observation and one decision, for check mode."""

from __future__ import annotations

from ...common.errors import StrataError
from .decision import Action, Decision, DesiredState, Observation, decide, starts_later
from .observer import PushObserver
from .push_requests import body_of
from .push_results import (
    ACTION_REQUIRED,
    CANCELED,
    COMPLETE,
    FAILED,
    NOT_STARTED,
    RUNNING,
    SCHEDULED,
    STAGED,
    PushGoal,
    PushOptions,
    PushResult,
    PushTools,
)
from .push_texts import asked_text, following_text, plan_text, refusal, sessions_text, settling_text


def plan_push(goal: PushGoal, options: PushOptions, tools: PushTools) -> PushResult:
    """Decide once and request nothing; the result has the request that a run would send first."""
    result = PushResult(before=goal.target, target=goal.target)
    observer = PushObserver(goal, tools.server_time)
    try:
        awaits_machines = goal.wish.state is DesiredState.PRESENT and options.for_machines
        observation = observer.observe(find_halted=awaits_machines)
        decision = decide(observation, goal.wish)
        result.target, result.reason = observation.target, decision.reason
        if decision.action is Action.REFUSE:
            raise refusal(decision.reason, observation.target, observation.now)
        result.status, result.description = _described(goal, decision, observation)
        if result.status == NOT_STARTED:
            result.changed = True
            result.requests.append(decision.action)
            machine_ids = observer.machine_ids(decision.action, observation)
            result.request = body_of(decision.action, goal, observation.target, machine_ids)
        result.counts = observer.count()
        result.sessions = observer.sessions()
        if result.status == NOT_STARTED:
            result.description += sessions_text(result.sessions)
    except StrataError as error:
        result.status, result.description, result.error = FAILED, str(error), error
    return result


def _described(goal: PushGoal, decision: Decision, observation: Observation) -> tuple[str, str]:
    """Return the status and the description of the pool; NOT_STARTED if a run would send a request."""
    target, wish = observation.target, goal.wish
    if decision.action is Action.ASK:
        return ACTION_REQUIRED, asked_text(goal, decision, observation)
    if decision.action is Action.NOTHING:
        staged = wish.state is DesiredState.STAGED and target.current != wish.image
        status = STAGED if staged else CANCELED if wish.state is DesiredState.CANCELED else COMPLETE
        return status, f"The {target.label} is in the desired state."
    if decision.action is Action.SETTLE:
        return RUNNING, settling_text(target)
    if decision.action is Action.FOLLOW:
        later = target.pending is not None and starts_later(target.pending, observation.now)
        return SCHEDULED if later else RUNNING, following_text(target, goal.image_text)
    return NOT_STARTED, plan_text(decision.action, target, goal.image_text, wish.start_time)
