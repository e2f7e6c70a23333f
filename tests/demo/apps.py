# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications of the demo: the files that two installers add to drive C, their registry values, and a folder of files."""

from __future__ import annotations

import hashlib
import pathlib
import random

from ..sample import pe

DELETED = "Windows/System32/winver.exe"
REPLACED = "Windows/System32/notepad.exe"
#: Registry values that the installers of the newest versions set: (hive, key, value, data).
VALUES = (
    ("SOFTWARE", "Strata\\Editor", "Version", "1.1"),
    ("SOFTWARE", "Microsoft\\Windows\\CurrentVersion\\Policies\\System", "legalnoticecaption", "House rules"),
)
_MIB = 1 << 20
EDITOR = "Program Files/Strata Editor"


def make_editor(folder: pathlib.Path, version: str) -> None:
    """Write a program with plug-ins. Version 1.1 changes three files and adds one."""
    files = {
        "editor.exe": pe.make_pe(f"editor-{version}", 420_000),
        "editor.exe.config": f"<configuration version='{version}'/>\r\n".encode(),
        "editcore.dll": pe.make_pe("editcore", 910_000),
        f"readme {version}.txt": f"Strata Editor {version}\r\n".encode() * 40,
    }
    for number in range(40):
        files[f"plugins/plugin{number:02}/plugin{number:02}.dll"] = pe.make_pe(f"plugin{number}", 60_000 + 700 * number)
    if version != "1.0":
        files["plugins/plugin07/plugin07.dll"] = pe.make_pe("plugin7-fixed", 71_000)
        files["whats new.txt"] = b"Plug-in 7 no longer loses text.\r\n"
    _write(folder / EDITOR, files)


def make_house_rules(folder: pathlib.Path) -> None:
    """Write a replacement of notepad.exe, spelled in upper case, a wallpaper and a text file."""
    _write(
        folder,
        {
            "Windows/SYSTEM32/NOTEPAD.EXE": pe.make_pe("house notepad", 180_000),
            "Windows/Web/Wallpaper/House/background.jpg": random.Random(2).randbytes(1_400_000),
            "ProgramData/House/rules.txt": b"Lock the screen when you go.\r\n",
        },
    )


def make_maps(folder: pathlib.Path) -> None:
    """Write 60 MB in 240 files, of which half do not compress, names in several scripts and a path longer than 260 characters."""
    source = random.Random(3)
    phrases = [source.randbytes(6) for _number in range(4000)]
    tiles = {}
    for number in range(240):
        size = source.randrange(_MIB // 8, 3 * _MIB // 8)
        tiles[f"{number // 24:02}/tile{number:03}.map"] = source.randbytes(size // 2) + b"".join(
            source.choices(phrases, k=size // 12)
        )
    _write(folder / "ProgramData/Maps/tiles", tiles)
    _write(
        folder / "ProgramData/Maps",
        {
            "empty.flag": b"",
            "Länder/Österreich.txt": "Wien\r\nGraz\r\n".encode("utf-16"),
            "Länder/日本.txt": "東京\r\n".encode("utf-16"),
            "/".join(
                ["styles", *(f"a style within style number {number:02}" for number in range(9)), "dark.json"]
            ): b'{"dark": true}\n',
        },
    )


def make_all(folder: pathlib.Path) -> None:
    """Write each version of each application into its own folder below ``folder``."""
    makers = {
        "editor-1.0": lambda path: make_editor(path, "1.0"),
        "editor-1.1": lambda path: make_editor(path, "1.1"),
        "house-rules-2.0": make_house_rules,
        "maps-2026.3": make_maps,
    }
    for name, make in makers.items():
        make(folder / name)


def digests(folder: pathlib.Path) -> dict[str, str]:
    """Return the SHA-256 of every file below ``folder`` by its path on drive C."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _write(folder: pathlib.Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
