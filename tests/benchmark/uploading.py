# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upload of a disk to the simulated vSphere over TLS, compared with govc import.ovf."""

from __future__ import annotations

import os
import statistics

from . import peers
from .bench import Bench
from .composing import TEMPLATE, stocked
from .measure import Run, settle
from .rows import Row, Target, megabytes, peak, seconds, work
from .vsphere import emptied, last_import, simulated

_UPLOAD = (
    "From ImportVApp to the closed lease as recorded by the simulator, with TLS, on shared processors. Ours is assembled from the repository's grains "
    "during the upload; govc sends the same disk from a file in the page cache. CPU is that of the whole processes; ours also composes."
)


def uploading(bench: Bench) -> list[Row]:
    """Measure the speed on the large base."""
    path, _layer = stocked(bench, "large")
    with simulated(bench) as (simulator, connection), bench.file("package") as package:
        os.makedirs(package)
        ovf = bench.job("write_package", repository=path, name=TEMPLATE, folder=package)[1]["ovf"]
        actions = {
            "ours": lambda: bench.job("publish", repository=path, name=TEMPLATE, connection=connection)[0],
            "govc": lambda: peers.govc_import(simulator, ovf),
        }
        runs: dict[str, list[Run]] = {name: [] for name in actions}
        took: dict[str, list[float]] = {name: [] for name in actions}
        for _round in range(bench.times):
            for name, action in actions.items():
                settle()
                runs[name].append(action())
                duration, length = last_import(simulator)
                took[name].append(duration)
                emptied(simulator)
    ours, theirs = (statistics.median(took[name]) for name in ("ours", "govc"))
    return [
        Row(
            "upload",
            "image of the large disk",
            _speed(ours, length),
            f"govc {_speed(theirs, length)}",
            theirs / ours,
            Target(True, 1),
            peak(runs["ours"]),
            megabytes(length),
            _UPLOAD,
            work(runs["ours"], runs["govc"]),
        )
    ]


def _speed(took: float, length: int) -> str:
    return f"{seconds(took)}, {length / took / 1e6:.0f} MB/s"
