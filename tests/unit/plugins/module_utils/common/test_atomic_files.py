# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that appear whole or not at all."""

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


def rights(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("options", "meanwhile", "afterwards"),
    [({}, 0o600, 0o644), ({"mode": 0o400}, 0o600, 0o400), ({"mode": None}, 0o640, 0o640)],
)
@pytest.mark.usefixtures("umask")
def test_appears_whole_with_its_rights(tmp_path, options, meanwhile, afterwards):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with atomic_file(os.fspath(path), **options) as stream:
        stream.write(b"half")
        [temporary] = [one for one in tmp_path.iterdir() if one != path]
        assert temporary.name.startswith(TEMPORARY_PREFIX) and rights(temporary) == meanwhile
        assert path.read_bytes() == b"before"
        stream.write(b" and half")
        stream.seek(0)
        assert stream.read() == b"half and half"
    assert os.listdir(tmp_path) == ["file"] and path.read_bytes() == b"half and half" and rights(path) == afterwards


def test_a_temporary_name_of_the_caller_takes_over_what_was_left_there(tmp_path):
    (tmp_path / "mine").write_bytes(b"left by a killed process")
    with atomic_file(os.fspath(tmp_path / "file"), None, temporary="mine") as stream:
        assert os.listdir(tmp_path) == ["mine"]
        stream.write(b"new")
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_bytes() == b"new"


def test_vanishes_when_the_block_raises(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt), atomic_file(os.fspath(path)) as stream:
        stream.write(b"half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["file"] and path.read_bytes() == b"before"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_full_disk_says_so_and_leaves_nothing(tmp_path, monkeypatch, number, call):
    def full(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(NoSpace, match=f"No space is left for file in {tmp_path}") as caught:
        atomic_write(os.fspath(tmp_path / "file"), b"data")
    assert caught.value.code == "common.files_no_space" and os.listdir(tmp_path) == []


def test_other_errors_pass_through(tmp_path):
    with pytest.raises(FileNotFoundError):
        atomic_write(os.fspath(tmp_path / "none" / "file"), b"data")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        atomic_write(os.fspath(tmp_path / "folder"), b"data")
    assert os.listdir(tmp_path) == ["folder"]
