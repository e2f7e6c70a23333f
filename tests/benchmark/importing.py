# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import of an exported OS machine as an OS layer."""

from __future__ import annotations

from . import peers
from .bench import Bench
from .measure import settle
from .rows import MIB, Row, Target, megabytes, seconds, work

_IMPORT = "Verifies the package against its manifest, examines Windows, grows the file system, leaves out free grains, inflates and hashes every grain."


def importing(bench: Bench) -> list[Row]:
    """Compare the time with cp of the exported disk and measure memory, for both OS machines."""
    rows = []
    for name in ("base", "large"):
        exported = bench.inputs.exported(name)
        done, result = bench.imported(name)
        with bench.file("copy.vmdk") as copy:
            settle()
            theirs = peers.copy(exported.vmdk, copy, sync=True)
        rows += [
            Row(
                "import",
                f"{name} OS machine to an OS layer",
                seconds(done.seconds),
                f"cp {seconds(theirs.seconds)}",
                theirs.seconds / done.seconds,
                None,
                done.memory,
                f"{megabytes(exported.size)} exported, {megabytes(result['size'])} stored",
                _IMPORT,
                work([done], [theirs]),
            ),
            Row(
                "import",
                f"peak memory, {name} OS machine",
                f"{done.memory / MIB:.0f} MiB",
                "",
                done.memory / MIB,
                Target(False, 400, " MiB"),
            ),
        ]
    return rows
