# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wine prefix and its processes: no display, no home folder, and no process remains at the end."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import subprocess
from collections.abc import Iterator

#: Programs that the tests need.
TOOLS = ("wine", "wineserver", "wixl", "msibuild", "makensis", "mkntfs")
#: The only user of wine is the default user of Windows, so that every user gets the settings that installers write for "the user".
USER = "Default"
#: Registry files of a prefix.
SYSTEM, USER_DEFAULTS, SERVICE_DEFAULTS = "system.reg", "user.reg", "userdef.reg"
REGISTRY = (SYSTEM, USER_DEFAULTS, SERVICE_DEFAULTS)
#: The file in which wine records its version; another version updates the prefix when it starts.
STAMP = ".update-timestamp"

#: Large libraries that no test loads. Without them, prefixes and disks are copied faster.
_LEFT_OUT = (
    "system32/d3d*.dll",
    "system32/msvc[pr][0-9]*.dll",
    "system32/msvcrtd.dll",
    "system32/mshtml.dll",
    "system32/wined3d.dll",
    "system32/msxml*.dll",
    "system32/opengl32.dll",
    "system32/glu32.dll",
    "system32/quartz.dll",
    "system32/d2d1.dll",
    "system32/jscript.dll",
    "system32/vbscript.dll",
    "system32/dwrite.dll",
    "system32/ieframe.dll",
    "system32/wpcap.dll",
    "system32/wmvcore.dll",
    "system32/xaudio*.dll",
    "system32/xactengine*.dll",
    "system32/x3daudio*.dll",
    "system32/xapofx*.dll",
    "winsxs/*.vc[89]0.crt*/*.dll",
    "winsxs/*msxml*/*.dll",
    "resources/themes/*/*.msstyles",
)
_TIMEOUT = 120


def missing_tools() -> list[str]:
    """Return the commands that are not installed."""
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"
    return [tool for tool in TOOLS if shutil.which(tool, path=path) is None]


class Prefix:
    """A prefix at ``path``; wine writes files for the host to ``home``."""

    def __init__(self, path: str, home: str) -> None:
        self.path = path
        self.home = home

    @property
    def drive(self) -> str:
        """The host folder that is drive C:."""
        return os.path.join(self.path, "drive_c")

    def host_path(self, path: str) -> str:
        """Return the host path of ``path`` on drive C (with slashes or backslashes), spelled as on the drive."""
        return os.path.join(self.drive, *path.replace("\\", "/").split("/"))

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": self.home,
            "USER": USER,
            "LOGNAME": USER,
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "WINEPREFIX": self.path,
            "WINEDEBUG": "-all",
            "DISPLAY": "",
            # A debugger that wine starts for a program that crashes while wine ends would write its own settings.
            "WINEDLLOVERRIDES": "winemenubuilder.exe,winedbg.exe,mscoree,mshtml=d",
        }

    @contextlib.contextmanager
    def started(self) -> Iterator[Prefix]:
        """Run programs in the prefix; at the end wine has written its registry and ended."""
        try:
            yield self
        finally:
            self.end()

    def run(self, *command: str, codes: tuple[int, ...] = (0,)) -> str:
        """Run a program and return what it writes; raise RuntimeError if its exit code is not in ``codes``."""
        result = subprocess.run(
            ["wine", *command],
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
        if result.returncode not in codes:
            raise RuntimeError(
                f"{' '.join(command)} ended with {result.returncode}: {(result.stdout + result.stderr).decode('utf-8', 'replace')}"
            )
        return result.stdout.decode("utf-8").replace("\r\n", "\n")

    def end(self) -> None:
        """End wine in this prefix, and wait until its registry is written."""
        for action in ("-k", "-w"):
            subprocess.run(
                ["wineserver", action],
                env=self.environment,
                check=False,
                timeout=_TIMEOUT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def read_registry(self, name: str) -> str:
        """Return the text of a registry file."""
        # Wine writes only ASCII.
        with open(os.path.join(self.path, name), encoding="ascii") as stream:
            return stream.read()

    def copy(self, path: str) -> Prefix:
        """Return a copy of a prefix in which no process runs."""
        subprocess.run(["cp", "-a", "--reflink=auto", self.path, path], check=True, timeout=_TIMEOUT)
        return Prefix(path, self.home)


def running_below(folder: str) -> list[int]:
    """Return the processes of this user that belong to a prefix below ``folder``."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as stream:
                if f"WINEPREFIX={folder}/".encode() in stream.read():
                    found.append(int(name))
    return found


def make_prefix(path: str, home: str) -> Prefix:
    """Create a new prefix without _LEFT_OUT and without links to folders of the host."""
    prefix = Prefix(path, home)
    with prefix.started():
        prefix.run("wineboot", "-i")
    # Changes that wine makes in a prefix only at its second start are not made by an installer.
    with prefix.started():
        prefix.run("cmd", "/c", "ver")
    for folder, folders, _files in os.walk(prefix.drive):
        for name in folders:
            host = os.path.join(folder, name)
            if os.path.islink(host):
                os.unlink(host)
                os.mkdir(host)
    for pattern in _LEFT_OUT:
        for host in glob.glob(os.path.join(glob.escape(prefix.host_path("windows")), pattern)):
            os.unlink(host)
    # Wine's registry is elsewhere; on a disk this is where the hives are.
    os.makedirs(prefix.host_path("windows/system32/config"), exist_ok=True)
    return prefix


def furnish(path: str, stamp: str) -> None:
    """Complete a folder that has drive_c and the registry to a prefix; ``stamp`` is the content of its STAMP."""
    devices = os.path.join(path, "dosdevices")
    os.makedirs(devices, exist_ok=True)
    for name, target in (("c:", "../drive_c"), ("z:", "/")):
        os.symlink(target, os.path.join(devices, name))
    with open(os.path.join(path, STAMP), "w", encoding="ascii") as stream:
        stream.write(stamp)
