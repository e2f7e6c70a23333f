# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the demo's results."""

from __future__ import annotations

import json
import pathlib

from ..sample.plan import Manifest
from ..support.simulator import Simulator
from ..support.wine_machine import SCRIPTS, tool_files
from . import apps, first_start, os_machine
from .horizon import MACHINES, PoolState
from .playbook import Run
from .windows_disk import file_content, file_digest, registry_value, windows_volume


class CheckFailed(Exception):
    """A result of the demo differs from the expected result."""


def require(condition: object, sentence: str) -> None:
    """Raise CheckFailed with the sentence unless the condition holds."""
    if not condition:
        raise CheckFailed(sentence)


def check_prepared(simulator: Simulator, name: str) -> None:
    """Check that the OS machine has a single VMXNET3 adapter, is powered off and has both snapshots."""
    adapters = os_machine.adapters(simulator, name)
    require(adapters == ["Vmxnet3"], f"{name} has the network adapters {adapters}, expected ['Vmxnet3'].")
    [vm] = simulator.machines(name)
    require(vm["power"] == "poweredOff", f"{name} is {vm['power']}, expected poweredOff.")
    require(vm["snapshots"] == ["before-tools", "ready"], f"{name} has the snapshots {vm['snapshots']}.")


def check_published(run: Run, simulator: Simulator) -> list[first_start.Script]:
    """Check that the image is a powered-off VM with a snapshot whose scripts ran; return the scripts on its disk."""
    task = run.task
    require(task["status"] == "Complete", f"The publish task is {task['status']}: {task['description']}")
    unreported = [warning for warning in task["warnings"] if "without a report" in warning]
    require(not unreported, " ".join(unreported))
    name = task["vm"]["name"]
    vms = simulator.machines(name)
    require(len(vms) == 1, f"{len(vms)} VMs have the name {name}, expected 1.")
    vm = vms[0]
    require(vm["power"] == "poweredOff", f"{name} is {vm['power']}, expected poweredOff.")
    require(task["snapshot"] in json.dumps(vm["snapshots"]), f"{name} has no snapshot {task['snapshot']}.")
    report = task["scripts"]
    require(
        report is not None and report["state"] == "finished",
        f"The guest of {name} reported {report}, expected the state finished.",
    )
    with windows_volume(simulator.disks(name)[0]["path"]) as volume:
        scripts = first_start.scripts_of(volume)
        require(first_start.is_finished(volume), f"The disk of {name} has no marker for finished scripts.")
    require(len(scripts) == 2, f"{name} has {len(scripts)} scripts, expected 2.")
    codes = {str(script.number): script.code for script in scripts}
    require(codes == report["results"], f"Exit codes on the disk of {name}: {codes}; in the task: {report['results']}.")
    require(
        all(script.code == "0" for script in scripts), f"A script of {name} failed; exit codes: {report['results']}."
    )
    return scripts


def check_unchanged(first: Run, second: Run) -> None:
    """Check that the second run changed nothing."""
    changed = ", ".join(record["action"] for record in second.changed)
    require(not changed, f"The second run of site.yml changed: {changed}.")
    require(
        first.task["vm"] == second.task["vm"],
        f"The second run of site.yml reported the VM {second.task['vm']}, expected {first.task['vm']}.",
    )


def check_new_version(first: Run, third: Run) -> None:
    """Check that the new version of an app layer led to a new image without a change of the OS layer."""
    require(
        third.task["vm"]["name"] != first.task["vm"]["name"],
        "The new version of an app layer was published under the name of the old VM.",
    )
    count = sum(record["status"] == "changed" for record in third.of("app_layer"))
    require(count == 1, f"{count} app layers changed, expected 1.")
    require(not any(record["status"] == "changed" for record in third.of("os_layer")), "The OS layer changed.")


def check_pool(push: dict, status: str, pool: PoolState, image: str, machines: dict[str, int]) -> None:
    """Check the status of a push, the VM that is the image of the pool, and the number of machines on each VM."""
    require(push["status"] == status, f"The push is {push['status']}, expected {status}: {push['description']}")
    require(pool.image == image, f"The image of the pool is {pool.image}, expected {image}.")
    require(
        pool.machines == machines, f"The machines of the pool have the images {pool.machines}, expected {machines}."
    )


def check_all_machines(push: dict, pool: PoolState, image: str) -> None:
    """Check that the pool and all of its machines have an image."""
    check_pool(push, "Complete", pool, image, {image: MACHINES})


def check_disk(path: str, folder: pathlib.Path, layers: list[str], sample: Manifest) -> int:
    """Check the files on the published disk and return their number.

    The disk has the files of the app layers and of the scripts, lacks the removed file, and has the original files of Windows.
    """
    layered = _layered_files(folder, layers)
    kept = _kept_files(sample, {name.upper() for name in layered})
    with windows_volume(path) as volume:
        for name, data in tool_files().items():
            require(
                file_content(volume, f"{SCRIPTS}/{name}") == data,
                f"{name} on the published disk differs from the file that the role os_machine copied.",
            )
        for name, data in first_start.WRITTEN.items():
            require(
                file_content(volume, name) == data,
                f"{name} on the published disk differs from the text that a script writes once.",
            )
        for name, digest in (layered | kept).items():
            require(
                file_digest(volume, name) == digest, f"{name} on the published disk differs from the file in its layer."
            )
        require(
            file_digest(volume, apps.DELETED) is None,
            f"{apps.DELETED} exists on the published disk, although a layer deletes it.",
        )
        require(
            registry_value(volume, "SYSTEM", "Select", "Current") == 1,
            "The SYSTEM hive of the published disk does not name control set 1 as the current control set.",
        )
        for hive, key, value, content in apps.VALUES:
            stored = registry_value(volume, hive, key, value)
            require(
                stored == content,
                f"{value} of {hive}\\{key} on the published disk is {stored!r}, expected {content!r}.",
            )
    return len(layered) + len(kept) + len(tool_files()) + len(first_start.WRITTEN)


def _layered_files(folder: pathlib.Path, layers: list[str]) -> dict[str, str]:
    """Return the SHA-256 of the files of the app layers by path."""
    files: dict[str, str] = {}
    for layer in layers:
        files |= apps.digests(folder / layer)
    require(apps.REPLACED.upper() in {name.upper() for name in files}, f"No layer replaces {apps.REPLACED}.")
    return files


def _kept_files(sample: Manifest, layered: set[str]) -> dict[str, str]:
    """Return the SHA-256 of small files in System32 that no layer changes; ``layered`` has upper-case paths."""
    return {
        name: entry.sha256
        for name, entry in sample.files.items()
        if name.startswith("Windows/System32/")
        and name.count("/") == 2
        and entry.kind == "file"
        and entry.sha256
        and entry.size < 1 << 20
        and name.upper() not in layered | {apps.DELETED.upper()}
    }
