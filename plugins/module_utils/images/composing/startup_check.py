# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that Windows can start from a composed image, before the image is stored.

Layers can delete or replace anything. The check is relative to the OS layer: a file or key that Windows needs to start
and that the OS layer has must still be in the image, and valid. It costs about a hundred lookups of paths. A hive is
read again only if a layer replaces it as a file; a hive with merged deltas is checked in memory.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from ...common.errors import Conflict, Corrupt, Unsupported
from ...layers.entry import DIRECTORY, LINK
from ...ntfs.node import Node
from ...ntfs.volume import Volume
from ...windows.installation import find_hive, load_hive
from ...windows.startup_files import REQUIRED_FILES, REQUIRED_HIVES, boot_drivers
from ...winregistry.delta import Delta
from ...winregistry.hive_model import Hive
from ...winregistry.hive_names import HIVES
from ...winregistry.required_keys import HiveState, breaks, control_set, resolved_names
from ..stack.stack_merge import MergedTree

_HINT = "Build a version of the layer without this change, or remove the layer from the image template."
_DRIVER_FOLDERS = ("Windows/System32/drivers", "Windows/System32/DriverStore")
_PROGRAMS = (".exe", ".dll", ".sys", ".efi")
_HIVE_NAMES = {hive.path: name for name, hive in HIVES.items()}


class _State(enum.Enum):
    """What a volume has at a path."""

    MISSING = "missing"
    FOLDER = "a folder"
    EMPTY = "empty"
    NO_PROGRAM = "not a program"
    PRESENT = "present"


def check_merged_hive(before: HiveState, merged: Hive, deltas: Sequence[tuple[str, Delta]]) -> None:
    """Raise unless a hive still has the keys that Windows needs; ``deltas`` were merged into it, by label of the layer.

    Raises:
        Conflict images.unbootable: a key is missing, or a service is disabled.
    """
    missing = before.lost(merged)
    if not missing:
        return
    required = missing[0]
    label = next((label for label, delta in reversed(deltas) if breaks(delta, required, before.control)), deltas[-1][0])
    key = "\\".join((before.name, *resolved_names(required, before.control)))
    verb = "disables or removes the service" if required.service else "removes the registry key"
    raise _unbootable(label, f"{verb} {key}", required.reason, path=key)


def check_files(volume: Volume, original: Volume, tree: MergedTree, system: Hive | None) -> None:
    """Raise unless ``volume`` has every file that Windows needs to start and that ``original``, the OS layer, has.

    ``tree`` is the merged stack of all layers. ``system`` is the merged hive SYSTEM, None if no layer changes it.

    Raises:
        Conflict images.unbootable: a file is missing, empty or not valid.
    """
    with _Lookup(volume) as image, _Lookup(original) as base:
        files = _FileCheck(image, base, tree)
        for path in REQUIRED_HIVES:
            files.check(path, "a registry hive")
            if tree.provides_file(path):
                files.check_hive(volume, path)
        if system is None and changes_drivers(tree):
            system = find_hive(volume, HIVES["SYSTEM"].path)
        _check_programs(files, system)


def changes_drivers(tree: MergedTree) -> bool:
    """Return whether layers change files of drivers, so that the hive SYSTEM decides which of them Windows needs."""
    return any(tree.changes(folder) for folder in _DRIVER_FOLDERS)


def check_planned_files(original: Volume, tree: MergedTree, system: Hive | None) -> None:
    """Raise as ``check_files`` for an image that is not composed yet: files are judged by their size, not by their content.

    Raises:
        Conflict images.unbootable: a file is missing or empty.
    """
    with _Lookup(original) as base:
        files = _FileCheck(_PlannedLookup(base, tree), base, tree)
        for path in REQUIRED_HIVES:
            files.check(path, "a registry hive")
        if system is None and changes_drivers(tree):
            system = find_hive(original, HIVES["SYSTEM"].path)
        _check_programs(files, system)


def _check_programs(files: _FileCheck, system: Hive | None) -> None:
    """Check the files that Windows needs to start, and the boot drivers that the hive ``system`` names."""
    for path in REQUIRED_FILES:
        files.check(path, "which Windows needs to start")
    control = control_set(system) if system is not None else None
    if control is not None:
        for path, service in boot_drivers(control).items():
            files.check(path, f"the boot driver {service}")


class _States(Protocol):
    def state(self, path: str, with_header: bool) -> _State:
        """Return what is at a path; ``with_header`` looks at the first bytes of a program."""


class _Lookup:
    """Looks up files on a volume; each folder is opened once."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self._folders: dict[str, Node | None] = {}

    def __enter__(self) -> _Lookup:
        return self

    def __exit__(self, *_exception: object) -> None:
        for folder in self._folders.values():
            if folder is not None:
                folder.close()

    def state(self, path: str, with_header: bool) -> _State:
        """Return what the volume has at a path; ``with_header`` looks at the first bytes of a program."""
        folder_path, _slash, name = path.rpartition("/")
        key = folder_path.lower()
        if key not in self._folders:
            self._folders[key] = self.volume.find(folder_path)
        folder = self._folders[key]
        node = folder.child(name) if folder is not None and folder.is_directory else None
        if node is None:
            return _State.MISSING
        with node:
            if node.is_directory:
                return _State.FOLDER
            if not node.size:
                return _State.EMPTY
            if with_header and path.lower().endswith(_PROGRAMS) and not _may_be_program(node):
                return _State.NO_PROGRAM
            return _State.PRESENT


def _may_be_program(node: Node) -> bool:
    """Return whether a file begins like a program, or is stored in a way that cannot be read (WIMBoot)."""
    try:
        return node.read_content(2) == b"MZ"
    except Unsupported:
        return True
    except Corrupt as error:
        if error.code != "ntfs.compact_os_damaged":
            raise
        return False


@dataclass(frozen=True)
class _PlannedLookup:
    """What an image will have at a path: what the merged stack provides, else what the OS layer has."""

    original: _Lookup
    tree: MergedTree

    def state(self, path: str, with_header: bool) -> _State:
        """Return what the image will have at a path; the content of a file is not known."""
        node = self.tree.node(path)
        if node is not None and node.entry is not None:
            if node.entry.kind == DIRECTORY:
                return _State.FOLDER
            return _State.PRESENT if node.entry.size or node.entry.kind == LINK else _State.EMPTY
        if node is not None and node.exists:
            return _State.FOLDER
        if self.tree.hides(path):
            return _State.MISSING
        return self.original.state(path, with_header)


@dataclass(frozen=True)
class _FileCheck:
    """The image, the OS layer, and the merged stack that made the image from it."""

    image: _States
    original: _Lookup
    tree: MergedTree

    def check(self, path: str, reason: str) -> None:
        """Raise unless the image has a file that is in the OS layer; ``reason`` says what the file is."""
        # Only a file that a layer provides can have become something else than a program.
        is_replaced = self.tree.provides_file(path)
        found = self.image.state(path, is_replaced)
        if found is not _State.PRESENT and self.original.state(path, is_replaced) is _State.PRESENT:
            self._refuse(path, f"{reason}, is {found.value}")

    def check_hive(self, volume: Volume, path: str) -> None:
        """Raise unless a hive that a layer replaces as a file is valid and has the keys that Windows needs."""
        original = find_hive(self.original.volume, path)
        if original is None:
            return
        try:
            hive = load_hive(volume, path)
        except (Corrupt, Unsupported) as error:
            self._refuse(path, "a registry hive, is not valid", error)
        for required in HiveState.of(_HIVE_NAMES.get(path, ""), original).lost(hive):
            self._refuse(path, f"a registry hive, lacks the key {required.path}: {required.reason}")

    def _refuse(self, path: str, problem: str, cause: Exception | None = None) -> NoReturn:
        label, change = self._responsible(path)
        raise _unbootable(label, change, f"{path}, {problem}", path=path) from cause

    def _responsible(self, path: str) -> tuple[str, str]:
        """Return the label of the layer that changed a path, and what it did."""
        changed = self.tree.responsible(path)
        if changed is None:
            return "stack of layers", f"changes {path}"
        label, where, is_removed = changed
        return label, f"{'deletes' if is_removed else 'replaces'} {where}"


def _unbootable(label: str, change: str, problem: str, *, path: str) -> Conflict:
    return Conflict(
        f"Windows cannot start from the image: the {label} {change} ({problem}).",
        code="images.unbootable",
        hint=_HINT,
        path=path,
        layer=label,
    )
