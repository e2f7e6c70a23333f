# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects that the steps of one packaging machine share: the request, the record, the VM, and the module's result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..catalog import document_collections
from ..catalog.kinds import NOISE, PACKAGING
from ..catalog.layers import find_layer
from ..catalog.noise_profiles import has_noise_profile
from ..catalog.packaging_record import PackagingRecord
from ..common.progress import Progress
from ..layers.layer_version import OS
from ..publish.machine.uploads import is_uploaded
from ..publish.machine.vm_metadata import KEY_STATE, POWERED_OFF
from ..repository.repository import Repository
from ..vsphere.addresses import ADDRESS_PROPERTIES, reachable_address
from ..vsphere.inventory.inventory import Inventory
from ..vsphere.properties import read
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts
from .decision import PackagingState
from .machine import STARTED, UPLOADING, find_machine, machine_prefix
from .request import PackagingRequest

#: Values of the return value ``status``.
ACTION_REQUIRED, PENDING, COMPLETE = "ActionRequired", "Pending", "Complete"


class PackagingContext:
    """One packaging machine. ``record`` and ``facts`` (the VM) are None when they do not exist; ``captured``: the layer version or noise profile exists."""

    def __init__(
        self,
        repository: Repository,
        session: Session,
        request: PackagingRequest,
        *,
        check_mode: bool,
        progress: Progress,
    ) -> None:
        self.repository = repository
        self.session = session
        self.request = request
        self.check_mode = check_mode
        self.progress = progress
        self.warnings: list[str] = []
        self._records = document_collections.packaging_records(repository)
        self.record: PackagingRecord | None = self._records.get(request.key)
        prefix = machine_prefix(request.name, request.version)
        self.facts: VmFacts | None = find_machine(session, request.key, self.record, self._folder(), prefix)
        self.captured = _is_captured(repository, request)

    def _folder(self) -> tuple[str, str | None] | None:
        """Return datacenter and folder of the connector, None when the connector is not known."""
        name = self.request.connector or (self.record.connector if self.record else None)
        connector = document_collections.connectors(self.repository).get(name) if name else None
        return (connector.datacenter, connector.folder) if connector else None

    @property
    def state(self) -> PackagingState:
        """The state of the VM."""
        if self.facts is None:
            return PackagingState.ABSENT
        mark = self.facts.extra_config.get(KEY_STATE)
        if self.uploading and not self.facts.snapshots:
            uploaded = self.record is not None and is_uploaded(self.facts, [self.record.upload])
            return PackagingState.NEVER_STARTED if uploaded else PackagingState.INCOMPLETE
        if mark != STARTED:
            return PackagingState.NEVER_STARTED
        return PackagingState.STOPPED if self.facts.power_state == POWERED_OFF else PackagingState.RUNNING

    @property
    def uploading(self) -> bool:
        """Whether the VM has the state of an upload: its disk may be incomplete, and its lease may hold it."""
        return self.facts is not None and self.facts.extra_config.get(KEY_STATE) == UPLOADING

    @property
    def recorded_layers(self) -> list[str]:
        """The layer versions that the VM was built from, as far as they are recorded."""
        record = self.record
        if record is None:
            return []
        start_from = [record.start_from] if record.start_from else []
        return [layer.label for layer in (record.os_layer, *record.prerequisites, *start_from)]

    def vm(self) -> Any:
        """Return the managed object of the VM."""
        return Inventory(self.session).vm(moid=self.facts.moid if self.facts else None)

    def store(self, record: PackagingRecord) -> None:
        """Write the record."""
        self.record = record
        self._records.store(self.request.key, record)

    def update_record(self, **changes: Any) -> None:
        """Change fields of the record, if there is a record."""
        if self.record is not None:
            self.store(replace(self.record, **changes))

    def remove_record(self) -> None:
        """Delete the record."""
        self.record = None
        self._records.remove(self.request.key)

    def audit(self, action: str, **details: Any) -> None:
        """Write an entry of the audit log."""
        self.repository.audit.append(action, PACKAGING, self.request.key, comment=self.request.comment, details=details)

    def result(self, status: str, description: str) -> dict[str, Any]:
        """Return the module's result; it describes the VM as ``facts`` knows it."""
        result: dict[str, Any] = {
            "status": status,
            "description": description,
            "machine": self._machine_result(),
            "packaged_disk": None,
        }
        if self.record is not None:
            os_layer = self.record.os_layer
            result["os_layer"] = {"name": os_layer.name, "version": os_layer.version}
            if self.request.kind == OS:
                result["max_layer_size_gb"] = self._os_layer_size()
        return result

    def _os_layer_size(self) -> int | None:
        """Return the size in GiB of the OS layer version that the VM was built from, None if the version was removed."""
        if self.record is None:
            return None
        base = self.record.os_layer
        layer = find_layer(self.repository, OS, base.name)
        return layer.os_version(base.version).size_gb if layer is not None and base.version in layer.versions else None

    def _machine_result(self) -> dict[str, Any] | None:
        facts = self.facts
        if facts is None:
            return None
        address = reachable_address(read(self.session, self.vm(), *ADDRESS_PROPERTIES))
        return {
            "name": facts.name,
            "moid": facts.moid,
            "instance_uuid": facts.instance_uuid,
            "path": facts.path,
            "folder": facts.folder_path,
            "datacenter": facts.datacenter,
            "power_state": facts.power_state,
            "ip_address": address,
        }

    def captured_result(self) -> dict[str, Any]:
        """Return the result for a layer version or noise profile that exists already."""
        verb = "exists" if self.request.on_os_layer_alone else "was captured"
        return self.result(COMPLETE, f"The {self.request.layer_label} {verb}.")

    def action_text(self, facts: VmFacts) -> str:
        """Return what an administrator has to do in a VM that runs."""
        location = (
            f"The packaging machine {facts.name} of the {self.request.layer_label} runs in the folder {facts.folder_path} of the "
            f"datacenter {facts.datacenter}."
        )
        if self.request.kind == NOISE:
            return (
                f"{location} Do not log on to it and do not change it. Run the module with state finalized, which shuts Windows down "
                f"when it has run for {self.request.minimum_run:g} s (minimum_run)."
            )
        work = "Update or configure Windows" if self.request.kind == OS else "Install the software of the layer"
        return (
            f"{location} {work} in it, restart Windows until no restart is pending, and shut Windows down. "
            "Then run the role again, or the module with state finalized."
        )


def _is_captured(repository: Repository, request: PackagingRequest) -> bool:
    """Return whether the repository has the layer version, or the OS layer version has the noise profile."""
    if request.kind == NOISE:
        return has_noise_profile(repository, request.name, request.version)
    layer = find_layer(repository, request.kind, request.name)
    return layer is not None and request.version in layer.versions
