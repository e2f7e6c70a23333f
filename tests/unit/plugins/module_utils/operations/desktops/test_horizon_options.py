# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the connection to Horizon: the account, the environment, and their documentation."""

from __future__ import annotations

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.strata.layering.plugins.doc_fragments.horizon import ModuleDocFragment
from ansible_collections.strata.layering.plugins.module_utils.common.arguments import horizon_arguments
from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.operations.desktops.horizon_options import HorizonOptions

OPTIONS = {"hostname": "cs01.example.com", "username": "svc", "password": "p", "domain": "EXAMPLE"}


def validated(**values):
    found = ArgumentSpecValidator(horizon_arguments()).validate(values)
    assert not found.error_messages
    return found.validated_parameters


def connection(**changes):
    return HorizonOptions.from_params(validated(**OPTIONS | changes)).connection


@pytest.mark.parametrize(
    ("username", "domain"),
    [
        ("svc", "EXAMPLE"),
        ("EXAMPLE\\svc", None),
        ("EXAMPLE\\svc", "example"),
        (" svc ", " EXAMPLE "),
        ("EXAMPLE\\svc", ""),
    ],
)
def test_account_has_a_domain(username, domain):
    found = connection(username=username, domain=domain)
    assert (found.username, found.domain.upper()) == ("svc", "EXAMPLE")
    assert found.port == 443
    assert found.validate_certs


@pytest.mark.parametrize(
    ("username", "domain", "named"),
    [
        ("svc@corp.example.com", "EXAMPLE", "CORP"),
        ("svc@corp.example.com", None, "CORP"),
        ("@", None, "username"),
        ("OTHER\\svc", "EXAMPLE", "svc"),
        ("svc", None, "HORIZON_DOMAIN"),
        ("svc", "  ", "HORIZON_DOMAIN"),
        ("EXAMPLE\\", None, "username"),
        ("", "EXAMPLE", "username"),
    ],
)
def test_account_that_horizon_does_not_accept_is_refused(username, domain, named):
    with pytest.raises(InvalidInput) as raised:
        connection(username=username, domain=domain)
    assert raised.value.code == "operations.horizon_account"
    assert named in raised.value.hint


def test_environment_sets_the_options(monkeypatch):
    values = {
        "HOST": "cs02.example.com",
        "USERNAME": "OTHER\\user",
        "PASSWORD": "secret",
        "VALIDATE_CERTS": "no",
        "PORT": "8443",
        "CA_PATH": "/tmp/ca.pem",
        "PROXY_HOST": "proxy",
        "PROXY_PORT": "3129",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"HORIZON_{name}", value)
    found = HorizonOptions.from_params(validated()).connection
    assert (found.hostname, found.username, found.domain, found.password) == values_of(values)
    assert (found.validate_certs, found.port, found.ca_file) == (False, 8443, "/tmp/ca.pem")
    assert (found.proxy_host, found.proxy_port, found.api_log) == ("proxy", 3129, None)
    monkeypatch.setenv("HORIZON_DOMAIN", "OTHER")
    assert HorizonOptions.from_params(validated()).connection.domain == "OTHER"


def values_of(values):
    return values["HOST"], "user", "OTHER", values["PASSWORD"]


def test_connection_is_optional(monkeypatch):
    monkeypatch.delenv("HORIZON_HOST", raising=False)
    found = ArgumentSpecValidator(horizon_arguments(required=False)).validate({})
    assert HorizonOptions.optional(found.validated_parameters) is None
    assert HorizonOptions.optional(validated(**OPTIONS)) is not None


def test_password_is_not_shown():
    assert "s3cret" not in repr(HorizonOptions.from_params(validated(**OPTIONS | {"password": "s3cret"})))


def test_documentation_describes_the_arguments():
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    arguments = horizon_arguments()
    assert documented.keys() == arguments.keys()
    for name, argument in arguments.items():
        facts = [
            (option.get("type"), option.get("default"), bool(option.get("required")))
            for option in (documented[name], argument)
        ]
        assert facts[0] == facts[1], name
        if "fallback" in argument:
            assert f"E({argument['fallback'][1][0]})" in " ".join(documented[name]["description"])
