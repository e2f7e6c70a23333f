# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks of desktop pools: the part of a push that applies the image to the machines."""

from __future__ import annotations

from dataclasses import dataclass

from .answers import Answer

PUSH_IMAGE = "PUSH_IMAGE"


@dataclass(frozen=True)
class PushTask:
    """A task and the number of its machines by state. ``schedule_time`` is in milliseconds; ``operation`` is PUSH_IMAGE for a push.

    ``halted`` machines wait because a different machine failed; the task can be resumed.
    """

    id: str
    operation: str
    description: str
    schedule_time: int | None
    remaining: int
    failed: int
    halted: int
    canceled: int


def read_task(answer: Answer) -> PushTask:
    """Return the task that an answer describes."""
    return PushTask(
        id=answer.text("id"),
        operation=answer.text_or_none("operation") or "",
        description=answer.text_or_none("description") or "",
        schedule_time=answer.number_or_none("schedule_time"),
        remaining=answer.number_or_none("remaining_vmtask_count") or 0,
        failed=answer.number_or_none("error_vmtask_count") or 0,
        halted=answer.number_or_none("halted_vmtask_count") or 0,
        canceled=answer.number_or_none("cancelled_vmtask_count") or 0,
    )
