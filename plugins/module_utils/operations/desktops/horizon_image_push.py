# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation of the module horizon_image_push: the image of pools and farms is the image that options name."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...catalog.image_documents import record_use
from ...common.errors import StrataError
from ...common.outcome import Outcome
from ...common.progress import Progress, silent
from ...horizon.inventory.base_images import BaseImages
from ...horizon.inventory.farms import Farms
from ...horizon.inventory.pools import Pools
from ...horizon.inventory.targets import TargetApi
from ...horizon.model import FARM, FORCE_LOGOFF, ImageRef, PendingState, Target
from ...horizon.pushing.decision import REQUESTS, Action, DesiredState, Observation, Reason, Wish, decide
from ...horizon.pushing.push_results import PushGoal, PushResult, PushTools, image_by_ids
from ...horizon.pushing.push_texts import refusal, time_text
from ...horizon.pushing.watch import run_pushes
from ...horizon.rest.client import HorizonClient
from ...repository.repository import Repository
from .horizon_image_choice import ChosenImage, Images, RecordedImages
from .horizon_push_options import HorizonImagePushOptions
from .horizon_push_results import Describer, Prepared

#: Why a pool or farm cannot have any image.
_UNSUITABLE = (Reason.DELETED, Reason.NOT_INSTANT_CLONES)
#: Entries of the audit history of a pool in which its staging is looked for.
_HISTORY = 50
#: After these requests, Horizon replaces machines that have the current image.
_REPLACING = (Action.PUSH, Action.PROMOTE, Action.RESCHEDULE)


def push_images(options: HorizonImagePushOptions, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Push the image to all pools and farms, stage it or cancel its push.

    Raises:
        NotFound: ``horizon.no_such_target``: nothing was requested.
        StrataError: the error of the first pool or farm that failed, with the tasks of all pools and farms in its details. If a
            pool or farm is refused, nothing was requested.
    """
    repository = _open(options, check_mode)
    with options.connection.connect() as client:
        run = _Run(client, repository, options)
        run.prepare()
        return run.push(check_mode, progress)


def _open(options: HorizonImagePushOptions, check_mode: bool) -> Repository | None:
    if options.repository is None:
        return None
    if options.choice is not None and options.choice.template is not None:
        return options.repository.open(check_mode=check_mode)
    return options.repository.open_audited(check_mode=check_mode)


class _Run:
    """The pushes of one call of the module. ``prepare`` comes first."""

    def __init__(self, client: HorizonClient, repository: Repository | None, options: HorizonImagePushOptions) -> None:
        self._client = client
        self._repository = repository
        self._options = options
        self._base = BaseImages(client)
        self._images = Images(self._base, RecordedImages(repository))
        self._describer = Describer(self._images, client.environment)
        self._prepared: list[Prepared] = []
        self._apis: list[TargetApi] = []
        self._warnings: list[str] = []

    # -- before the first request

    def prepare(self) -> None:
        """Find the pools and farms and their images. Raises the first error if one of them is refused."""
        pools, farms = Pools(self._client), Farms(self._client)
        found: list[tuple[TargetApi, Target]] = [(pools, target) for target in pools.find(self._options.pools)]
        found += [(farms, target) for target in farms.find(self._options.farms)]
        now = self._client.server_time()
        self._apis = [api for api, _target in found]
        self._prepared = [self._prepare(target, now) for _api, target in found]
        errors = [(prepared.target, prepared.error) for prepared in self._prepared if prepared.error]
        if errors:
            raise _error(errors, [self._describer.refused(prepared) for prepared in self._prepared])

    def _prepare(self, target: Target, now: int) -> Prepared:
        vcenter = self._images.find_vcenter(target)
        try:
            return Prepared(target, vcenter, self._suitable_image(target, now))
        except StrataError as error:
            return Prepared(target, vcenter, error=error)

    def _suitable_image(self, target: Target, now: int) -> ChosenImage | None:
        """Return the image for a target; raise if the target cannot take it."""
        wish = self._options.wish
        seen = Observation(target=target, now=now)
        decision = decide(seen, replace(wish, state=DesiredState.PRESENT))
        if decision.reason in _UNSUITABLE:
            if wish.state is DesiredState.CANCELED:
                return None
            raise refusal(decision.reason, target, now)
        if self._options.choice is None:
            return None
        image = self._images.choose(self._options.choice, target)
        decision = decide(
            replace(seen, same_datacenter=_same_datacenter(target, image)), replace(wish, image=image.ref)
        )
        if decision.action is Action.REFUSE:
            raise refusal(decision.reason, target, now)
        if decision.action in REQUESTS and wish.state is not DesiredState.CANCELED:
            self._warnings += self._base.check(image.vm, image.snapshot, "farm" if target.kind == FARM else "pool")
        return image

    # -- the pushes

    def push(self, check_mode: bool, progress: Progress) -> Outcome:
        """Carry out the pushes and return their outcome."""
        goals = [self._goal(api, prepared) for api, prepared in zip(self._apis, self._prepared, strict=True)]
        tools = PushTools(
            server_time=self._client.server_time,
            on_request=self._requested,
            on_current=self._became_current,
            progress=progress,
        )
        results = run_pushes(goals, self._options.waiting, tools, check_mode=check_mode)
        return self._outcome(results)

    def _goal(self, api: TargetApi, prepared: Prepared) -> PushGoal:
        image = prepared.image
        return PushGoal(
            api=api,
            target=prepared.target,
            wish=self._wish(prepared),
            image_text=_text(image) if image else "The image",
            same_datacenter=image is None or _same_datacenter(prepared.target, image),
            machines=self._options.machines,
            canary=self._options.canary,
            staged_with_force=self._was_staged_with_force(prepared.target),
            name_image=functools.partial(self._name_image, prepared),
        )

    def _name_image(self, prepared: Prepared, image: ImageRef) -> str:
        found = self._describer.image(prepared, image)
        if found is None or found["vm"] is None or found["snapshot"] is None:
            return image_by_ids(image)
        return f"the snapshot {found['snapshot']} of the VM {found['vm']}"

    def _was_staged_with_force(self, target: Target) -> bool:
        """Return whether the audit history says that the image that is held was staged with a forced logoff."""
        pending = target.pending
        if self._repository is None or pending is None or pending.image is None:
            return False
        if pending.state is not PendingState.READY_HELD:
            return False
        history = self._repository.audit.read(kinds={target.kind}, name=target.name, limit=_HISTORY)
        for entry in reversed(history):
            # Pools of several pods can have the same name.
            policy = _staging_policy(entry, pending.image)
            if policy is not None:
                return policy == FORCE_LOGOFF
        return False

    def _wish(self, prepared: Prepared) -> Wish:
        return replace(self._options.wish, image=prepared.image.ref if prepared.image else None)

    def _requested(self, goal: PushGoal, action: Action, before: Target) -> None:
        """Record a request that Horizon has accepted, and that the previous image is in use until the machines are replaced."""
        if self._repository is None:
            return
        prepared = self._prepared_of(goal)
        pending = before.pending.image if before.pending else None
        details = {
            "before": {
                "image": self._describer.image(prepared, before.current),
                "pending": self._describer.image(prepared, pending),
            },
            "after": self._describer.image(prepared, None if action is Action.CANCEL else goal.wish.image),
            "server": self._options.connection.connection.hostname,
        }
        if action is Action.STAGE:
            # Horizon does not report it while the image is held.
            details["logoff_policy"] = goal.wish.logoff_policy
        comment = self._options.repository.comment if self._options.repository else None
        self._repository.audit.append(action.value, before.kind, before.name, comment=comment, details=details)
        if action in _REPLACING:
            start = goal.wish.start_time
            self._record_use(prepared, before, time_text(start) if start is not None else None)

    def _became_current(self, goal: PushGoal, before: Target) -> None:
        self._record_use(self._prepared_of(goal), before, None)

    def _record_use(self, prepared: Prepared, before: Target, until: str | None) -> None:
        uuid = prepared.vcenter.instance_uuid if prepared.vcenter else None
        if self._repository is not None and uuid is not None and before.current is not None:
            record_use(self._repository, uuid, before.current.vm, until)

    def _prepared_of(self, goal: PushGoal) -> Prepared:
        return next(prepared for prepared in self._prepared if prepared.target is goal.target)

    # -- the outcome

    def _outcome(self, results: list[PushResult]) -> Outcome:
        pairs = list(zip(self._prepared, results, strict=True))
        tasks = [self._describer.task(prepared, result) for prepared, result in pairs]
        errors = [(result.target, result.error) for result in results if result.error is not None]
        if errors:
            raise _error(errors, tasks)
        before, after = {}, {}
        for prepared, result in pairs:
            label = prepared.target.label
            before[label], after[label] = self._describer.difference(prepared, self._wish(prepared), result)
        changed = any(result.changed for result in results)
        return Outcome(changed, before, after, {"tasks": tasks}, list(dict.fromkeys(self._warnings)))


def _staging_policy(entry: Mapping[str, Any], image: ImageRef) -> object:
    """Return the logoff policy in an entry of the audit history, None unless the entry is about the staging of an image."""
    details = entry.get("details")
    after = details.get("after") if isinstance(details, dict) else None
    if entry.get("action") != Action.STAGE.value or not isinstance(details, dict) or not isinstance(after, dict):
        return None
    is_image = (after.get("moid"), after.get("snapshot_moid")) == (image.vm, image.snapshot)
    return details.get("logoff_policy") if is_image else None


def _same_datacenter(target: Target, image: ChosenImage) -> bool:
    return None in (target.datacenter_id, image.vm.datacenter_id) or target.datacenter_id == image.vm.datacenter_id


def _text(image: ChosenImage) -> str:
    return f"The image {image.snapshot.name} of the VM {image.vm.name}"


def _error(errors: Sequence[tuple[Target, StrataError]], tasks: list[dict[str, Any]]) -> StrataError:
    """Return the first error, with the names of the other targets that failed and the tasks of all targets."""
    target, first = errors[0]
    prefix = f"{target.label}: " if len(tasks) > 1 else ""
    others = ", ".join(other.label for other, _error in errors[1:])
    more = f" Of {len(tasks)} pools and farms, {others} failed, too." if others else ""
    details = first.details | {"tasks": tasks}
    return type(first)(f"{prefix}{first.message}{more}", code=first.code, hint=first.hint, **details)
