# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process of the simulator: login, certificates, start and stop."""

from __future__ import annotations

import json
import os
import pathlib
import time
import urllib.parse

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.strata.layering.tests.support.simulator import Simulator, main, run_go
from ansible_collections.strata.layering.tests.support.simulator_client import (
    Client,
    running_processes,
    vmdk,
)


def test_go_tests_of_the_simulator_pass() -> None:
    run = run_go("test", "-trimpath", "-vet=off", ".")
    assert run.returncode == 0, run.stdout + run.stderr


def test_login_with_wrong_password_is_rejected(shared_simulator: Simulator) -> None:
    right, shared_simulator.password = shared_simulator.password, "wrong"
    try:
        with pytest.raises(vim.fault.InvalidLogin):
            shared_simulator.connect()
    finally:
        shared_simulator.password = right


def test_separate_host_has_its_own_certificate() -> None:
    with Simulator(separate_host=True) as simulator:
        client = Client(simulator)
        lease = client.start_import()
        url = lease.info.deviceUrl[0]
        assert urllib.parse.urlsplit(url.url).port != simulator.port
        assert url.sslThumbprint == simulator.nfc_thumbprint != simulator.thumbprint
        assert client.http("PUT", url.url, vmdk())[0] == 201
        lease.HttpNfcLeaseComplete()


def test_simulator_without_tls_uses_http() -> None:
    with Simulator(tls=False, template=None) as simulator:
        client = Client(simulator)
        simulator.settings(unlock_delay_ms=0)
        assert client.export(client.import_vm().ExportVm()) == vmdk()


def test_stop_ends_guests_and_removes_files() -> None:
    mark = f"98{os.getpid()}"
    simulator = Simulator(guest=f"setsid sleep {mark} & sleep {mark}2").start()
    simulator.settings(unlock_delay_ms=0)
    machine = Client(simulator).import_vm()
    state = pathlib.Path(simulator.state)
    WaitForTask(machine.PowerOnVM_Task())
    for attempt in range(500):
        if len(running_processes(f"sleep\0{mark}")) == 2:
            break
        time.sleep(0.01)
    assert len(running_processes(f"sleep\0{mark}")) == 2
    assert list(state.glob("*.vmdk"))
    simulator.stop()
    assert not simulator.running
    assert not state.exists()
    assert not running_processes(f"sleep\0{mark}")


def test_command_line_starts_and_stops_a_simulator(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "connection.json"
    assert main(["start", "--file", str(file), "--end-after", "5m", "--", "-vm=1"]) == 0
    try:
        assert file.stat().st_mode & 0o777 == 0o600
        simulator = Simulator.load(file)
        assert f"export STRATA_SIMULATOR_PID={simulator.pid}\n" in capsys.readouterr().out
        assert len(simulator.machines()) > 1
        assert simulator.connect().content.about.apiType == "VirtualCenter"
        log = pathlib.Path(json.loads(file.read_text())["log"])
        assert log.exists()
    finally:
        assert main(["stop", "--file", str(file)]) == 0
    assert not file.exists()
    assert not log.exists()
    assert not pathlib.Path(f"/proc/{simulator.pid}/exe").exists()
    assert main(["stop", "--file", str(file)]) == 0


def test_simulator_ends_with_its_parent() -> None:
    simulator = Simulator().start()
    simulator._process.stdin.close()
    assert simulator._process.wait(15) == 0
    simulator.stop()
