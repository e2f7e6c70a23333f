# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The output of the callback brief."""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

_COLLECTIONS = pathlib.Path(__file__).resolve().parents[4] / ".build" / "collections"
_PLAYS = [
    {"name": "Empty play", "hosts": "nothing", "tasks": [{"debug": {"msg": "x"}}]},
    {
        "name": "Full play",
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {"name": "A skipped task", "set_fact": {"x": 1}, "when": False},
            {"name": "A quiet task", "set_fact": {"x": 1}},
            {"name": "A loop", "set_fact": {"x": 1}, "loop": ["first", "second"], "changed_when": "item == 'second'"},
            {"name": "A long loop", "set_fact": {"x": 1}, "loop": [1, 2, 3], "changed_when": "item > 1"},
            {"name": "A message", "debug": {"msg": ["line one", "line two\nline three"]}},
            {"name": "A variable", "debug": {"var": "inventory_hostname"}},
            {
                "name": "A plan",
                "set_fact": {"x": 1},
                "loop": [1],
                "loop_control": {"label": "would create it"},
                "changed_when": True,
            },
            {"name": "A secret", "set_fact": {"x": 1}, "loop": ["hush"], "no_log": True, "changed_when": True},
            {
                "name": "A retry",
                "assert": {"that": False, "fail_msg": "not yet"},
                "register": "r",
                "until": "r is success",
                "retries": 1,
                "delay": 0,
                "ignore_errors": True,
            },
            {"name": "An end", "fail": {"msg": "Because of x.\nDo y."}},
        ],
    },
]


@pytest.fixture
def output(tmp_path):
    """Run the plays with arguments of ansible-playbook; return standard output."""

    def run(*arguments: str, plays: list[dict] | None = None, code: int = 2) -> str:
        path = tmp_path / "plays.yml"
        path.write_text(json.dumps(plays or _PLAYS))
        done = subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", str(path), "-c", "local", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(_COLLECTIONS),
                "ANSIBLE_HOME": str(tmp_path / "ansible"),
                "ANSIBLE_STDOUT_CALLBACK": "strata.layering.brief",
            },
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    return run


def _lines(text: str) -> list[str]:
    """Return the lines without durations and outer spaces."""
    return [re.sub(r"^\d+\.\d s +|, \d+\.\d s$", "", line.strip()) for line in text.splitlines() if line.strip()]


def test_run_prints_changes_messages_and_failures(output):
    text = output("-i", "one,")
    assert "\033" not in text
    lines = _lines(text)
    assert lines == [
        "Full play",
        "changed  A loop: second",
        "changed  A long loop: 2 changes",
        "line one",
        "line two",
        "line three",
        "inventory_hostname: one",
        "planned  would create it",
        "changed  A secret",
        lines[9],
        "ignored  A retry",
        "not yet",
        lines[-6],
        "FAILED   An end",
        "Because of x.",
        "Do y.",
        lines[-2],
        "one: 4 changed, 8 ok, 1 failed, 1 ignored",
    ]
    assert re.fullmatch(r"retry +A retry \(\d more\)", lines[9])
    assert re.fullmatch(r"plays\.yml:\d+", lines[-2])


def test_check_mode_marks_changes_and_several_hosts_are_named(output):
    lines = _lines(output("-i", "one,two", "--check"))
    assert lines[0] == "Full play (check mode)"
    for host in ("one", "two"):
        assert f"would change {host}: A loop: second" in lines
        assert f"{host}: line three" in lines
        assert f"{host}: 4 would change, 8 ok, 1 failed, 1 ignored" in lines


def test_verbose_run_prints_every_task_but_no_secret(output):
    text = output("-i", "one,", "-v")
    assert re.search(r"skipped +A skipped task", text)
    assert re.search(r"ok +A quiet task", text)
    assert "Empty play: no hosts" in text
    assert "hush" not in text


def test_diff_and_unreachable_host_are_printed(tmp_path, output):
    play = {"hosts": "all", "gather_facts": False, "vars": {"ansible_python_interpreter": sys.executable}}
    copy = {"name": "A file", "copy": {"content": "new\n", "dest": str(tmp_path / "file"), "mode": "0600"}}
    assert "+new" in _lines(output("-i", "one,", "--diff", plays=[play | {"tasks": [copy]}], code=0))
    far = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    lines = _lines(
        output("-i", "one,", plays=[play | {"tasks": [{"name": "A ping", "ping": {}, "vars": far}]}], code=4)
    )
    assert "UNREACHABLE A ping" in lines
    assert lines[-1] == "one: 0 changed, 0 ok, 1 unreachable"


def test_role_without_work_says_so_once(output):
    play = {"name": "Idle", "hosts": "all", "gather_facts": False, "roles": ["strata.layering.app_layer"]}
    lines = _lines(output("-i", "one,", plays=[play], code=0))
    assert lines[0] == "Idle"
    assert [("app_layer_versions" in line, "app_layer_packages" in line) for line in lines[1:-1]] == [(True, True)]


def test_message_that_repeats_the_failure_is_printed_once(output):
    failing = {"name": "A task", "fail": {"msg": "Because of x."}}
    message = {"name": "A reason", "debug": {"msg": ["{{ ansible_failed_result.msg }}"]}}
    other = {"name": "Another reason", "debug": {"msg": "y"}}
    play = {
        "name": "Play",
        "hosts": "all",
        "gather_facts": False,
        "tasks": [{"block": [failing], "rescue": [message, other]}],
    }
    lines = _lines(output("-i", "one,", plays=[play], code=0))
    assert lines.count("Because of x.") == 1
    assert "y" in lines
