# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins are renewed in time, and a login that was rejected is never repeated."""

from __future__ import annotations

import base64
import dataclasses
import json
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.horizon.rest.client import HorizonClient
from ansible_collections.strata.layering.plugins.module_utils.horizon.rest.tokens import Tokens
from ansible_collections.strata.layering.tests.support.scripted_server import Reply, ScriptedServer, refusal

POOL = "/inventory/v6/desktop-pools/p1"


def failed(call, *arguments, **options):
    with pytest.raises(StrataError) as raised:
        call(*arguments, **options)
    return raised.value


def web_token(**claims):
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.c2lnbmF0dXJl"


def paths(server):
    return [request.path for request in server.received]


@pytest.fixture
def pool(scripted):
    scripted.script("GET", POOL, Reply(200, {"id": "p1"}))


def test_token_expires_in_a_wait_is_refreshed(scripted, scripted_client, pool):
    scripted_client.get(POOL)
    scripted.expire()
    assert scripted_client.get(POOL) == {"id": "p1"}
    assert paths(scripted) == ["/login", POOL, POOL, "/refresh", POOL]


def test_both_tokens_expire_in_a_wait_logs_in_again(scripted, scripted_client, pool):
    scripted.expire(refresh=True)
    assert scripted_client.get(POOL) == {"id": "p1"}
    assert paths(scripted) == ["/login", POOL, "/refresh", "/login", POOL]


def test_refresh_with_an_internal_error_logs_in_again(scripted, scripted_client, pool):
    scripted.script("POST", "/refresh", refusal(500, "common.internal"))
    scripted.expire()
    assert scripted_client.get(POOL) == {"id": "p1"}


def test_refreshed_token_that_is_refused_logs_in_again(scripted, scripted_client, pool):
    scripted.script("POST", "/refresh", Reply(200, {"access_token": "not-granted"}))
    scripted.expire()
    assert scripted_client.get(POOL) == {"id": "p1"}
    assert paths(scripted).count("/login") == 2


def test_login_that_is_forgotten_at_once_ends(scripted, scripted_client):
    scripted.script("GET", POOL, refusal(401, "common.token.invalid"))
    assert failed(scripted_client.get, POOL).code == "horizon.session"
    assert paths(scripted).count("/login") == 2


def test_refresh_keeps_the_refresh_token(scripted, scripted_client, pool):
    for unused in range(3):
        scripted.expire()
        scripted_client.get(POOL)
    assert paths(scripted).count("/login") == 1
    assert paths(scripted).count("/refresh") == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_login_rejected_is_sent_once(scripted, connection_to, status):
    scripted.script("POST", "/login", refusal(status, "auth.invalid", "The account is locked."))
    error = failed(HorizonClient.connect, connection_to(scripted))
    assert error.code == "horizon.login"
    assert error.details == {"status": status, "error_key": "auth.invalid", "error_message": "The account is locked"}
    assert paths(scripted) == ["/login"]


def test_login_rejected_in_a_wait_is_sent_once(scripted, scripted_client, pool):
    scripted.expire(refresh=True)
    scripted.script("POST", "/login", refusal(401, "auth.invalid"))
    for unused in range(3):
        assert failed(scripted_client.get, POOL).code == "horizon.login"
    assert paths(scripted).count("/login") == 2


def test_login_with_lost_answers_is_sent_three_times(scripted, connection_to):
    scripted.script("POST", "/login", Reply(cut=-1))
    assert failed(HorizonClient.connect, connection_to(scripted)).code == "horizon.connection"
    assert paths(scripted) == ["/login"] * 3


@pytest.mark.parametrize(
    "reply", [Reply(cut=-1), Reply(503, b"<html>"), refusal(429, "limit", Retry_After="0"), Reply(504, b"<html>")]
)
def test_login_transient_failure_is_repeated(scripted, connection_to, pool, reply):
    tokens = Reply(200, {"access_token": "a", "refresh_token": "r"})
    scripted.access.add("a")
    scripted.script("POST", "/login", reply, tokens)
    with HorizonClient.connect(connection_to(scripted)) as client:
        assert client.get(POOL) == {"id": "p1"}


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(200, b"<html>A web server</html>"), "horizon.protocol"),
        (Reply(404, b"<html>Not found</html>"), "horizon.protocol"),
        (Reply(405, b""), "horizon.protocol"),
        (Reply(200, []), "horizon.protocol"),
        (Reply(200, {}), "horizon.answer"),
        (Reply(200, {"access_token": 1}), "horizon.answer"),
        (Reply(200, {"access_token": "a\r\nX: y"}), "horizon.answer"),
        (Reply(200, {"access_token": "a" * 20_000}), "horizon.answer"),
        (Reply(200, {"access_token": "a", "refresh_token": {}}), "horizon.answer"),
        (Reply(302, b"", {"Location": "https://else.example.com/"}), "horizon.redirect"),
        (Reply(503, b"<html>"), "horizon.unavailable"),
        (refusal(500, "common.internal"), "horizon.unavailable"),
        (Reply(429, None, {"Retry-After": "999"}), "horizon.throttled"),
    ],
)
def test_login_that_is_not_answered_as_horizon_does_is_reported(scripted, connection_to, reply, code):
    scripted.script("POST", "/login", reply)
    assert failed(HorizonClient.connect, connection_to(scripted)).code == code


def test_token_near_its_end_is_refreshed_before_it_is_used(certificate, connection_to):
    with ScriptedServer(certificate.file, token=lambda number: web_token(iat=1000, exp=1001, n=number)) as server:
        server.script("GET", POOL, Reply(200, {}))
        with HorizonClient.connect(connection_to(server)) as client:
            client.get(POOL)
            time.sleep(1)
            client.get(POOL)
        assert paths(server) == ["/login", POOL, "/refresh", POOL, "/logout"]


@pytest.mark.parametrize(
    ("token", "server_time", "lifetime"),
    [
        (web_token(iat=1000, exp=2800), None, 1740),
        (web_token(iat=1000, exp=1100), None, 90),
        (web_token(exp=2800), 1_000_000, 1740),
        (web_token(iat=1000, exp=2800), 5_000_000, 1740),
        (web_token(exp=2800), None, None),
        (web_token(iat=2800, exp=1000), None, None),
        (web_token(iat=1000, exp="soon"), None, None),
        (web_token(iat=True, exp=1e300), None, None),
        (web_token(iat=1000, exp=float("nan")), None, None),
        ("opaque", 1_000_000, None),
        ("a.b.c", 1_000_000, None),
        ("a." + base64.urlsafe_b64encode(b"[" * 5000).decode() + ".c", 1_000_000, None),
        ("a.W10.c", 1_000_000, None),
    ],
)
def test_lifetime_of_tokens(token, server_time, lifetime):
    tokens = Tokens.received(token, None, server_time)
    assert not tokens.due
    if lifetime is None:
        assert tokens.renew_at is None
    else:
        assert tokens.renew_at - time.monotonic() == pytest.approx(lifetime, abs=5)
    assert token not in repr(tokens)


@pytest.mark.parametrize("name", ["username", "domain", "password"])
def test_credentials_that_are_empty_are_refused(scripted, connection_to, name):
    error = failed(HorizonClient.connect, dataclasses.replace(connection_to(scripted), **{name: ""}))
    assert error.code == "horizon.credentials"
    assert not scripted.received
