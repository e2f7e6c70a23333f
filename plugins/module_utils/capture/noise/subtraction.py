# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What both parts of the subtraction of a noise profile share: the rules that override it, and the report."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from ...ntfs.journals import main_name
from ...winregistry.upcase import WINDOWS
from ..rule import Rule
from ..rules import LeftOut, RuleSet

#: The reason under which a capture reports what the noise profile leaves out.
REASON = "noise_profile"


class Verdict(enum.Enum):
    """What a capture does with a change that the noise profile has as well.

    KEPT: it is taken. EQUAL: it is left out, as Windows made the same change by itself. VARIES: it is left out, as Windows
    changes the item to something else in each start.
    """

    KEPT = "kept"
    EQUAL = "equal"
    VARIES = "varies"


@dataclass(frozen=True)
class Overrides:
    """The user's rules and the rules about databases; the noise profile does not override what they include.

    Of the databases, only those in ``kept`` count.
    """

    users: RuleSet
    databases: RuleSet
    kept: frozenset[str] = frozenset()

    def file(self, path: str) -> bool:
        """Return whether a file is taken even if the noise profile has it."""
        return self.users.including_file(path) is not None or self.database_of_file(path) in self.kept

    def key(self, hive: str, path: str) -> bool:
        """Return whether a key is taken even if the noise profile has it."""
        return self.users.including_key(hive, path) is not None or self.database_of_key(hive, path) in self.kept

    def value(self, hive: str, path: str, name: str) -> bool:
        """Return whether a value is taken even if the noise profile has it."""
        by_user = self.users.including_value(hive, path, name) is not None
        return by_user or self.database_of_value(hive, path, name) in self.kept

    def database_of_file(self, path: str) -> str:
        """Return the database of the layer that a file belongs to; a file with its journals is a database as well."""
        return _database(self.databases.including_file(path)) or f"file {WINDOWS.fold(main_name(path) or path)}"

    def database_of_key(self, hive: str, path: str) -> str:
        """Return the database of the layer that a key belongs to, "" if none."""
        return _database(self.databases.including_key(hive, path))

    def database_of_value(self, hive: str, path: str, name: str) -> str:
        """Return the database of the layer that a value belongs to, "" if none."""
        return _database(self.databases.including_value(hive, path, name))


def _database(rule: Rule | None) -> str:
    return rule.database if rule is not None else ""


@dataclass
class Subtraction:
    """The state of one subtraction.

    The noise profile does not override what ``overrides`` include. ``doubtful`` lists what was left out although it may be
    the work of an installer.
    """

    overrides: Overrides
    left_out: LeftOut
    doubtful: list[str] = field(default_factory=list)
