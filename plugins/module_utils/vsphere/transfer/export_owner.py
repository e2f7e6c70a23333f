# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check before an export that it replaces only an export of the same VM."""

from __future__ import annotations

from typing import Any

from ...common.errors import Conflict, NotFound
from ...shares.share import Share
from ..inventory.inventory import Inventory
from ..inventory.names import plain_name
from ..properties import read
from ..session import Session
from .export_record import file_name, load_record, replaced_files

_SHOWN = 5


def check_owner(session: Session, vm: Any, folder: Share, package: str) -> None:
    """Raise Conflict if ``folder`` contains an export of a different VM, or files that are not an export.

    The VM is known by its instance UUID. A VM that was deleted and created again under the same name replaces the
    package of the deleted VM.

    Raises:
        Conflict: ``vsphere.ovf_other_vm`` with the recorded VM, ``vsphere.ovf_foreign`` with the names of the files.
    """
    record = load_record(folder, file_name(package))
    if record is None:
        files = replaced_files(folder, package)
        if files:
            raise Conflict(
                f"The folder {folder.where()} contains {', '.join(files[:_SHOWN])}, but no valid record of an export.",
                code="vsphere.ovf_foreign",
                hint="Set package to a different name, or delete the folder if the package is no longer needed.",
                files=files[:_SHOWN],
            )
        return
    values = read(session, vm, "name", "config.instanceUuid")
    name, instance_uuid = plain_name(values["name"]), values.get("config.instanceUuid", "")
    if record.instance_uuid == instance_uuid:
        return
    # Records of release 0.1 have no name, but by default a package has the name of its VM.
    recorded_name, recorded_uuid = record.vm_name or package, record.instance_uuid
    is_same_vcenter = record.vcenter in ("", session.vcenter["instance_uuid"])
    if recorded_name == name and is_same_vcenter and not _exists(session, recorded_uuid):
        return
    raise Conflict(
        f"The package {package} in {folder.where()} contains the VM {recorded_name} (instance UUID "
        f"{recorded_uuid}), not the VM {name} (instance UUID {instance_uuid}).",
        code="vsphere.ovf_other_vm",
        hint="Set package to a different name, or delete the folder if the package is no longer needed.",
        package=package,
        vm=recorded_name,
        instance_uuid=recorded_uuid,
    )


def _exists(session: Session, instance_uuid: str) -> bool:
    try:
        Inventory(session).vm(instance_uuid=instance_uuid)
    except NotFound:
        return False
    return True
