# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of published images for VMs that a test describes, without a publish."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from ...plugins.module_utils.catalog import document_collections
from ...plugins.module_utils.catalog.image_record import ImageRecord, ImagesDocument
from ...plugins.module_utils.catalog.vsphere_records import MachineRecord, VCenterRecord
from ...plugins.module_utils.repository.repository import Repository


def image_digest(name: str) -> str:
    """Return the digest of the image that is the VM ``name``."""
    return "sha256:" + hashlib.sha256(name.encode()).hexdigest()


def recorded_image(template: str, vcenter: Mapping[str, Any], vm: Mapping[str, Any]) -> ImageRecord:
    """Return the record of a VM of a vCenter, as the control endpoint of the Horizon simulator describes both."""
    return ImageRecord(
        template=template,
        image_digest=image_digest(vm["name"]),
        content_digest=image_digest(vm["name"]),
        layers={},
        connector="vsphere",
        vcenter=VCenterRecord(vcenter["server_name"], vcenter["instance_uuid"]),
        vm=MachineRecord(vm["name"], vm["moid"], f"uuid-{vm['moid']}", vm["path"], "DC0"),
        snapshot=vm["snapshots"][0]["name"],
        datastore_path=None,
        published="2026-01-01T00:00:00Z",
    )


def store_images(path: str, template: str, images: Iterable[ImageRecord]) -> None:
    """Store the images of a template, newest first, in the repository at ``path``, which is created if necessary."""
    repository = Repository.open(path, create=True)
    document = ImagesDocument(template=template, images=tuple(images))
    document_collections.images(repository).store(template, document)
