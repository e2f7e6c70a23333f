# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Export of a thin image to a file, compared with cp of the result and with conversions by qemu-img."""

from __future__ import annotations

import os
import statistics

from . import peers
from .bench import Bench
from .composing import TEMPLATE, stocked
from .measure import Run, alternate
from .rows import Row, Target, megabytes, middle, peak, seconds, work

_SPEED = (
    "Seconds of writing only: opening the repository and the start of Python are excluded, the start of cp is included."
)


def writing(bench: Bench) -> list[Row]:
    """Measure the speed for each base, to the page cache and to the disk."""
    rows = []
    for name in ("base", "large"):
        path, _layer = stocked(bench, name)
        bench.job("compose", repository=path, name=TEMPLATE)
        for sync in (True, False):
            rows.append(_compare(bench, name, path, sync))
    path, _layer = stocked(bench, "base")
    return rows + [_convert(bench, path, form) for form in ("vhd", "vhdx")]


def _compare(bench: Bench, name: str, path: str, sync: bool) -> Row:
    results: list[dict] = []
    with bench.file("image.vmdk") as image, bench.file("copy.vmdk") as copy:

        def ours() -> Run:
            done, result = bench.job("write_image", repository=path, name=TEMPLATE, output=image, sync=sync)
            results.append(result)
            return done

        runs = alternate({"ours": ours, "cp": lambda: peers.copy(image, copy, sync=sync)}, 1 if bench.quick else 3)
    mine, theirs = statistics.median(result["seconds"] for result in results), middle(runs["cp"])
    length = results[0]["length"]
    where = "to the disk (fsync)" if sync else "to the page cache"
    return Row(
        "write",
        f"thin image of the {name} disk {where}",
        f"{seconds(mine)}, {length / mine / 1e6:.0f} MB/s",
        f"cp {seconds(theirs)}, {length / theirs / 1e6:.0f} MB/s",
        theirs / mine,
        Target(True, 0.5),
        peak(runs["ours"]),
        megabytes(length),
        _SPEED,
        work(runs["ours"], runs["cp"]),
    )


def _convert(bench: Bench, path: str, form: str) -> Row:
    """Compare the export to a format with qemu-img, which converts the VMDK of the same image."""
    results: list[dict] = []
    with bench.file("image.vmdk") as vmdk, bench.file(f"ours.{form}") as mine, bench.file(f"theirs.{form}") as theirs:
        bench.job("write_image", repository=path, name=TEMPLATE, output=vmdk, sync=True)

        def ours() -> Run:
            done, result = bench.job("export_image", repository=path, name=TEMPLATE, output=mine, form=form)
            results.append(result)
            return done

        def qemu_img() -> Run:
            return peers.qemu_img_export(vmdk, theirs, {"vhd": "vpc"}.get(form, form))

        runs = alternate({"ours": ours, "qemu-img": qemu_img}, 1 if bench.quick else 3)
        allocated = os.stat(theirs).st_blocks * 512
    spent, other = statistics.median(result["seconds"] for result in results), middle(runs["qemu-img"])
    return Row(
        "write",
        f"thin image of the base disk as {form.upper()}, to the disk",
        f"{seconds(spent)}, {megabytes(results[0]['allocated'])}",
        f"qemu-img convert of the VMDK {seconds(other)}, {megabytes(allocated)}",
        other / spent,
        Target(True, 1.0),
        peak(runs["ours"]),
        megabytes(results[0]["length"]),
        _SPEED.replace("cp", "qemu-img"),
        work(runs["ours"], runs["qemu-img"]),
    )
