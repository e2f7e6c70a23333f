# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exported OVF packages as a playbook wants them."""

from __future__ import annotations

import os
import re

from ..common.errors import InvalidInput, NotFound
from ..common.module import Outcome
from ..common.progress import Progress, silent
from ..repository.repository import Repository
from ..vsphere import export
from ..vsphere.inventory import Inventory
from ..vsphere.session import Session
from ..vsphere.vm import list_snapshots

_MOID = re.compile(r"vm-\d+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def ensure_ovf_package(params: dict, *, connection: dict, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Export the machine unless its package is there as it is now."""
    share = params["file_share"]
    if not os.path.isdir(share):
        raise NotFound(f"The file share {share} is not there.", code="share.missing", hint="Mount it on the composer, or create the folder.")
    package = params["package"] or params["name"]
    if package in (".", "..") or os.sep in package or "\\" in package or "\0" in package:
        raise InvalidInput(f"{package!r} cannot be the name of a package's folder.", code="ovf.package", hint="Set package to a plain folder name.")
    folder = os.path.join(share, package)
    repository = Repository.open(params["repository"], writable=not check_mode) if params["repository"] else None
    with Session.connect(**connection) as session:
        vm = _find(session, params)
        snapshot = _snapshot(session, vm, params) if params["snapshot"] else None
        present = export.exported(session, vm, folder, name=package, snapshot=snapshot) if os.path.isdir(folder) else None
        done = present
        if present is None and not check_mode:
            os.makedirs(folder, exist_ok=True)
            done = export.export_vm(session, vm, folder, name=package, snapshot=snapshot, progress=progress)
            if repository:
                repository.audit.append("export", "ovf_package", package, comment=params["comment"], details={"vm": params["name"], "folder": folder})
    ovf = f"{package}.ovf"
    result: dict = {"packaging_disk": f"{package}/{ovf}"}
    if done is not None:
        result["files"] = [
            {"name": name, "size": os.stat(os.path.join(folder, name)).st_size, "sha256": digest} for name, digest in sorted(done.digests.items())
        ]
    after = {"package": folder, "vm": params["name"], "snapshot": params["snapshot"]}
    return Outcome(present is None, None if present is None else after, after, result)


def _find(session: Session, params: dict):
    inventory, name = Inventory(session), params["name"]
    if _MOID.fullmatch(name):
        return inventory.vm(moid=name)
    if _UUID.fullmatch(name):
        return inventory.vm(instance_uuid=name)
    if params["folder"] and not params["datacenter"]:
        raise InvalidInput(f"The folder {params['folder']} is given without its datacenter.", code="ovf.folder", hint="Give datacenter too.")
    datacenter = inventory.datacenter(params["datacenter"]) if params["datacenter"] else None
    folder = inventory.folder(datacenter, params["folder"]) if params["folder"] else None
    return inventory.vm(name=name, datacenter=datacenter, folder=folder, template=False)


def _snapshot(session: Session, vm, params: dict):
    found = [one for one in list_snapshots(session, vm) if params["snapshot"] in (one.name, one.path)]
    if not found:
        raise NotFound(f"{params['name']} has no snapshot {params['snapshot']}.", code="vsphere.no_snapshot", hint="Check the snapshot's name.")
    if len(found) > 1:
        raise InvalidInput(
            f"{params['name']} has several snapshots named {params['snapshot']}.",
            code="vsphere.several_snapshots",
            hint="Give the whole path: " + ", ".join(one.path for one in found),
        )
    return found[0]
