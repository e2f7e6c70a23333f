# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the Horizon simulator, the contract, pages and filters."""

from __future__ import annotations

import json
import threading
import time

import pytest
import requests

from ansible_collections.strata.layering.tests.support.horizon_rest import RestClient
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.simulator import ControlError

_POOLS = "/inventory/v6/desktop-pools"


def test_rule_skips_and_counts(rest: RestClient, horizon: HorizonSimulator) -> None:
    number = horizon.rules.add("GET", "desktop-pools", status=500, skip=1, count=2)
    assert [rest.status("GET", _POOLS) for _request in range(5)] == [200, 500, 500, 200, 200]
    assert rest.status("GET", "/inventory/v4/farms") == 200
    rule = horizon.rules.list()[0]
    assert (rule["id"], rule["seen"], rule["hits"]) == (number, 5, 2)


@pytest.mark.parametrize("form", ["errors", "error_message", "error_messages"])
def test_error_has_the_form_of_a_version(rest: RestClient, horizon: HorizonSimulator, form: str) -> None:
    horizon.rules.add("*", "pools", status=400, message="Busy.", form=form)
    body = rest.send("GET", _POOLS).json()
    values = {"errors": [{"error_key": "simulator.rule", "error_message": "Busy."}], "error_messages": ["Busy."]}
    assert body[form] == values.get(form, "Busy.")


def test_throttled_request_says_when_to_retry(rest: RestClient, horizon: HorizonSimulator) -> None:
    horizon.rules.throttle("GET", "pools", retry_after=7)
    answer = rest.send("GET", _POOLS)
    assert (answer.status_code, answer.headers["X-Rate-Limit-Retry-After-Seconds"]) == (429, "7")
    assert answer.json()["status"] == "TOO_MANY_REQUESTS"


def test_html_page_is_answered(rest: RestClient, horizon: HorizonSimulator) -> None:
    horizon.rules.add("GET", "pools", status=503, html=True)
    answer = rest.send("GET", _POOLS)
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "text/html;charset=UTF-8")


@pytest.mark.parametrize(("after", "state"), [(False, None), (True, "PENDING_PUBLISH")])
def test_connection_is_cut_before_or_after_the_push(
    rest: RestClient, horizon: HorizonSimulator, after: bool, state: str | None
) -> None:
    horizon.add_pool("sales", "golden", "Old")
    horizon.rules.add("POST", "schedule-push-image", drop_connection=True, after=after)
    with pytest.raises(requests.ConnectionError):
        rest.push("sales")
    assert horizon.pool("sales")["pending_state"] == state
    assert [entry["status"] for entry in horizon.journal("POST", "push-image")] == [None]


def test_answer_is_lost_behind_a_status(rest: RestClient, horizon: HorizonSimulator) -> None:
    horizon.add_pool("sales", "golden", "Old")
    horizon.rules.add("POST", "schedule-push-image", status=502, html=True, after=True)
    assert rest.push("sales").status_code == 502
    assert horizon.pool("sales")["pending_state"] == "PENDING_PUBLISH"


def test_delay_ends_when_it_is_released(rest: RestClient, horizon: HorizonSimulator) -> None:
    number = horizon.rules.add("GET", "pools", delay_ms=60_000)
    started, statuses = time.monotonic(), []
    thread = threading.Thread(target=lambda: statuses.append(rest.status("GET", _POOLS)))
    thread.start()
    while not horizon.rules.list()[0]["hits"] and time.monotonic() < started + 30:
        time.sleep(0.01)
    assert statuses == []
    horizon.rules.release(number)
    thread.join(30)
    assert statuses == [200]


@pytest.mark.parametrize(("tokens", "refreshed"), [("access", 200), ("all", 400)])
def test_tokens_expire_at_a_request(rest: RestClient, horizon: HorizonSimulator, tokens: str, refreshed: int) -> None:
    horizon.rules.add("GET", "pools", skip=1, expire_tokens=tokens)
    assert [rest.status("GET", _POOLS) for _request in range(2)] == [200, 401]
    assert rest.status("POST", "/refresh", {"refresh_token": rest.tokens["refresh_token"]}) == refreshed


def test_another_administrator_acts_in_between(rest: RestClient, horizon: HorizonSimulator) -> None:
    pool = horizon.add_pool("sales", "golden", "Old")["id"]
    body = {**rest.image("Old"), "logoff_policy": "WAIT_FOR_LOGOFF"}
    other = {"method": "POST", "path": f"/inventory/v2/desktop-pools/{pool}/action/schedule-push-image", "body": body}
    session = {"control": True, "method": "POST", "path": "/sessions", "body": {"machine": "sales-1"}}
    horizon.rules.add("POST", "schedule-push-image", act=[other, session])
    assert rest.push("sales").status_code == 400
    assert horizon.pool("sales")["pending_snapshot"] == rest.image("Old")["snapshot_id"]
    assert len(horizon.sessions()) == 1
    assert [entry["actor"] for entry in horizon.journal("POST", "push-image", others=True)] == ["other", "client"]


@pytest.mark.parametrize(
    "fields", [{}, {"status": 500, "form": "xml"}, {"delay_ms": 1, "expire_tokens": "some"}, {"colour": "red"}]
)
def test_rule_without_a_meaning_is_refused(horizon: HorizonSimulator, fields: dict[str, object]) -> None:
    with pytest.raises(ControlError):
        horizon.ask("POST", "/rules", {"method": "*", "path": "pools", **fields})


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/external/v1/base-vms", None, 400),
        ("GET", f"{_POOLS}?colour=red", None, 400),
        ("POST", "/refresh", {"token": "some"}, 400),
        ("POST", "/inventory/v1/sessions/action/logoff", "none", 400),
        ("GET", "/inventory/v12/desktop-pools", None, 404),
    ],
)
def test_request_that_contradicts_the_contract_is_a_problem(
    rest: RestClient, horizon: HorizonSimulator, method: str, path: str, body: object, status: int
) -> None:
    assert rest.status(method, path, body) == status
    horizon.clear_journal()
    assert horizon.take_problems()
    assert horizon.problems() == []


def test_wrong_answer_of_the_simulator_is_a_problem(rest: RestClient, horizon: HorizonSimulator) -> None:
    horizon.add_pool("sales", "golden", "Old", colour="red")
    assert rest.status("GET", _POOLS) == 599
    assert any("colour" in problem for problem in horizon.take_problems())


def test_pages_end_with_a_header(rest: RestClient, horizon: HorizonSimulator) -> None:
    horizon.add_pool("sales", "golden", "Old", 6)
    path = "/inventory/v3/machines"
    first, second = (rest.send("GET", path, page=page, size=3) for page in (1, 2))
    assert first.headers["HAS_MORE_RECORDS"] == "TRUE"
    assert "HAS_MORE_RECORDS" not in second.headers
    assert second.headers["X-TOTAL-COUNT"] == "6"
    assert len({machine["id"] for answer in (first, second) for machine in answer.json()}) == 6
    assert rest.status("GET", path, page=3, size=3) == 400
    assert rest.status("GET", path, page=1, size=1001) == 400
    assert len(rest.get(path, page=1)) == 6
    assert rest.status("GET", path, order_by="ASC") == 400


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ({"type": "Equals", "name": "name", "value": "sales-2"}, 1),
        ({"type": "StartsWith", "name": "name", "value": "sales"}, 3),
        ({"type": "Not", "filter": {"type": "Equals", "name": "name", "value": "sales-2"}}, 2),
        ({"type": "And", "filters": [{"type": "Equals", "name": "state", "value": "AVAILABLE"}]}, 3),
        ({"type": "Or", "filters": [{"type": "Equals", "name": "name", "value": "sales-1"}]}, 1),
    ],
)
def test_filter_selects_machines(
    rest: RestClient, horizon: HorizonSimulator, condition: dict[str, object], found: int
) -> None:
    horizon.add_pool("sales", "golden", "Old")
    assert len(rest.get("/inventory/v3/machines", filter=json.dumps(condition))) == found


@pytest.mark.parametrize(
    "text", ["{", '{"type": "Equals", "name": "operating_system", "value": true}', '{"type": "Like"}']
)
def test_wrong_filter_is_refused(rest: RestClient, text: str) -> None:
    assert rest.status("GET", "/inventory/v3/machines", filter=text) == 400


def test_requests_are_limited(rest: RestClient, horizon: HorizonSimulator) -> None:
    horizon.settings(requests_per_second=3)
    statuses = [rest.status("GET", _POOLS) for _request in range(12)]
    assert 429 in statuses
    assert statuses[0] == 200
