# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a capture: the files, keys and values that a layer does not contain, with the reasons.

The sources are the lists of the captured Windows under ``Control\\BackupRestore`` (Microsoft Learn, "Registry Keys
and Values for Backup and Restore"), ``exclusions``, ``databases``, and the rules of the user. The last matching rule decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from ..common.errors import InvalidInput
from ..ntfs.journals import main_name
from ..winregistry.hive_model import Key
from ..winregistry.hive_names import HIVES
from ..winregistry.key_patterns import PatternTree, name_matcher
from ..winregistry.registry_values import decode_multi_string
from ..winregistry.upcase import WINDOWS
from . import exclusions
from .databases.all import NAMES
from .rule import DatabaseRule, Rule

MAXIMUM_RULES = 2000
# Characters that no file name contains, and variables, which are not replaced in rules.
_NEVER_IN_PATH = re.compile(r'[:"<>|]|^%[^\\%]+%(\\|$)')
_PATTERN_HINT = f"Begin a path below the drive, without variables, and a key with its hive: {', '.join(HIVES)}."
_RULE_HINT = (
    "Give the rule a path, or a key and optionally a value, or a database. The action is exclude or include; "
    "the reason is any text."
)
_FIELDS = frozenset(("path", "key", "value", "database", "action", "reason"))


def default_rules() -> list[Rule]:
    """Return the rules of ``exclusions``."""
    rules = [Rule(pattern, reason) for reason, patterns in exclusions.FILES.items() for pattern in patterns]
    rules += [Rule(pattern, "", include=True) for pattern in exclusions.KEPT_FILES]
    for reason, patterns in exclusions.KEYS.items():
        for pattern in patterns:
            key, value = (pattern, None) if isinstance(pattern, str) else pattern
            rules.append(Rule(key, reason, True, value))
    return rules


def parse_rules(entries: Sequence[Mapping] | None) -> list[Rule | DatabaseRule]:
    """Return the rules of an option: a list of dictionaries.

    They have ``path``, ``key`` (and ``value``) or ``database``, and optionally ``action`` and ``reason``.

    Raises:
        InvalidInput: there are too many rules, or a rule is not valid; the message names it.
    """
    entries = entries or ()
    if len(entries) > MAXIMUM_RULES:
        raise InvalidInput(
            f"The option exclusions has {len(entries)} rules; the limit is {MAXIMUM_RULES}.",
            code="capture.rules",
            hint="Combine rules with the wildcards * and **.",
        )
    return [_parse(entry, number) for number, entry in enumerate(entries, 1)]


def _parse(entry: object, number: int) -> Rule | DatabaseRule:
    if not isinstance(entry, Mapping) or not all(value is None or isinstance(value, str) for value in entry.values()):
        raise _invalid(number, "is not a dictionary with strings as values")
    fields = {name: value for name, value in entry.items() if value is not None}
    unknown = sorted(map(str, fields.keys() - _FIELDS))
    if unknown:
        raise _invalid(number, f"has the unknown field {unknown[0][:60]}")
    if len({"path", "key", "database"} & fields.keys()) != 1:
        raise _invalid(number, "needs either a path, a key or a database")
    if "value" in fields and "key" not in fields:
        raise _invalid(number, "has a value, which only a rule with a key can have")
    action = fields.get("action", "exclude")
    if action not in ("exclude", "include"):
        raise _invalid(number, f"has the unknown action {action[:60]!r}; the actions are exclude and include")
    if "database" in fields:
        return _about_database(fields["database"], fields.get("reason"), action == "include", number)
    is_registry = "key" in fields
    pattern = fields["key" if is_registry else "path"].replace("/", "\\").strip("\\")
    pattern = _below_hive(pattern) if is_registry else _below_drive(pattern, number)
    if not pattern:
        raise _invalid(number, "has an empty path or key")
    if (is_registry and not _names_hive(pattern)) or (not is_registry and _NEVER_IN_PATH.search(pattern)):
        raise _invalid(number, f"cannot match anything on the disk: {pattern[:200]!r}", _PATTERN_HINT)
    rule = Rule(pattern, fields.get("reason", "rule"), is_registry, fields.get("value"), action == "include")
    if not _is_pattern(pattern):
        raise _invalid(number, f"has an invalid pattern of {'keys' if is_registry else 'paths'}: {pattern[:200]!r}")
    return rule


def _about_database(name: str, reason: str | None, include: bool, number: int) -> DatabaseRule:
    if name not in NAMES:
        hint = f"Give the name of a database: {', '.join(sorted(NAMES))}."
        raise _invalid(number, f"has the unknown database {name[:60]!r}", hint)
    return DatabaseRule(name, reason or name, include)


def _invalid(number: int, problem: str, hint: str = _RULE_HINT) -> InvalidInput:
    return InvalidInput(
        f"Rule {number} of the option exclusions {problem}.", code="capture.rule", hint=hint, rule=number
    )


def _below_hive(pattern: str) -> str:
    """Return a pattern of keys with the hive's name first."""
    for prefix, hive in (
        ("HKEY_LOCAL_MACHINE\\", ""),
        ("HKLM\\", ""),
        ("HKEY_USERS\\.DEFAULT", "DEFAULT"),
        ("HKU\\.DEFAULT", "DEFAULT"),
    ):
        if pattern.upper().startswith(prefix):
            pattern = hive + pattern[len(prefix) :]
    return pattern


def _below_drive(pattern: str, number: int) -> str:
    """Return a pattern of paths without the system drive."""
    if pattern[1:3] != ":\\" and pattern[1:] != ":":
        return pattern
    if pattern[0] not in "cC":
        raise _invalid(number, f"names the drive {pattern[0]}:, but only drive C: is captured")
    return pattern[3:]


def _names_hive(pattern: str) -> bool:
    first = pattern.partition("\\")[0]
    return first in ("", "**") or any(name_matcher(first)(WINDOWS.fold(hive)) for hive in HIVES)


def windows_rules(control: Key) -> list[Rule]:
    """Return the rules of Windows, from BackupRestore of the control set ``control``. Invalid entries are ignored."""
    rules = []
    for name in ("FilesNotToBackup", "FilesNotToSnapshot"):
        rules += [
            Rule(pattern, "backup_list")
            for text in _texts(control.key(f"Control\\BackupRestore\\{name}"))
            if (pattern := _file_pattern(text))
        ]
    for text in _texts(control.key("Control\\BackupRestore\\KeysNotToRestore")):
        if text.endswith("\\*"):
            continue  # Windows merges these keys when it restores them.
        key, value = (text[:-1], None) if text.endswith("\\") else text.rpartition("\\")[::2]
        rule = Rule(f"SYSTEM\\{key}".rstrip("\\"), "backup_list", True, value)
        if key and _is_pattern(rule.pattern):
            rules.append(rule)
    return rules


def _texts(key: Key | None) -> Iterable[str]:
    for value in key.values.values() if key is not None else ():
        yield from (text.strip() for text in decode_multi_string(value) or ())


def _file_pattern(text: str) -> str | None:
    if text[-3:].lower() == " /s":
        text = text[:-3].rstrip()
    lowered = text.lower()
    for variable, path in exclusions.VARIABLES.items():
        if lowered.startswith(variable):
            text = path + text[len(variable) :]
            break
    if text[1:3] == ":\\":
        text = text[2:] if text[0] in "cC" else ""
    text = text.strip("\\").replace("*.*", "*")
    if not text.strip("*?\\") or any(character in text for character in '%$:"<>|'):
        return None
    return text if _is_pattern(text) else None


def _is_pattern(pattern: str) -> bool:
    tree: PatternTree[None] = PatternTree()
    try:
        tree.add(pattern, None)
    except InvalidInput:
        return False
    return True


class RuleSet:
    """Compiled rules. ``current`` is the name of the control set that Windows starts with.

    The first ``defaults`` rules (all of them if not given) are not rules of the user. ``divided`` records databases of
    which rules of the user have a part included or left out: a pair of examples of both, by name.
    """

    def __init__(self, rules: Iterable[Rule], *, current: str = "ControlSet001", defaults: int | None = None) -> None:
        self.rules = list(rules)
        self._defaults = len(self.rules) if defaults is None else defaults
        self.divided = DividedDatabases()
        self._current = WINDOWS.fold(current)
        self._files: PatternTree[tuple[int, Rule]] = PatternTree()
        self._keys: PatternTree[tuple[int, Rule]] = PatternTree()
        self._values: PatternTree[tuple[int, Rule, Callable[[str], object]]] = PatternTree()
        self._included_keys: PatternTree[None] = PatternTree()
        for number, rule in enumerate(self.rules):
            if not rule.registry:
                self._files.add(rule.pattern, (number, rule), literal=rule.literal, below=rule.below)
                continue
            hive, _separator, path = rule.pattern.partition("\\")
            key = self._key_path(hive, path) if path else hive
            if rule.include or not rule.is_member:
                self._included_keys.add(key, None, literal=rule.literal, below=rule.below and rule.value is None)
            if rule.value is None:
                self._keys.add(key, (number, rule), literal=rule.literal, below=rule.below)
            else:
                # A rule about values applies to the key only, not to the keys below it.
                matches = WINDOWS.fold(rule.value).__eq__ if rule.literal else name_matcher(rule.value)
                self._values.add(key, (number, rule, matches), literal=rule.literal)

    def file(self, path: str, *, serviced: bool = False) -> Rule | None:
        """Return the rule that excludes the file ``path`` ("/" between names), None if it is captured.

        The rule about its main file decides about a journal. ``serviced`` states that servicing owns the file.
        """
        found = self._files.find((main_name(path) or path).replace("/", "\\"))
        return self._decide((item for item in found if serviced or not item[1].serviced), path)

    def including_file(self, path: str) -> Rule | None:
        """Return the rule that includes the file ``path``, None if no rule matches or the file is excluded."""
        found = self._files.find((main_name(path) or path).replace("/", "\\"))
        return _including(item for item in found if not item[1].serviced)

    def including_key(self, hive: str, path: str) -> Rule | None:
        """Return the rule that includes a key, None if no rule matches or the key is excluded."""
        return _including(self._keys.find(self._key_path(hive, path)))

    def including_value(self, hive: str, path: str, name: str) -> Rule | None:
        """Return the rule that includes a value of a key, by its name or with the key; None as ``including_key``."""
        return _including(self._value_rules(hive, path, name))

    def key(self, hive: str, path: str, *, is_way: bool = False) -> Rule | None:
        """Return the rule that excludes a key (backslashes between names, relative to its hive's root).

        With ``is_way``, ``divided`` does not record the key: rules may include something below it.
        """
        return self._decide(self._keys.find(self._key_path(hive, path)), None if is_way else f"{hive}\\{path}")

    def value(self, hive: str, path: str, name: str) -> Rule | None:
        """Return the rule that excludes a value of a key, by the value's name or with the key."""
        return self._decide(self._value_rules(hive, path, name), f"{hive}\\{path}\\{name}")

    def may_include_below(self, hive: str, path: str) -> bool:
        """Return whether a rule may include a key, its values or something below it; false is certain."""
        state = self._included_keys.start
        for name in self._key_path(hive, path).split("\\"):
            state = self._included_keys.advance(state, WINDOWS.fold(name))
        return bool(state)

    def _value_rules(self, hive: str, path: str, name: str) -> list[tuple[int, Rule]]:
        folded, key = WINDOWS.fold(name), self._key_path(hive, path)
        rules = list(self._keys.find(key))
        rules += [(number, rule) for number, rule, matches in self._values.find(key) if matches(folded)]
        return sorted(rules, key=lambda item: item[0])

    def _key_path(self, hive: str, path: str) -> str:
        if WINDOWS.fold(hive) == "SYSTEM":
            first, separator, rest = path.partition("\\")
            if WINDOWS.fold(first) == self._current:
                path = f"CurrentControlSet{separator}{rest}"
        return f"{hive}\\{path}"

    def _decide(self, rules: Iterable[tuple[int, Rule]], item: str | None) -> Rule | None:
        """Return the rule that excludes ``item`` of all ``rules`` that match it, in their order."""
        number, decisive, member = _decisive(rules)
        if member is not None and decisive is not None and item is not None:
            by_user = number >= self._defaults and not decisive.database
            self.divided.add(member.database, item, included=decisive.include, by_user=by_user)
        return None if decisive is None or decisive.include else decisive


def _including(rules: Iterable[tuple[int, Rule]]) -> Rule | None:
    decisive = _decisive(rules)[1]
    return decisive if decisive is not None and decisive.include else None


def _decisive(rules: Iterable[tuple[int, Rule]]) -> tuple[int, Rule | None, Rule | None]:
    """Return the number of the last of ``rules``, the rule that decides, and the rule that says to which database the item belongs."""
    decisive: Rule | None = None
    member: Rule | None = None
    before: dict[str, Rule | None] = {}
    number = 0
    for number, rule in rules:
        if rule.database and not rule.is_member:
            decisive, member = before.pop(rule.database, decisive), None
            continue
        if rule.database:
            before.setdefault(rule.database, decisive)
            member = rule
        decisive = rule
    return number, decisive, member


class DividedDatabases:
    """Records which members of databases are included and left out, and whether a rule of the user decided."""

    def __init__(self) -> None:
        self._examples: dict[str, dict[bool, str]] = {}
        self._by_user: set[str] = set()

    def add(self, database: str, item: str, *, included: bool, by_user: bool) -> None:
        """Record the verdict on a member of a database."""
        self._examples.setdefault(database, {}).setdefault(included, item)
        if by_user:
            self._by_user.add(database)

    def found(self) -> Iterator[tuple[str, str, str]]:
        """Yield the databases that rules of the user divide, with an included member and a member that is left out."""
        for database in sorted(self._by_user):
            examples = self._examples[database]
            if len(examples) == 2:
                yield database, examples[True], examples[False]


class LeftOut:
    """Excluded items, counted by kind and reason, with the first examples of each.

    ``observer`` is called with the kind, the reason and the name of each item.
    """

    def __init__(self, examples: int = 20, observer: Callable[[str, str, str], None] | None = None) -> None:
        self._examples = examples
        self._observer = observer
        self._entries: dict[tuple[str, str], dict] = {}

    def add(self, kind: str, reason: str, item: str, rule: str = "") -> None:
        """Record an excluded item; ``kind`` is "file", "removal", "metadata", "key" or "value"."""
        entry = self._entries.setdefault(
            (kind, reason), {"kind": kind, "reason": reason, "count": 0, "examples": [], "rules": []}
        )
        entry["count"] += 1
        if len(entry["examples"]) < self._examples:
            entry["examples"].append(item)
        if self._observer is not None:
            self._observer(kind, reason, item)
        if rule and rule not in entry["rules"] and len(entry["rules"]) < self._examples:
            entry["rules"].append(rule)

    def report(self) -> list[dict]:
        """Return the counts and examples, JSON-compatible, by kind and reason."""
        return [self._entries[key] for key in sorted(self._entries)]
