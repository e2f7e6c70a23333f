# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials in the files of docker and podman, and their helpers."""

from __future__ import annotations

import base64
import json
import os
import stat
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.login import credential_helpers
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.login.credentials import (
    Credentials,
    CredentialStore,
)
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import (
    RegistryAddress,
    RegistryConnection,
)

HOST = "registry.example.com:5000"
REPOSITORY = "windows/app/editor"


def encoded(username, password):
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def find(environment=None, repository=REPOSITORY, host=HOST, **options):
    connection = RegistryConnection(RegistryAddress.parse(host), **options)
    return CredentialStore(connection, environment or {}).find(repository)


def in_file(tmp_path, document, **options):
    file = tmp_path / "auth.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return find(credentials_file=str(file), **options)


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Install a credential helper and return the file with its input."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def install(script, name="test"):
        program = folder / f"docker-credential-{name}"
        program.write_text(f'#!/bin/sh\n[ "$1" = get ] || exit 9\ncat > {tmp_path}/input\n{script}\n')
        program.chmod(stat.S_IRWXU)
        return tmp_path / "input"

    return install


def test_options_come_first(tmp_path):
    found = in_file(tmp_path, {"auths": {HOST: encoded("file", "x")}}, username="option", password="y")
    assert found == Credentials("option", "y")


def test_file_that_is_named_must_exist(tmp_path):
    with pytest.raises(InvalidInput) as caught:
        find(credentials_file=str(tmp_path / "none"))
    assert caught.value.code == "oci_registry.credentials_file"


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        {"auths": []},
        {"auths": {HOST: "x"}},
        {"auths": {HOST: {"auth": "***"}}},
        {"auths": {HOST: {"auth": 5}}},
        {"credHelpers": []},
        "[" * 100_000,
        " " * (2 << 20),
    ],
)
def test_file_that_is_not_valid_is_reported(tmp_path, document):
    with pytest.raises(InvalidInput) as caught:
        in_file(tmp_path, document)
    assert caught.value.code == "oci_registry.credentials_file"


@pytest.mark.parametrize(
    "key", [HOST, f"https://{HOST}", f"http://{HOST}/v1/", f"https://{HOST}/v2", f"{HOST}/", HOST.upper()]
)
def test_keys_of_all_forms_are_found(tmp_path, key):
    assert in_file(tmp_path, {"auths": {key: encoded("user", "pass:word")}}) == Credentials("user", "pass:word")


def test_longest_key_is_used(tmp_path):
    entries = {
        HOST: encoded("host", "x"),
        f"{HOST}/windows": encoded("namespace", "x"),
        f"{HOST}/windows/app": encoded("longer", "x"),
        f"{HOST}/windows/ap": encoded("no part", "x"),
        "registry.example.com": encoded("other port", "x"),
    }
    assert in_file(tmp_path, {"auths": entries}).username == "longer"
    assert in_file(tmp_path, {"auths": entries}, repository="windows/os/base").username == "namespace"
    assert in_file(tmp_path, {"auths": entries}, repository="linux").username == "host"


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io"])
def test_docker_hub_has_a_key_of_its_own(tmp_path, host):
    entries = {"https://index.docker.io/v1/": encoded("hub", "x")}
    assert in_file(tmp_path, {"auths": entries}, host=host).username == "hub"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, None),
        ({"username": "user", "password": "pass"}, Credentials("user", "pass")),
        (encoded("<token>", "identity"), Credentials("", "", "identity")),
        (encoded("user", "") | {"identitytoken": "identity"}, Credentials("user", "", "identity")),
        (encoded("user", "pass\0\0"), Credentials("user", "pass")),
    ],
)
def test_entries_of_all_forms_are_read(tmp_path, entry, expected):
    assert in_file(tmp_path, {"auths": {HOST: entry}}) == expected


def test_files_are_searched_in_their_order(tmp_path):
    environment = {
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "REGISTRY_AUTH_FILE": str(tmp_path / "named.json"),
    }
    files = [
        tmp_path / "named.json",
        tmp_path / "run" / "containers" / "auth.json",
        tmp_path / ".config" / "containers" / "auth.json",
        tmp_path / ".docker" / "config.json",
    ]
    for number, file in reversed(list(enumerate(files))):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"auths": {HOST: encoded(f"file {number}", "x")}}))
        assert find(environment).username == f"file {number}"


def test_folders_of_the_environment_are_used(tmp_path):
    for name, variable, file in (
        ("a", "XDG_CONFIG_HOME", "containers/auth.json"),
        ("b", "DOCKER_CONFIG", "config.json"),
    ):
        path = tmp_path / name / file
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"auths": {HOST: encoded(name, "x")}}))
        assert find({"HOME": str(tmp_path / "none"), variable: str(tmp_path / name)}).username == name


def test_no_file_means_no_login(tmp_path):
    assert find({"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}) is None


@pytest.mark.parametrize("document", [{"credHelpers": {HOST: "test"}}, {"credsStore": "test", "auths": {HOST: {}}}])
def test_helper_gets_the_host(tmp_path, helper, document):
    read = helper("""echo '{"ServerURL": "x", "Username": "user", "Secret": "from helper"}'""")
    assert in_file(tmp_path, document) == Credentials("user", "from helper")
    assert read.read_text() == f"{HOST}\n"


def test_helper_with_an_identity_token(tmp_path, helper):
    helper("""echo '{"Username": "<token>", "Secret": "identity"}'""")
    assert in_file(tmp_path, {"credHelpers": {HOST: "test"}}) == Credentials("", "", "identity")


def test_helper_that_does_not_know_the_host_is_no_login(tmp_path, helper):
    helper("echo 'credentials not found in native keychain'; exit 1")
    assert in_file(tmp_path, {"credHelpers": {HOST: "test"}}) is None


@pytest.mark.parametrize(
    "script", ["exit 1", "echo no", "echo '{}'", 'echo \'{"Username": 1, "Secret": 2}\'', "yes | head -c 200000"]
)
def test_helper_that_fails_is_reported(tmp_path, helper, script):
    helper(script)
    with pytest.raises(InvalidInput) as caught:
        in_file(tmp_path, {"credHelpers": {HOST: "test"}})
    assert caught.value.code == "oci_registry.credential_helper"


@pytest.mark.parametrize("name", ["none", "../x", "a;b", ""])
def test_helper_that_is_not_installed_is_reported(tmp_path, name):
    document = {"credHelpers": {HOST: name}}
    if not name:
        assert in_file(tmp_path, document) is None
        return
    with pytest.raises(InvalidInput) as caught:
        in_file(tmp_path, document)
    assert caught.value.code == "oci_registry.credential_helper"


def test_store_that_is_not_installed_is_no_login(tmp_path):
    assert in_file(tmp_path, {"credsStore": "desktop-none", "auths": {HOST: {}}}) is None


def test_helper_that_does_not_end_is_ended_with_its_children(helper):
    helper("sleep 30 & wait")
    began = time.monotonic()
    with pytest.raises(InvalidInput) as caught:
        credential_helpers.ask_helper("test", HOST, seconds=0.3)
    assert caught.value.code == "oci_registry.credential_helper"
    assert time.monotonic() - began < 10


def test_secrets_are_not_shown(tmp_path):
    found = in_file(tmp_path, {"auths": {HOST: encoded("user", "s3cret") | {"identitytoken": "t0ken"}}})
    assert "s3cret" not in repr(found)
    assert "t0ken" not in repr(found)
