# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of the layers of an image, and the conflicts between them, through the modules."""

from __future__ import annotations

import dataclasses
import os

from ansible_collections.strata.layering.plugins.module_utils.catalog import layer_store
from ansible_collections.strata.layering.plugins.module_utils.catalog.templates import require_resolved
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.images.planning.plan import plan_template
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_builder import DeltaBuilder
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_format import write_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.tests.sample.tree import junction
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.module_disks import image_tree, packaged_disk, windows_partition
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import fails, run
from ansible_collections.strata.layering.tests.support.ntfs_tree import read_tree

APP = {"name": "App", "version": "1", "os_layer": {"name": "Windows 11", "version": "1.0"}}


def plan_of(workspace, *apps) -> dict:
    add_template(workspace, apps=apps)
    return run("layered_image_plan", **workspace.options, template="office")


def names(plan) -> list[str]:
    return [layer["name"] for layer in plan["layers"]]


def test_layer_is_above_its_prerequisites_unless_priority_differs(workspace):
    """App sorts before Base by name; its packaging VM had Base, of which it changes a file and removes a file."""
    add_app(workspace, "Base", tree={"Base/shared.txt": "base", "Base/old.txt": "old", "Base/kept.txt": "kept"})
    add_app(workspace, "Another", tree={"Base/kept.txt": "another"})

    def work(volume):
        with volume.find("Base") as folder:
            folder.child("old.txt").delete()
            with folder.child("shared.txt") as node:
                node.truncate(0)
                node.write(b"app")

    path = packaged_disk(workspace, prerequisites=[("Base", "1.0")], work=work)
    run("app_layer", **workspace.options, **APP, packaged_disk=path, prerequisites=[{"name": "Base", "version": "1.0"}])
    plan = plan_of(workspace, ("Base", "1.0"), ("App", "1"))
    assert names(plan) == ["Base", "App"]
    assert plan["conflicts"] == []
    tree = image_tree(workspace)
    assert tree["Base/shared.txt"].file.size == 3
    assert "Base/old.txt" not in tree
    assert "Base/kept.txt" in tree

    plan = plan_of(workspace, ("Base", "1.0"), ("App", "1"), ("Another", "1.0"))
    assert names(plan) == ["Another", "Base", "App"]
    assert [(item["path"], item["winner"], item["losers"]) for item in plan["conflicts"]] == [
        ("Base/kept.txt", "app layer Base 1.0", ["app layer Another 1.0"])
    ]

    run("app_layer", **workspace.options, name="Base", version="1.0", priority=600)
    plan = plan_of(workspace, ("Base", "1.0"), ("App", "1"))
    assert names(plan) == ["App", "Base"]
    assert {(item["path"], item["winner"]) for item in plan["conflicts"]} == {
        ("Base/shared.txt", "app layer Base 1.0"),
        ("Base/old.txt", "app layer Base 1.0"),
    }


def test_short_name_of_two_layers_is_reported(workspace):
    """Windows numbers 8.3 names separately on each computer, so that two installers get the same name."""
    for name in ("Reader", "Writer"):

        def work(volume, name=name):
            with (
                volume.find("Program Files") as folder,
                folder.create_directory(f"Strata {name}", short_name="STRATA~1") as made,
            ):
                made.create_file("program.exe", b"MZ" * 10).close()

        run(
            "app_layer",
            **workspace.options,
            name=name,
            version="1.0",
            os_layer=APP["os_layer"],
            packaged_disk=packaged_disk(workspace, work=work),
        )
    plan = plan_of(workspace, ("Reader", "1.0"), ("Writer", "1.0"))
    assert plan["conflicts"] == []
    assert plan["counts"]["short_names"] == 1
    assert plan["short_names"] == [
        {
            "path": "Program Files/Strata Writer",
            "short_name": "STRATA~1",
            "layer": "app layer Writer 1.0",
            "holder": "Strata Reader",
        },
    ]
    for name in ("STRATA~1", "Program Files/Strata Writer", "Strata Reader"):
        assert name in str(plan["warnings"])
    path = os.fspath(workspace.tmp_path / "desk.raw")
    done = run("layered_image_export", **workspace.options, template="office", path=path, format="raw")
    for name in ("STRATA~1", "Program Files/Strata Writer", "Strata Reader"):
        assert name in str(done["warnings"])
    with FileDevice(path) as disk:
        found = windows_partition(disk).window(disk)
        tree = read_tree(disk, found.offset, found.size)
    assert tree["Program Files/Strata Reader"].short_name == "STRATA~1"
    assert tree["Program Files/Strata Writer"].short_name is None
    assert plan_of(workspace, ("Writer", "1.0"))["short_names"] == []


def test_plan_lists_what_composing_refuses(workspace):
    """The long name of a folder is the 8.3 name of Program Files."""
    add_app(workspace, "Tilde", tree={"PROGRA~1/x.txt": "x"})
    add_template(workspace, apps=[("Tilde", "1.0")])
    planned = run("layered_image_plan", **workspace.options, template="office")
    (refused,) = planned["refused"]
    assert planned["counts"]["refused"] == 1
    assert (refused["code"], refused["layer"], refused["path"]) == (
        "images.layer_short_name",
        "app layer Tilde 1.0",
        "PROGRA~1",
    )
    assert any("app layer Tilde 1.0" in str(warning) for warning in planned["warnings"])
    path = os.fspath(workspace.tmp_path / "tilde.raw")
    failed = fails("layered_image_export", refused["code"], **workspace.options, template="office", path=path)
    assert failed["details"]["layer"] == refused["layer"]
    assert refused["message"] in failed["msg"]
    shown = run(
        "image_template",
        **workspace.options,
        name="office",
        os_layer=APP["os_layer"],
        connector="desktops",
        app_layers=[{"name": "Tilde", "version": "1.0"}],
        description="changed",
        check=True,
        diff=True,
    )
    assert any(refused["message"] in line for line in shown["diff"]["after"]["contested"])


def test_plan_lists_what_composing_refuses_of_earlier_layers(workspace):
    """Layers of earlier releases: the layers remove a key, and hives as files."""
    repository = Repository.open(workspace.options["repository"])
    os_layer = stored_layers.require_version(repository, "os", "Windows 11", "1.0").reference()
    builder = DeltaBuilder("SYSTEM", Hive.new("SYSTEM"))
    builder.delete_key("Select")
    elsewhere = Entry("Windows/Setup", "directory", 0x410, 1, 2, 3, 4, reparse=junction("C:\\Elsewhere"))
    entries = {
        "Accounts": [Entry("Windows/System32/config/SAM", "whiteout")],
        "Key": [],
        "Hive": [Entry("Windows/System32/config/SYSTEM", "whiteout")],
        "Link": [elsewhere],
    }
    layers = {
        name: layer_store.put_files(
            repository,
            LayerVersion("app", name, "1.0", os_layer=os_layer),
            [(entry, None) for entry in listed],
            hives=[("SYSTEM", write_delta(builder.finish()))] if name == "Key" else (),
        ).reference()
        for name, listed in entries.items()
    }
    add_app(workspace)
    add_template(workspace)
    stored = require_resolved(repository, "office")
    refused = {}
    for apps in (["Accounts"], ["Key"], ["Key", "Hive"], ["Link"]):
        template = dataclasses.replace(stored, app_layers=tuple(layers[name] for name in apps))
        found = plan_template(repository, template).refused
        refused[" ".join(apps)] = {(item["code"], item["layer"], item["path"]) for item in found}
    system = "Windows/System32/config/SYSTEM"
    assert refused == {
        "Accounts": {("images.unbootable", "app layer Accounts 1.0", "Windows/System32/config/SAM")},
        "Key": {("images.unbootable", "app layer Key 1.0", "SYSTEM\\Select")},
        "Key Hive": {
            ("images.layer_whole_hive", "app layer Hive 1.0", system),
            ("images.unbootable", "app layer Hive 1.0", system),
        },
        "Link": {("images.layer_below_link", "scripts of the image", "Windows/Setup")},
    }
