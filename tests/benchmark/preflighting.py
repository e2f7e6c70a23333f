# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preflight of a publish on a large simulated vCenter, next to govc, which only reads the hosts."""

from __future__ import annotations

import statistics

from ..support.simulator import Simulator
from . import peers
from .bench import Bench
from .composing import TEMPLATE, stocked
from .rows import Row, Target, seconds

_NOTE = "Names are looked up with and without preflight; the difference is what a publish pays before it composes."


def preflighting(bench: Bench) -> list[Row]:
    """Measure all checks with 5,000 VMs and 64 hosts."""
    path, _layer = stocked(bench, "base")
    hosts, machines = (4, 20) if bench.quick else (64, 5000)
    with Simulator(hosts=hosts, standalone_hosts=0, machines=machines, start_timeout=600) as simulator:
        connection = simulator.options() | {"ca_file": str(simulator.ca_file)}
        took = [
            bench.job("preflight", repository=path, name=TEMPLATE, connection=connection)[1]
            for _time in range(bench.times)
        ]
        theirs = peers.govc_hosts(simulator)
    lookup = statistics.median(result["lookup"] for result in took)
    checks = statistics.median(result["checks"] for result in took)
    slowest = max(took[0]["each"].items(), key=lambda item: item[1])
    return [
        Row(
            "preflight",
            f"all checks, {hosts} hosts, {machines} VMs",
            seconds(checks),
            f"govc host.info {seconds(theirs.seconds)}",
            checks,
            Target(False, 1, " s"),
            None,
            f"looking up names {seconds(lookup)}; slowest: {slowest[0]} {seconds(slowest[1])}",
            _NOTE,
        )
    ]
