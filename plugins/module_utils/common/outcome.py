# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of an operation, independent of Ansible."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """The changes that an operation made, or in check mode would make.

    ``before`` and ``after`` are JSON-compatible documents for diff mode; None means that the object does not
    exist. ``result`` holds the return keys of the module other than ``changed`` and ``diff``.
    """

    changed: bool
    before: dict | None = None
    after: dict | None = None
    result: dict = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
