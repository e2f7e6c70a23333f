# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation of the module horizon_image_info: base VMs with their snapshots, and the pools and farms that use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...catalog.image_record import ImageRecord
from ...catalog.spelling import lookup_warnings
from ...common.errors import NotFound
from ...common.outcome import Outcome
from ...horizon.inventory.base_images import BaseImages, BaseVm, Snapshot, VirtualCenter
from ...horizon.inventory.usage import UNNAMED, ImageUse, UsedImage, images_in_use
from ...horizon.model import ImageRef
from ...horizon.pushing.push_texts import time_text
from ...horizon.rest.client import HorizonClient
from ..options import RepositoryOptions
from .horizon_image_choice import RecordedImages
from .horizon_options import HorizonOptions
from .horizon_results import vcenter_result
from .horizon_target_info import require_repository


@dataclass(frozen=True, kw_only=True)
class HorizonImageInfoOptions:
    """Options of horizon_image_info.

    ``vms`` are names, paths or managed object IDs; ``template`` selects the recorded images of an image template. Without both, the
    VMs that Horizon uses are selected. ``vcenter`` is a server name or instance UUID, None for all vCenters.
    """

    connection: HorizonOptions
    repository: RepositoryOptions | None
    vms: tuple[str, ...] = ()
    vcenter: str | None = None
    template: str | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> HorizonImageInfoOptions:
        """Read the parameters of the module.

        Raises:
            InvalidInput: ``operations.horizon_template`` if ``template`` is set without ``repository``.
        """
        require_repository(params)
        return cls(
            connection=HorizonOptions.from_params(params),
            repository=RepositoryOptions.optional(params),
            vms=tuple(params["vms"] or ()),
            vcenter=params["vcenter"],
            template=params["template"],
        )


def horizon_image_info(options: HorizonImageInfoOptions) -> Outcome:
    """Return base VMs of Horizon, their snapshots, and the pools and farms that use them.

    Raises:
        NotFound: a VM or vCenter does not exist, as ``BaseImages``; ``repository.missing``.
        StrataError: as ``HorizonClient.connect`` and ``images_in_use``.
    """
    recorded = RecordedImages(options.repository.open() if options.repository else None)
    with options.connection.connect() as client:
        images = _Images(client, recorded, options).all()
    warnings = lookup_warnings("image template", options.template, recorded.templates())
    return Outcome(False, result={"images": images}, warnings=warnings)


@dataclass
class _Vm:
    """A VM to describe; ``vm`` is None if Horizon uses it but does not list it any more."""

    vcenter: VirtualCenter | None
    moid: str
    vm: BaseVm | None
    used: dict[ImageRef, list[ImageUse]] = field(default_factory=dict)


class _Images:
    """Finds the VMs that the options select, and describes them."""

    def __init__(self, client: HorizonClient, recorded: RecordedImages, options: HorizonImageInfoOptions) -> None:
        self._base = BaseImages(client)
        self._recorded = recorded
        self._options = options
        self._uses = {used: uses for used, uses in images_in_use(client).items() if used.image != UNNAMED}

    def all(self) -> list[dict[str, Any]]:
        """Return the selected VMs, by vCenter and name."""
        found: dict[tuple[str, str], _Vm] = {}
        for entry in self._selected():
            found.setdefault((entry.vcenter.id if entry.vcenter else "", entry.moid), entry)
        described = [self._describe(entry) for entry in found.values()]
        return sorted(described, key=_order)

    def _vcenters(self) -> tuple[VirtualCenter, ...]:
        if self._options.vcenter is not None:
            return (self._base.find_vcenter(self._options.vcenter),)
        return self._base.vcenters()

    def _selected(self) -> list[_Vm]:
        vcenters = self._vcenters()
        if self._options.vms:
            return [
                self._named(name, vcenter) for name in self._options.vms for vcenter in self._having(name, vcenters)
            ]
        if self._options.template is not None:
            moids = {
                (vcenter.id, record.vm.moid): vcenter
                for vcenter in vcenters
                for record in self._recorded.images_in(self._options.template, vcenter)
            }
            return [self._listed(moid, vcenter) for (_vcenter, moid), vcenter in moids.items() if moid is not None]
        by_uuid: dict[str | None, VirtualCenter | None] = {vcenter.instance_uuid: vcenter for vcenter in vcenters}
        if self._options.vcenter is None:
            by_uuid.setdefault(None, None)
        return [self._listed(used.image.vm, by_uuid[used.vcenter]) for used in self._uses if used.vcenter in by_uuid]

    def _having(self, name: str, vcenters: tuple[VirtualCenter, ...]) -> list[VirtualCenter]:
        """Return the vCenters that have the VM. Raises the error of the last vCenter if none has it."""
        found, missing = [], None
        for vcenter in vcenters:
            try:
                self._base.vm(vcenter.id, name)
            except NotFound as error:
                missing = error
            else:
                found.append(vcenter)
        if not found and missing is not None:
            raise missing
        return found

    def _named(self, name: str, vcenter: VirtualCenter) -> _Vm:
        vm = self._base.vm(vcenter.id, name)
        return self._with_uses(_Vm(vcenter, vm.id, vm))

    def _listed(self, moid: str, vcenter: VirtualCenter | None) -> _Vm:
        vms = self._base.vms(vcenter.id) if vcenter is not None else ()
        return self._with_uses(_Vm(vcenter, moid, next((vm for vm in vms if vm.id == moid), None)))

    def _with_uses(self, entry: _Vm) -> _Vm:
        uuid = entry.vcenter.instance_uuid if entry.vcenter else None
        for used, uses in self._uses.items():
            if used.image.vm == entry.moid and _may_be_in(used, uuid):
                entry.used.setdefault(used.image, []).extend(uses)
        return entry

    # -- the result

    def _describe(self, entry: _Vm) -> dict[str, Any]:
        vcenter, vm = entry.vcenter, entry.vm
        listed = self._base.snapshots(vcenter.id, vm.id) if vcenter is not None and vm is not None else ()
        snapshots = [self._snapshot(entry, ImageRef(entry.moid, snapshot.id), snapshot) for snapshot in listed]
        known = {snapshot.id for snapshot in listed}
        # Horizon uses a snapshot that was removed in vCenter.
        snapshots += [self._snapshot(entry, ref, None) for ref in sorted(entry.used) if ref.snapshot not in known]
        return {
            "vcenter": vcenter_result(vcenter),
            "vm": vm.name if vm else None,
            "vm_path": vm.path if vm else None,
            "moid": entry.moid,
            "incompatible_reasons": list(vm.reasons) if vm else [],
            "snapshots": snapshots,
            "in_use": any(entry.used.values()),
        }

    def _snapshot(self, entry: _Vm, ref: ImageRef, snapshot: Snapshot | None) -> dict[str, Any]:
        record: ImageRecord | None = None
        if entry.vcenter is not None:
            record = self._recorded.find(entry.vcenter, ref, snapshot.name if snapshot else None)
        created = snapshot.created if snapshot else None
        return {
            "snapshot": snapshot.name if snapshot else None,
            "snapshot_path": snapshot.path if snapshot else None,
            "snapshot_moid": ref.snapshot,
            "created": None if created is None else time_text(created),
            "incompatible_reasons": list(snapshot.reasons) if snapshot else [],
            "image_digest": record.image_digest if record else None,
            "template": record.template if record else None,
            "used_by": [
                {"kind": use.target_kind, "name": use.target_name, "role": use.role, "machines": use.machines}
                for use in sorted(set(entry.used.get(ref, ())))
            ],
        }


def _may_be_in(used: UsedImage, vcenter: str | None) -> bool:
    """Return whether an image may be in a vCenter; Horizon does not always say in which vCenter an image is."""
    return used.vcenter is None or used.vcenter == vcenter


def _order(image: Mapping[str, Any]) -> tuple[str, str, str]:
    vcenter = image["vcenter"]
    return (vcenter["hostname"] if vcenter else "", image["vm"] or "", image["moid"])
