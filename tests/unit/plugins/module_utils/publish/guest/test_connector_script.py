# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the connector's script."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput, TimedOut
from ansible_collections.strata.layering.plugins.module_utils.publish.guest.connector_script import (
    ScriptFailed,
    run_script,
)
from ansible_collections.strata.layering.plugins.module_utils.publish.guest.script_check import check_script


@pytest.fixture
def script(tmp_path):
    def write(text: str) -> str:
        path = tmp_path / "script"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return os.fspath(path)

    return write


def test_run_script_passes_variables_without_secrets(script, monkeypatch):
    monkeypatch.setenv("VMWARE_PASSWORD", "secret")
    monkeypatch.setenv("STRATA_REPOSITORY", "/srv")
    output = run_script(
        script("echo $STRATA_IMAGE; env | grep -c -e VMWARE -e REPOSITORY; cat"),
        {"STRATA_IMAGE": "sha256:1"},
        timeout=10,
    )
    assert output == "sha256:1\n0"


def test_run_script_bounds_the_output(script):
    output = run_script(
        script(
            "yes 'a long line of text' | head -c 3000000; printf 'last\\033[1m'; for i in 1 2 3 4; do echo $i; done"
        ),
        {},
        timeout=20,
    )
    assert len(output.splitlines()) == 5 and output.splitlines()[1:] == ["2", "3", "4"] or output.endswith("2\n3\n4")
    assert len(output) < 1100
    assert "\x1b" not in output


def test_run_script_exit_code_not_zero_fails(script):
    with pytest.raises(ScriptFailed) as raised:
        run_script(script("echo no; echo yes >&2; exit 3"), {}, timeout=10)
    assert raised.value.details == {"exit_code": 3, "output": "no\nyes"}


def test_run_script_timeout_ends_the_script_and_its_children(script, tmp_path):
    mark = tmp_path / "late"
    with pytest.raises(TimedOut) as raised:
        run_script(script(f"echo begun; (sleep 2; touch {mark}) & sleep 600"), {}, timeout=1)
    assert raised.value.code == "publish.connector_script"
    assert raised.value.message.endswith("did not end within 1 s; its last output is: begun.")
    time.sleep(1.5)
    assert not mark.exists()


def test_run_script_does_not_wait_for_background_processes(script):
    before = time.monotonic()
    assert run_script(script("sleep 30 & echo done"), {}, timeout=20) == "done"
    assert time.monotonic() - before < 5


def test_run_script_stops_when_tick_raises(script):
    class Stop(Exception):
        pass

    def stop():
        raise Stop

    before = time.monotonic()
    with pytest.raises(Stop):
        run_script(script("sleep 600"), {}, timeout=60, tick=stop)
    assert time.monotonic() - before < 5


@pytest.mark.parametrize("kind", ["missing", "folder", "not executable", "relative"])
def test_run_script_not_executable_fails(script, tmp_path, kind):
    path = script("true")
    if kind == "not executable":
        os.chmod(path, 0o644)
    file = {"missing": f"{path}x", "folder": os.fspath(tmp_path), "not executable": path, "relative": "script"}[kind]
    with pytest.raises(InvalidInput) as raised:
        run_script(file, {}, timeout=1)
    assert raised.value.code == "publish.connector_script"


def test_run_script_without_interpreter_fails(tmp_path):
    path = tmp_path / "script"
    path.write_text("#!/no/such/interpreter\n")
    path.chmod(0o755)
    with pytest.raises(InvalidInput) as raised:
        run_script(os.fspath(path), {}, timeout=1)
    assert raised.value.code == "publish.connector_script"


@pytest.mark.parametrize(
    "content",
    [
        "#!/bin/sh\n",
        "#! /bin/sh -e\n",
        "#!/usr/bin/env sh\n",
        "#!/usr/bin/env -S FOO=1 sh -e\n",
        "\x7fELF\0",
    ],
)
def test_check_script_accepts_what_can_be_executed(tmp_path, content):
    path = tmp_path / "script"
    path.write_text(content)
    path.chmod(0o755)
    check_script(os.fspath(path))


@pytest.mark.parametrize(
    ("content", "mode"),
    [
        ("#!/bin/sh\n", 0o644),
        ("#!/no/such/shell\n", 0o755),
        ("#!/bin/sh\r\n", 0o755),
        ("#!/usr/bin/env no-such-program\n", 0o755),
        ("#!\n", 0o755),
        ("#!/tmp\n", 0o755),
        ("echo without an interpreter\n", 0o755),
        ("", 0o755),
        (None, 0o755),
    ],
)
def test_check_script_refuses_what_cannot_be_executed(tmp_path, content, mode):
    path = tmp_path / "script"
    if content is not None:
        path.write_bytes(content.encode())
        path.chmod(mode)
    for name in (os.fspath(path), "relative", os.fspath(tmp_path)):
        with pytest.raises(InvalidInput) as raised:
            check_script(name)
        assert raised.value.code == "publish.connector_script"
