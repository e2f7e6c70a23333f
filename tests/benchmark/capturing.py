# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing what an installer did to a packaging machine, against wimlib and virt-diff, and on a base a fifth as large."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from . import peers
from .bench import Bench
from .measure import Run, alternate, settle
from .rows import Row, Target, megabytes, middle, peak, seconds, work

_LAYER = "Installed"
#: A peer that takes longer than so many seconds, and so many times as long as capturing, is stopped; the ratio is then what is certain.
_PATIENCE, _ENOUGH = 300, 25

_OURS = "The module app_layer, whole process: finalize gate, grains hashed, records and hives compared, the layer stored and synced, from Python's start on."
_WIMLIB = (
    "wimlib captures the NTFS volume of both disks; names, attributes, descriptors, times and hashes of all files are then compared as text. "
    "LZX is its default; without compression it still writes all data twice."
)
_VIRT_DIFF = (
    "virt-diff runs under emulation (TCG), appliance built before. With --checksum it compares what files hold, as capturing does; without, it believes "
    "sizes and times. It ends with an error at named streams over 64 KiB, so these are deleted for it."
)


class _Packaged:
    """The raw disk that a packaging machine was given, and what an installer made of it."""

    def __init__(self, bench: Bench, name: str, folder: str) -> None:
        self._bench = bench
        self._repository = bench.repository(name)
        self.given, self.disk = (os.path.join(folder, f"{name}-{side}.raw") for side in ("given", "packaged"))
        count, size = (60, 5_000) if bench.quick else (2_000, 20_000)
        bench.job("given_disk", repository=self._repository, output=self.given)
        self.in_use = os.stat(self.given).st_blocks * 512
        peers.copy_sparse(self.given, self.disk)
        files = bench.inputs.programs(_LAYER, 500_000, count, size)
        bench.job("install", disk=self.disk, files=files, replaced=5, removed=20, keys=20 if bench.quick else 500)
        self._captures = 0
        self.changes: dict = {}

    def capture(self) -> Run:
        """Capture once more, as another version."""
        self._captures += 1
        done, result = self._bench.job(
            "capture", repository=self._repository, name=_LAYER, version=str(self._captures), disk=self.disk
        )
        self.changes = result["changes"]
        return done


@contextlib.contextmanager
def _packaged(bench: Bench) -> Iterator[dict[str, _Packaged]]:
    with bench.file("packaging") as folder:
        os.makedirs(folder)
        yield {name: _Packaged(bench, name, folder) for name in ("base", "medium")}


def capturing(bench: Bench) -> list[Row]:
    """Time, growth with the base, peers."""
    with _packaged(bench) as machines:
        runs = alternate({name: machine.capture for name, machine in machines.items()}, bench.times)
        base, medium = machines["base"], machines["medium"]
        changes, share = medium.changes, medium.changes["bytes"] / medium.in_use
        ours, small = middle(runs["medium"]), middle(runs["base"])
        what = f"{share:.1%} of a disk with {megabytes(medium.in_use)} in use"
        rows = [
            Row(
                "capture",
                what,
                seconds(ours),
                "",
                None,
                None,
                peak(runs["medium"]),
                f"{changes['files']} files, {megabytes(changes['bytes'])}, {changes['removed']} removed, {changes['keys']} keys",
                _OURS,
            ),
            Row(
                "capture",
                f"the same on a base {medium.in_use / base.in_use:.1f} times as large (in use)",
                seconds(ours),
                f"on the base {seconds(small)}",
                ours / small,
                None,
                None,
                f"{megabytes(medium.in_use)} and {megabytes(base.in_use)} in use",
                "",
                work(runs["medium"], runs["base"]),
            ),
        ]
        rows += _against_wimlib(bench, what, runs["medium"], medium)
        if not bench.quick and peers.have_guestfish():
            rows += _against_virt_diff(what, runs["medium"], medium)
    return rows


def _against_wimlib(bench: Bench, what: str, runs: list[Run], machine: _Packaged) -> list[Row]:
    rows = []
    with bench.file("volumes") as folder:
        os.makedirs(folder)
        volumes = [os.path.join(folder, f"{side}.ntfs") for side in ("given", "packaged")]
        for raw, volume in zip((machine.given, machine.disk), volumes):
            peers.windows_volume(raw, volume)
        for compression, words, target in (
            ("LZX", "wimlib (LZX)", Target(True, 20)),
            ("none", "wimlib (no compression)", None),
        ):
            settle()
            theirs = peers.wimlib_compare(*volumes, folder, compression, _patience(runs))
            rows.append(_row(what, runs, words, theirs, target, _WIMLIB))
    return rows


def _against_virt_diff(what: str, runs: list[Run], machine: _Packaged) -> list[Row]:
    for raw in (machine.given, machine.disk):
        peers.drop_large_streams(raw)
    rows = []
    for checksum, words, target in (
        (True, "virt-diff --checksum (TCG)", Target(True, 20)),
        (False, "virt-diff (TCG)", None),
    ):
        settle()
        theirs = peers.virt_diff(machine.given, machine.disk, checksum=checksum, timeout=_patience(runs))
        rows.append(_row(what, runs, words, theirs, target, _VIRT_DIFF))
    return rows


def _patience(runs: list[Run]) -> float:
    return max(_PATIENCE, _ENOUGH * middle(runs))


def _row(what: str, runs: list[Run], words: str, theirs: Run, target: Target | None, note: str) -> Row:
    ours = middle(runs)
    took = seconds(theirs.seconds) if theirs.ended else f"stopped after {seconds(theirs.seconds)}"
    found = f"{words.partition(' ')[0]} tells of {len(theirs.output.splitlines())} files" if theirs.ended else ""
    cpu = work(runs, [theirs]) if theirs.ended else None
    return Row("capture", what, seconds(ours), f"{words} {took}", theirs.seconds / ours, target, None, found, note, cpu)
