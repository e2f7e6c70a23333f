# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of servicing: what Windows Update, DISM and TrustedInstaller maintain, and side-by-side assemblies.

Sources: Microsoft Learn, "Manage the Component Store" and "Prepare to package a desktop application" (side-by-side
assemblies are registered below SideBySide\\Winners, where CSRSS finds them). The names of components end with public key
token, version, culture and a hash; keys below Winners have the same form without the version.
"""

from __future__ import annotations

from ...windows.component_store import TOKENS
from .model import ALL_LAYERS, Database

_WINSXS = "Windows\\WinSxS\\"
_CURRENT = "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\"
_WINNERS = _CURRENT + "SideBySide\\Winners\\"
_DRIVERS = ("DriverPackages", "DriverInfFiles", "DeviceIds")
_VERSIONS = tuple(f"SOFTWARE\\{prefix}Microsoft\\Windows NT\\CurrentVersion" for prefix in ("", "WOW6432Node\\"))
_VERSION_VALUES = (
    "UBR",
    "LCUVer",
    "CurrentBuild*",
    "BuildLab*",
    "BuildBranch",
    "BuildGUID",
    "BaseBuildRevisionNumber",
    "DisplayVersion",
    "ReleaseId",
)
_ANY_TOKEN = "????????????????"


def _assembly_files(token: str) -> tuple[str, ...]:
    return (
        f"{_WINSXS}*_{token}_*",
        f"{_WINSXS}Manifests\\*_{token}_*.manifest",
        f"{_WINSXS}Fusion\\*_{token}_*",
    )


SIDE_BY_SIDE = Database(
    name="side_by_side",
    text="shared assemblies of applications, such as the runtimes of Visual C++ 2005 and 2008: folders, manifests and the "
    "keys by which Windows finds them. Versions of several layers are joined",
    files=_assembly_files(_ANY_TOKEN),
    keys=(f"{_WINNERS}*_{_ANY_TOKEN}_*",),
    taken_by=ALL_LAYERS,
    other_files=tuple(pattern for token in TOKENS for pattern in _assembly_files(token)),
    other_keys=tuple(f"{_WINNERS}*_{token}_*" for token in TOKENS),
)

SERVICING = Database(
    name="servicing_database",
    text="the component store: components and packages of Windows, and the databases that list them. A layer with a part "
    "of it makes later updates of the OS layer fail",
    files=(
        "Windows\\System32\\config\\COMPONENTS",
        "Windows\\System32\\SMI\\Store",
        "Windows\\servicing",
        "Windows\\CbsTemp",
        "Windows\\WinSxS\\*",
        # Catalogs of packages; those of drivers and applications have other names.
        "Windows\\System32\\CatRoot\\*\\*~31bf3856ad364e35~*.cat",
    ),
    keys=(
        _CURRENT + "Component Based Servicing",
        _CURRENT + "SideBySide",
        # Driver packages of Windows, which updates replace with their files; driver_packages includes those of others.
        *(f"{hive}\\DriverDatabase\\{key}" for hive in ("SYSTEM", "DRIVERS") for key in _DRIVERS),
        # The versions that Windows and .NET Framework report are those of their files.
        "SOFTWARE\\Microsoft\\NET Framework Setup",
        "SOFTWARE\\WOW6432Node\\Microsoft\\NET Framework Setup",
        *((key, value) for key in _VERSIONS for value in _VERSION_VALUES),
    ),
)

CATALOG_DATABASE = Database(
    name="catalog_database",
    text="the index of signature catalogs (ESE), which Windows creates again from the catalogs in CatRoot",
    files=("Windows\\System32\\catroot2",),
)
