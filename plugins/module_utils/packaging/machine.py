# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packaging machines in vSphere: their names and metadata, creating, finding and starting them.

A packaging machine gets the thin image of an OS layer version with the prerequisites. When it
starts from an earlier version of the layer, that version is added on top: the disk still descends
from the image without it, which capturing compares the disk with.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..catalog.packaging_record import PackagingRecord
from ..catalog.resolved_template import canonical_digest, content_digest
from ..catalog.vsphere_records import MachineRecord, UploadRecord
from ..common.errors import Conflict, NotFound
from ..common.optional_imports import pyvmomi
from ..common.progress import Progress
from ..images.stored.thin_image import ThinImage
from ..layers.layer_version import LayerReference
from ..publish.machine.image_records import read_machine
from ..publish.machine.placement import Target
from ..publish.machine.uploads import upload_record
from ..publish.machine.vm_metadata import KEY_STATE, machine_record, short_digest
from ..repository.repository import Repository
from ..vsphere import vm as machines
from ..vsphere.faults import explained
from ..vsphere.inventory.inventory import Inventory
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, read_facts

if TYPE_CHECKING:
    from ..vsphere.transfer.deploy import Deployed

#: extraConfig of a packaging machine: the layer version that is packaged in it, and the digest of the layers it was built from.
KEY_LAYER = "strata.layering.packaging"
KEY_CONTENT = "strata.layering.packaging_content"
#: Read through VMware Tools, so that work that Windows does at its first start as an image can be skipped on a packaging machine.
KEY_PURPOSE, PURPOSE = "guestinfo.strata.layering.purpose", "packaging"
#: Values of KEY_STATE: the disk may be incomplete; the VM was never powered on; the VM was powered on.
UPLOADING, READY, STARTED = "uploading", "ready", "started"

#: Names of VMs in vSphere have at most 80 characters.
_LONGEST_BEGINNING = 58
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")
_POWER_ON_EVENTS = ["VmPoweredOnEvent", "DrsVmPoweredOnEvent"]
_POWER_OFF_EVENTS = ["VmPoweredOffEvent"]


@dataclass(frozen=True)
class Packaging:
    """A layer version that is to be packaged, its name in messages, and the layers that its VM is built from."""

    label: str
    name: str
    version: str
    os_layer: LayerReference
    prerequisites: tuple[LayerReference, ...]
    start_from: LayerReference | None

    @property
    def base_digest(self) -> str:
        """Content digest of the image that capturing compares the disk with."""
        return content_digest(self.os_layer, self.prerequisites, None, {})

    @property
    def content_digest(self) -> str:
        """Digest over all layers that the VM is built from."""
        start_from = self.start_from.digest if self.start_from else None
        return canonical_digest({"given": self.base_digest, "start_from": start_from})

    @property
    def machine_name(self) -> str:
        """Name of the VM; it differs when the VM is built from other layers."""
        return f"{machine_prefix(self.name, self.version)}{short_digest(self.content_digest)}"

    @property
    def layer_labels(self) -> list[str]:
        """The layer versions on the VM, as messages name them."""
        return [layer.label for layer in (self.os_layer, *self.layers)]

    @property
    def layers(self) -> tuple[LayerReference, ...]:
        """The layers on top of the OS layer, lowest first."""
        return self.prerequisites + ((self.start_from,) if self.start_from else ())


def machine_prefix(name: str, version: str) -> str:
    """Return the beginning of the names of all packaging machines of a layer version."""
    plain = _UNUSUAL.sub("-", f"{name}-{version}").strip("-.")[:_LONGEST_BEGINNING]
    return f"{plain or 'layer'}-packaging-"


def compose_base(repository: Repository, packaging: Packaging, progress: Progress) -> ThinImage:
    """Return the image that capturing compares the disk with."""
    from ..images.composing.layered_image import compose_stack

    return compose_stack(repository, packaging.os_layer, packaging.prerequisites, progress=progress)


def compose_machine(repository: Repository, packaging: Packaging, base: ThinImage, progress: Progress) -> ThinImage:
    """Return the image for the VM: ``base``, with the version that the layer starts from."""
    from ..images.composing.layered_image import grow_image

    return grow_image(repository, base, packaging.start_from, progress=progress) if packaging.start_from else base


def find_machine(
    session: Session, key: str, record: PackagingRecord | None, folder: tuple[str, str | None] | None, prefix: str
) -> VmFacts | None:
    """Return the packaging machine of a layer version: the recorded VM, else a VM with its metadata in ``folder`` (datacenter, path).

    Raises Conflict: ``packaging.no_mark`` when the recorded VM no longer has the metadata of a packaging machine,
    ``packaging.template`` when the VM was converted to a template.
    """
    facts = _recorded_machine(session, key, record) or _machine_in_folder(session, key, folder, prefix)
    if facts is not None and facts.template:
        raise Conflict(
            f"The packaging machine {facts.path} was converted to a template.",
            code="packaging.template",
            hint="Convert it to a virtual machine, or delete it in the vSphere Client if you do not need it.",
            path=facts.path,
        )
    return facts


def _machine_in_folder(
    session: Session, key: str, folder: tuple[str, str | None] | None, prefix: str
) -> VmFacts | None:
    if folder is None:
        return None
    inventory = Inventory(session)
    try:
        vm_folder = inventory.folder(inventory.datacenter(folder[0]), folder[1] or None)
    except NotFound:
        return None
    for name, machine in sorted(inventory.vms_in(vm_folder).items()):
        if name.startswith(prefix):
            facts = read_facts(session, machine)
            # A clone has the same metadata, but a different name.
            own_name = prefix + short_digest(facts.extra_config.get(KEY_CONTENT, ""))
            if facts.extra_config.get(KEY_LAYER) == key and name == own_name:
                return facts
    return None


def _recorded_machine(session: Session, key: str, record: PackagingRecord | None) -> VmFacts | None:
    if record is None or record.vm is None:
        return None
    facts = read_machine(session, record.vm)
    if facts is None:
        return None
    if not facts.accessible:
        raise Conflict(
            f"vSphere cannot read the configuration of the packaging machine {facts.path} "
            f"(connection state: {facts.connection_state or 'unknown'}).",
            code="packaging.inaccessible",
            hint="Make its ESXi host and its datastore available, and run this playbook again.",
            path=facts.path,
        )
    if facts.extra_config.get(KEY_LAYER) != key:
        raise Conflict(
            f"The recorded packaging machine {facts.path} no longer has the metadata of a packaging machine.",
            code="packaging.no_mark",
            hint=f"Delete that VM, or set {KEY_LAYER} to {key} in its advanced configuration.",
            key=KEY_LAYER,
            expected=key,
            found=facts.extra_config.get(KEY_LAYER),
        )
    return facts


def create_machine(
    session: Session,
    target: Target,
    packaging: Packaging,
    key: str,
    image: ThinImage,
    *,
    progress: Progress,
    on_uploaded: Callable[[UploadRecord], None],
) -> Deployed:
    """Create the VM, which stays powered off; ``on_uploaded`` stores a record of its upload.

    Raises Conflict (vsphere.duplicate_name) when its name is in use.
    """
    from ..vsphere.transfer.deploy import create_by_import
    from ..vsphere.transfer.import_specification import DeployRequest

    length, chunks = image.stream()
    title = f"Packaging machine of the {packaging.label}"
    request = DeployRequest(
        name=packaging.machine_name,
        placement=target.placement,
        hardware=target.hardware,
        capacity=image.capacity,
        length=length,
        annotation="\n".join([title, *packaging.layer_labels]),
        extra_config={
            KEY_LAYER: key,
            KEY_CONTENT: packaging.content_digest,
            KEY_STATE: UPLOADING,
            KEY_PURPOSE: PURPOSE,
        },
    )
    created: list[MachineRecord] = []
    deployed = create_by_import(
        session,
        request,
        chunks,
        progress=progress,
        on_created=lambda machine: created.append(machine_record(read_facts(session, machine))),
        on_uploaded=lambda uploaded: on_uploaded(upload_record(uploaded, created[0])),
    )
    machines.reconfigure(session, deployed.vm, extra_config={KEY_STATE: READY})
    return deployed


def start_machine(session: Session, machine: Any, *, any_host: bool) -> None:
    """Power the VM on, with ``any_host`` on a host that DRS selects, and record that it was powered on."""
    machines.power_on(session, machine, any_host=any_host)
    machines.reconfigure(session, machine, extra_config={KEY_STATE: STARTED})


def total_run_time(session: Session, machine: Any) -> float | None:
    """Return for how many seconds a VM that is powered off has run in total; None when vCenter has dropped some of its events."""
    event = pyvmomi.vim.event
    entity = event.EventFilterSpec.ByEntity(entity=machine, recursion="self")
    spec = event.EventFilterSpec(entity=entity, eventTypeId=[*_POWER_ON_EVENTS, *_POWER_OFF_EVENTS])
    with explained("Reading the events of the packaging machine"):
        events = session.content.eventManager.QueryEvents(spec)
    total, since = 0.0, None
    for entry in sorted(events or [], key=lambda entry: entry.key):
        if entry._wsdlName in _POWER_ON_EVENTS:
            since = entry.createdTime
        elif since is None:
            return None
        else:
            total, since = total + (entry.createdTime - since).total_seconds(), None
    return total if events and since is None else None
