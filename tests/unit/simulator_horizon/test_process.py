# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process of the Horizon simulator, its clock, its pods and the versions of its contract."""

from __future__ import annotations

import email.utils
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
import requests

from ansible_collections.strata.layering.tests.simulator_horizon.contract import VERSIONS, Contract
from ansible_collections.strata.layering.tests.support.horizon_rest import RestClient
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator, main, stop_saved


def test_certificate_is_checked(horizon: HorizonSimulator) -> None:
    session = requests.Session()
    session.trust_env = False
    with pytest.raises(requests.exceptions.SSLError):
        session.get(horizon.url, timeout=30)
    assert (
        session.get(f"https://localhost:{horizon.port}/rest/none", verify=horizon.ca_file, timeout=30).status_code
        == 404
    )
    assert horizon.take_problems() == ["GET /none: path: is not in the contract"]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_read_of_a_version_obeys_its_contract(version: str) -> None:
    with HorizonSimulator(contract=version, federated=True) as horizon:
        vm = horizon.add_vm("golden", ["Old", "New"], guest_id="windows11_64Guest")
        ids = [horizon.add_pool("sales", "golden", "Old")["id"], horizon.add_farm("apps", "golden", "Old")["id"]]
        horizon.add_session("sales-1", "DISCONNECTED")
        horizon.add_session("apps-1")
        horizon.fail_machine(name="*-2", count=2)
        rest = RestClient.log_in(horizon)
        rest.push("sales", start_time=horizon.clock.now + 200_000)
        rest.maintain("apps", next_scheduled_time=horizon.clock.now + 200_000)
        query = {"vcenter_id": horizon.vcenters()[0]["id"], "base_vm_id": vm["moid"]}
        operations = [item for item in Contract.load(version).operations if item.method == "GET"]
        for _time in range(5):
            task = [task["id"] for task in rest.tasks("sales")]
            for operation in operations:
                path = operation.path.replace("{id}", ids["farms" in operation.path])
                if task or "{taskId}" not in path:
                    given = {name: value for name, value in query.items() if name in operation.query}
                    assert rest.status("GET", path.replace("{taskId}", "".join(task)), **given) == 200
            horizon.clock.advance(70)
        assert horizon.problems() == []


def test_every_operation_of_the_contract_exists(horizon: HorizonSimulator) -> None:
    for operation in Contract.load().operations:
        sent = {"method": operation.method, "path": operation.path, "body": {}}
        answer = horizon.ask("POST", "/requests", sent)
        assert answer["status"] in (200, 204, 400, 404, 409), operation
    horizon.take_problems()


def test_switches_came_later_than_the_oldest_version() -> None:
    with HorizonSimulator(contract="2206") as horizon:
        rest = RestClient.log_in(horizon)
        assert rest.status("POST", "/inventory/v1/desktop-pools/action/enable-provisioning", []) == 404
        environment = rest.get("/config/v2/environment-properties")
        assert environment["local_connection_server_version"].startswith("8.6")
        assert horizon.problems() == []


def test_pods_are_separate() -> None:
    with HorizonSimulator(pods=2, described_vcenters=2) as horizon:
        first, second = horizon.pods
        for pod in horizon.pods:
            pod.add_vm("golden", vcenter="vcenter2.example.com")
        second.add_pool("sales", "golden", "Image", vcenter=1)
        assert (len(first.ask("GET", "/pools")), len(second.ask("GET", "/pools"))) == (0, 1)
        assert first.cluster_guid != second.cluster_guid
        found = RestClient.log_in(second).get("/config/v2/environment-properties")
        assert found["local_pod_name"] == second.pod == "pod-2"
        assert RestClient.log_in(first).get("/federation/v1/cpa")["local_connection_server_status"] == "ENABLED"


def test_date_header_follows_the_clock(rest: RestClient, horizon: HorizonSimulator) -> None:
    horizon.clock.advance(86400)
    header = rest.send("GET", "/config/v2/environment-properties").headers["Date"]
    date = email.utils.parsedate_to_datetime(header)
    assert int(date.timestamp()) == horizon.clock.now // 1000
    assert date.timestamp() > time.time() + 80000


def test_clock_with_a_speed_moves_by_itself(horizon: HorizonSimulator) -> None:
    before = horizon.clock.now
    time.sleep(0.02)
    assert horizon.clock.now == before
    horizon.clock.speed = 10_000
    time.sleep(0.05)
    assert horizon.clock.now > before + 400_000


def test_detached_simulator_is_loaded_and_stopped(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "horizon.json"
    started = HorizonSimulator().start(detached=True)
    try:
        started.save(file)
        assert file.stat().st_mode & 0o777 == 0o600
        loaded = HorizonSimulator.load(file)
        loaded.add_vm("golden")
        assert RestClient.log_in(loaded).get("/config/v2/virtual-centers")[0]["enabled"] is True
        assert stop_saved(file) is True
        assert stop_saved(file) is False
        assert not file.exists()
    finally:
        started.stop()


def test_simulator_is_started_and_stopped_from_a_shell(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "horizon.json"
    assert main(["start", "--file", str(file), "--contract", "2406", "--speed", "600", "--end-after", "60"]) == 0
    try:
        horizon = HorizonSimulator.load(file)
        printed = dict(line.removeprefix("export ").split("=", 1) for line in capsys.readouterr().out.splitlines())
        assert {name: printed[name] for name in horizon.environment()} == horizon.environment()
        assert (horizon.clock.speed, horizon.contract) == (600, "2406")
    finally:
        assert main(["stop", "--file", str(file)]) == 0
    assert not file.exists()


def test_simulator_ends_with_its_parent() -> None:
    program = (
        "import sys, time\n"
        "from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator\n"
        "print(HorizonSimulator().start().pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        child = pathlib.Path("/proc") / parent.stdout.readline().decode().strip()
        assert child.exists()
        parent.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while child.exists() and "Z" not in (child / "stat").read_text().split()[2:3] and time.monotonic() < deadline:
            time.sleep(0.02)
    assert not child.exists() or "Z" in (child / "stat").read_text().split()[2:3]
