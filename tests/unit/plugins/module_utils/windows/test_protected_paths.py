# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths that layers must not provide or delete."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.windows.protected_paths import (
    deleted_problem,
    provided_problem,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_names import HIVES

HIVE_FILES = [
    *(hive.path for hive in HIVES.values()),
    "windows/system32/CONFIG/sam",
    "Windows/System32/config/SYSTEM.LOG1",
    "Windows/System32/config/SOFTWARE{53b39e3f-18c4-11ea-a811-000d3aa4692b}.TM.blf",
    "Windows/System32/config/TxR/SYSTEM.0.regtrans-ms",
    "Users/bob/ntuser.dat",
    "Users/Default/NTUSER.DAT.LOG2",
    "Users/Default/NTUSER.DAT{53b39e88-18c4-11ea-a811-000d3aa4692b}.TM.blf",
    "Users/bob/appdata/local/microsoft/windows/USRCLASS.DAT",
    "Windows/ServiceProfiles/LocalService/NTUSER.DAT",
    "Boot/BCD",
    "Boot/BCD.LOG",
]
BOOT_FILES = ["BOOTMGR", "bootnxt", "$MFT", "$Extend/$UsnJrnl", "System Volume Information/tracking.log"]
#: Files that Windows creates again.
RENEWED_FILES = [
    *("pagefile.sys", "SwapFile.sys", "hiberfil.sys", "Windows/System32/config/RegBack/SYSTEM"),
    *("Windows/AppCompat/Programs/Amcache.hve", "Windows/appcompat/Programs/Amcache.hve.LOG1"),
]
ORDINARY = [
    "Windows/System32/tool.dll",
    "Windows/System32/drivers/tool.sys",
    "Windows/System32/drivers/etc/hosts",
    "Windows/System32/config/systemprofile/AppData/Roaming/Tool/tool.ini",
    "Windows/Fonts/tool.ttf",
    "Windows/regedit.exe",
    "Users/Default/AppData/Roaming/Tool/tool.ini",
    "Users/Mandatory.V6/NTUSER.MAN",
    "Users/bob",
    "Program Files/Tool",
    "ProgramData/Tool/SYSTEM",
    "$Tool/x",
    "Tool/pagefile.sys",
    "Boot/Fonts/x.ttf",
]


@pytest.mark.parametrize("path", HIVE_FILES + BOOT_FILES + RENEWED_FILES)
def test_protected_file_is_not_provided(path):
    problem = provided_problem(path, is_folder=False)
    assert problem is not None
    assert problem.reason and problem.advice


@pytest.mark.parametrize("path", HIVE_FILES + BOOT_FILES)
def test_protected_file_is_not_deleted(path):
    assert deleted_problem(path) is not None


@pytest.mark.parametrize("path", [*RENEWED_FILES, "Windows/AppCompat"])
def test_file_that_windows_creates_again_may_be_deleted(path):
    assert deleted_problem(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "Windows",
        "windows/SYSTEM32",
        "Windows/System32/config",
        "Windows/System32/config/systemprofile",
        "Windows/System32/ntoskrnl.exe",
        "Windows/System32/drivers",
        "Windows/System32/drivers/NTFS.SYS",
        "Windows/WinSxS",
        "Windows/Setup/Scripts",
        "Users",
        "Users/Default",
        "Program Files",
        "ProgramData",
    ],
)
def test_path_that_windows_needs_is_not_deleted(path):
    assert deleted_problem(path) is not None


@pytest.mark.parametrize("path", ["Windows", "Windows/System32", "Users", "Windows/System32/config"])
def test_folder_of_windows_is_not_replaced_by_a_file(path):
    assert provided_problem(path, is_folder=False) is not None
    assert provided_problem(path, is_folder=True) is None


@pytest.mark.parametrize("path", ORDINARY)
def test_ordinary_path_is_allowed(path):
    assert provided_problem(path, is_folder=False) is None
    assert provided_problem(path, is_folder=True) is None
    assert deleted_problem(path) is None


@pytest.mark.parametrize("path", ["Windows/System32/ntoskrnl.exe", "Windows/System32/drivers/ntfs.sys"])
def test_file_of_windows_may_be_updated(path):
    assert provided_problem(path, is_folder=False) is None


def test_folder_in_the_folder_of_hives_is_provided():
    assert provided_problem("Windows/System32/config/systemprofile", is_folder=True) is None
    assert provided_problem("Windows/System32/config/SYSTEM", is_folder=True) is not None
