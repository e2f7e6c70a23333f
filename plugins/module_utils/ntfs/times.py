# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The times of a file."""

from __future__ import annotations

import time
from typing import NamedTuple

#: The Unix epoch as FILETIME.
_UNIX_EPOCH = 116444736000000000


class Times(NamedTuple):
    """The four times of a file as FILETIME: 100 ns since 1601-01-01 UTC."""

    created: int
    written: int
    accessed: int
    changed: int


def now() -> int:
    """Return the current time as FILETIME."""
    return time.time_ns() // 100 + _UNIX_EPOCH
