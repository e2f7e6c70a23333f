# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Composing: an app layer of many small files on the OS layer, against guestfish and wimlib, and on a base eight times as large."""

from __future__ import annotations

import os
import statistics
import subprocess

from . import peers
from .bench import Bench
from .measure import Run, alternate, settle
from .rows import MIB, Row, Target, megabytes, middle, peak, seconds, work

#: An image composed of the OS layer and the layer of small files.
TEMPLATE = "small-files"
_LAYER = "Small Files"

_OURS = "Whole process: finding layers, merging, applying, compressing what changed, storing and syncing it, from Python's start to its end."
_GUESTFISH = "guestfish tar-in runs under emulation (TCG), on an overlay of the raw disk; it compresses nothing and makes no VMDK. Appliance built before."
_WIMLIB = (
    "wimlib applies one WIM of the whole Windows with the files in it to an empty volume; capturing is not counted, and there is no VMDK yet. "
    "LZX is wimlib's default and what install.wim has, XPRESS its fastest."
)


def small_files(bench: Bench) -> tuple[str, int, int]:
    """Folder, number and size of the small files."""
    count, size = (60, 5_000) if bench.quick else (3_000, 20_000)
    return bench.inputs.programs(_LAYER, 0, count, size), count, size


def stocked(bench: Bench, name: str) -> tuple[str, dict]:
    """The repository of the machine ``name`` with the layer of small files and its template; and what the layer has."""
    path = bench.repository(name)
    _run, layer = bench.job("app_layer", repository=path, name=_LAYER, version="1.0", files=small_files(bench)[0])
    bench.job("template", repository=path, name=TEMPLATE, apps=[[_LAYER, "1.0"]])
    return path, layer


class _Composing:
    """Composing in one repository, again and again; ``results`` are what the jobs returned."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._bench = bench
        self.path, self.layer = stocked(bench, name)
        self.results: list[dict] = []

    def run(self, **options) -> Run:
        """Compose once more, from nothing."""
        self._bench.job("forget_images", repository=self.path)
        settle()
        done, result = self._bench.job("compose", repository=self.path, name=TEMPLATE, **options)
        self.results.append(result)
        return done

    def inside(self) -> float:
        """Median of the seconds without Python's start."""
        return statistics.median(result["seconds"] for result in self.results)


def composing(bench: Bench) -> list[Row]:
    """Time, peers, growth with the base, memory."""
    base, large = _Composing(bench, "base"), _Composing(bench, "large")
    runs = alternate({"base": base.run, "large": large.run}, bench.times)
    ours, inside, growth = middle(runs["base"]), base.inside(), middle(runs["large"]) / middle(runs["base"])
    folder, count, size = small_files(bench)
    did = base.results[-1]["statistics"]
    what = f"{count} files of {size // 1000} kB on the OS layer"
    rows = [
        Row(
            "compose",
            what,
            seconds(ours),
            f"without Python's start {seconds(inside)}",
            ours,
            Target(False, 3, " s"),
            peak(runs["base"]),
            f"{did['grains']} grains, {megabytes(did['plain_bytes'])} compressed to {megabytes(did['compressed_bytes'])}",
            _OURS,
        )
    ]
    rows += _against_wimlib(bench, what, runs["base"], bench.inputs.raw_disk()[0], folder, ("LZX", "XPRESS"))
    with bench.file("large.raw") as raw:
        bench.job("given_disk", repository=large.path, output=raw)
        rows += _against_wimlib(bench, f"{what}, large base", runs["large"], raw, folder, ("XPRESS",))
    if not bench.quick and peers.have_guestfish():
        rows.append(_against_guestfish(bench, what, runs["base"], folder))
    sizes = [bench.inputs.machine(name).size for name in ("base", "large")]
    rows += [
        Row(
            "compose",
            f"base {bench.inputs.growth():.1f} times as large (in use)",
            seconds(middle(runs["large"])),
            f"on the base {seconds(ours)}",
            growth,
            Target(False, 1.2),
            peak(runs["large"]),
            f"VMDKs of {megabytes(sizes[0])} and {megabytes(sizes[1])}",
            cpu=work(runs["large"], runs["base"]),
        ),
        *(
            Row(
                "compose",
                f"peak memory, {name} disk",
                f"{peak(runs[name]) / MIB:.0f} MiB",
                "",
                peak(runs[name]) / MIB,
                Target(False, 400, " MiB"),
            )
            for name in ("base", "large")
        ),
    ]
    return rows + _first_use(bench, large)


def _first_use(bench: Bench, large: _Composing) -> list[Row]:
    done = large.run(forget_verified=True)
    return [
        Row(
            "compose",
            "large base, first use on a host: hashed before",
            seconds(done.seconds),
            "",
            None,
            None,
            done.memory,
            f"{megabytes(bench.imported('large')[1]['size'])} hashed",
        )
    ]


def _against_wimlib(
    bench: Bench, what: str, runs: list[Run], raw: str, folder: str, compressions: tuple[str, ...]
) -> list[Row]:
    with bench.file("wimlib") as scratch:
        os.makedirs(scratch)
        images = {name: peers.WimImage(scratch, raw, folder, name) for name in compressions}
        theirs = alternate({name: image.apply for name, image in images.items()}, 1 if bench.quick else 3)
    ours = middle(runs)
    return [
        Row(
            "compose",
            what,
            seconds(ours),
            f"wimlib ({name}) {seconds(middle(applied))}",
            middle(applied) / ours,
            Target(True, 5),
            None,
            "",
            _WIMLIB,
            work(runs, applied),
        )
        for name, applied in theirs.items()
    ]


def _against_guestfish(bench: Bench, what: str, runs: list[Run], folder: str) -> Row:
    raw, manifest = bench.inputs.raw_disk()
    with bench.file("files.tar") as archive, bench.file("overlay.qcow2") as overlay:
        subprocess.run(["tar", "-C", os.path.join(folder, "Program Files"), "-cf", archive, "."], check=True)
        settle()
        theirs = peers.guestfish_tar_in(raw, manifest.partition()["number"], archive, "/Program Files", overlay)
    ours = middle(runs)
    return Row(
        "compose",
        what,
        seconds(ours),
        f"guestfish (TCG) {seconds(theirs.seconds)}",
        theirs.seconds / ours,
        None,
        None,
        "",
        _GUESTFISH,
        work(runs, [theirs]),
    )
