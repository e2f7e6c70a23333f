# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of what a new layer version contains: paths that would damage an image, and folders that look misplaced.

They apply when a version is built. A stored version is not checked again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ..common.errors import InvalidInput
from ..layers.entry import DIRECTORY, WHITEOUT, Entry, printable
from ..windows.protected_paths import Protection, deleted_problem, provided_problem

_LISTED = 20
_KEY = re.compile(r"(HKEY_[A-Z_]+|HKLM|HKCU|HKCR|HKU)(\\|/|$)", re.IGNORECASE)
_VARIABLE = re.compile(r"%[^\\/%]+%([\\/]|$)|\$env:|\$\{env:", re.IGNORECASE)
_SHORT = re.compile(r"(C:)?[\\/]?(PROGRA~[1-4]|DOCUME~1|PUBLIC~1)([\\/]|$)", re.IGNORECASE)

#: Folders in the root of drive C, by their name without case, spaces and punctuation.
_ROOT_FOLDERS = {
    re.sub(r"[^a-z0-9]", "", name.lower()): name
    for name in ("Program Files", "Program Files (x86)", "ProgramData", "Users", "Windows")
}
_ROOT_NAMES = frozenset(name.lower() for name in _ROOT_FOLDERS.values())
#: Names that Windows shows or packages use for these folders, in the same form.
_OTHER_NAMES = {
    **dict.fromkeys(("programme", "programmi", "programas", "programfilesx64", "programfilesw6432"), "Program Files"),
    **dict.fromkeys(("archivosdeprograma", "arquivosdeprogramas", "progra1"), "Program Files"),
    **dict.fromkeys(("programmex86", "programmix86", "progra2"), "Program Files (x86)"),
    **dict.fromkeys(("commonappdata", "allusersprofile", "programmdaten"), "ProgramData"),
    **dict.fromkeys(("benutzer", "utilisateurs", "usuarios", "utenti"), "Users"),
    **dict.fromkeys(("windir", "systemroot"), "Windows"),
}
_DRIVE = re.compile(r"[a-z][:_$]?|drive[ _-]?[a-z]|[a-z][ _-]?drive", re.IGNORECASE)
_NOT_CONTENT = {
    **dict.fromkeys((".git", ".svn", ".hg"), "the data of a version control system"),
    **dict.fromkeys(("lost+found", ".snapshot", ".snapshots", ".trash", ".ds_store"), "data of the file system"),
    **dict.fromkeys(("$recycle.bin", "recycler"), "the recycle bin of the drive that was copied"),
}


def check_content(label: str, folder: str | None, delete: Iterable[str], entries: Iterable[Entry]) -> None:
    """Raise for a new layer version (``label`` names it) that contains or deletes what no layer may.

    Raises:
        InvalidInput operations.layer_protected_path: a path belongs to Windows or NTFS.
        InvalidInput operations.layer_delete: a path to delete cannot be the path of a file.
    """
    for text in delete:
        _check_written(label, text)
    provided: list[tuple[str, Protection]] = []
    deleted: list[tuple[str, Protection]] = []
    for entry in entries:
        if entry.kind == WHITEOUT:
            problem, found = deleted_problem(entry.path), deleted
        else:
            is_folder = entry.kind == DIRECTORY and entry.reparse is None
            problem, found = provided_problem(entry.path, is_folder=is_folder), provided
        if problem is not None:
            found.append((entry.path, problem))
    if provided:
        raise _protected(f"The folder {folder} cannot become the {label}", provided)
    if deleted:
        raise _protected(f"The {label} cannot delete files of Windows", deleted)


def _protected(subject: str, found: Sequence[tuple[str, Protection]]) -> InvalidInput:
    problems = [f"{printable(path)} {problem.reason}" for path, problem in found]
    more = f"; and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
    return InvalidInput(
        f"{subject}: {'; '.join(problems[:_LISTED])}{more}.",
        code="operations.layer_protected_path",
        hint=" ".join(dict.fromkeys(problem.advice for _path, problem in found)),
        paths=[path for path, _problem in found[:1000]],
    )


def _check_written(label: str, text: str) -> None:
    if _VARIABLE.match(text):
        problem, hint = "variables are not expanded", r"Write the path below C:\, such as Windows\old.dll."
    elif _KEY.match(text):
        problem = "it is a registry key, not a file"
        hint = r"Delete keys with a .reg file (option registry): [-HKEY_LOCAL_MACHINE\SOFTWARE\Tool]."
    elif _SHORT.match(text):
        problem, hint = "8.3 names are not resolved", r"Write the long name, such as Program Files\Tool."
    else:
        return
    raise InvalidInput(
        f"The {label} cannot delete '{printable(text)}': {problem}.",
        code="operations.layer_delete",
        hint=hint,
        path=printable(text),
    )


def misplaced_warnings(label: str, folder: str, entries: Sequence[Entry]) -> list[str]:
    """Return warnings about names in the root of ``folder`` that drive C of an image should hardly get."""
    root = {entry.path: entry for entry in entries if "/" not in entry.path and entry.kind != WHITEOUT}
    warnings = []
    for name, entry in root.items():
        if name.lower() in _NOT_CONTENT:
            warnings.append(
                f"The {label} contains {printable(name)}, which is {_NOT_CONTENT[name.lower()]}. "
                f"If it is not meant for drive C, remove it from {folder} or set files to the folder below."
            )
        elif entry.kind == DIRECTORY:
            problem = _folder_problem(folder, name, entries, alone=len(root) == 1)
            if problem:
                warnings.append(f"The {label} has the folder {printable(name)} in its root: {problem}")
    return warnings


def _folder_problem(folder: str, name: str, entries: Sequence[Entry], *, alone: bool) -> str | None:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    meant = _ROOT_FOLDERS.get(plain) or _OTHER_NAMES.get(plain)
    if meant is not None:
        return None if meant.lower() == name.lower() else f"Windows itself has {meant}. If that is meant, rename it."
    is_drive = _DRIVE.fullmatch(name) is not None
    inner = _root_folder_in(name, entries) if is_drive or alone else None
    if is_drive or inner is not None:
        example = inner or "the tree of the drive"
        return (
            f"it becomes C:\\{printable(name)}, with {example} below it. "
            f"If it is meant to be the drive itself, set files to {folder.rstrip('/')}/{printable(name)}."
        )
    return None


def _root_folder_in(name: str, entries: Iterable[Entry]) -> str | None:
    for entry in entries:
        above, _slash, below = entry.path.partition("/")
        if above == name and entry.kind == DIRECTORY and below.lower() in _ROOT_NAMES:
            return below
    return None
