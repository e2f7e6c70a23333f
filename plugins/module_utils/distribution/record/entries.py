# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The places of layers and templates in a registry of record: names that collide get a path, because no user chooses one."""

from __future__ import annotations

import hashlib

from ..items.catalog_entry import CatalogEntry
from ..items.names import ItemName, slug
from ..sides.remote import Remote

_LONGEST = 80


def entry_of(remote: Remote, kind: str, name: str) -> CatalogEntry:
    """Return the entry that the catalogue has for a layer or template, else the entry that it gets.

    Names such as ``C`` and ``C++`` would have the same entry; the second of them gets a digest of its name.
    """
    path = remote.path_of(ItemName(kind, name))
    if path is not None:
        return CatalogEntry(kind, name, path)
    usual = remote.entry_at(remote.naming.catalog_tag(kind, name))
    if usual is None or usual.name == name:
        return CatalogEntry(kind, name)
    digest = hashlib.sha256(name.encode("utf-8")).hexdigest()[:8]
    return CatalogEntry(kind, name, f"{slug(name)[:_LONGEST].strip('-')}-{digest}")
