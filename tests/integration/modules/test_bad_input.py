# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong options and damaged disks for layers, through the modules: a clear error that changes nothing, or a defined result."""

from __future__ import annotations

import os
import shutil

import pytest

from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.tests.support.captured import make_windows_disk
from ansible_collections.strata.layering.tests.support.module_disks import image_tree, install_app, packaged_disk
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import fails, run, state_of
from ansible_collections.strata.layering.tests.support.transaction_logs import (
    entry,
    new_log,
    stamped,
)
from ansible_collections.strata.layering.tests.support.volume_changes import rename

OS = {"os_layer": {"name": "Windows 11", "version": "1.0"}}
APP = {"name": "App", "version": "1", **OS}


@pytest.fixture(scope="module")
def two_systems(stocked, exported, tmp_path_factory):
    """A repository with Windows 11 1.0, its next version 2.0, and another OS layer, Windows 10."""
    path = tmp_path_factory.mktemp("systems") / "repository"
    shutil.copytree(stocked, path)
    package = {"file_share": os.fspath(exported), "packaging_disk": "gold/gold-w11.ovf", "max_layer_size_gb": 1}
    for name, version in (("Windows 11", "2.0"), ("Windows 10", "1.0")):
        run("os_layer", repository=os.fspath(path), name=name, version=version, **package)
    return path


@pytest.fixture
def systems(two_systems, workspace):
    """The workspace with these systems."""
    shutil.rmtree(workspace.path)
    shutil.copytree(two_systems, workspace.path)
    return workspace


def refused(workspace, module: str, code: str, *names: str, **options) -> dict:
    """Check that the module fails with this code and a hint, names everything in ``names``, and changes no document."""
    before = documents(workspace)
    result = fails(module, code, **workspace.options, **options)
    assert result["hint"]
    for name in names:
        assert name in result["msg"]
    assert documents(workspace) == before
    assert run("repository", **workspace.options, state="verified")["damaged"] == []
    return result


def documents(workspace) -> dict[str, str]:
    """Return documents and history; a run that fails later may leave composed images in the repository."""
    return {path: digest for path, digest in state_of(workspace.path).items() if path.startswith(("catalog/", "audit"))}


# -- disks of VMs that were created with other layers than the options say


def test_disk_of_another_os_layer_is_refused(systems):
    path = packaged_disk(systems, ("Windows 10", "1.0"))
    refused(
        systems, "app_layer", "capture.other_base", "packaged.raw", "os layer Windows 10 1.0", packaged_disk=path, **APP
    )


def test_disk_of_another_os_layer_version_is_refused(systems):
    path = packaged_disk(systems, ("Windows 11", "2.0"))
    refused(systems, "app_layer", "capture.other_base", "os layer Windows 11 2.0", packaged_disk=path, **APP)


def test_disk_with_other_prerequisites_is_refused(workspace):
    for name in ("One", "Two"):
        add_app(workspace, name)
    path = packaged_disk(workspace, prerequisites=[("One", "1.0")])
    for prerequisites in (
        [],
        [{"name": "Two", "version": "1.0"}],
        [{"name": "One", "version": "1.0"}, {"name": "Two", "version": "1.0"}],
    ):
        refused(
            workspace,
            "app_layer",
            "capture.other_base",
            "app layer One 1.0",
            packaged_disk=path,
            prerequisites=prerequisites,
            **APP,
        )
    made = run(
        "app_layer", **workspace.options, packaged_disk=path, prerequisites=[{"name": "One", "version": "1.0"}], **APP
    )
    assert made["changes"]["files"] == 1


def test_vmdk_without_a_package_is_refused_if_its_os_layer_differs(systems):
    path = packaged_disk(systems, ("Windows 11", "2.0"), form="vmdk")
    refused(
        systems,
        "app_layer",
        "capture.other_base",
        "packaged.vmdk",
        "os layer Windows 11 2.0",
        packaged_disk=path,
        **APP,
    )


def test_disk_that_no_image_was_written_to_is_refused(workspace):
    path = os.fspath(workspace.tmp_path / "foreign.raw")
    make_windows_disk(path)
    refused(workspace, "app_layer", "capture.other_base", "foreign.raw", packaged_disk=path, **APP)


def test_order_of_prerequisites_does_not_matter(workspace):
    for name in ("One", "Two"):
        add_app(workspace, name)
    path = packaged_disk(workspace, prerequisites=[("One", "1.0"), ("Two", "1.0")])
    named = [{"name": name, "version": "1.0"} for name in ("Two", "One")]
    assert (
        run("app_layer", **workspace.options, packaged_disk=path, prerequisites=named, **APP)["changes"]["files"] == 1
    )


# -- disks that are damaged


@pytest.mark.parametrize("hive", ["SOFTWARE", "DEFAULT"])
def test_hive_with_a_damaged_log_is_refused(workspace, hive):
    def work(volume):
        path = f"Windows/System32/config/{hive}"
        with volume.find(path) as node:
            old = node.read()
        changed = read_hive(old)
        changed.root.create("FromTheLog")
        log = bytearray(new_log(old, 7, entry(7, old, write_hive(changed))))
        log[600] ^= 1
        for name, data in ((hive, stamped(old, 8, 7)), (f"{hive}.LOG1", bytes(log))):
            with volume.find("Windows/System32/config") as folder:
                existing = folder.child(name)
                if existing is not None:
                    existing.delete()
                folder.create_file(name, data).close()

    path = packaged_disk(workspace, work=work)
    refused(workspace, "app_layer", "capture.hive_log", f"config/{hive}", packaged_disk=path, **APP)


@pytest.mark.parametrize("length", [511, 1 << 20, 40 << 20, -512])
def test_truncated_raw_disk_is_refused(workspace, length):
    path = packaged_disk(workspace)
    os.truncate(path, length if length > 0 else os.stat(path).st_size + length)
    refused(
        workspace,
        "app_layer",
        "disk.truncated" if length == 511 else "disk.partitions_truncated",
        "packaged.raw",
        packaged_disk=path,
        **APP,
    )


@pytest.mark.parametrize("missing", [1, 512, 300_000])
def test_truncated_vmdk_is_refused(workspace, missing):
    path = packaged_disk(workspace, form="vmdk")
    os.truncate(path, os.stat(path).st_size - missing)
    refused(workspace, "app_layer", "disk.vmdk_truncated", "packaged.vmdk", packaged_disk=path, **APP)


# -- layers for another OS layer


def test_template_with_a_layer_for_another_os_layer_is_refused(systems):
    run(
        "app_layer",
        **systems.options,
        name="Ten",
        version="1.0",
        os_layer={"name": "Windows 10"},
        files=systems.files("ten", {"Ten/ten.txt": "10"}),
    )
    template = {"name": "office", "connector": "desktops", **OS, "app_layers": [{"name": "Ten", "version": "1.0"}]}
    refused(
        systems,
        "image_template",
        "catalog.other_os_layer",
        "office",
        "Ten 1.0",
        "Windows 10",
        "Windows 11",
        **template,
    )


def test_prerequisite_for_another_os_layer_is_refused(systems):
    run(
        "app_layer",
        **systems.options,
        name="Ten",
        version="1.0",
        os_layer={"name": "Windows 10"},
        files=systems.files("ten", {"Ten/ten.txt": "10"}),
    )
    options = {"packaged_disk": packaged_disk(systems), "prerequisites": [{"name": "Ten", "version": "1.0"}], **APP}
    refused(systems, "app_layer", "catalog.other_os_layer", "App", "Ten 1.0", "Windows 10", "Windows 11", **options)


def test_prerequisites_in_two_versions_are_refused(workspace):
    for version in ("1.0", "2.0"):
        add_app(workspace, "One", version)
    named = [{"name": "One", "version": version} for version in ("1.0", "2.0")]
    refused(
        workspace,
        "app_layer",
        "catalog.layer_twice",
        "App",
        "One",
        packaged_disk=packaged_disk(workspace),
        prerequisites=named,
        **APP,
    )


# -- removals and names


def test_deleting_paths_that_do_not_exist_changes_nothing(workspace):
    add_template(workspace, apps=())
    before = image_tree(workspace)
    run(
        "app_layer",
        **workspace.options,
        **APP,
        delete=["Nowhere\\at\\all", "Windows/no such file.dll", "Windows/regedit.exe/below a file"],
    )
    add_template(workspace, apps=[("App", "1")])
    after = image_tree(workspace)
    assert before.keys() == after.keys()
    # The plan of scripts names the image.
    assert {path for path in before if before[path].file.sha256 != after[path].file.sha256} <= {
        "Windows/Setup/Scripts/image/plan.txt"
    }


def test_folder_with_names_that_differ_only_in_case_is_refused(workspace):
    twice = ("Tool/read me.txt", "Tool/READ me.TXT", "One/x", "ONE/y", "Tool/\u00e4.txt", "Tool/\u00c4.TXT")
    folder = workspace.files("tree", dict.fromkeys(twice, "text"))
    result = refused(workspace, "app_layer", "layers.folder", files=folder, **APP)
    for name in ("read me.txt", "one", "\u00e4.txt"):
        assert result["msg"].lower().count(name) >= 2


def test_disk_with_names_that_differ_only_in_case_is_captured_without_one_of_them(workspace):
    def work(volume):
        install_app(volume)
        with volume.find("Program Files/App") as folder:
            for name in ("read me.txt", "other.txt"):
                folder.create_file(name, name.encode()).close()
        rename(volume, "Program Files/App/other.txt", "Program Files/App", "READ ME.TXT")

    made = run("app_layer", **workspace.options, **APP, packaged_disk=packaged_disk(workspace, work=work))
    assert made["changes"]["files"] == 2
    left = [rule for rule in made["left_out"] if rule["reason"] == "case"]
    assert left[0]["count"] == 1
    assert "read me.txt differs only in case from Program Files/App/READ ME.TXT" in left[0]["examples"][0]
    assert "names_in_case" in [hazard["name"] for hazard in made["hazards"]]
    # Each warning names its layer.
    assert len(made["warnings"]) == len(made["hazards"])
    assert [warning for warning in made["warnings"] if "app layer App 1" not in str(warning)] == []
    add_template(workspace, apps=[("App", "1")])
    found = image_tree(workspace)
    assert "Program Files/App/READ ME.TXT" in found
    assert "Program Files/App/read me.txt" not in found


# -- a disk without changes


def test_disk_without_changes_is_refused_unless_finalize_is_warn(workspace):
    disk = packaged_disk(workspace, work=lambda volume: None)
    fails("app_layer", "operations.layer_empty", **workspace.options, **APP, packaged_disk=disk)
    assert run("layer_info", **workspace.options, kind="app")["layers"] == []
    made = run("app_layer", **workspace.options, **APP, packaged_disk=disk, finalize="warn")
    assert not any(made["changes"].values())
    assert "app layer App 1 is empty" in str(made["warnings"])
