# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare the boot configuration and the boot files of the packaged disk with those of its base image.

Images boot with the files of their OS layer. A layer cannot change them, so that a change is only reported. With UEFI
they are in the EFI system partition, with BIOS in the active partition, which may be that of Windows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field

from ..common.counting import counted_examples
from ..common.errors import Corrupt, Unsupported
from ..common.findings import WARN, Finding
from ..disk import partitions
from ..disk.block_device import BlockDevice
from ..disk.fat import FatVolume
from ..layers.entry import printable
from ..ntfs.node import Node
from ..ntfs.volume import Volume
from ..windows.boot_store import changed_settings
from ..winregistry.hive_model import Hive
from ..winregistry.hive_reader import read_hive
from .disks import Packaged
from .rules import LeftOut

_NAME = "boot_store"
_EFI_STORE, _BIOS_STORE = "EFI/MICROSOFT/BOOT/BCD", "BOOT/BCD"
#: Files that Windows writes at every start, and the store of Windows RE.
_IGNORED = re.compile(
    r"(.*/)?(BOOTSTAT\.DAT|BCD\.LOG\d?|BCD\{.*)|SYSTEM VOLUME INFORMATION/.*|\$RECYCLE\.BIN/.*|EFI/MICROSOFT/RECOVERY/BCD.*"
)
_BIOS_FILES = ("BOOTMGR", "BOOTNXT")
_BIOS_FOLDER = "Boot"
_MAX_STORE = 16 << 20
_MAX_FILES = 20_000
_LISTED = 5


@dataclass(frozen=True)
class _BootFile:
    """A file: its path as stored, size, and what changes with its content (time, place)."""

    path: str
    size: int
    stamp: object


@dataclass(frozen=True)
class _BootFiles:
    """The boot files of a disk by their path in upper case, the path of the BCD, and a function that reads a file."""

    store: str
    files: Mapping[str, _BootFile]
    read: Callable[[str], Iterable[bytes]]


@dataclass
class BootChanges:
    """What differs: keys of settings, and paths of files. ``problem`` is why the rest was not compared."""

    settings: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    problem: str = ""

    def report(self, left_out: LeftOut) -> list[dict]:
        """Add the changes to ``left_out``, and return a finding if there are any."""
        for key in self.settings:
            left_out.add("key", _NAME, key)
        for path in self.files:
            left_out.add("file", _NAME, printable(path))
        parts = [counted_examples(names[:_LISTED], len(names), noun) for names, noun in self._groups() if names]
        if self.problem:
            parts.append(f"not everything was compared: {self.problem}")
        if not parts:
            return []
        found = f"boot settings or boot files were changed: {', '.join(parts)}"
        action = (
            "Change boot settings in the OS layer, or with bcdedit in the layer's script: an image boots with the files of "
            "its OS layer."
        )
        return [asdict(Finding(_NAME, WARN, found, action))]

    def _groups(self) -> tuple[tuple[list[str], str], ...]:
        return (self.settings, "boot setting"), (self.files, "boot file")


def compare_boot(packaged: Packaged, old: Volume, new: Volume) -> BootChanges:
    """Compare the boot files; ``old`` and ``new`` are the Windows volumes. A damaged boot partition is reported, too."""
    changes = BootChanges()
    with ExitStack() as stack:
        try:
            before = _boot_files(packaged.original, packaged.before.offset, old, stack)
            after = _boot_files(packaged.disk, packaged.partition.offset, new, stack)
            if before is not None and after is not None:
                changes.files = _changed_files(before, after)
                old_store, new_store = _store(before), _store(after)
                if old_store is not None and new_store is not None:
                    changes.settings = changed_settings(old_store, new_store)
        except (Corrupt, Unsupported) as error:
            changes.problem = error.message
    return changes


def _boot_files(disk: BlockDevice, windows_at: int, windows: Volume, stack: ExitStack) -> _BootFiles | None:
    table = partitions.read_partitions(disk)
    if table.kind == "gpt":
        found = next((part for part in table.partitions if part.type == partitions.TYPE_EFI_SYSTEM), None)
        return None if found is None else _fat_files(FatVolume(found.window(disk)))
    found = next((part for part in table.partitions if part.active), None)
    if found is None:
        return None
    if found.offset == windows_at:
        return _ntfs_files(windows)
    return _ntfs_files(stack.enter_context(Volume.mount(found.window(disk))))


def _fat_files(volume: FatVolume) -> _BootFiles:
    found = volume.files()
    files = {key: _BootFile(file.path, file.size, (file.modified, file.cluster)) for key, file in found.items()}
    return _BootFiles(_EFI_STORE, files, lambda key: volume.read(found[key]))


def _ntfs_files(volume: Volume) -> _BootFiles:
    files: dict[str, _BootFile] = {}

    def add(path: str, node: Node) -> None:
        files[path.upper()] = _BootFile(path, node.size, node.times.written)

    for name in _BIOS_FILES:
        node = volume.find(name)
        if node is not None:
            with node:
                add(node.name or name, node)
    waiting = [_BIOS_FOLDER]
    while waiting and len(files) < _MAX_FILES:
        above = waiting.pop()
        folder = volume.find(above)
        if folder is None:
            continue
        with folder:
            for child in folder.children() if folder.is_directory else ():
                if child.is_directory:
                    waiting.append(f"{above}/{child.name}")
                    continue
                with volume.open(child.reference) as node:
                    add(f"{above}/{child.name}", node)
    return _BootFiles(_BIOS_STORE, files, lambda key: _ntfs_content(volume, files[key].path))


def _ntfs_content(volume: Volume, path: str) -> Iterable[bytes]:
    node = volume.find(path)
    if node is not None:
        with node, node.open_content() as content:
            for offset in range(0, content.size, 1 << 20):
                yield content.pread(min(1 << 20, content.size - offset), offset)


def _changed_files(before: _BootFiles, after: _BootFiles) -> list[str]:
    changed = []
    for key in sorted(before.files.keys() | after.files.keys()):
        old, new = before.files.get(key), after.files.get(key)
        if key in (before.store, after.store) or _IGNORED.fullmatch(key) or old == new:
            continue
        if old is None or new is None or old.size != new.size or not _is_same_content(before, after, key):
            changed.append((new or old or _BootFile(key, 0, None)).path)
    return changed


def _is_same_content(before: _BootFiles, after: _BootFiles, key: str) -> bool:
    return b"".join(before.read(key)) == b"".join(after.read(key))


def _store(boot: _BootFiles) -> Hive | None:
    """Return the boot configuration, None if there is none."""
    data = _limited(boot, boot.store)
    if not data:
        return None
    logs = [_limited(boot, boot.store + suffix) for suffix in (".LOG1", ".LOG2", ".LOG")]
    return read_hive(data, logs=[log for log in logs if log], name="BCD on the boot partition")


def _limited(boot: _BootFiles, key: str) -> bytes:
    file = boot.files.get(key)
    if file is None or not file.size:
        return b""
    if file.size > _MAX_STORE:
        raise Corrupt(
            f"The boot configuration {file.path} has {file.size} bytes; the limit is {_MAX_STORE} bytes.",
            code="capture.boot_store_size",
            hint="Check the boot configuration of the packaging machine (bcdedit /enum all).",
        )
    return b"".join(boot.read(key))
