# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of published VMs, as vSphere would return them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ...plugins.module_utils.publish.machine import vm_metadata
from ...plugins.module_utils.vsphere.vm import VmFacts

TEMPLATE = "office"


def published_vm(name: str = "office-1", digest: str = "sha256:1", **changes: Any) -> VmFacts:
    """Return the facts of a finished image of the template office, with some facts changed."""
    values: dict[str, Any] = {
        "name": name,
        "moid": f"vm-{name}",
        "instance_uuid": f"uuid-{name}",
        "folder_path": "/DC/vm",
        "path": f"/DC/vm/{name}",
        "datacenter": "DC",
        "datastore_path": f"[ds] {name}/{name}.vmx",
        "power_state": "poweredOff",
        "template": False,
        "hardware_version": "vmx-19",
        "firmware": "efi",
        "guest_id": "windows11_64Guest",
        "annotation": "",
        "extra_config": {
            vm_metadata.KEY_TEMPLATE: TEMPLATE,
            vm_metadata.KEY_IMAGE: digest,
            vm_metadata.KEY_STATE: vm_metadata.STATE_COMPLETE,
        },
        "nic_types": ("vmxnet3",),
        "has_tpm": False,
        "disks": (),
        "snapshots": (SimpleNamespace(name="strata-1", path="strata-1", moid="snapshot-1", id=1),),
        "guest": {},
        "change_version": "",
        "connection_state": "connected",
        "accessible": True,
    }
    return VmFacts(**values | changes)
