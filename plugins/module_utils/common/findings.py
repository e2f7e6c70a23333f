# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outcome of a named check: what was found, and what to do if it did not pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PASS, WARN, FAIL = "pass", "warn", "fail"


@dataclass(frozen=True)
class Finding:
    """The outcome of a check: ``result`` is pass, warn or fail; ``action`` is empty if it passed."""

    name: str
    result: str
    found: str
    action: str = ""


def failures(findings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the findings that did not pass."""
    return [finding for finding in findings if finding["result"] != PASS]
