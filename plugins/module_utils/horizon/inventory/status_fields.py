# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Status fields that Horizon describes alike for pools, farms, machines and RDS servers.

All fields are optional. An unknown text of an enumeration becomes ``UNKNOWN``, so that it never looks like a state in which
something may be done.
"""

from __future__ import annotations

import enum
from typing import Any, TypeVar

from ..model import ComputeProfile, ImageRef, PendingImage, PendingState, PushSettings
from ..rest.answers import Answer

#: The fields with the image that is pending, in the status of pools and farms.
PENDING_IMAGE_FIELDS = ("instant_clone_pending_image_parent_vm_id", "instant_clone_pending_image_snapshot_id")

EnumType = TypeVar("EnumType", bound=enum.Enum)

#: Bounds of the status fields that are kept for an administrator to read: fields, characters of a text, levels of objects.
_FIELDS, _TEXT, _LEVELS = 60, 2000, 3


def known_value(kind: type[EnumType], text: str | None) -> EnumType | None:
    """Return the member of ``kind`` with this value, its UNKNOWN for a different text, and None for a missing text."""
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        return kind("UNKNOWN")


def image_in(answer: Answer, vm: str, snapshot: str) -> ImageRef | None:
    """Return the image whose managed object IDs are in these two fields, None unless both are set."""
    vm_id, snapshot_id = answer.text_or_none(vm), answer.text_or_none(snapshot)
    return ImageRef(vm_id, snapshot_id) if vm_id and snapshot_id else None


def compute_profile_in(answer: Answer, prefix: str) -> ComputeProfile | None:
    """Return the compute profile in the fields ``<prefix>num_cpus`` and so on, None unless all three are set."""
    names = ("num_cpus", "num_cores_per_socket", "ram_mb")
    cpus, cores, memory = (answer.number_or_none(prefix + name) for name in names)
    return ComputeProfile(cpus, cores, memory) if cpus and cores and memory else None


def read_pending(status: Answer, settings: PushSettings) -> PendingImage | None:
    """Return the pending image in the status fields of a pool or farm, None if Horizon reports no state for it."""
    state = known_value(PendingState, status.text_or_none("instant_clone_pending_image_state"))
    if state is None:
        return None
    return PendingImage(
        state=state,
        image=image_in(status, *PENDING_IMAGE_FIELDS),
        progress=status.number_or_none("instant_clone_pending_image_progress"),
        error=status.text_or_none("instant_clone_pending_image_error") or None,
        settings=settings,
        compute_profile=compute_profile_in(status, "pending_compute_profile_"),
    )


def kept_fields(answer: Answer) -> dict[str, Any]:
    """Return the fields of an answer as they were received, shortened where they are very long, and without lists."""
    return _kept(answer.raw, _LEVELS)


def _kept(fields: dict[str, Any], levels: int) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in list(fields.items())[:_FIELDS]:
        name = str(key)[:_TEXT]
        if isinstance(value, str):
            kept[name] = value[:_TEXT]
        elif isinstance(value, dict):
            if levels > 1:
                kept[name] = _kept(value, levels - 1)
        elif value is None or isinstance(value, (bool, int, float)):
            kept[name] = value
    return kept
