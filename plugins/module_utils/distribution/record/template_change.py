# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of an image template in the registry of record; the caller holds the claim of the registry."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...common.errors import InternalError
from ..items.catalog_entry import CatalogEntry
from ..items.names import TEMPLATE, ItemName
from ..items.template_item import TemplateItem, of_document
from ..sides.local import Local
from ..sides.remote_writer import RemoteWriter
from .differences import changed_by_others


@dataclass
class TemplateChange:
    """The change of a template; ``before`` and the local side of ``writer`` have it before and after the change.

    ``known`` and ``sent`` are as in ``LayerChange``.
    """

    writer: RemoteWriter
    entry: CatalogEntry
    before: Local
    known: Mapping[ItemName, str]
    sent: dict[ItemName, str | None] = field(default_factory=dict)

    def send(self) -> None:
        """Change the registry, unless only the connector changes: connectors belong to a site.

        Raises:
            Conflict: ``distribution.upstream_changed`` if another composer changed the template;
                ``distribution.base_missing`` if the registry does not have a layer version that it names.
            Unsupported: ``oci_registry.delete`` if the registry does not allow to delete.
        """
        name = ItemName(TEMPLATE, self.entry.name)
        before, after = self.before.template(self.entry.name), self.writer.local.template(self.entry.name)
        stored = self.writer.remote.template(self.entry.name, self.entry.path)
        if (stored and stored.content) == (after and after.content):
            if stored is not None:
                self.sent[name] = stored.digest
            return
        if after is None and name not in self.known:
            # The template of the registry is a different template. The next synchronization stores it here.
            return
        if (stored and stored.content) != (before and before.content) and (stored is not None or name in self.known):
            raise changed_by_others(str(name), self.writer.remote.label)
        if after is None:
            self._delete(stored)
        else:
            self._put(after, stored)

    def _put(self, after: TemplateItem, stored: TemplateItem | None) -> None:
        revision = stored.revision + 1 if stored else self._first_revision()
        icon = self.writer.local.icon(after.document.icon)
        item = of_document(after.document, after.layers, icon, revision)
        location = self.writer.remote.naming.location(item.item, self.entry.path)
        self.writer.finish_template(item, location, stored.digest if stored else None, self.entry.path)
        self.sent[item.item] = item.digest

    def _first_revision(self) -> int:
        """Return a revision above that of every deleted template of this name: the time of the registry in milliseconds."""
        now = self.writer.remote.backend.server_time()
        return int(1000 * (time.time() if now is None else now))

    def _delete(self, stored: TemplateItem | None) -> None:
        if stored is None:
            raise InternalError("A template that does not exist is deleted.", code="distribution.upstream_template")
        self.writer.delete(self.writer.remote.naming.location(stored.item, self.entry.path), stored.digest)
        self.writer.delete_entry(self.entry)
        self.sent[stored.item] = None
