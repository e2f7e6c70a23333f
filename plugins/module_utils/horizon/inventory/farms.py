# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Automated RDS farms: their state, and requests for pushes of images as immediate maintenance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...common.errors import Conflict, InvalidInput, Unsupported
from ..model import (
    FARM,
    CurrentState,
    Machine,
    MachineResult,
    Operation,
    PendingState,
    PushRequest,
    PushSettings,
    Target,
)
from ..rest.answers import Answer
from .machines import farm_servers
from .shared_requests import SharedRequests
from .status_fields import compute_profile_in, image_in, kept_fields, known_value, read_pending
from .targets import common_body, item_path

#: The oldest versions that have all fields that a push needs; Horizon 2206 introduced them.
FARMS = "/inventory/v4/farms"
_PUSH, _ACTIONS = "/inventory/v2/farms", "/inventory/v1/farms"
_IMMEDIATE = "IMMEDIATE"
_MAINTENANCE = "instant_clone_scheduled_maintenance_data"
#: The texts of a farm's operation that differ from those of a pool. A recurring maintenance is reported all the time.
_OPERATIONS = {
    "RECURRING_SCHEDULED_MAINTENANCE": Operation.NONE,
    "CANCEL_SCHEDULED_MAINTENANCE": Operation.CANCELING,
}
#: States of a pending image during a push.
_PUSHED = (PendingState.PENDING_PUBLISH, PendingState.PUBLISHING, PendingState.READY)


class Farms(SharedRequests):
    """The RDS farms of a pod (``TargetApi``)."""

    kind = FARM
    _targets = FARMS
    _actions = _ACTIONS

    def _read(self, value: Any) -> Target:
        return read_farm(value)

    def _members(self, target: Target) -> Iterable[Machine]:
        return farm_servers(self._client, target)

    def request_body(self, target: Target, request: PushRequest) -> dict[str, Any]:
        """Return the body of an immediate maintenance with an image; the recurring maintenance of the farm stays as it is.

        Raises:
            InvalidInput: ``horizon.farm_tpm`` or ``horizon.compute_profile``.
        """
        if request.add_virtual_tpm is not None:
            raise InvalidInput(
                f"The virtual TPM of the {target.label} cannot be set: Horizon has no such setting for farms.",
                code="horizon.farm_tpm",
                hint="Remove the option add_virtual_tpm, or push to pools and farms in separate tasks.",
                target=target.name,
            )
        body = {"maintenance_mode": _IMMEDIATE, **common_body(target, request)}
        if request.start_time is not None:
            body["next_scheduled_time"] = request.start_time
        if request.machine_ids is not None:
            body["selective_schedule_maintenance"] = True
            body["rds_server_ids"] = list(dict.fromkeys(request.machine_ids))
        return body

    def push(self, target: Target, request: PushRequest) -> tuple[MachineResult, ...]:
        """Request a push. Raises Unavailable (horizon.machines_refused) if it was accepted, but not for all servers."""
        path = item_path(_PUSH, target.id, "action/schedule-maintenance")
        return self._send_push(path, self.request_body(target, request), target)

    def cancel(self, target: Target) -> None:
        """Cancel the scheduled push, or remove the image that is held.

        Raises:
            Conflict: ``horizon.recurring_maintenance`` if the image belongs to the recurring maintenance.
        """
        if _is_recurring(target):
            raise Conflict(
                f"The pending image of the {target.label} cannot be removed: it belongs to the recurring maintenance of the farm.",
                code="horizon.recurring_maintenance",
                hint="Change the recurring maintenance in Horizon Console: canceling it would end the schedule of the farm.",
                target=target.name,
            )
        path = item_path(_ACTIONS, target.id, "action/cancel-scheduled-maintenance")
        self._client.post(path, {"maintenance_mode": _IMMEDIATE})

    def enable_provisioning(self, target: Target) -> None:
        """Raise Unsupported (horizon.enable_provisioning): Horizon has this request for pools only."""
        raise Unsupported(
            f"The provisioning of the {target.label} cannot be enabled: Horizon has a request for it only for pools.",
            code="horizon.enable_provisioning",
            hint="Enable provisioning in Horizon Console, and set the option provisioning to keep.",
            target=target.name,
        )

    def resume(self, target: Target, *, stop_on_first_error: bool) -> None:
        """Do nothing: Horizon has no tasks of farms that could be resumed."""


def read_farm(value: Any) -> Target:
    """Return the farm that an answer describes (version 4 of the API). Raises Corrupt (horizon.answer)."""
    answer = Answer(value, "a farm")
    name = answer.text("name")
    answer = Answer(value, f"the farm {name}")
    automated = answer.record("automated_farm_settings")
    settings, status = automated.record("provisioning_settings"), automated.record("provisioning_status_data")
    kind = answer.text_or_none("type") or ""
    pending = read_pending(status, _push_settings(status.record(_MAINTENANCE)))
    return Target(
        kind=FARM,
        id=answer.text("id"),
        name=name,
        display_name=answer.text_or_none("display_name") or "",
        type=kind,
        # The API has no source for farms: all automated farms have instant clones since Horizon 2012.
        source="INSTANT_CLONE" if kind == "AUTOMATED" else "",
        enabled=answer.flag("enabled", default=True),
        provisioning=automated.flag_or_none("enable_provisioning"),
        delete_in_progress=answer.flag("delete_in_progress"),
        vcenter_id=automated.text_or_none("vcenter_id"),
        datacenter_id=settings.text_or_none("datacenter_id"),
        operation=_operation(status, kind, pending.state if pending else None),
        current=image_in(settings, "parent_vm_id", "base_snapshot_id"),
        current_state=known_value(CurrentState, status.text_or_none("instant_clone_current_image_state"))
        or CurrentState.NONE,
        pending=pending,
        compute_profile=compute_profile_in(settings, "compute_profile_"),
        image_stream=automated.text_or_none("image_source") == "IMAGE_CATALOG"
        or bool(settings.text_or_none("im_stream_id")),
        error=status.text_or_none("last_provisioning_error") or None,
        raw={"type": kind, **kept_fields(status)},
    )


def _operation(status: Answer, kind: str, pending: PendingState | None) -> Operation:
    """Return the operation of a farm; Horizon reports a push only by the state of the pending image."""
    text = status.text_or_none("instant_clone_operation")
    if text is None and kind == "AUTOMATED":
        return Operation.UNKNOWN
    # SCHEDULE_PUSH_IMAGE is a text of pools.
    known = Operation.UNKNOWN if text == Operation.PUSH.value else known_value(Operation, text)
    operation = _OPERATIONS.get(text or "") or known or Operation.NONE
    return Operation.PUSH if operation is Operation.NONE and pending in _PUSHED else operation


def _push_settings(answer: Answer) -> PushSettings:
    return PushSettings(
        start_time=answer.number_or_none("next_scheduled_time"),
        logoff_policy=answer.text_or_none("logoff_policy"),
        stop_on_first_error=answer.flag_or_none("stop_on_first_error"),
    )


def _is_recurring(target: Target) -> bool:
    """Return whether an image is pending that Horizon reports for the recurring maintenance, and not for an immediate one."""
    maintenance = target.raw.get(_MAINTENANCE)
    return (
        isinstance(maintenance, dict)
        and maintenance.get("immediate_maintenance_scheduled") is False
        and isinstance(maintenance.get("recurring_maintenance_settings"), dict)
        and target.operation is Operation.PUSH
    )
