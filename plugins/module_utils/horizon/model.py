# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Desktop pools and RDS farms of Horizon, their images and machines, in the form that is common to both.

Horizon describes a push with different fields and values for pools and farms. ``pools`` and ``farms`` read them into
these classes, so that both use the same decision table. A value that Horizon adds in a later version becomes ``UNKNOWN``;
``raw`` keeps the text. Times are in milliseconds since 1970, as in Horizon's API.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

POOL, FARM = "pool", "farm"

WAIT_FOR_LOGOFF, FORCE_LOGOFF = "WAIT_FOR_LOGOFF", "FORCE_LOGOFF"


@dataclass(frozen=True, order=True)
class ImageRef:
    """An image: a VM and one of its snapshots, by vCenter's managed object IDs. They identify it within one vCenter."""

    vm: str
    snapshot: str


@dataclass(frozen=True)
class ComputeProfile:
    """The processors and the memory of the machines of a pool or farm, if they differ from the image's."""

    num_cpus: int
    num_cores_per_socket: int
    ram_mb: int


class Operation(enum.Enum):
    """What Horizon is doing with the images of a pool or farm.

    A farm has no operation for a push: it is PUSH while an image is pending and its maintenance is scheduled. A recurring
    maintenance alone is NONE.
    """

    NONE = "NONE"
    PUSH = "SCHEDULE_PUSH_IMAGE"
    CANCELING = "CANCEL_SCHEDULED_PUSH_IMAGE"
    INITIAL_PUBLISH = "INITIAL_PUBLISH"
    INFRASTRUCTURE_CHANGE = "INFRASTRUCTURE_CHANGE"
    FINAL_UNPUBLISH = "FINAL_UNPUBLISH"
    UNKNOWN = "UNKNOWN"


class CurrentState(enum.Enum):
    """The state of the current image of a pool or farm. NONE: Horizon does not report one."""

    NONE = "NONE"
    READY = "READY"
    FAILED = "FAILED"
    PENDING_UNPUBLISH = "PENDING_UNPUBLISH"
    UNPUBLISHING = "UNPUBLISHING"
    UNKNOWN = "UNKNOWN"


class PendingState(enum.Enum):
    """The state of the image that is to become the current one."""

    PENDING_PUBLISH = "PENDING_PUBLISH"
    PUBLISHING = "PUBLISHING"
    READY = "READY"
    READY_HELD = "READY_HELD"
    FAILED = "FAILED"
    UNPUBLISHING = "UNPUBLISHING"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True)
class PushSettings:
    """How a push that is scheduled was requested; None for what Horizon does not report. ``start_time`` is in milliseconds."""

    start_time: int | None = None
    logoff_policy: str | None = None
    stop_on_first_error: bool | None = None
    add_virtual_tpm: bool | None = None


@dataclass(frozen=True)
class PendingImage:
    """The image that is being published, or waits to become the current one. ``progress`` is in percent."""

    state: PendingState
    image: ImageRef | None = None
    progress: int | None = None
    error: str | None = None
    settings: PushSettings = field(default_factory=PushSettings)
    compute_profile: ComputeProfile | None = None


@dataclass(frozen=True, kw_only=True)
class Target:
    """A desktop pool or an RDS farm, as Horizon described it.

    ``type`` and ``source`` are Horizon's texts. ``provisioning`` is None if Horizon does not say whether it is enabled.
    ``image_stream``: the image comes from Horizon's image catalog. ``error`` is the last provisioning error.
    ``raw`` are the status fields as Horizon sent them, for an error report.
    """

    kind: str
    id: str
    name: str
    display_name: str = ""
    type: str = ""
    source: str = ""
    enabled: bool = True
    provisioning: bool | None = None
    delete_in_progress: bool = False
    vcenter_id: str | None = None
    datacenter_id: str | None = None
    operation: Operation = Operation.NONE
    current: ImageRef | None = None
    current_state: CurrentState = CurrentState.NONE
    pending: PendingImage | None = None
    add_virtual_tpm: bool | None = None
    compute_profile: ComputeProfile | None = None
    image_stream: bool = False
    error: str | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The pool or farm in a sentence."""
        return f"{self.kind} {self.name}"


def is_same_state(target: Target, before: Target) -> bool:
    """Return whether a pool or farm is as it was before, apart from a progress and from fields that no decision depends on."""
    return _state_of(target) == _state_of(before)


def _state_of(target: Target) -> Target:
    pending = target.pending and replace(target.pending, progress=None)
    return replace(target, display_name="", pending=pending, error=None, raw={})


@dataclass(frozen=True)
class PushRequest:
    """A push to request.

    ``start_time`` None starts at once. ``add_virtual_tpm`` and ``compute_profile`` None keep what the pool has.
    ``machine_ids`` None pushes to all machines; otherwise the image is published and held, and only these machines get it.
    """

    image: ImageRef
    logoff_policy: str = WAIT_FOR_LOGOFF
    start_time: int | None = None
    stop_on_first_error: bool = True
    add_virtual_tpm: bool | None = None
    compute_profile: ComputeProfile | None = None
    machine_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine of a pool, or an RDS server of a farm.

    ``state`` and ``operation_state`` are Horizon's texts; ``operation_state`` is None while no push concerns the machine.
    ``logoff_policy`` is that of its push.
    ``faulty``: the machine or its push has failed; ``error`` says why if Horizon does.
    """

    id: str
    name: str
    state: str = ""
    image: ImageRef | None = None
    pending: ImageRef | None = None
    operation_state: str | None = None
    logoff_policy: str | None = None
    in_session: bool = False
    faulty: bool = False
    error: str | None = None


@dataclass(frozen=True)
class SessionCounts:
    """The sessions of a pool or farm. A disconnected session still occupies its machine."""

    connected: int = 0
    disconnected: int = 0
    pending: int = 0


@dataclass(frozen=True)
class MachineResult:
    """What Horizon answered for one machine of a request about several: an HTTP status, and an error unless it succeeded."""

    machine_id: str
    status_code: int
    error: str | None = None
