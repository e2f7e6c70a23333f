# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database of Store apps (AppX, MSIX)."""

from __future__ import annotations

from .model import Database

STORE_APPS = Database(
    name="store_apps",
    text="packages, registrations and state of Store apps. StateRepository is an SQLite database in WAL mode: its main "
    "file is damaged when the -wal file of another version is beside it",
    files=("ProgramData\\Microsoft\\Windows\\AppRepository", "Program Files\\WindowsApps"),
    keys=(
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Appx",
        "SOFTWARE\\Classes\\Local Settings\\Software\\Microsoft\\Windows\\CurrentVersion\\AppModel",
    ),
)
