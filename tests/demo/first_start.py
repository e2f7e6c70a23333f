# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""First start of a published VM: wine starts the VM's own disk with the OS machine tools and runs the scripts of layers and template."""

from __future__ import annotations

import dataclasses
import pathlib

from dissect.ntfs import NTFS

from ..support import wine_guest
from ..support.wine_machine import SCRIPTS, windows_text
from .apps import EDITOR
from .windows_disk import file_content

_IMAGE = f"{SCRIPTS}/image"
_LICENCE, _HOUSE = "ProgramData/Strata Editor", "ProgramData/House"
#: Content of the files that the two scripts write if each runs exactly once, by path on drive C.
WRITTEN = {
    f"{_LICENCE}/licence.txt": b"Licensed to the house\r\n",
    f"{_HOUSE}/desktop.txt": b"Shared desktop\r\n",
}


@dataclasses.dataclass(frozen=True)
class Script:
    """A script of an image: position in the run order, label of its layer or template, file name, and the exit code stored on the disk."""

    number: int
    label: str
    file: str
    code: str | None


def command() -> str:
    """Return the shell command of the guest of published VMs, for Simulator.guest.

    The guest has the folders that the scripts read and write.
    """
    return wine_guest.command(EDITOR, _LICENCE, _HOUSE)


def make_scripts(folder: pathlib.Path) -> None:
    """Write the scripts with the line ends of Windows into ``folder``."""
    folder.mkdir()
    for path in (pathlib.Path(__file__).parent / "scripts").iterdir():
        (folder / path.name).write_bytes(windows_text(path.read_text(encoding="utf-8")))


def scripts_of(volume: NTFS) -> list[Script]:
    """Return the scripts in the plan of a published disk."""
    lines = (_text(volume, "plan.txt") or "").splitlines()
    rows = [line.split("|") for line in lines if "|" in line]
    return [Script(int(number), label, file, _text(volume, f"results/{number}.code")) for number, label, file in rows]


def is_finished(volume: NTFS) -> bool:
    """Return whether the disk has the marker for finished scripts."""
    return file_content(volume, f"{_IMAGE}/finished") is not None


def _text(volume: NTFS, name: str) -> str | None:
    data = file_content(volume, f"{_IMAGE}/{name}")
    return None if data is None else data.decode("ascii").strip()
