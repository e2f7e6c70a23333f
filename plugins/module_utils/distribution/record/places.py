# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The places of layers and templates in a registry of record: nobody chooses a path, so names that collide get one."""

from __future__ import annotations

import hashlib

from ..names import ItemName, Place, slug
from ..remote import Remote

_LONGEST = 80


def place_of(remote: Remote, kind: str, name: str) -> Place:
    """Return the place that the catalogue has for a layer or template, else the place that it gets.

    Names such as ``C`` and ``C++`` would have the same place; the second of them gets a digest of its name.
    """
    path = remote.path_of(ItemName(kind, name))
    if path is not None:
        return Place(kind, name, path)
    usual = remote.entry_at(remote.naming.catalog_tag(kind, name))
    if usual is None or usual.name == name:
        return Place(kind, name)
    digest = hashlib.sha256(name.encode("utf-8")).hexdigest()[:8]
    return Place(kind, name, f"{slug(name)[:_LONGEST].strip('-')}-{digest}")
