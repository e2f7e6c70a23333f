# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hives that a layer may change: their paths on a Windows disk and their names in a layer archive.

Source of the archive names: hcsshim, internal/wclayer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerHive:
    """One hive.

    ``name`` is its name in deltas and rules, ``path`` that of its file on the volume. ``differencing`` is its name
    as a differencing hive in a layer archive (None: layers of Windows containers do not contain it).
    """

    name: str
    path: str
    differencing: str | None

    @property
    def delta(self) -> str:
        """The name of its delta in a layer archive."""
        return f"Hives/{self.name}.strata-delta"


HIVES: dict[str, LayerHive] = {
    hive.name: hive
    for hive in (
        LayerHive("SYSTEM", "Windows/System32/config/SYSTEM", "Hives/System_Delta"),
        LayerHive("SOFTWARE", "Windows/System32/config/SOFTWARE", "Hives/Software_Delta"),
        LayerHive("DEFAULT", "Windows/System32/config/DEFAULT", "Hives/DefaultUser_Delta"),
        LayerHive("NTUSER.DAT", "Users/Default/NTUSER.DAT", None),
        LayerHive("UsrClass.dat", "Users/Default/AppData/Local/Microsoft/Windows/UsrClass.dat", None),
        LayerHive("DRIVERS", "Windows/System32/config/DRIVERS", None),
    )
}


def hive_of_archive_name(path: str) -> tuple[LayerHive, bool] | None:
    """Return the hive whose delta is at ``path`` in a layer archive, and whether that is a differencing hive.

    The result is None for other files.
    """
    folded = path.upper()
    for hive in HIVES.values():
        if folded == hive.delta.upper():
            return hive, False
        if hive.differencing is not None and folded == hive.differencing.upper():
            return hive, True
    return None
