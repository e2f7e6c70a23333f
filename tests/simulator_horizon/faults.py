# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the work that Horizon does: images that cannot be published, machines that cannot be rebuilt."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any


@dataclass
class Fault:
    """A fault of the next ``count`` publishes or machines whose name matches a pattern; -1 is all of them."""

    name: str
    count: int
    error: str
    stuck_at: int | None = None


class Faults:
    """The faults that a test expects Horizon to have."""

    def __init__(self) -> None:
        self._publishes: list[Fault] = []
        self._machines: list[Fault] = []

    def add_publish(self, fault: Fault) -> None:
        """Let publishing for a pool or farm fail, or remain at ``stuck_at`` percent."""
        self._publishes.append(fault)

    def add_machine(self, fault: Fault) -> None:
        """Let rebuilding a machine fail."""
        self._machines.append(fault)

    def publish(self, name: str) -> Fault | None:
        """Return the fault of a publish that begins."""
        return _take(self._publishes, name)

    def machine_error(self, name: str) -> str | None:
        """Return the error of a machine whose rebuilding ends."""
        fault = _take(self._machines, name)
        return None if fault is None else fault.error

    def clear(self) -> None:
        """Remove all faults."""
        self._publishes.clear()
        self._machines.clear()

    def values(self) -> dict[str, list[dict[str, Any]]]:
        """Return the faults that are left."""
        return {
            "publishes": [vars(fault) for fault in self._publishes],
            "machines": [vars(fault) for fault in self._machines],
        }


def _take(faults: list[Fault], name: str) -> Fault | None:
    for fault in faults:
        if fault.count and fnmatch.fnmatchcase(name, fault.name):
            fault.count -= 1 if fault.count > 0 else 0
            return fault
    return None
