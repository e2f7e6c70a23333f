# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The request of an action: its body, and sending it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...common.errors import InternalError
from ..model import PushRequest, Target
from .decision import Action
from .push_results import PushGoal

#: Actions whose request is a push with a body.
PUSHES = frozenset((Action.PUSH, Action.STAGE, Action.RESCHEDULE))


def body_of(action: Action, goal: PushGoal, target: Target, machine_ids: Sequence[str]) -> dict[str, Any] | None:
    """Return the body of the request, None if it has none. ``machine_ids`` are those to stage or apply the image to."""
    if action in PUSHES:
        return goal.api.request_body(target, _push_request(action, goal, target, machine_ids))
    return {"machine_ids": list(machine_ids)} if action is Action.APPLY else None


def send(action: Action, goal: PushGoal, target: Target, machine_ids: Sequence[str]) -> None:
    """Send the request of an action."""
    if action in PUSHES:
        goal.api.push(target, _push_request(action, goal, target, machine_ids))
    elif action is Action.APPLY:
        goal.api.apply(target, machine_ids)
    elif action is Action.RESUME:
        goal.api.resume(target, stop_on_first_error=goal.wish.stop_on_first_error)
    elif action is Action.PROMOTE:
        goal.api.promote(target)
    elif action is Action.ENABLE_PROVISIONING:
        goal.api.enable_provisioning(target)
    else:
        goal.api.cancel(target)


def _push_request(action: Action, goal: PushGoal, target: Target, machine_ids: Sequence[str]) -> PushRequest:
    wish = goal.wish
    if wish.image is None:
        raise InternalError(f"A push to the {target.label} has no image.", code="horizon.push_image")
    request = PushRequest(
        image=wish.image,
        logoff_policy=wish.logoff_policy,
        start_time=wish.start_time,
        stop_on_first_error=wish.stop_on_first_error,
        add_virtual_tpm=wish.add_virtual_tpm,
        compute_profile=wish.compute_profile,
    )
    if action is Action.STAGE:
        return replace(request, machine_ids=tuple(machine_ids))
    if action is Action.RESCHEDULE and target.pending is not None:
        # Horizon changes the start time only if everything else is the same.
        settings = target.pending.settings
        stop = settings.stop_on_first_error
        return replace(
            request,
            logoff_policy=settings.logoff_policy or wish.logoff_policy,
            stop_on_first_error=wish.stop_on_first_error if stop is None else stop,
            add_virtual_tpm=settings.add_virtual_tpm,
            compute_profile=target.pending.compute_profile,
        )
    return request
