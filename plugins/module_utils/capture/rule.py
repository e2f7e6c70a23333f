# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rule of a capture, and the user's rule about a whole database."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A rule about files or keys.

    ``pattern`` matches files, or if ``registry`` is true keys with the hive's name first. ``value`` is a pattern
    of value names, None for whole keys. ``include`` includes what an earlier rule excludes. ``database`` is the name of
    the database that the rule belongs to, "" if none. The names in a ``literal`` pattern have no wildcards.
    The rule applies to everything below the file or key as well, unless ``below`` is false. If ``is_member`` is false,
    what the rule matches does not belong to the database: the rules before those of the database decide about it.
    A ``serviced`` rule applies only to files of Windows that servicing owns.
    """

    pattern: str
    reason: str
    registry: bool = False
    value: str | None = None
    include: bool = False
    database: str = ""
    literal: bool = False
    below: bool = True
    serviced: bool = False
    is_member: bool = True


@dataclass(frozen=True)
class DatabaseRule:
    """A user's rule about a database: it decides about all members, also about those that depend on the disk."""

    database: str
    reason: str
    include: bool = False
