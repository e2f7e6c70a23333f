# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Examples in the documentation are valid: tasks against the argument specifications of modules, variables against those of roles."""

from __future__ import annotations

import ast
import pathlib
import re
import textwrap
from collections.abc import Iterator

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator, ModuleArgumentSpecValidator

from ansible_collections.strata.layering.tests.support.modules import specification_of

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_COLLECTION = "strata.layering."
#: Without modules that only document an action plugin.
_MODULES = sorted(
    path.stem
    for path in (_ROOT / "plugins" / "modules").glob("[!_]*.py")
    if "def main(" in path.read_text(encoding="utf-8")
)
_ROLES = sorted(path.name for path in (_ROOT / "roles").iterdir())
_PAGES = sorted([*_ROOT.glob("*.md"), *(_ROOT / "docs").rglob("*.md"), *(_ROOT / "roles").glob("*/README.md")])
_INVENTORIES = [
    _ROOT / "docs" / "inventory.example.yml",
    *sorted((_ROOT / "docs" / "examples" / "two_sites").glob("inventory.*.yml")),
    _ROOT / "tests" / "demo" / "inventory.yml",
]
_PLAYBOOKS = sorted((_ROOT / "docs" / "examples").glob("*.yml"))
#: Values by type, in place of templates that only Ansible can evaluate.
_ANY = {"int": 1, "float": 1.0, "bool": True, "list": [], "path": "/x", "str": "x", "raw": "x"}
#: Options that a role has once for all objects of a list.
#: Options for what is done once; an inventory describes a state.
_DONE_ONCE = {"clone_from", "rename_from"}
_OF_THE_ROLE = {
    "repository",
    "hostname",
    "username",
    "password",
    "validate_certs",
    "port",
    "ca_path",
    "proxy_host",
    "proxy_port",
    "file_share_username",
    "file_share_password",
    "file_share_encrypt",
    "domain",
    "api_log",
    "wait_sleep",
    "operation_timeout",
    "retries",
    "retry_pause",
}
#: Module, role, and the list variable with the options of the module.
_LISTS = [
    ("os_layer", "os_layer", "os_layer_versions"),
    ("app_layer", "app_layer", "app_layer_versions"),
    ("platform_layer", "platform_layer", "platform_layer_versions"),
    ("connector", "layered_image", "layered_image_connectors"),
    ("image_template", "layered_image", "layered_image_templates"),
    ("horizon_image_push", "horizon", "horizon_pools"),
    ("horizon_image_push", "horizon", "horizon_farms"),
    ("layer_transfer", "distribution", "distribution_pull"),
    ("layer_transfer", "distribution", "distribution_push"),
    ("layer_transfer", "distribution", "distribution_absent"),
]
#: Options that name the objects of a call, or that the list decides. The entries of a role have a name.
_NAMES = {"horizon_image_push": {"pools", "farms"}, "layer_transfer": {"state"}}


def _role_options(role: str) -> dict:
    return yaml.safe_load((_ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))[
        "argument_specs"
    ]["main"]["options"]


def _role_types(roles: list[str]) -> dict[str, dict]:
    """Return the types and choices of variables that can also be empty, which the first task of each role checks."""
    found: dict[str, dict] = {}
    for role in roles:
        tasks = yaml.safe_load((_ROOT / "roles" / role / "tasks" / "main.yml").read_text(encoding="utf-8"))
        checked = tasks[0].get(f"{_COLLECTION}role_variables") or {}
        found |= {name: {"type": kind} for name, kind in checked.get("types", {}).items()}
        found |= {name: {"choices": choices} for name, choices in checked.get("choices", {}).items()}
    return found


def _evaluated(value: object, option: dict) -> object:
    """Return ``value`` with a value of the right type in place of each template."""
    kind = option.get("type", "str")
    if isinstance(value, str) and "{{" in value:
        if kind == "dict":
            return {name: _evaluated("{{", suboption) for name, suboption in option.get("options", {}).items()}
        return option["choices"][0] if "choices" in option else _ANY[kind]
    if isinstance(value, dict) and "options" in option:
        return {name: _evaluated(item, option["options"].get(name, {})) for name, item in value.items()}
    if isinstance(value, list):
        return [
            _evaluated(item, {"type": option.get("elements", "str"), "options": option.get("options", {})})
            for item in value
        ]
    return value


def _problems_of_task(module: str, options: dict) -> list[str]:
    arguments = specification_of(module)
    specification = arguments["argument_spec"]
    rules = {
        name: arguments.get(name)
        for name in ("mutually_exclusive", "required_together", "required_one_of", "required_if", "required_by")
    }
    shortened = "..." in options
    options = {name: _evaluated(value, specification.get(name, {})) for name, value in options.items() if name != "..."}
    result = ModuleArgumentSpecValidator(specification, **rules).validate(options)
    from_environment = {name for name, option in specification.items() if "fallback" in option}

    def is_accepted(message: str) -> bool:
        """Return whether the example is shortened, or omits options that have an environment variable."""
        start, _colon, names = message.partition(": ")
        return (
            shortened
            and "missing" in message
            or start == "missing required arguments"
            and set(names.split(", ")) <= from_environment
        )

    return [message for message in result.error_messages if not is_accepted(message)]


def _problems_of_variables(variables: dict) -> Iterator[str]:
    """Yield the errors of the variables whose names begin with the name of a role."""
    for name, value in variables.items():
        owners = [role for role in _ROLES if name.startswith(f"{role}_")]
        if not owners:
            continue
        option = next((options[name] for role in owners if name in (options := _role_options(role))), None)
        if option is None:
            yield f"no role has the variable {name}"
            continue
        option = option | _role_types(owners).get(name, {})
        result = ArgumentSpecValidator({name: option}).validate({name: _evaluated(value, option)})
        yield from (f"{name}: {message}" for message in result.error_messages)


def _tasks_in(node: object) -> Iterator[tuple[str, dict]]:
    """Yield (module, options) of the collection's tasks anywhere in a document."""
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _tasks_in(child)
    if isinstance(node, dict):
        for name, options in node.items():
            if str(name).startswith(_COLLECTION):
                yield name.removeprefix(_COLLECTION), options or {}


def _variables_in(node: object) -> Iterator[dict]:
    """Yield every mapping of a document except the options of tasks, whose names may look like variables."""
    if isinstance(node, list):
        for item in node:
            yield from _variables_in(item)
    if isinstance(node, dict):
        yield node
        for name, child in node.items():
            if not str(name).startswith(_COLLECTION):
                yield from _variables_in(child)


def _problems(document: object) -> list[str]:
    problems = []
    for module, options in _tasks_in(document):
        if module not in _MODULES:
            problems.append(f"there is no module {module}")
        else:
            problems += [f"{module}: {message}" for message in _problems_of_task(module, options)]
    for variables in _variables_in(document):
        problems += _problems_of_variables(variables)
    return problems


def _blocks(page: pathlib.Path) -> list[object]:
    """Return the YAML blocks of a page."""
    return [
        yaml.safe_load(textwrap.dedent(block))
        for block in re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    ]


def _examples(module: str) -> list[dict]:
    tree = ast.parse((_ROOT / "plugins" / "modules" / f"{module}.py").read_text(encoding="utf-8"))
    [text] = [
        node.value.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "EXAMPLES"
    ]
    return yaml.safe_load(text)


@pytest.mark.parametrize("module", _MODULES)
def test_module_examples_are_valid(module):
    tasks = _examples(module)
    assert module in [name for name, _options in _tasks_in(tasks)]
    assert not _problems(tasks)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_page_examples_are_valid(page):
    assert [problem for block in _blocks(page) for problem in _problems(block)] == []


@pytest.mark.parametrize("file", [*_INVENTORIES, *_PLAYBOOKS], ids=lambda path: str(path.relative_to(_ROOT)))
def test_inventory_or_playbook_is_valid(file):
    assert not _problems(yaml.safe_load(file.read_text(encoding="utf-8")))


def test_example_with_mistakes_is_rejected():
    mistakes = """
    - strata.layering.os_layer: {name: W, version: "1", file_share: /x, packaging_dsk: a.ovf}
    - strata.layering.os_layers: {}
    - strata.layering.layered_image_publish: {templates: desk, parallel: many}
    - strata.layering.image_template: {name: desk}
    - hosts: composer
      vars:
        app_layer_versions: [{version: "1"}]
        app_layer_version: []
        layered_image_retries: often
    """
    problems = _problems(yaml.safe_load(textwrap.dedent(mistakes)))
    for part in (
        "packaging_dsk",
        "no module os_layers",
        "'parallel'",
        "state is present but",
        "app_layer_versions: missing",
        "app_layer_version",
        "often",
    ):
        assert any(part in problem for problem in problems), (part, problems)


def _with_aliases(options: dict) -> set[str]:
    return set(options).union(*(option.get("aliases", ()) for option in options.values()))


@pytest.mark.parametrize(("module", "role", "variable"), _LISTS)
def test_role_list_has_the_options_of_its_module(module, role, variable):
    options = specification_of(module)["argument_spec"]
    listed = _role_options(role)[variable]["options"]
    names = _NAMES.get(module, set())
    assert set(options) - _OF_THE_ROLE - _DONE_ONCE - names <= _with_aliases(listed)
    unknown = {name for name, option in listed.items() if not _with_aliases({name: option}) & _with_aliases(options)}
    assert unknown <= ({"name"} if names else {"export"})
    tasks = [path.read_text(encoding="utf-8") for path in (_ROOT / "roles" / role / "tasks").glob("*.yml")]
    for name in listed:
        assert any(re.search(rf"\bitem\.{name}\b", text) for text in tasks), f"{role} ignores {name}"


@pytest.mark.parametrize("role", _ROLES)
def test_role_has_defaults_for_optional_variables(role):
    options = _role_options(role)
    defaults = yaml.safe_load((_ROOT / "roles" / role / "defaults" / "main.yml").read_text(encoding="utf-8"))
    assert set(defaults) == {name for name, option in options.items() if not option.get("required")}
