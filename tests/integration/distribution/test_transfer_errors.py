# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries and shares that cannot be used: a clear error, and nothing changes at either side."""

from __future__ import annotations

import base64
import functools
import json
import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import Patience, RegistryConnection
from ansible_collections.strata.layering.plugins.module_utils.operations.distribution import remote_options
from ansible_collections.strata.layering.tests.support.modules import attempt, fails, run, state_of
from ansible_collections.strata.layering.tests.support.samba import free_port
from ansible_collections.strata.layering.tests.support.sites import TEMPLATE
from ansible_collections.strata.layering.tests.support.transfers import OFFICE, layer, push


def test_wrong_password_is_refused_without_showing_it(berlin, registry, simulated_registry):
    simulated_registry.configure(auth="bearer")
    options = berlin.options | registry | OFFICE | {"registry_username": "pusher", "registry_password": "wr0ng-x"}
    for state in ("pushed", "pulled", "absent"):
        error = fails("layer_transfer", "oci_registry.login", **options, state=state)
        assert "wr0ng-x" not in str(error)
    assert simulated_registry.tags() == {}


def test_credentials_come_from_a_file_of_podman(berlin, registry, simulated_registry, tmp_path):
    simulated_registry.configure(auth="basic")
    login = simulated_registry.login
    authentication = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {login.address: {"auth": authentication}}}))
    push(berlin, registry, layers=[layer("Runtime")], registry_auth_file=os.fspath(file))


def test_unknown_certificate_is_refused(berlin, simulated_tls_registry):
    remote = {"registry": f"{simulated_tls_registry.address}/windows"}
    options = berlin.options | OFFICE | remote | {"state": "pushed"}
    fails("layer_transfer", "oci_registry.certificate", **options)
    assert push(berlin, remote, **OFFICE, ca_path=os.fspath(simulated_tls_registry.ca_file))["changed"]
    unchecked = push(berlin, remote, **OFFICE, validate_certs=False)
    assert "validate_certs" in str(unchecked["warnings"])


def test_registry_that_does_not_run_is_an_error(berlin, monkeypatch):
    impatient = functools.partial(RegistryConnection, patience=Patience(attempts=1))
    monkeypatch.setattr(remote_options, "RegistryConnection", impatient)
    remote = {"registry": f"127.0.0.1:{free_port()}/windows", "plain_http": True}
    fails("layer_transfer", "oci_registry.connection_refused", **berlin.options, **OFFICE, **remote, state="pushed")


def test_project_that_does_not_exist_is_an_error(berlin, registry, simulated_registry):
    simulated_registry.rules.add("POST", "/blobs/uploads/", status=404)
    fails("layer_transfer", "oci_registry.not_found", **berlin.options, **OFFICE, **registry, state="pushed")
    assert not any(simulated_registry.tags().values())


def test_account_that_may_only_read_is_an_error(berlin, registry, simulated_registry):
    simulated_registry.configure(auth="bearer", read_only=True)
    login = {
        "registry_username": simulated_registry.login.username,
        "registry_password": simulated_registry.login.password,
    }
    result = attempt("layer_transfer", **berlin.options, **OFFICE, **registry, **login, state="pushed")
    assert result["code"] in ("oci_registry.forbidden", "oci_registry.login")
    assert simulated_registry.tags() == {}


@pytest.mark.parametrize(
    ("remote", "code"),
    [
        ({"file_share": "/nowhere"}, "distribution.folder_missing"),
        ({"file": "/nowhere/layers.tar"}, "distribution.archive_missing"),
        ({"other_repository": "/nowhere"}, "repository.missing"),
    ],
    ids=["folder", "file", "other_repository"],
)
def test_missing_source_is_an_error(madrid, remote, code):
    before = state_of(madrid.path)
    fails("layer_transfer", code, **madrid.options, **OFFICE, **remote, state="pulled")
    assert state_of(madrid.path) == before


@pytest.mark.parametrize("state", ["pushed", "pulled"])
def test_missing_version_is_an_error_that_lists_versions(berlin, registry, state):
    push(berlin, registry, layers=[layer("Tool")])
    options = berlin.options | registry | {"state": state, "layers": [layer("Tool", "1.11")]}
    assert "1.10" in fails("layer_transfer", "distribution.missing", **options)["hint"]


@pytest.mark.parametrize("option", ["layers", "templates"])
def test_misspelled_name_is_an_error(berlin, registry, option):
    selected = {"layers": [layer("Tol")]} if option == "layers" else {"templates": [TEMPLATE + "x"]}
    fails("layer_transfer", "distribution.missing", **berlin.options, **registry, **selected, state="pushed")


def test_repository_that_cannot_be_written_is_an_error(berlin, madrid, registry, monkeypatch):
    push(berlin, registry, **OFFICE)
    monkeypatch.setattr(os, "access", lambda *arguments, **options: False)
    fails("layer_transfer", "repository.read_only", **madrid.options, **registry, **OFFICE, state="pulled")


def test_pull_of_everything_from_an_empty_registry_gives_a_warning(madrid, registry):
    result = run("layer_transfer", **madrid.options, **registry, state="pulled", everything=True)
    assert (result["changed"], result["transfers"], len(result["warnings"])) == (False, [], 1)
