# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of files as layers."""

from __future__ import annotations

import errno
import os
import socket
from unittest import mock

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.composer_paths import current_user, path_hint
from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput, NotFound
from ansible_collections.strata.layering.plugins.module_utils.layers import entry as model
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.layers.folder import (
    entries_from_folder,
    source_fingerprint,
)
from ansible_collections.strata.layering.plugins.module_utils.layers.reparse import decode_link
from ansible_collections.strata.layering.tests.support.expectations import raises

UNIX = 1600000000_123456789
FILETIME = 116444736000000000 + 16000000001234567


def make(root, files):
    """Create files, links ("-> target") and folders (name ends in "/"), with one time."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        elif isinstance(content, str):
            path.symlink_to(content)
        else:
            path.write_bytes(content)
    for folder, folders, names in os.walk(root, topdown=False):
        for name in folders + names:
            os.utime(os.path.join(folder, name), ns=(UNIX, UNIX), follow_symlinks=False)


def paths(found):
    return [(entry.kind, entry.path) for entry, _opener in found]


def problems(folder, **options):
    with pytest.raises(InvalidInput) as caught:
        entries_from_folder(str(folder), **options)
    return caught.value


def test_entries_are_in_order(tmp_path):
    make(tmp_path, {"Windows/b.dll": b"b", "Windows/A.dll": b"a", "empty/": None, "z": b"", "Windows/System32/x": b"x"})
    found = entries_from_folder(
        str(tmp_path), delete=["C:\\Windows\\old.dll", "/windows/System32/Gone/deep", "Program Files\\Old", "z"]
    )
    assert paths(found) == [
        ("whiteout", "z"),
        ("directory", "empty"),
        ("whiteout", "Program Files/Old"),
        ("directory", "Windows"),
        ("whiteout", "Windows/old.dll"),
        ("file", "Windows/A.dll"),
        ("file", "Windows/b.dll"),
        ("directory", "Windows/System32"),
        ("whiteout", "Windows/System32/Gone/deep"),
        ("file", "Windows/System32/x"),
        ("file", "z"),
    ]
    by_path = {entry.path: (entry, opener) for entry, opener in found if entry.kind != "whiteout"}
    assert by_path["Windows/b.dll"][0] == Entry(
        "Windows/b.dll", "file", 0x20, FILETIME, FILETIME, FILETIME, FILETIME, size=1
    )
    with by_path["Windows/b.dll"][1]("") as stream:
        assert stream.read() == b"b"
    assert by_path["Windows"][0] == Entry(
        "Windows", "directory", 0x10, FILETIME, FILETIME, FILETIME, FILETIME, implied=True
    )


def test_directory_has_newest_time_of_its_content(tmp_path):
    make(tmp_path, {"d/e/old": b"", "d/new": b""})
    os.utime(tmp_path / "d/new", ns=(UNIX, UNIX + 10**9))
    os.utime(tmp_path / "d", ns=(1, UNIX * 2))
    times = {entry.path: entry.written - FILETIME for entry, _opener in entries_from_folder(str(tmp_path))}
    assert times == {"d": 10**7, "d/e": 0, "d/e/old": 0, "d/new": 10**7}
    assert {entry.written for entry, _opener in entries_from_folder(str(tmp_path), time=7)} == {7}


def test_hard_links_are_kept(tmp_path):
    make(tmp_path, {"b/file": b"x"})
    os.link(tmp_path / "b/file", tmp_path / "b/other")
    os.link(tmp_path / "b/file", tmp_path / "A")
    found = entries_from_folder(str(tmp_path))
    assert [(entry.kind, entry.path, entry.link_target) for entry, _opener in found if entry.kind != "directory"] == [
        ("file", "A", None),
        ("link", "b/file", "A"),
        ("link", "b/other", "A"),
    ]


def test_symbolic_links_are_converted(tmp_path):
    make(
        tmp_path,
        {
            "d/file": b"x",
            "to_file": "d/./file",
            "to_dir": "d",
            "d/up": "../to_file",
            "d/dangling": "nothing",
            "self": ".",
        },
    )
    found = {entry.path: entry for entry, _opener in entries_from_folder(str(tmp_path))}
    links = {path: (entry.kind, decode_link(entry.reparse)[0]) for path, entry in found.items() if entry.reparse}
    assert links == {
        "to_file": ("file", "d\\file"),
        "to_dir": ("directory", "d"),
        "d/up": ("file", "..\\to_file"),
        "d/dangling": ("file", "nothing"),
        "self": ("directory", "."),
    }
    assert all(
        decode_link(entry.reparse)[1] is False and entry.attributes & 0x400 for entry in found.values() if entry.reparse
    )


def test_sparse_file_keeps_holes(tmp_path):
    with open(tmp_path / "s", "wb") as stream:
        stream.truncate(10 << 20)
        stream.seek((4 << 20) + 100)
        stream.write(b"x" * 10)
    if os.stat(tmp_path / "s").st_blocks * 512 > 5 << 20:
        pytest.skip("this file system has no holes")
    ((entry, opener),) = entries_from_folder(str(tmp_path))
    assert entry.sparse == [(4 << 20, 65536)]
    assert entry.attributes == 0x220
    assert entry.size == 10 << 20


def test_all_problems_are_listed_at_once(tmp_path):
    names = ["con", "Aux.txt", "com\u00b9", "a?b", "x:y", "dot.", "space ", "tab\t", "n" * 250, "\u00e9" * 100]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with open(os.fsencode(tmp_path) + b"/\xff", "wb"):
        pass
    os.mkfifo(tmp_path / "fifo")
    make(
        tmp_path,
        {
            "sub/File": b"",
            "sub/file": b"",
            "sub/\u00c4": b"",
            "sub/\u00e4": b"",
            "abs": "/etc/passwd",
            "out": "../x",
            "sub/out": "a/../../../x",
            "bad": "a:b",
        },
    )
    error = problems(tmp_path)
    listed = error.details["problems"]
    assert len(listed) == 8 + 1 + 1 + 2 + 4
    text = "; ".join(listed)
    for expected in (
        "con is a name that Windows reserves",
        "Aux.txt is a name",
        "com\u00b9 is a name",
        "a?b has '?' in",
        "x:y has ':' in",
        "dot. ends in",
        "space  ends in",
        "tab\\u0009 has '\\u0009' in",
        "is not UTF-8 (its bytes are \\xff; as Windows-1252 it would be \u00ff)",
        "fifo is neither",
        "sub/file differs only in case from sub/File",
        "sub/\u00e4 differs only in case from sub/\u00c4",
        "abs is an absolute",
        "out is a symbolic link that leads outside",
        "sub/out is a symbolic link that leads outside",
        "bad is a symbolic link to a name",
    ):
        assert expected in text


def test_all_characters_that_windows_does_not_allow_are_named(tmp_path):
    (tmp_path / "a:b?c*d:").write_bytes(b"")
    (problem,) = problems(tmp_path).details["problems"]
    assert all(f"'{character}'" in problem for character in ":?*")
    assert problem.count("':'") == 1


def test_name_that_is_not_utf8_names_the_tool_that_converts_it(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xfcber.txt", "wb"):
        pass
    error = problems(tmp_path)
    assert "\\xfcber.txt" in error.message and "\u00fcber.txt" in error.message
    assert "convmv" in error.hint


def test_unreadable_folder_and_file_name_the_user(tmp_path, monkeypatch):
    make(tmp_path, {"a": b""})
    found = entries_from_folder(str(tmp_path))
    denied = PermissionError(errno.EACCES, "Permission denied")
    monkeypatch.setattr(os, "open", mock.Mock(side_effect=denied))
    with raises(InvalidInput, "layers.folder") as caught:
        found[0][1]("")
    assert current_user() in caught.value.hint
    monkeypatch.setattr(os, "scandir", mock.Mock(side_effect=denied))
    assert current_user() in problems(tmp_path).hint


@pytest.mark.parametrize(
    "path", ["C:\\packages\\tool", "\\\\server\\share\\tool", "//server/share/tool", "relative/tool"]
)
def test_path_of_another_form_is_explained(path):
    with raises(NotFound, "layers.folder_missing") as caught:
        entries_from_folder(path)
    assert caught.value.hint.startswith(path_hint(path, "files"))
    assert path_hint(path, "files")


def test_socket_is_refused(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        previous = os.getcwd()
        os.chdir(tmp_path)
        try:
            listener.bind("socket")
        finally:
            os.chdir(previous)
        listed = problems(tmp_path).details["problems"]
        assert len(listed) == 1
        assert listed[0].startswith("socket ")


def test_too_long_path_is_refused(tmp_path):
    deep = str(tmp_path)
    previous = os.getcwd()
    try:
        os.chdir(deep)
        for _number in range(170):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.chdir(previous)
    assert problems(tmp_path).code == "layers.folder"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "C:\\",
        "C:",
        "..\\x",
        "a\\..\\b",
        "a\\\\b",
        "D:\\x",
        "\\\\server\\share",
        "a*",
        "a?",
        "con",
        "x.",
        "a:b",
        "a\0",
    ],
)
def test_invalid_deletion_is_refused(tmp_path, path):
    error = problems(tmp_path, delete=[path, "fine"])
    assert error.details["problems"]
    assert "option delete" in error.hint


def test_deletions_are_normalized(tmp_path):
    found = entries_from_folder(
        str(tmp_path), delete=["c:/Windows/X", "\\windows\\x\\", "WINDOWS/x/below", "b", "b/c", "a/b/c", "a/b"]
    )
    assert paths(found) == [("whiteout", "b"), ("whiteout", "a/b"), ("whiteout", "Windows/X")]


def test_deletion_below_file_is_refused(tmp_path):
    make(tmp_path, {"a": b""})
    error = problems(tmp_path, delete=["a/b"])
    assert error.code == "layers.folder"
    assert [problem.split()[0] for problem in error.details["problems"]] == ["a/b"]


def test_deletions_without_folder():
    assert paths(entries_from_folder(None, delete=["Windows\\old.dll", "z"])) == [
        ("whiteout", "z"),
        ("whiteout", "Windows/old.dll"),
    ]
    with raises(InvalidInput, "layers.folder"):
        entries_from_folder(None, delete=["a:b:c"])


def test_deleted_and_provided_directory_is_replaced(tmp_path):
    make(tmp_path, {"App/new": b""})
    assert paths(entries_from_folder(str(tmp_path), delete=["app"])) == [
        ("whiteout", "app"),
        ("directory", "App"),
        ("file", "App/new"),
    ]


def test_missing_folder_is_not_found(tmp_path):
    with raises(NotFound, "layers.folder_missing"):
        entries_from_folder(str(tmp_path / "none"))


def test_changed_file_is_refused(tmp_path):
    make(tmp_path, {"a": b"1", "b": b"1"})
    found = entries_from_folder(str(tmp_path))
    (tmp_path / "a").write_bytes(b"22")
    with raises(InvalidInput, "layers.changed"):
        found[0][1]("")
    (tmp_path / "b").unlink()
    (tmp_path / "b").symlink_to("a")
    with raises(InvalidInput, "layers.folder"):
        found[1][1]("")


def test_fingerprint_changes_with_content(tmp_path):
    make(tmp_path, {"d/a": b"1"})

    def now(**options):
        return source_fingerprint(entries_from_folder(str(tmp_path), **options))

    first = now()
    assert first == now()
    assert first.startswith("sha256:")
    assert now(delete=["x"]) != first
    assert now(time=5) != first
    (tmp_path / "d/a").write_bytes(b"2")
    assert now() != first
    os.utime(tmp_path / "d/a", ns=(UNIX, UNIX))
    changed = now()
    assert changed != first
    (tmp_path / "d/a").write_bytes(b"1")
    os.utime(tmp_path / "d/a", ns=(UNIX, UNIX))
    assert now() == first
    (tmp_path / "d/temporary").write_bytes(b"")
    (tmp_path / "d/temporary").unlink()
    assert now() == first


def test_entries_have_known_kinds(tmp_path):
    make(tmp_path, {"a": b""})
    assert {entry.kind for entry, _opener in entries_from_folder(str(tmp_path), delete=["x"])} <= set(model.KINDS)
