# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A noise profile is stored with an OS layer version, and captures for this version leave out what it lists."""

from __future__ import annotations

import os

from ansible_collections.strata.layering.tests.support.module_disks import install_app, packaged_disk
from ansible_collections.strata.layering.tests.support.modules import converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.volume_changes import edit_hive, put

NOISE = "ProgramData/Microsoft/Noise/state.dat"
OS = {"os_layer": {"name": "Windows 11", "version": "1.0"}}


def noise(number: int):
    """Return what Windows does by itself in a start."""

    def change(volume):
        put(volume, NOISE, bytes((number, 0)) * 900)
        edit_hive(
            volume,
            "Windows/System32/config/SOFTWARE",
            lambda root: root.create("Microsoft\\Noise").set_value("Stamp", 3, bytes((number,)) * 8),
        )

    return change


def disk_of(workspace, name: str, *works) -> str:
    """Write the disk of a packaging machine after ``works``."""

    def work(volume):
        for change in works:
            change(volume)

    path = packaged_disk(workspace, work=work)
    target = os.fspath(workspace.tmp_path / f"{name}.raw")
    os.rename(path, target)
    return target


def set_profile(workspace, **option) -> dict:
    return dict(workspace.options, name="Windows 11", version="1.0", noise_profile=option)


def test_noise_profile_is_stored_used_and_removed(workspace):
    untouched = disk_of(workspace, "untouched", noise(1))
    options = set_profile(workspace, packaged_disk=untouched)
    before = run("layer_info", **workspace.options, name="Windows 11")["layers"][0]["versions"][0]
    done = converges("os_layer", lambda: state_of(workspace.path), **options)
    assert done["noise_profile"]["changes"]["paths"] == 2
    assert done["layer"]["digest"] == before["digest"]
    shown = run("layer_info", **workspace.options, name="Windows 11")["layers"][0]["versions"][0]
    assert shown["noise_profile"]["digest"] == done["noise_profile"]["digest"]
    assert {**shown, "noise_profile": None} == before
    os.unlink(untouched)
    assert run("os_layer", **options)["changed"] is False

    installed = disk_of(workspace, "installed", noise(2), install_app)
    capture = dict(workspace.options, name="App", packaged_disk=installed, **OS)
    used = run("app_layer", version="1", **capture)
    assert used["noise_profile"] == done["noise_profile"]["digest"]
    assert used["changes"]["files"] == 1
    assert used["hazards"] == []
    assert NOISE in str([entry for entry in used["left_out"] if entry["reason"] == "noise_profile"])
    ignored = run("app_layer", version="2", noise_profile="ignore", **capture)
    assert ignored["noise_profile"] is None
    assert ignored["changes"]["files"] == 2

    started = disk_of(workspace, "started", noise(3))
    empty = fails("app_layer", "operations.layer_empty", **capture | {"version": "3", "packaged_disk": started})
    assert {entry["reason"] for entry in empty["details"]["left_out"]} == {"noise_profile"}
    assert "noise_profile" in empty["hint"]

    removed = converges("os_layer", lambda: state_of(workspace.path), **set_profile(workspace, state="absent"))
    assert removed["noise_profile"] is None
    error = fails("os_layer", "operations.noise_no_disk", **set_profile(workspace, state="present"))
    assert "packaged_disk" in error["msg"]
    missing = os.fspath(workspace.tmp_path / "missing.ovf")
    fails("os_layer", "operations.packaged_missing", **set_profile(workspace, packaged_disk=missing))


def test_noise_profile_of_a_different_disk_replaces_the_profile(workspace):
    def install(volume):
        edit_hive(
            volume,
            "Windows/System32/config/SOFTWARE",
            lambda root: root.create("Microsoft\\Windows\\CurrentVersion\\Uninstall\\Tool").set_value(
                "DisplayName", 1, "Tool 2.1\0".encode("utf-16-le")
            ),
        )

    first = run("os_layer", **set_profile(workspace, packaged_disk=disk_of(workspace, "first", noise(1))))
    assert first["changed"]
    assert "Tool" not in str(first.get("warnings"))
    options = set_profile(workspace, packaged_disk=disk_of(workspace, "second", noise(2), install))
    second = run("os_layer", **options)
    assert second["changed"]
    assert second["noise_profile"]["digest"] != first["noise_profile"]["digest"]
    assert "Tool 2.1" in str(second["warnings"])
    assert run("os_layer", **options)["changed"] is False
