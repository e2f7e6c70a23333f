# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in the variables of roles that Ansible's validation of arguments accepts."""

from __future__ import annotations

import datetime
import pathlib

import pytest
import yaml

from ansible_collections.strata.layering.plugins.plugin_utils.role_variables import (
    RoleNames,
    unknown_variables,
    wrong_choices,
    wrong_types,
    wrong_values,
)

_ROLES = pathlib.Path(__file__).resolve().parents[4] / "roles"
#: The role composer does not use the action.
_CHECKED = sorted(
    path.name for path in _ROLES.iterdir() if "role_variables" in (path / "tasks" / "main.yml").read_text("utf-8")
)


def _names(role: str) -> RoleNames:
    return RoleNames(_ROLES / role)


@pytest.mark.parametrize(
    ("role", "name", "suggestion"),
    [
        ("layered_image", "layered_image_template", "layered_image_templates"),
        ("layered_image", "layered_images_templates", "layered_image_templates"),
        ("layered_image", "layerd_image_templates", "layered_image_templates"),
        ("app_layer", "app_layers_versions", "app_layer_versions"),
        ("app_layer", "applayer_versions", "app_layer_versions"),
        ("platform_layer", "paltform_layer_versions", "platform_layer_versions"),
        ("os_layer", "os_layer_version", "os_layer_versions"),
        ("os_machine", "os_machine_pagefile_gb", "os_machine_pagefile_mb"),
        ("app_layer", "layering_repositry", "layering_repository"),
    ],
)
def test_misspelled_variable_is_found_with_its_suggestion(role, name, suggestion):
    [problem] = unknown_variables(_names(role), [name, "ansible_facts", "inventory_dir"], [])
    assert (problem["problem"], problem["variable"], problem["suggestion"]) == ("unknown", name, suggestion)
    assert problem["misspelled"]


@pytest.mark.parametrize(
    ("role", "name", "suggestion"),
    [
        ("app_layer", "app_layer_department_notes", None),
        ("app_layer", "app_layer_versions_b", "app_layer_versions"),
        # Variables of the role geerlingguy.composer, which installs the package manager of PHP.
        ("composer", "composer_version", None),
        ("composer", "composer_keep_updated", None),
        ("layered_image", "layering_vault_password", "layering_password"),
    ],
)
def test_variable_with_the_prefix_of_a_role_that_is_not_misspelled_is_only_a_warning(role, name, suggestion):
    [problem] = unknown_variables(_names(role), [name], [])
    assert (problem["variable"], problem["suggestion"], problem["misspelled"]) == (name, suggestion, False)


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("composer", "composers"),
        ("composer", "composer2_path"),
        ("app_layer", "app_layering_domain"),
        ("os_layer", "layerings"),
    ],
)
def test_variable_that_only_resembles_a_prefix_is_accepted(role, name):
    assert not unknown_variables(_names(role), [name], [])


@pytest.mark.parametrize("role", _CHECKED)
def test_variables_of_all_roles_are_accepted(role):
    names = _names(role)
    everything = {
        *names.options,
        *names.of_other_roles,
        *names.common,
        "layering_hosts",
        "my_app_layer_versions",
        "fileshare_host",
        "app_layers",
        "app_layer",
        "ansible_facts",
    }
    assert not unknown_variables(names, everything, [])


def test_result_that_a_role_registers_is_accepted():
    assert not unknown_variables(_names("app_layer"), ["app_layer_checked", "app_layer_machine"], [])


def test_own_variable_is_accepted_by_name_or_pattern():
    own = ["app_layer_site_*", "app_layer_notes"]
    assert not unknown_variables(_names("app_layer"), ["app_layer_site_path", "app_layer_notes"], own)


@pytest.mark.parametrize("value", [1.1, 8.7, True, False, datetime.date(2026, 1, 5)])
@pytest.mark.parametrize(
    ("role", "variable", "path"),
    [
        ("app_layer", "app_layer_versions", "version"),
        ("app_layer", "app_layer_versions", "name"),
        ("app_layer", "app_layer_versions", "os_layer.version"),
        ("app_layer", "app_layer_packages", "start_from"),
        ("platform_layer", "platform_layer_versions", "version"),
        ("os_layer", "os_layer_versions", "version"),
        ("layered_image", "layered_image_templates", "os_layer.version"),
        ("layered_image", "layered_image_templates", "platform_layer.version"),
    ],
)
def test_value_that_is_not_text_is_found_at_its_path(role, variable, path, value):
    entry: dict = {"name": "VPN", "version": "1"}
    first, _dot, second = path.partition(".")
    entry[first] = {"name": "W", second: value} if second else value
    problems = wrong_values(_names(role).options, {variable: [entry]})
    assert [(problem["problem"], problem["variable"]) for problem in problems] == [
        ("not_text", f"{variable}[0].{path}")
    ]


def test_versions_in_lists_of_entries_are_found():
    entry = {
        "name": "VPN",
        "version": "1",
        "prerequisites": [{"name": "A", "version": "1"}, {"name": "B", "version": 2.0}],
    }
    [problem] = wrong_values(_names("app_layer").options, {"app_layer_versions": [entry]})
    assert problem["variable"] == "app_layer_versions[0].prerequisites[1].version"
    entry = {"name": "Agent", "version": "1", "confirmed_for": ["23H2", 24.1]}
    [problem] = wrong_values(_names("platform_layer").options, {"platform_layer_versions": [entry]})
    assert problem["variable"] == "platform_layer_versions[0].confirmed_for[1]"


@pytest.mark.parametrize("value", ["1.10", 2026])
def test_text_and_integers_are_accepted_as_versions(value):
    assert not wrong_values(_names("app_layer").options, {"app_layer_versions": [{"name": "VPN", "version": value}]})


@pytest.mark.parametrize(
    ("entry", "count"),
    [
        ({"name": "W"}, 1),
        ({"name": "W", "version": ""}, 1),
        ({"name": "W", "version": None, "state": "present"}, 1),
        ({"name": "W", "state": "absent"}, 0),
        ({"name": "W", "version": "1"}, 0),
    ],
)
def test_entry_without_version_is_found_unless_absent(entry, count):
    problems = wrong_values(_names("os_layer").options, {"os_layer_versions": [{"name": "V", "version": "1"}, entry]})
    assert [(problem["problem"], problem["variable"]) for problem in problems] == [
        ("missing", "os_layer_versions[1]")
    ] * count


@pytest.mark.parametrize("value", ["", None, 2, "2"])
def test_empty_value_and_integer_are_accepted_as_integer(value):
    assert not wrong_types({"layered_image_keep": "int"}, {"layered_image_keep": value})


@pytest.mark.parametrize(("kind", "value"), [("int", "two"), ("int", [1]), ("bool", "maybe")])
def test_value_of_a_wrong_type_is_found(kind, value):
    [problem] = wrong_types({"layered_image_keep": kind}, {"layered_image_keep": value})
    assert (problem["problem"], problem["variable"]) == ("type", "layered_image_keep")


def test_value_that_is_not_a_choice_is_found():
    choices = {"layered_image_state": ["present", "canceled"]}
    assert not wrong_choices(choices, {"layered_image_state": ""})
    assert not wrong_choices(choices, {})
    [problem] = wrong_choices(choices, {"layered_image_state": "absent"})
    assert problem["variable"] == "layered_image_state"


@pytest.mark.parametrize("role", _CHECKED)
def test_types_and_choices_of_a_role_belong_to_its_variables(role):
    names = _names(role)
    [task] = [
        task["strata.layering.role_variables"]
        for task in yaml.safe_load((_ROLES / role / "tasks" / "main.yml").read_text("utf-8"))[:1]
    ]
    task = task or {}
    raw = {name for name, option in names.options.items() if option.get("type") == "raw"}
    assert raw == set(task.get("types", {}))
    assert {*task.get("choices", {}), *task.get("work", [])} <= set(names.options)
