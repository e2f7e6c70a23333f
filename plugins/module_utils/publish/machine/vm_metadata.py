# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metadata of published VMs: names, extraConfig keys, and how documents and messages refer to a VM."""

from __future__ import annotations

import json
from collections.abc import Collection

from ...catalog.resolved_template import ResolvedTemplate
from ...catalog.vsphere_records import MachineRecord, VCenterRecord
from ...vsphere.session import Session
from ...vsphere.vm import VmFacts
from ..guest import guest_report

#: extraConfig of a published VM: the layers it was built from, and how far it is.
KEY_TEMPLATE = "strata.layering.template"
KEY_IMAGE = "strata.layering.image_digest"
KEY_CONTENT = "strata.layering.content_digest"
KEY_LAYERS = "strata.layering.layers"
KEY_STATE = "strata.layering.state"
#: Number of the VM's last power-on event before it was to be started; only later events count.
KEY_POWERED_ON = "strata.layering.powered_on"
#: Values of KEY_STATE: the disk may be incomplete; the VM is to be powered on; it has been powered on; a script in it has failed;
#: its snapshot exists or is about to be taken.
STATE_UPLOADING, STATE_READY, STATE_STARTED, STATE_FAILED, STATE_COMPLETE = (
    "uploading",
    "ready",
    "started",
    "failed",
    "complete",
)
POWERED_OFF = "poweredOff"


def short_digest(digest: str) -> str:
    """Return the first eight hexadecimal digits, for names."""
    return digest.partition(":")[2][:8]


def machine_name(template: ResolvedTemplate) -> str:
    """Return the name of an image's VM; it differs between the images of a template."""
    return f"{template.vm_name}-{short_digest(template.image_digest)}"


def snapshot_name(template: ResolvedTemplate) -> str:
    """Return the name of an image's snapshot."""
    return snapshot_of(template.image_digest)


def snapshot_of(image_digest: str) -> str:
    """Return the name of the snapshot of the image with this digest."""
    return f"strata-{short_digest(image_digest)}"


def template_layers(template: ResolvedTemplate) -> dict[str, str]:
    """Return the versions of an image's layers by kind and name."""
    return {f"{layer.kind}/{layer.name}": layer.version for layer in (template.os_layer, *template.layers)}


def vm_notes(template: ResolvedTemplate) -> str:
    """Return the notes of an image's VM, which list its layers for readers in the vSphere Client."""
    lines = [f"Layered image of the template {template.name}", template.image_digest]
    return "\n".join(lines + [layer.label for layer in (template.os_layer, *template.layers)])


def initial_extra_config(template: ResolvedTemplate) -> dict[str, str]:
    """Return the extraConfig with which an image's VM is created."""
    return {
        KEY_TEMPLATE: template.name,
        KEY_IMAGE: template.image_digest,
        KEY_CONTENT: template.content_digest,
        KEY_LAYERS: json.dumps(template_layers(template), sort_keys=True),
        KEY_STATE: STATE_UPLOADING,
        guest_report.KEY_MODE: template.publish_mode,
    }


def belongs_to(facts: VmFacts, names: Collection[str], image_digest: str) -> bool:
    """Return whether a VM was created for this image of the template that has, or had, these names."""
    config = facts.extra_config
    return config.get(KEY_TEMPLATE) in names and config.get(KEY_IMAGE) == image_digest


def is_image(facts: VmFacts, image_digest: str, snapshot: str) -> bool:
    """Return whether a VM is the finished image of this digest: powered off, with its snapshot."""
    config = facts.extra_config
    finished = config.get(KEY_IMAGE) == image_digest and config.get(KEY_STATE) == STATE_COMPLETE
    return (
        finished
        and facts.power_state == POWERED_OFF
        and not facts.template
        and any(existing.name == snapshot for existing in facts.snapshots)
    )


def snapshot_moid(facts: VmFacts, snapshot: str) -> str | None:
    """Return the managed object ID of the snapshot with this name, None when there is none; of several, that of the oldest."""
    found = [existing for existing in facts.snapshots if existing.name == snapshot]
    return min(found, key=lambda existing: existing.id).moid if found else None


def machine_record(facts: VmFacts) -> MachineRecord:
    """Return how documents identify a VM."""
    return MachineRecord(facts.name, facts.moid, facts.instance_uuid, facts.path, facts.datacenter)


def planned_machine(template: ResolvedTemplate) -> MachineRecord:
    """Return how documents identify a VM that does not exist yet."""
    return MachineRecord(machine_name(template))


def vcenter_record(session: Session) -> VCenterRecord:
    """Return how documents identify the vCenter of a session."""
    return VCenterRecord(session.vcenter["hostname"], session.vcenter["instance_uuid"])


def describe_image(facts: VmFacts, snapshot: str) -> str:
    """Return the sentence that says where an image is."""
    return f"The image is the snapshot {snapshot} of the VM {facts.name} at {facts.path}, {facts.datastore_path}."


def vm_location(facts: VmFacts) -> str:
    """Return how messages name a VM and its folder."""
    return f"the VM {facts.name} in the folder {facts.folder_path} of the datacenter {facts.datacenter}"
