# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database of Store apps (AppX, MSIX).

Sources: T. Mangan, tmurgent.com (StateRepository is an SQLite database); the default exclusions of the MSIX Packaging
Tool (Microsoft Learn, "MPT command-line conversion template"), which contain WindowsApps. The keys of registered packages
are knowledge of Windows 10 and 11 without a source.
"""

from __future__ import annotations

from .model import Database

_CURRENT = "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\"

STORE_APPS = Database(
    name="store_apps",
    text="packages, registrations and state of Store apps (AppX, MSIX). The SQLite database StateRepository refers to "
    "the package folders and to the keys; Start menu and Settings fail for all users if it is damaged",
    files=(
        "ProgramData\\Microsoft\\Windows\\AppRepository",
        "ProgramData\\Packages",
        "Program Files\\WindowsApps",
        "Windows\\AppReadiness",
    ),
    keys=(
        _CURRENT + "Appx",
        _CURRENT + "AppReadiness",
        _CURRENT + "InstallService",
        "SOFTWARE\\Classes\\Local Settings\\Software\\Microsoft\\Windows\\CurrentVersion\\AppModel",
        "SOFTWARE\\Classes\\ActivatableClasses\\Package",
        "SOFTWARE\\Classes\\Extensions\\ContractId",
        "SOFTWARE\\Classes\\PackagedCom",
        "SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\AppCs",
        "SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\RestrictedServices\\AppIso",
        "SOFTWARE\\Microsoft\\SecurityManager\\CapAuthz\\ApplicationsEx",
    ),
)
