# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installers make the changes that the tests need."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.tests.acceptance import wine, wine_registry
from ansible_collections.strata.layering.tests.acceptance.installers import LONG, SHARED, UNICODE

_MACHINE, _USER = wine.SYSTEM, wine.USER_DEFAULTS
_SERVICE = "System\\CurrentControlSet\\Services\\StrataAgent"


def _key(prefix, file, path):
    return wine_registry.read(prefix.read_registry(file)).key(path)


@pytest.mark.parametrize(
    "path",
    [
        "Program Files/Strata Reader/manual.txt",
        "Program Files/Strata Writer/uninstall.exe",
        "Program Files/Strata Agent/agent.exe",
        SHARED,
        "users/Default/AppData/Roaming/Strata/viewer.cfg",
        f"Program Files/Strata Overview/{UNICODE}/{LONG}.txt",
        f"Program Files/Strata Overview/{UNICODE}/\u65e5\u672c/\U0001f4c4 emoji/\u0416.txt",
    ],
)
def test_installer_creates_its_files(reference, path):
    assert os.path.isfile(reference[0].host_path(path))


@pytest.mark.parametrize("path", ["Program Files/Strata Reader/reader.ini", "windows/hh.exe"])
def test_installer_removes_files_of_other_applications(lab, reference, path):
    assert not os.path.exists(reference[0].host_path(path))
    assert os.path.exists(lab.fresh.host_path(path)) or "Strata Reader" in path


@pytest.mark.parametrize(
    "file, path, name, text",
    [
        (_MACHINE, _SERVICE, "ImagePath", "C:\\Program Files\\Strata Agent\\agent.exe"),
        (_MACHINE, _SERVICE, "ObjectName", "LocalSystem"),
        (_MACHINE, "Software\\Classes\\.strata", "", "Strata.Document"),
        (_MACHINE, "Software\\Strata\\Reader", "Greeting", "good evening"),
        (_MACHINE, f"Software\\Strata\\{UNICODE}", "\u00e9t\u00e9", "\u590f"),
        (_MACHINE, f'Software\\Strata\\{UNICODE}\\[brackets] = "quotes"', "a=b", "line\r\nline"),
        (_USER, "Software\\Strata\\Viewer", "Theme", "dark"),
    ],
)
def test_installer_sets_its_values(reference, file, path, name, text):
    assert _key(reference[0], file, path).value(name).data == (text + "\0").encode("utf-16-le")


def test_installer_removes_keys_of_other_applications(reference):
    reader = _key(reference[0], _MACHINE, "Software\\Strata\\Reader")
    assert reader.value("Count") is None
    assert reader.key("Plugins") is None
    assert _key(reference[0], _MACHINE, "Software\\Classes\\.wri") is None


def test_installer_creates_a_complete_service(reference):
    service = _key(reference[0], _MACHINE, _SERVICE)
    assert {name: service.value(name).data for name in ("Start", "Type", "ErrorControl")} == {
        "Start": b"\3\0\0\0",
        "Type": b"\x10\0\0\0",
        "ErrorControl": b"\1\0\0\0",
    }
