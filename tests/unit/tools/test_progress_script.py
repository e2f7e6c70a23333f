# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tests/tools/progress.sh reports long commands and passes on their output and exit code."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

_SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools" / "progress.sh"


def _run(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(_SCRIPT), "Build the simulator", "60", "bash", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_progress_short_command_prints_only_its_output():
    run = _run("echo done")
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")


def test_progress_exit_code_is_that_of_the_command():
    assert _run("exit 3").returncode == 3


@pytest.mark.slow
def test_progress_long_command_prints_when_it_begins_and_every_five_seconds():
    run = _run("sleep 8; echo done")
    assert run.stdout == "done\n"
    lines = run.stderr.splitlines()
    assert [line.split(maxsplit=1)[0] for line in lines] == ["begin", "5"]
    assert all("Build the simulator" in line for line in lines)
