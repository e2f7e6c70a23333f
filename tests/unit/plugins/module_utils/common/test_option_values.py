# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options as YAML and surveys give them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from ansible.module_utils.common.parameters import AnsibleFallbackNotFound

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.common.option_values import prepare_options
from ansible_collections.strata.layering.tests.support.modules import attempt, hosted_modules, specification_of

_MODULES = hosted_modules()


def _specification(module: str) -> dict:
    return specification_of(module)["argument_spec"]


def _texts(specification: dict, prefix: str = "") -> Iterator[tuple[str, dict, bool]]:
    """Yield the path of each text option, at any depth, with options that set it to VALUE, and whether it is a secret."""
    for name, spec in specification.items():
        is_list = spec.get("type") == "list"
        kind = spec["elements"] if is_list else spec.get("type", "str")
        path = f"{prefix}{name}[0]" if is_list else prefix + name
        if kind in ("str", "path") and "choices" not in spec:
            yield path, {name: ["VALUE"] if is_list else "VALUE"}, bool(spec.get("no_log"))
        for below, options, is_secret in _texts(spec.get("options") or {}, path + "."):
            yield below, {name: [options] if is_list else options}, is_secret


_CASES = [(module, *case) for module in _MODULES for case in _texts(_specification(module))]


@pytest.mark.parametrize("value", [1.1, True])
@pytest.mark.parametrize(
    ("module", "path", "options", "is_secret"), _CASES, ids=[f"{case[0]}-{case[1]}" for case in _CASES]
)
def test_text_option_refuses_number_and_boolean(module, path, options, is_secret, value):
    given = json.loads(json.dumps(options).replace('"VALUE"', json.dumps(value)))
    with pytest.raises(InvalidInput) as caught:
        prepare_options(given, _specification(module))
    assert (caught.value.code, caught.value.details["option"]) == ("common.option_not_text", path)
    assert ("1.1" in caught.value.message) is (value == 1.1 and not is_secret)


def test_every_version_is_a_text_option():
    paths = {f"{module} {path}" for module, path, _options, _is_secret in _CASES if path.endswith("version")}
    assert {
        "app_layer version",
        "app_layer os_layer.version",
        "app_layer prerequisites[0].version",
        "os_layer version",
        "platform_layer version",
        "packaging_machine os_layer.version",
        "image_template os_layer.version",
        "image_template app_layers[0].version",
        "image_template platform_layer.version",
    } <= paths


@pytest.mark.parametrize("value", ["1.10", 5, "yes"])
def test_version_that_is_text_or_an_integer_is_accepted(value):
    options = {"version": value}
    prepare_options(options, _specification("app_layer") | {"repository": {}})
    assert options == {"version": value}


@pytest.mark.parametrize("text", ["office, kiosk", "office,kiosk", "office\nkiosk\n", " office ,\r\n kiosk,"])
def test_list_in_text_is_split_at_commas_and_lines(text):
    options = {"template": text}
    prepare_options(options, {"templates": {"type": "list", "elements": "str", "aliases": ["template"]}})
    assert options == {"template": ["office", "kiosk"]}


def test_empty_text_counts_as_not_given():
    specification = {
        "keep": {"type": "int"},
        "test": {"type": "bool"},
        "paths": {"type": "list", "elements": "str"},
        "script": {"type": "path"},
        "state": {"choices": ["present"]},
        "connector": {},
        "timeouts": {"type": "dict", "options": {"upload": {"type": "int"}}},
    }
    options = dict.fromkeys(specification, " ") | {"timeouts": {"upload": ""}}
    prepare_options(options, specification)
    assert options == {"timeouts": {}}


def test_empty_text_is_kept_if_it_means_something():
    specification = {
        "name": {"required": True},
        "version": {},
        "description": {},
        "exclusions": {"type": "list", "elements": "dict", "options": {"value": {"type": "str"}}},
    }
    options = {"name": "", "version": "", "description": "", "exclusions": [{"value": ""}]}
    expected = json.loads(json.dumps(options))
    prepare_options(options, specification)
    assert options == expected


@pytest.mark.parametrize(
    ("module", "option", "value", "path"),
    [
        ("app_layer", "os_layer", "Windows 11", "os_layer"),
        ("app_layer", "prerequisites", ["Tool"], "prerequisites[0]"),
        ("app_layer", "exclusions", "Temp", "exclusions"),
        ("image_template", "app_layers", "Tool, Reader 11.0", "app_layers"),
        ("image_template", "registry_lists", ["x"], "registry_lists[0]"),
        ("layered_image_publish", "timeouts", "60", "timeouts"),
        ("layered_image_publish", "timeouts", 60, "timeouts"),
        ("image_template", "os_layer", 11.0, "os_layer"),
        ("image_template", "os_layer", True, "os_layer"),
        ("image_template", "os_layer", [{"name": "Windows 11", "version": "1.0"}], "os_layer"),
        ("app_layer", "prerequisites", [{"name": "Tool"}, None], "prerequisites[1]"),
        ("app_layer", "prerequisites", [7], "prerequisites[0]"),
        ("app_layer", "prerequisites", 7, "prerequisites"),
    ],
)
def test_other_value_for_suboptions_names_the_option(module, option, value, path):
    with pytest.raises(InvalidInput) as caught:
        prepare_options({option: value}, _specification(module))
    assert (caught.value.code, caught.value.details["option"]) == ("common.option_not_mapping", path)


@pytest.mark.parametrize("value", ['{"name": "W", "version": "1"}', "name=W version=1"])
def test_text_that_ansible_reads_as_suboptions_is_accepted(value):
    options = {"os_layer": value, "repository": "/r"}
    prepare_options(options, _specification("app_layer") | {"name": {}})
    assert options["os_layer"] == value


@pytest.fixture
def no_environment(monkeypatch):
    for name in ("STRATA_REPOSITORY", "VMWARE_HOST", "VMWARE_USER", "VMWARE_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("module", "options", "missing"),
    [
        ("layer_info", {}, ["repository"]),
        ("layer_info", {"repository": ""}, ["repository"]),
        ("layer_info", {"repository": None}, ["repository"]),
        ("ovf_export", {"name": "x", "file_share": "/s"}, ["hostname", "username", "password"]),
        ("ovf_export", {"name": "x", "file_share": "/s", "user": "u", "hostname": "h"}, ["password"]),
        (
            "connector",
            {"repository": "/r", "name": "x", "test": "yes", "datacenter": "d", "datastore": "d", "vm_template": "t"},
            ["hostname", "username", "password"],
        ),
        ("layered_image_publish", {"hostname": "h", "user": "u", "pwd": "p"}, ["repository", "templates"]),
    ],
)
def test_missing_option_names_its_environment_variable(module, options, missing, no_environment):
    result = attempt(module, **options)
    assert result["code"] == "common.option_missing"
    assert sorted(result["details"]["options"]) == sorted(missing)
    variables = {"repository": "STRATA_REPOSITORY", "hostname": "VMWARE_HOST", "username": "VMWARE_USER"}
    variables["password"] = "VMWARE_PASSWORD"
    expected = {variables[name] for name in missing if name in variables}
    assert set(result["details"]["variables"]) == expected
    assert all(name in result["hint"] for name in expected)


def test_missing_option_of_horizon_names_the_variables_for_horizon(monkeypatch):
    for name in ("HORIZON_HOST", "HORIZON_USERNAME", "HORIZON_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    result = attempt("horizon_pool_info", username="user")
    assert result["details"]["variables"] == ["HORIZON_HOST", "HORIZON_PASSWORD"]
    assert "layering_horizon_hostname and layering_horizon_password" in result["hint"]


def test_environment_sets_options_that_are_missing_or_empty(no_environment, tmp_path):
    no_environment.setenv("STRATA_REPOSITORY", str(tmp_path / "missing"))
    assert attempt("layer_info")["code"] == attempt("layer_info", repository="")["code"] == "repository.missing"
    no_environment.setenv("STRATA_REPOSITORY", "")
    assert attempt("layer_info")["code"] == "common.option_missing"


def test_failed_check_returns_no_options(no_environment):
    result = attempt("ovf_export", name=1.5, password="secret", pwd="secret", file_share_password=1.25)
    assert result["code"] == "common.option_not_text"
    assert "secret" not in json.dumps(result)
    assert "1.25" not in json.dumps(result)


PRIVATE = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
PUBLIC = "-----BEGIN PUBLIC KEY-----\ncHVibGlj\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    ("module", "options", "path"),
    [
        ("layer_transfer", {"sign_key": PRIVATE}, "sign_key"),
        ("layer_transfer", {"verify_keys": PRIVATE}, "verify_keys[0]"),
        ("layer_transfer", {"verify_keys": ["/etc/key.pub", PRIVATE]}, "verify_keys[1]"),
        ("repository", {"upstream": {"registry": "registry.example.com", "sign_key": PRIVATE}}, "upstream.sign_key"),
    ],
)
def test_private_key_in_an_option_that_is_logged_is_refused(module, options, path):
    with pytest.raises(InvalidInput) as caught:
        prepare_options(options, _specification(module))
    assert (caught.value.code, caught.value.details) == ("common.option_private_key", {"option": path})
    assert "c2VjcmV0" not in str(caught.value)


def test_keys_as_text_are_not_split():
    options = {"verify_keys": PUBLIC, "sign_key_content": PRIVATE, "repository": "/srv/layers", "state": "pushed"}
    prepare_options(options, _specification("layer_transfer"))
    assert (options["verify_keys"], options["sign_key_content"]) == ([PUBLIC], PRIVATE)


def test_text_of_a_key_in_the_variable_for_its_file_is_a_secret(monkeypatch):
    monkeypatch.delenv("STRATA_SIGN_KEY_CONTENT", raising=False)
    for value, expected in (
        (PRIVATE, (None, PRIVATE)),
        ("/etc/sign.key", ("/etc/sign.key", None)),
        (" ", (None, None)),
    ):
        monkeypatch.setenv("STRATA_SIGN_KEY", value)
        found = []
        for name in ("sign_key", "sign_key_content"):
            function, variables = _specification("layer_transfer")[name]["fallback"]
            try:
                found.append(function(*variables))
            except AnsibleFallbackNotFound:
                found.append(None)
        assert tuple(found) == expected
