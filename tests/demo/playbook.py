# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the collection's site.yml, and what its modules returned."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import time

_HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass
class Run:
    """What one run did: the modules' results in their order, and seconds for the whole."""

    records: list[dict]
    seconds: float

    def of(self, action: str) -> list[dict]:
        """The records of one module."""
        return [record for record in self.records if record["action"] == action]

    def seconds_of(self, action: str) -> float | None:
        """Seconds that a module took over all its calls; None when it did not run."""
        found = self.of(action)
        return sum(record["seconds"] for record in found) if found else None

    @property
    def changed(self) -> list[dict]:
        """The records of modules that changed something."""
        return [record for record in self.records if record["status"] == "changed"]

    @property
    def task(self) -> dict:
        """The publish task."""
        return self.of("layered_image_publish")[-1]["result"]["tasks"][0]


class PlaybookFailed(Exception):
    """site.yml did not succeed; it has said why."""


def run_site(folder: pathlib.Path, environment: dict[str, str], **variables: str) -> Run:
    """Run site.yml with the demo's inventory; ``variables`` are extra variables."""
    record = folder / "record.jsonl"
    record.unlink(missing_ok=True)
    command = [sys.executable, "-m", "ansible", "playbook", "strata.layering.site"]
    for name, value in variables.items():
        command += ["-e", f"{name}={value}"]
    settings = {
        "DEMO_FOLDER": str(folder),
        "DEMO_RECORD": str(record),
        "ANSIBLE_CONFIG": str(_HERE / "ansible.cfg"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "ansible"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "ansible"),
    }
    started = time.monotonic()
    finished = subprocess.run(
        command, env={**os.environ, **environment, **settings}, stdin=subprocess.DEVNULL, check=False
    )
    seconds = time.monotonic() - started
    if finished.returncode:
        raise PlaybookFailed(f"site.yml ended with {finished.returncode}.")
    return Run([json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()], seconds)
