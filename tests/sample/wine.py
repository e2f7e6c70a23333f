# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh wine prefix: about 900 real PE files in the shape of a Windows drive, and a registry."""

from __future__ import annotations

import os
import shutil
import subprocess

from .plan import Content
from .tree import Tree

#: Wine spells its folders in lower case; Windows does not.
_SPELLING = {
    "windows": "Windows",
    "system32": "System32",
    "syswow64": "SysWOW64",
    "winsxs": "WinSxS",
    "users": "Users",
    "temp": "Temp",
    "tasks": "Tasks",
    "logs": "Logs",
    "inf": "INF",
    "help": "Help",
    "resources": "Resources",
    "globalization": "Globalization",
    "performance": "Performance",
    "manifests": "Manifests",
    "themes": "Themes",
}


def package_version() -> str:
    """Return the version of the installed Debian package with the PE files, or ""."""
    result = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "libwine"], capture_output=True, text=True, check=False
    )
    return result.stdout.strip() if result.returncode == 0 else ""


def make_prefix(folder: str) -> str:
    """Make a prefix below ``folder`` (which must exist) and return its path, with wine ended and its registry written."""
    if shutil.which("wine") is None:
        raise RuntimeError("The full sample needs Debian's packages wine and wine64.")
    prefix = os.path.join(folder, "prefix")
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": folder,
        "USER": "Administrator",
        "LOGNAME": "Administrator",
        "WINEPREFIX": prefix,
        "WINEDEBUG": "-all",
        "DISPLAY": "",
        "WINEDLLOVERRIDES": "winemenubuilder.exe=d",
    }
    try:
        subprocess.run(
            ["wine", "wineboot", "-i"],
            env=environment,
            check=True,
            timeout=300,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    finally:
        for action in ("-k", "-w"):
            subprocess.run(
                ["wineserver", action],
                env=environment,
                check=False,
                timeout=60,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
    if not os.path.exists(os.path.join(prefix, "system.reg")):
        raise RuntimeError("wine made no registry; is the package wine64 installed?")
    return prefix


def _spelled(path: str) -> str:
    return "/".join(_SPELLING.get(name, name) for name in path.split("/"))


def add_drive(tree: Tree, prefix: str) -> None:
    """Add all of drive C: to ``tree``; symbolic links into the host become empty folders."""
    drive = os.path.join(prefix, "drive_c")
    for folder, folders, files in os.walk(drive):
        folders.sort()
        below = os.path.relpath(folder, drive)
        below = "" if below == "." else _spelled(below) + "/"
        for name in folders:
            tree.directory(below + _spelled(name))
        for name in sorted(files):
            path = os.path.join(folder, name)
            if below + name not in tree:
                tree.file(below + name, Content.host(path, os.stat(path).st_size))
