# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a push is to achieve, how long it may take, what it needs, and its result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...common.errors import StrataError
from ...common.progress import Progress, silent
from ..inventory.machines import MachineCounts
from ..inventory.targets import TargetApi
from ..model import ImageRef, SessionCounts, Target
from .decision import Action, Reason, Wish

NOT_STARTED, SCHEDULED, RUNNING, STAGED, ACTION_REQUIRED, COMPLETE, CANCELED, FAILED = (
    "NotStarted",
    "Scheduled",
    "Running",
    "Staged",
    "ActionRequired",
    "Complete",
    "Canceled",
    "Failed",
)


@dataclass(frozen=True, kw_only=True)
class PushOptions:
    """How long to wait and for what; times are in seconds.

    ``for_machines``: wait until the machines have the image. After ``timeout``, machines that do not have it yet are not a failure.
    ``operation_timeout`` limits the wait for a different operation.
    """

    wait: bool = True
    for_machines: bool = False
    timeout: float = 7200
    interval: float = 15
    operation_timeout: float = 600
    retries: int = 2
    retry_pause: float = 30


def image_by_ids(image: ImageRef) -> str:
    """Return an image for a sentence, by its managed object IDs."""
    return f"the snapshot {image.snapshot} of the VM {image.vm}"


@dataclass(frozen=True, kw_only=True)
class PushGoal:
    """The desired state of one pool or farm. ``name_image`` names a different image of its vCenter in a sentence.

    ``target`` is the pool or farm as it was found. ``image_text`` names the image at the beginning of a sentence.
    A staged image is applied to the ``machines`` with these names, or to ``canary`` machines. ``staged_with_force``: the image that was
    staged when the pool was found is known to log users off; Horizon does not report the policy of a staged image.
    """

    api: TargetApi
    target: Target
    wish: Wish
    image_text: str
    same_datacenter: bool = True
    machines: tuple[str, ...] | None = None
    canary: int = 0
    staged_with_force: bool = False
    name_image: Callable[[ImageRef], str] = image_by_ids


@dataclass(frozen=True)
class PushTools:
    """What a push needs besides Horizon's pools.

    ``server_time`` returns the Connection Server's time in milliseconds. ``on_request(goal, action, target)`` is called after
    Horizon accepted a request, with the pool before it; ``on_current(goal, before)`` when the image became current.
    """

    server_time: Callable[[], int]
    on_request: Callable[[PushGoal, Action, Target], None] | None = None
    on_current: Callable[[PushGoal, Target], None] | None = None
    progress: Progress = silent
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass
class PushResult:
    """How far a push is. ``before`` is the pool as it was found, ``target`` as it was seen last.

    ``request`` is the body that was sent last, or in check mode would be sent; ``requests`` are the actions in order.
    """

    before: Target
    target: Target
    status: str = RUNNING
    description: str = ""
    changed: bool = False
    reason: Reason | None = None
    request: dict[str, Any] | None = None
    requests: list[Action] = field(default_factory=list)
    counts: MachineCounts | None = None
    sessions: SessionCounts | None = None
    error: StrataError | None = None
