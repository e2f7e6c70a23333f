# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of a playbook of the collection and the results of its modules."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import select
import subprocess
import sys
import time

from .steps import Steps

_HERE = pathlib.Path(__file__).resolve().parent
#: Seconds without output after which a line says that the playbook is running.
_SILENCE = 8


@dataclasses.dataclass
class Run:
    """One run: the module results in order, and its duration in seconds."""

    records: list[dict]
    seconds: float

    def of(self, action: str) -> list[dict]:
        """Return the records of one module."""
        return [record for record in self.records if record["action"] == action]

    def seconds_of(self, action: str) -> float | None:
        """Return the total duration of all calls of a module in seconds; None if it did not run."""
        records = self.of(action)
        return sum(record["seconds"] for record in records) if records else None

    @property
    def changed(self) -> list[dict]:
        """Return the records of modules that changed something."""
        return [record for record in self.records if record["status"] == "changed"]

    @property
    def task(self) -> dict:
        """Return the publish task."""
        return self.of("layered_image_publish")[-1]["result"]["tasks"][0]

    @property
    def push(self) -> dict:
        """Return the push to the pool."""
        return self.of("horizon_image_push")[-1]["result"]["tasks"][0]


class PlaybookFailed(Exception):
    """A playbook failed; its output has the cause."""


def run_playbook(
    name: str, folder: pathlib.Path, environment: dict[str, str], steps: Steps, **variables: object
) -> Run:
    """Run a playbook with the inventory of the demo and the extra variables ``variables``."""
    record = folder / "record.jsonl"
    record.unlink(missing_ok=True)
    command = [sys.executable, "-m", "ansible", "playbook", f"strata.layering.{name}"]
    command += ["-e", json.dumps(variables)] if variables else []
    settings = {
        "DEMO_FOLDER": str(folder),
        "DEMO_RECORD": str(record),
        "ANSIBLE_CONFIG": str(_HERE / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "1" if sys.stdout.isatty() else "0",
        "PYTHONUNBUFFERED": "1",
        "STRATA_LAYERING_PROGRESS": "always",
        "ANSIBLE_LOCAL_TEMP": str(folder / "ansible"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "ansible"),
    }
    started = time.monotonic()
    code = _relay(command, {**os.environ, **environment, **settings}, steps)
    seconds = time.monotonic() - started
    if code:
        raise PlaybookFailed(f"{name}.yml exited with code {code}; see the error above.")
    return Run([json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()], seconds)


def _relay(command: list[str], environment: dict[str, str], steps: Steps) -> int:
    """Run a command, print its output line by line, and a line whenever it is silent; return its exit code."""
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        printed = time.monotonic()
        rest = b""
        while True:
            if not select.select([process.stdout], [], [], _SILENCE)[0]:
                steps.say(f"      ...    {time.monotonic() - printed:.0f} s")
                continue
            chunk = os.read(process.stdout.fileno(), 1 << 16)
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines if chunk else [*lines, rest] if rest else lines:
                steps.say(line.decode("utf-8", "replace"))
                printed = time.monotonic()
            if not chunk:
                return process.wait()
