# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries for tests, each a process on loopback: the registry of ``tests/registry``, distribution 2.8 and 3, and S3.

``with SimulatedRegistry(folder) as registry: ...``; in pytest: the fixtures of ``registry_fixtures``.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse
from dataclasses import dataclass
from typing import Any

from ansible_collections.strata.layering.tests.support.certificates import Certificate, make_certificate
from ansible_collections.strata.layering.tests.support.samba import free_port
from ansible_collections.strata.layering.tests.support.simulated_server import (
    ControlEndpoint,
    ControlRules,
    first_line,
)

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_START_TIMEOUT = 30
#: Programs that ``registry_tools`` builds from Go modules.
TOOLS = _ROOT / ".build" / "tools"
#: The password of ``USERNAME``, and what distribution wants to have of it: bcrypt with a cost of 4.
USERNAME, PASSWORD = "pusher", "s3cret/Pa ss"
_HASH = "$2b$04$/uB62B/K/xyvh/zzGu0wCuz0S4P2qq9VNpm/uKH.xrpmwJd6mUbSu"


def tool(name: str) -> str | None:
    """Return the path of a program that ``make`` built into .build/tools, or None."""
    path = TOOLS / name
    return str(path) if path.is_file() else None


@dataclass(frozen=True)
class Login:
    """The address of a registry and the login, for its clients. ``ca_file`` is None if it does not serve TLS."""

    address: str
    ca_file: pathlib.Path | None = None
    username: str = ""
    password: str = ""


class _Process:
    """A process that ends with this object; its output is in the file ``log``."""

    def __init__(self, folder: pathlib.Path, name: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def log(self) -> str:
        """Return what the process has written."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        """The ID of the running process."""
        if self._process is None:
            raise RuntimeError("The server is not running.")
        return self._process.pid

    def _run(self, *command: str, stdout: int | None = None, **variables: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log if stdout is None else stdout,
                stderr=log,
                cwd=self.folder,
                env=_environment() | variables,
            )
        return self._process

    def _wait_for_port(self, port: int) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"The server did not start: {self.log()[-2000:]}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.send_signal(number)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Rules(ControlRules):
    """The rules of the simulated registry."""

    def add(self, method: str = "", path: str = "", **values: Any) -> int:
        """Add a rule and return its number: see ``faults.Rule`` in tests/registry for the values.

        For example ``add("PATCH", skip=2, cut_request=1000)`` or ``add("GET", "/blobs/", status=429, headers={"Retry-After": "1"})``.
        """
        return int(self._simulator.ask("POST", "/rules", {"method": method, "path": path, **values})["number"])

    def hits(self, number: int) -> int:
        """Return the number of requests on which a rule has acted."""
        return next(rule["hits"] for rule in self.list() if rule["number"] == number)


@dataclass(frozen=True)
class Request:
    """A request in the journal: see ``faults.Entry`` in tests/registry."""

    number: int
    server: str
    method: str
    target: str
    headers: dict[str, str]
    time: float
    status: int
    received: int
    sent: int
    seconds: float
    rule: int

    @property
    def path(self) -> str:
        """The path without the query."""
        return urllib.parse.urlsplit(self.target).path


class SimulatedRegistry(_Process, ControlEndpoint):
    """The registry of ``tests/registry``; ``settings`` are those of ``settings.Settings`` there.

    ``address`` is ``127.0.0.1:PORT``, ``url`` its URL, ``store`` the URL of the object store. ``rules`` has the faults.
    """

    def __init__(self, folder: str | os.PathLike[str], *, tls: bool = False, **settings: Any) -> None:
        super().__init__(pathlib.Path(folder), "registry")
        self.data = self.folder / "data"
        self._settings = settings
        self._tls = tls
        self.ca_file: pathlib.Path | None = None
        self.address = self.url = self.store = self.control = ""
        self.rules = Rules(self)

    def __enter__(self) -> SimulatedRegistry:
        return self.start()

    def __exit__(self, *unused: object) -> None:
        self.stop()

    def start(self) -> SimulatedRegistry:
        """Start the process and wait until it listens."""
        certificate = _certificate(self.folder) if self._tls else None
        given = {
            "folder": str(self.data),
            "certificate": str(certificate.file) if certificate else "",
            "settings": self._settings,
        }
        package = "ansible_collections.strata.layering.tests.registry"
        paths = os.pathsep.join(path for path in sys.path if path)
        process = self._run(sys.executable, "-m", package, json.dumps(given), stdout=subprocess.PIPE, PYTHONPATH=paths)
        assert process.stdout is not None
        line = first_line(process.stdout, _START_TIMEOUT)
        if not line:
            self.stop()
            raise RuntimeError(f"The registry did not start: {self.log()[-2000:]}")
        info = json.loads(line)
        self.address, self.url = f"{info['host']}:{info['port']}", info["url"]
        self.store, self.control = info["store"], info["control"]
        self.ca_file = certificate.ca_file if certificate else None
        return self

    @property
    def login(self) -> Login:
        """The address and the login, whether the registry wants one or not."""
        return Login(self.address, self.ca_file, USERNAME, PASSWORD)

    def reset(self, **settings: Any) -> None:
        """Remove all data, rules, tokens and the journal, and set the settings; all others get their defaults."""
        self.ask("POST", "/reset", settings)

    def configure(self, **settings: Any) -> None:
        """Change settings; data, rules and journal remain."""
        self.ask("POST", "/settings", settings)

    def expire_tokens(self) -> None:
        """Make all Bearer tokens invalid; refresh tokens remain valid."""
        self.ask("DELETE", "/tokens")

    def journal(self, method: str = "", path: str = "", server: str = "") -> list[Request]:
        """Return requests in the order of their arrival; ``path`` is a part of path and query."""
        found = [Request(**entry) for entry in self.ask("GET", "/journal")]
        return [
            entry
            for entry in found
            if method in ("", entry.method) and path in entry.target and server in ("", entry.server)
        ]

    def clear_journal(self) -> None:
        """Forget all requests."""
        self.ask("DELETE", "/journal")

    def tags(self) -> dict[str, dict[str, str]]:
        """Return the digests of all tags, by repository and tag."""
        return dict(self.ask("GET", "/repositories"))

    def blob_path(self, repository: str, digest: str) -> pathlib.Path:
        """Return the file that has a blob: a test may read or change it."""
        return self.data.joinpath(*repository.split("/"), "_blobs", digest.partition(":")[2])


class DistributionRegistry(_Process):
    """distribution, the registry of the CNCF: by default Debian's docker-registry (2.8), with files in ``folder``.

    ``login`` makes it ask for the user name and the password of ``Login``. ``storage`` is the section of its configuration.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        program: str = "docker-registry",
        tls: bool = False,
        with_login: bool = False,
        deletion: bool = True,
        storage: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(pathlib.Path(folder), "registry")
        self._program = program
        self._with_login = with_login
        self._deletion = deletion
        self._storage = storage or {"filesystem": {"rootdirectory": str(self.folder / "data")}}
        certificate = _certificate(self.folder) if tls else None
        self._certificate = certificate
        self.ca_file = certificate.ca_file if certificate else None
        self.address = self.url = ""

    def __enter__(self) -> DistributionRegistry:
        return self.start()

    def __exit__(self, *unused: object) -> None:
        self.stop()

    @property
    def login(self) -> Login:
        """The address and the login, whether the registry wants one or not."""
        return Login(self.address, self.ca_file, USERNAME, PASSWORD)

    def start(self) -> DistributionRegistry:
        """Start the process and wait until it listens."""
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.url = f"{'https' if self._certificate else 'http'}://{self.address}"
        configuration = self.folder / "registry.yml"
        # JSON is YAML.
        configuration.write_text(json.dumps(self._configuration(port)))
        self._run(self._program, "serve", str(configuration), OTEL_TRACES_EXPORTER="none")
        self._wait_for_port(port)
        return self

    def clear(self) -> None:
        """Remove all data; the server is started again, with a different port."""
        self.stop()
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        self.start()

    def _configuration(self, port: int) -> dict[str, Any]:
        http: dict[str, Any] = {"addr": f"127.0.0.1:{port}", "secret": "loopback"}
        if self._certificate:
            http["tls"] = {"certificate": str(self._certificate.file), "key": str(self._certificate.file)}
        found: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"delete": {"enabled": self._deletion}, **self._storage},
            "http": http,
        }
        if self._with_login:
            users = self.folder / "htpasswd"
            users.write_text(f"{USERNAME}:{_HASH}\n")
            found["auth"] = {"htpasswd": {"realm": "registry", "path": str(users)}}
        return found


class S3Server(_Process):
    """moto, a simulated S3 over TLS, with the bucket ``layers``; ``storage`` is the configuration of distribution for it.

    A registry in the same folder has the same certificate.
    """

    BUCKET = "layers"

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        super().__init__(pathlib.Path(folder), "s3")
        self._certificate = _certificate(self.folder)
        self.port = free_port()

    def __enter__(self) -> S3Server:
        self._run(
            str(_ROOT / ".venv-s3" / "bin" / "moto_server"),
            "-H",
            "127.0.0.1",
            "-p",
            str(self.port),
            "-c",
            str(self._certificate.file),
            "-k",
            str(self._certificate.file),
        )
        self._wait_for_port(self.port)
        import urllib.request  # pylint: disable=import-outside-toplevel

        request = urllib.request.Request(f"https://127.0.0.1:{self.port}/{self.BUCKET}", method="PUT")
        context = ssl.create_default_context(cafile=str(self._certificate.ca_file))
        https = urllib.request.HTTPSHandler(context=context)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), https)
        with opener.open(request, timeout=60):
            return self

    def __exit__(self, *unused: object) -> None:
        self.stop()

    @property
    def storage(self) -> dict[str, Any]:
        """The section ``storage``."""
        s3 = {
            "accesskey": "loopback",
            "secretkey": "loopback",
            "region": "us-east-1",
            "regionendpoint": f"https://127.0.0.1:{self.port}",
            "bucket": self.BUCKET,
            "forcepathstyle": True,
            "secure": True,
            "skipverify": True,
            "v4auth": True,
        }
        return {"s3": s3}


def _environment() -> dict[str, str]:
    # Variables with this prefix override the configuration of distribution.
    return {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}


def _certificate(folder: pathlib.Path) -> Certificate:
    """Return the certificate of the servers that have a folder in common."""
    existing = Certificate(folder / "tls.pem", folder / "tls-ca.pem")
    return (
        existing
        if existing.file.exists()
        else make_certificate(folder, "tls", issuer="Registry CA", hostname="localhost")
    )
