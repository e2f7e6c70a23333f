# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module ovf_export: export a VM from vSphere as an OVF package."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..common.errors import Conflict, InvalidInput, NotFound, Unsupported
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..shares.open import ShareCredentials, open_share
from ..shares.share import Share
from ..vsphere.inventory.inventory import Inventory
from ..vsphere.inventory.names import plain_name
from ..vsphere.properties import read
from ..vsphere.session import Session
from ..vsphere.transfer import vm_export
from ..vsphere.transfer.export_owner import check_owner
from ..vsphere.vm import Snapshot, list_snapshots
from .options import ConnectionOptions, RepositoryOptions, share_credentials

if TYPE_CHECKING:
    from pyVmomi import vim

_MOID = re.compile(r"vm-\d+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, kw_only=True)
class OvfExportOptions:
    """Options of the module ovf_export.

    ``name`` is a name, managed object ID or instance UUID. ``package`` is the folder of the package on the share.
    """

    repository: RepositoryOptions | None
    connection: ConnectionOptions
    credentials: ShareCredentials
    name: str
    datacenter: str | None
    folder: str | None
    snapshot: str | None
    file_share: str
    package: str

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> OvfExportOptions:
        """Read the parameters of the module."""
        return cls(
            repository=RepositoryOptions.optional(params),
            connection=ConnectionOptions.from_params(params),
            credentials=share_credentials(params),
            name=params["name"],
            datacenter=params["datacenter"],
            folder=params["folder"],
            snapshot=params["snapshot"],
            file_share=params["file_share"],
            package=params["package"] or params["name"],
        )


def ensure_ovf_package(options: OvfExportOptions, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Export the VM unless its package exists and matches the VM as it is now.

    Raises:
        Unsupported: ``operations.ovf_template`` if the ID is that of a VM template.
        InvalidInput: ``operations.ovf_package``, ``operations.ovf_folder``, ``operations.vsphere_several_snapshots``.
        NotFound: the share, the VM or its snapshot (``operations.vsphere_no_snapshot``) does not exist.
        Conflict: ``operations.ovf_kind``; ``vsphere.ovf_other_vm``, ``vsphere.ovf_foreign`` if the package is not of this VM.
        Conflict, Unavailable, TimedOut, NoSpace: as ``export_vm``.
    """
    check_package_name(options.package)
    with open_share(options.file_share, options.credentials) as share:
        if not share.is_folder():
            raise share.missing()
        if share.is_file(options.package):
            raise Conflict(
                f"{share.where(options.package)} is a file; the package needs a folder of this name.",
                code="operations.ovf_kind",
                hint="Set package to a different name, or remove the file.",
            )
        return _ensure(options, share.folder(options.package), check_mode, progress)


def check_package_name(package: str) -> None:
    """Raise InvalidInput (``operations.ovf_package``) for a name that a package's folder cannot have."""
    if package in (".", "..") or os.sep in package or "\\" in package or "\0" in package:
        raise InvalidInput(
            f"{package!r} cannot be the folder name of a package.",
            code="operations.ovf_package",
            hint="Set package to a plain folder name.",
        )


def _ensure(options: OvfExportOptions, folder: Share, check_mode: bool, progress: Progress) -> Outcome:
    repository = options.repository.open_audited(check_mode=check_mode) if options.repository else None
    where, package = folder.where(), options.package
    with options.connection.connect() as session:
        vm = _find(session, options)
        _refuse_template(session, vm)
        snapshot = _snapshot(session, vm, options.snapshot, options.name) if options.snapshot else None
        present = vm_export.exported(session, vm, folder, name=package, snapshot=snapshot)
        export = present
        if present is None:
            check_owner(session, vm, folder, package)
        if present is None and not check_mode:
            export = vm_export.export_vm(session, vm, folder, name=package, snapshot=snapshot, progress=progress)
            if options.repository and repository:
                details = {"vm": options.name, "folder": where}
                repository.audit.append(
                    "export", "ovf_package", package, comment=options.repository.comment, details=details
                )
    descriptor = f"{package}/{vm_export.descriptor_name(package)}"
    result: dict[str, Any] = {"ovf_package": descriptor, "packaging_disk": descriptor}
    if export is not None:
        result["files"] = [
            {"name": name, "size": status.size, "sha256": digest}
            for name, digest in sorted(export.digests.items())
            if (status := folder.stat(name)) is not None
        ]
    after = {"package": where, "vm": options.name, "snapshot": options.snapshot}
    return Outcome(present is None, None if present is None else after, after, result)


def _find(session: Session, options: OvfExportOptions) -> Any:
    """Return the VM (vim.VirtualMachine) that the options name."""
    inventory, name = Inventory(session), options.name
    if _MOID.fullmatch(name):
        return inventory.vm(moid=name)
    if _UUID.fullmatch(name):
        return inventory.vm(instance_uuid=name)
    if options.folder and not options.datacenter:
        raise InvalidInput(
            f"The folder {options.folder!r} is set without its datacenter.",
            code="operations.ovf_folder",
            hint="Set datacenter to the datacenter of the folder.",
        )
    datacenter = inventory.datacenter(options.datacenter) if options.datacenter else None
    folder = inventory.folder(datacenter, options.folder) if options.folder else None
    return inventory.vm(name=name, datacenter=datacenter, folder=folder, template=False)


def _refuse_template(session: Session, vm: vim.VirtualMachine) -> None:
    """Raise Unsupported if an ID is that of a template; names are searched among VMs that are not templates."""
    values = read(session, vm, "name", "config.template")
    if values.get("config.template"):
        name = plain_name(values["name"])
        raise Unsupported(
            f"{name} is a VM template, which vSphere does not export.",
            code="operations.ovf_template",
            hint="Convert the template to a virtual machine, or clone it to a virtual machine and export the clone.",
            vm=name,
        )


def _snapshot(session: Session, vm: vim.VirtualMachine, name: str, vm_name: str) -> Snapshot:
    snapshots = list_snapshots(session, vm)
    found = [snapshot for snapshot in snapshots if name in (snapshot.name, snapshot.path)]
    if not found:
        known = ", ".join(snapshot.path for snapshot in snapshots[:10])
        raise NotFound(
            f"The VM {vm_name} has no snapshot {name!r}.",
            code="operations.vsphere_no_snapshot",
            hint=f"Set snapshot to one of: {known}." if known else "Take a snapshot first, or leave snapshot out.",
        )
    if len(found) > 1:
        raise InvalidInput(
            f"The VM {vm_name} has {len(found)} snapshots named {name!r}.",
            code="operations.vsphere_several_snapshots",
            hint="Set snapshot to a whole path: " + ", ".join(snapshot.path for snapshot in found) + ".",
        )
    return found[0]
