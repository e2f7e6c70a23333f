# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks after a fault: how the run ended, how the next run ends, and what is left in vCenter, repository and share."""

from __future__ import annotations

import fcntl
import os
import pathlib
import time

from ansible_collections.strata.layering.plugins.module_utils.catalog.kinds import IMAGE, TASK
from ansible_collections.strata.layering.plugins.module_utils.common.atomic_files import TEMPORARY_PREFIX
from ansible_collections.strata.layering.plugins.module_utils.ovf.package import open_package
from ansible_collections.strata.layering.plugins.module_utils.repository.garbage_collection import collect
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.repository.verification import verify
from ansible_collections.strata.layering.tests.integration.faults.bench import LEASE_TIMEOUT, TEMPLATE, CaseEnvironment
from ansible_collections.strata.layering.tests.integration.faults.composer import KILLED, UNEXPECTED, RunResult

#: The statuses of tasks that need no further run.
_FINAL = ("Complete", "Failed", "Canceled")


def check_error(ended: RunResult) -> None:
    """Check that a run that failed ended with an error of the collection: a sentence, a code and a hint."""
    if ended.succeeded or ended.code == KILLED:
        return
    assert ended.code is not None
    assert ended.code != UNEXPECTED, ended.message
    assert ended.message[0].isupper() or ended.message[0].isdigit(), ended.message
    assert ended.message.rstrip().endswith((".", ")")), ended.message
    assert ended.hint, ended
    assert "." in ended.code, ended


def check_next_publish(environment: CaseEnvironment) -> RunResult:
    """Check that the next publish ends Complete and that a further publish changes nothing; return the result of the next."""
    environment.remove_faults()
    ended = environment.publish().wait()
    assert ended.succeeded, f"the next run ended with {ended.code}: {ended.message}"
    assert [task["status"] for task in ended.result["tasks"]] == ["Complete"], ended.result
    check_published(environment)
    again = environment.publish().wait()
    assert again.succeeded, again
    assert not again.changed, again
    return ended


def check_published(environment: CaseEnvironment) -> None:
    """Check that there is one VM with one snapshot, no lease, and a sound repository that describes this VM."""
    found = [
        vm for vm in environment.simulator.machines() if not vm["template"] and vm["name"] != environment.exported_vm
    ]
    assert len(found) == 1, [vm["name"] for vm in found]
    vm = found[0]
    assert vm["name"].startswith(f"{TEMPLATE}-"), vm
    assert vm["power"] == "poweredOff", vm
    assert not vm["locked"], vm
    assert len(vm["snapshots"]) == 1, vm
    check_no_lease(environment)
    repository = check_repository(environment)
    images = [image for _name, document in repository.catalog.documents(IMAGE) for image in document["images"]]
    assert [image["vm"]["name"] for image in images] == [vm["name"]], images
    tasks = [document for _name, document in repository.catalog.documents(TASK)]
    assert {task["status"] for task in tasks} <= set(_FINAL), [(task["status"], task["description"]) for task in tasks]
    digest = images[0]["image_digest"]
    assert sum(task["status"] == "Complete" and task["digest"] == digest for task in tasks) == 1, tasks


def check_next_export(environment: CaseEnvironment) -> None:
    """Check that the next export succeeds with a sound package and leaves no lease and no part of a file."""
    environment.remove_faults()
    name = environment.exported_vm
    ended = environment.export().wait()
    assert ended.succeeded, f"the next run ended with {ended.code}: {ended.message}"
    check_no_lease(environment)
    folder = environment.share / name
    open_package(os.fspath(folder / f"{name}.ovf")).verify()
    names = {f"{name}{suffix}" for suffix in (".ovf", ".mf", "-disk1.vmdk", ".export.json")}
    assert {path.name for path in folder.iterdir()} == names
    assert [path.name for path in environment.share.iterdir()] == [name]
    again = environment.export().wait()
    assert again.succeeded, again
    assert not again.changed, again


def check_no_lease(environment: CaseEnvironment) -> None:
    """Check that no lease is open; an abandoned lease has time to expire."""
    deadline = time.monotonic() + 2 * LEASE_TIMEOUT
    while True:
        held = [
            lease
            for lease in environment.simulator.leases()
            if lease["locks"] or lease["state"] in ("initializing", "ready")
        ]
        if not held or time.monotonic() > deadline:
            assert not held, held
            return
        time.sleep(0.05)


def check_repository(environment: CaseEnvironment, path: pathlib.Path | None = None) -> Repository:
    """Check that nothing in the repository is locked, pinned, damaged or, after collecting it, half-written."""
    path = path or environment.repository
    repository = Repository.open(os.fspath(path))
    for lock in (path / "locks").iterdir():
        with lock.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert repository.pins.live() == set()
    collect(repository, grace=0)
    assert list((path / "pins").iterdir()) == []
    left = [
        found
        for found in path.rglob("*")
        if found.is_file() and (found.name.startswith(TEMPORARY_PREFIX) or found.parent == path / "tmp")
    ]
    assert left == []
    assert verify(repository) == []
    return repository
