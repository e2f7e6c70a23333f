# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image templates as artifacts.

The artifact of a template has artifactType ``TEMPLATE_TYPE``. Its config is a JSON object: ``schema_version``, ``revision`` (1 for the
first artifact of a template, then one more with each change), ``template`` (the document of the template) and ``layers`` (the
layer versions that it names, with their digests). Its layers are the icon and the script of the template.

The connector, the time of creation and the revision belong to a site and do not count when templates are compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...catalog.resolved_template import canonical_digest
from ...catalog.scripts import MEDIA_TYPE as SCRIPT_TYPE
from ...catalog.template_document import TemplateDocument
from ...common.errors import Corrupt, StrataError
from ...layers.layer_version import APP, OS, PLATFORM, LayerReference, check_layer_name
from ...repository.blobs import Descriptor
from .artifacts import EMPTY_DIGEST, descriptor_of, manifest_bytes, parse_manifest
from .items import Item
from .names import TEMPLATE, ItemName, Location

TEMPLATE_TYPE = "application/vnd.strata.template.v1+json"
CONFIG_TYPE = "application/vnd.strata.template.config.v1+json"
MAX_CONFIG = 1 << 20
_SCHEMA_VERSION = 1
#: Fields of a document that belong to a site.
_SITE_FIELDS = ("connector", "created")


@dataclass(frozen=True)
class TemplateItem(Item):
    """A template. ``config`` is the config of its artifact, ``revision`` 0 in a repository; ``files`` are icon and script."""

    document: TemplateDocument = field(kw_only=True)
    layers: tuple[LayerReference, ...] = field(kw_only=True)
    revision: int = field(kw_only=True)
    config: bytes = field(kw_only=True, repr=False)
    files: tuple[Descriptor, ...] = field(kw_only=True)

    @property
    def content(self) -> str:
        """The digest of what counts when templates are compared."""
        return canonical_digest(site_independent(self.document.to_dict()))


def site_independent(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts when templates are compared."""
    return {key: value for key, value in document.items() if key not in _SITE_FIELDS}


def layer_names(document: TemplateDocument) -> list[ItemName]:
    """Return the layer versions that a template names: the OS layer, the app layers, the platform layer."""
    names = [ItemName(OS, document.os_layer.name, document.os_layer.version)]
    names += [ItemName(APP, layer.name, layer.version) for layer in document.app_layers]
    if document.platform_layer is not None:
        names.append(ItemName(PLATFORM, document.platform_layer.name, document.platform_layer.version))
    return names


def of_document(
    document: TemplateDocument, layers: tuple[LayerReference, ...], icon: Descriptor | None, revision: int = 0
) -> TemplateItem:
    """Return the artifact of a stored template; equal arguments give equal bytes."""
    content = {
        "schema_version": _SCHEMA_VERSION,
        "revision": revision,
        "template": document.to_dict(),
        "layers": [layer.to_dict() for layer in layers],
    }
    config = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    files = [icon] if icon else []
    if document.script is not None:
        files.append(Descriptor(SCRIPT_TYPE, document.script.digest, document.script.size))
    manifest = manifest_bytes(
        TEMPLATE_TYPE,
        descriptor_of(config, CONFIG_TYPE),
        files,
        annotations={
            "org.opencontainers.image.title": document.name,
            "org.opencontainers.image.version": str(revision),
        },
    )
    return TemplateItem(
        ItemName(TEMPLATE, document.name),
        manifest,
        descriptor_of(manifest, "").digest,
        document=document,
        layers=layers,
        revision=revision,
        config=config,
        files=tuple(files),
    )


def of_artifact(manifest: bytes, digest: str, config: bytes, location: Location | None = None) -> TemplateItem:
    """Read an untrusted artifact.

    Raises:
        Corrupt: ``distribution.template``.
    """
    parsed = parse_manifest(manifest, digest)
    try:
        value = json.loads(config)
        name, revision = value["template"]["name"], value["revision"]
        if value["schema_version"] != _SCHEMA_VERSION or revision.__class__ is not int or revision < 0:
            raise ValueError
        document = TemplateDocument.from_dict(value["template"], check_layer_name(name))
        layers = tuple(LayerReference.from_dict(layer) for layer in value["layers"])
        files = _files(parsed, document)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, StrataError) as error:
        raise Corrupt(
            f"The image template with the manifest {digest} cannot be used: "
            f"{error.message.rstrip('.') if isinstance(error, StrataError) else 'it does not have the form of a template'}.",
            code="distribution.template",
            hint="Push the image template again from a repository that has it.",
        ) from None
    return TemplateItem(
        ItemName(TEMPLATE, document.name),
        manifest,
        digest,
        location,
        document=document,
        layers=layers,
        revision=revision,
        config=config,
        files=files,
    )


def _files(manifest: Mapping[str, Any], document: TemplateDocument) -> tuple[Descriptor, ...]:
    """Return icon and script of the artifact, which must be those of the document."""
    files = [blob for blob in map(Descriptor.from_json, manifest["layers"]) if blob.digest != EMPTY_DIGEST]
    expected = [document.icon] if document.icon else []
    expected += [document.script.digest] if document.script else []
    if [file.digest for file in files] != expected:
        raise ValueError
    return tuple(files)
