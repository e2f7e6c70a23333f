# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of a layer in the registry of record: what was decided here is compared with what the registry has by now.

The caller holds the claim of the registry. All versions of a layer share description, priority and icon; those of the details
that were written last are valid. They are therefore always changed in the version that has them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from ...catalog.layer_document import LayerDocument
from ...common.errors import InternalError
from ...repository.blobs import Descriptor
from ..items.catalog_entry import CatalogEntry
from ..items.details import Details, of_document
from ..items.items import LayerFields, LayerItem, fields_of
from ..items.names import ItemName, Location
from ..sides.remote_writer import RemoteWriter
from .differences import behind, changed_by_others
from .entries import entry_of
from .survey import read_layer


@dataclass
class LayerChange:
    """The change of a layer from ``before`` to ``after``; None: the layer does not exist.

    The local side of ``writer`` has the layer as it is after the change. ``known`` are the digests that the registry had
    when this repository was compared with it; ``is_current`` says that no composer has changed the registry since then.
    ``renew`` prolongs the claim; it is called after blobs were sent, which may take long.
    ``sent`` gets the digest of each version that was stored, None for a version that was deleted.
    """

    writer: RemoteWriter
    catalog_entry: CatalogEntry
    before: LayerDocument | None
    after: LayerDocument | None
    known: Mapping[ItemName, str]
    is_current: bool
    renew: Callable[[], None]
    sent: dict[ItemName, str | None] = field(default_factory=dict)
    _stored: dict[str, LayerItem] = field(default_factory=dict)

    def send(self) -> None:
        """Change the registry.

        Raises:
            Conflict: ``distribution.other_content`` if another composer made a version of the same name;
                ``distribution.upstream_changed`` if another composer changed what this change replaces;
                ``distribution.upstream_behind`` if versions are deleted and the repository is not up to date;
                ``distribution.base_missing``.
            Unsupported: ``oci_registry.delete`` if the registry does not allow to delete.
        """
        before = dict(self.before.versions) if self.before else {}
        after = dict(self.after.versions) if self.after else {}
        self._stored = self._read()
        removed = self._removed([version for version in before if version not in after])
        # A renamed version gets its new name before it loses the old name.
        added = [version for version in after if version not in before]
        fields = self._fields()
        for version in added:
            self._add(version, fields)
        for version in after:
            if version in before and self._entry(self.before, version) != self._entry(self.after, version):
                self._change(version, fields)
        if self.after is not None:
            self._change_fields(fields, removed)
        self._delete(removed)

    # --- what the registry has ----------------------------------------------------------------

    def _read(self) -> dict[str, LayerItem]:
        found = {}
        for listed in self.writer.remote.versions(self.catalog_entry):
            item = read_layer(self.writer.remote, self.writer.local, listed)
            if item is not None:
                found[listed.item.version or ""] = item
        return found

    def _newest(self, without: Collection[str] = ()) -> LayerItem | None:
        """Return the version with the details that were written last, except the versions ``without``."""
        found = [item for version, item in self._stored.items() if version not in without]
        return max(found, key=lambda item: (item.details.updated or "", item.item), default=None)

    def _fields(self) -> LayerFields:
        """Return the shared fields after the change: the changed fields, otherwise those of the registry."""
        newest = self._newest()
        mine = fields_of(self.after) if self.after else None
        previous = fields_of(self.before) if self.before else None
        if newest is None and previous not in (None, mine) and self._was_shared():
            raise changed_by_others(
                str(ItemName(self.catalog_entry.kind, self.catalog_entry.name)), self.writer.remote.label
            )
        if newest is None or mine is None:
            return mine or LayerFields("", None, None)
        theirs = fields_of(newest.details.document)
        if previous is None or mine in (previous, theirs):
            return theirs
        if theirs != previous:
            raise changed_by_others(str(newest.item), self.writer.remote.label)
        return mine

    def _was_shared(self) -> bool:
        """Return whether the registry had a version of the layer: another composer has deleted or renamed what it lacks now."""
        versions = self.before.versions if self.before else ()
        return any(
            ItemName(self.catalog_entry.kind, self.catalog_entry.name, version) in self.known for version in versions
        )

    # --- changes ------------------------------------------------------------------------------

    def _add(self, version: str, fields: LayerFields) -> None:
        """Store a version that the registry does not have."""
        name = ItemName(self.catalog_entry.kind, self.catalog_entry.name, version)
        item = self.writer.local.layer(name)
        if item is None:
            raise InternalError(f"The {name} is sent before it was built.", code="distribution.upstream_unbuilt")
        location = self.writer.remote.naming.location(name, self.catalog_entry.path)
        for blob in item.blobs:
            self.writer.send_blob(location.repository, blob)
        self.writer.send_manifest(location.repository, item)
        self.renew()
        item = dataclasses.replace(item, details=self._with_fields(item.details, fields))
        self.writer.finish_layer(item, location, self.catalog_entry.path)
        self.sent[name] = item.digest

    def _change(self, version: str, fields: LayerFields) -> None:
        """Change the details of a version. A version that exists only here is sent."""
        name = ItemName(self.catalog_entry.kind, self.catalog_entry.name, version)
        item = self._stored.get(version)
        if item is None and name not in self.known:
            self._add(version, fields)
            return
        if item is None or self.before is None or item.digest != self.before.versions[version].digest:
            raise changed_by_others(str(name), self.writer.remote.label)
        theirs = item.details.entry.to_dict()
        if theirs == self._entry(self.after, version):
            return
        if theirs != self._entry(self.before, version):
            raise changed_by_others(str(name), self.writer.remote.label)
        mine = self.writer.local.layer(name)
        if mine is not None:
            self._put(item, self._with_fields(mine.details, fields))

    def _change_fields(self, fields: LayerFields, removed: Collection[str]) -> None:
        """Store the shared fields in the version that has them, or will have them when ``removed`` are deleted."""
        newest = self._newest(removed)
        if newest is not None and fields_of(newest.details.document) != fields:
            self._put(newest, self._with_fields(newest.details, fields))

    def _put(self, item: LayerItem, described: Details) -> None:
        location = self._location(item)
        updated = self.writer.put_details(dataclasses.replace(item, details=described), location)
        self.sent[item.item] = item.digest
        self._stored[item.item.version or ""] = dataclasses.replace(
            item, details=dataclasses.replace(described, updated=updated)
        )

    def _removed(self, versions: list[str]) -> list[str]:
        """Return those of ``versions`` that the registry has; raise Conflict if they may not be deleted."""
        found = [
            version
            for version in versions
            if self.before and version in self._stored
            if self._stored[version].digest == self.before.versions[version].digest
        ]
        for item in (self._stored[version] for version in found):
            if not self.is_current and not self._is_renamed(item, self._location(item)):
                # A layer or template of another composer may need the version.
                raise behind(str(item.item), self.writer.remote.label)
        return found

    def _delete(self, versions: list[str]) -> None:
        for item in [self._stored.pop(version) for version in versions]:
            location = self._location(item)
            if self._is_renamed(item, location):
                self.writer.remote.backend.delete_tag(location.repository, location.tag)
            else:
                self.writer.delete(location, item.digest)
            self.sent[item.item] = None
        if versions and not self._stored and not self.sent_versions():
            self.writer.delete_entry(self.catalog_entry)

    def _location(self, item: LayerItem) -> Location:
        return self.writer.remote.naming.location(item.item, self.catalog_entry.path)

    def sent_versions(self) -> list[ItemName]:
        """Return the versions that were stored."""
        return [item for item, digest in self.sent.items() if digest is not None]

    def _is_renamed(self, item: LayerItem, location: Location) -> bool:
        """Return whether the manifest has a different name in this repository of the registry: only the tag is deleted then."""
        other = self.writer.local.find_digest(item.item.kind, item.digest)
        if other is None or other == item.item:
            return False
        entry = entry_of(self.writer.remote, other.kind, other.name)
        return self.writer.remote.naming.repository(other.kind, other.name, entry.path) == location.repository

    # --- details ------------------------------------------------------------------------------

    def _with_fields(self, described: Details, fields: LayerFields) -> Details:
        """Return details with other shared fields."""
        document = dataclasses.replace(
            described.document, description=fields.description, priority=fields.priority, icon=fields.icon
        )
        return dataclasses.replace(described, document=document, icon=self._icon(described, fields.icon))

    def _icon(self, described: Details, digest: str | None) -> Descriptor | None:
        """Return the descriptor of an icon, which this repository or the registry has."""
        known = [described.icon, *(item.details.icon for item in self._stored.values())]
        found = next((icon for icon in known if icon is not None and icon.digest == digest), None)
        return found or self.writer.local.icon(digest)

    @staticmethod
    def _entry(document: LayerDocument | None, version: str) -> dict[str, object] | None:
        """Return a version as it travels."""
        return None if document is None else of_document(document, version).entry.to_dict()
