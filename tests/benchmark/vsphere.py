# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated vSphere of the publishing cases."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from ..support.simulator import Simulator
from .bench import Bench


@contextlib.contextmanager
def simulated(bench: Bench) -> Iterator[tuple[Simulator, dict]]:
    """Yield a simulator with TLS and the connection options of modules.

    Its disks are in the scratch folder; its guests end immediately.
    """
    with bench.file("datastores") as datastores:
        os.makedirs(datastores)
        with Simulator(state=datastores) as simulator:
            simulator.guest("true")
            yield simulator, simulator.options() | {"ca_path": str(simulator.ca_file)}


def emptied(simulator: Simulator, guest: str = "true") -> None:
    """Remove all VMs; guests of later VMs run the shell command ``guest``."""
    simulator.ask("POST", "/reset", {})
    simulator.guest(guest)


def last_import(simulator: Simulator) -> tuple[float, int]:
    """Return the seconds from the last ImportVApp to its closed lease in the simulator's journal, and the uploaded bytes."""
    journal = simulator.journal()
    begin = max(index for index, entry in enumerate(journal) if entry["method"] == "ImportVApp")
    end = next(entry for entry in journal[begin:] if entry["method"] == "HttpNfcLeaseComplete")
    return end["time"] + end["seconds"] - journal[begin]["time"], sum(
        entry.get("bytes", 0) for entry in journal[begin:] if entry["method"] == "NFC:PUT"
    )
