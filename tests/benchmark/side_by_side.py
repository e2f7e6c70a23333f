# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishing eight templates on one OS layer, in parallel compared with sequentially."""

from __future__ import annotations

from .bench import Bench
from .measure import Run, settle
from .rows import Row, peak, seconds, work
from .vsphere import emptied, simulated

_TEMPLATES = 8
#: Number of templates published in parallel.
_PARALLEL = 4
#: Shell commands of the guests: one ends immediately, the other takes about as long as the fastest start and shutdown of Windows.
_GUESTS = {"guests that end at once": "true", "guests that run for 20 s": "sleep 20"}

_SIDE_BY_SIDE = f"Composing, uploading, powering on, snapshot and checks of {_TEMPLATES} templates, each with its own layer; {_PARALLEL} at a time."


def side_by_side(bench: Bench) -> list[Row]:
    """Measure complete runs of layered_image_publish."""
    path = bench.repository("base")
    count, size = (5, 10_000) if bench.quick else (200, 100_000)
    layers = [
        [f"Side {number}", "1.0", bench.inputs.programs(f"Side {number}", 600_000 + 1_000 * number, count, size)]
        for number in range(_TEMPLATES)
    ]
    bench.job("app_layers", repository=path, layers=layers)
    names = [f"side-{number}" for number in range(_TEMPLATES)]
    for name, (app, version, _folder) in zip(names, layers):
        bench.job("template", repository=path, name=name, apps=[[app, version]])
    guests = {"guests that end at once": "true"} if bench.quick else _GUESTS
    with simulated(bench) as (simulator, connection):

        def publish(guest: str, parallel: int) -> Run:
            emptied(simulator, guest)
            bench.job("forget_images", repository=path)
            settle()
            return bench.job("publish_all", repository=path, names=names, parallel=parallel, connection=connection)[0]

        return [_row(kind, publish(guest, _PARALLEL), publish(guest, 1)) for kind, guest in guests.items()]


def _row(guests: str, ours: Run, theirs: Run) -> Row:
    return Row(
        "publish",
        f"{_TEMPLATES} templates side by side, {guests}",
        seconds(ours.seconds),
        f"one after the other {seconds(theirs.seconds)}",
        theirs.seconds / ours.seconds,
        None,
        peak([ours]),
        "",
        _SIDE_BY_SIDE,
        work([ours], [theirs]),
    )
