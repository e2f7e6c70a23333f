# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts: names and limits, the plan, and the scripts of an image's config."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.catalog import scripts
from ansible_collections.strata.layering.plugins.module_utils.catalog.scripts import PlacedScript
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.layers.file_index import load_index

DIGEST = "sha256:" + "ab" * 32
SCRIPT = {"label": "app layer A 1", "name": "a.cmd", "digest": DIGEST, "size": 5}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("setup.cmd", "setup.cmd"),
        ("Install Office (x64).BAT", "Install-Office-x64.bat"),
        ("..a.ps1", "a.ps1"),
        ("\u00e4\u00f6.cmd", "script.cmd"),
        ("a%b&c^d.cmd", "a-b-c-d.cmd"),
        ("n" * 90 + ".cmd", "n" * 56 + ".cmd"),
    ],
)
def test_script_name_has_no_shell_characters(tmp_path, name, expected):
    (tmp_path / name).write_bytes(b"rem")
    assert scripts.read_script(str(tmp_path / name)).name == expected


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.exe", b"x", "catalog.script_kind"),
        ("a", b"x", "catalog.script_kind"),
        ("a.cmd", b"", "catalog.script_size"),
        ("a.cmd", bytes(scripts.MAX_SCRIPT + 1), "catalog.script_size"),
        ("a.cmd", None, "catalog.script_unreadable"),
    ],
)
def test_invalid_script_is_refused(tmp_path, name, data, code):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidInput) as caught:
        scripts.read_script(str(tmp_path / name))
    assert caught.value.code == code


def test_missing_script_gives_none():
    assert scripts.read_script(None) is None
    assert scripts.describe(None) is None


@pytest.mark.parametrize(
    "change",
    [
        {"label": 5},
        {"label": "a|b"},
        {"label": "a\r\nb"},
        {"name": "../a.cmd"},
        {"name": "a.exe"},
        {"name": None},
        {"digest": "sha256:xy"},
        {"digest": None},
        {"size": -1},
        {"size": "5"},
        {"size": scripts.MAX_SCRIPT + 1},
        {"size": True},
    ],
)
def test_placed_script_with_invalid_field_is_corrupt(change):
    assert PlacedScript.from_dict(SCRIPT).to_dict() == SCRIPT
    with pytest.raises(Corrupt):
        PlacedScript.from_dict(SCRIPT | change)


def test_placed_script_that_is_not_an_object_is_corrupt():
    for value in (None, [], "x", {}):
        with pytest.raises(Corrupt):
            PlacedScript.from_dict(value)


@given(st.lists(st.text(max_size=200), max_size=12))
def test_plan_has_a_line_per_script_for_any_layer_name(names):
    placed = [PlacedScript(scripts.safe_label(f"app layer {name}"), "a.cmd", DIGEST, 5) for name in names]
    lines = scripts.plan_text(DIGEST, placed).decode("ascii").split("\r\n")
    assert lines[0] == "image=" + "ab" * 8
    assert lines[-1] == ""
    assert len(lines) == len(names) + 2
    for number, line in enumerate(lines[1:-1], 1):
        assert line.split("|")[::2] == [f"{number:02}", f"{number:02}-a.cmd"]
        assert not set('"%&<>^!') & set(line)


def test_index_of_scripts_matches_archive():
    records = load_index(io.BytesIO(scripts.pack_index(DIGEST, [PlacedScript.from_dict(SCRIPT)])), "scripts")
    found = {
        record.entry.path: (record.entry.kind, record.entry.size, record.digest)
        for record in records
        if record.entry.kind == "file"
    }
    plan = scripts.plan_text(DIGEST, [PlacedScript.from_dict(SCRIPT)])
    assert found[f"{scripts.FOLDER}/01-a.cmd"] == ("file", 5, bytes.fromhex("ab" * 32))
    assert found[f"{scripts.FOLDER}/plan.txt"][:2] == ("file", len(plan))
    assert [record.entry.kind for record in records if record.entry.path == scripts.FOLDER] == ["whiteout", "directory"]
    assert all(record.entry.security is None for record in records)
