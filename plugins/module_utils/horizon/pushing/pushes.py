# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The push of an image to one pool or farm: observe, decide, request, and observe again until the decision is final.

A ``TargetPush`` never sleeps: ``step`` makes at most a few requests and returns when the next step is due, so that ``watch`` can
carry out many pushes in one session. A request whose answer was lost is only repeated after a later observation has shown
that Horizon did not execute it.
"""

from __future__ import annotations

from ...common.errors import Corrupt, StrataError, TimedOut
from ..inventory.machines import MachineCounts
from ..model import PendingState, Target, is_same_state
from ..rest.client import AnswerLost
from .decision import (
    REMAKES_MACHINES,
    REQUESTS,
    Action,
    Decision,
    DesiredState,
    Observation,
    Reason,
    decide,
    starts_later,
)
from .observer import PushObserver
from .push_requests import body_of, send
from .push_results import (
    ACTION_REQUIRED,
    CANCELED,
    COMPLETE,
    FAILED,
    RUNNING,
    SCHEDULED,
    STAGED,
    PushGoal,
    PushOptions,
    PushResult,
    PushTools,
)
from .push_texts import (
    asked_text,
    busy_text,
    canceled_too_late_text,
    following_text,
    is_retryable,
    machines_text,
    provisioning_text,
    publish_error,
    refusal,
    undone_text,
)

#: Codes of a request that Horizon refuses in the current state.
_REFUSED = frozenset(("horizon.refused", "horizon.conflict"))
#: The code of a push that Horizon accepted, but not for all machines that were named.
_MACHINES_REFUSED = "horizon.machines_refused"
#: Codes of failures that may end by themselves; the client has already repeated the request if that is safe.
_TRANSIENT = frozenset(
    (
        "horizon.answer_lost",
        "horizon.connection",
        "horizon.connection_refused",
        "horizon.no_answer",
        "horizon.protocol",
        "horizon.throttled",
        "horizon.unavailable",
    )
)
#: Requests that give the image to machines.
_PUSHED = frozenset((Action.PUSH, Action.STAGE, Action.PROMOTE))
#: Requests that this run makes once: a second time means that someone, or an error, undid the first.
_ONCE = _PUSHED | {Action.RESCHEDULE, Action.ENABLE_PROVISIONING}
#: Seconds between a lost answer and the observation that shows whether Horizon executed the request.
_CONFIRM = 5.0
#: While the machines change, one observation in this number is of the pool: a different image may become its current one.
_POOL_EVERY = 20


class TargetPush:
    """One push. ``due`` is the time of the next step on the clock of ``tools``, None after the end."""

    def __init__(self, goal: PushGoal, options: PushOptions, tools: PushTools) -> None:
        self._goal, self._options, self._tools = goal, options, tools
        self.result = PushResult(before=goal.target, target=goal.target)
        self.due: float | None = tools.clock()
        self._began = tools.clock()
        self._observer = PushObserver(goal, tools.server_time)
        self._busy_since: float | None = None
        self._doubtful_before = False
        #: The last accepted request and the pool before it: the same decision for the same state must not repeat it.
        self._accepted: tuple[Action, Target] | None = None
        #: The request whose answer was lost, the pool before it, and the error: a later observation shows whether Horizon executed it.
        self._lost: tuple[Action, Target, StrataError] | None = None
        self._refused: Action | None = None
        self._in_progress = False
        self._publish_failures = self._request_failures = self._read_failures = 0
        self._retry_at: float | None = None
        self._image_done = False
        self._polls = 0

    # -- steps

    def step(self) -> None:
        """Observe and act once; set ``due``."""
        try:
            self._polls += 1
            if self._image_done and self._polls % _POOL_EVERY:
                self._watch_machines()
            else:
                self._advance()
            self._read_failures = 0
        except StrataError as error:
            self._after_read_error(error)

    def _advance(self) -> None:
        observation = self._observe()
        decision = decide(observation, self._goal.wish)
        if decision.action in REQUESTS and not self._observer.confirm():
            self.due = self._tools.clock()
            return
        self.result.reason = decision.reason
        if self._is_momentary(decision):
            self._later()
            return
        if decision.action is Action.SETTLE or self._is_repetition(decision):
            self._settle()
            return
        self._busy_since = None
        if self._lost is not None and not self._find_lost(*self._lost, decision):
            return
        if decision.action is Action.FOLLOW:
            self._follow()
        elif decision.action is Action.NOTHING:
            self._reached()
        elif decision.action is Action.ASK:
            self._end(ACTION_REQUIRED, asked_text(self._goal, decision, observation))
        elif decision.action is Action.REFUSE:
            self._fail(refusal(decision.reason, observation.target, observation.now))
        elif decision.reason is not Reason.AFTER_FAILURE or self._may_push_again():
            self._request(decision, observation)

    def _is_momentary(self, decision: Decision) -> bool:
        """Return whether the next observation may show a different state, so that the decision has to be confirmed.

        The states of one answer may not belong together for a moment, and Horizon may mark the machines of a staged image a moment
        after it has published the image.
        """
        staged_now = decision.action is Action.APPLY and Action.STAGE in self.result.requests
        doubtful = staged_now or decision.reason is Reason.UNKNOWN_STATE
        momentary = doubtful and not self._doubtful_before
        self._doubtful_before = doubtful
        return momentary

    def _observe(self) -> Observation:
        wish = self._goal.wish
        # What this run's push stopped at stays stopped.
        awaits_machines = wish.state is DesiredState.PRESENT and self._options.for_machines and not self._in_progress
        observation = self._observer.observe(find_halted=awaits_machines)
        self.result.target = observation.target
        return observation

    # -- requests

    def _request(self, decision: Decision, observation: Observation) -> None:
        action, target = decision.action, observation.target
        if self._was_undone(decision):
            disabled = action is Action.ENABLE_PROVISIONING
            self.result.reason = Reason.PROVISIONING_DISABLED if disabled else None
            self._end(ACTION_REQUIRED, provisioning_text(target) if disabled else undone_text(target))
            return
        machine_ids = self._observer.machine_ids(action, observation)
        self.result.request = body_of(action, self._goal, target, machine_ids)
        try:
            send(action, self._goal, target, machine_ids)
        except StrataError as error:
            if error.code == _MACHINES_REFUSED:
                self._record(action, target)
            self._after_request_error(action, error)
            return
        self._record(action, target)
        self._request_failures, self._refused = 0, None
        if action is Action.RESUME:
            # Horizon marks the machines after its answer.
            self._later()
        else:
            self.due = self._tools.clock()

    def _record(self, action: Action, target: Target) -> None:
        """Remember a request that Horizon accepted, and report it to the caller."""
        self._accepted = (action, target)
        self._in_progress = self._in_progress or action in REMAKES_MACHINES
        self.result.changed = True
        self.result.requests.append(action)
        if self._tools.on_request is not None:
            self._tools.on_request(self._goal, action, target)

    def _was_undone(self, decision: Decision) -> bool:
        """Return whether an administrator or a different run has undone what this run reached or requested.

        It must not be requested again: two runs, or a run and an administrator, would undo each other's pushes without end.
        """
        action, sent = decision.action, self.result.requests
        if action is Action.CANCEL:
            pushed = not _PUSHED.isdisjoint(sent) or self._image_done
            return pushed or Action.CANCEL in sent
        if self._image_done:
            return action in _PUSHED
        again = action in _ONCE and action in sent
        return again and decision.reason is not Reason.AFTER_FAILURE and sent[-1] is not Action.CANCEL

    def _is_repetition(self, decision: Decision) -> bool:
        """Return whether Horizon accepted this request, and its effect is not visible yet."""
        if self._accepted is None:
            return False
        action, before = self._accepted
        if action is decision.action and not _has_effect(action, self.result.target, before):
            return True
        self._accepted = None
        return False

    def _may_push_again(self) -> bool:
        """Return whether an image whose publishing failed may be published again now; otherwise end or wait."""
        pending = self.result.target.pending
        if not self._in_progress:
            return True
        now = self._tools.clock()
        if self._retry_at is None:
            self._publish_failures += 1
            if self._publish_failures > self._options.retries or not is_retryable(pending.error if pending else None):
                self._fail(publish_error(self.result.target))
                return False
            self._retry_at = now + self._options.retry_pause
        if now < self._retry_at:
            self.due = self._retry_at
            return False
        self._retry_at = None
        return True

    # -- errors

    def _after_request_error(self, action: Action, error: StrataError) -> None:
        """Decide again if the state may have changed, or the request may be repeated; otherwise fail."""
        confirm = self._tools.clock() + min(_CONFIRM, self._options.interval)
        if isinstance(error, (AnswerLost, Corrupt)):
            # Horizon may have executed a request whose answer cannot be read, too.
            self._lost = (action, self.result.target, error)
            self.due = confirm
        elif error.code in _REFUSED and self._refused is not action:
            # The state may have changed between the observation and the request.
            self._refused = action
            self.due = confirm
        elif error.code not in _TRANSIENT or self._request_failures >= self._options.retries:
            self._fail(error)
        else:
            self._request_failures += 1
            self.due = self._tools.clock() + self._options.retry_pause

    def _find_lost(self, action: Action, before: Target, error: StrataError, decision: Decision) -> bool:
        """Find out whether Horizon executed a request whose answer was lost; return whether to carry out the decision.

        If the decision is the same for the same state, Horizon did not execute the request, and it counts as a failure.
        """
        self._lost = None
        if decision.action is action and not _has_effect(action, self.result.target, before):
            if self._request_failures >= self._options.retries:
                self._fail(error)
                return False
            self._request_failures += 1
        elif decision.action not in (Action.ASK, Action.REFUSE):
            self._record(action, before)
            self._request_failures, self._refused = 0, None
        return True

    def _after_read_error(self, error: StrataError) -> None:
        # A server that does not answer for minutes must not prolong the time to wait.
        overdue = self._in_progress and self._waited() >= self._options.timeout
        if error.code not in _TRANSIENT or overdue or self._read_failures >= self._options.retries:
            self._fail(error)
        else:
            self._read_failures += 1
            self.due = self._tools.clock() + self._options.retry_pause

    # -- waiting

    def _later(self) -> None:
        self.due = self._tools.clock() + self._options.interval

    def _settle(self) -> None:
        now = self._tools.clock()
        self._busy_since = now if self._busy_since is None else self._busy_since
        waited = now - self._busy_since
        self.result.status = RUNNING
        if waited >= self._options.operation_timeout:
            if self._lost is not None and _has_effect(self._lost[0], self.result.target, self._lost[1]):
                self._record(*self._lost[:2])
            self._end(ACTION_REQUIRED, busy_text(self.result.target, self._options.operation_timeout))
            return
        self._report("wait for Horizon", round(waited), round(self._options.operation_timeout))
        self._later()

    def _follow(self) -> None:
        """Wait while Horizon publishes the image; a push that starts later is not awaited."""
        target = self.result.target
        pending = target.pending
        self._in_progress = True
        text = following_text(target, self._goal.image_text)
        if pending is not None and pending.state is PendingState.READY and self._starts_later(target):
            self._end(SCHEDULED, text)
        elif not self._options.wait:
            self._end(SCHEDULED if self._starts_later(target) else RUNNING, text)
        elif self._waited() >= self._options.timeout:
            self._fail(
                TimedOut(
                    f"The {target.label} does not have the image after {self._options.timeout:g} s: {text}",
                    code="horizon.wait_timeout",
                    hint="Run the playbook again to continue waiting, or increase wait_timeout.",
                    target=target.name,
                    kind=target.kind,
                )
            )
        else:
            ready = pending is not None and pending.state is PendingState.READY
            progress = (pending.progress if pending else None) or 0
            self._report("start the machines" if ready else "publishing", 100 if ready else progress, 100)
            self._later()

    def _starts_later(self, target: Target) -> bool:
        return target.pending is not None and starts_later(target.pending, self._tools.server_time())

    def _waited(self) -> float:
        return self._tools.clock() - self._began

    # -- the end

    def _reached(self) -> None:
        """End, or wait for the machines, after the pool is in the desired state."""
        goal, target = self._goal, self.result.target
        if goal.wish.state is DesiredState.CANCELED:
            if self.result.requests and target.current != self.result.before.current:
                self._end(ACTION_REQUIRED, canceled_too_late_text(target))
            else:
                self._end(CANCELED, f"No push to the {target.label} is pending.")
            return
        if self._image_done:
            self._later()
            return
        if target.current != self.result.before.current and self._tools.on_current is not None:
            self._tools.on_current(goal, self.result.before)
        self._image_done = True
        self._watch_machines()

    def _watch_machines(self) -> None:
        counts = self.result.counts = self._observer.count()
        target = self.result.target
        staged = target.current != self._goal.wish.image
        done = f"{self._goal.image_text} is {'staged in' if staged else 'the current image of'} the {target.label}."
        if counts is None or counts.on_image == counts.total or not self._options.for_machines:
            self._end_machines(STAGED if staged else COMPLETE, f"{done}{_of_machines(counts)}")
        elif counts.pending == 0:
            self._end_machines(ACTION_REQUIRED, machines_text(target, counts))
        elif not self._options.wait or self._waited() >= self._options.timeout:
            self._end_machines(RUNNING, f"{done}{_of_machines(counts)}")
        else:
            note = (
                f", {self._observer.in_session} session{'' if self._observer.in_session == 1 else 's'}"
                if self._observer.in_session
                else ""
            )
            self._report(f"machines{note}", counts.on_image, counts.total)
            self._later()

    def _end_machines(self, status: str, description: str) -> None:
        self.result.sessions = self._observer.sessions()
        self._end(status, description)

    def _end(self, status: str, description: str) -> None:
        self.result.status, self.result.description, self.due = status, description, None

    def _fail(self, error: StrataError) -> None:
        self.result.error = error
        self._end(FAILED, str(error))

    def _report(self, step: str, done: int, total: int) -> None:
        self._tools.progress(f"{self.result.target.name}: {step}", done, total)


def _of_machines(counts: MachineCounts | None) -> str:
    return "" if counts is None else f" {counts.on_image} of {counts.total} machines have it."


def _has_effect(action: Action, target: Target, before: Target) -> bool:
    """Return whether a pool differs from what it was before a request for which the decision is still the same."""
    if action is Action.CANCEL and target.pending is not None and before.pending is not None:
        # The push that is to be canceled continues until Horizon has begun to cancel it.
        return (target.pending.image, target.pending.settings) != (before.pending.image, before.pending.settings)
    return not is_same_state(target, before)
