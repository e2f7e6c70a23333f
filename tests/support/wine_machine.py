# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wine machine: a prefix that starts, runs the startup task of Windows, and shuts down, restarts or keeps running.

``wine_tools`` replaces programs that wine lacks: VMware Tools, shutdown, the task scheduler, PowerShell as far as
starting a script requires, and the programs that show whether Windows is ready.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Callable

from ..acceptance import programs, wine
from .simulator import run_go

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_SOURCES = _ROOT / "tests" / "support" / "wine_tools"
_BUILD = _ROOT / ".build" / "wine-guest"
#: The OS machine tools as the repository has them, with the line ends of the host.
TOOLS = _ROOT / "roles" / "os_machine" / "files" / "scripts"
SCRIPTS = "Windows/Setup/scripts"
STARTUP = "C:\\Windows\\Setup\\scripts\\kmsdir\\kmssetup.cmd"
SHUTDOWN, REBOOT, ON = "shutdown", "reboot", "on"

_REPLACEMENTS = (
    "Program Files/VMware/VMware Tools/vmtoolsd.exe",
    "windows/system32/shutdown.exe",
    "windows/system32/schtasks.exe",
    "windows/system32/findstr.exe",
    "windows/system32/netsh.exe",
    "windows/system32/tasklist.exe",
    "windows/system32/sc.exe",
    "windows/system32/cscript.exe",
    "windows/system32/WindowsPowerShell/v1.0/powershell.exe",
)
#: Otherwise wine takes programs of its own for those in its folder.
_OVERRIDES = "shutdown.exe,schtasks.exe,findstr.exe,netsh.exe,tasklist.exe,sc.exe,cscript.exe,powershell.exe=n"
_LOOK = 0.02


def windows_text(text: str) -> bytes:
    """Return the bytes of a script with the line ends of Windows."""
    return text.replace("\r\n", "\n").replace("\n", "\r\n").encode()


def tool_files() -> dict[str, bytes]:
    """Return the OS machine tools with the line ends of Windows, by their path in the folder of scripts."""
    return {
        path.relative_to(TOOLS).as_posix(): windows_text(path.read_text())
        for path in sorted(TOOLS.rglob("*"))
        if path.is_file()
    }


def template() -> wine.Prefix:
    """Return a prefix with all replacement programs, which is created once for this checkout; copy it, do not change it."""
    digest = hashlib.sha256(
        b"".join(
            path.read_bytes()
            for path in (*sorted(_SOURCES.iterdir()), pathlib.Path(programs.__file__), pathlib.Path(wine.__file__))
        )
    )
    digest.update(_wine_version())
    folder = _BUILD / digest.hexdigest()[:16]
    _BUILD.mkdir(parents=True, exist_ok=True)
    with (_BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            part = _BUILD / "part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            (part / "home").mkdir()
            _furnish(wine.make_prefix(os.fspath(part / "prefix"), os.fspath(part / "home")))
            part.rename(folder)
            for other in _BUILD.iterdir():
                if other.is_dir() and other != folder:
                    shutil.rmtree(other, ignore_errors=True)
    return wine.Prefix(os.fspath(folder / "prefix"), os.fspath(folder / "home"))


def _wine_version() -> bytes:
    path = os.path.realpath(shutil.which("wine") or "wine")
    with contextlib.suppress(OSError):
        return repr((path, os.stat(path).st_mtime_ns)).encode()
    return b""


def _furnish(prefix: wine.Prefix) -> None:
    tool = os.path.join(os.path.dirname(prefix.path), "tool.exe")
    run = run_go(
        "build", "-trimpath", "-ldflags=-s -w", "-o", tool, ".", folder=_SOURCES, GOOS="windows", GOARCH="amd64"
    )
    if run.returncode:
        raise RuntimeError(f"The replacements of Windows programs cannot be built: {run.stderr.strip()}")
    for path in _REPLACEMENTS:
        os.makedirs(os.path.dirname(prefix.host_path(path)), exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(prefix.host_path(path))
        shutil.copy(tool, prefix.host_path(path))
    # Go programs request random numbers from this library and only check that it reports success.
    library = programs.library("bcryptprimitives.dll", {"ProcessPrng": "done"}, "1.0.0.0", "random numbers")
    with open(prefix.host_path("windows/system32/bcryptprimitives.dll"), "wb") as out:
        out.write(library)


@dataclasses.dataclass
class Start:
    """One start of a wine machine: ``outcome`` (shutdown, reboot, on), ``calls`` of Windows programs, ``seconds`` it took."""

    outcome: str
    calls: list[list[str]]
    seconds: float


class WineMachine:
    """A wine machine in a folder, which is created if necessary; ``guestinfo`` has the values that vSphere and VMware Tools share."""

    def __init__(self, folder: str | os.PathLike, *, vmware_tools: bool = True) -> None:
        self.folder = pathlib.Path(folder)
        self._calls, self._info = self.folder / "calls", self.folder / "guestinfo.json"
        self.prefix = _Prefix(os.fspath(self.folder / "prefix"), os.fspath(self.folder))
        self.prefix.more = {
            "STRATA_GUEST_CALLS": _windows_path(self._calls),
            "STRATA_GUEST_INFO": _windows_path(self._info),
        }
        if not os.path.exists(self.prefix.path):
            self._make(vmware_tools)

    def _make(self, vmware_tools: bool) -> None:
        source = template()
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.prefix.path + ".part"
        shutil.rmtree(part, ignore_errors=True)
        # Programs and libraries are never written, so hard links suffice.
        subprocess.run(["cp", "-al", source.path, part], check=True)
        for name in (*wine.REGISTRY, wine.STAMP):
            os.unlink(os.path.join(part, name))
            shutil.copy2(os.path.join(source.path, name), os.path.join(part, name))
        if not vmware_tools:
            shutil.rmtree(os.path.join(part, "drive_c", "Program Files", "VMware"))
        os.makedirs(os.path.join(part, "drive_c", "windows", "Setup", "scripts"))
        os.rename(part, self.prefix.path)

    @property
    def scripts(self) -> pathlib.Path:
        r"""Return the host folder of C:\Windows\Setup\scripts."""
        return pathlib.Path(self.prefix.host_path("windows/Setup/scripts"))

    @property
    def guestinfo(self) -> dict[str, str]:
        """Return the current values of guestinfo."""
        return json.loads(self._info.read_text()) if self._info.exists() else {}

    @guestinfo.setter
    def guestinfo(self, values: dict[str, str]) -> None:
        self._info.write_text(json.dumps(values))

    def put(self, files: dict[str, bytes]) -> None:
        r"""Write files below C:\Windows\Setup\scripts."""
        for path, data in files.items():
            target = self.scripts / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    def run(self, *command: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run a program as a user would, and return its output; RuntimeError if the exit code is not in ``codes``."""
        self._calls.write_bytes(b"")
        with self.prefix.started():
            return self.prefix.run(*command, codes=codes)

    @property
    def calls(self) -> list[list[str]]:
        """Return the calls of Windows programs and VMware Tools by the last ``run`` or ``start``, with their arguments."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [json.loads(line) for line in lines]

    def start(self, *, timeout: float | None = None, on_guestinfo: Callable[[str, str], None] | None = None) -> Start:
        """Start Windows: its startup task runs until Windows is shut down or the task ends.

        ``on_guestinfo`` is called with each key and value that a program sets through VMware Tools. A shutdown ends all
        programs. Raises TimeoutError after ``timeout`` seconds.
        """
        began = time.monotonic()
        self._calls.write_bytes(b"")
        seen, outcome = 0, ON
        with open(self.folder / "output", "wb") as output, self.prefix.started():
            process = subprocess.Popen(
                ["wine", "cmd", "/d", "/c", STARTUP],
                env=self.prefix.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
            try:
                ended = False
                while not ended and outcome == ON:
                    ended = process.poll() is not None
                    if not ended and timeout is not None and time.monotonic() - began > timeout:
                        raise TimeoutError(f"The startup task still runs after {timeout:g} s.")
                    calls = self.calls
                    for call in calls[seen:]:
                        outcome = _judge(call, on_guestinfo) or outcome
                    seen = len(calls)
                    if not ended and outcome == ON:
                        time.sleep(_LOOK)
            finally:
                self.prefix.end()
                if process.poll() is None:
                    process.kill()
                process.wait()
        return Start(outcome, self.calls, time.monotonic() - began)


def _judge(call: list[str], on_guestinfo: Callable[[str, str], None] | None) -> str | None:
    """Return the outcome that a call of a program has for the wine machine, None if it continues."""
    if call[0] == "shutdown" and call[-2:] == ["/t", "0"]:
        return REBOOT if "/r" in call else SHUTDOWN
    if call[:2] == ["vmtoolsd", "--cmd"] and call[2].startswith("info-set ") and on_guestinfo is not None:
        key, _space, value = call[2].removeprefix("info-set ").partition(" ")
        on_guestinfo(key, value)
    return None


class _Prefix(wine.Prefix):
    """A prefix whose programs know the folder of their wine machine."""

    more: dict[str, str] = {}

    @property
    def environment(self) -> dict[str, str]:
        # The simulator finds the processes of a guest by this variable, even if they left its process group.
        marks = {name: value for name, value in os.environ.items() if name == "STRATA_GUEST_RUN"}
        own = super().environment
        return own | {"WINEDLLOVERRIDES": own["WINEDLLOVERRIDES"] + ";" + _OVERRIDES} | self.more | marks


def _windows_path(path: pathlib.Path) -> str:
    return "Z:" + os.fspath(path.resolve()).replace("/", "\\")
