# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sentences about a push: why an administrator has to act, why a pool or farm is refused, and how far a push is."""

from __future__ import annotations

import datetime

from ...common.errors import Conflict, StrataError, Unavailable, Unsupported
from ..inventory.machines import MachineCounts
from ..model import FARM, PendingState, SessionCounts, Target
from .decision import Action, Decision, Observation, Reason
from .push_results import PushGoal

_NAMED = 5
#: Characters of a field of Horizon in a sentence.
_LONGEST_FIELD = 400


def time_text(milliseconds: int) -> str:
    """Return a time of Horizon in RFC 3339 form, in UTC."""
    try:
        moment = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    except (ValueError, OverflowError, OSError):
        # A Connection Server may send any number.
        return f"{milliseconds} ms after 1970"
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def state_text(target: Target) -> str:
    """Return the states that Horizon reports for a pool or farm, as Horizon names them."""
    found = [
        f"{name} {value}"[:_LONGEST_FIELD] for name, value in sorted(target.raw.items()) if value not in (None, "", {})
    ]
    fields = ", ".join(found)
    return fields or "no status"


def _other_pending_text(target: Target, image: str) -> str:
    pending = target.pending
    if pending is not None and pending.state is PendingState.READY_HELD:
        return (
            f"A different image, {image}, is staged in the {target.label}. "
            "Promote it, cancel it with the state canceled, or set replace to true."
        )
    state = pending.state.value if pending else "none"
    return (
        f"A push of a different image, {image}, to the {target.label} has not ended (state {state}). "
        "Wait until it has ended, cancel it with the state canceled, or set replace to true."
    )


def _ask_text(reason: Reason | None, target: Target, pending_image: str, connected: int, limit: int | None) -> str:
    """Return what an administrator has to do. ``pending_image`` names that image; ``connected`` and ``limit`` are numbers of sessions."""
    label = target.label
    texts = {
        Reason.PROVISIONING_DISABLED: (
            f"Provisioning of the {label} is disabled, so that its machines would not get the image. "
            "Enable provisioning in Horizon Console, or set provisioning to enabled for a pool."
        ),
        Reason.OTHER_PENDING: _other_pending_text(target, pending_image),
        Reason.OTHER_SETTINGS: (
            f"The image is already pending in the {label}, with a different vTPM setting or compute profile. "
            "Wait until it is current, cancel the push, or set replace to true."
        ),
        Reason.NOT_STAGED: (
            f"The image is already being pushed to all machines of the {label}, and cannot be staged. "
            "Use the state present, or cancel the push before its start."
        ),
        Reason.STARTED: (
            f"The push to the {label} has started, and Horizon cannot cancel it: the image becomes the current image. "
            "Wait until it is current. To go back, push the previous image."
        ),
        Reason.PUBLISHED: (
            f"The image is already published for the {label}: if the push is canceled, Horizon makes it the current image. "
            "Push the previous image with replace set to true, or postpone the push with start_time."
        ),
        Reason.PROMOTE_STARTS_NOW: (
            f"The image is staged in the {label}, and promoting it starts at once. "
            "Run the playbook at the desired time without start_time, or set replace to true to publish the image again."
        ),
        Reason.OTHER_LOGOFF_POLICY: (
            f"The image was pushed to the {label} with the policy force_logoff, which Horizon would keep. "
            "Set logoff_policy to force_logoff, or, while the image is pending, set replace to true to publish it again."
        ),
        Reason.TOO_MANY_SESSIONS: (
            f"{connected} {'user is' if connected == 1 else 'users are'} connected to the {label}; max_sessions allows {limit} for a forced logoff. "
            "Run the playbook when fewer users work, or use the policy wait_for_logoff."
        ),
    }
    return texts.get(reason, unknown_text(target)) if reason else unknown_text(target)


def canceled_too_late_text(target: Target) -> str:
    """Return the sentence about an image that became the current image although its push was canceled."""
    return (
        f"The image was published before the push to the {target.label} was canceled, and became the current image. "
        "To go back, push the previous image."
    )


def asked_text(goal: PushGoal, decision: Decision, observation: Observation) -> str:
    """Return what an administrator has to do so that the goal can be reached."""
    pending = observation.target.pending
    image = goal.name_image(pending.image) if pending and pending.image else "which Horizon does not name"
    return _ask_text(decision.reason, observation.target, image, observation.connected, goal.wish.max_sessions)


def unknown_text(target: Target) -> str:
    """Return the sentence about a state that no request is allowed in."""
    return (
        f"Horizon reports a state of the {target.label} that this collection does not know: {state_text(target)}. "
        "Nothing was requested. Check the pool or farm in Horizon Console."
    )


def busy_text(target: Target, seconds: float) -> str:
    """Return the sentence about an operation that has not ended in time."""
    return (
        f"An operation on the {target.label} has not ended after {seconds:g} s: {state_text(target)}. "
        "Check the pool or farm in Horizon Console, and run the playbook again."
    )


def settling_text(target: Target) -> str:
    """Return the sentence about an operation that a run would await before it decides."""
    return f"An operation on the {target.label} is in progress: {state_text(target)}. A run waits for its end first."


def machines_text(target: Target, counts: MachineCounts) -> str:
    """Return the sentence about machines that Horizon will not change by itself."""
    named = ", ".join(f"{name} ({error})" for name, error in counts.failed[:_NAMED])
    more = len(counts.failed) - _NAMED
    failed = f" Failed: {named}{f' and {more} more' if more > 0 else ''}." if named else ""
    halted = f" {counts.halted} machines wait because a machine has failed." if counts.halted else ""
    again = " Run the playbook again to resume the push." if counts.halted and target.kind != FARM else ""
    return (
        f"{counts.on_image} of {counts.total} machines of the {target.label} have the image.{failed}{halted} "
        f"Correct the cause or remove the machines in Horizon Console.{again}"
    )


def refusal(reason: Reason | None, target: Target, now: int) -> StrataError:
    """Return the error about a pool or farm that cannot take the image as the options are."""
    label = f"The {target.label}"
    details = {"target": target.name, "kind": target.kind}
    if reason is Reason.DELETED:
        return Conflict(
            f"{label} is being deleted.",
            code="horizon.target_deleted",
            hint=f"Remove it from the option {target.kind}s.",
            **details,
        )
    if reason is Reason.NOT_INSTANT_CLONES:
        return _not_instant_clones(target)
    if reason is Reason.OTHER_DATACENTER:
        return Conflict(
            f"{label} is in a different datacenter than the image.",
            code="horizon.other_datacenter",
            hint="Publish the image with a connector in the datacenter of the pool or farm.",
            **details,
        )
    if reason is Reason.IMAGE_STREAM:
        return Conflict(
            f"{label} gets its image from an image stream of Horizon.",
            code="horizon.image_stream",
            hint="Set image_source to change, so that it gets the image from the VM and its snapshot.",
            **details,
        )
    if reason is Reason.DISABLED:
        return Conflict(
            f"{label} is disabled.",
            code="horizon.target_disabled",
            hint="Enable it in Horizon Console, or set allow_disabled to true.",
            **details,
        )
    return Conflict(
        f"The start time of the push to the {target.label} has passed: it is {time_text(now)} on the Connection Server.",
        code="horizon.start_passed",
        hint="Set start_time to a later time, or remove it.",
        **details,
    )


def _not_instant_clones(target: Target) -> StrataError:
    if target.source == "LINKED_CLONE":
        found = "has linked clones, which Horizon does not support since version 2012"
    else:
        found = f"has the type {target.type or 'unknown'} and the source {target.source or 'unknown'}"
    return Unsupported(
        f"The {target.label} {found}; a push needs an automated {target.kind} of instant clones.",
        code="horizon.not_instant_clones",
        hint=f"Remove it from the option {target.kind}s.",
        target=target.name,
        kind=target.kind,
        type=target.type,
        source=target.source,
    )


def publish_error(target: Target) -> StrataError:
    """Return the error about an image that Horizon could not publish."""
    error = (target.pending.error if target.pending else None) or target.error or "Horizon gives no reason"
    return Unavailable(
        f"Horizon could not publish the image for the {target.label}: {error.rstrip('.')}.",
        code="horizon.publish_failed",
        hint="Correct the cause, and run the playbook again. The current image is unchanged.",
        target=target.name,
        kind=target.kind,
        error=error,
    )


def is_retryable(error: str | None) -> bool:
    """Return whether publishing again can help: not after a wrong password of Horizon's domain account."""
    return not any(word in (error or "").casefold() for word in ("credential", "authenticat", "password", "logon"))


_WOULD = {
    Action.PUSH: "{image} would be pushed to the {label}.",
    Action.STAGE: "{image} would be staged in the {label}.",
    Action.RESCHEDULE: "The push to the {label} would start at a different time.",
    Action.PROMOTE: "{image}, which is staged in the {label}, would be promoted.",
    Action.APPLY: "{image}, which is staged in the {label}, would be applied to more machines.",
    Action.RESUME: "The push to the {label}, which stopped when a machine failed, would be resumed.",
    Action.CANCEL: "The push that is pending in the {label} would be canceled.",
    Action.ENABLE_PROVISIONING: "Provisioning of the {label} would be enabled, and the image pushed.",
}


def plan_text(action: Action, target: Target, image: str, start_time: int | None) -> str:
    """Return the sentence about a request that check mode does not send."""
    start = f" It would start at {time_text(start_time)}." if start_time is not None else ""
    return f"{_WOULD[action].format(image=image, label=target.label)}{start}"


def sessions_text(sessions: SessionCounts) -> str:
    """Return the sentence, with a space before it, about the sessions of a pool or farm that a request would concern."""
    return f" Sessions: {sessions.connected} connected, {sessions.disconnected} disconnected."


def provisioning_text(target: Target) -> str:
    """Return the sentence about provisioning that was disabled again after this run had enabled it."""
    return (
        f"Provisioning of the {target.label} was disabled again after this run had enabled it. "
        "Correct the error that Horizon Console shows for it, and run the playbook again."
    )


def undone_text(target: Target) -> str:
    """Return the sentence about a request of this run that someone has undone."""
    return (
        f"Another administrator or process changes the image of the {target.label} at the same time: the push of this run was canceled or replaced. "
        "Nothing else was requested. Find out who it is, and run the playbook again."
    )


def following_text(target: Target, image: str) -> str:
    """Return the sentence about a push that Horizon carries out. ``image`` names the image in a sentence."""
    pending = target.pending
    if pending is None or pending.state is PendingState.PENDING_PUBLISH:
        return f"{image} waits to be published for the {target.label}."
    if pending.state is PendingState.PUBLISHING:
        percent = "" if pending.progress is None else f" ({pending.progress} %)"
        return f"{image} is being published for the {target.label}{percent}."
    start = pending.settings.start_time
    when = f" The machines change at {time_text(start)}." if start is not None else ""
    return f"{image} is published for the {target.label}.{when}"
