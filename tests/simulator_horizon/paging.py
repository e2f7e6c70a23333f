# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters, order and pages of the lists that Horizon answers."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.strata.layering.tests.simulator_horizon.errors import ApiError

_MAXIMUM = 1000


def select(
    rows: list[dict[str, Any]], query: dict[str, str], filters: frozenset[str], version: str
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the rows that a query asks for, and the headers about paging. Only fields in ``filters`` can be filtered."""
    if query.get("filter"):
        try:
            condition = json.loads(query["filter"])
        except ValueError:
            raise _wrong("The filter is not JSON.") from None
        # The filter is checked also if there are no rows.
        _matches(condition, {}, filters)
        rows = [row for row in rows if _matches(condition, row, filters)]
    if "order_by" in query and "sort_by" not in query:
        raise ApiError(400, "common.sort.invalid", "order_by needs sort_by.")
    if "sort_by" in query:
        field = query["sort_by"]
        rows = sorted(rows, key=lambda row: str(row.get(field, "")), reverse=query.get("order_by") == "DESC")
    if "page" not in query or "size" not in query:
        return rows, {}
    page, size = int(query["page"]), int(query["size"])
    first = (page - 1) * size
    if page < 1 or not 1 <= size <= _MAXIMUM or (page > 1 and first >= len(rows)):
        raise ApiError(400, "common.pagination.invalid", "The page does not exist.")
    headers = {"HAS_MORE_RECORDS": "TRUE"} if first + size < len(rows) else {}
    if version >= "2309":
        headers["X-TOTAL-COUNT"] = str(len(rows))
    return rows[first : first + size], headers


def _matches(condition: Any, row: dict[str, Any], filters: frozenset[str]) -> bool:
    kind = condition.get("type") if isinstance(condition, dict) else None
    try:
        if kind == "And":
            return all(_matches(part, row, filters) for part in condition["filters"])
        if kind == "Or":
            return any(_matches(part, row, filters) for part in condition["filters"])
        if kind == "Not":
            return not _matches(condition["filter"], row, filters)
        name = condition["name"]
        if name not in filters:
            raise _wrong(f"The field {name} cannot be filtered.")
        value = row.get(name)
        if kind == "Equals":
            return bool(value == condition["value"])
        if kind == "NotEquals":
            return bool(value != condition["value"])
        if kind == "StartsWith":
            return str(value).startswith(condition["value"])
        if kind == "Between":
            return bool(value is not None and condition["fromValue"] <= value <= condition["toValue"])
    except (KeyError, TypeError):
        raise _wrong("The filter is incomplete.") from None
    raise _wrong(f"The simulator does not know the filter {kind}.")


def _wrong(message: str) -> ApiError:
    return ApiError(400, "common.filter.invalid", message)
