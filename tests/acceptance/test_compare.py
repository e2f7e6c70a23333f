# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison finds and describes each difference that a test creates."""

from __future__ import annotations

import os
import shutil

import pytest

from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Key
from ansible_collections.strata.layering.tests.acceptance.compare import (
    FILE,
    KEY,
    VALUE,
    Allowed,
    Difference,
    compare_keys,
    compare_trees,
    split,
)


def _tree(path):
    for name, data in (("folder/file.txt", b"content"), ("folder/deep/other.bin", bytes(200_000)), ("empty", b"")):
        os.makedirs(os.path.dirname(path / name), exist_ok=True)
        (path / name).write_bytes(data)


def _registry():
    root = Key("")
    root.create("Software\\One").set_value("text", 1, "a\0".encode("utf-16-le"))
    root.create("Software\\One").set_value("", 4, b"\1\0\0\0")
    root.create("Software\\Two\\Below").class_name = "Class"
    return root


def _flip(folder):
    with open(folder / "folder/deep/other.bin", "r+b") as stream:
        stream.seek(150_000)
        stream.write(b"!")


@pytest.mark.parametrize(
    "change, path, description",
    [
        (lambda folder: (folder / "folder/file.txt").unlink(), "folder/file.txt", "missing"),
        (lambda folder: (folder / "new").write_bytes(b""), "new", "not expected"),
        (lambda folder: (folder / "folder/deep/new").mkdir(), "folder/deep/new", "not expected"),
        (lambda folder: (folder / "empty").write_bytes(b"x"), "empty", "1 bytes instead of 0"),
        (lambda folder: (folder / "empty").rename(folder / "Empty"), "empty", "spelled Empty"),
        (
            lambda folder: ((folder / "empty").unlink(), (folder / "empty").mkdir()),
            "empty",
            "a folder instead of a file",
        ),
        (_flip, "folder/deep/other.bin", "other content from byte 150000 on"),
    ],
)
def test_different_files_are_reported(tmp_path, change, path, description):
    for name in ("one", "two"):
        _tree(tmp_path / name)
    assert compare_trees(str(tmp_path / "one"), str(tmp_path / "two")) == []
    change(tmp_path / "two")
    assert compare_trees(str(tmp_path / "one"), str(tmp_path / "two")) == [Difference(FILE, path, description)]
    shutil.rmtree(tmp_path / "one")


def _rename(root):
    below = root.key("Software\\Two\\Below")
    root.delete("Software\\Two\\Below")
    below.name = "BELOW"
    root.key("Software\\Two").add(below)


def _respell(root):
    root.key("Software\\One").delete_value("text")
    root.key("Software\\One").set_value("TEXT", 1, "a\0".encode("utf-16-le"))


def _link(root):
    root.key("Software\\Two").flags |= cell_layout.KEY_SYM_LINK


@pytest.mark.parametrize(
    "change, expected",
    [
        (
            lambda root: root.key("Software\\One").delete_value(""),
            "value X\\Software\\One::(default): missing, expected REG_DWORD 1",
        ),
        (
            lambda root: root.key("Software\\One").set_value("n", 3, b"\1\2"),
            "value X\\Software\\One::n: not expected: REG_BINARY 01 02",
        ),
        (
            lambda root: root.key("Software\\One").set_value("text", 2, "a\0".encode("utf-16-le")),
            "value X\\Software\\One::text: REG_EXPAND_SZ 'a' instead of REG_SZ 'a'",
        ),
        (
            lambda root: root.key("Software\\One").set_value("text", 1, "b\0".encode("utf-16-le")),
            "value X\\Software\\One::text: REG_SZ 'b' instead of REG_SZ 'a'",
        ),
        (_respell, "value X\\Software\\One::text: REG_SZ 'a' (spelled TEXT) instead of REG_SZ 'a'"),
        (lambda root: root.delete("Software\\Two"), "key X\\Software\\Two: missing"),
        (lambda root: root.create("Software\\Three\\Four"), "key X\\Software\\Three: not expected"),
        (_rename, "key X\\Software\\Two\\Below: spelled BELOW"),
        (
            lambda root: setattr(root.key("Software\\Two\\Below"), "class_name", None),
            "key X\\Software\\Two\\Below: class None instead of 'Class'",
        ),
        (_link, "key X\\Software\\Two: a link"),
    ],
)
def test_different_registries_are_reported(change, expected):
    first, second = _registry(), _registry()
    assert compare_keys(first, second, "X") == []
    change(second)
    assert [str(difference) for difference in compare_keys(first, second, "X")] == [expected]


def test_different_permissions_are_reported():
    found = [
        Difference(FILE, "windows/a.msi", "missing"),
        Difference(FILE, "windows/x/a.msi", "missing"),
        Difference(VALUE, "HKLM\\A\\B::c", "other"),
    ]
    msi, below = Allowed(FILE, "Windows/*.msi", "why"), Allowed(KEY, "HKLM\\A", "why")
    assert split(found, [msi, below]) == (found[1:2], [])
    assert split(found[:1], [msi, below]) == ([], [below])
    assert split(
        found[1:2], [Allowed(FILE, "windows/**.msi", "why"), Allowed(VALUE, "HKLM\\**::c", "why", sometimes=True)]
    ) == ([], [])
    assert split([Difference(KEY, "HKLM\\AB", "missing")], [Allowed(KEY, "HKLM\\A", "why", sometimes=True)])[0] != []
