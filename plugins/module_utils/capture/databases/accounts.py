# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts of a computer, and their profiles.

Sources: Microsoft Learn, "Service accounts" (S-1-5-80 virtual accounts, S-1-5-82 application pools) and "Well-known SIDs".
The classes of the keys JD, Skew1, GBG and Data contain the key that encrypts SAM and SECURITY (B. Dolan-Gavitt, "SysKey
and the SAM").
"""

from __future__ import annotations

from .model import Database

_LSA = "SYSTEM\\CurrentControlSet\\Control\\Lsa\\"
_NT = "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\"

ACCOUNTS = Database(
    name="account_database",
    text="local accounts, groups, rights and secrets, with the key that encrypts them",
    files=(
        "Windows\\System32\\config\\SAM",
        "Windows\\System32\\config\\SECURITY",
        "Windows\\security\\database",
    ),
    keys=(
        _LSA + "JD",
        _LSA + "Skew1",
        _LSA + "GBG",
        _LSA + "Data",
        "SOFTWARE\\Microsoft\\IdentityStore",
    ),
)

USER_PROFILES = Database(
    name="user_profile",
    text="profiles of users and of accounts of services, and their registration. Windows creates a profile at the first "
    "logon; it logs on to a temporary profile if the registration has no folder",
    files=("Users\\*", "ProgramData\\Microsoft\\Windows\\SystemData"),
    keys=(
        _NT + "ProfileList\\S-1-*",
        _NT + "ProfileGuid",
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Installer\\UserData\\S-1-5-21-*",
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Installer\\UserData\\S-1-12-1-*",
    ),
    # The profile that new users get, and files that all users share.
    other_files=(
        "Users\\Public",
        "Users\\Default",
        "Users\\All Users",
        "Users\\Default User",
        "Users\\desktop.ini",
    ),
    other_keys=(
        _NT + "ProfileList\\S-1-5-18",
        _NT + "ProfileList\\S-1-5-19",
        _NT + "ProfileList\\S-1-5-20",
    ),
    divisible=True,
)

SERVICE_PROFILES = Database(
    name="service_profiles",
    text="profiles of LocalService and NetworkService, and the classes of the system account. Their services change them "
    "at every start",
    files=(
        "Windows\\ServiceProfiles\\*",
        "Windows\\System32\\config\\systemprofile\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat",
    ),
    divisible=True,
)
