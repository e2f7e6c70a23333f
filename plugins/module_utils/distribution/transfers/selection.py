# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which layers, templates and images a transfer is about, and what they need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from ...catalog.spelling import spelling_hint
from ...common.errors import NotFound
from ...layers.layer_version import LayerReference
from ..items.catalog_entry import CatalogEntry
from ..items.items import ImageItem, LayerFields, LayerItem
from ..items.names import TEMPLATE, ItemName
from ..items.template_item import TemplateItem, layer_names
from ..sides.local import bases

LATEST = "latest"
_MAX_SHOWN = 10


class Side(Protocol):
    """A repository (``Local``) or a remote (``Remote``): what it has."""

    @property
    def label(self) -> str: ...

    def names(self) -> list[CatalogEntry]: ...

    def version_names(self, entry: CatalogEntry) -> list[str]: ...

    def locate(self, base: LayerReference) -> tuple[CatalogEntry, str] | None: ...

    def layer(self, item: ItemName, path: str | None = None) -> LayerItem | None: ...

    def fields(self, entry: CatalogEntry) -> LayerFields | None: ...

    def template(self, name: str, path: str | None = None) -> TemplateItem | None: ...

    def image(self, item: ItemName, path: str | None = None) -> ImageItem | None: ...


@dataclass(frozen=True)
class LayerChoice:
    """A layer to transfer: all its versions (``version`` None), the newest ("latest") or one; ``path`` is its path in the remote."""

    kind: str
    name: str
    version: str | None = None
    path: str | None = None


@dataclass(frozen=True)
class TemplateChoice:
    """A template to transfer with the layer versions that it names; ``path`` is its path in the remote."""

    name: str
    path: str | None = None


@dataclass(frozen=True)
class Selection:
    """What to transfer. ``images``: the composed images of the templates, too. ``everything``: all layers and templates."""

    layers: tuple[LayerChoice, ...] = ()
    templates: tuple[TemplateChoice, ...] = ()
    images: bool = False
    everything: bool = False


@dataclass
class Selected:
    """What a selection means at the source. A layer comes after the layers that it was built on."""

    layers: dict[ItemName, LayerItem] = field(default_factory=dict)
    templates: dict[str, TemplateItem] = field(default_factory=dict)
    paths: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def path(self, item: ItemName) -> str | None:
        """Return the path of an item in the remote."""
        return self.paths.get((item.kind, item.name))


def select(source: Side, selection: Selection) -> Selected:
    """Find what a selection names at the source, and what that was built on.

    Raises:
        NotFound: ``distribution.missing`` if the source does not have it.
        StrataError: the source cannot be read, or refuses what it has.
    """
    return _Selector(source).run(selection)


class _Selector:
    def __init__(self, source: Side) -> None:
        self._source = source
        self._found = Selected()

    def run(self, selection: Selection) -> Selected:
        for layer in selection.layers:
            entry = self._entry(CatalogEntry(layer.kind, layer.name, layer.path))
            for version in self._versions(entry, layer.version):
                self._add(entry, version)
        for template in selection.templates:
            self._add_template(self._entry(CatalogEntry(TEMPLATE, template.name, template.path)))
        if selection.everything:
            for entry in self._source.names():
                if entry.kind == TEMPLATE:
                    self._add_template(entry)
                else:
                    for version in self._source.version_names(entry):
                        self._add(entry, version)
        return self._found

    def _entry(self, chosen: CatalogEntry) -> CatalogEntry:
        """Return the entry of a layer or template, with the path that the source knows unless one was chosen."""
        if chosen.path is None:
            for entry in self._known:
                if (entry.kind, entry.name) == (chosen.kind, chosen.name):
                    return entry
        return chosen

    @cached_property
    def _known(self) -> list[CatalogEntry]:
        return self._source.names()

    def _versions(self, entry: CatalogEntry, version: str | None) -> Iterator[str]:
        if version not in (None, LATEST):
            yield version or ""
            return
        versions = self._source.version_names(entry)
        if not versions:
            raise self._missing(ItemName(entry.kind, entry.name))
        yield from versions if version is None else versions[-1:]

    def _add(self, entry: CatalogEntry, version: str) -> None:
        item = ItemName(entry.kind, entry.name, version)
        if item in self._found.layers:
            return
        layer = self._source.layer(item, entry.path)
        if layer is None:
            raise self._missing(item)
        for base in bases(layer.version):
            located = self._source.locate(base)
            # Without it, the layer is refused later unless the target has what it was built on.
            if located is not None:
                self._add(*located)
        self._found.layers[item] = layer
        self._found.paths[entry.kind, entry.name] = entry.path

    def _add_template(self, entry: CatalogEntry) -> None:
        template = self._source.template(entry.name, entry.path)
        if template is None:
            raise self._missing(ItemName(TEMPLATE, entry.name))
        for item in layer_names(template.document):
            self._add(self._entry(CatalogEntry(item.kind, item.name)), item.version or "")
        self._found.templates[entry.name] = template
        self._found.paths[TEMPLATE, entry.name] = entry.path

    def _missing(self, item: ItemName) -> NotFound:
        known = [entry.name for entry in self._known if entry.kind == item.kind]
        if item.name in known and item.version:
            known = self._source.version_names(self._entry(CatalogEntry(item.kind, item.name)))
        shown = ", ".join(known[:_MAX_SHOWN])
        return NotFound(
            f"{self._source.label[:1].upper()}{self._source.label[1:]} does not have the {item}.",
            code="distribution.missing",
            hint=f"{spelling_hint(item.version or item.name, known)}It has: {shown}."
            if known
            else "Check its name, the location of the remote, and the option flat.",
        )
