# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of uploads: a VM whose disk is known to be complete is never uploaded again.

A VM is created with the state ``uploading``, and gets its next state when vCenter has completed the lease of the upload. A run may end
in between. Then the record shows that the disk is complete. The upload is recorded twice: when the host has received all bytes, and when
the lease is completed. If only the first record exists, and the host confirmed the bytes by a digest, the VM is either complete, or its
lease is still open and vCenter removes the VM when the lease expires.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...catalog.vsphere_records import MachineRecord, UploadRecord
from ...common.errors import NotFound
from ...vsphere import vm as machines
from ...vsphere.busy import Waiting
from ...vsphere.session import Session
from ...vsphere.transfer.deploy import Uploaded
from ...vsphere.vm import VmFacts


def upload_record(uploaded: Uploaded, vm: MachineRecord) -> UploadRecord:
    """Return the record of an upload to the disk of ``vm``."""
    transfer = uploaded.transfer
    return UploadRecord(
        moid=vm.moid or "",
        instance_uuid=vm.instance_uuid or "",
        size=transfer.size,
        sha1=transfer.sha1,
        confirmed_by=uploaded.confirmed_by,
        completed=uploaded.completed,
    )


def is_uploaded(facts: VmFacts, uploads: Iterable[UploadRecord | None]) -> bool:
    """Return whether a record shows that the disk of a VM in the state ``uploading`` is complete."""
    return any(
        (upload.moid, upload.instance_uuid) == (facts.moid, facts.instance_uuid)
        and (upload.completed or upload.confirmed_by is not None)
        for upload in uploads
        if upload is not None
    )


def finish_upload(
    session: Session, machine: Any, extra_config: dict[str, str], tick: Callable[[], None] = lambda: None
) -> bool:
    """Set the state of a VM whose disk is complete; return False if vCenter has removed the VM with its lease.

    A lease that was not completed holds the VM until it expires; until then ``tick`` is called every few seconds.

    Raises:
        StrataError: as ``machines.reconfigure`` and ``tick``.
    """
    waiting = Waiting(session.patience.lease, tick)
    try:
        machines.reconfigure(session, machine, extra_config=extra_config, waiting=waiting)
    except NotFound:
        return False
    return True
