# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide what to do with a pool or farm, from its observed state and the desired state alone.

``decide`` is a pure function and the only place that knows which request is allowed when. A run carries out the
decision, reads the pool again and decides again, until the decision is final; check mode shows the first decision.
A state that Horizon does not document never leads to a request: an administrator has to look at it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ..model import (
    FARM,
    FORCE_LOGOFF,
    WAIT_FOR_LOGOFF,
    ComputeProfile,
    CurrentState,
    ImageRef,
    Operation,
    PendingImage,
    PendingState,
    Target,
)


class DesiredState(enum.Enum):
    """The desired state of an image in a pool or farm."""

    PRESENT = "present"
    STAGED = "staged"
    CANCELED = "canceled"


class Action(enum.Enum):
    """What to do next.

    NOTHING: the state is the desired one. FOLLOW: Horizon is getting there; read again later. SETTLE: a different operation has to end
    first. ASK: an administrator has to act. REFUSE: the pool can never take the image as the options are.
    The others are requests to Horizon.
    """

    NOTHING = "nothing"
    FOLLOW = "follow"
    SETTLE = "settle"
    PUSH = "push"
    STAGE = "stage"
    RESCHEDULE = "reschedule"
    PROMOTE = "promote"
    APPLY = "apply"
    RESUME = "resume"
    CANCEL = "cancel"
    ENABLE_PROVISIONING = "enable_provisioning"
    ASK = "ask"
    REFUSE = "refuse"


REQUESTS = frozenset(
    (
        Action.PUSH,
        Action.STAGE,
        Action.RESCHEDULE,
        Action.PROMOTE,
        Action.APPLY,
        Action.RESUME,
        Action.CANCEL,
        Action.ENABLE_PROVISIONING,
    )
)
#: Requests after which Horizon creates machines with the image.
REMAKES_MACHINES = frozenset((Action.PUSH, Action.STAGE, Action.PROMOTE, Action.APPLY, Action.RESUME))


class Reason(enum.Enum):
    """Why an administrator has to act, why a pool is refused, or why a request is made again."""

    UNKNOWN_STATE = "unknown_state"
    DELETED = "deleted"
    NOT_INSTANT_CLONES = "not_instant_clones"
    OTHER_DATACENTER = "other_datacenter"
    IMAGE_STREAM = "image_stream"
    DISABLED = "disabled"
    PROVISIONING_DISABLED = "provisioning_disabled"
    OTHER_PENDING = "other_pending"
    OTHER_SETTINGS = "other_settings"
    NOT_STAGED = "not_staged"
    STARTED = "started"
    PUBLISHED = "published"
    START_PASSED = "start_passed"
    PROMOTE_STARTS_NOW = "promote_starts_now"
    OTHER_LOGOFF_POLICY = "other_logoff_policy"
    TOO_MANY_SESSIONS = "too_many_sessions"
    AFTER_FAILURE = "after_failure"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """The desired state. ``image`` None, allowed for CANCELED only, means any image that is pending.

    ``start_time`` (milliseconds) None makes no demand. ``add_virtual_tpm`` and ``compute_profile`` None keep what the pool has.
    ``max_sessions`` limits the connected sessions of a push that logs users off.
    """

    state: DesiredState
    image: ImageRef | None = None
    start_time: int | None = None
    logoff_policy: str = WAIT_FOR_LOGOFF
    stop_on_first_error: bool = True
    add_virtual_tpm: bool | None = None
    compute_profile: ComputeProfile | None = None
    max_sessions: int | None = None
    replace: bool = False
    change_source: bool = False
    enable_provisioning: bool = False
    allow_disabled: bool = False


@dataclass(frozen=True, kw_only=True)
class Observation:
    """The observed state. ``now`` is the time of the Connection Server in milliseconds.

    ``machines_without_image`` are the IDs of the machines that staging wants and that have neither the image nor a pending change to it.
    ``halted``: Horizon stopped an earlier push of the image when a machine failed, and can resume it. ``forced``: that push, or the
    push that staged the image, logs users off. ``connected`` is the number of connected sessions on the machines that the request would concern.
    """

    target: Target
    now: int
    same_datacenter: bool = True
    machines_without_image: tuple[str, ...] = ()
    halted: bool = False
    forced: bool = False
    connected: int = 0


@dataclass(frozen=True)
class Decision:
    """The action, and the reason if it is ASK, REFUSE or a repetition."""

    action: Action
    reason: Reason | None = None


_NOTHING, _FOLLOW, _SETTLE = Decision(Action.NOTHING), Decision(Action.FOLLOW), Decision(Action.SETTLE)
_CANCEL = Decision(Action.CANCEL)
_UNKNOWN = Decision(Action.ASK, Reason.UNKNOWN_STATE)

#: Operations that end by themselves; Horizon refuses requests until then.
_BUSY = frozenset((Operation.CANCELING, Operation.INITIAL_PUBLISH, Operation.INFRASTRUCTURE_CHANGE))
_UNPUBLISHING = frozenset((CurrentState.PENDING_UNPUBLISH, CurrentState.UNPUBLISHING))
#: The header Date is in seconds: a push that starts at once may seem to start up to this number of milliseconds later. A start
#: time that differs by less is the same: Horizon may keep times in seconds.
_RESOLUTION = 1000
_UNDER_WAY = frozenset((PendingState.PENDING_PUBLISH, PendingState.PUBLISHING, PendingState.READY))


class _Situation(enum.Enum):
    """What the combination of operation and pending image means."""

    IDLE = "idle"
    UNDER_WAY = "under way"
    HELD = "held"
    BUSY = "busy"
    UNKNOWN = "unknown"


def decide(observation: Observation, wish: Wish) -> Decision:
    """Return the next action for a pool or farm."""
    target = observation.target
    refusal = _refusal_of_target(target)
    if refusal is not None:
        return _NOTHING if wish.state is DesiredState.CANCELED else Decision(Action.REFUSE, refusal)
    situation = _situation(target)
    if situation is _Situation.UNKNOWN:
        return _UNKNOWN
    if situation is _Situation.BUSY:
        return _SETTLE
    if wish.state is DesiredState.CANCELED:
        return _to_canceled(observation, wish, situation)
    return _gate(observation, wish, _to_image(observation, wish, situation))


def has_image(target: Target, wish: Wish) -> bool:
    """Return whether the current image of ``target``, with its settings, is the desired one."""
    return target.current == wish.image and not _settings_differ(target.add_virtual_tpm, target.compute_profile, wish)


def _refusal_of_target(target: Target) -> Reason | None:
    if target.delete_in_progress or target.operation is Operation.FINAL_UNPUBLISH:
        return Reason.DELETED
    if (target.type, target.source) != ("AUTOMATED", "INSTANT_CLONE"):
        return Reason.NOT_INSTANT_CLONES
    return None


def _situation(target: Target) -> _Situation:
    """Return the meaning of the states that Horizon reports together; UNKNOWN for those that are not documented."""
    pending = target.pending.state if target.pending else None
    if Operation.UNKNOWN is target.operation or pending is PendingState.UNKNOWN:
        return _Situation.UNKNOWN
    if target.current_state in (CurrentState.UNKNOWN, CurrentState.FAILED):
        return _Situation.UNKNOWN
    if target.operation in _BUSY or target.current_state in _UNPUBLISHING or pending is PendingState.UNPUBLISHING:
        return _Situation.BUSY
    if target.current is None:
        return _Situation.UNKNOWN
    if target.operation is Operation.PUSH:
        # Between the acceptance of a request and the next report, the two values may not belong together.
        return _Situation.UNDER_WAY if pending in _UNDER_WAY else _Situation.BUSY
    if pending is None or pending is PendingState.FAILED:
        return _Situation.IDLE
    return _Situation.HELD if pending is PendingState.READY_HELD else _Situation.UNKNOWN


def _to_canceled(observation: Observation, wish: Wish, situation: _Situation) -> Decision:
    pending = observation.target.pending
    if situation is _Situation.IDLE or pending is None:
        return _NOTHING
    if wish.image is not None and pending.image != wish.image and not wish.replace:
        return Decision(Action.ASK, Reason.OTHER_PENDING)
    decision = _cancel(pending, observation.now)
    if decision == _CANCEL and observation.target.kind == FARM and pending.state is PendingState.READY:
        # Canceling the maintenance of a farm leaves a published image as its current image.
        return Decision(Action.ASK, Reason.PUBLISHED)
    return decision


def _cancel(pending: PendingImage, now: int) -> Decision:
    """Cancel, unless Horizon already replaces the machines: then the image becomes the current one."""
    if pending.state is PendingState.READY and not starts_later(pending, now):
        return Decision(Action.ASK, Reason.STARTED)
    return _CANCEL


def starts_later(pending: PendingImage, now: int) -> bool:
    """Return whether the machines of a push change later than ``now``, the time of the server's header Date."""
    start = pending.settings.start_time
    return start is not None and start > now + _RESOLUTION


def _to_image(observation: Observation, wish: Wish, situation: _Situation) -> Decision:
    target, pending = observation.target, observation.target.pending
    request = Action.STAGE if wish.state is DesiredState.STAGED else Action.PUSH
    if situation is _Situation.IDLE or pending is None:
        if has_image(target, wish):
            return _resume(observation, wish)
        failed = pending is not None and pending.image == wish.image
        return Decision(request, Reason.AFTER_FAILURE if failed else None)
    if pending.image != wish.image:
        return _replace(observation, wish, pending, Reason.OTHER_PENDING)
    if _settings_differ(pending.settings.add_virtual_tpm, pending.compute_profile, wish):
        return _replace(observation, wish, pending, Reason.OTHER_SETTINGS)
    if wish.state is DesiredState.STAGED:
        return _to_staged(observation, wish, situation, pending)
    if situation is _Situation.HELD:
        return _promote(observation, wish, pending)
    start, demanded = pending.settings.start_time, wish.start_time
    if (
        demanded is not None
        and start is not None
        and abs(demanded - start) >= _RESOLUTION
        and starts_later(pending, observation.now)
    ):
        return _keep_policy(observation, wish, pending, Action.RESCHEDULE)
    return _FOLLOW


def _resume(observation: Observation, wish: Wish) -> Decision:
    """Resume the push to machines that do not have the current image because an earlier push stopped."""
    if wish.state is not DesiredState.PRESENT or not observation.halted:
        return _NOTHING
    if observation.forced and wish.logoff_policy != FORCE_LOGOFF:
        return Decision(Action.ASK, Reason.OTHER_LOGOFF_POLICY)
    return Decision(Action.RESUME)


def _settings_differ(virtual_tpm: bool | None, profile: ComputeProfile | None, wish: Wish) -> bool:
    """Return whether the wish demands settings other than those; settings that Horizon does not report are not compared."""
    if wish.add_virtual_tpm is not None and virtual_tpm is not None and wish.add_virtual_tpm != virtual_tpm:
        return True
    return wish.compute_profile is not None and profile is not None and wish.compute_profile != profile


def _replace(observation: Observation, wish: Wish, pending: PendingImage, reason: Reason) -> Decision:
    return _cancel(pending, observation.now) if wish.replace else Decision(Action.ASK, reason)


def _to_staged(observation: Observation, wish: Wish, situation: _Situation, pending: PendingImage) -> Decision:
    if situation is _Situation.HELD:
        missing = observation.machines_without_image
        return _keep_policy(observation, wish, pending, Action.APPLY) if missing else _NOTHING
    if pending.state is PendingState.READY:
        return _replace(observation, wish, pending, Reason.NOT_STAGED)
    # Horizon shows whether the image is held or for all machines only when it is published.
    return _FOLLOW


def _promote(observation: Observation, wish: Wish, pending: PendingImage) -> Decision:
    if wish.start_time is not None and wish.start_time > observation.now:
        return _replace(observation, wish, pending, Reason.PROMOTE_STARTS_NOW)
    return _keep_policy(observation, wish, pending, Action.PROMOTE)


def _keep_policy(observation: Observation, wish: Wish, pending: PendingImage, action: Action) -> Decision:
    """Return a request that keeps the logoff policy of the pending image, unless that would log off users against the wish."""
    forced = observation.forced or pending.settings.logoff_policy == FORCE_LOGOFF
    if forced and wish.logoff_policy != FORCE_LOGOFF:
        return _replace(observation, wish, pending, Reason.OTHER_LOGOFF_POLICY)
    return Decision(action)


def _refusal_of_request(observation: Observation, wish: Wish, action: Action) -> Reason | None:
    target = observation.target
    if action is Action.RESUME:
        # The pool has the image: these conditions are about getting it.
        return None
    if not observation.same_datacenter:
        return Reason.OTHER_DATACENTER
    if target.image_stream and not wish.change_source:
        return Reason.IMAGE_STREAM
    if not target.enabled and not wish.allow_disabled:
        return Reason.DISABLED
    sends_start = action in (Action.PUSH, Action.STAGE, Action.RESCHEDULE)
    if sends_start and wish.start_time is not None and wish.start_time <= observation.now:
        return Reason.START_PASSED
    return None


def _gate(observation: Observation, wish: Wish, decision: Decision) -> Decision:
    """Return the decision, or why its request must not be sent."""
    target = observation.target
    if decision.action not in REQUESTS:
        return decision
    refusal = _refusal_of_request(observation, wish, decision.action)
    if refusal is not None:
        return Decision(Action.REFUSE, refusal)
    if decision.action not in REMAKES_MACHINES:
        return decision if decision.action is not Action.RESCHEDULE else _limit_sessions(observation, wish, decision)
    if target.provisioning is False:
        # Horizon has no request that enables the provisioning of a farm alone.
        if wish.enable_provisioning and target.kind != FARM:
            return Decision(Action.ENABLE_PROVISIONING)
        return Decision(Action.ASK, Reason.PROVISIONING_DISABLED)
    return _limit_sessions(observation, wish, decision)


def _limit_sessions(observation: Observation, wish: Wish, decision: Decision) -> Decision:
    """Return the decision, or why it must not log off the users who are connected."""
    if (
        wish.max_sessions is not None
        and wish.logoff_policy == FORCE_LOGOFF
        and observation.connected > wish.max_sessions
    ):
        return Decision(Action.ASK, Reason.TOO_MANY_SESSIONS)
    return decision
