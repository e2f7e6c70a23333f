# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, control and stop the Horizon simulator of ``tests/simulator_horizon``.

In a program: ``with HorizonSimulator(vsphere=[simulator]) as horizon: ...``; in pytest: the fixtures of
``horizon_fixtures``; in a shell: ``python -m ansible_collections.strata.layering.tests.support.horizon_simulator start``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import secrets
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from ansible_collections.strata.layering.tests.support.horizon_control import HorizonControl
from ansible_collections.strata.layering.tests.support.simulated_server import first_line, stop_process
from ansible_collections.strata.layering.tests.support.simulator import Simulator

_PACKAGE = "ansible_collections.strata.layering.tests.simulator_horizon"
_CONFIGURATION = "STRATA_HORIZON_SIMULATOR"
_START_TIMEOUT = 60
_ADDRESS = ("url", "host", "port", "control", "pid", "ca_file", "pod", "cluster_guid")
_LOGIN = ("contract", "username", "domain", "password")

USERNAME = "horizonadmin"
DOMAIN = "example"
NEWEST = "2512"


class HorizonSimulator(HorizonControl):
    """One simulated Connection Server: a child process that ends with this object, or with this process.

    ``vsphere``: the vSphere simulators whose VMs it offers; they are registered as vcenter1.example.com, vcenter2.example.com
    and so on. Without any it has one vCenter whose VMs ``add_vm`` describes. With several ``pods``, the simulators of the
    others are in ``pods``; all of them are started and stopped together, and know the same vCenters.

    After ``start`` these are set: ``url``, ``host``, ``port``, ``ca_file``, ``control``, ``pid``, ``pod``, ``cluster_guid``.
    """

    def __init__(
        self,
        vsphere: Sequence[Simulator] = (),
        *,
        contract: str = NEWEST,
        pods: int = 1,
        pod: str = "pod-1",
        username: str = USERNAME,
        domain: str = DOMAIN,
        password: str | None = None,
        speed: float = 0.0,
        described_vcenters: int = 0,
        federated: bool = False,
        end_after: float = 4 * 3600,
    ) -> None:
        super().__init__(domain)
        self.username = username
        self.password = password or secrets.token_urlsafe(12)
        self.contract = contract
        self.url = self.host = self.ca_file = self.cluster_guid = ""
        self.pod = pod
        self.port = self.pid = 0
        self.pods: list[HorizonSimulator] = [self]
        self._process: subprocess.Popen[bytes] | None = None
        self._log: pathlib.Path | None = None
        self._vsphere = list(vsphere)
        self._described = described_vcenters if vsphere else max(1, described_vcenters)
        self._speed = speed
        self._federated = federated or pods > 1
        self._end_after = end_after
        for number in range(2, pods + 1):
            self.pods.append(
                HorizonSimulator(
                    vsphere,
                    contract=contract,
                    pod=f"pod-{number}",
                    username=username,
                    domain=domain,
                    password=self.password,
                    speed=speed,
                    described_vcenters=described_vcenters,
                    federated=True,
                    end_after=end_after,
                )
            )

    # Process

    def start(self, *, detached: bool = False) -> HorizonSimulator:
        """Start the process and wait until it listens; a detached process outlives this process."""
        if self._process is not None:
            raise RuntimeError("The Horizon simulator runs already.")
        with tempfile.NamedTemporaryFile("wb", prefix="strata-horizon-", suffix=".log", delete=False) as log:
            self._log = pathlib.Path(log.name)
            self._process = subprocess.Popen(
                [sys.executable, "-m", _PACKAGE],
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=detached,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                    _CONFIGURATION: json.dumps(self._configuration(detached)),
                },
            )
        assert self._process.stdout is not None
        line = first_line(self._process.stdout, _START_TIMEOUT)
        if not line:
            text = self.log()
            self.stop()
            raise RuntimeError(f"The Horizon simulator did not start: {text.strip()[-2000:]}")
        self._take(json.loads(line))
        for other in self.pods[1:]:
            other.start(detached=detached)
        return self

    def _configuration(self, detached: bool) -> dict[str, object]:
        controls = [simulator.control for simulator in self._vsphere] + [""] * self._described
        return {
            "contract": self.contract,
            "pod": self.pod,
            "federated": self._federated,
            "speed": self._speed,
            "domain": self.domain,
            "username": self.username,
            "password": self.password,
            "vcenters": [
                {"server_name": f"vcenter{number}.example.com", "control": control}
                for number, control in enumerate(controls, 1)
            ],
            "detached": detached,
            "end_after": self._end_after,
        }

    def _take(self, info: dict[str, Any]) -> None:
        for name in _ADDRESS:
            setattr(self, name, info[name])

    def stop(self) -> None:
        """End the process. Stopping again has no effect."""
        for other in self.pods[1:]:
            other.stop()
        process, self._process = self._process, None
        if process is not None:
            if process.stdin:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        if self._log is not None:
            self._log.unlink(missing_ok=True)
            self._log = None

    def __enter__(self) -> HorizonSimulator:
        return self.start()

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            sys.stderr.write(self.log()[-4000:])
        self.stop()

    @property
    def running(self) -> bool:
        """Return whether the process is running."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Return what the process wrote to standard error."""
        return self._log.read_text(errors="replace") if self._log is not None and self._log.exists() else ""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the connection to a file that only the owner can read, for ``load`` and ``stop_saved``."""
        names = [*_ADDRESS, *_LOGIN]
        values = {name: getattr(self, name) for name in names} | {"log": str(self._log or "")}
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(values, indent=2) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> HorizonSimulator:
        """Return a running simulator that ``save`` wrote to a file; it is not stopped with this object."""
        info = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        horizon = cls(**{name: info[name] for name in _LOGIN})
        horizon._take(info)
        return horizon

    # Connection

    def options(self) -> dict[str, object]:
        """Return the connection options of the collection's modules for Horizon."""
        return {
            "hostname": self.host,
            "port": self.port,
            "username": self.username,
            "domain": self.domain,
            "password": self.password,
            "ca_path": self.ca_file,
        }

    def environment(self) -> dict[str, str]:
        """Return the connection as the environment variables that the modules for Horizon read."""
        return {
            "HORIZON_HOST": self.host,
            "HORIZON_PORT": str(self.port),
            "HORIZON_USERNAME": self.username,
            "HORIZON_DOMAIN": self.domain,
            "HORIZON_PASSWORD": self.password,
            "HORIZON_CA_PATH": self.ca_file,
        }


def stop_saved(path: str | os.PathLike[str]) -> bool:
    """Stop the simulator that ``save`` wrote to a file and remove the file; False when it no longer ran."""
    return stop_process(path, _is_simulator)


def _is_simulator(pid: int) -> bool:
    try:
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        # A zombie has no command line.
        return _PACKAGE.encode() in command
    except OSError:
        return False


def main(arguments: list[str] | None = None) -> int:
    """Start and stop a simulator from a shell."""
    parser = argparse.ArgumentParser(description="Start and stop the Horizon simulator.")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser(
        "start", help="start it in the background and print its connection as shell assignments"
    )
    start.add_argument("--file", required=True, help="file for the connection, which stop reads")
    start.add_argument(
        "--vsphere", action="append", default=[], help="file of a running vSphere simulator; may be repeated"
    )
    start.add_argument("--contract", default=NEWEST, help=f"version of Horizon (default: {NEWEST})")
    start.add_argument("--speed", type=float, default=60.0, help="simulated seconds in a second (default: 60)")
    start.add_argument("--end-after", type=float, default=4 * 3600, help="seconds after which it ends (default: 4 h)")
    stop = commands.add_parser("stop", help="stop it")
    stop.add_argument("--file", required=True)
    given = parser.parse_args(arguments)
    if given.command == "stop":
        stop_saved(given.file)
        return 0
    stop_saved(given.file)
    horizon = HorizonSimulator(
        [Simulator.load(path) for path in given.vsphere],
        contract=given.contract,
        speed=given.speed,
        end_after=given.end_after,
    ).start(detached=True)
    horizon.save(given.file)
    values = {
        **horizon.environment(),
        "STRATA_HORIZON_PID": str(horizon.pid),
        "STRATA_HORIZON_CONTROL": horizon.control,
    }
    for name, value in values.items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
