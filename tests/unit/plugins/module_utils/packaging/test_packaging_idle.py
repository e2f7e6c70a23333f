# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of the time for which Windows is left alone."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.packaging.idle import Ending, IdleWatch


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def values(usage: int | None, power: str = "poweredOn") -> dict:
    """Return the properties of a VM with processors of 4000 MHz in total."""
    return {"summary.quickStats.overallCpuUsage": usage, "runtime.maxCpuUsage": 4000, "runtime.powerState": power}


@pytest.mark.parametrize(
    ("observed", "ending"),
    [
        ([(0, 40), (299, 40)], None),
        ([(0, 40), (300, 40)], Ending.IDLE),
        ([(0, None), (300, None)], Ending.IDLE),
        ([(0, 2000), (250, 400), (300, 40)], None),
        ([(0, 2000), (250, 400), (370, 40)], Ending.IDLE),
        ([(0, 2000), (350, 2000), (420, 40), (470, 40)], Ending.IDLE),
        ([(0, 2000), (899, 2000)], None),
        ([(0, 2000), (900, 2000)], Ending.BUSY),
    ],
)
def test_windows_is_left_alone_until_it_is_idle(observed, ending):
    clock = Clock()
    watch = IdleWatch(300, 600, 120, clock)
    for seconds, usage in observed:
        clock.now = 1000.0 + seconds
        found = watch.ending(values(usage))
    assert found is ending


def test_windows_that_is_powered_off_ends_the_wait():
    assert IdleWatch(300, 600, 120, Clock()).ending(values(40, "poweredOff")) is Ending.OFF
