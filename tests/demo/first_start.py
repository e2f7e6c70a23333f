# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first start of a published machine: its own disk starts in wine, with the tools of the OS machine, and runs the scripts of its layers and template."""

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
#: What the two scripts write when each runs once, by path on drive C.
WRITTEN = {
    f"{_LICENCE}/licence.txt": b"Licensed to the house\r\n",
    f"{_HOUSE}/desktop.txt": b"The desktop of everybody\r\n",
}


@dataclasses.dataclass
class Script:
    """A script of an image: its number in the order of running, whose it is, its file, and the exit code that its disk keeps."""

    number: int
    label: str
    file: str
    code: str | None


def command() -> str:
    """The guest of published machines, for Simulator.guest: what the scripts look at and write is in its Windows."""
    return wine_guest.command(EDITOR, _LICENCE, _HOUSE)


def make_scripts(folder: pathlib.Path) -> None:
    """Write the scripts as they are written on a Windows into ``folder``."""
    folder.mkdir()
    for path in (pathlib.Path(__file__).parent / "scripts").iterdir():
        (folder / path.name).write_bytes(windows_text(path.read_text(encoding="utf-8")))


def scripts_of(volume: NTFS) -> list[Script]:
    """The scripts in the plan of a published disk."""
    lines = (_text(volume, "plan.txt") or "").splitlines()
    rows = [line.split("|") for line in lines if "|" in line]
    return [Script(int(number), label, file, _text(volume, f"results/{number}.code")) for number, label, file in rows]


def is_finished(volume: NTFS) -> bool:
    """Whether the disk says that all scripts are done."""
    return file_content(volume, f"{_IMAGE}/finished") is not None


def _text(volume: NTFS, name: str) -> str | None:
    data = file_content(volume, f"{_IMAGE}/{name}")
    return None if data is None else data.decode("ascii").strip()
