# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The times of a recurring maintenance of a farm, in UTC."""

from __future__ import annotations

import calendar
import datetime
from dataclasses import dataclass
from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon.errors import ApiError


@dataclass
class Recurring:
    """A recurring maintenance; ``next`` is in milliseconds."""

    settings: dict[str, Any]
    logoff_policy: str
    stop_on_first_error: bool
    next: int


def occurrence_after(settings: dict[str, Any], now: int) -> int:
    """Return the first time after ``now`` at which a new maintenance of these settings takes place."""
    hour, minute = _time_of_day(settings["start_time"])
    moment = _date(now).replace(hour=hour, minute=minute, second=0, microsecond=0)
    for _day in range(800):
        if _milliseconds(moment) > now and _is_due(settings, moment):
            return _milliseconds(moment)
        moment += datetime.timedelta(days=1)
    raise ApiError(400, "inventory.farm.recurring.maintenance.invalid", "The recurring maintenance never takes place.")


def following(settings: dict[str, Any], moment: int) -> int:
    """Return the time of the maintenance that follows the maintenance at ``moment``."""
    frequency = settings.get("maintenance_period_frequency", 1)
    date = _date(moment)
    if settings["maintenance_period"] == "MONTHLY":
        months = date.year * 12 + date.month - 1 + frequency
        year, month = divmod(months, 12)
        day = min(settings.get("start_index", 1), calendar.monthrange(year, month + 1)[1])
        return _milliseconds(date.replace(year=year, month=month + 1, day=day))
    days = frequency * (7 if settings["maintenance_period"] == "WEEKLY" else 1)
    return _milliseconds(date + datetime.timedelta(days=days))


def _is_due(settings: dict[str, Any], moment: datetime.datetime) -> bool:
    index = settings.get("start_index", 1)
    if settings["maintenance_period"] == "WEEKLY":
        return moment.isoweekday() % 7 + 1 == index
    if settings["maintenance_period"] == "MONTHLY":
        return moment.day == min(index, calendar.monthrange(moment.year, moment.month)[1])
    return True


def _time_of_day(text: str) -> tuple[int, int]:
    try:
        hour, minute = (int(part) for part in text.split(":"))
        datetime.time(hour, minute)
    except ValueError:
        raise ApiError(400, "inventory.farm.start.time.invalid", "start_time must have the form HH:mm.") from None
    return hour, minute


def _date(milliseconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.timezone.utc)


def _milliseconds(date: datetime.datetime) -> int:
    return int(date.timestamp() * 1000)
