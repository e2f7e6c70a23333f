# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of the demo print when they begin, while they run, and when they end."""

from __future__ import annotations

import io
import threading

import pytest

from ansible_collections.strata.layering.tests.demo.steps import Steps


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def _lines(out: io.StringIO) -> list[str]:
    return out.getvalue().splitlines()


def test_step_title_and_usual_duration_are_printed_before_it_runs(out):
    seen = []
    with Steps(out).step("Build the simulator", 60):
        seen = _lines(out)
    assert [line.split(maxsplit=1)[1] for line in seen] == ["Build the simulator, about 60 s the first time"]


def test_step_that_runs_prints_lines(out):
    steps = Steps(out, interval=0.02)
    with steps.step("Build the simulator"):
        assert _wait_for(lambda: len(_lines(out)) >= 3)
    counters = [line for line in _lines(out) if "..." in line]
    assert all("Build the simulator 0 s" in line for line in counters)
    assert _lines(out)[-1].endswith("s  Build the simulator")


def test_steps_at_the_same_time_share_the_lines(out):
    steps = Steps(out, interval=0.02)
    both = threading.Barrier(2)

    def job(title: str) -> str:
        with steps.step(title):
            both.wait(10)
            assert _wait_for(lambda: any("one" in line and "two" in line for line in _lines(out)))
            both.wait(10)
        return title

    assert steps.together(lambda: job("one"), lambda: job("two")) == ["one", "two"]
    assert sorted(title for title, _seconds in steps.durations) == ["one", "two"]


def test_step_that_fails_has_no_duration(out):
    steps = Steps(out)
    with pytest.raises(ValueError, match="broken"), steps.step("Build the simulator"):
        raise ValueError("broken")
    assert steps.durations == []


def test_together_raises_the_error_of_a_job(out):
    def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        Steps(out).together(fail, lambda: None)


def _wait_for(condition, seconds: float = 10) -> bool:
    pause = threading.Event()
    for _attempt in range(int(seconds / 0.01)):
        if condition():
            return True
        pause.wait(0.01)
    return False
