# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find mistakes in the variables of a role that Ansible's validation of arguments accepts.

Ansible validates the variables that an argument specification names. It ignores variables with other names, and it
converts a number such as ``1.10`` to the text ``1.1``. A problem is a dictionary with the keys ``problem`` (``unknown``,
``type``, ``not_text`` or ``missing``), ``variable`` and ``message``; an unknown variable also has ``suggestion`` and
``misspelled``, which is false if the variable may belong to something else, such as the role composer of another collection.
"""

from __future__ import annotations

import datetime
import difflib
import fnmatch
import functools
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

#: Prefix of the variables that apply to all roles, and the variables with it that playbooks and plugins read.
COMMON = "layering"
_COMMON_NAMES = frozenset({"layering_hosts", "layering_own_variables"})
#: Names that are so similar to a variable of the role that they count as misspelled: the maximum number of edits.
_EDITS = 2
#: Options with names and versions of objects, which YAML can read as a number, a date or a truth value.
_TEXT_OPTIONS = frozenset({"name", "version", "start_from"})
_TEXT_LISTS = frozenset({"confirmed_for", "layered_image_publish"})
_EXAMPLES = {"version": '"1.10"', "start_from": '"1.10"', "confirmed_for": '["1.10"]'}
_ROLE_FOLDERS = ("defaults", "vars", "meta", "tasks", "templates")

Problem = dict[str, Any]


class RoleNames:
    """The names of the variables of a role, from the files in its folder ``path``."""

    def __init__(self, path: pathlib.Path) -> None:
        self.role = path.name
        self._path = path
        specification = _load(path / "meta" / "argument_specs.yml")
        self.options: dict[str, Any] = specification["argument_specs"]["main"]["options"]

    @functools.cached_property
    def known(self) -> frozenset[str]:
        """Names with the prefix of the role that its files contain, such as registered results."""
        pattern = re.compile(rf"\b{self.role}_\w+")
        found = {name for text in _texts(self._path) for name in pattern.findall(text)}
        return frozenset(found) | frozenset(self.options)

    @functools.cached_property
    def common(self) -> frozenset[str]:
        """Names of the variables that apply to all roles."""
        pattern = re.compile(rf"\b{COMMON}_\w+")
        defaults = self._path.parent.glob("*/defaults/main.yml")
        return _COMMON_NAMES.union(*(pattern.findall(path.read_text(encoding="utf-8")) for path in defaults))

    @functools.cached_property
    def of_other_roles(self) -> frozenset[str]:
        """Names of the variables of the other roles."""
        paths = self._path.parent.glob("*/defaults/main.yml")
        return frozenset(name for path in paths if path.parts[-3] != self.role for name in _load(path) or {})


def unknown_variables(names: RoleNames, variables: Iterable[str], own: Iterable[str]) -> list[Problem]:
    """Return a problem for each name in ``variables`` that looks like a variable of the role and is not known.

    ``own`` are the names, or patterns such as ``app_layer_site_*``, that the user has for other purposes.
    """
    problems = []
    for name in sorted(variables):
        if name.startswith("ansible_") or any(fnmatch.fnmatchcase(name, pattern) for pattern in own):
            continue
        if _begins_with(name, names.role):
            prefix, known, subject = names.role, names.known, f"a variable of the role {names.role}"
            suggestions: Iterable[str] = names.options
        elif _begins_with(name, COMMON):
            prefix, known, subject = COMMON, names.common, "a variable of the roles of strata.layering"
            suggestions = names.common
        elif name not in names.of_other_roles:
            prefix, known, subject = names.role, frozenset(), f"a variable of the role {names.role}"
            suggestions = names.options
        else:
            continue
        if name in known:
            continue
        is_misspelled = any(_is_similar(name, option) for option in suggestions)
        if is_misspelled or name.startswith(f"{prefix}_"):
            problems.append(_unknown(name, subject, suggestions, is_misspelled))
    return problems


def _begins_with(name: str, prefix: str) -> bool:
    """Return whether a name begins with a prefix, with any underscores: app_layers_versions, applayer_versions."""
    squeezed = prefix.replace("_", "")
    return name not in (prefix, squeezed) and name.replace("_", "").lower().startswith(squeezed)


def _unknown(name: str, subject: str, suggestions: Iterable[str], is_misspelled: bool) -> Problem:
    close = difflib.get_close_matches(name, suggestions, n=1, cutoff=0.75)
    own = f"If {name} has another purpose, add it to layering_own_variables."
    hint = f"Did you mean {close[0]}? {own}" if close else own
    return {
        "problem": "unknown",
        "variable": name,
        "suggestion": close[0] if close else None,
        "misspelled": is_misspelled,
        "message": f"{name} is not {subject}. {hint}",
    }


def _is_similar(name: str, option: str) -> bool:
    """Return whether ``name`` is probably meant to be ``option``: at most ``_EDITS`` edits of characters make it so.

    Names of the own such as my_layer_versions and app_layer_versions_b are not similar to os_layer_versions and app_layer_versions.
    """
    if len(option) < 8 or name[0].lower() != option[0] or name.startswith(f"{option}_"):
        return False
    return _edits(name, option) <= _EDITS or _edits(name.replace("_", "").lower(), option.replace("_", "")) <= 1


def _edits(name: str, option: str) -> int:
    """Return how many edits of characters make ``option`` from ``name``, at most ``_EDITS`` + 1."""
    if abs(len(name) - len(option)) > _EDITS:
        return _EDITS + 1
    row = list(range(len(option) + 1))
    for index, character in enumerate(name, 1):
        previous, row[0] = row[0], index
        for column, other in enumerate(option, 1):
            previous, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, previous + (character != other)),
            )
        if min(row) > _EDITS:
            return _EDITS + 1
    return min(row[-1], _EDITS + 1)


def wrong_values(options: Mapping[str, Any], values: Mapping[str, Any]) -> list[Problem]:
    """Return the problems in the values of a role's variables: versions that are not text, entries without version."""
    problems: list[Problem] = []
    for name, option in options.items():
        if name in values:
            _check(name, name, option, values[name], problems)
    return problems


def _check(name: str, path: str, option: Mapping[str, Any], value: object, problems: list[Problem]) -> None:
    """Append the problems of the value of an option ``name`` at ``path``, such as app_layer_versions[0].os_layer."""
    if name in _TEXT_OPTIONS:
        _check_text(name, path, value, problems)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if name in _TEXT_LISTS:
                _check_text(name, f"{path}[{index}]", item, problems)
            elif isinstance(item, Mapping):
                _check_entry(f"{path}[{index}]", option.get("options", {}), item, problems)
    elif isinstance(value, Mapping):
        _check_entry(path, option.get("options", {}), value, problems)


def _check_entry(path: str, options: Mapping[str, Any], entry: Mapping[str, Any], problems: list[Problem]) -> None:
    start = len(problems)
    for name, option in options.items():
        if name in entry:
            _check(name, f"{path}.{name}", option, entry[name], problems)
    is_present = entry.get("state") in (None, "", "present")
    if "version" in options and "state" in options and is_present and entry.get("version") in (None, ""):
        problems.append({"problem": "missing", "variable": path, "message": f"{path} has no version."})
    if "." not in path and isinstance(entry.get("name"), str):
        for problem in problems[start:]:
            problem["message"] = problem["message"].replace(path, f"{path} ({entry['name']})", 1)


def _check_text(name: str, path: str, value: object, problems: list[Problem]) -> None:
    found = _not_text(value)
    if found is not None:
        example = f"{name}: {_EXAMPLES[name]}" if name in _EXAMPLES else f'{name}: "{value}"'
        message = f"{path} is {found}, not text. Write it in quotes, such as {example}."
        problems.append({"problem": "not_text", "variable": path, "message": message})


def _not_text(value: object) -> str | None:
    """Return the description of a value whose text in the YAML file can differ from ``str(value)``, None for text."""
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()} (YAML reads yes, no, on and off as truth values)"
    if isinstance(value, float):
        return f"the number {value}"
    if isinstance(value, datetime.date):
        return f"the date {value}"
    return None


def wrong_types(types: Mapping[str, str], values: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of variables that have a type but can be empty; ``types`` are Ansible's names of types."""
    problems = []
    for name, kind in types.items():
        value = values.get(name)
        if (
            value in (None, "")
            or not ArgumentSpecValidator({name: {"type": kind}}).validate({name: value}).error_messages
        ):
            continue
        expected = {"int": "an integer", "bool": "true or false", "list": "a list"}.get(kind, kind)
        message = f"{name} is {value!r}; expected {expected}."
        problems.append({"problem": "type", "variable": name, "message": message})
    return problems


def wrong_choices(choices: Mapping[str, list[str]], values: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of variables that have choices but can be empty."""
    return [
        {
            "problem": "type",
            "variable": name,
            "message": f"{name} is {values[name]!r}; expected {' or '.join(allowed)}.",
        }
        for name, allowed in choices.items()
        if values.get(name) not in (None, "", *allowed)
    ]


def _texts(path: pathlib.Path) -> Iterable[str]:
    for folder in _ROLE_FOLDERS:
        for file in (path / folder).rglob("*"):
            if file.is_file():
                yield file.read_text(encoding="utf-8")


def _load(path: pathlib.Path) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506
