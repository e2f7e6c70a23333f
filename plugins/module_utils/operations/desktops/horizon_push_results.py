# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The return values of horizon_image_push: a task for each pool and farm, and the difference for diff mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...common.errors import StrataError
from ...horizon.inventory.base_images import VirtualCenter
from ...horizon.model import ImageRef, Target
from ...horizon.pushing.decision import Action, DesiredState, Wish
from ...horizon.pushing.push_results import FAILED, NOT_STARTED, PushResult
from ...horizon.pushing.push_texts import time_text
from ...horizon.rest.client import Environment
from .horizon_image_choice import ChosenImage, Images
from .horizon_results import pod_result, sessions_result, vcenter_result


@dataclass(frozen=True)
class Prepared:
    """A pool or farm as it was found, and the image that options name for it.

    ``vcenter`` is None if Horizon does not list it, ``image`` if the options name none or ``error`` is set. The target cannot take
    the image because of ``error``.
    """

    target: Target
    vcenter: VirtualCenter | None = None
    image: ChosenImage | None = None
    error: StrataError | None = None


@dataclass(frozen=True)
class Describer:
    """Describes pools, farms and images for results."""

    images: Images
    environment: Environment

    def image(self, prepared: Prepared, ref: ImageRef | None) -> dict[str, Any] | None:
        """Return an image of the vCenter of a target as results have it, None for none."""
        if prepared.image is not None and prepared.image.ref == ref:
            return self.images.describe_chosen(prepared.image)
        return self.images.describe(prepared.vcenter, ref)

    def task(self, prepared: Prepared, result: PushResult) -> dict[str, Any]:
        """Return the task of a target."""
        target, pending = result.target, result.target.pending
        horizon_error = (pending.error if pending else None) or target.error
        counts, sessions = result.counts, result.sessions
        return self._common(prepared) | {
            "status": result.status,
            "description": result.description,
            "operation": target.operation.value,
            "pending_state": pending.state.value if pending else None,
            "progress": pending.progress if pending else None,
            "error": str(result.error) if result.error else horizon_error,
            "machines": {
                "total": counts.total,
                "on_image": counts.on_image,
                "pending": counts.pending,
                "halted": counts.halted,
                "not_ready": counts.not_ready,
                "failed": [{"name": name, "error": error} for name, error in counts.failed],
            }
            if counts
            else None,
            "sessions": sessions_result(sessions) if sessions else None,
            "request": result.request,
        }

    def refused(self, prepared: Prepared) -> dict[str, Any]:
        """Return the task of a target if one of the targets cannot take the image: nothing is requested."""
        error = prepared.error
        description = str(error) if error else "Nothing was requested, because a different pool or farm was refused."
        return self.task(
            prepared,
            PushResult(
                before=prepared.target,
                target=prepared.target,
                status=FAILED if error else NOT_STARTED,
                description=description,
                error=error,
            ),
        )

    def _common(self, prepared: Prepared) -> dict[str, Any]:
        target = prepared.target
        return {
            "target": {"kind": target.kind, "name": target.name, "id": target.id},
            "image": self.images.describe_chosen(prepared.image) if prepared.image else None,
            "previous": self.image(prepared, target.current),
            "vcenter": vcenter_result(prepared.vcenter),
            "horizon": pod_result(self.environment),
        }

    def difference(self, prepared: Prepared, wish: Wish, result: PushResult) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the images and settings of a target before, and as they were requested."""
        target, pending = prepared.target, prepared.target.pending
        before: dict[str, Any] = {
            "image": _named(self.image(prepared, target.current)),
            "pending": _named(self.image(prepared, pending.image)) if pending else None,
        }
        after = dict(before)
        if not result.changed:
            return before, after
        image = _named(self.images.describe_chosen(prepared.image)) if prepared.image else None
        if wish.state is DesiredState.CANCELED:
            after["pending"] = None
        elif wish.state is DesiredState.STAGED:
            after["pending"] = image
        else:
            after |= {"image": image, "pending": None}
        if Action.RESCHEDULE in result.requests and pending is not None:
            before["start_time"] = _time(pending.settings.start_time)
            after["start_time"] = _time(wish.start_time)
        if Action.APPLY in result.requests:
            applied = (result.request or {}).get("machine_ids", [])
            before["applied_to"], after["applied_to"] = [], applied
        if Action.RESUME in result.requests:
            before["push"], after["push"] = "stopped", "resumed"
        if Action.ENABLE_PROVISIONING in result.requests:
            before["provisioning"], after["provisioning"] = target.provisioning, True
        return before, after


def _named(image: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return an image in the form of diff mode: names, or IDs of an image that Horizon does not list."""
    if image is None:
        return None
    named = {
        "vm": image["vm_path"] or image["vm"] or image["moid"],
        "snapshot": image["snapshot"] or image["snapshot_moid"],
    }
    return named | ({"image_digest": image["image_digest"]} if image["image_digest"] else {})


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else time_text(milliseconds)
