# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exported OVF packages as a playbook wants them."""

from __future__ import annotations

import os
import re

from ..common.errors import InvalidInput, NotFound
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..repository.repository import Repository
from ..shares.local import missing_share
from ..shares.open import open_share
from ..shares.share import Share
from ..vsphere import vm_export
from ..vsphere.inventory import Inventory
from ..vsphere.session import Session
from ..vsphere.vm import list_snapshots
from .options import share_credentials

_MOID = re.compile(r"vm-\d+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def ensure_ovf_package(params: dict, *, connection: dict, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Export the machine unless its package is there as it is now."""
    package = params["package"] or params["name"]
    if package in (".", "..") or os.sep in package or "\\" in package or "\0" in package:
        raise InvalidInput(
            f"{package!r} cannot be the name of a package's folder.",
            code="operations.ovf_package",
            hint="Set package to a plain folder name.",
        )
    with open_share(params["file_share"], share_credentials(params)) as share:
        if not share.is_folder():
            raise missing_share(share.name)
        return _ensure(params, share.folder(package), package, connection, check_mode, progress)


def _ensure(
    params: dict, folder: Share, package: str, connection: dict, check_mode: bool, progress: Progress
) -> Outcome:
    repository = Repository.open(params["repository"], writable=not check_mode) if params["repository"] else None
    where = folder.where()
    with Session.connect(**connection) as session:
        vm = _find(session, params)
        snapshot = _snapshot(session, vm, params) if params["snapshot"] else None
        present = vm_export.exported(session, vm, folder, name=package, snapshot=snapshot)
        done = present
        if present is None and not check_mode:
            done = vm_export.export_vm(session, vm, folder, name=package, snapshot=snapshot, progress=progress)
            if repository:
                repository.audit.append(
                    "export",
                    "ovf_package",
                    package,
                    comment=params["comment"],
                    details={"vm": params["name"], "folder": where},
                )
    result: dict = {"packaging_disk": f"{package}/{vm_export.descriptor_name(package)}"}
    if done is not None:
        result["files"] = [
            {"name": name, "size": status.size, "sha256": digest}
            for name, digest in sorted(done.digests.items())
            if (status := folder.stat(name)) is not None
        ]
    after = {"package": where, "vm": params["name"], "snapshot": params["snapshot"]}
    return Outcome(present is None, None if present is None else after, after, result)


def _find(session: Session, params: dict):
    inventory, name = Inventory(session), params["name"]
    if _MOID.fullmatch(name):
        return inventory.vm(moid=name)
    if _UUID.fullmatch(name):
        return inventory.vm(instance_uuid=name)
    if params["folder"] and not params["datacenter"]:
        raise InvalidInput(
            f"The folder {params['folder']} is given without its datacenter.",
            code="operations.ovf_folder",
            hint="Give datacenter too.",
        )
    datacenter = inventory.datacenter(params["datacenter"]) if params["datacenter"] else None
    folder = inventory.folder(datacenter, params["folder"]) if params["folder"] else None
    return inventory.vm(name=name, datacenter=datacenter, folder=folder, template=False)


def _snapshot(session: Session, vm, params: dict):
    found = [one for one in list_snapshots(session, vm) if params["snapshot"] in (one.name, one.path)]
    if not found:
        raise NotFound(
            f"{params['name']} has no snapshot {params['snapshot']}.",
            code="operations.vsphere_no_snapshot",
            hint="Check the snapshot's name.",
        )
    if len(found) > 1:
        raise InvalidInput(
            f"{params['name']} has several snapshots named {params['snapshot']}.",
            code="operations.vsphere_several_snapshots",
            hint="Give the whole path: " + ", ".join(one.path for one in found),
        )
    return found[0]
