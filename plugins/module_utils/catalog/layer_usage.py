# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The use of layer versions: what needs a version now, and when it was used last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..layers.layer_version import APP, KINDS, OS, PLATFORM
from ..repository.repository import Repository
from . import document_collections
from .image_record import ImageRecord
from .kinds import IMAGE, LAYER_KINDS, PACKAGING, TEMPLATE

#: Kind, name and version of a layer version.
VersionKey = tuple[str, str, str]


@dataclass(frozen=True, order=True)
class User:
    """An object that needs a layer version: the kind of document, such as image_template, and its name."""

    kind: str
    name: str


def users(repository: Repository) -> dict[VersionKey, set[User]]:
    """Return what uses each layer version now, except other layer versions and publish tasks."""
    found: dict[VersionKey, set[User]] = defaultdict(set)
    for name, template in document_collections.templates(repository).all():
        named = [(OS, template.os_layer), *((APP, layer) for layer in template.app_layers)]
        named += [(PLATFORM, template.platform_layer)] if template.platform_layer else []
        for kind, layer in named:
            found[kind, layer.name, layer.version].add(User(TEMPLATE, name))
    for _name, document in document_collections.images(repository).all():
        for image in document.images:
            for key in image.layer_versions():
                found[key].add(User(IMAGE, image.vm.name))
    for name, record in document_collections.packaging_records(repository).all():
        start = [record.start_from] if record.start_from else []
        for reference in (record.os_layer, *record.prerequisites, *start):
            found[reference.kind, reference.name, reference.version].add(User(PACKAGING, name))
    return found


def dependents(repository: Repository) -> dict[VersionKey, set[VersionKey]]:
    """Return the app and platform layer versions that were built for or on each layer version."""
    found: dict[VersionKey, set[VersionKey]] = defaultdict(set)
    for kind in (APP, PLATFORM):
        for name, layer in document_collections.layers(repository, kind).all():
            for version, entry in layer.software_versions():
                found[OS, entry.os_layer.name, entry.os_layer.version].add((kind, name, version))
                for below in entry.prerequisites:
                    found[APP, below.name, below.version].add((kind, name, version))
    return found


@dataclass
class UseHistory:
    """The times (RFC 3339) at which versions were used last, and the versions that were part of an image."""

    last: dict[VersionKey, str] = field(default_factory=dict)
    in_images: set[VersionKey] = field(default_factory=set)
    _images: dict[str, list[VersionKey]] = field(default_factory=dict)

    @classmethod
    def read(cls, repository: Repository) -> UseHistory:
        """Read the audit history and the image records.

        Earlier versions of the collection did not write the layers of a published image to the audit history. Of their images,
        only those that are still recorded count.
        """
        history = cls()
        for record in repository.audit.records():
            history._add(record)
        for _name, document in document_collections.images(repository).all():
            for image in document.images:
                history._add_image(image)
        return history

    def _add_image(self, image: ImageRecord) -> None:
        for key in image.layer_versions():
            self._use(key, max(image.published, image.last_used or ""), in_image=True)

    def _add(self, record: Mapping[str, Any]) -> None:
        details = record.get("details")
        if not isinstance(details, dict):
            return
        action, kind, time = record.get("action"), record.get("kind"), str(record.get("time"))
        if (action, kind) == ("publish", TEMPLATE):
            layers = list(_published_layers(details.get("layers")))
            self._images[str(details.get("image_digest"))] = layers
            for key in layers:
                self._use(key, time, in_image=True)
        elif (action, kind) == ("delete", IMAGE):
            for digest in _listed(details.get("image_digests")):
                for key in self._images.get(str(digest), ()):
                    self._use(key, time, in_image=True)
        elif kind == TEMPLATE:
            for key in _template_layers(details):
                self._use(key, time, in_image=False)
        elif action == "rename" and kind in LAYER_KINDS:
            self._rename(LAYER_KINDS[kind], str(record.get("name")), details)

    def _use(self, key: VersionKey, time: str, *, in_image: bool) -> None:
        self.last[key] = max(self.last.get(key, ""), time)
        if in_image:
            self.in_images.add(key)

    def _rename(self, kind: str, new_name: str, details: Mapping[str, Any]) -> None:
        """Carry the use of a renamed layer over to its new names."""
        names, versions = details.get("name"), details.get("versions")
        name = str(names.get("before")) if isinstance(names, dict) else new_name
        renamed = versions if isinstance(versions, dict) else {}

        def new(key: VersionKey) -> VersionKey:
            return (kind, new_name, str(renamed.get(key[2], key[2]))) if key[:2] == (kind, name) else key

        self.last = {new(key): time for key, time in self.last.items()}
        self.in_images = {new(key) for key in self.in_images}
        self._images = {digest: [new(key) for key in layers] for digest, layers in self._images.items()}


def _published_layers(layers: object) -> Iterator[VersionKey]:
    for named, version in layers.items() if isinstance(layers, dict) else ():
        kind, _slash, name = str(named).partition("/")
        if kind in KINDS and name:
            yield kind, name, str(version)


def _template_layers(details: Mapping[str, Any]) -> Iterator[VersionKey]:
    """Yield the layer versions in the changed fields of a template."""
    for kind, option in ((OS, "os_layer"), (APP, "app_layers"), (PLATFORM, "platform_layer")):
        change = details.get(option)
        for side in change.values() if isinstance(change, dict) else ():
            for layer in _listed(side if isinstance(side, list) else [side]):
                if isinstance(layer, dict) and "name" in layer and "version" in layer:
                    yield kind, str(layer["name"]), str(layer["version"])


def _listed(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else ()
