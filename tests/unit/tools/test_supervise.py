# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor ends all processes that its command leaves behind and returns the exit code of the command."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

SUPERVISE = pathlib.Path(__file__).parents[2] / "tools" / "supervise.py"
# A daemon like wineserver: its parent has ended and it has its own session.
DAEMON = "setsid sh -c 'trap \"\" TERM; echo $$ > {file}; while :; do sleep 1; done' >/dev/null 2>&1 & while [ ! -s {file} ]; do sleep 0.05; done; "


def supervise(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, str(SUPERVISE), "--grace", "0.3", *arguments])


def has_ended(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.parametrize("code", [0, 3])
def test_supervisor_returns_the_exit_code_of_the_command(code):
    assert supervise("--minutes", "1", "sh", "-c", f"exit {code}").wait() == code


def test_supervisor_kills_a_daemon_that_ignores_sigterm(tmp_path):
    file = tmp_path / "pid"
    assert supervise("--minutes", "1", "sh", "-c", DAEMON.format(file=file)).wait() == 0
    assert has_ended(int(file.read_text()))


def test_supervisor_ends_the_command_at_its_time_limit(tmp_path):
    file = tmp_path / "pid"
    assert supervise("--minutes", "0.02", "sh", "-c", DAEMON.format(file=file) + "sleep 1000").wait() == 124
    assert has_ended(int(file.read_text()))


def test_supervisor_ends_everything_at_a_signal(tmp_path):
    file = tmp_path / "pid"
    process = supervise("--minutes", "1", "sh", "-c", DAEMON.format(file=file) + "sleep 1000")
    while not file.exists() or not file.read_text():
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    assert has_ended(int(file.read_text()))
