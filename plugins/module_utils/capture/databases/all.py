# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All databases, and what finds those whose members depend on the disks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ...winregistry.delta import Delta
from ..rule import DatabaseRule, Rule
from . import devices, driver_packages, scheduled_tasks
from .accounts import ACCOUNTS, SERVICE_PROFILES, USER_PROFILES
from .assemblies import find_assemblies
from .class_filters import filter_cleaning
from .compared import Compared
from .defender import find_defender
from .group_policies import find_policies
from .hardware import HARDWARE
from .licenses import LICENSES
from .machine import (
    DOMAIN_MEMBERSHIP,
    MACHINE_IDENTITY,
    MACHINE_SECRETS,
    NETWORK_PROFILES,
    TRANSACTIONS,
)
from .model import Database
from .network_adapters import NETWORK_ADAPTERS, adapter_cleaning, find_adapters
from .performance_counters import find_counters
from .servicing import CATALOG_DATABASE, SERVICING, SIDE_BY_SIDE
from .store_apps import STORE_APPS
from .system_files import SYSTEM_FILES, system_file_rules, system_service_rules
from .windows_state import (
    ANTIVIRUS,
    COM_PLUS,
    PERFORMANCE_COUNTERS,
    SEARCH_INDEX,
    TRANSFERS,
    WINDOWS_UPDATE,
    WMI_REPOSITORY,
)

#: In this order: the first has the least weight.
DATABASES: tuple[Database, ...] = (
    ACCOUNTS,
    USER_PROFILES,
    SERVICE_PROFILES,
    MACHINE_IDENTITY,
    MACHINE_SECRETS,
    DOMAIN_MEMBERSHIP,
    NETWORK_PROFILES,
    TRANSACTIONS,
    LICENSES,
    STORE_APPS,
    SERVICING,
    SIDE_BY_SIDE,
    CATALOG_DATABASE,
    WMI_REPOSITORY,
    SEARCH_INDEX,
    ANTIVIRUS,
    WINDOWS_UPDATE,
    TRANSFERS,
    COM_PLUS,
    PERFORMANCE_COUNTERS,
    HARDWARE,
    NETWORK_ADAPTERS,
)

#: Functions that return the rules about databases of which a Windows installation has many, such as devices.
#: Those of databases that a layer takes with files that servicing installed are behind ``system_file_rules``.
FINDERS: tuple[Callable[[Compared], list[Rule]], ...] = (
    find_assemblies,
    find_defender,
    find_policies,
    scheduled_tasks.find_tasks,
    system_file_rules,
    system_service_rules,
    find_counters,
    devices.find_devices,
    find_adapters,
)

#: Names of the databases that the rules of ``FINDERS`` belong to.
FOUND: frozenset[str] = frozenset((SYSTEM_FILES, devices.NAME, driver_packages.NAME, scheduled_tasks.NAME))

#: Databases of which a rule of the user may include a part.
DIVISIBLE: frozenset[str] = FOUND | {database.name for database in DATABASES if database.divisible}

#: Functions that return a step, which removes from the delta of a hive the items of lists that are left out, with the
#: databases whose objects the items name.
CLEANINGS: tuple[tuple[Callable[[Compared], Callable[[Delta], None]], frozenset[str]], ...] = (
    (adapter_cleaning, frozenset((NETWORK_ADAPTERS.name,))),
    (filter_cleaning, frozenset((SYSTEM_FILES, SERVICING.name))),
)

#: The names that a user's rule can give.
NAMES: frozenset[str] = frozenset(database.name for database in DATABASES) | FOUND


def database_rules(kind: str) -> list[Rule]:
    """Return the rules of ``DATABASES`` for layers of ``kind``."""
    return [rule for database in DATABASES for rule in database.rules(kind)]


def found_rules(compared: Compared) -> list[Rule]:
    """Return the rules about the databases that the two disks have."""
    return [rule for find in FINDERS for rule in find(compared)]


def cleanings(compared: Compared, user_rules: Sequence[Rule | DatabaseRule]) -> list[Callable[[Delta], None]]:
    """Return the steps that clean the deltas, except those of databases that the rules ``user_rules`` include."""
    verdicts = {rule.database: rule.include for rule in user_rules if isinstance(rule, DatabaseRule)}
    included = {name for name, include in verdicts.items() if include}
    return [make(compared) for make, databases in CLEANINGS if included.isdisjoint(databases)]


def expand(rules: Iterable[Rule], user_rules: Iterable[Rule | DatabaseRule]) -> list[Rule]:
    """Return the user's rules ``user_rules``, with a rule for each member instead of a rule about a database.

    ``rules`` are all other rules; those of the database name its members.
    """
    members = list(rules)
    expanded: list[Rule] = []
    for rule in user_rules:
        if isinstance(rule, Rule):
            expanded.append(rule)
            continue
        expanded += [
            replace(member, reason=rule.reason, include=rule.include)
            for member in members
            if member.database == rule.database
        ]
    return expanded
