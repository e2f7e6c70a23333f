# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The specification of a VM to import, made by vCenter for an OVF descriptor and completed with the hardware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...common.errors import Unavailable
from ...common.optional_imports import pyvmomi
from ...ovf.descriptor_writer import ImageDescription, write_descriptor
from ..faults import explained, fault_text
from ..hardware.disk_controllers import ovf_type, require_disk_controller
from ..hardware.hardware import Hardware, apply_hardware, option_values
from ..inventory.inventory import Placement
from ..inventory.storage_policies import request_policy
from ..session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRequest:
    """The VM to create. ``capacity`` is the size of its disk in bytes, ``length`` the size of the VMDK stream in bytes.

    ``extra_config`` is set before the upload starts: set a mark for a complete VM afterwards. ``stall_timeout``
    (None: the session's patience) limits the seconds without a byte sent, ``lease_timeout`` the seconds until vCenter is ready.
    """

    name: str
    placement: Placement
    hardware: Hardware
    capacity: int
    length: int
    annotation: str = ""
    extra_config: Mapping[str, str] = field(default_factory=dict)
    provisioning: str = "thin"
    stall_timeout: float | None = None
    lease_timeout: float = 600

    @property
    def subject(self) -> str:
        """The beginning of error messages."""
        return f"Creating the virtual machine {self.name}"

    @property
    def networks(self) -> list[tuple[str, Any]]:
        """Name and managed object of the network of each adapter; networks of one name get names that differ."""
        placement, hardware = self.placement, self.hardware
        if placement.network is not None:
            return [(placement.network_name or "", placement.network)] * hardware.nic_count
        networks = hardware.networks[: hardware.nic_count]
        owners: dict[str, set[Any]] = {}
        for name, network in networks:
            owners.setdefault(name, set()).add(network)
        return [
            (f"{name} ({network._GetMoId()})" if len(owners[name]) > 1 else name, network) for name, network in networks
        ]


@dataclass(frozen=True, slots=True)
class ImportSpecification:
    """vCenter's ``specification`` (vim.ImportSpec) with the hardware; ``item`` is its only file; ``warnings`` are vCenter's sentences."""

    specification: Any
    item: Any
    warnings: tuple[str, ...]


def import_specification(session: Session, request: DeployRequest) -> ImportSpecification:
    """Return the specification for ``request``; vCenter checks hardware, networks and datastore, and creates nothing.

    Raises:
        Unavailable: ``vsphere.import_spec`` if vCenter rejects the hardware.
        Conflict: ``vsphere.template_controller`` if the hardware has no disk controller.
        StrataError: as ``fault_error``.
    """
    placement, hardware = request.placement, request.hardware
    manager = pyvmomi.vim.OvfManager
    mapping = [manager.NetworkMapping(name=name, network=item) for name, item in dict(request.networks).items()]
    parameters = manager.CreateImportSpecParams(
        locale="US",
        deploymentOption="",
        entityName=request.name,
        hostSystem=placement.host,
        diskProvisioning=request.provisioning,
        networkMapping=mapping,
    )
    with explained(request.subject):
        result = session.content.ovfManager.CreateImportSpec(
            _descriptor(request), placement.pool, placement.datastore, parameters
        )
    problems = [fault_text(fault) for fault in result.error or []]
    if problems or result.importSpec is None:
        raise Unavailable(
            f"{request.subject} failed: vCenter rejected the hardware: {'; '.join(problems) or 'it gave no reason'}.",
            code="vsphere.import_spec",
            hint="Check the VM template: its hardware version, guest type and network.",
        )
    items = list(result.fileItem or [])
    if len(items) != 1 or items[0].create:
        raise Unavailable(
            f"{request.subject} failed: vCenter expects {len(items)} files, not one disk.",
            code="vsphere.import_spec",
            hint="Check the VM template.",
        )
    config = result.importSpec.configSpec
    apply_hardware(hardware, config)
    if placement.storage_policy is not None:
        request_policy(placement.storage_policy, config)
    config.annotation = request.annotation
    options = option_values(hardware.extra_config | dict(request.extra_config))
    config.extraConfig = [*(config.extraConfig or []), *options]
    warnings = tuple(fault_text(fault) for fault in result.warning or [])
    return ImportSpecification(result.importSpec, items[0], warnings)


def _descriptor(request: DeployRequest) -> str:
    """Return the OVF descriptor of the VM."""
    hardware = request.hardware
    descriptor = write_descriptor(
        ImageDescription(
            name=request.name,
            disk_file="disk1.vmdk",
            disk_size=request.length,
            capacity=request.capacity,
            guest_id=hardware.guest_id,
            firmware=hardware.firmware,
            secure_boot=hardware.secure_boot,
            hardware_version=hardware.version,
            cpus=hardware.cpus,
            cores_per_socket=hardware.cores_per_socket or 1,
            memory_mib=hardware.memory_mib,
            controller_type=ovf_type(require_disk_controller(hardware.disk_controller, hardware.name)),
            controller_bus=0 if hardware.controller is None else hardware.controller.busNumber,
            disk_unit=hardware.disk_unit,
            networks=tuple(name for name, _network in request.networks),
        )
    )
    return descriptor.decode("utf-8")
