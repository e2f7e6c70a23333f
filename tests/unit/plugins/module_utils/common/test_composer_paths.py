# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hints for paths that administrators write by mistake, and errors of the composer's file system."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.composer_paths import (
    TEMPORARY_PREFIX,
    current_user,
    is_windows_path,
    path_hint,
)
from ansible_collections.strata.layering.plugins.module_utils.common.errors import composer_error


@pytest.mark.parametrize("path", ["C:\\x", "z:/layers", "Z:", "\\\\server\\share", "\\x"])
def test_path_in_windows_is_recognized(path):
    assert is_windows_path(path)
    assert path_hint(path, "files").startswith(f"'{path}'")


@pytest.mark.parametrize("path", ["/srv/x", "//server/share", "relative/C:\\x", "CD:x", ""])
def test_path_on_the_composer_is_recognized(path):
    assert not is_windows_path(path)


def test_hint_for_relative_path_names_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert os.fspath(tmp_path) in path_hint("packages/tool", "files")
    assert path_hint("/packages/tool", "files") == path_hint("", "files") == ""


def test_user_is_named_with_number():
    assert f"uid {os.geteuid()}" in current_user()


@pytest.mark.parametrize(
    ("number", "named"),
    [(errno.EACCES, current_user()), (errno.EPERM, current_user()), (errno.EXDEV, "/b"), (errno.EROFS, "/a")],
)
def test_error_of_the_file_system_names_user_or_path(number, named):
    error = composer_error(OSError(number, os.strerror(number), "/a", None, "/b"))
    assert error.code == "common.host_io"
    assert "/a" in error.message
    assert named in error.message
    assert error.hint


def test_error_at_a_temporary_file_names_its_folder():
    error = composer_error(PermissionError(errno.EACCES, os.strerror(errno.EACCES), f"/a/{TEMPORARY_PREFIX}1"))
    assert " /a:" in error.message
    assert TEMPORARY_PREFIX not in f"{error.message} {error.hint}"
