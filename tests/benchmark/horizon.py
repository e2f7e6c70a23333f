# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pushes to many pools of a simulated Horizon, watched in one session: requests, memory and the time of a round."""

from __future__ import annotations

import collections
import json
import re
import time
from collections.abc import Iterable
from typing import Any

from ..support.horizon_simulator import HorizonSimulator
from .bench import Bench
from .measure import Run
from .rows import MIB, Row, Target, megabytes, seconds

INTERVAL = 15
_LIMIT_MIB = 128
_POOL = re.compile(r"/inventory/v6/desktop-pools/([^/]+)")
_NOTE = (
    "Horizon's clock moves when the engine waits, so that the elapsed time is that of the requests. When the image becomes the current "
    "image, a pool is asked for its state and its machines; when all machines have it, for its machines and its sessions."
)


def watching(bench: Bench) -> list[Row]:
    """Measure pushes to 50 pools with 40 machines each, until all machines have the image."""
    pools, machines = (3, 4) if bench.quick else (50, 40)
    with HorizonSimulator() as horizon:
        for version in ("old", "new"):
            horizon.add_vm(version)
        # Four machines of a pool change at once, in half a minute: ten rounds of machines for a pool.
        horizon.settings(parallel=max(1, machines // 10))
        for number in range(pools):
            horizon.add_pool(f"pool-{number:02}", "old", "Image", machines)
        horizon.clear_journal()
        done, result = bench.job(
            "watch_pushes",
            connection=horizon.options(),
            control=horizon.control,
            image=_image(horizon, "new"),
            interval=INTERVAL,
        )
        requests = _requests(horizon.journal("GET"), horizon.journal("POST", "schedule-push-image"))
    if result["statuses"] != ["Complete"] * pools:
        raise RuntimeError(f"The pushes ended as {result['statuses']}.")
    return _rows(done, result, requests, pools, machines)


def _rows(
    done: Run, result: dict[str, Any], requests: dict[tuple[str, int], list[str]], pools: int, machines: int
) -> list[Row]:
    rounds = max(number for _pool, number in requests)
    total = sum(map(len, requests.values()))
    # Unless the phase changes, an interval has the same requests as the interval before it.
    steady = max(
        len(found)
        for (pool, number), found in requests.items()
        if set(requests.get((pool, number - 1), ())) == set(found)
    )
    subject = f"{pools} pools, {pools * machines} machines"
    return [
        Row(
            "horizon",
            f"{subject}: requests per pool and interval",
            f"{steady}",
            "",
            steady,
            Target(False, 1, " request"),
            None,
            f"{total / len(requests):.2f} on average with changes of phase, at most {max(map(len, requests.values()))}; "
            f"{total} requests in {rounds} intervals of {INTERVAL} s",
            _NOTE,
        ),
        Row(
            "horizon",
            f"{subject}: peak memory of the process",
            megabytes(done.memory),
            "",
            done.memory / MIB,
            Target(False, _LIMIT_MIB, " MiB"),
            done.memory,
            f"grows by {megabytes(result['growth'])} while it watches",
            _NOTE,
        ),
        Row(
            "horizon",
            f"{subject}: one round of all pools",
            seconds(result["seconds"] / rounds),
            "",
            result["seconds"] / rounds,
            Target(False, INTERVAL, " s"),
            None,
            f"all {rounds} rounds {seconds(result['seconds'])}, of which {seconds(done.cpu)} processor time of the process",
            _NOTE,
        ),
    ]


def _image(horizon: HorizonSimulator, name: str) -> list[str]:
    """Return the managed object IDs of a VM and its snapshot."""
    vm = next(vm for vm in horizon.vcenters()[0]["vms"] if vm["name"] == name)
    return [vm["moid"], vm["snapshots"][0]["moid"]]


def _requests(reads: Iterable[dict[str, Any]], pushes: list[dict[str, Any]]) -> dict[tuple[str, int], list[str]]:
    """Return the paths of the requests for each pool in each interval after the pushes were requested."""
    began, last = pushes[0]["time"], pushes[-1]["number"]
    found: dict[tuple[str, int], list[str]] = collections.defaultdict(list)
    for entry in reads:
        pool = _pool_of(entry)
        if pool and entry["number"] > last:
            found[pool, (entry["time"] - began) // (INTERVAL * 1000)].append(entry["path"])
    return dict(found)


def _pool_of(entry: dict[str, Any]) -> str:
    """Return the ID of the pool that a request is about, or an empty text."""
    found = _POOL.fullmatch(entry["path"])
    if found:
        return found[1]
    condition = json.loads(entry["query"].get("filter", "{}"))
    return str(condition.get("value", "")) if condition.get("name") == "desktop_pool_id" else ""


def watch(connection: dict[str, Any], control: str, image: list[str], interval: int) -> dict[str, Any]:
    """Push an image to all pools and wait for all machines; this is the job that is measured.

    Return the statuses, the elapsed seconds and the growth of the peak memory in bytes while the pushes were watched.
    """
    # pylint: disable=import-outside-toplevel
    import resource

    from ...plugins.module_utils.horizon.inventory.pools import Pools
    from ...plugins.module_utils.horizon.model import ImageRef
    from ...plugins.module_utils.horizon.pushing.decision import DesiredState, Wish
    from ...plugins.module_utils.horizon.pushing.push_results import PushGoal, PushOptions, PushTools
    from ...plugins.module_utils.horizon.pushing.watch import run_pushes
    from ...plugins.module_utils.horizon.rest.client import HorizonClient
    from ...plugins.module_utils.horizon.rest.connection import HorizonConnection
    from ..support.horizon_control import HorizonControl

    horizon = HorizonControl(connection["domain"])
    horizon.control = control
    waited = 0.0

    def sleep(pause: float) -> None:
        nonlocal waited
        waited += pause
        horizon.clock.advance(pause)

    ca_file = connection.pop("ca_path")
    with HorizonClient.connect(HorizonConnection(**connection, ca_file=ca_file)) as client:
        pools = Pools(client)
        wish = Wish(state=DesiredState.PRESENT, image=ImageRef(*image))
        goals = [PushGoal(api=pools, target=pool, wish=wish, image_text="The image") for pool in pools.all()]
        options = PushOptions(for_machines=True, interval=interval)
        tools = PushTools(server_time=client.server_time, clock=lambda: waited, sleep=sleep)
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        results = run_pushes(goals, options, tools)
        took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"statuses": [result.status for result in results], "seconds": took, "growth": (after - before) << 10}
