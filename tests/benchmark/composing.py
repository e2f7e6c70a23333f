# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Composing an app layer of many small files, compared with guestfish and wimlib, and on a base eight times as large."""

from __future__ import annotations

import os
import statistics
import subprocess

from . import peers
from .bench import Bench
from .measure import Run, alternate, settle
from .rows import MIB, Row, Target, megabytes, middle, peak, seconds, work

#: Template of the OS layer and the layer of small files.
TEMPLATE = "small-files"
_LAYER = "Small Files"

_OURS = "Whole process, including the start of Python: finding layers, merging, applying, compressing the changes, storing and syncing them."
_GUESTFISH = (
    "guestfish tar-in runs under emulation (TCG), on an overlay of the raw disk; it does not compress or create a VMDK. "
    "Its appliance was built before."
)
_WIMLIB = (
    "wimlib applies a WIM of the complete Windows installation with the files to an empty volume; capturing the WIM and creating a VMDK are not included. "
    "LZX is the default of wimlib and the compression of install.wim; XPRESS is its fastest compression."
)


def small_files(bench: Bench) -> tuple[str, int, int]:
    """Return folder, number and size in bytes of the small files."""
    count, size = (60, 5_000) if bench.quick else (3_000, 20_000)
    return bench.inputs.programs(_LAYER, 0, count, size), count, size


def stocked(bench: Bench, name: str) -> tuple[str, dict]:
    """Return the repository of the OS machine ``name`` with the layer of small files and its template, and the layer's result."""
    path = bench.repository(name)
    _run, layer = bench.job("app_layer", repository=path, name=_LAYER, version="1.0", files=small_files(bench)[0])
    bench.job("template", repository=path, name=TEMPLATE, apps=[[_LAYER, "1.0"]])
    return path, layer


class _Composing:
    """Repeated composing in one repository; ``results`` are the results of the jobs."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._bench = bench
        self.path, self.layer = stocked(bench, name)
        self.results: list[dict] = []

    def run(self, **options) -> Run:
        """Compose again without an earlier image."""
        self._bench.job("forget_images", repository=self.path)
        settle()
        done, result = self._bench.job("compose", repository=self.path, name=TEMPLATE, **options)
        self.results.append(result)
        return done

    def inside(self) -> float:
        """Return the median of the seconds without the start of Python."""
        return statistics.median(result["seconds"] for result in self.results)


def composing(bench: Bench) -> list[Row]:
    """Measure time, peers, growth with the base, and memory."""
    base, large = _Composing(bench, "base"), _Composing(bench, "large")
    runs = alternate({"base": base.run, "large": large.run}, bench.times)
    ours, inside, growth = middle(runs["base"]), base.inside(), middle(runs["large"]) / middle(runs["base"])
    folder, count, size = small_files(bench)
    composed = base.results[-1]["statistics"]
    subject = f"{count} files of {size // 1000} kB on the OS layer"
    rows = [
        Row(
            "compose",
            subject,
            seconds(ours),
            f"without Python's start {seconds(inside)}",
            ours,
            Target(False, 3, " s"),
            peak(runs["base"]),
            f"{composed['grains']} grains, {megabytes(composed['plain_bytes'])} compressed to {megabytes(composed['compressed_bytes'])}",
            _OURS,
        )
    ]
    rows += _against_wimlib(bench, subject, runs["base"], bench.inputs.raw_disk()[0], folder, ("LZX", "XPRESS"))
    with bench.file("large.raw") as raw:
        bench.job("packaging_disk", repository=large.path, output=raw)
        rows += _against_wimlib(bench, f"{subject}, large base", runs["large"], raw, folder, ("XPRESS",))
    if not bench.quick and peers.have_guestfish():
        rows.append(_against_guestfish(bench, subject, runs["base"], folder))
    sizes = [bench.inputs.exported(name).size for name in ("base", "large")]
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
    ]
    return [*rows, *_memory(runs), *_first_use(bench, large)]


def _memory(runs: dict[str, list[Run]]) -> list[Row]:
    return [
        Row(
            "compose",
            f"peak memory, {name} disk",
            f"{peak(runs[name]) / MIB:.0f} MiB",
            "",
            peak(runs[name]) / MIB,
            Target(False, 400, " MiB"),
        )
        for name in ("base", "large")
    ]


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
    bench: Bench, subject: str, runs: list[Run], raw: str, folder: str, compressions: tuple[str, ...]
) -> list[Row]:
    with bench.file("wimlib") as scratch:
        os.makedirs(scratch)
        images = {name: peers.WimImage(scratch, raw, folder, name) for name in compressions}
        theirs = alternate({name: image.apply for name, image in images.items()}, 1 if bench.quick else 3)
    ours = middle(runs)
    return [
        Row(
            "compose",
            subject,
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


def _against_guestfish(bench: Bench, subject: str, runs: list[Run], folder: str) -> Row:
    raw, manifest = bench.inputs.raw_disk()
    with bench.file("files.tar") as archive, bench.file("overlay.qcow2") as overlay:
        subprocess.run(["tar", "-C", os.path.join(folder, "Program Files"), "-cf", archive, "."], check=True)
        settle()
        theirs = peers.guestfish_tar_in(raw, manifest.partition()["number"], archive, "/Program Files", overlay)
    ours = middle(runs)
    return Row(
        "compose",
        subject,
        seconds(ours),
        f"guestfish (TCG) {seconds(theirs.seconds)}",
        theirs.seconds / ours,
        None,
        None,
        "",
        _GUESTFISH,
        work(runs, [theirs]),
    )
