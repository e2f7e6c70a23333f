# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What travels: layer versions, image templates and composed images, as one side has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from ...catalog.layer_document import LayerDocument
from ...layers.layer_version import OS, ROLE_DISK, ROLE_SCRIPT, LayerVersion
from ...repository.blobs import Descriptor
from ...repository.oci_layout import MANIFEST
from .artifacts import listed_blobs, parse_manifest
from .details import Details
from .names import IMAGE, ItemName, Location


class LayerFields(NamedTuple):
    """The fields of a layer that all its versions share; ``icon`` is a digest."""

    description: str
    priority: int | None
    icon: str | None


def fields_of(document: LayerDocument) -> LayerFields:
    """Return the shared fields of a layer."""
    return LayerFields(document.description, document.priority, document.icon)


@dataclass(frozen=True)
class Attachment:
    """A manifest that refers to another manifest, such as a signature, and the blobs that it lists."""

    manifest: bytes
    digest: str
    blobs: tuple[Descriptor, ...]

    @property
    def is_tagged(self) -> bool:
        """Whether a tag connects it with what it refers to, as cosign 2 does, instead of its ``subject``."""
        return "subject" not in parse_manifest(self.manifest, self.digest)


@dataclass(frozen=True)
class Item:
    """A manifest that has a name. ``location`` is where a remote has it, ``signer`` the key that verified it."""

    item: ItemName
    manifest: bytes
    digest: str
    location: Location | None = None
    attachments: tuple[Attachment, ...] = ()
    signer: str | None = None

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the manifest."""
        return Descriptor(MANIFEST, self.digest, len(self.manifest))

    @property
    def blobs(self) -> list[Descriptor]:
        """The blobs that the manifest lists, its config first."""
        return listed_blobs(parse_manifest(self.manifest, self.digest))

    @property
    def size(self) -> int:
        """The number of bytes of its blobs."""
        return sum(blob.size for blob in self.blobs)


@dataclass(frozen=True)
class LayerItem(Item):
    """A layer version with its details."""

    version: LayerVersion = field(kw_only=True)
    details: Details = field(kw_only=True)

    def same_content(self, other: LayerItem) -> bool:
        """Return whether both have the same effect in an image, although their manifests differ."""
        mine, its = self.version, other.version
        if mine.kind != its.kind or _blob(mine, ROLE_SCRIPT) != _blob(its, ROLE_SCRIPT) or mine.script != its.script:
            return False
        if mine.kind == OS:
            return _blob(mine, ROLE_DISK) is not None and _blob(mine, ROLE_DISK) == _blob(its, ROLE_DISK)
        return (
            mine.content_digest is not None
            and mine.content_digest == its.content_digest
            and mine.os_layer == its.os_layer
            and mine.prerequisites == its.prerequisites
        )


def _blob(version: LayerVersion, role: str) -> str | None:
    return version.blobs[role].digest if role in version.blobs else None


@dataclass(frozen=True)
class ImageItem(Item):
    """A composed image. Its manifest lists the disk of its OS layer, too."""

    @classmethod
    def named(
        cls, template: str, content_digest: str, manifest: bytes, digest: str, location: Location | None = None
    ) -> ImageItem:
        """Return the image of a template."""
        return cls(ItemName(IMAGE, template, content_digest), manifest, digest, location)
