# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are written completely or not at all."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.atomic_files import (
    TEMPORARY_PREFIX,
    atomic_file,
    atomic_write,
)
from ansible_collections.strata.layering.plugins.module_utils.common.errors import NoSpace


@pytest.fixture
def umask():
    before = os.umask(0o027)
    yield
    os.umask(before)


def permissions(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("options", "temporary_mode", "final_mode"),
    [({}, 0o600, 0o644), ({"mode": 0o400}, 0o600, 0o400), ({"mode": None}, 0o640, 0o640)],
)
@pytest.mark.usefixtures("umask")
def test_atomic_file_appears_at_the_end_with_its_mode(tmp_path, options, temporary_mode, final_mode):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with atomic_file(os.fspath(path), **options) as stream:
        stream.write(b"half")
        [temporary] = [entry for entry in tmp_path.iterdir() if entry != path]
        assert temporary.name.startswith(TEMPORARY_PREFIX)
        assert permissions(temporary) == temporary_mode
        assert path.read_bytes() == b"before"
        stream.write(b" and half")
        stream.seek(0)
        assert stream.read() == b"half and half"
    assert os.listdir(tmp_path) == ["file"]
    assert path.read_bytes() == b"half and half"
    assert permissions(path) == final_mode


def test_atomic_file_temporary_name_replaces_a_leftover_file(tmp_path):
    (tmp_path / "mine").write_bytes(b"left by a killed process")
    with atomic_file(os.fspath(tmp_path / "file"), None, temporary="mine") as stream:
        assert os.listdir(tmp_path) == ["mine"]
        stream.write(b"new")
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"new"


def test_atomic_file_block_raises_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt), atomic_file(os.fspath(path)) as stream:
        stream.write(b"half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["file"]
    assert path.read_bytes() == b"before"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_atomic_write_full_disk_raises_and_leaves_nothing(tmp_path, monkeypatch, number, call):
    def full(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(NoSpace) as caught:
        atomic_write(os.fspath(tmp_path / "file"), b"data")
    assert caught.value.code == "common.files_no_space"
    assert caught.value.details == {"path": os.fspath(tmp_path / "file")}
    assert os.listdir(tmp_path) == []


def test_atomic_write_other_error_is_not_changed(tmp_path):
    with pytest.raises(FileNotFoundError):
        atomic_write(os.fspath(tmp_path / "none" / "file"), b"data")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        atomic_write(os.fspath(tmp_path / "folder"), b"data")
    assert os.listdir(tmp_path) == ["folder"]
