# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning a tree: order, names, links, times, security."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.sample import acl, sddl
from ansible_collections.strata.layering.tests.sample.plan import DIRECTORY, REPARSE
from ansible_collections.strata.layering.tests.sample.tree import Tree, junction, symlink


def test_folders_come_before_their_content_and_first_names_before_links():
    tree = Tree()
    tree.file("Windows/WinSxS/component/a.dll", b"a")
    tree.link("Windows/System32/a.dll", "windows/winsxs/COMPONENT/A.DLL")
    items = tree.finish()
    paths = [item.path for item in items]
    component = "Windows/WinSxS/component"
    assert paths == [
        "",
        "Windows",
        "Windows/System32",
        "Windows/WinSxS",
        component,
        component + "/a.dll",
        "Windows/System32/a.dll",
    ]
    assert items[-1].link_target == "Windows/WinSxS/component/a.dll"


def test_names_are_unique_regardless_of_case_and_keep_their_first_spelling():
    tree = Tree()
    tree.directory("Windows/System32")
    assert tree.file("WINDOWS/system32/New.dll", b"").path == "Windows/System32/New.dll"
    with pytest.raises(ValueError, match="planned twice"):
        tree.file("windows/SYSTEM32/NEW.DLL", b"")


def test_security_is_inherited_from_the_nearest_folder_with_a_descriptor():
    tree = Tree()
    tree.file("Program Files/App/app.exe", b"")
    found = {item.path: item.security for item in tree.finish()}
    assert found["Program Files"] == acl.own("Program Files")
    assert found["Program Files/App"] == sddl.inherit(found["Program Files"], True)
    assert found["Program Files/App/app.exe"] == sddl.inherit(found["Program Files/App"], False)
    assert sddl.parts(found["Program Files"])[0] == sddl.sid_bytes(sddl.TRUSTED_INSTALLER)


def test_times_are_unique_and_reproducible():
    def times():
        tree = Tree()
        for number in range(50):
            tree.file(f"{number}.txt", b"")
        return [(item.created, item.written, item.accessed, item.changed) for item in tree.finish()]

    assert times() == times()
    assert len(set(times())) == 51
    assert len({created % 10_000_000 for created, *_others in times()}) > 45


def test_short_name_avoids_planned_names():
    tree = Tree()
    tree.directory("PROGRA~1")
    tree.directory("Program Files")
    assert {item.path: item.short_name for item in tree.finish()}["Program Files"] == "PROGRA~2"


def test_reparse_points_are_planned():
    tree = Tree()
    item = tree.reparse_directory("Documents and Settings", junction("C:\\Users"))
    assert item.attributes == DIRECTORY | REPARSE
    assert item.reparse == bytes.fromhex(
        "030000a0 3400 0000 0000 1800 1a00 1000".replace(" ", "")
    ) + "\\??\\C:\\Users\0C:\\Users\0".encode("utf-16-le")
    assert (
        symlink("..\\x", relative=True)[:20]
        == bytes.fromhex("0c0000a0 1c00 0000 0000 0800 0800 0800 01000000".replace(" ", ""))[:20]
    )
