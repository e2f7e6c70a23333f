# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing the changes of an installer, compared with wimlib and virt-diff, and on a base a fifth as large."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from . import peers
from .bench import Bench
from .measure import Run, alternate, settle
from .rows import Row, Target, megabytes, middle, peak, seconds, work

_LAYER = "Installed"
#: Limits after which a slow peer is stopped: seconds, and a multiple of the time of capturing. The ratio is then a lower bound.
_PATIENCE, _ENOUGH = 300, 25

_OURS = "The module app_layer, whole process, including the start of Python: finalize gate, grains hashed, records and hives compared, layer stored and synced."
_WIMLIB = (
    "wimlib captures the NTFS volumes of both disks; names, attributes, descriptors, times and hashes of all files are then compared as text. "
    "LZX is its default; without compression it still writes all data twice."
)
_VIRT_DIFF = (
    "virt-diff runs under emulation (TCG); its appliance was built before. With --checksum it compares the content of files, as capturing does; without, only "
    "sizes and times. It fails at named streams over 64 KiB, so they are deleted before."
)


class _Packaged:
    """The raw disk of a packaging machine before and after an installer ran."""

    def __init__(self, bench: Bench, name: str, folder: str) -> None:
        self._bench = bench
        self._repository = bench.repository(name)
        self.original, self.disk = (os.path.join(folder, f"{name}-{side}.raw") for side in ("original", "packaged"))
        count, size = (60, 5_000) if bench.quick else (2_000, 20_000)
        bench.job("packaging_disk", repository=self._repository, output=self.original)
        self.in_use = os.stat(self.original).st_blocks * 512
        peers.copy_sparse(self.original, self.disk)
        files = bench.inputs.programs(_LAYER, 500_000, count, size)
        bench.job("install", disk=self.disk, files=files, replaced=5, removed=20, keys=20 if bench.quick else 500)
        self._captures = 0
        self.changes: dict = {}

    def capture(self) -> Run:
        """Capture again as a new version."""
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
    """Measure time, growth with the base, and peers."""
    with _packaged(bench) as disks:
        runs = alternate({name: packaged.capture for name, packaged in disks.items()}, bench.times)
        base, medium = disks["base"], disks["medium"]
        changes, share = medium.changes, medium.changes["bytes"] / medium.in_use
        ours, small = middle(runs["medium"]), middle(runs["base"])
        subject = f"{share:.1%} of a disk with {megabytes(medium.in_use)} in use"
        rows = [
            Row(
                "capture",
                subject,
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
        rows += _against_wimlib(bench, subject, runs["medium"], medium)
        if not bench.quick and peers.have_guestfish():
            rows += _against_virt_diff(subject, runs["medium"], medium)
    return rows


def _against_wimlib(bench: Bench, subject: str, runs: list[Run], packaged: _Packaged) -> list[Row]:
    rows = []
    with bench.file("volumes") as folder:
        os.makedirs(folder)
        original, changed = (os.path.join(folder, f"{side}.ntfs") for side in ("original", "packaged"))
        peers.windows_volume(packaged.original, original)
        peers.windows_volume(packaged.disk, changed)
        for compression, peer, target in (
            ("LZX", "wimlib (LZX)", Target(True, 20)),
            ("none", "wimlib (no compression)", None),
        ):
            settle()
            theirs = peers.wimlib_compare(original, changed, folder, compression, _patience(runs))
            rows.append(_row(subject, runs, peer, theirs, target, _WIMLIB))
    return rows


def _against_virt_diff(subject: str, runs: list[Run], packaged: _Packaged) -> list[Row]:
    for raw in (packaged.original, packaged.disk):
        peers.drop_large_streams(raw)
    rows = []
    for checksum, peer, target in (
        (True, "virt-diff --checksum (TCG)", Target(True, 20)),
        (False, "virt-diff (TCG)", None),
    ):
        settle()
        theirs = peers.virt_diff(packaged.original, packaged.disk, checksum=checksum, timeout=_patience(runs))
        rows.append(_row(subject, runs, peer, theirs, target, _VIRT_DIFF))
    return rows


def _patience(runs: list[Run]) -> float:
    return max(_PATIENCE, _ENOUGH * middle(runs))


def _row(subject: str, runs: list[Run], peer: str, theirs: Run, target: Target | None, note: str) -> Row:
    ours = middle(runs)
    took = seconds(theirs.seconds) if theirs.ended else f"stopped after {seconds(theirs.seconds)}"
    report = f"{peer.partition(' ')[0]} reports {len(theirs.output.splitlines())} files" if theirs.ended else ""
    cpu = work(runs, [theirs]) if theirs.ended else None
    return Row(
        "capture", subject, seconds(ours), f"{peer} {took}", theirs.seconds / ours, target, None, report, note, cpu
    )
