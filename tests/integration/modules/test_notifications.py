# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role notifications against a web server and a mail server on loopback."""

from __future__ import annotations

import email
import json
import os
import pathlib
import socketserver
import subprocess
import sys
from email.header import decode_header, make_header

import pytest

from ansible_collections.strata.layering.tests.support.webhooks import WebServer, served

_COLLECTIONS = pathlib.Path(__file__).resolve().parents[3] / ".build" / "collections"
_SECRET = "T0PSECRET"  # noqa: S105
_PUBLISHED = {"event": "image_published", "subject": "office", "message": "The image <a&b> is ready."}
_ANSWERS = {"busy": [503, 429], "gone": [404] * 9, "broken": [500] * 9}
_FAILED = {"event": "push_failed", "subject": "Sales", "message": "The push stopped."}


class MailServer(socketserver.ThreadingTCPServer):
    """Accepts messages over SMTP without encryption."""

    allow_reuse_address = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _MailHandler)
        self.received = []

    @property
    def port(self):
        return self.server_address[1]


class _MailHandler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 mail.example.com\r\n")
        recipients = []
        while line := self.rfile.readline():
            command = line.decode().strip()
            if command.upper().startswith("RCPT TO:"):
                recipients.append(command[8:].strip("<>"))
            if command.upper() == "DATA":
                self.wfile.write(b"354 continue\r\n")
                data = b""
                while (line := self.rfile.readline()) != b".\r\n":
                    data += line
                self.server.received.append((recipients, email.message_from_bytes(data)))
            if command.upper() == "QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 ok\r\n")


@pytest.fixture(scope="module", name="servers")
def _servers():
    with served(WebServer(_ANSWERS, prefix=_SECRET)) as web, served(MailServer()) as mail:
        yield web, mail


def _play(folder, cases, *flags, collections=_COLLECTIONS):
    """Run the role with each of ``cases``, which are variables, in one play; return the exit code and the output."""
    role = {"ansible.builtin.include_role": {"name": "strata.layering.notifications"}}
    common = {"notifications_retry_pause": 0, "notifications_found": [_PUBLISHED, _FAILED]}
    tasks = [role | {"vars": common | case} for case in cases]
    (folder / "play.yml").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (folder / "inventory.yml").write_text(json.dumps({"all": {"hosts": {"localhost": host}}}))
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "play.yml", "-i", "inventory.yml", *flags],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ
        | {
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "0",
            "ANSIBLE_HOME": str(folder / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
        },
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module", name="output")
def _output(servers, tmp_path_factory):
    """The output of a play with all targets, which succeeded."""
    web, mail = servers
    hooks = [web.hook(name, format=name) for name in ("json", "slack", "teams")]
    hooks[0] |= {"headers": {"Authorization": f"Bearer {_SECRET}"}}
    hooks += [web.hook("failures", events=["push_failed"]), web.hook("none", events=["layer_created"])]
    hooks += [web.hook(name) for name in _ANSWERS]
    many = [_PUBLISHED | {"subject": f"image {number}"} for number in range(25)]
    server = {"host": "127.0.0.1", "port": mail.port, "secure": "never"}
    message = server | {"name": "ops", "to": ["ops@example.com", "it@example.com"], "cc": ["boss@example.com"]}
    lost = server | {"name": "lost", "to": ["x@example.com"], "port": 1, "username": "u", "password": _SECRET}
    cases = [
        {"notifications_webhooks": hooks, "notifications_site": "Berlin"},
        {"notifications_webhooks": [web.hook("many", format="slack"), web.hook("list")], "notifications_found": many},
        {"notifications_webhooks": [web.hook("idle")], "notifications_found": []},
        {"notifications_webhooks": [web.hook("idle")], "notifications_events": ["layer_created"]},
        {"notifications_mail": [message, lost], "notifications_site": "München"},
    ]
    code, output = _play(tmp_path_factory.mktemp("play"), cases, "-vvv")
    assert code == 0, output
    return output


def _bodies(servers, path):
    return [body for body, _headers in servers[0].received.get(path, [])]


def test_webhook_gets_json(servers, output):
    [(body, headers)] = servers[0].received["json"]
    assert body == {
        "source": "strata.layering",
        "format": 1,
        "site": "Berlin",
        "title": "Berlin: Push failed: Sales (and 1 more)",
        "problems": 1,
        "events": [_FAILED, _PUBLISHED],
    }
    assert headers["Authorization"] == f"Bearer {_SECRET}"


def test_webhook_gets_message_of_slack(servers, output):
    [body] = _bodies(servers, "slack")
    assert body["text"].splitlines() == [
        "Berlin: Push failed: Sales (and 1 more)",
        "Push failed: Sales: The push stopped.",
        "Image published: office: The image &lt;a&amp;b&gt; is ready.",
    ]


def test_webhook_gets_card_of_teams(servers, output):
    [body] = _bodies(servers, "teams")
    [attachment] = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert [block["inlines"][0]["text"] for block in attachment["content"]["body"]] == [
        "Berlin: Push failed: Sales (and 1 more)",
        "Push failed: Sales: The push stopped.\nImage published: office: The image <a&b> is ready.",
    ]


def test_target_gets_only_its_events(servers, output):
    [body] = _bodies(servers, "failures")
    assert body["events"] == [_FAILED]
    assert _bodies(servers, "none") == []


def test_message_for_people_lists_few_events(servers, output):
    [message], [document] = _bodies(servers, "many"), _bodies(servers, "list")
    lines = message["text"].splitlines()
    assert len(lines) == 22
    assert lines[-1] == "... and 5 more events."
    assert len(document["events"]) == 25


def test_nothing_is_sent_without_event(servers, output):
    assert _bodies(servers, "idle") == []


@pytest.mark.parametrize(("path", "requests"), [("busy", 3), ("gone", 1), ("broken", 3)])
def test_temporary_failure_is_retried(servers, output, path, requests):
    assert len(_bodies(servers, path)) == requests


def test_failures_are_reported(servers, output):
    reported = sorted(line.split('"')[3] for line in output.splitlines() if '"msg": "Not notified' in line)
    assert reported == [
        "Not notified: broken: the server answered with the status 500.",
        "Not notified: gone: the server answered with the status 404.",
        "Not notified: lost: the server could not be reached, or rejected the message.",
    ]


def test_secrets_are_not_logged(servers, output):
    assert _SECRET not in output


def test_mail_is_sent(servers, output):
    [(recipients, message)] = servers[1].received
    assert sorted(recipients) == ["boss@example.com", "it@example.com", "ops@example.com"]
    assert str(make_header(decode_header(message["Subject"]))) == "München: Push failed: Sales (and 1 more)"
    [part] = message.get_payload()
    assert part.get_payload(decode=True).decode().split("\n")[:2] == [
        "Push failed: Sales: The push stopped.",
        "Image published: office: The image <a&b> is ready.",
    ]


def test_check_mode_sends_nothing(servers, output, tmp_path):
    web, mail = servers
    target = {"to": ["ops@example.com"], "host": "127.0.0.1", "port": mail.port, "secure": "never"}
    sent = len(mail.received)
    case = {"notifications_webhooks": [web.hook("check")], "notifications_mail": [target]}
    code, text = _play(tmp_path, [case], "--check")
    assert code == 0, text
    assert "check" not in web.received
    assert len(mail.received) == sent


def test_failure_and_missing_collection_fail_only_on_request(servers, output, tmp_path):
    only = tmp_path / "only" / "ansible_collections"
    only.mkdir(parents=True)
    (only / "strata").symlink_to(_COLLECTIONS / "ansible_collections" / "strata")
    case = {
        "notifications_webhooks": [servers[0].hook("gone")],
        "notifications_mail": [{"to": ["ops@example.com"]}],
    }
    cases = [case, case | {"notifications_required": True}]
    code, text = _play(tmp_path, cases, collections=tmp_path / "only")
    assert code == 2, text
    assert "the collection community.general is not installed" in text
    assert "failed=1 " in text
