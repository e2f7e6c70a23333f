# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planned content of each NTFS partition: Windows with its hives, recovery, System Reserved."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator

from ...plugins.module_utils.winregistry.hive_model import Hive
from ...plugins.module_utils.winregistry.hive_reader import read_hive
from ...plugins.module_utils.winregistry.hive_writer import write_hive
from ..support.pypi_samples import sample_bytes
from . import hives, pe, windows, wine
from .plan import ARCHIVE, HIDDEN, MIB, SYSTEM, Content, Item, Spec
from .tree import Tree

_CONFIG = "Windows/System32/config/"


class Plan:
    """The content of drive C for one specification."""

    def __init__(self, spec: Spec, prefix: str | None, partition_guid: bytes) -> None:
        self._spec = spec
        self._prefix = prefix
        self._guid = partition_guid

    def windows(self) -> list[Item]:
        tree = Tree()
        if "no_windows" in self._spec.variants:
            tree.file("Data/accounts.txt", b"a data disk\r\n")
            tree.directory("System Volume Information", HIDDEN | SYSTEM)
            return tree.finish()
        registry = ""
        if self._prefix is None:
            windows.add_small_system(tree)
        else:
            wine.add_drive(tree, self._prefix)
            with open(os.path.join(self._prefix, "system.reg"), encoding="utf-8", errors="replace") as stream:
                registry = stream.read()
        windows.complete(tree, self._spec)
        self._add_hives(tree, registry)
        if "hibernated" in self._spec.variants:
            image = b"HIBR" + bytes(12) + pe.filler("hiberfil", MIB)
            tree.file("hiberfil.sys", image, HIDDEN | SYSTEM | ARCHIVE)
        return tree.finish()

    def _add_hives(self, tree: Tree, registry: str) -> None:
        prepared = "unprepared" not in self._spec.variants
        system = self._system_hive()
        if not prepared:
            hives.neglect_system(system.root)
        if self._guid:
            hives.mount_windows(system.root, self._guid)
        for path, hive in (
            (_CONFIG + "SYSTEM", system),
            (_CONFIG + "SOFTWARE", hives.software(registry, prepared)),
            (_CONFIG + "DEFAULT", hives.default_user("DEFAULT")),
            (_CONFIG + "SAM", hives.sam()),
            (_CONFIG + "SECURITY", hives.security()),
            ("Users/Default/NTUSER.DAT", hives.default_user("NTUSER.DAT")),
            ("Users/Administrator/NTUSER.DAT", hives.default_user("NTUSER.DAT")),
        ):
            tree.file(path, Content.of(write_hive(hive)), ARCHIVE | (HIDDEN if path.startswith("Users") else 0))
            for log in (".LOG1", ".LOG2"):
                tree.file(path + log, b"", ARCHIVE | HIDDEN | SYSTEM)

    def _system_hive(self) -> Hive:
        if self._prefix is None:
            return hives.small_system()
        hive = read_hive(sample_bytes("dissect.regf", "3.14", "tests/_data/SYSTEM.gz"))
        hives.prepare_system(hive.root)
        return hive


@contextlib.contextmanager
def planned(spec: Spec, partition_guid: bytes, scratch: str) -> Iterator[Plan]:
    """Yield a plan; a full plan has its own wine prefix (700 MB) below ``scratch``, which is removed at the end."""
    if spec.size == "small" or {"bitlocker", "no_ntfs", "no_windows"} & set(spec.variants):
        yield Plan(spec, None, partition_guid)
        return
    with tempfile.TemporaryDirectory(prefix="wine-", dir=scratch) as folder:
        yield Plan(spec, wine.make_prefix(folder), partition_guid)


def recovery() -> list[Item]:
    """The recovery partition's tree."""
    tree = Tree()
    tree.file("Recovery/WindowsRE/Winre.wim", b"MSWIM\0\0\0" + pe.filler("winre", 3 * MIB), HIDDEN | SYSTEM | ARCHIVE)
    tree.file("Recovery/WindowsRE/ReAgent.xml", b"<WindowsRE version='2.0'/>\r\n")
    return tree.finish()


def reserved() -> list[Item]:
    """The System Reserved partition's tree on a BIOS machine."""
    tree = Tree()
    tree.file("bootmgr", pe.filler("bootmgr", 400_000), 0x27)
    tree.file("BOOTNXT", b"\x01", HIDDEN | SYSTEM | ARCHIVE)
    tree.file("Boot/BCD", write_hive(hives.boot_store(efi=False)))
    tree.file("Boot/en-US/bootmgr.exe.mui", pe.make_pe("bootmgr.exe.mui", 3_000))
    return tree.finish()
