# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugins through ansible-playbook: they print lines and change nothing else."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from ansible_collections.strata.layering.tests.sample.plan import Spec
from ansible_collections.strata.layering.tests.sample.seed import seed
from ansible_collections.strata.layering.tests.support.simulator_fixtures import shared_simulator, simulator  # noqa: F401  pylint: disable=unused-import

_COLLECTIONS = pathlib.Path(__file__).resolve().parents[3] / ".build" / "collections"
_LINE = re.compile(r"^win11-os: download.*$", re.MULTILINE)


@pytest.fixture(name="site")
def _site(simulator, tmp_path):  # noqa: F811
    """A vCenter with a VM whose export pauses for some seconds, and a play that exports it."""
    seed(simulator, "win11-os", spec=Spec("small"))
    site = Site(simulator, tmp_path)
    before = set(site.progress_files())
    yield site
    # Ansible does not stop modules when it is interrupted.
    for process in site.running_modules():
        os.kill(process, signal.SIGTERM)
    for name in set(site.progress_files()) - before:
        os.unlink(f"/tmp/{name}")


class Site:
    """Run plays. ``share`` is the folder of the exports; ``task`` is the export."""

    def __init__(self, vcenter, folder: pathlib.Path) -> None:
        self.vcenter, self.folder, self.share = vcenter, folder, folder / "share"
        options = {
            "hostname": vcenter.host,
            "port": vcenter.port,
            "username": vcenter.username,
            "password": vcenter.password,
            "ca_path": os.fspath(vcenter.ca_file),
            "file_share": os.fspath(self.share),
        }
        self.task = {"strata.layering.ovf_export": {"name": "win11-os", **options}, "register": "done"}

    def prepare(self, tasks: list[dict], seconds: float) -> tuple[list[str], dict[str, str]]:
        """Return the command and environment of a play whose next export pauses for ``seconds``; empty the share."""
        shutil.rmtree(self.share, ignore_errors=True)
        self.share.mkdir()
        self.vcenter.rules.clear()
        self.vcenter.rules.add("NFC:GET", after_bytes=100_000, delay_ms=int(seconds * 1000))
        play = {
            "hosts": "all",
            "gather_facts": False,
            "tasks": tasks,
            "module_defaults": {"group/strata.layering.layering": {"validate_certs": True}},
        }
        (self.folder / "play.yml").write_text(json.dumps([play]))
        hosts = {
            name: {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
            for name in ("composer",)
        }
        (self.folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(_COLLECTIONS),
            "ANSIBLE_HOME": str(self.folder / "ansible"),
            "ANSIBLE_REMOTE_TEMP": str(self.folder / "remote"),
            "ANSIBLE_NOCOLOR": "1",
            # Ansible does not flush its output, which is a pipe here.
            "PYTHONUNBUFFERED": "1",
            # Ansible and its async wrapper expand ~ differently if HOME is not that of the account.
            "ANSIBLE_ASYNC_DIR": str(self.folder / "async"),
        }
        environment.pop("STRATA_LAYERING_PROGRESS", None)
        return [
            sys.executable,
            "-m",
            "ansible",
            "playbook",
            "-i",
            str(self.folder / "hosts.yml"),
            str(self.folder / "play.yml"),
        ], environment

    def play(
        self, *flags: str, tasks: list[dict] | None = None, seconds: float = 2.5, **variables: str
    ) -> tuple[int, str]:
        """Run the play without a terminal; return the exit status and the output."""
        command, environment = self.prepare(tasks or [self.task], seconds)
        done = subprocess.run(
            [*command, *flags],
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
        )
        return done.returncode, done.stdout + done.stderr

    def play_on_a_terminal(self, *flags: str, **variables: str) -> tuple[int, str]:
        """Run the play on a new terminal; return the exit status and the output."""
        command, environment = self.prepare([self.task], 2.5)
        child, terminal = pty.fork()
        if not child:
            os.chdir(self.folder)
            os.execve(command[0], [*command, *flags], environment | variables)
        output = b""
        while True:
            try:
                output += (part := os.read(terminal, 65536))
            except OSError:
                break
            if not part:
                break
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output.decode().replace("\r\n", "\n")

    def running_modules(self) -> list[int]:
        """Return the process IDs of running modules."""
        processes = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if len(command) > 1 and command[1].startswith(f"{self.folder}/remote/"):
                processes.append(int(process.name))
        return processes

    @staticmethod
    def progress_files() -> list[str]:
        """Return the names of the existing progress files."""
        return [name for name in os.listdir("/tmp") if name.startswith(".strata-progress-")]


def assert_lines(outcome: tuple[int, str], expected: bool) -> str:
    """Check that the play succeeded and whether it printed progress lines; return its output."""
    status, output = outcome
    assert status == 0, output
    assert bool(_LINE.findall(output)) == expected, output
    return output


def test_lines_are_printed_on_a_terminal_or_on_request(site):
    before = set(site.progress_files())
    assert_lines(site.play_on_a_terminal(), True)
    assert_lines(site.play_on_a_terminal("-e", "strata_layering_progress=never"), False)
    assert_lines(site.play(), False)
    output = assert_lines(site.play(STRATA_LAYERING_PROGRESS="always"), True)
    assert site.vcenter.password not in output
    assert set(site.progress_files()) == before


def test_result_is_the_same_with_and_without_lines(site):
    store_result = {
        "ansible.builtin.copy": {"content": "{{ done | to_json }}", "dest": str(site.folder / "result"), "mode": "0600"}
    }
    tasks = [
        site.task
        | {
            "loop": ["win11-os", "missing"],
            "ignore_errors": True,
            "check_mode": "{{ item == 'missing' }}",
            "diff": True,
        },
        store_result,
    ]
    tasks[0]["strata.layering.ovf_export"] = site.task["strata.layering.ovf_export"] | {"name": "{{ item }}"}
    results = {}
    for setting in ("never", "always"):
        assert_lines(site.play("-e", f"strata_layering_progress={setting}", tasks=tasks), setting == "always")
        results[setting] = json.loads((site.folder / "result").read_text())
    good, bad = results["always"]["results"]
    assert good["changed"]
    assert not good.get("failed")
    assert bad["failed"]
    assert bad["code"] == "vsphere.not_found"
    assert _without_times(results["always"]) == _without_times(results["never"])


def _without_times(result: object) -> object:
    """Return a result without the numbers that differ between runs."""
    text = re.sub(r'"(seconds|bytes_per_second|rate)": [0-9.]+', r'"\1": 0', json.dumps(result, sort_keys=True))
    return json.loads(text)


@pytest.mark.parametrize("keywords", [{"no_log": True}, {"async": 60, "poll": 1}], ids=["no_log", "async"])
def test_task_with_no_log_or_async_prints_no_lines(site, keywords):
    assert_lines(site.play("-e", "strata_layering_progress=always", tasks=[site.task | keywords]), False)


def test_invalid_setting_warns_and_prints_no_lines(site):
    output = assert_lines(site.play("-e", "strata_layering_progress=sometimes"), False)
    assert "strata_layering_progress" in output


def test_timeout_of_ansible_ends_the_task(site):
    start = time.monotonic()
    status, output = site.play("-e", "strata_layering_progress=always", tasks=[site.task | {"timeout": 8}], seconds=60)
    assert status == 2
    assert "Timed out after 8 second" in output
    assert _LINE.findall(output), output
    assert time.monotonic() - start < 40


def test_interrupted_play_ends_at_once(site):
    command, environment = site.prepare([site.task], 60)
    with subprocess.Popen(
        command,
        env=environment | {"STRATA_LAYERING_PROGRESS": "always"},
        cwd=site.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        stop = threading.Timer(120, running.kill)
        stop.start()
        try:
            printed = []
            for line in running.stdout:
                printed.append(line)
                if _LINE.match(line):
                    break
            assert printed and _LINE.match(printed[-1]), printed
            start = time.monotonic()
            running.send_signal(signal.SIGINT)
            assert "interrupted" in running.stdout.read()
            assert running.wait() not in (0, -signal.SIGKILL)
            assert time.monotonic() - start < 30
        finally:
            stop.cancel()
