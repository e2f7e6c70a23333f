# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords and tokens are in no error, representation or log; the API log has the rest."""

from __future__ import annotations

import json
import os
import stat
import traceback

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.horizon.rest import api_log
from ansible_collections.strata.layering.plugins.module_utils.horizon.rest.client import HorizonClient
from ansible_collections.strata.layering.tests.support.scripted_server import (
    PASSWORD,
    Reply,
    refusal,
)

POOL, PUSH = "/inventory/v6/desktop-pools/p1", "/inventory/v2/desktop-pools/p1/action/schedule-push-image"
SECRETS = (PASSWORD, json.dumps(PASSWORD)[1:-1], "s3cret%2FPa%20ss", "access-1", "refresh-1", "cookie-1")


def failed(call, *arguments, **options):
    with pytest.raises(StrataError) as raised:
        call(*arguments, **options)
    return raised.value


def secrets_in(text):
    return [secret for secret in SECRETS if secret in text]


def everything(error):
    """Return all that a playbook, a log or a traceback may show of an error."""
    shown = [str(error), repr(error), json.dumps(error.details), *traceback.format_exception(error)]
    return "\n".join(shown)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "api.jsonl"


def lines_of(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_error_of_a_server_that_returns_secrets_has_none(scripted, scripted_client):
    text = " ".join(SECRETS)
    for reply in (
        refusal(400, f"key.{PASSWORD}", text),
        Reply(500, text.encode()),
        Reply(400, {"error_messages": [text]}),
    ):
        scripted.script("POST", PUSH, reply)
        assert secrets_in(everything(failed(scripted_client.post, PUSH, {}))) == []


def test_rejected_login_does_not_show_the_password(scripted, connection_to):
    error = failed(HorizonClient.connect, connection_to(scripted, password="wr0ng"))
    assert error.code == "horizon.login"
    assert "wr0ng" not in everything(error)


def test_representations_have_no_secrets(scripted, scripted_client, connection_to):
    shown = [connection_to(scripted), scripted_client, *vars(scripted_client).values()]
    assert secrets_in(" ".join(map(repr, shown))) == []


def test_log_has_requests_and_answers_without_secrets(scripted, connection_to, log):
    scripted.script("GET", POOL, Reply(200, {"id": "p1", "note": f"{PASSWORD} access-1", "auth_token": "x1y2"}))
    scripted.script("POST", PUSH, refusal(400, "pool.busy", f"Busy: {PASSWORD}."), Reply(cut=-1))
    with HorizonClient.connect(connection_to(scripted, api_log=str(log))) as client:
        client.get(POOL, vcenter_id="v 1")
        client.get(POOL, vcenter_id="v 1")
        failed(client.post, PUSH, {"snapshot_id": "snapshot-1"})
        failed(client.post, PUSH, {"password": "p", "snapshot_id": "snapshot-1"})
    text = log.read_text()
    assert secrets_in(text) == []
    assert "x1y2" not in text
    assert "Bearer" not in text
    lines = lines_of(log)
    assert [line["path"] for line in lines] == ["/login", POOL, POOL, PUSH, PUSH, "/logout"]
    assert lines[0]["body"] == {"domain": "EXAMPLE", "username": "svc-images", "password": "***"}
    assert lines[0]["answer"] == {"access_token": "***", "refresh_token": "***"}
    assert lines[1]["query"] == {"vcenter_id": "v 1"}
    assert lines[1]["answer"] == {"id": "p1", "note": "*** ***", "auth_token": "***"}
    assert lines[2]["same_answer"] is True
    assert lines[3]["status"] == 400
    assert lines[3]["body"] == {"snapshot_id": "snapshot-1"}
    assert lines[3]["answer"]["errors"][0] == {"error_key": "pool.busy", "error_message": "Busy: ***."}
    assert "failure" in lines[4]
    assert stat.S_IMODE(os.stat(log).st_mode) == 0o600


def test_log_is_appended_and_its_mode_is_restricted(scripted, connection_to, log):
    log.write_text('{"earlier": true}\n')
    log.chmod(0o644)
    HorizonClient.connect(connection_to(scripted, api_log=str(log))).close()
    assert lines_of(log)[0] == {"earlier": True}
    assert len(lines_of(log)) == 3
    assert stat.S_IMODE(os.stat(log).st_mode) == 0o600


def test_log_is_bounded(scripted, connection_to, log, monkeypatch):
    monkeypatch.setattr(api_log, "_LONGEST_LOG", 3000)
    scripted.script("GET", POOL, *(Reply(200, {"number": number}) for number in range(30)))
    with HorizonClient.connect(connection_to(scripted, api_log=str(log))) as client:
        for unused in range(30):
            client.get(POOL)
    assert log.stat().st_size < 3100
    assert "end" in lines_of(log)[-1]


def test_log_shortens_long_answers(scripted, connection_to, log):
    deep: object = "x"
    for unused in range(300):
        deep = [deep]
    scripted.script("GET", POOL, Reply(200, {"list": ["y" * 9000] * 999, "deep": deep}), Reply(200, b"<html>" * 99999))
    with HorizonClient.connect(connection_to(scripted, api_log=str(log))) as client:
        client.get(POOL)
        failed(client.get, POOL)
    assert log.stat().st_size < 200_000
    assert len(lines_of(log)) == 4


@pytest.mark.parametrize("kind", ["folder", "link", "hard link", "pipe", "missing folder", "file of a different user"])
def test_log_that_is_not_a_file_of_the_user_is_refused(scripted, connection_to, tmp_path, monkeypatch, kind):
    path = tmp_path / "log"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "target")
    elif kind == "hard link":
        (tmp_path / "target").touch()
        path.hardlink_to(tmp_path / "target")
    elif kind == "file of a different user":
        path.touch()
        user = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = path / "log"
    assert failed(HorizonClient.connect, connection_to(scripted, api_log=str(path))).code == "horizon.api_log"
    assert not scripted.received
