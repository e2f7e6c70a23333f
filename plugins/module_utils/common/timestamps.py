# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times in documents."""

from __future__ import annotations

import datetime


def utc_now() -> datetime.datetime:
    """Return the current time with its time zone, UTC."""
    return datetime.datetime.now(datetime.UTC)


def now() -> str:
    """Return the current time in RFC 3339 form, UTC, to the second."""
    return utc_now().isoformat(timespec="seconds").replace("+00:00", "Z")
