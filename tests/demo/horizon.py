# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated Connection Server with a pool, whose machines get the image of the demo."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..support.golden_image import SNAPSHOT, create_golden_image
from ..support.horizon_simulator import HorizonSimulator
from ..support.simulator import Simulator

POOL = "Office"
MACHINES = 4
_GOLDEN = "golden-desktop"
#: Simulated seconds in a second: Horizon publishes an image in about one second.
_SPEED = 60.0
#: The user works for this number of simulated seconds.
_WORK = 240.0


@dataclass(frozen=True)
class PoolState:
    """The pool at a ``moment`` of the demo: its image and the number of machines on each image, by the names of their VMs.

    ``seconds`` is the duration of the push before that moment, None if there was none.
    """

    moment: str
    image: str
    machines: dict[str, int]
    seconds: float | None = None


def start(simulator: Simulator, keep: bool) -> HorizonSimulator:
    """Start a Connection Server for the vCenter, with a pool whose image was built by hand."""
    create_golden_image(simulator, _GOLDEN)
    horizon = HorizonSimulator([simulator], speed=_SPEED).start(detached=keep)
    horizon.add_pool(POOL, _GOLDEN, SNAPSHOT, MACHINES)
    return horizon


def read(horizon: HorizonSimulator, simulator: Simulator, moment: str, seconds: float | None = None) -> PoolState:
    """Return the state of the pool."""
    names = {vm["moid"]: vm["name"] for vm in simulator.machines()}
    machines = Counter(names[machine["vm"]] for machine in horizon.machines(POOL))
    return PoolState(moment, names[horizon.pool(POOL)["vm"]], dict(sorted(machines.items())), seconds)


def add_user(horizon: HorizonSimulator) -> None:
    """Log a user in to a machine that is not the canary; the user logs off after some time."""
    horizon.add_session(horizon.machines(POOL)[-1]["name"], ends=_WORK)


def entry(**options: object) -> list[dict[str, object]]:
    """Return the value of the role's variable ``horizon_pools`` for the pool."""
    return [{"name": POOL, "template": "office-desktop"} | options]
