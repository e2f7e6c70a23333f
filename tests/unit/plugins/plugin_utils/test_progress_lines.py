# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.progress import Estimate
from ansible_collections.strata.layering.plugins.plugin_utils.progress_lines import ProgressLines, describe

DOCUMENT = {
    "subject": "",
    "step": "upload",
    "unit": "bytes",
    "done": 43,
    "total": 100,
    "percent": 43,
    "rate": 312e6,
    "seconds_left": 12,
}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "upload 43 %, 312 MB/s, 12 s left"),
        ({"rate": 1.5e9, "seconds_left": 75}, "upload 43 %, 1.50 GB/s, 1 min 15 s left"),
        ({"rate": 900, "seconds_left": 3700}, "upload 43 %, 900 B/s, 1 h 1 min left"),
        ({"rate": None, "seconds_left": None, "percent": 0}, "upload 0 %"),
        ({"percent": None, "done": 5_300_000, "total": None, "seconds_left": None}, "upload 5 MB, 312 MB/s"),
        (
            {"step": "registry", "unit": "keys", "percent": None, "done": 12, "rate": 3.0, "seconds_left": None},
            "registry 12",
        ),
        (
            {"step": "shut down", "unit": "seconds", "percent": None, "done": 125, "rate": None, "seconds_left": None},
            "shut down, 2 min 5 s so far",
        ),
        ({"step": "a\x1b[31mb\nc", "percent": None, "done": None, "rate": "fast", "seconds_left": -4}, "a?[31mb?c"),
    ],
)
def test_describe_formats_the_step(changes, text):
    assert describe(DOCUMENT | changes) == text


def test_describe_stalled_step_says_so():
    assert describe(DOCUMENT, 45) == "upload 43 %, no progress for 45 s"


def play(
    amounts: dict[float, int], *, until: float, step: str = "upload", total: int = 1000
) -> list[tuple[float, str]]:
    """Return the lines, with their times, of a step whose amount changes at these times; it is polled every 0.5 s."""
    lines, estimate, printed, document = ProgressLines("office"), Estimate(), [], None
    for tick in range(int(until * 2) + 1):
        now = tick / 2
        if now in amounts:
            document = estimate.follow(step, amounts[now], total, now)
        if document is not None:
            printed += [(now, line) for line in lines.update([document], now)]
    return printed


def test_short_step_prints_no_line():
    assert play({0.0: 0, 1.0: 1000}, until=1.0) == []


def test_step_prints_a_line_every_ten_percent_or_fifteen_seconds():
    printed = play({float(second): 50 * second for second in range(21)}, until=20)
    assert [now for now, _line in printed] == [1.5, 4.5, 7.5, 10.5, 13.5, 16.5, 19.5]
    assert printed[1][1].startswith("office: upload 20 %, 50 B/s, 16 s left")
    slow = play({float(second): second for second in range(61)}, until=60)
    assert [now for now, _line in slow] == [1.5, 16.5, 31.5, 46.5]


def test_stalled_step_prints_lines_at_doubling_intervals():
    printed = play({0.0: 0, 1.0: 500}, until=200)
    assert [now for now, _line in printed] == [1.5, 21.0, 41.0, 81.0, 161.0]
    assert printed[-1][1] == "office: upload 50 %, no progress for 2 min 40 s"


def test_each_subject_and_step_has_its_own_lines():
    lines = ProgressLines("label")
    first = [DOCUMENT | {"subject": "a"}, DOCUMENT | {"subject": "b"}]
    assert lines.update(first, 0.0) == []
    assert [line.partition(" ")[0] for line in lines.update(first, 2.0)] == ["a:", "b:"]
    second = [DOCUMENT | {"subject": "a", "step": "power on"}, DOCUMENT | {"subject": "b"}]
    assert lines.update(second, 2.5) == []
    assert [line.partition(",")[0] for line in lines.update(second, 4.0)] == ["a: power on 43 %"]


def test_control_characters_of_the_label_are_replaced():
    lines = ProgressLines("office\x07")
    assert lines.update([DOCUMENT], 0.0) == []
    assert lines.update([DOCUMENT], 2.0) == ["office?: upload 43 %, 312 MB/s, 12 s left"]


@pytest.mark.parametrize(
    ("changes", "stalled", "text"),
    [
        ({"done": 118, "total": 120, "note": "2 sessions"}, 0, "118 of 120 machines, 2 sessions"),
        ({"done": 0, "total": 100}, 0, "0 of 100 machines"),
        ({"done": 3, "total": None}, 0, "3 machines"),
        (
            {"done": 118, "total": 120, "note": "2 sessions"},
            60,
            "118 of 120 machines, 2 sessions, no progress for 1 min 0 s",
        ),
        ({"done": None, "total": 2, "note": ["x"]}, 0, "0 of 2 machines"),
    ],
)
def test_describe_counts_machines(changes, stalled, text):
    document = {"step": "machines", "unit": "machines", "percent": 98, "rate": None, "seconds_left": None}
    assert describe(document | changes, stalled) == text


def test_new_note_of_machines_begins_no_step():
    lines, estimate = ProgressLines("office"), Estimate()
    printed = []
    for second in range(21):
        document = estimate.follow(f"sales: machines, {20 - second} sessions", 7, 120, float(second))
        printed += lines.update([document], float(second))
    assert printed == [
        "sales: 7 of 120 machines, 18 sessions",
        "sales: 7 of 120 machines, 0 sessions, no progress for 20 s",
    ]
