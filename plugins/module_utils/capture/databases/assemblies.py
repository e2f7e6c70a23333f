# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Catalogs of side-by-side assemblies: their names are hashes, which say nothing about the assembly."""

from __future__ import annotations

from ...windows.component_store import is_component_name
from ...windows.installation import WindowsInstallation
from ...winregistry.upcase import WINDOWS
from ..rule import Rule
from .compared import Compared
from .servicing import SIDE_BY_SIDE

_WINNERS = "Microsoft\\Windows\\CurrentVersion\\SideBySide\\Winners"


def find_assemblies(compared: Compared) -> list[Rule]:
    """Return the rule that takes new catalogs if assemblies of applications were installed.

    Catalogs of Windows updates are in the same folder.
    """
    before = _versions(compared.before) if compared.before is not None else set()
    if _versions(compared.after) <= before:
        return []
    return [Rule("Windows\\WinSxS\\Catalogs", SIDE_BY_SIDE.name, include=True, database=SIDE_BY_SIDE.name)]


def _versions(windows: WindowsInstallation) -> set[tuple[str, str]]:
    """Return the folded keys of assemblies of applications with the names of their values: the installed versions."""
    winners = windows.software.root.key(_WINNERS)
    return {
        (WINDOWS.fold(assembly.name), WINDOWS.fold(value.name))
        for assembly in (winners.subkeys.values() if winners is not None else ())
        if not is_component_name(assembly.name)
        for series in assembly.subkeys.values()
        for value in series.values.values()
    }
