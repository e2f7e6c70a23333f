# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A new name for a layer or its versions, and what it means for every document that names the layer.

Only names change: digests, and so images, remain as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ...layers.layer_version import APP, OS, PLATFORM, LayerReference
from ..image_record import ImageRecord
from ..layer_document import LayerDocument, LayerEntry, SoftwareLayerEntry
from ..noise_profile_record import NoiseProfileRecord
from ..packaging_record import PackagingRecord
from ..template_document import TemplateDocument
from ..version_name import VersionName

N = TypeVar("N", VersionName, LayerReference)


@dataclass(frozen=True, kw_only=True)
class LayerRename:
    """The layer ``name`` becomes ``new_name``; ``versions`` maps names of versions to new names, the others keep theirs."""

    kind: str
    name: str
    new_name: str
    versions: Mapping[str, str] = field(default_factory=dict)

    def version(self, version: str) -> str:
        """Return the new name of a version."""
        return self.versions.get(version, version)

    def all_versions(self, layer: LayerDocument) -> dict[str, str]:
        """Return the new names of all versions of the layer, by their names."""
        return {version: self.version(version) for version in layer.versions}

    def layer(self, layer: LayerDocument) -> LayerDocument:
        """Return the document of the renamed layer."""
        sort_name = layer.sort_name
        if self.new_name != self.name:
            first = sort_name if sort_name is not None else self.name
            sort_name = first if first != self.new_name else None
        versions = {self.version(version): entry for version, entry in layer.versions.items()}
        return dataclasses.replace(layer, name=self.new_name, sort_name=sort_name, versions=versions)

    def with_both_names(self, layer: LayerDocument, existing: LayerDocument | None) -> LayerDocument:
        """Return the document with the new names while the old names still exist, so that every reference can be resolved.

        ``existing`` is the document with the new name, None if there is none. It has versions if an earlier run was interrupted.
        """
        renamed = self.layer(layer)
        old = {} if self.new_name != self.name else dict(layer.versions)
        found = dict(existing.versions) if existing is not None and self.new_name != self.name else {}
        return dataclasses.replace(renamed, versions={**old, **renamed.versions, **found})

    # -- documents that name the layer

    def users(self, layer: LayerDocument) -> LayerDocument:
        """Return the document of any layer with the new names in what its versions were built for and on."""
        versions = {version: self._entry(entry, layer.kind) for version, entry in layer.versions.items()}
        return dataclasses.replace(layer, versions=versions)

    def _entry(self, entry: LayerEntry, kind: str) -> LayerEntry:
        if entry.cloned_from is not None:
            entry = dataclasses.replace(entry, cloned_from=self._reference(entry.cloned_from))
        if not isinstance(entry, SoftwareLayerEntry):
            return entry
        confirmed = entry.confirmed_for
        if self.kind == OS and kind == PLATFORM and entry.os_layer.name in (self.name, self.new_name):
            confirmed = tuple(dict.fromkeys(self.version(version) for version in confirmed))
        return dataclasses.replace(
            entry,
            os_layer=self.renamed(OS, entry.os_layer),
            prerequisites=tuple(self.renamed(APP, layer) for layer in entry.prerequisites),
            confirmed_for=confirmed,
        )

    def template(self, template: TemplateDocument) -> TemplateDocument:
        """Return an image template with the new names."""
        platform = template.platform_layer
        app_layers = [self.renamed(APP, layer) for layer in template.app_layers]
        return dataclasses.replace(
            template,
            os_layer=self.renamed(OS, template.os_layer),
            app_layers=tuple(sorted(app_layers, key=lambda layer: (layer.name.casefold(), layer.name)))
            if app_layers != list(template.app_layers)
            else template.app_layers,
            platform_layer=self.renamed(PLATFORM, platform) if platform is not None else None,
        )

    def images(self, images: Iterable[ImageRecord]) -> tuple[ImageRecord, ...]:
        """Return image records with the new names."""
        return tuple(self._image(image) for image in images)

    def _image(self, image: ImageRecord) -> ImageRecord:
        old = f"{self.kind}/{self.name}"
        if old not in image.layers:
            return image
        layers = {
            f"{self.kind}/{self.new_name}" if key == old else key: self.version(version) if key == old else version
            for key, version in image.layers.items()
        }
        return dataclasses.replace(image, layers=layers)

    def packaging(self, record: PackagingRecord) -> PackagingRecord:
        """Return the record of a packaging machine with the new names of the layers in it."""
        start = record.start_from
        return dataclasses.replace(
            record,
            os_layer=self._reference(record.os_layer),
            prerequisites=tuple(self._reference(layer) for layer in record.prerequisites),
            start_from=self._reference(start) if start is not None else None,
        )

    def packages(self, record: PackagingRecord) -> bool:
        """Return whether a packaging machine is for a version that gets a new name."""
        named = record.kind == self.kind and record.layer == self.name
        return named and (self.new_name != self.name or record.version in self.versions)

    def noise_profile(self, record: NoiseProfileRecord) -> NoiseProfileRecord:
        """Return the record of a noise profile with the new name of its OS layer version."""
        return dataclasses.replace(record, os_layer=self._reference(record.os_layer))

    def _reference(self, layer: LayerReference) -> LayerReference:
        return self.renamed(layer.kind, layer)

    def renamed(self, kind: str, layer: N) -> N:
        """Return the name or reference of a layer version of a kind with its new name."""
        if (kind, layer.name) != (self.kind, self.name):
            return layer
        return dataclasses.replace(layer, name=self.new_name, version=self.version(layer.version))
