# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.progress import Estimate
from ansible_collections.strata.layering.plugins.plugin_utils.progress_lines import Lines, describe

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
    "changes, words",
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
def test_words(changes, words):
    assert describe(DOCUMENT | changes) == words


def test_a_step_that_stands_still():
    assert describe(DOCUMENT, 45) == "upload 43 %, nothing new for 45 s"


def play(
    amounts: dict[float, int], *, until: float, step: str = "upload", total: int = 1000
) -> list[tuple[float, str]]:
    """The lines of a step whose amount changes at these times, looked at twice a second."""
    lines, estimate, found, document = Lines("office"), Estimate(), [], None
    for tick in range(int(until * 2) + 1):
        now = tick / 2
        if now in amounts:
            document = estimate.follow(step, amounts[now], total, now)
        if document is not None:
            found += [(now, line) for line in lines.of([document], now)]
    return found


def test_what_is_over_at_once_is_not_told():
    assert play({0.0: 0, 1.0: 1000}, until=1.0) == []


def test_a_line_for_every_tenth_or_every_quarter_of_a_minute():
    told = play({float(second): 50 * second for second in range(21)}, until=20)
    assert [now for now, _line in told] == [1.5, 4.5, 7.5, 10.5, 13.5, 16.5, 19.5]
    assert told[1][1].startswith("office: upload 20 %, 50 B/s, 16 s left")
    slow = play({float(second): second for second in range(61)}, until=60)
    assert [now for now, _line in slow] == [1.5, 16.5, 31.5, 46.5]


def test_standing_still_is_told_less_and_less_often():
    told = play({0.0: 0, 1.0: 500}, until=200)
    assert [now for now, _line in told] == [1.5, 21.0, 41.0, 81.0, 161.0]
    assert told[-1][1] == "office: upload 50 %, nothing new for 2 min 40 s"


def test_every_subject_and_step_is_told_of_by_itself():
    lines = Lines("label")
    first = [DOCUMENT | {"subject": "a"}, DOCUMENT | {"subject": "b"}]
    assert lines.of(first, 0.0) == []
    assert [line.partition(" ")[0] for line in lines.of(first, 2.0)] == ["a:", "b:"]
    second = [DOCUMENT | {"subject": "a", "step": "power on"}, DOCUMENT | {"subject": "b"}]
    assert lines.of(second, 2.5) == []
    assert [line.partition(",")[0] for line in lines.of(second, 4.0)] == ["a: power on 43 %"]
    assert Lines("office\x07").of([DOCUMENT], 0.0) == []
