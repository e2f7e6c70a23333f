# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published images: the catalogue's record of where each stands, and whether it still does."""

from __future__ import annotations

from ..catalog.documents import IMAGE
from ..catalog.resolved_template import ResolvedTemplate, label
from ..common.errors import NotFound
from ..repository.repository import Repository
from ..vsphere.inventory import Inventory
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, read_facts
from .publish_task import is_in

#: extraConfig of a published machine: what it was made of, and how far it is.
KEY_TEMPLATE = "strata.layering.template"
KEY_IMAGE = "strata.layering.image_digest"
KEY_CONTENT = "strata.layering.content_digest"
KEY_LAYERS = "strata.layering.layers"
KEY_STATE = "strata.layering.state"
#: Number of the event of the machine's last power on before it was to be started; what came after it counts.
KEY_POWERED_ON = "strata.layering.powered_on"
#: The disk may not be whole; it is to be powered on; it has been on; a script in it has failed; its snapshot is taken or about to be.
STATE_UPLOADING, STATE_READY, STATE_STARTED, STATE_FAILED, STATE_COMPLETE = (
    "uploading",
    "ready",
    "started",
    "failed",
    "complete",
)


def short_digest(digest: str) -> str:
    """The first eight hexadecimal digits, for names."""
    return digest.partition(":")[2][:8]


def machine_name(resolved: ResolvedTemplate) -> str:
    """Name of the machine of an image; another image of the same template has another."""
    return f"{resolved.vm_name}-{short_digest(resolved.image_digest)}"


def snapshot_name(resolved: ResolvedTemplate) -> str:
    """Name of the snapshot of an image."""
    return f"strata-{short_digest(resolved.image_digest)}"


def template_layers(resolved: ResolvedTemplate) -> dict[str, str]:
    """The versions of the layers of an image by kind and name."""
    return {f"{layer.kind}/{layer.name}": layer.version for layer in (resolved.os_layer, *resolved.layers)}


def contents(resolved: ResolvedTemplate) -> str:
    """What a machine was made of, for people who look at it in vSphere."""
    lines = [f"Layered image of the template {resolved.name}", resolved.image_digest]
    return "\n".join(lines + [label(layer) for layer in (resolved.os_layer, *resolved.layers)])


def images_of(repository: Repository, template: str, vcenter: dict) -> list[dict]:
    """The images that were published from a template in a vCenter (see Session.vcenter), newest first."""
    return [image for image in _all_images(repository, template) if is_in(image, vcenter)]


def record_images(repository: Repository, template: str, vcenter: dict, images: list[dict]) -> None:
    """Store the images of a template in a vCenter, newest first; what it has in others stays."""
    elsewhere = [image for image in _all_images(repository, template) if not is_in(image, vcenter)]
    repository.catalog.put(IMAGE, template, {"template": template, "images": [*images, *elsewhere]})


def record_image(repository: Repository, template: str, image: dict) -> None:
    """Store an image as the newest of a template in its vCenter, in place of one with the same digest."""
    others = [
        one for one in images_of(repository, template, image["vcenter"]) if one["image_digest"] != image["image_digest"]
    ]
    record_images(repository, template, image["vcenter"], [image, *others])


def _all_images(repository: Repository, template: str) -> list[dict]:
    document = repository.catalog.get(IMAGE, template)
    return document["images"] if document else []


def machine_record(facts: VmFacts) -> dict:
    """How documents name a machine."""
    return {
        "name": facts.name,
        "moid": facts.moid,
        "instance_uuid": facts.instance_uuid,
        "path": facts.path,
        "datacenter": facts.datacenter,
    }


def is_image(facts: VmFacts, image_digest: str, snapshot: str) -> bool:
    """Whether a machine is the finished image: of this digest, switched off, with its snapshot."""
    config = facts.extra_config
    finished = config.get(KEY_IMAGE) == image_digest and config.get(KEY_STATE) == STATE_COMPLETE
    return (
        finished
        and facts.power_state == "poweredOff"
        and not facts.template
        and any(one.name == snapshot for one in facts.snapshots)
    )


def find_recorded(session: Session, image: dict) -> VmFacts | None:
    """The machine of a recorded image as it is now, None when it is gone or is another one."""
    try:
        facts = read_facts(session, Inventory(session).vm(instance_uuid=image["vm"]["instance_uuid"]))
    except NotFound:
        return None
    return facts if facts.extra_config.get(KEY_IMAGE) == image["image_digest"] else None


def find_standing(session: Session, image: dict) -> VmFacts | None:
    """The machine of a recorded image if it stands in vSphere as it was published, else None."""
    facts = find_recorded(session, image)
    return facts if facts is not None and is_image(facts, image["image_digest"], image["snapshot"]) else None


def describe_place(facts: VmFacts, snapshot: str) -> str:
    """The sentence that tells where an image is."""
    return f"The image is the snapshot {snapshot} of the machine {facts.name} at {facts.path}, {facts.datastore_path}."


def where(facts: VmFacts) -> str:
    """How a sentence names a machine and its place."""
    return f"the machine {facts.name} in the folder {facts.folder_path} of the datacenter {facts.datacenter}"
