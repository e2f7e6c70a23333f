# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packaging machines: what one is made from, how it is named and marked, making it, and finding it again.

A packaging machine gets the thin image of an OS layer version with the prerequisites. When it
starts from an earlier version of the layer, that is put on top, so that its disk still
descends from the image without it, which is what capturing compares with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..catalog.resolved_template import canonical_digest, content_digest
from ..common.errors import Conflict, NotFound
from ..common.optional_imports import pyvmomi
from ..common.progress import Progress
from ..images.layered_image import compose_stack, grow_image
from ..images.thin_image import ThinImage
from ..layers.layer_version import LayerReference
from ..publish.placement import Target
from ..publish.vm_metadata import KEY_STATE, short_digest
from ..repository.repository import Repository
from ..vsphere import vm as machines
from ..vsphere.deploy import Deployed, DeployRequest, create_by_import
from ..vsphere.faults import explained
from ..vsphere.inventory import Inventory
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, read_facts

#: extraConfig of a packaging machine: the layer version that is packaged in it, and the digest of what it was made from.
KEY_LAYER = "strata.layering.packaging"
KEY_CONTENT = "strata.layering.packaging_content"
#: Read by VMware Tools, so that what Windows does at its first start as an image can be left alone on a packaging machine.
KEY_PURPOSE, PURPOSE = "guestinfo.strata.layering.purpose", "packaging"
#: Its states: the disk may not be whole; it has never been on; it has been on.
UPLOADING, READY, STARTED = "uploading", "ready", "started"

#: Names of machines in vSphere have at most 80 characters.
_LONGEST_BEGINNING = 58
_UNUSUAL = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Packaging:
    """A layer version that is to be packaged, and what its machine is made from."""

    kind: str
    name: str
    version: str
    os_layer: LayerReference
    prerequisites: tuple[LayerReference, ...]
    start_from: LayerReference | None

    @property
    def given_digest(self) -> str:
        """Content digest of the image that capturing compares with."""
        return content_digest(self.os_layer, self.prerequisites, None, {})

    @property
    def content_digest(self) -> str:
        """Digest over what the machine is made from."""
        return canonical_digest(
            {"given": self.given_digest, "start_from": self.start_from.digest if self.start_from else None}
        )

    @property
    def machine_name(self) -> str:
        """Name of the machine; made from something else it has another."""
        return f"{machine_prefix(self.name, self.version)}{short_digest(self.content_digest)}"

    @property
    def made_from(self) -> list[str]:
        """The layer versions on the machine, for people."""
        return [
            layer.label
            for layer in (self.os_layer, *self.prerequisites, *([self.start_from] if self.start_from else []))
        ]


def packaging_key(kind: str, name: str, version: str) -> str:
    """How machine and catalogue name the layer version that is packaged."""
    return f"{kind}/{name}/{version}"


def machine_prefix(name: str, version: str) -> str:
    """What the names of all packaging machines of a layer version begin with."""
    plain = _UNUSUAL.sub("-", f"{name}-{version}").strip("-.")[:_LONGEST_BEGINNING]
    return f"{plain or 'layer'}-packaging-"


def compose_given(repository: Repository, packaging: Packaging, progress: Progress) -> ThinImage:
    """The image that capturing compares with."""
    return compose_stack(repository, packaging.os_layer, packaging.prerequisites, progress=progress)


def compose_machine(repository: Repository, packaging: Packaging, given: ThinImage, progress: Progress) -> ThinImage:
    """The image that the machine gets."""
    return grow_image(repository, given, packaging.start_from, progress=progress) if packaging.start_from else given


def find_machine(
    session: Session, key: str, document: dict | None, place: tuple[str, str] | None, prefix: str
) -> VmFacts | None:
    """The packaging machine of a layer version: the one that was recorded, else one with its mark in ``place`` (datacenter, folder)."""
    inventory = Inventory(session)
    recorded = (document or {}).get("vm")
    if recorded:
        try:
            facts = read_facts(session, inventory.vm(instance_uuid=recorded["instance_uuid"]))
        except NotFound:
            facts = None
        if facts is not None:
            if facts.extra_config.get(KEY_LAYER) != key:
                raise Conflict(
                    f"The machine {facts.path} no longer has the mark of a packaging machine.",
                    code="packaging.no_mark",
                    hint=f"Remove it yourself, or set {KEY_LAYER} to {key} in its advanced configuration.",
                )
            return facts
    if place is None:
        return None
    try:
        folder = inventory.folder(inventory.datacenter(place[0]), place[1] or None)
    except NotFound:
        return None
    for name, machine in sorted(inventory.vms_in(folder).items()):
        if name.startswith(prefix):
            facts = read_facts(session, machine)
            # What somebody has cloned has the mark too, but another name.
            if facts.extra_config.get(KEY_LAYER) == key and name == prefix + short_digest(
                facts.extra_config.get(KEY_CONTENT, "")
            ):
                return facts
    return None


def create_machine(
    session: Session, target: Target, packaging: Packaging, image: ThinImage, progress: Progress
) -> Deployed:
    """Create the machine, which stays off; Conflict when its name is taken."""
    key = packaging_key(packaging.kind, packaging.name, packaging.version)
    length, chunks = image.stream()
    deployed = create_by_import(
        session,
        DeployRequest(
            name=packaging.machine_name,
            placement=target.placement,
            hardware=target.hardware,
            capacity=image.capacity,
            length=length,
            annotation="\n".join(
                [
                    f"Packaging machine of the {packaging.kind} layer {packaging.name} {packaging.version}",
                    *packaging.made_from,
                ]
            ),
            extra_config={
                KEY_LAYER: key,
                KEY_CONTENT: packaging.content_digest,
                KEY_STATE: UPLOADING,
                KEY_PURPOSE: PURPOSE,
            },
        ),
        chunks,
        progress=progress,
    )
    machines.reconfigure(session, deployed.vm, extra_config={KEY_STATE: READY})
    return deployed


def start_machine(session: Session, machine) -> None:
    """Power the machine on for the first time, and remember that it was."""
    machines.power_on(session, machine)
    machines.reconfigure(session, machine, extra_config={KEY_STATE: STARTED})


def ran_for(session: Session, machine) -> float | None:
    """Seconds for which a machine that is off was on in all; None when vCenter no longer remembers all of it."""
    event = pyvmomi.vim.event
    entity = event.EventFilterSpec.ByEntity(entity=machine, recursion="self")
    on, off = ["VmPoweredOnEvent", "DrsVmPoweredOnEvent"], ["VmPoweredOffEvent"]
    with explained("Reading the events of the packaging machine"):
        found = session.content.eventManager.QueryEvents(event.EventFilterSpec(entity=entity, eventTypeId=[*on, *off]))
    total, since = 0.0, None
    for one in sorted(found or [], key=lambda one: one.key):
        if one._wsdlName in on:
            since = one.createdTime
        elif since is None:
            return None
        else:
            total, since = total + (one.createdTime - since).total_seconds(), None
    return total if found and since is None else None
