# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prepare the options of a module before Ansible converts them to the types of the argument specification.

Ansible turns the number 1.10 into the text 1.1, does not remove spaces from lists in a text, and takes an empty text
for a value. Nothing of that can be detected later. This file runs with old Pythons: see ``interpreter``.
"""

from __future__ import annotations

import os
import re
from typing import Any

from .errors import InvalidInput

#: Empty text is a value of these options. An empty version must not select all versions.
_MAY_BE_EMPTY = ("version", "description", "version_description", "comment")
_TEXTS = ("str", "path")
#: Marks of keys as text in PEM format, which has new lines; private keys must not reach options that are logged.
_PEM, _PRIVATE_KEY = "-----BEGIN ", "PRIVATE KEY-----"
_TRUE = ("yes", "on", "1", "true", "t", "y")


def prepare_options(
    values: dict[str, Any], specification: dict[str, Any], required_if: list[tuple[Any, ...]] | None = None
) -> None:
    """Normalize the options ``values`` in place, and check them as far as Ansible does not.

    Empty text, such as an unanswered question of a survey, counts as not given. A list that is given as text is split
    at commas and new lines, unless it is a key in PEM format.

    Raises:
        InvalidInput common.option_not_text: a number or boolean is given for a text.
        InvalidInput common.option_not_mapping: a text is given for suboptions.
        InvalidInput common.option_private_key: an option that Ansible logs contains a private key.
        InvalidInput common.option_missing: a required option with an environment variable is not set.
    """
    _prepare(values, specification, "")
    _require(values, specification, required_if or [])


def names_of(value: str) -> list[str]:
    """Return the names in a text, which are separated by commas or new lines."""
    return [name for name in (part.strip() for part in re.split("[,\n]", value)) if name]


def _prepare(values: dict[str, Any], specification: dict[str, Any], prefix: str) -> None:
    for option, spec in specification.items():
        for name in [option, *spec.get("aliases", [])]:
            if name not in values:
                continue
            if _is_unset(option, values[name], spec, bool(prefix)):
                del values[name]
            else:
                values[name] = _prepared(values[name], spec, prefix + name)


def _is_unset(option: str, value: Any, spec: dict[str, Any], is_suboption: bool) -> bool:
    if value is None:
        return "fallback" in spec
    if not isinstance(value, str) or value.strip() or option in _MAY_BE_EMPTY:
        return False
    if is_suboption and spec.get("type", "str") in _TEXTS and "choices" not in spec:
        return False
    return "fallback" in spec or not spec.get("required")


def _prepared(value: Any, spec: dict[str, Any], path: str) -> Any:
    """Return a value in the form that Ansible converts correctly."""
    kind = spec.get("type", "str")
    if kind == "list":
        element = {"type": spec["elements"], "options": spec.get("options"), "no_log": spec.get("no_log")}
        if isinstance(value, str):
            if spec["elements"] not in _TEXTS:
                return _prepared(value, element, path)
            value = [value] if _PEM in value else names_of(value)
        if not isinstance(value, list):
            return _prepared(value, element, path)
        if element["options"] and None in value:
            raise _not_mapping(None, element, f"{path}[{value.index(None)}]")
        return [_prepared(item, element, f"{path}[{number}]") for number, item in enumerate(value)]
    if kind == "dict":
        if isinstance(value, str) and not value.lstrip().startswith("{") and "=" not in value:
            raise _not_mapping(value, spec, path)
        # Ansible fails without a message if the value of suboptions is a number.
        if spec.get("options") and isinstance(value, (bool, int, float, list)):
            raise _not_mapping(value, spec, path)
        if isinstance(value, dict) and spec.get("options"):
            _prepare(value, spec["options"], path + ".")
    elif kind in _TEXTS and "choices" not in spec and isinstance(value, (bool, float)):
        raise _not_text(value, spec, path)
    elif isinstance(value, str) and not spec.get("no_log") and _PRIVATE_KEY in value:
        raise InvalidInput(
            f"The option {path} contains the text of a private key. Its value would be logged.",
            code="common.option_private_key",
            hint="Set an option for the text of a private key, such as sign_key_content, or name the file of the key.",
            option=path,
        )
    return value


def _not_text(value: bool | float, spec: dict[str, Any], path: str) -> InvalidInput:
    kind = "boolean" if isinstance(value, bool) else "number"
    if spec.get("no_log"):
        return not_text(path, f"a {kind}", "Write it in quotes.")
    text = str(value).lower()
    option = path.rpartition(".")[2]
    if kind == "boolean":
        hint = (
            f'Write it in quotes, such as {option}: "yes"; without quotes, YAML reads yes, no, on and off as booleans.'
        )
    else:
        hint = f'Write it in quotes, such as {option}: "{text}" or {option}: "{text}0"; without quotes, YAML reads both as the same number.'
    return not_text(path, f"the {kind} {text}", "Write it in quotes." if option.endswith("]") else hint)


def not_text(path: str, found: str, hint: str) -> InvalidInput:
    """Return the error for an option whose value is not text, and for which Ansible would take a different text."""
    return InvalidInput(
        f"The option {path} is {found}, not text.", code="common.option_not_text", hint=hint, option=path
    )


def _not_mapping(value: Any, spec: dict[str, Any], path: str) -> InvalidInput:
    options = spec.get("options") or {}
    if "name" in options and "version" in options:
        name = value if isinstance(value, str) and re.fullmatch(r"[\w .+-]+", value) else "NAME"
        latest = ", version: latest" if options["version"].get("required") else ""
        hint = f'Write the name and the version as separate keys, such as {{name: {name}{latest}}} or {{name: {name}, version: "1.0"}}.'
    elif options:
        hint = f"Write it as a mapping with keys, such as {{{next(iter(options))}: VALUE}}. The keys are {', '.join(options)}."
    else:
        hint = "Write it as a mapping with keys, such as {KEY: VALUE}."
    if isinstance(value, str):
        found = f"the text {value!r}"
    else:
        found = "empty" if value is None else "a list" if isinstance(value, list) else str(value).lower()
    return InvalidInput(
        f"The option {path} is {found}, not a mapping.",
        code="common.option_not_mapping",
        hint=hint,
        option=path,
    )


def _require(values: dict[str, Any], specification: dict[str, Any], required_if: list[tuple[Any, ...]]) -> None:
    """Check the required options that an environment variable can set: Ansible's message would not name the variable."""
    required = [name for name, spec in specification.items() if spec.get("required")]
    for condition in required_if:
        option, expected, names = condition[:3]
        current = values.get(option, specification[option].get("default"))
        if isinstance(expected, bool) and isinstance(current, str):
            current = current.lower() in _TRUE
        if current == expected and not condition[3:]:
            required += names
    missing = [name for name in required if not _is_given(name, values, specification[name])]
    variables = {name: _variable(specification[name]) for name in missing if "fallback" in specification[name]}
    if not variables:
        return
    single = len(missing) == 1
    raise InvalidInput(
        f"The option{'' if single else 's'} {_enumerate(missing)} {'is' if single else 'are'} not set.",
        code="common.option_missing",
        hint=(
            f"Set {missing[0] if single else 'them'}, or {_enumerate(list(variables.values()))} in the environment of the host that runs the module."
            f" In roles, set {_enumerate([_role_variable(*item) for item in variables.items()])}."
        ),
        options=missing,
        variables=list(variables.values()),
    )


def _is_given(name: str, values: dict[str, Any], spec: dict[str, Any]) -> bool:
    current = any(values.get(alias) is not None for alias in [name, *spec.get("aliases", [])])
    return current or ("fallback" in spec and bool(os.environ.get(_variable(spec), "").strip()))


def _variable(spec: dict[str, Any]) -> str:
    """Return the environment variable that sets an option."""
    return spec["fallback"][1][0]


def _role_variable(name: str, variable: str) -> str:
    """Return the variable of all roles for an option that an environment variable sets."""
    return f"layering_horizon_{name}" if variable.startswith("HORIZON_") else f"layering_{name}"


def _enumerate(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
