# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of Windows: a layer contains all members or none, and rules of the user that divide them are reported."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture import exclusions
from ansible_collections.strata.layering.plugins.module_utils.capture.databases.all import (
    DATABASES,
    NAMES,
    database_rules,
    expand,
)
from ansible_collections.strata.layering.plugins.module_utils.capture.databases.model import ALL_LAYERS, Database
from ansible_collections.strata.layering.plugins.module_utils.capture.rules import (
    RuleSet,
    default_rules,
    parse_rules,
    windows_rules,
)
from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.tests.support.pypi_samples import sample_bytes

GUID = "{0a1b2c3d-0000-1111-2222-333344445555}"
JOURNALS = (
    "-wal",
    "-shm",
    "-journal",
    ".LOG1",
    ".LOG2",
    f"{GUID}.TM.blf",
    f"{GUID}.TMContainer00000000000000000001.regtrans-ms",
)
#: Journals of the database engine ESE, next to its files.
LOGS = ("edb.log", "edb00001.log", "edb.chk", "edbres00001.jrs")


@pytest.fixture(name="defaults", scope="module")
def _defaults():
    """The rules of a capture by kind of layer, with the lists of a real installation."""
    system = read_hive(sample_bytes("dissect.regf", "3.14", "tests/_data/SYSTEM.gz"))
    windows = windows_rules(system.key("ControlSet001"))
    return {kind: [*windows, *default_rules(), *database_rules(kind)] for kind in ALL_LAYERS}


def sample(pattern: str) -> str:
    """Return a path or key that a pattern matches."""
    return pattern.replace("**", "any").replace("*", "any").replace("?", "0")


def verdicts(rules: RuleSet, database: Database) -> dict[str, bool]:
    """Return whether each member is left out, with its journals and everything below it."""
    found = {}
    for pattern in database.files:
        path = sample(pattern).replace("\\", "/")
        paths = [path, f"{path}/below", *(f"{path}{journal}" for journal in JOURNALS)]
        paths += [f"{path}/{log}" for log in LOGS]
        found.update((path, rules.file(path) is not None) for path in paths)
    for pattern in database.keys:
        key, value = (pattern, "any") if isinstance(pattern, str) else pattern
        hive, _separator, path = sample(key).replace("CurrentControlSet", "ControlSet001").partition("\\")
        found[f"{key}: {value}"] = rules.value(hive, path, sample(value)) is not None
        if isinstance(pattern, str):
            found[key] = rules.key(hive, path) is not None
            found[f"{key}\\below"] = rules.value(hive, f"{path}\\below", "any") is not None
    return found


@pytest.mark.parametrize("kind", sorted(ALL_LAYERS))
@pytest.mark.parametrize("database", DATABASES, ids=lambda database: database.name)
def test_database_members_have_one_verdict(defaults, database, kind):
    found = verdicts(RuleSet(defaults[kind]), database)
    assert found
    assert {member for member, is_left_out in found.items() if is_left_out == (kind in database.taken_by)} == set()


@pytest.mark.parametrize("action", ["include", "exclude"])
@pytest.mark.parametrize("database", DATABASES, ids=lambda database: database.name)
def test_database_rule_of_the_user_decides_about_all_members(defaults, database, action):
    rules = parse_rules([{"database": database.name, "action": action}])
    found = verdicts(RuleSet([*defaults["app"], *expand(defaults["app"], rules)]), database)
    assert set(found.values()) == {action == "exclude"}


def test_database_rule_keeps_what_does_not_belong_to_the_database(defaults):
    rules = expand(defaults["app"], parse_rules([{"database": "user_profile", "action": "exclude", "reason": "mine"}]))
    compiled = RuleSet([*defaults["app"], *rules])
    assert compiled.file("Users/Public/x") is None
    assert compiled.file("Users/Default/AppData/Local/Temp/x").reason == "temporary"
    assert compiled.file("Users/Someone/x").reason == "mine"


def test_database_name_is_unknown_is_rejected():
    with pytest.raises(InvalidInput) as caught:
        parse_rules([{"database": "registry"}])
    assert caught.value.code == "capture.rule"


def test_database_names_are_no_reasons_of_single_files():
    assert NAMES.isdisjoint(exclusions.FILES)
    assert len({database.name for database in DATABASES}) == len(DATABASES)


def test_single_files_are_left_out_by_every_layer(defaults):
    """No database that layers contain has a member that is left out as a single file."""
    for kind, rules in defaults.items():
        compiled = RuleSet(rules)
        for patterns in exclusions.FILES.values():
            for pattern in patterns:
                assert compiled.file(sample(pattern).replace("\\", "/")), (kind, pattern)


def test_journal_follows_its_main_file():
    rules = RuleSet(parse_rules([{"path": "App\\*.db-wal"}, {"path": "App\\left.db", "reason": "main"}]))
    assert rules.file("App/left.db-wal").reason == "main"
    assert rules.file(f"App/left.db{GUID}.TM.blf").reason == "main"
    assert rules.file("App/kept.db-wal") is None


def divided(defaults, given: list[dict], items: list[str]) -> list[str]:
    """Return the databases that rules of the user divide, when the files and keys ``items`` changed."""
    rules = RuleSet([*defaults["app"], *expand(defaults["app"], parse_rules(given))], defaults=len(defaults["app"]))
    for item in items:
        if "/" in item:
            rules.file(item)
        else:
            hive, _separator, key = item.partition("\\")
            rules.key(hive, key)
    return [name for name, _taken, _missing in rules.divided.found()]


STORE = "ProgramData/Microsoft/Windows/AppRepository/StateRepository-Machine.srd"
PACKAGES = "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Appx\\x"


@pytest.mark.parametrize(
    ("given", "items", "expected"),
    [
        ([{"path": "ProgramData\\Microsoft\\**", "action": "include"}], [STORE, PACKAGES], ["store_apps"]),
        ([{"path": "ProgramData\\Microsoft\\**", "action": "include"}], [STORE], []),
        ([{"path": "ProgramData\\Microsoft\\**", "action": "include"}], [PACKAGES], []),
        ([{"database": "store_apps", "action": "include"}], [STORE, PACKAGES], []),
        (
            [{"path": "Windows\\Registration"}],
            ["Windows/Registration/x.clb", "SOFTWARE\\Microsoft\\COM3"],
            ["com_plus"],
        ),
        ([], [STORE, PACKAGES], []),
    ],
)
def test_rule_of_the_user_that_divides_a_database_is_found(defaults, given, items, expected):
    assert divided(defaults, given, items) == expected
