# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of a capture: which files, keys and values stay out of a layer, and why.

There are three sources: ``exclusions``, what the captured Windows itself lists under
``Control\\BackupRestore`` (Microsoft Learn, "Registry Keys and Values for Backup and Restore"), and
rules given by the user. Where several hold, the last one decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..common.errors import InvalidInput
from ..winregistry.hive_model import Key
from ..winregistry.hive_names import HIVES
from ..winregistry.key_patterns import PatternTree, name_matcher
from ..winregistry.registry_values import decode_multi_string
from ..winregistry.upcase import WINDOWS
from . import exclusions

MAXIMUM_RULES = 2000
# What no name of a file has, and variables, which are not replaced in rules.
_NEVER_IN_PATH = re.compile(r'[:"<>|]|^%[^\\%]+%(\\|$)')
_PLACES = f"Begin a path below the drive, without variables, and a key with its hive: {', '.join(HIVES)}."
_FIELDS = frozenset(("path", "key", "value", "action", "reason"))


@dataclass(frozen=True)
class Rule:
    """``pattern`` names files, or keys with the hive's name first when ``registry``; ``value`` is a pattern
    of value names, None for keys as a whole. ``include`` takes in what an earlier rule leaves out."""

    pattern: str
    reason: str
    registry: bool = False
    value: str | None = None
    include: bool = False


def default_rules() -> list[Rule]:
    """The rules of ``exclusions``."""
    rules = [Rule(pattern, reason) for reason, patterns in exclusions.FILES.items() for pattern in patterns]
    rules += [Rule(pattern, "", include=True) for pattern in exclusions.KEPT_FILES]
    rules += [Rule(pattern, reason) for reason, patterns in exclusions.NEVER_FILES.items() for pattern in patterns]
    for reason, patterns in exclusions.KEYS.items():
        for pattern in patterns:
            key, value = (pattern, None) if isinstance(pattern, str) else pattern
            rules.append(Rule(key, reason, True, value))
    return rules


def parse_rules(given: Sequence[Mapping] | None) -> list[Rule]:
    """The rules of an option: a list of dictionaries with ``path`` or ``key`` (and ``value``), ``action``, ``reason``.

    InvalidInput names what is wrong.
    """
    rules = []
    if len(given or ()) > MAXIMUM_RULES:
        raise InvalidInput(f"{len(given)} rules are given; {MAXIMUM_RULES} are allowed.", code="capture.rules")
    for number, item in enumerate(given or (), 1):
        rules.append(_parse(item, f"Rule {number} of the capture"))
    return rules


def _parse(item: object, what: str) -> Rule:
    hint = "A rule has a path, or a key and perhaps a value; action is exclude or include; reason says why."
    if not isinstance(item, Mapping) or not all(value is None or isinstance(value, str) for value in item.values()):
        raise InvalidInput(f"{what} is not a dictionary of texts.", code="capture.rule", hint=hint)
    fields = {name: value for name, value in item.items() if value is not None}
    unknown = sorted(map(str, fields.keys() - _FIELDS))
    if unknown:
        raise InvalidInput(f"{what} has the unknown field {unknown[0][:60]}.", code="capture.rule", hint=hint)
    action = fields.get("action", "exclude")
    if (
        ("path" in fields) == ("key" in fields)
        or "value" in fields
        and "path" in fields
        or action not in ("exclude", "include")
    ):
        raise InvalidInput(f"{what} does not say what it is about.", code="capture.rule", hint=hint)
    registry = "key" in fields
    pattern = fields["key" if registry else "path"].replace("/", "\\").strip("\\")
    if registry:
        for prefix, hive in (
            ("HKEY_LOCAL_MACHINE\\", ""),
            ("HKLM\\", ""),
            ("HKEY_USERS\\.DEFAULT", "DEFAULT"),
            ("HKU\\.DEFAULT", "DEFAULT"),
        ):
            if pattern.upper().startswith(prefix):
                pattern = hive + pattern[len(prefix) :]
    elif pattern[1:3] == ":\\" or pattern[1:] == ":":
        if pattern[0] not in "cC":
            raise InvalidInput(
                f"{what} is about the drive {pattern[0]}:, but only the system drive is captured.",
                code="capture.rule",
                hint=hint,
            )
        pattern = pattern[3:]
    if registry and not _names_hive(pattern) or not registry and _NEVER_IN_PATH.search(pattern):
        raise InvalidInput(
            f"{what}: nothing on the disk can match {pattern[:200]!r}.", code="capture.rule", hint=_PLACES
        )
    rule = Rule(pattern, fields.get("reason", "rule"), registry, fields.get("value"), action == "include")
    try:
        PatternTree().add(pattern, rule)
    except InvalidInput as error:
        raise InvalidInput(
            f"{what}: {pattern[:200]!r} is no pattern of {'keys' if registry else 'paths'}.",
            code="capture.rule",
            hint=hint,
        ) from error
    if not pattern:
        raise InvalidInput(f"{what} names nothing.", code="capture.rule", hint=hint)
    return rule


def _names_hive(pattern: str) -> bool:
    first = pattern.partition("\\")[0]
    return first in ("", "**") or any(name_matcher(first)(WINDOWS.fold(hive)) for hive in HIVES)


def windows_rules(control: Key) -> list[Rule]:
    """What Windows lists under BackupRestore of the control set ``control``; entries that cannot be understood are left out."""
    rules = []
    for name in ("FilesNotToBackup", "FilesNotToSnapshot"):
        rules += [
            Rule(pattern, "backup_list")
            for text in _texts(control.key(f"Control\\BackupRestore\\{name}"))
            if (pattern := _file_pattern(text))
        ]
    for text in _texts(control.key("Control\\BackupRestore\\KeysNotToRestore")):
        if text.endswith("\\*"):
            continue  # These are merged when Windows restores, not left out.
        key, value = (text[:-1], None) if text.endswith("\\") else text.rpartition("\\")[::2]
        rule = Rule(f"SYSTEM\\{key}".rstrip("\\"), "backup_list", True, value)
        if key and _sound(rule.pattern):
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
    wild = text.strip("*?\\") == ""
    return text if text and not wild and not any(c in text for c in '%$:"<>|') and _sound(text) else None


def _sound(pattern: str) -> bool:
    try:
        PatternTree().add(pattern, None)
    except InvalidInput:
        return False
    return True


class RuleSet:
    """Rules, compiled. ``current`` is the name of the control set that Windows starts with."""

    def __init__(self, rules: Iterable[Rule], *, current: str = "ControlSet001") -> None:
        self.rules = list(rules)
        self._current = WINDOWS.fold(current)
        self._files: PatternTree[Rule] = PatternTree()
        self._keys: PatternTree[tuple[int, Rule]] = PatternTree()
        self._values: PatternTree[tuple[int, Rule, Callable[[str], object]]] = PatternTree()
        for number, rule in enumerate(self.rules):
            if not rule.registry:
                self._files.add(_with_all_below(rule.pattern), rule)
                continue
            hive, _separator, path = rule.pattern.partition("\\")
            place = self._place(hive, path) if path else hive
            if rule.value is None:
                self._keys.add(_with_all_below(place), (number, rule))
            else:
                # Values are named of one key, not of those below it.
                self._values.add(place, (number, rule, name_matcher(rule.value)))

    def file(self, path: str) -> Rule | None:
        """The rule that leaves out the file ``path`` ("/" between names), None when it is taken."""
        return _last(self._files.find(path.replace("/", "\\")))

    def key(self, hive: str, path: str) -> Rule | None:
        """The rule that leaves out a key (backslashes between names, relative to its hive's root)."""
        return _last(rule for _number, rule in self._keys.find(self._place(hive, path)))

    def value(self, hive: str, path: str, name: str) -> Rule | None:
        """The rule that leaves out a value of a key, by its own name or with the key."""
        folded, place = WINDOWS.fold(name), self._place(hive, path)
        found = list(self._keys.find(place))
        found += [(number, rule) for number, rule, matches in self._values.find(place) if matches(folded)]
        return _last(rule for _number, rule in sorted(found, key=lambda one: one[0]))

    def _place(self, hive: str, path: str) -> str:
        if WINDOWS.fold(hive) == "SYSTEM":
            first, separator, rest = path.partition("\\")
            if WINDOWS.fold(first) == self._current:
                path = f"CurrentControlSet{separator}{rest}"
        return f"{hive}\\{path}"


def _with_all_below(pattern: str) -> str:
    return pattern if pattern.endswith("**") else pattern + "\\**"


def _last(rules: Iterable[Rule]) -> Rule | None:
    rule = None
    for rule in rules:
        pass
    return None if rule is None or rule.include else rule


class LeftOut:
    """What was left out: counted by reason, with the first of each; ``watched`` are parts of paths in lower case that are looked out for."""

    def __init__(self, examples: int = 20, watched: Iterable[str] = ()) -> None:
        self._examples = examples
        self._watched: dict[str, list[str]] = {part: [] for part in watched}
        self._found: dict[tuple[str, str], dict] = {}

    def add(self, kind: str, reason: str, what: str, rule: str = "") -> None:
        """Note a ``kind`` ("file", "removal", "key", "value")."""
        entry = self._found.setdefault(
            (kind, reason), {"kind": kind, "reason": reason, "count": 0, "examples": [], "rules": []}
        )
        entry["count"] += 1
        if len(entry["examples"]) < self._examples:
            entry["examples"].append(what)
        text = what.replace("/", "\\").lower()
        for part, seen in self._watched.items():
            if len(seen) < self._examples and part in text:
                seen.append(what)
        if rule and rule not in entry["rules"] and len(entry["rules"]) < self._examples:
            entry["rules"].append(rule)

    def count(self, kind: str, reason: str) -> int:
        """How many of a kind were left out for a reason."""
        return self._found.get((kind, reason), {"count": 0})["count"]

    def seen(self, part: str) -> list[str]:
        """The first things left out whose path has ``part``, which is one of those watched, in it."""
        return list(self._watched[part])

    def report(self) -> list[dict]:
        """JSON-compatible, by kind and reason."""
        return [self._found[key] for key in sorted(self._found)]
