# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Login, tokens and privileges of the simulated Connection Server."""

from __future__ import annotations

import base64
import json

import pytest

from ansible_collections.strata.layering.tests.simulator_horizon.journal import HIDDEN
from ansible_collections.strata.layering.tests.support.horizon_rest import RestClient
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator

_ENVIRONMENT = "/config/v2/environment-properties"


def test_login_with_wrong_password_is_refused(horizon: HorizonSimulator) -> None:
    login = {"domain": horizon.domain, "username": horizon.username, "password": "wrong"}
    answer = RestClient(horizon).send("POST", "/login", login)
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["error_key"] == "auth.bad.credentials"


def test_access_token_says_when_it_expires(rest: RestClient, horizon: HorizonSimulator) -> None:
    part = rest.tokens["access_token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert claims["exp"] - claims["iat"] == 1800
    assert claims["iat"] == horizon.clock.now // 1000


def test_expired_access_token_is_renewed(rest: RestClient, horizon: HorizonSimulator) -> None:
    horizon.clock.advance(1801)
    assert rest.status("GET", _ENVIRONMENT) == 401
    answer = rest.send("POST", "/refresh", {"refresh_token": rest.tokens["refresh_token"]})
    assert set(answer.json()) == {"access_token"}
    rest.tokens["access_token"] = answer.json()["access_token"]
    assert rest.status("GET", _ENVIRONMENT) == 200


def test_refresh_token_expires(rest: RestClient, horizon: HorizonSimulator) -> None:
    horizon.clock.advance(8 * 3600 + 1)
    assert rest.status("POST", "/refresh", {"refresh_token": rest.tokens["refresh_token"]}) == 400


def test_logout_ends_the_session(rest: RestClient, horizon: HorizonSimulator) -> None:
    assert horizon.logged_in() == 1
    assert rest.status("POST", "/logout", {"refresh_token": rest.tokens["refresh_token"]}) == 200
    assert rest.status("GET", _ENVIRONMENT) == 401
    assert horizon.logged_in() == 0


@pytest.mark.parametrize(("refresh", "status"), [(False, 200), (True, 400)])
def test_tokens_are_expired_by_the_test(
    rest: RestClient, horizon: HorizonSimulator, refresh: bool, status: int
) -> None:
    assert horizon.expire_tokens(refresh=refresh) == 1
    assert rest.status("GET", _ENVIRONMENT) == 401
    assert rest.status("POST", "/refresh", {"refresh_token": rest.tokens["refresh_token"]}) == status


def test_read_only_user_may_not_push(rest: RestClient, horizon: HorizonSimulator) -> None:
    horizon.add_pool("sales", "golden", "Old")
    reader = RestClient.log_in(horizon, "reader", horizon.add_user("reader"))
    assert reader.status("GET", "/inventory/v6/desktop-pools") == 200
    assert reader.push("sales").status_code == 403


def test_journal_has_no_secrets(rest: RestClient, horizon: HorizonSimulator) -> None:
    rest.status("POST", "/logout", {"refresh_token": rest.tokens["refresh_token"]})
    text = json.dumps(horizon.journal())
    assert HIDDEN in text
    for secret in (horizon.password, *rest.tokens.values()):
        assert secret not in text
