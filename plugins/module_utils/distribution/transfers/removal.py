# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The removal of layer versions and templates from a remote, unless a template or a layer at the remote needs them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...common.errors import Conflict, InternalError
from ...layers.layer_version import APP, OS, PLATFORM
from ..items.catalog_entry import CatalogEntry
from ..items.items import Item
from ..items.names import TEMPLATE, ItemName, Location
from ..sides.local import bases
from ..sides.remote import Remote
from ..sides.remote_writer import RemoteWriter
from .selection import LATEST, Selection

#: The order of kinds: templates need layers, platform and app layers need OS layers.
_ORDER = {TEMPLATE: 0, PLATFORM: 1, APP: 2, OS: 3}
_MAX_SHOWN = 5


@dataclass(frozen=True)
class Stored:
    """A layer version or template of a remote, and the digests of the layer versions that it needs.

    ``names`` are those of the layer versions that a template needs: a renamed layer has the digest of its former name.
    """

    item: ItemName
    digest: str
    size: int
    location: Location
    path: str | None
    needs: frozenset[str]
    names: frozenset[ItemName] = frozenset()

    def requires(self, other: Stored) -> bool:
        """Return whether this item cannot be pulled without ``other``."""
        return other.digest in self.needs and (not self.names or other.item in self.names)


def plan_removal(remote: Remote, selection: Selection) -> list[Stored]:
    """Return what the remote has of a selection, in the order in which it can be deleted.

    Raises:
        Conflict: ``distribution.needed`` if something else at the remote needs a layer version.
        Corrupt: an item of the remote cannot be read, so that it is not known what it needs.
    """
    templates = [
        _template(remote, _known(remote, CatalogEntry(TEMPLATE, choice.name, choice.path)))
        for choice in selection.templates
    ]
    chosen = {stored.item: stored for stored in templates if stored is not None}
    if not selection.layers:
        return list(chosen.values())
    users = list(_everything(remote))
    for choice in selection.layers:
        entry = _known(remote, CatalogEntry(choice.kind, choice.name, choice.path))
        chosen |= {stored.item: stored for stored in _versions(remote, entry, choice.version)}
    _refuse_needed(remote, chosen, users)
    return _sorted(chosen.values())


def remove(writer: RemoteWriter, stored: Stored) -> None:
    """Delete an item with its signatures and details, and the entry of its layer if that was the last version.

    Raises:
        Unsupported: ``oci_registry.delete`` if the registry does not allow it.
    """
    item = stored.item
    writer.delete(stored.location, stored.digest)
    entry = CatalogEntry(item.kind, item.name, stored.path)
    if item.kind == TEMPLATE or not writer.remote.version_names(entry):
        writer.delete_entry(entry)


def _known(remote: Remote, chosen: CatalogEntry) -> CatalogEntry:
    """Return the name of a layer or template, with the path that the remote knows unless one was chosen."""
    if chosen.path is None:
        for entry in remote.names():
            if (entry.kind, entry.name) == (chosen.kind, chosen.name):
                return entry
    return chosen


def _everything(remote: Remote) -> Iterator[Stored]:
    for entry in remote.names():
        if entry.kind != TEMPLATE:
            yield from _versions(remote, entry, None)
        elif (template := _template(remote, entry)) is not None:
            yield template


def _template(remote: Remote, entry: CatalogEntry) -> Stored | None:
    found = remote.template(entry.name, entry.path)
    if found is None:
        return None
    names = frozenset(ItemName(layer.kind, layer.name, layer.version) for layer in found.layers)
    stored = _stored(found, entry, (layer.digest for layer in found.layers))
    return dataclasses.replace(stored, names=names)


def _versions(remote: Remote, entry: CatalogEntry, version: str | None) -> Iterator[Stored]:
    versions = remote.version_names(entry)
    chosen = (
        versions
        if version is None
        else versions[-1:]
        if version == LATEST
        else [name for name in versions if name == version]
    )
    for name in chosen:
        found = remote.layer(ItemName(entry.kind, entry.name, name), entry.path)
        if found is not None:
            yield _stored(found, entry, (base.digest for base in bases(found.version)))


def _stored(found: Item, entry: CatalogEntry, needs: Iterable[str]) -> Stored:
    if found.location is None:
        raise InternalError(f"The {found.item} of a remote has no location.", code="distribution.no_location")
    return Stored(found.item, found.digest, found.size, found.location, entry.path, frozenset(needs))


def _refuse_needed(remote: Remote, chosen: Mapping[ItemName, Stored], users: Sequence[Stored]) -> None:
    needed = [
        (stored.item, user.item)
        for stored in chosen.values()
        if stored.item.is_layer
        for user in users
        if user.item not in chosen and user.requires(stored)
    ]
    if not needed:
        return
    shown = "; ".join(f"the {user} needs the {item}" for item, user in needed[:_MAX_SHOWN])
    more = f" ({len(needed) - _MAX_SHOWN} more)" if len(needed) > _MAX_SHOWN else ""
    raise Conflict(
        f"Layer versions in {remote.label} are in use: {shown}{more}.",
        code="distribution.needed",
        hint="Delete these image templates and layer versions, too, or keep the layer versions.",
        needed=[{"item": str(item), "by": str(user)} for item, user in needed],
    )


def _sorted(chosen: Iterable[Stored]) -> list[Stored]:
    """Return what is to be deleted, each item before the items that it needs: a killed run leaves nothing that lacks a layer."""
    remaining = sorted(chosen, key=lambda stored: (_ORDER[stored.item.kind], stored.item))
    ordered: list[Stored] = []
    while remaining:
        needed = {digest for stored in remaining for digest in stored.needs}
        # Layer versions cannot need each other in a circle: their digests depend on what they need.
        free = [stored for stored in remaining if stored.digest not in needed] or remaining
        ordered += free
        remaining = [stored for stored in remaining if stored not in free]
    return ordered
