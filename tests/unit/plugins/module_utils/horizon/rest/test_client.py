# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests are repeated as far as that is safe, and every failure ends as one of the engine's errors."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.horizon.rest.client import AnswerLost, HorizonClient
from ansible_collections.strata.layering.tests.support.scripted_server import Reply, refusal

POOLS, POOL = "/inventory/v6/desktop-pools", "/inventory/v6/desktop-pools/p1"
PUSH = "/inventory/v2/desktop-pools/p1/action/schedule-push-image"
ENVIRONMENT = "/config/v2/environment-properties"
HTML = Reply(503, b"<html><title>503</title><body>Service <b>Unavailable</b></body></html>")


def failed(call, *arguments, **options):
    with pytest.raises(StrataError) as raised:
        call(*arguments, **options)
    return raised.value


def environment(version):
    return Reply(200, {"local_connection_server_version": version, "local_pod_name": "P", "cluster_guid": "g"})


def test_get_sends_query_token_cookie_and_language(scripted, scripted_client):
    scripted.script("GET", POOLS, Reply(200, [{"id": "p1"}]))
    assert scripted_client.get(POOLS, vcenter_id="a b&c", flag=True, left_out=None) == [{"id": "p1"}]
    request = scripted.received[-1]
    assert request.query == {"vcenter_id": "a b&c", "flag": "true"}
    assert request.headers["authorization"] == "Bearer access-1"
    assert request.headers["cookie"] == "JSESSIONID=cookie-1"
    assert scripted.received[0].headers["accept-language"] == "en"


def test_close_logs_out(scripted, connection_to):
    HorizonClient.connect(connection_to(scripted)).close()
    assert scripted.received[-1].path == "/logout"
    assert not scripted.refresh


def test_close_server_gone_is_not_an_error(scripted, connection_to):
    client = HorizonClient.connect(connection_to(scripted))
    scripted.script("POST", "/logout", Reply(cut=-1))
    client.close()


@pytest.mark.parametrize("reply", [Reply(cut=-1), Reply(200, {"a": 1}, cut=3), HTML, Reply(502), refusal(500, "x")])
def test_get_transient_failure_is_repeated(scripted, scripted_client, reply):
    scripted.script("GET", POOL, reply, Reply(200, {"id": "p1"}))
    assert scripted_client.get(POOL) == {"id": "p1"}
    assert len(scripted.requests("GET", POOL)) == 2


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply(cut=-1), "horizon.connection"),
        (HTML, "horizon.unavailable"),
        (refusal(500, "common.internal"), "horizon.unavailable"),
        (refusal(400, "pool.busy"), "horizon.refused"),
        (refusal(409, "pool.conflict"), "horizon.conflict"),
        (Reply(302, b"", {"Location": "https://user:pw@else.example.com/x"}), "horizon.redirect"),
        (Reply(200, b"<html>"), "horizon.protocol"),
        (Reply(200, b"[NaN]"), "horizon.protocol"),
        (Reply(200, b"[" * 100_000), "horizon.protocol"),
        (Reply(200, b"", {"Content-Length": str(1 << 40)}), "horizon.answer"),
        (Reply(200, b"{}", {"Content-Encoding": "gzip"}), "horizon.connection"),
    ],
)
def test_get_lasting_failure_is_reported(scripted, scripted_client, reply, code):
    scripted.script("GET", POOL, reply)
    error = failed(scripted_client.get, POOL)
    assert error.code == code
    assert "pw@" not in str(error)


@pytest.mark.parametrize(
    ("body", "key", "text"),
    [
        ({"status": "BAD_REQUEST", "errors": [{"error_key": "a.b", "error_message": "One."}]}, "a.b", "One"),
        ({"errors": [{"error_message": "One"}, {"error_key": "k", "error_message": "Two"}]}, "k", "One; Two"),
        ({"error_messages": ["One", "Two", 3]}, None, "One; Two"),
        ({"error_message": "One"}, None, "One"),
        ({"timestamp": 1, "status": 400, "error": "Bad Request", "path": "/x"}, None, "Bad Request"),
        ({"errors": {"error_key": 1}}, None, ""),
        ({"errors": [None, 1, []]}, None, ""),
        (b"<html><head><title>T</title><style>p {}</style></head><p>Some\n text</p>", None, "Some text"),
        (b"\xff\xfe", None, "\ufffd\ufffd"),
        ([1], None, "[1]"),
        (b"", None, ""),
    ],
)
def test_error_bodies_of_all_forms_are_read(scripted, scripted_client, body, key, text):
    scripted.script("POST", PUSH, Reply(400, body))
    error = failed(scripted_client.post, PUSH, {})
    assert error.code == "horizon.refused"
    assert error.details["error_key"] == key
    assert error.details["error_message"] == text
    assert error.details["status"] == 400


@pytest.mark.parametrize(
    ("method", "path", "privilege"),
    [
        ("get", POOLS, "POOL_VIEW"),
        ("get", "/inventory/v3/machines", "MACHINE_VIEW"),
        ("get", "/external/v1/base-vms", "VC_CONFIG_VIEW"),
        ("get", "/config/v2/virtual-centers", "VC_CONFIG_VIEW"),
        ("get", "/config/v1/settings/general", "GLOBAL_CONFIG_VIEW"),
        ("post", "/inventory/v2/farms/f1/action/schedule-maintenance", "POOL_SVI_IMAGE_MANAGEMENT"),
        ("post", PUSH, "POOL_SVI_IMAGE_MANAGEMENT"),
        ("post", "/inventory/v1/desktop-pools/action/enable-provisioning", "POOL_MANAGEMENT"),
        ("post", "/inventory/v1/desktop-pools/action/enable", "POOL_ENABLE"),
        ("post", "/inventory/v1/sessions/action/logoff", "MACHINE_MANAGE_VDI_SESSION"),
        ("get", "/federation/v1/cpa", None),
    ],
)
def test_forbidden_names_the_privilege(scripted, scripted_client, method, path, privilege):
    scripted.script(method.upper(), path, refusal(403, "common.forbidden"))
    error = failed(getattr(scripted_client, method), path)
    assert error.code == "horizon.forbidden"
    assert error.details["privilege"] == privilege
    assert privilege is None or f"{privilege} (" in error.hint
    # The privileges to read vCenters and settings do not depend on the access group of a pool.
    assert ("access group of" in error.hint) is (privilege not in ("VC_CONFIG_VIEW", "GLOBAL_CONFIG_VIEW"))


def test_answer_in_chunks_is_read(scripted, scripted_client):
    scripted.script("GET", POOL, Reply(200, {"id": "x" * 200_000}, chunked=True))
    for unused in range(2):
        assert len(scripted_client.get(POOL)["id"]) == 200_000


@pytest.mark.parametrize("chunked", [False, True])
def test_answer_that_never_ends_is_given_up(scripted, connection_to, chunked):
    scripted.script("GET", POOL, Reply(200, b"x" * 1000, trickle=0.05, chunked=chunked))
    patience = dataclasses.replace(connection_to(scripted).patience, answer=0.3)
    with HorizonClient.connect(connection_to(scripted, patience=patience)) as client:
        assert failed(client.get, POOL).code == "horizon.no_answer"


def test_server_that_is_silent_is_given_up(scripted, connection_to):
    scripted.script("GET", POOL, Reply(200, {}, delay=0.6))
    patience = dataclasses.replace(connection_to(scripted).patience, socket=0.2, calls=0.3)
    with HorizonClient.connect(connection_to(scripted, patience=patience)) as client:
        assert failed(client.get, POOL).code == "horizon.no_answer"


# -- requests that change something


def test_post_returns_answer_or_none(scripted, scripted_client):
    scripted.script("POST", PUSH, Reply(200, [{"status_code": 200}]), Reply(204))
    assert scripted_client.post(PUSH, {"a": 1}) == [{"status_code": 200}]
    assert scripted_client.post(PUSH) is None
    assert [request.body for request in scripted.requests("POST", PUSH)] == [{"a": 1}, None]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(cut=-1),
        Reply(200, {"a": 1}, cut=2),
        Reply(502, b"<html>"),
        Reply(504),
        refusal(500, "common.internal"),
        refusal(503, "common.starting"),
        Reply(200, b"<html>"),
        Reply(200, b"", {"Content-Length": str(1 << 40)}),
    ],
)
def test_post_answer_lost_is_not_repeated(scripted, scripted_client, reply):
    scripted.script("POST", PUSH, reply)
    error = failed(scripted_client.post, PUSH, {})
    assert isinstance(error, AnswerLost)
    assert error.code == "horizon.answer_lost"
    assert len(scripted.requests("POST", PUSH)) == 1


@pytest.mark.parametrize("reply", [HTML, refusal(429, "limit", X_Rate_Limit_Retry_After_Seconds="0")])
def test_post_that_was_not_executed_is_repeated(scripted, scripted_client, reply):
    scripted.script("POST", PUSH, reply, Reply(204))
    scripted_client.post(PUSH, {})
    assert len(scripted.requests("POST", PUSH)) == 2


def test_post_token_expired_is_repeated(scripted, scripted_client):
    scripted.script("POST", PUSH, Reply(204))
    scripted.expire()
    scripted_client.post(PUSH, {"a": 1})
    assert [request.path for request in scripted.received[1:]] == [PUSH, "/refresh", PUSH]


def test_post_connection_closed_by_server_while_idle_uses_a_new_connection(scripted, scripted_client):
    scripted.script("GET", POOL, Reply(200, {}, {"Connection": "keep-alive"}, cut=2))
    scripted.script("POST", PUSH, Reply(204))
    scripted_client.get(POOL)
    time.sleep(0.1)
    scripted_client.post(PUSH)


# -- limits of the rate


def test_rate_limit_waits_as_long_as_demanded(scripted, scripted_client):
    limit = refusal(429, "common.api-throttle-limit.exceeded.error", X_Rate_Limit_Retry_After_Seconds="1")
    scripted.script("GET", POOL, limit, Reply(200, {}))
    started = time.monotonic()
    scripted_client.get(POOL)
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(("header", "demanded"), [("X-Rate-Limit-Retry-After-Seconds", "3600"), ("Retry-After", "90")])
def test_rate_limit_that_lasts_too_long_is_reported_at_once(scripted, scripted_client, header, demanded):
    scripted.script("GET", POOL, Reply(429, None, {header: demanded}))
    started = time.monotonic()
    error = failed(scripted_client.get, POOL)
    assert error.code == "horizon.throttled"
    assert error.details["retry_after"] == float(demanded)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "soon", "1e30"])
def test_rate_limit_without_a_usable_time_is_bounded(scripted, scripted_client, value):
    scripted.script("GET", POOL, Reply(429, None, {"X-Rate-Limit-Retry-After-Seconds": value}))
    error = failed(scripted_client.get, POOL)
    assert error.code == "horizon.throttled"
    assert error.details["retry_after"] is None


# -- pages


def test_pages_follow_the_header(scripted, scripted_client):
    more = {"HAS_MORE_RECORDS": "TRUE"}
    scripted.script(
        "GET", POOLS, Reply(200, [{"id": "1"}], more), Reply(200, [{"id": "2"}], more), Reply(200, [{"id": "3"}])
    )
    found = list(scripted_client.pages(POOLS, {"name": 'x "y"', "enabled": True}, order_by="ASC"))
    assert [element["id"] for element in found] == ["1", "2", "3"]
    queries = [request.query for request in scripted.requests("GET", POOLS)]
    assert [query["page"] for query in queries] == ["1", "2", "3"]
    assert {query["size"] for query in queries} == {"1000"}
    assert json.loads(queries[0]["filter"]) == {
        "type": "And",
        "filters": [
            {"type": "Equals", "name": "name", "value": 'x "y"'},
            {"type": "Equals", "name": "enabled", "value": True},
        ],
    }
    assert " " not in queries[0]["filter"].replace('x \\"y', "")


def test_pages_full_last_page_is_the_end(scripted, scripted_client):
    scripted.script("GET", POOLS, Reply(200, [{"id": str(number)} for number in range(1000)]))
    assert len(list(scripted_client.pages(POOLS, {"name": "x"}))) == 1000
    assert len(scripted.requests("GET", POOLS)) == 1
    assert json.loads(scripted.received[-1].query["filter"]) == {"type": "Equals", "name": "name", "value": "x"}


def test_pages_list_that_shrinks_ends(scripted, scripted_client):
    scripted.script("GET", POOLS, Reply(200, [{}], {"HAS_MORE_RECORDS": "true"}), refusal(400, "common.page.invalid"))
    assert list(scripted_client.pages(POOLS)) == [{}]


def test_pages_first_page_refused_is_reported(scripted, scripted_client):
    scripted.script("GET", POOLS, refusal(400, "common.filter.invalid"))
    assert failed(lambda: list(scripted_client.pages(POOLS))).code == "horizon.refused"


@pytest.mark.parametrize("body", [{}, None, "x", 1, [1], [[]], [{}] * 1001])
def test_pages_of_the_wrong_type_are_reported(scripted, scripted_client, body):
    scripted.script("GET", POOLS, Reply(200, body))
    assert failed(lambda: list(scripted_client.pages(POOLS))).code == "horizon.answer"


def test_pages_empty_page_ends_although_more_are_promised(scripted, scripted_client):
    scripted.script("GET", POOLS, Reply(200, [], {"HAS_MORE_RECORDS": "true"}))
    assert list(scripted_client.pages(POOLS)) == []


# -- versions and time


def test_environment_is_read_once(scripted, scripted_client):
    scripted.script("GET", ENVIRONMENT, environment("8.12.0"))
    assert scripted_client.environment.release == (8, 12)
    assert scripted_client.environment.pod == "P"
    assert len(scripted.requests("GET", ENVIRONMENT)) == 1


@pytest.mark.parametrize(
    ("path", "version", "code", "needed"),
    [
        (POOL, "8.4.0", "horizon.version", "2206"),
        (POOL, "7.13", "horizon.version", "2206"),
        (POOL, "8.6.0", "horizon.not_found", None),
        (POOL, "8.12.0", "horizon.not_found", None),
        (POOL, "unknown", "horizon.not_found", None),
        ("/inventory/v1/desktop-pools/action/enable-provisioning", "8.10.0", "horizon.version", "2309"),
        ("/inventory/v1/desktop-pools/action/enable-provisioning", "8.11.0", "horizon.not_found", None),
    ],
)
def test_path_not_found_compares_the_version(scripted, scripted_client, path, version, code, needed):
    scripted.script("GET", ENVIRONMENT, environment(version))
    method = scripted_client.post if "action" in path else scripted_client.get
    error = failed(method, path)
    assert error.code == code
    assert error.details.get("needed") == needed


def test_environment_not_found_is_an_old_version(scripted_client):
    assert failed(lambda: scripted_client.environment).code == "horizon.version"


def test_server_time_adds_the_age_of_the_answer(scripted, scripted_client):
    headers = {"Date": "Mon, 30 Nov 2026 12:00:00 GMT", "Age": "30"}
    scripted.script("GET", ENVIRONMENT, Reply(200, {}, headers))
    first = scripted_client.server_time()
    assert 0 <= first - 1796040030000 < 5000
    time.sleep(0.05)
    assert scripted_client.server_time() - first >= 50
    assert len(scripted.requests("GET", ENVIRONMENT)) == 1


@pytest.mark.parametrize("headers", [{}, {"Date": "today"}, {"Date": "Mon, 30 Nov 2026 12:00:00 GMT", "Age": "x"}])
def test_server_time_that_is_not_sent_is_reported(scripted, scripted_client, headers):
    scripted.date = False
    scripted.script("GET", ENVIRONMENT, Reply(200, {}, headers))
    assert failed(scripted_client.server_time).code == "horizon.server_time"


@pytest.mark.parametrize("identifier", ["../login", "..", "a/../b", "a b", "a?b", "a%2fb", "", "a\r\nX: y", "ä"])
def test_path_with_an_id_that_cannot_be_one_is_not_requested(scripted, scripted_client, identifier):
    assert failed(scripted_client.get, f"{POOLS}/{identifier}").code == "horizon.answer"
    assert len(scripted.received) == 1
