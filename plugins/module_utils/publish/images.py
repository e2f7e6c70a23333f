# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Published images: the catalogue's record of where each stands, and whether it still does."""

from __future__ import annotations

from ..catalog.documents import IMAGE
from ..common.errors import NotFound
from ..images.template import ResolvedTemplate
from ..repository.repository import Repository
from ..vsphere.inventory import Inventory
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts, read_facts

#: extraConfig of a published machine: what it was made of. The state is "complete" from just before its snapshot on.
KEY_TEMPLATE = "strata.layering.template"
KEY_IMAGE = "strata.layering.image_digest"
KEY_CONTENT = "strata.layering.content_digest"
KEY_LAYERS = "strata.layering.layers"
KEY_STATE = "strata.layering.state"
STATE_COMPLETE = "complete"


def short_digest(digest: str) -> str:
    """The first eight hexadecimal digits, for names."""
    return digest.partition(":")[2][:8]


def machine_name(resolved: ResolvedTemplate) -> str:
    """Name of the machine of an image; another image of the same template has another."""
    return f"{resolved.vm_name}-{short_digest(resolved.image_digest)}"


def snapshot_name(resolved: ResolvedTemplate) -> str:
    """Name of the snapshot of an image."""
    return f"strata-{short_digest(resolved.image_digest)}"


def images_of(repository: Repository, template: str) -> list[dict]:
    """The images that were published from a template, newest first."""
    document = repository.catalog.get(IMAGE, template)
    return list(document["images"]) if document else []


def record_images(repository: Repository, template: str, images: list[dict]) -> None:
    """Store the images of a template, newest first."""
    repository.catalog.put(IMAGE, template, {"template": template, "images": images})


def is_image(facts: VmFacts, image_digest: str, snapshot: str) -> bool:
    """Whether a machine is the finished image: of this digest, switched off, with its snapshot."""
    config = facts.extra_config
    finished = config.get(KEY_IMAGE) == image_digest and config.get(KEY_STATE) == STATE_COMPLETE
    return finished and facts.power_state == "poweredOff" and not facts.template and any(one.name == snapshot for one in facts.snapshots)


def find_standing(session: Session, image: dict) -> VmFacts | None:
    """The machine of a recorded image if it stands in vSphere as it was published, else None."""
    try:
        facts = read_facts(session, Inventory(session).vm(instance_uuid=image["vm"]["instance_uuid"]))
    except NotFound:
        return None
    return facts if is_image(facts, image["image_digest"], image["snapshot"]) else None


def describe_place(facts: VmFacts, snapshot: str) -> str:
    """The sentence that tells where an image is."""
    return f"The image is the snapshot {snapshot} of the machine {facts.name} at {facts.path}, {facts.datastore_path}."
