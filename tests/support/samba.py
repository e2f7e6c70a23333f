# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Samba server on a loopback port, run by the current user with its own folders and accounts, and a TCP proxy that can fail.

``with Samba(folder) as samba: ...``; ``samba.address("data")`` is a value for the option file_share.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import pwd
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable

PASSWORD = "Loopback-1 only"
USERNAME = "layering"
_FOLDERS = {
    "private dir": "private",
    "lock directory": "lock",
    "state directory": "state",
    "cache directory": "cache",
    "pid directory": "pid",
    "ncalrpc dir": "rpc",
}


class Samba:
    """A server with three shares of the folder ``path``: ``data``, ``readonly``, and the DFS root ``namespace``.

    ``settings`` are additional global settings of smb.conf. ``largest_file`` limits the size of files that the
    server can write, in bytes. The context manager starts the server; ``kill`` and ``start`` may be called inside.
    """

    def __init__(self, folder: str | os.PathLike[str], *, largest_file: int | None = None, **settings: str) -> None:
        self._folder = pathlib.Path(folder)
        self.path = self._folder / "data"
        self.port = free_port()
        self.username, self.password = USERNAME, PASSWORD
        self._largest_file = largest_file
        self._server: subprocess.Popen | None = None
        self._account = pwd.getpwuid(os.getuid()).pw_name
        self._configure(settings)

    def __enter__(self) -> Samba:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.kill()

    def address(self, share: str = "data", path: str = "", port: int | None = None) -> str:
        """Return ``//127.0.0.1:port/share[/path]``."""
        return "/".join(part for part in (f"//127.0.0.1:{port or self.port}", share, path) if part)

    def options(self, share: str = "data", path: str = "", port: int | None = None) -> dict:
        """Return the module options for a share: the location and the credentials."""
        return {"file_share": self.address(share, path, port), **self.credentials}

    @property
    def credentials(self) -> dict:
        """The module options for the credentials."""
        return {"file_share_username": self.username, "file_share_password": self.password}

    def start(self) -> None:
        """Start the server and wait until it listens."""
        limit = self._largest_file
        with open(self._folder / "output", "ab") as output:
            self._server = subprocess.Popen(
                [program("smbd"), "--foreground", "--no-process-group", "--configfile", os.fspath(self._configuration)],
                # A server in the foreground ends when its standard input is closed, also when the test run is killed.
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            if self._server.poll() is not None:
                break
            time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"smbd did not start: {(self._folder / 'output').read_text(errors='replace')[-2000:]}")

    def kill(self) -> None:
        """Kill the server and the processes that serve its connections."""
        server, self._server = self._server, None
        if server is not None:
            # The server leads its own session, which contains its children.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()
            if server.stdin is not None:
                server.stdin.close()

    def freeze(self) -> None:
        """Stop the processes of the server until ``thaw``."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue the processes of the server."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._server is None:
            raise RuntimeError("The server is not running.")
        os.killpg(self._server.pid, number)

    def client(self, *commands: str, share: str = "data") -> str:
        """Run commands of smbclient, an independent reader, and return its output."""
        run = subprocess.run(
            [
                program("smbclient"),
                "--configfile",
                os.fspath(self._configuration),
                "--port",
                str(self.port),
                "--authentication-file",
                os.fspath(self._folder / "credentials"),
                "--client-protection=encrypt",
                f"//127.0.0.1/{share}",
                "--command",
                "; ".join(commands),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise RuntimeError(f"smbclient failed: {run.stdout} {run.stderr}")
        return run.stdout

    def _configure(self, settings: dict[str, str]) -> None:
        for name in (*_FOLDERS.values(), "data"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        options = (
            {key: os.fspath(self._folder / name) for key, name in _FOLDERS.items()}
            | {
                "workgroup": "LOOPBACK",
                "netbios name": "STRATA",
                "server role": "standalone server",
                "security": "user",
                "map to guest": "never",
                "interfaces": "127.0.0.1/8",
                "bind interfaces only": "yes",
                "smb ports": str(self.port),
                "disable netbios": "yes",
                "passdb backend": f"tdbsam:{self._folder}/private/passdb.tdb",
                "username map": os.fspath(self._folder / "users"),
                "log file": os.fspath(self._folder / "log"),
                "log level": "0",
                "load printers": "no",
                "printing": "bsd",
                "printcap name": "/dev/null",
                "disable spoolss": "yes",
                "server smb encrypt": "desired",
                "host msdfs": "yes",
                "unix extensions": "no",
            }
            | {key.replace("_", " "): value for key, value in settings.items()}
        )
        shares = {
            "data": {"read only": "no"},
            "readonly": {"read only": "yes"},
            "namespace": {"read only": "yes", "msdfs root": "yes"},
        }
        lines = ["[global]", *(f"{key} = {value}" for key, value in options.items())]
        for name, own_settings in shares.items():
            lines += [f"[{name}]", f"path = {self.path}", *(f"{key} = {value}" for key, value in own_settings.items())]
        self._configuration = self._folder / "smb.conf"
        self._configuration.write_text("\n".join(lines) + "\n")
        (self._folder / "users").write_text(f"{self._account} = {USERNAME}\n")
        credentials = self._folder / "credentials"
        credentials.write_text(f"username = {USERNAME}\npassword = {PASSWORD}\n")
        credentials.chmod(0o600)
        subprocess.run(
            [
                program("pdbedit"),
                "--configfile",
                os.fspath(self._configuration),
                "--password-from-stdin",
                "--create",
                "--user",
                self._account,
            ],
            input=f"{PASSWORD}\n{PASSWORD}\n",
            text=True,
            check=True,
            capture_output=True,
        )


class TcpProxy:
    """A TCP proxy in front of a server that can be slow or fail: ``with TcpProxy(port) as proxy: proxy.port``.

    ``rate`` limits the bytes per second, both directions together. After ``cut_after`` bytes (``passed``
    counts them) ``then`` is called and all connections are closed, once.
    """

    def __init__(
        self,
        port: int,
        *,
        rate: int | None = None,
        cut_after: int | None = None,
        then: Callable[[], object] | None = None,
    ) -> None:
        self._target = port
        self._rate, self._cut_after, self._then = rate, cut_after, then
        self.passed = self.connections = self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._peers: dict[socket.socket, socket.socket] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> TcpProxy:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._stop.is_set():
                for key, _events in selector.select(0.05):
                    if key.fileobj is self._listener:
                        self._accept(selector)
                    elif key.fileobj in self._peers:
                        self._forward(selector, key.fileobj)
                if self._cut_after is not None and self.passed >= self._cut_after:
                    self._cut_after = None
                    self.cuts += 1
                    if self._then is not None:
                        self._then()
                    self._close_all(selector)
            self._close_all(selector)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        client, _address = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            client.close()
            return
        self.connections += 1
        for source, target in ((client, server), (server, client)):
            source.settimeout(20)
            self._peers[source] = target
            selector.register(source, selectors.EVENT_READ)

    def _forward(self, selector: selectors.BaseSelector, source: socket.socket) -> None:
        try:
            data = source.recv(1 << 16)
            if data:
                self._peers[source].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._forget(selector, source)
        self.passed += len(data)
        if self._rate and data:
            time.sleep(len(data) / self._rate)

    def _forget(self, selector: selectors.BaseSelector, source: socket.socket) -> None:
        for end in (source, self._peers[source]):
            selector.unregister(end)
            end.close()
            del self._peers[end]

    def _close_all(self, selector: selectors.BaseSelector) -> None:
        while self._peers:
            self._forget(selector, next(iter(self._peers)))


def program(name: str) -> str:
    """Return the path of a program of Samba."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")
    if path is None:
        raise RuntimeError(f"{name} is not installed (Debian: apt-get install samba smbclient).")
    return path


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
