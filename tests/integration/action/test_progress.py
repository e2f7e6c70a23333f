# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugins through ansible-playbook: which lines are printed, and that nothing else changes."""

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
    """A vCenter with a machine whose export stops for some seconds, and a play of tasks that is run in several ways."""
    seed(simulator, "win11-os", spec=Spec("small"))
    site = Site(simulator, tmp_path)
    before = set(site.left())
    yield site
    # Ansible leaves modules alone when it is interrupted.
    for process in site.modules():
        os.kill(process, signal.SIGTERM)
    for name in set(site.left()) - before:
        os.unlink(f"/tmp/{name}")


class Site:
    """Runs plays. ``share``: where exports go; ``task``: the export."""

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
        """Command and environment of a play in which the next export stops for so long; the share is empty."""
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
            # Ansible and its async wrapper do not agree on what ~ is where HOME is not the account's.
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
        """Run it without a terminal; exit status and output."""
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
        """Run it on a terminal of its own; exit status and output."""
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

    def modules(self) -> list[int]:
        """The modules that still run."""
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if len(command) > 1 and command[1].startswith(f"{self.folder}/remote/"):
                found.append(int(process.name))
        return found

    @staticmethod
    def left() -> list[str]:
        """Progress files that were not removed."""
        return [name for name in os.listdir("/tmp") if name.startswith(".strata-progress-")]


def test_lines_go_to_a_terminal_and_elsewhere_when_asked_for(site):
    before = set(site.left())
    status, output = site.play_on_a_terminal()
    assert status == 0 and _LINE.findall(output), output
    status, output = site.play_on_a_terminal("-e", "strata_layering_progress=never")
    assert status == 0 and not _LINE.findall(output)
    status, output = site.play()
    assert status == 0 and not _LINE.findall(output)
    status, output = site.play(STRATA_LAYERING_PROGRESS="always")
    assert status == 0 and _LINE.findall(output)
    assert site.vcenter.password not in output and set(site.left()) == before


def test_results_are_the_same_with_and_without_lines(site):
    keep = {
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
        keep,
    ]
    tasks[0]["strata.layering.ovf_export"] = site.task["strata.layering.ovf_export"] | {"name": "{{ item }}"}
    found = {}
    for setting in ("never", "always"):
        status, output = site.play("-e", f"strata_layering_progress={setting}", tasks=tasks)
        assert status == 0 and bool(_LINE.findall(output)) == (setting == "always"), output
        found[setting] = json.loads((site.folder / "result").read_text())
    good, bad = found["always"]["results"]
    assert (
        good["changed"]
        and not good.get("failed")
        and bad["failed"]
        and bad["code"] == "vsphere.not_found"
        and "missing" in bad["msg"]
    )
    assert _steady(found["always"]) == _steady(found["never"])


def _steady(result: object) -> object:
    """A result without the numbers that differ from run to run."""
    text = re.sub(r'"(seconds|bytes_per_second|rate)": [0-9.]+', r'"\1": 0', json.dumps(result, sort_keys=True))
    return json.loads(text)


def test_tasks_of_which_nothing_is_told(site):
    for more in ({"no_log": True}, {"async": 60, "poll": 1}):
        status, output = site.play("-e", "strata_layering_progress=always", tasks=[site.task | more])
        assert status == 0 and not _LINE.findall(output), output
    status, output = site.play("-e", "strata_layering_progress=sometimes")
    assert status == 0 and "none of auto, always and never" in output and not _LINE.findall(output)


def test_a_timeout_is_that_of_ansible(site):
    began = time.monotonic()
    status, output = site.play("-e", "strata_layering_progress=always", tasks=[site.task | {"timeout": 8}], seconds=60)
    assert status == 2 and "Timed out after 8 second" in output and _LINE.findall(output), output
    assert time.monotonic() - began < 40


def test_whoever_interrupts_does_not_wait(site):
    command, environment = site.prepare([site.task], 60)
    with subprocess.Popen(
        command,
        env=environment | {"STRATA_LAYERING_PROGRESS": "always"},
        cwd=site.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        stop = threading.Timer(60, running.kill)
        stop.start()
        try:
            assert any(_LINE.match(line) for line in running.stdout)
            began = time.monotonic()
            running.send_signal(signal.SIGINT)
            assert "interrupted" in running.stdout.read() and running.wait() not in (0, -signal.SIGKILL)
            assert time.monotonic() - began < 30
        finally:
            stop.cancel()
