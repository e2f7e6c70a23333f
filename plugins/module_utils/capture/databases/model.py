# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of Windows: files, journals, registry keys and values that belong together.

A layer contains all members of a database or none. A part of a database is worse than either: a journal of the OS layer
beside the main file of an app layer destroys the data, and a certificate without its private key fails.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..rule import Rule


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database and its members, as patterns in the form of ``exclusions``.

    ``name`` is the reason that a capture reports. ``text`` says what the database contains and why it is whole or not
    at all in a layer. ``keys`` are patterns of keys, or pairs of a pattern of keys and a pattern of value names.
    ``taken_by`` are the kinds of layers that contain the database by default; in others it is left out.
    """

    name: str
    text: str
    files: tuple[str, ...] = ()
    keys: tuple[str | tuple[str, str], ...] = ()
    taken_by: frozenset[str] = frozenset()

    def rules(self, kind: str) -> list[Rule]:
        """Return a rule for each member, all with the verdict for layers of ``kind``."""
        include = kind in self.taken_by
        rules = [Rule(pattern, self.name, include=include, database=self.name) for pattern in self.files]
        for pattern in self.keys:
            key, value = (pattern, None) if isinstance(pattern, str) else pattern
            rules.append(Rule(key, self.name, True, value, include, self.name))
        return rules
