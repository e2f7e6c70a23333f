# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the demo ended as it should."""

from __future__ import annotations

import json
import pathlib

from ..sample.plan import Manifest
from ..support.simulator import Simulator
from ..support.wine_machine import SCRIPTS, tool_files
from . import apps, first_start, os_machine
from .playbook import Run
from .windows_disk import file_content, file_digest, registry_value, windows_volume


class Wrong(Exception):
    """Something is not as it should be."""


def require(condition: object, sentence: str) -> None:
    """Raise Wrong with the sentence unless the condition holds."""
    if not condition:
        raise Wrong(sentence)


def check_prepared(simulator: Simulator, name: str) -> None:
    """The OS machine has one adapter of the right type, is switched off and has both snapshots."""
    require(
        os_machine.adapters(simulator, name) == ["Vmxnet3"],
        f"The adapters of {name} are {os_machine.adapters(simulator, name)}.",
    )
    [machine] = simulator.machines(name)
    require(machine["power"] == "poweredOff", f"The machine {name} is {machine['power']}.")
    require(machine["snapshots"] == ["before-tools", "ready"], f"The snapshots of {name} are {machine['snapshots']}.")


def check_published(run: Run, simulator: Simulator) -> list[first_start.Script]:
    """The image is a machine that is switched off and has its snapshot, and whose scripts have run; returns what its disk says of them."""
    task = run.task
    require(task["status"] == "Complete", f"The publish task is {task['status']}: {task['description']}")
    missed = [warning for warning in task["warnings"] if "without a report" in warning]
    require(not missed, " ".join(missed))
    name = task["vm"]["name"]
    found = simulator.machines(name)
    require(len(found) == 1, f"There are {len(found)} machines {name}.")
    machine = found[0]
    require(machine["power"] == "poweredOff", f"The machine {name} is {machine['power']}.")
    require(
        task["snapshot"] in json.dumps(machine["snapshots"]), f"The machine {name} has no snapshot {task['snapshot']}."
    )
    report = task["scripts"]
    require(
        report is not None and report["state"] == "finished", f"The guest of {name} reports {report} about its scripts."
    )
    with windows_volume(simulator.disks(name)[0]["path"]) as volume:
        scripts = first_start.scripts_of(volume)
        require(first_start.is_finished(volume), f"The disk of {name} does not say that its scripts are done.")
    require(len(scripts) == 2, f"{name} has {len(scripts)} scripts.")
    codes = {str(script.number): script.code for script in scripts}
    require(codes == report["results"], f"The disk of {name} has the exit codes {codes}, the task {report['results']}.")
    require(
        all(script.code == "0" for script in scripts), f"Not every script of {name} ended with 0: {report['results']}"
    )
    return scripts


def check_unchanged(first: Run, second: Run) -> None:
    """The second run found everything as it was to be."""
    changed = ", ".join(record["action"] for record in second.changed)
    require(not changed, f"Running site.yml again changed something: {changed}.")
    require(first.task["vm"] == second.task["vm"], "Running site.yml again told of another machine.")


def check_new_version(first: Run, third: Run) -> None:
    """The new version of an app layer made a new image, and little of it was compressed again."""
    require(
        third.task["vm"]["name"] != first.task["vm"]["name"],
        "The new version of an app layer was published under the old machine's name.",
    )
    require(
        sum(record["status"] == "changed" for record in third.of("app_layer")) == 1,
        "Another number of app layers than one changed.",
    )
    require(not any(record["status"] == "changed" for record in third.of("os_layer")), "The OS layer changed.")


def check_disk(path: str, folder: pathlib.Path, layers: list[str], sample: Manifest) -> int:
    """What the app layers bring and the scripts wrote is on the disk, what layers remove is not, Windows is what it was; returns the number of files."""
    wanted: dict[str, str] = {}
    for layer in layers:
        wanted |= apps.digests(folder / layer)
    folded = {name.upper() for name in wanted}
    kept = {
        name: entry.sha256
        for name, entry in sample.files.items()
        if name.startswith("Windows/System32/")
        and name.count("/") == 2
        and entry.kind == "file"
        and entry.sha256
        and entry.size < 1 << 20
        and name.upper() not in folded
        and name.upper() != apps.DELETED.upper()
    }
    with windows_volume(path) as volume:
        for name, data in tool_files().items():
            require(
                file_content(volume, f"{SCRIPTS}/{name}") == data,
                f"{name} on the published disk is not what the role os_machine copied.",
            )
        for name, data in first_start.WRITTEN.items():
            require(
                file_content(volume, name) == data, f"{name} on the published disk is not what a script wrote, once."
            )
        for name, digest in (wanted | kept).items():
            require(file_digest(volume, name) == digest, f"{name} on the published disk is not what its layer brought.")
        require(apps.REPLACED.upper() in folded, f"No layer replaces {apps.REPLACED}.")
        require(file_digest(volume, apps.DELETED) is None, f"{apps.DELETED} is still on the published disk.")
        require(
            registry_value(volume, "SYSTEM", "Select", "Current") == 1,
            "The SYSTEM hive of the published disk names no control set.",
        )
        for hive, key, value, data in apps.VALUES:
            found = registry_value(volume, hive, key, value)
            require(found == data, f"{value} of {hive}\\{key} on the published disk is {found!r} instead of {data!r}.")
    return len(wanted) + len(kept) + len(tool_files()) + len(first_start.WRITTEN)
