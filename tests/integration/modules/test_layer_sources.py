# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of layers: what a version may contain and delete, and when the same content is the same version."""

from __future__ import annotations

import os
import pathlib
import shutil

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import scripts
from ansible_collections.strata.layering.plugins.module_utils.catalog.script_text import ScriptText
from ansible_collections.strata.layering.tests.support.module_options import OS_LAYER
from ansible_collections.strata.layering.tests.support.modules import fails, run, state_of

OS = {"os_layer": {"name": "Windows 11"}}
REG = 'Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Tool]\r\n"a"="b"\r\n'


def tool(workspace, **options) -> dict:
    """Return the options of an app layer version."""
    return {**workspace.options, "name": "Tool", "version": "1", **OS, **options}


def with_times(folder: str, seconds: int) -> str:
    """Give everything in a folder one time; return the folder."""
    for path in [pathlib.Path(folder), *pathlib.Path(folder).rglob("*")]:
        os.utime(path, (seconds, seconds))
    return folder


# --- paths that damage an image --------------------------------------------------------------


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("module", ["app_layer", "platform_layer"])
def test_hive_in_files_is_refused(workspace, module, check):
    files = workspace.files("v", {"windows/system32/config/SYSTEM": "x\n", "Program Files/V/v.txt": "v"})
    script = os.path.join(workspace.files("s", {"a.cmd": "rem\r\n"}), "a.cmd")
    before = state_of(workspace.path)
    result = fails(
        module, "operations.layer_protected_path", check=check, **tool(workspace, files=files, script=script)
    )
    assert result["details"]["paths"] == ["windows/system32/config/SYSTEM"]
    assert "Tool 1" in result["msg"] and "registry" in result["msg"]
    assert state_of(workspace.path) == before


@pytest.mark.parametrize(
    ("delete", "code"),
    [
        ("Windows\\System32\\config\\SYSTEM", "operations.layer_protected_path"),
        ("Windows", "operations.layer_protected_path"),
        ("C:\\windows\\system32\\Drivers\\NTFS.sys", "operations.layer_protected_path"),
        ("Users\\Default", "operations.layer_protected_path"),
        ("%windir%\\x", "operations.layer_delete"),
        ("HKLM\\SOFTWARE\\Tool", "operations.layer_delete"),
        ("PROGRA~1\\Tool", "operations.layer_delete"),
        ("Windows\\*.dll", "layers.folder"),
        ("D:\\x", "layers.folder"),
    ],
)
def test_deletion_that_cannot_be_meant_is_refused(workspace, delete, code):
    before = state_of(workspace.path)
    fails("app_layer", code, **tool(workspace, delete=[delete]))
    assert state_of(workspace.path) == before


def test_several_protected_paths_are_named_at_once(workspace):
    files = workspace.files("v", {"pagefile.sys": "x", "bootmgr": "x", "$MFT": "x", "Windows/notepad.exe": "x"})
    result = fails("app_layer", "operations.layer_protected_path", **tool(workspace, files=files))
    assert sorted(result["details"]["paths"]) == ["$MFT", "bootmgr", "pagefile.sys"]


# --- folders that look misplaced -------------------------------------------------------------


def test_empty_folder_is_refused(workspace, tmp_path):
    (tmp_path / "share").mkdir()
    before = state_of(workspace.path)
    empty = os.fspath(tmp_path / "share")
    fails("app_layer", "operations.layer_empty_folder", **tool(workspace, files=empty, delete=["x"]))
    assert state_of(workspace.path) == before
    (tmp_path / "share/ProgramData/Tool").mkdir(parents=True)
    assert run("app_layer", **tool(workspace, files=empty))["changes"]["directories"] == 2
    shutil.rmtree(tmp_path / "share/ProgramData")
    fails("app_layer", "operations.layer_empty_folder", **tool(workspace, files=empty))


@pytest.mark.parametrize(
    ("tree", "warned"),
    [
        ({"C/Program Files/x.txt": "x"}, ["C"]),
        ({"c$/x.txt": "x", "Windows/x.txt": "x"}, ["c$"]),
        ({"Program files(x86)/x.txt": "x"}, ["Program files(x86)"]),
        ({"tool-2.1/Program Files/x.txt": "x"}, ["tool-2.1"]),
        ({".git/HEAD": "x", "Program Files/x.txt": "x"}, [".git"]),
        ({"program files/x.txt": "x", "WINDOWS/x.txt": "x", "Oracle/x.txt": "x"}, []),
        ({"Tool/data/x.txt": "x"}, []),
    ],
)
def test_misplaced_folder_is_reported(workspace, tree, warned):
    options = tool(workspace, files=workspace.files("v", tree))
    for check in (True, False):
        warnings = run("app_layer", check=check, **options).get("warnings", [])
        assert len(warnings) == len(warned)
        for name, warning in zip(warned, warnings):
            assert f" {name}" in str(warning) and "app layer Tool 1" in str(warning)
    assert not run("app_layer", **options).get("warnings")


def test_version_that_changes_nothing_is_reported(workspace):
    registry = [os.path.join(workspace.files("r", {"t.reg": REG.partition("[")[0]}), "t.reg")]
    for check in (True, False):
        assert "changes nothing" in str(run("app_layer", check=check, **tool(workspace, registry=registry))["warnings"])
    assert not run("app_layer", **tool(workspace, registry=registry)).get("warnings")


def test_options_without_effect_on_an_existing_version_are_reported(workspace):
    files = workspace.files("v", {"Program Files/Tool/t.txt": "hello"})
    for name in ("Base", "Runtime"):
        run("app_layer", **tool(workspace, name=name, files=files))
    options = tool(workspace, files=files, prerequisites=[{"name": "Base", "version": "1"}])
    assert not run("app_layer", **options).get("warnings")
    assert not run("app_layer", **options).get("warnings")
    other = run("app_layer", **{**options, "prerequisites": [{"name": "Runtime", "version": "1"}]})
    assert not other["changed"]
    assert "Base 1" in str(other["warnings"]) and "Runtime 1" in str(other["warnings"])
    # The newest version at the time when the layer was built is no other version.
    latest = {
        "prerequisites": [{"name": "Base", "version": "latest"}],
        "os_layer": {"name": "Windows 11", "version": "latest"},
    }
    run("app_layer", **tool(workspace, name="Base", version="2", files=files))
    again = run("app_layer", **options | latest)
    assert not again["changed"] and not again.get("warnings")


def test_confirmation_for_a_missing_version_of_the_os_layer_is_reported(workspace):
    options = tool(workspace, files=workspace.files("v", {"Program Files/Tool/t.txt": "hello"}))
    for check in (True, False):
        result = run("platform_layer", check=check, **options, confirmed_for=["1.O"])
        assert "'1.O'" in str(result["warnings"]) and "1.0" in str(result["warnings"])
    assert not run("platform_layer", **options, confirmed_for=["1.0"]).get("warnings")
    # The version may have been deleted since it was confirmed.
    assert run("platform_layer", **options, confirmed_for=["0.9"])["warnings"]
    assert not run("platform_layer", **options, confirmed_for=["0.9"]).get("warnings")


# --- times -----------------------------------------------------------------------------------


def test_clones_of_a_repository_are_the_same_source(workspace):
    tree = {"Program Files/Tool/t.txt": "hello", "t.reg": REG}
    digests = []
    for number, name in enumerate(("one", "two")):
        clone = with_times(workspace.files(name, tree), 1_700_000_000 + number)
        os.rename(f"{clone}/t.reg", f"{clone}.reg")
        options = tool(workspace, files=clone, registry=[f"{clone}.reg"])
        assert run("app_layer", **options)["changed"] is (number == 0)
        other = run("app_layer", **(options | {"version": name}))
        digests.append(other["layer"]["content_digest"])
    assert digests[0] == digests[1]
    pathlib.Path(f"{clone}/Program Files/Tool/t.txt").write_text("other")
    pathlib.Path(f"{clone}/new.txt").write_text("new")
    result = fails("app_layer", "operations.layer_other_source", **options)
    assert "Program Files/Tool/t.txt, new.txt" in result["msg"]


def test_kept_times_are_part_of_the_version(workspace):
    files = with_times(workspace.files("v", {"Program Files/Tool/t.txt": "hello"}), 1_700_000_000)
    options = tool(workspace, files=files, file_times="keep")
    assert run("app_layer", **options)["changed"]
    assert not run("app_layer", **options)["changed"]
    with_times(files, 1_700_000_001)
    assert "file_times" in fails("app_layer", "operations.layer_other_source", **options)["msg"]


def test_version_that_was_stored_with_times_is_compared_by_content(workspace):
    # Releases before the option file_times stored the times of the folder.
    tree = {"Program Files/Tool/t.txt": "hello", "t.reg": REG}
    clone = with_times(workspace.files("one", tree), 1_700_000_000)
    os.rename(f"{clone}/t.reg", f"{clone}.reg")
    options = tool(workspace, files=clone, registry=[f"{clone}.reg"], delete=["Program Files\\Old"])
    assert run("app_layer", **options, file_times="keep")["changed"]
    before = state_of(workspace.path)
    for seconds in (1_700_000_000, 1_800_000_000):
        with_times(clone, seconds)
        os.utime(f"{clone}.reg", (seconds, seconds))
        for check in (True, False):
            assert not run("app_layer", check=check, **options)["changed"]
    assert state_of(workspace.path) == before
    pathlib.Path(f"{clone}.reg").write_bytes(REG.replace("b", "c").encode())
    result = fails("app_layer", "operations.layer_other_source", **{**options, "delete": []})
    assert "the deletion of Program Files/Old and registry settings" in result["msg"]


# --- scripts ---------------------------------------------------------------------------------


def test_script_with_other_encoding_is_stored_as_windows_reads_it(workspace):
    files = workspace.files("v", {"Program Files/Tool/t.txt": "hello"})
    folder = workspace.files(
        "s", {"lf.cmd": "rem 1\ngoto :a\n:a\n", "oem.cmd": "rem \u00fc\r\n", "u.ps1": "# \u00fc\n"}
    )
    for number, (name, size, warned) in enumerate((("lf.cmd", 20, 0), ("oem.cmd", 8, 1), ("u.ps1", 8, 0))):
        options = tool(workspace, version=str(number), files=files, script=f"{folder}/{name}")
        for check in (True, False):
            result = run("app_layer", check=check, **options)
            assert result["layer"]["script"]["size"] == size
            assert len(result.get("warnings", [])) == warned
        again = run("app_layer", **options)
        assert not again["changed"] and not again.get("warnings")


def test_script_that_cmd_cannot_read_is_refused(workspace, exported):
    files = workspace.files("v", {"Program Files/Tool/t.txt": "hello"})
    script = os.path.join(workspace.files("s", {"a.cmd": "echo hi\r\n".encode("utf-16")}), "a.cmd")
    before = state_of(workspace.path)
    for check in (True, False):
        fails("app_layer", "catalog.script_encoding", check=check, **tool(workspace, files=files, script=script))
    template = {"name": "office", "os_layer": {"name": "Windows 11", "version": "1.0"}, "connector": "desktops"}
    fails("image_template", "catalog.script_encoding", **workspace.options, **template, script=script)
    package = {"file_share": os.fspath(exported), "ovf_package": "gold/gold-w11.ovf"}
    image = {**OS_LAYER, **package, "version": "2"}
    fails("os_layer", "catalog.script_encoding", **workspace.options, **image, script=script)
    assert state_of(workspace.path) == before


def test_script_that_an_earlier_release_stored_unchanged_is_kept(workspace, monkeypatch):
    files = workspace.files("v", {"Program Files/Tool/t.txt": "hello"})
    folder = workspace.files("s", {"a.cmd": "goto :a\n:a\n", "b.cmd": "rem\r\n".encode("utf-16")})
    template = {"name": "office", "os_layer": {"name": "Windows 11", "version": "1.0"}, "connector": "desktops"}
    for name in ("a.cmd", "b.cmd"):
        script = f"{folder}/{name}"
        layer = tool(workspace, version=name, files=files, script=script)
        with monkeypatch.context() as patched:
            patched.setattr(scripts, "prepare_script", lambda path, data: ScriptText(data))
            run("app_layer", **layer)
            digest = run("image_template", **workspace.options, **template, script=script)["template"]["image_digest"]
        assert not run("app_layer", **layer)["changed"]
        again = run("image_template", **workspace.options, **template, script=script)
        assert not again["changed"]
        assert again["template"]["image_digest"] == digest
