# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins: Basic, Bearer with scopes and renewal, identity tokens, and where credentials are never sent."""

from __future__ import annotations

import base64
import json
import urllib.parse

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    InvalidInput,
    StrataError,
    Unavailable,
)
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import Uploaded
from ansible_collections.strata.layering.tests.support.oci_registry import (
    CHUNK,
    REPOSITORY,
    connect,
    content,
    digest_of,
    push_blob,
)
from ansible_collections.strata.layering.tests.support.registries import PASSWORD, USERNAME

LOGIN = {"username": USERNAME, "password": PASSWORD}


def scopes(entry):
    return urllib.parse.parse_qs(urllib.parse.urlsplit(entry.target).query).get("scope", [])


@pytest.mark.parametrize("auth", ["none", "basic", "bearer"])
def test_every_kind_of_login_works(simulated_registry, auth):
    simulated_registry.configure(auth=auth)
    with connect(simulated_registry, **LOGIN) as registry:
        assert registry.read_blob(REPOSITORY, push_blob(registry, b"data"), 10) == b"data"


@pytest.mark.parametrize("auth", ["basic", "bearer"])
@pytest.mark.parametrize("login", [{}, {"username": USERNAME, "password": "wr0ng"}])
def test_rejected_login_is_reported_without_the_password(simulated_registry, auth, login):
    simulated_registry.configure(auth=auth)
    with pytest.raises(InvalidInput) as caught, connect(simulated_registry, **login) as registry:
        push_blob(registry, b"data")
    assert caught.value.code == "oci_registry.login"
    assert "wr0ng" not in f"{caught.value} {caught.value.details}"


def test_token_is_requested_for_the_repository_and_kept(simulated_registry):
    simulated_registry.configure(auth="bearer")
    with connect(simulated_registry, **LOGIN) as registry:
        push_blob(registry, b"a")
        push_blob(registry, b"b")
    asked = [scopes(entry) for entry in simulated_registry.journal("GET", server="token")]
    assert [f"repository:{REPOSITORY}:pull,push"] in asked
    assert [f"repository:{REPOSITORY}:pull"] in asked
    assert len(asked) == 3


def test_mount_asks_for_both_repositories(simulated_registry):
    simulated_registry.configure(auth="bearer")
    with connect(simulated_registry, **LOGIN) as registry:
        digest = push_blob(registry, b"data", "windows/os/base")
        assert registry.upload(REPOSITORY, digest, 4, b"data", mount_from=["windows/os/base"]) is Uploaded.MOUNTED
    asked = [scopes(entry) for entry in simulated_registry.journal("GET", server="token")]
    assert [f"repository:{REPOSITORY}:pull,push", "repository:windows/os/base:pull"] in asked


@pytest.mark.parametrize("fields", [("token",), ("access_token",)])
@pytest.mark.parametrize("expires_in", [None, 60, 3 * 10**11, 0, -5, "soon"])
def test_token_answers_of_all_forms_are_read(simulated_registry, fields, expires_in):
    simulated_registry.configure(auth="bearer", token_fields=fields, expires_in=expires_in)
    with connect(simulated_registry, **LOGIN) as registry:
        push_blob(registry, b"data")


def test_token_that_expires_in_the_middle_of_a_blob_is_renewed(simulated_registry):
    # The server forgets tokens after half a second, although it promises an hour.
    simulated_registry.configure(auth="bearer", token_lifetime=0.5, expires_in=3600)
    simulated_registry.rules.add("PATCH", delay=0.4, count=None)
    data = content(3 * CHUNK)
    with connect(simulated_registry, **LOGIN) as registry:
        registry.upload(REPOSITORY, digest_of(data), len(data), data)
        assert registry.blob_size(REPOSITORY, digest_of(data)) == len(data)


def test_token_is_renewed_before_its_end(simulated_registry):
    simulated_registry.configure(auth="bearer", token_lifetime=1.0, expires_in=0.2)
    with connect(simulated_registry, **LOGIN) as registry:
        push_blob(registry, b"a")
        simulated_registry.clear_journal()
        simulated_registry.rules.add("POST", delay=0.3)
        push_blob(registry, b"b")
    assert 401 not in [entry.status for entry in simulated_registry.journal()]


def test_identity_token_is_exchanged(simulated_registry, tmp_path):
    simulated_registry.configure(auth="bearer", refresh_token="1dentity")
    file = tmp_path / "auth.json"
    encoded = base64.b64encode(b"00000000:").decode()
    file.write_text(json.dumps({"auths": {simulated_registry.address: {"auth": encoded, "identitytoken": "1dentity"}}}))
    with connect(simulated_registry, credentials_file=str(file)) as registry:
        push_blob(registry, b"data")
    assert {entry.method for entry in simulated_registry.journal(server="token")} == {"POST"}


def test_public_repository_is_read_without_login(simulated_registry):
    with connect(simulated_registry) as registry:
        digest = push_blob(registry, b"data")
    simulated_registry.configure(auth="bearer", anonymous_pull=True)
    with connect(simulated_registry) as registry:
        assert registry.read_blob(REPOSITORY, digest, 10) == b"data"
        with pytest.raises(InvalidInput) as caught:
            push_blob(registry, b"more")
    assert caught.value.code == "oci_registry.login"


def test_account_that_may_only_read_is_reported(simulated_registry):
    simulated_registry.configure(auth="bearer", read_only=True)
    with connect(simulated_registry, **LOGIN) as registry, pytest.raises(Unavailable) as caught:
        push_blob(registry, b"data")
    assert caught.value.code == "oci_registry.forbidden"
    assert "the user pusher" in caught.value.message


def test_password_is_not_sent_to_a_token_server_without_tls(simulated_tls_registry, simulated_registry):
    simulated_tls_registry.configure(auth="bearer", realm=f"{simulated_registry.url}/token")
    with pytest.raises(Unavailable) as caught, connect(simulated_tls_registry, **LOGIN):
        pass
    assert caught.value.code == "oci_registry.token_realm"
    assert simulated_registry.journal() == []


def test_password_is_not_sent_to_a_location_on_a_different_server(simulated_registry, simulated_tls_registry):
    simulated_registry.configure(auth="basic")
    data = content(CHUNK + 1)
    simulated_registry.rules.add(
        "POST", status=202, headers={"Location": f"{simulated_tls_registry.url}/v2/x/blobs/uploads/1"}, count=None
    )
    with connect(simulated_registry, validate_certs=False, **LOGIN) as registry, pytest.raises(StrataError):
        registry.upload(REPOSITORY, digest_of(data), len(data), data)
    assert simulated_tls_registry.journal() != []
    assert [entry for entry in simulated_tls_registry.journal() if "authorization" in entry.headers] == []


def test_temporary_failure_of_the_token_server_is_repeated(simulated_registry):
    simulated_registry.configure(auth="bearer")
    simulated_registry.rules.add("GET", "/token", status=503, count=2)
    with connect(simulated_registry, **LOGIN) as registry:
        push_blob(registry, b"data")


def test_answer_without_a_token_is_reported(simulated_registry):
    simulated_registry.configure(auth="bearer", token_fields=("nothing",))
    with pytest.raises(StrataError) as caught, connect(simulated_registry, **LOGIN):
        pass
    assert caught.value.code == "oci_registry.token"
