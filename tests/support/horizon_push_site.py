# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod and a repository for tests of horizon_image_push."""

from __future__ import annotations

import datetime
import os
import pathlib
from typing import Any

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.modules import run, state_of
from ansible_collections.strata.layering.tests.support.recorded_images import recorded_image, store_images

MODULE = "horizon_image_push"
_SERVER = "windows2019srv_64Guest"
_LOGIN = ("/login", "/refresh", "/logout")


def prepare_pod(pod: HorizonSimulator) -> None:
    """Describe the VMs of a pod with two vCenters. What Horizon does has happened when the answer arrives: no test waits for it."""
    pod.reset()
    for number in (1, 2, 3):
        pod.add_vm(f"office-{number}", ["strata"], guest_id=_SERVER)
    pod.add_vm("munich-1", ["strata"], vcenter=1)
    pod.settings(pending_seconds=0, publish_seconds=0, rebuild_seconds=0)


class PushSite:
    """A pod with two vCenters, and a repository with the images office-3, office-2 and office-1 of the template office."""

    def __init__(self, horizon: HorizonSimulator, folder: pathlib.Path) -> None:
        self.horizon = horizon
        self.repository = os.fspath(folder / "repository")
        self.vcenters = horizon.vcenters()
        first = self.vcenters[0]
        self.vms = {vm["name"]: vm for vcenter in self.vcenters for vm in vcenter["vms"]}
        store_images(
            self.repository,
            "office",
            [recorded_image("office", first, self.vms[f"office-{number}"]) for number in (3, 2, 1)],
        )
        self.options: dict[str, Any] = {
            **horizon.options(),
            "repository": self.repository,
            "template": "office",
            "wait_sleep": 1,
            "retries": 0,
        }

    def add_pool(self, name: str = "sales", vm: str = "office-1", **fields: Any) -> dict[str, Any]:
        """Add a pool of three machines."""
        return self.horizon.add_pool(name, vm, "strata", **fields)

    def push(self, **options: Any) -> dict[str, Any]:
        """Run the module and return the task of the only pool or farm, with ``changed``."""
        result = run(MODULE, **self.options | options)
        return {**result["tasks"][0], "changed": result["changed"]}

    def vm_of(self, kind: str = "pools", name: str = "sales") -> str:
        """Return the name of the VM that is the current image."""
        return self.name_of(self.horizon.ask("GET", f"/{kind}/{name}")["vm"])

    def name_of(self, moid: str) -> str:
        """Return the name of a VM of the first vCenter."""
        return next(vm["name"] for vm in self.vcenters[0]["vms"] if vm["moid"] == moid)

    def machines(self, name: str = "sales", kind: str = "pools") -> dict[str, str]:
        """Return the names of the VMs from which machines were created, by the name of the machine."""
        found = self.horizon.ask("GET", f"/{kind}/{name}/machines")
        return {machine["name"]: self.name_of(machine["vm"]) for machine in found}

    def state(self) -> dict[str, Any]:
        """Return the state of Horizon and of the repository."""
        kinds = ("pools", "farms")
        owners = {kind: self.horizon.ask("GET", f"/{kind}") for kind in kinds}
        machines = {
            owner["name"]: self.horizon.ask("GET", f"/{kind}/{owner['name']}/machines")
            for kind in kinds
            for owner in owners[kind]
        }
        return {"owners": owners, "machines": machines, "repository": state_of(self.repository)}

    def requests(self) -> list[tuple[str, Any]]:
        """Return the end of the path and the body of each request that changes something."""
        return [
            (entry["path"].rpartition("/")[2], entry["body"])
            for entry in self.horizon.journal()
            if entry["method"] != "GET" and entry["path"] not in _LOGIN
        ]

    def audit(self) -> list[dict[str, Any]]:
        """Return the audit history, oldest first."""
        return Repository.open(self.repository).audit.read()

    def last_used(self, number: int) -> str | None:
        """Return until when an image was in use, according to its record."""
        document = document_collections.images(Repository.open(self.repository)).require("office")
        return next(image for image in document.images if image.vm.name == f"office-{number}").last_used

    def in_hours(self, hours: int) -> str:
        """Return a time some hours after that of the Connection Server, with an offset."""
        zone = datetime.timezone(datetime.timedelta(hours=1))
        now = datetime.datetime.fromtimestamp(self.horizon.clock.now / 1000, zone)
        return (now + datetime.timedelta(hours=hours)).isoformat(timespec="seconds")
