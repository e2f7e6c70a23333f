# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold after a fault: how a run may end, what the next run does, and what is left in vCenter, repository and share."""

from __future__ import annotations

import fcntl
import os
import pathlib
import time

from ansible_collections.strata.layering.plugins.module_utils.catalog.documents import IMAGE, TASK
from ansible_collections.strata.layering.plugins.module_utils.common.atomic_files import TEMPORARY_PREFIX
from ansible_collections.strata.layering.plugins.module_utils.ovf.package import open_package
from ansible_collections.strata.layering.plugins.module_utils.repository.garbage_collection import collect, verify
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.integration.faults.bench import (
    KILLED,
    LEASE_TIMEOUT,
    TEMPLATE,
    UNEXPECTED,
    CaseEnvironment,
    Ended,
)

#: What a task is in when no further run is needed.
_OVER = ("Complete", "Failed", "Canceled")


def explained(ended: Ended) -> None:
    """A run that did not succeed ends with an error of the collection: a sentence, a code, what to do, and nothing secret."""
    if ended.complete or ended.code == KILLED:
        return
    assert ended.code != UNEXPECTED, ended.message
    assert ended.message[0].isupper() or ended.message[0].isdigit(), ended.message
    assert ended.message.rstrip().endswith((".", ")")), ended.message
    assert ended.hint, ended
    assert "." in ended.code, ended


def published(environment: CaseEnvironment) -> Ended:
    """The next run of a publish ends Complete and leaves one machine, one snapshot, and nothing else; returns how it ended."""
    environment.calm()
    ended = environment.publish().wait()
    assert ended.complete, f"the next run ended with {ended.code}: {ended.message}"
    assert [task["status"] for task in ended.result["tasks"]] == ["Complete"], ended.result
    standing(environment)
    again = environment.publish().wait()
    assert again.complete and not again.changed, again
    return ended


def standing(environment: CaseEnvironment) -> None:
    """One machine with one snapshot, nothing held, nothing half-written."""
    found = [
        machine
        for machine in environment.simulator.machines()
        if not machine["template"] and machine["name"] != environment.machine
    ]
    assert len(found) == 1, [machine["name"] for machine in found]
    assert (
        found[0]["name"].startswith(f"{TEMPLATE}-") and found[0]["power"] == "poweredOff" and not found[0]["locked"]
    ), found
    assert len(found[0]["snapshots"]) == 1, found
    no_lease(environment)
    repository = whole(environment)
    images = [image for _name, document in repository.catalog.documents(IMAGE) for image in document["images"]]
    assert [image["vm"]["name"] for image in images] == [found[0]["name"]], images
    tasks = [document for _name, document in repository.catalog.documents(TASK)]
    assert {task["status"] for task in tasks} <= set(_OVER), [(task["status"], task["description"]) for task in tasks]
    assert sum(task["status"] == "Complete" and task["digest"] == images[0]["image_digest"] for task in tasks) == 1, (
        tasks
    )


def exported(environment: CaseEnvironment) -> None:
    """The next run of an export ends with a sound package, and leaves no lease and no part of a file."""
    environment.calm()
    ended = environment.export().wait()
    assert ended.complete, f"the next run ended with {ended.code}: {ended.message}"
    no_lease(environment)
    folder = environment.share / environment.machine
    open_package(os.fspath(folder / f"{environment.machine}.ovf")).verify()
    names = {f"{environment.machine}{suffix}" for suffix in (".ovf", ".mf", "-disk1.vmdk", ".export.json")}
    assert {path.name for path in folder.iterdir()} == names
    assert [path.name for path in environment.share.iterdir()] == [environment.machine]
    again = environment.export().wait()
    assert again.complete and not again.changed, again


def no_lease(environment: CaseEnvironment) -> None:
    """No lease is open; one that nobody could end has its time to expire."""
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


def whole(environment: CaseEnvironment, path: pathlib.Path | None = None) -> Repository:
    """Nothing is locked or pinned in the repository, nothing half-written is left once it was collected, and all of it is sound."""
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
