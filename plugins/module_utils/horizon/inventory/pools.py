# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desktop pools: their state, and requests for pushes of images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...common.errors import NotFound, Unavailable, Unsupported
from ..model import (
    POOL,
    CurrentState,
    Machine,
    MachineResult,
    Operation,
    PushRequest,
    PushSettings,
    Target,
)
from ..rest.answers import Answer, records_of
from .machines import pool_machines
from .shared_requests import SharedRequests
from .status_fields import compute_profile_in, image_in, kept_fields, known_value, read_pending
from .targets import common_body, item_path, machine_results

#: The oldest versions that have all fields that a push needs; Horizon 2206 introduced them.
POOLS = "/inventory/v6/desktop-pools"
_PUSH, _ACTIONS = "/inventory/v2/desktop-pools", "/inventory/v1/desktop-pools"
_INSTANT_CLONE = "INSTANT_CLONE"


class Pools(SharedRequests):
    """The desktop pools of a pod (``TargetApi``)."""

    kind = POOL
    _targets = POOLS
    _actions = _ACTIONS

    def _read(self, value: Any) -> Target:
        return read_pool(value)

    def _members(self, target: Target) -> Iterable[Machine]:
        return pool_machines(self._client, target)

    def request_body(self, target: Target, request: PushRequest) -> dict[str, Any]:
        """Return the body of a push.

        Horizon removes the virtual TPM of a pool unless a push repeats it.

        Raises:
            InvalidInput: ``horizon.compute_profile``.
        """
        body = common_body(target, request)
        vtpm = request.add_virtual_tpm
        if vtpm is None:
            vtpm = target.add_virtual_tpm
        if vtpm is not None:
            body["add_virtual_tpm"] = vtpm
        if request.start_time is not None:
            body["start_time"] = request.start_time
        if request.machine_ids is not None:
            body["selective_push_image"] = True
            body["machine_ids"] = list(dict.fromkeys(request.machine_ids))
        return body

    def push(self, target: Target, request: PushRequest) -> tuple[MachineResult, ...]:
        """Request a push. Raises Unavailable (horizon.machines_refused) if it was accepted, but not for all machines."""
        path = item_path(_PUSH, target.id, "action/schedule-push-image")
        return self._send_push(path, self.request_body(target, request), target)

    def cancel(self, target: Target) -> None:
        """Cancel the scheduled push, or remove the image that is held."""
        self._client.post(item_path(_ACTIONS, target.id, "action/cancel-scheduled-push-image"))

    def enable_provisioning(self, target: Target) -> None:
        """Enable provisioning.

        Raises:
            Unsupported: ``horizon.enable_provisioning`` before Horizon 2309.
            Unavailable: ``horizon.provisioning_refused`` if Horizon refuses it for this pool.
        """
        try:
            answer = self._client.post(f"{_ACTIONS}/action/enable-provisioning", [target.id])
        except (NotFound, Unsupported) as error:
            raise Unsupported(
                f"The provisioning of the {target.label} cannot be enabled: {self._client.label} has version "
                f"{self._client.environment.version}, and the request needs Horizon 2309 (8.11).",
                code="horizon.enable_provisioning",
                hint="Enable provisioning in Horizon Console, and set the option provisioning to keep.",
                target=target.name,
                version=self._client.environment.version,
            ) from error
        for result in machine_results(answer, f"the provisioning of the {target.label}"):
            if result.error is not None:
                raise Unavailable(
                    f"Horizon refused to enable the provisioning of the {target.label}: {result.error}.",
                    code="horizon.provisioning_refused",
                    hint="Enable provisioning in Horizon Console, and set the option provisioning to keep.",
                    target=target.name,
                    status_code=result.status_code,
                )

    def resume(self, target: Target, *, stop_on_first_error: bool) -> None:
        """Resume the pushes of a pool that are halted, and retry their failed machines; its other tasks stay as they are."""
        tasks = item_path(_ACTIONS, target.id, "tasks")
        for task in records_of(self._client.get(tasks), f"the tasks of the {target.label}"):
            is_push = task.text_or_none("operation") == "PUSH_IMAGE"
            if is_push and (task.number_or_none("halted_vmtask_count") or 0) > 0:
                body = {"retry_failed_vms": True, "stop_on_error": stop_on_first_error}
                self._client.post(item_path(tasks, task.text("id"), "action/resume"), body)


def read_pool(value: Any) -> Target:
    """Return the pool that an answer describes (version 6 of the API). Raises Corrupt (horizon.answer)."""
    answer = Answer(value, "a desktop pool")
    name = answer.text("name")
    answer = Answer(value, f"the desktop pool {name}")
    settings, status = answer.record("provisioning_settings"), answer.record("provisioning_status_data")
    source = answer.text_or_none("source") or ""
    operation = known_value(Operation, status.text_or_none("instant_clone_operation"))
    if operation is None:
        # Horizon reports the operation of all pools of instant clones.
        operation = Operation.UNKNOWN if source == _INSTANT_CLONE else Operation.NONE
    return Target(
        kind=POOL,
        id=answer.text("id"),
        name=name,
        display_name=answer.text_or_none("display_name") or "",
        type=answer.text_or_none("type") or "",
        source=source,
        enabled=answer.flag("enabled", default=True),
        provisioning=answer.flag_or_none("enable_provisioning"),
        delete_in_progress=answer.flag("delete_in_progress"),
        vcenter_id=answer.text_or_none("vcenter_id"),
        datacenter_id=settings.text_or_none("datacenter_id"),
        operation=operation,
        current=image_in(settings, "parent_vm_id", "base_snapshot_id"),
        current_state=known_value(CurrentState, status.text_or_none("instant_clone_current_image_state"))
        or CurrentState.NONE,
        pending=read_pending(status, _push_settings(status.record("instant_clone_push_image_settings"))),
        add_virtual_tpm=settings.flag_or_none("add_virtual_tpm"),
        compute_profile=compute_profile_in(settings, "compute_profile_"),
        image_stream=answer.text_or_none("image_source") == "IMAGE_CATALOG"
        or bool(settings.text_or_none("im_stream_id")),
        error=status.text_or_none("last_provisioning_error") or None,
        raw={"type": answer.text_or_none("type"), "source": source, **kept_fields(status)},
    )


def _push_settings(answer: Answer) -> PushSettings:
    return PushSettings(
        start_time=answer.number_or_none("start_time"),
        logoff_policy=answer.text_or_none("logoff_policy"),
        stop_on_first_error=answer.flag_or_none("stop_on_first_error"),
        add_virtual_tpm=answer.flag_or_none("add_virtual_tpm"),
    )
