# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of renamed layers and templates: nothing is published again, and their VMs are still known."""

from __future__ import annotations

from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import run
from ansible_collections.strata.layering.tests.support.vcenter import machines


def publish(workspace, vcenter, name="desk", **options) -> dict:
    return run("layered_image_publish", **workspace.options, **vcenter, templates=[name], **options)


def rename_layers(workspace) -> None:
    names = {"app": ("Zoom", "Tool"), "os": ("Windows", "Windows 11")}
    for kind, (name, former) in names.items():
        run("layer_metadata", **workspace.options, kind=kind, name=name, rename_from={"name": former})


def content(version: str) -> dict:
    layers = {"os_layer": {"name": "Windows", "version": "1.0"}, "app_layers": [{"name": "Zoom", "version": version}]}
    return {"name": "desk", "connector": "desktops", **layers}


def test_image_of_renamed_layers_and_template_is_kept_updated_and_removed(workspace, vcenter, simulator):
    script = workspace.files("scripts", {"first.cmd": "echo 1\r\n"}) + "/first.cmd"
    add_app(workspace, script=script)
    add_template(workspace)
    first = publish(workspace, vcenter, "office")["tasks"][0]
    before = machines(simulator)
    rename_layers(workspace)
    run("image_template", **workspace.options, **content("1.0"), rename_from="office")
    for check in (True, False):
        again = publish(workspace, vcenter, check=check)
        assert again["changed"] is False
        assert again["tasks"][0]["image_digest"] == first["image_digest"]
    assert machines(simulator) == before
    plan = run("layered_image_plan", **workspace.options, **vcenter, templates=[content("1.0")])
    assert (plan["images"][0]["publish"], plan["images"][0]["changes"]) == (False, [])

    # The next image replaces the image that was published under the former name.
    app = {"name": "Zoom", "version": "1.1", "os_layer": {"name": "Windows"}}
    run("app_layer", **workspace.options, **app, files=workspace.files("next", {"Program Files/Tool/tool.txt": "2"}))
    run("image_template", **workspace.options, **content("1.1"))
    second = publish(workspace, vcenter, keep=0)["tasks"][0]
    assert second["vm"]["name"].startswith("office-")
    assert [name for name in machines(simulator) if name.startswith("office-")] == [second["vm"]["name"]]
    removed = publish(workspace, vcenter, state="absent")
    assert [vm["name"] for vm in removed["removed"]] == [second["vm"]["name"]]
    assert run("layered_image_info", **workspace.options)["images"] == []


def test_unfinished_vm_of_a_renamed_template_is_removed(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace, publish_mode="manual")
    simulator.guest(mode="hang")
    publish(workspace, vcenter, "office")
    publish(workspace, vcenter, "office", state="canceled")
    run("image_template", **workspace.options, name="desk", rename_from="office", **_same())
    assert publish(workspace, vcenter)["tasks"][0]["status"] == "ActionRequired"
    assert publish(workspace, vcenter, state="absent")["changed"]
    assert not [name for name in machines(simulator) if name.startswith("office-")]


def _same() -> dict:
    layers = {"os_layer": {"name": "Windows 11", "version": "1.0"}, "app_layers": [{"name": "Tool", "version": "1.0"}]}
    return {"connector": "desktops", "publish_mode": "manual", **layers}
