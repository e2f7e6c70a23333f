# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of Windows: files, journals, registry keys and values that belong together.

A layer contains all members of a database or none. A part of a database is worse than either: a journal of the OS layer
next to the main file of an app layer destroys the data, and a certificate without its private key fails. Journals are
not members of their own: every journal has the verdict of its main file, see ``ntfs.journals``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..rule import Rule

#: The kinds of layers that are captured.
ALL_LAYERS = frozenset(("app", "platform"))


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database and its members, as patterns in the form of ``exclusions``.

    ``name`` is the reason that a capture reports. ``text`` says what the database contains and why it is whole or not
    at all in a layer. ``keys`` are patterns of keys, or pairs of a pattern of keys and a pattern of value names.
    ``taken_by`` are the kinds of layers that contain the database by default; in others it is left out.
    ``other_files`` and ``other_keys`` are within the patterns but no members: the earlier rules decide about them.
    A ``divisible`` database loses nothing if a rule of the user includes single files of it.
    """

    name: str
    text: str
    files: tuple[str, ...] = ()
    keys: tuple[str | tuple[str, str], ...] = ()
    taken_by: frozenset[str] = frozenset()
    other_files: tuple[str, ...] = ()
    other_keys: tuple[str, ...] = ()
    divisible: bool = False

    def rules(self, kind: str) -> list[Rule]:
        """Return a rule for each member, all with the verdict for layers of ``kind``, and the rules about other objects."""
        member = Rule("", self.name, include=kind in self.taken_by, database=self.name)
        rules = [replace(member, pattern=pattern) for pattern in self.files]
        for pattern in self.keys:
            key, value = (pattern, None) if isinstance(pattern, str) else pattern
            rules.append(replace(member, pattern=key, registry=True, value=value))
        other = replace(member, is_member=False)
        rules += [replace(other, pattern=pattern) for pattern in self.other_files]
        rules += [replace(other, pattern=pattern, registry=True) for pattern in self.other_keys]
        return rules
