# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Importing an exported machine as an OS layer."""

from __future__ import annotations

from . import peers
from .bench import Bench
from .measure import settle
from .rows import MIB, Row, Target, megabytes, seconds, work

_IMPORT = "Every byte of the package against its manifest, Windows examined, file system grown, free grains left out, every grain inflated and hashed."


def importing(bench: Bench) -> list[Row]:
    """Time beside cp of the exported disk, and memory, for both machines."""
    rows = []
    for name in ("base", "large"):
        machine = bench.inputs.machine(name)
        done, result = bench.imported(name)
        with bench.file("copy.vmdk") as copy:
            settle()
            theirs = peers.copy(machine.vmdk, copy, sync=True)
        rows += [
            Row(
                "import",
                f"{name} machine to an OS layer",
                seconds(done.seconds),
                f"cp {seconds(theirs.seconds)}",
                theirs.seconds / done.seconds,
                None,
                done.memory,
                f"{megabytes(machine.size)} exported, {megabytes(result['size'])} stored",
                _IMPORT,
                work([done], [theirs]),
            ),
            Row(
                "import",
                f"peak memory, {name} machine",
                f"{done.memory / MIB:.0f} MiB",
                "",
                done.memory / MIB,
                Target(False, 400, " MiB"),
            ),
        ]
    return rows
