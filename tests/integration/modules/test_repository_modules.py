# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that store objects in the repository, without vSphere."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.kinds import IMAGE, PACKAGING
from ansible_collections.strata.layering.plugins.module_utils.common.errors import NoSpace
from ansible_collections.strata.layering.plugins.module_utils.images import image_files
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.sample.package import make_package
from ansible_collections.strata.layering.tests.sample.plan import Spec
from ansible_collections.strata.layering.tests.support.copied_layers import add_os, copy
from ansible_collections.strata.layering.tests.support.module_disks import image_registry
from ansible_collections.strata.layering.tests.support.module_options import (
    OS_LAYER,
    add_app,
    add_template,
    connector,
)
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run, state_of

ICON = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def test_repository_is_created_once(tmp_path):
    options = {"repository": os.fspath(tmp_path / "repository"), "comment": "first"}
    converges("repository", lambda: state_of(tmp_path), **options)
    assert run("audit_info", repository=options["repository"])["records"][0]["comment"] == "first"


def test_folder_with_other_files_does_not_become_a_repository(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    fails("repository", "repository.not_empty", repository=os.fspath(tmp_path))


@pytest.mark.parametrize(
    "module", ["layer_info", "image_template_info", "layered_image_info", "connector_info", "task_info", "audit_info"]
)
def test_info_module_without_a_repository_fails(module, tmp_path):
    result = fails(module, "repository.missing", repository=os.fspath(tmp_path / "none"))
    assert "strata.layering.repository" in result["hint"]


def test_copy_of_another_tool_is_adopted(tmp_path):
    source, target = (Repository.open(os.fspath(tmp_path / name), create=True) for name in ("source", "target"))
    add_os(source)
    digest = copy(source, target, "Windows", "windows-1", "os")
    options = {"repository": target.path, "state": "adopted", "comment": "CHG-1"}
    result = converges("repository", lambda: state_of(tmp_path / "target"), **options)
    assert [(item["name"], item["digest"], item["references"]) for item in result["adopted"]] == [
        ("Windows", digest, ["windows-1"])
    ]
    assert run("layer_info", repository=target.path)["layers"][0]["name"] == "Windows"
    assert run("audit_info", repository=target.path)["records"][-1]["action"] == "adopt"
    copy(source, target, "Windows", "again", "os")
    assert run("repository", **options)["removed_references"] == ["again"]


def test_repository_verified_reports_a_changed_blob(workspace):
    assert run("repository", **workspace.options, state="verified")["damaged"] == []
    blob = max((workspace.path / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    result = fails("repository", "operations.repository_damaged", **workspace.options, state="verified")
    assert blob.name in json.dumps(result["details"]["damaged"])


def test_repository_collected_frees_blobs_that_nothing_refers_to(workspace):
    add_app(workspace)
    run("app_layer", **workspace.options, name="Tool", state="absent")
    for blob in (workspace.path / "blobs/sha256").iterdir():
        os.utime(blob, (1, 1))
    before = state_of(workspace.path)
    planned = run("repository", **workspace.options, state="collected", check=True)
    assert planned["changed"]
    assert planned["freed"] > 0
    assert state_of(workspace.path) == before
    assert run("repository", **workspace.options, state="collected")["freed"] == planned["freed"]
    assert run("repository", **workspace.options, state="collected")["changed"] is False
    assert run("repository", **workspace.options, state="verified")["damaged"] == []
    assert run("layer_info", **workspace.options, kind="os")["layers"][0]["versions"]


def test_connector_is_created_changed_and_deleted(workspace):
    converges(
        "connector",
        lambda: state_of(workspace.path),
        **workspace.options,
        **connector(name="second"),
        comment="new cluster",
    )
    converges(
        "connector", lambda: state_of(workspace.path), **workspace.options, **connector(name="second", network="VDI")
    )
    assert [found["network"] for found in run("connector_info", **workspace.options, name="second")["connectors"]] == [
        "VDI"
    ]
    converges("connector", lambda: state_of(workspace.path), **workspace.options, name="second", state="absent")


def test_connector_with_empty_options_that_an_earlier_version_stored_is_unchanged(workspace):
    """The fields are part of the digest of images: published images must not be published again."""
    catalog = Repository.open(workspace.options["repository"]).catalog
    empty = {"resource_pool": "", "network": "", "esxi_hostname": "", "script": ""}
    catalog.put("connector", "desktops", catalog.get("connector", "desktops") | empty)
    before = state_of(workspace.path)
    for options in ({}, empty):
        assert not run("connector", **workspace.options, **connector(**options))["changed"]
    entry = connector(**empty)
    planned = run("layered_image_plan", **workspace.options, connectors=[entry], templates=[])
    assert [found["action"] for found in planned["connectors"]] == ["none"]
    assert state_of(workspace.path) == before
    changed = run("connector", **workspace.options, **connector(network="VDI"))["connector"]
    assert (changed["network"], changed["resource_pool"]) == ("VDI", "")


def test_connector_in_use_is_not_deleted(workspace):
    add_app(workspace)
    add_template(workspace)
    result = fails("connector", "catalog.in_use", **workspace.options, name="desktops", state="absent")
    assert "office" in result["msg"]


def test_connector_without_cluster_and_host_is_refused():
    result = attempt("connector", repository="/nowhere", name="x", datacenter="DC0", datastore="d", vm_template="t")
    assert result["failed"]
    assert "cluster" in result["msg"]


def test_connector_accepts_both_names_of_the_host(workspace):
    options = workspace.options | connector(name="second", cluster=None)
    assert run("connector", **options, esxi_host="DC0_H0")["changed"]
    assert not run("connector", **options, esxi_hostname="DC0_H0")["changed"]
    [found] = run("connector_info", **workspace.options, name="second")["connectors"]
    assert found["esxi_hostname"] == "DC0_H0"


@pytest.mark.parametrize("option", ["ovf_package", "packaging_disk"])
def test_os_layer_version_is_imported(workspace, exported, option):
    package = {"file_share": os.fspath(exported), option: "gold/gold-w11.ovf"}
    done = converges(
        "os_layer",
        lambda: state_of(workspace.path),
        **workspace.options,
        **(OS_LAYER | {"version": "2.0"}),
        **package,
        description="Desktops",
        version_description="new",
        connector="desktops",
        comment="CHG-7",
    )
    assert done["layer"]["status"] == "Deployable"
    assert done["layer"]["windows"]["build"] == 22631
    assert {finding["name"] for finding in done["readiness"]} >= {
        "vmxnet3",
        "vmware_tools",
        "updates_off",
        "free_space",
    }
    layer = run("layer_info", **workspace.options, name="Windows 11")["layers"][0]
    assert [version["version"] for version in layer["versions"]] == ["1.0", "2.0"]
    assert layer["description"] == "Desktops"
    records = run("audit_info", **workspace.options, kind="os_layer", limit=1)["records"]
    assert (records[0]["comment"], records[0]["version"]) == ("CHG-7", "2.0")


def test_description_and_icon_of_an_os_layer_can_change(workspace):
    icon = workspace.tmp_path / "icon.png"
    icon.write_bytes(ICON)
    before = run("layer_info", **workspace.options)["layers"][0]["versions"][0]["digest"]
    converges(
        "os_layer",
        lambda: state_of(workspace.path),
        **workspace.options,
        **OS_LAYER,
        description="another description",
        icon=os.fspath(icon),
    )
    after = run("layer_info", **workspace.options)["layers"][0]
    assert after["versions"][0]["digest"] == before
    assert after["icon"].startswith("sha256:")
    icon.write_bytes(b"not a picture")
    fails("os_layer", "layers.icon_format", **workspace.options, **OS_LAYER, icon=os.fspath(icon))


def test_os_layer_version_never_changes(workspace, exported, tmp_path):
    fails("os_layer", "operations.os_other_size", **workspace.options, **(OS_LAYER | {"max_layer_size_gb": 2}))
    other = tmp_path / "share" / "gold"
    other.mkdir(parents=True)
    for path in (exported / "gold").iterdir():
        os.link(path, other / path.name)
    manifest = other / "gold-w11.mf"
    text = manifest.read_text()
    manifest.unlink()
    manifest.write_text(text + "\n")
    fails(
        "os_layer",
        "operations.os_other_package",
        **workspace.options,
        **OS_LAYER,
        file_share=os.fspath(other.parent),
        packaging_disk="gold/gold-w11.ovf",
    )


def test_os_layer_imports_a_package_of_another_tool_with_warnings(workspace, exported, tmp_path):
    """Blank second disk, NVRAM that was not written, manifest of two exports without the descriptor; then no manifest."""
    package = tmp_path / "share" / "esxi"
    shutil.copytree(exported / "gold", package)
    ovf, manifest = package / "gold-w11.ovf", package / "gold-w11.mf"
    blank = '<ovf:Disk ovf:capacity="10" ovf:capacityAllocationUnits="byte * 2^30" ovf:diskId="d2" ovf:fileRef=""/>'
    nvram = '<ovf:File ovf:href="gold-w11.nvram" ovf:id="file9" ovf:size="270840"/>'
    text = ovf.read_text().replace("</ovf:DiskSection>", f"{blank}</ovf:DiskSection>")
    ovf.write_text(text.replace("</ovf:References>", f"{nvram}</ovf:References>"))
    disk = next(line for line in manifest.read_text().splitlines() if ".vmdk" in line)
    manifest.write_text(f"{disk.partition('=')[0]}= {'0' * 64}\n{disk}\n")
    options = workspace.options | OS_LAYER | {"file_share": os.fspath(package.parent), "packaging_disk": "esxi"}
    planned = run("os_layer", check=True, **options | {"version": "2.0"})
    done = run("os_layer", **options | {"version": "2.0"})
    for result in (planned, done):
        warnings = [str(warning) for warning in result["warnings"] if "OVF package" in str(warning)]
        assert len(warnings) == 2
        assert all("Windows 11 2.0" in warning for warning in warnings)
        assert "gold-w11.nvram" in warnings[0]
        assert "gold-w11.ovf" in warnings[1]
    assert run("os_layer", **options | {"version": "2.0"})["changed"] is False

    manifest.unlink()
    # The version is recognized without its manifest.
    assert run("os_layer", **options | {"version": "2.0"})["changed"] is False
    done = run("os_layer", **options | {"version": "3.0"})
    assert any("no manifest" in str(warning) for warning in done["warnings"])
    assert run("os_layer", **options | {"version": "3.0"})["changed"] is False
    ovf.write_text(ovf.read_text() + "\n")
    for version in ("2.0", "3.0"):
        fails("os_layer", "operations.os_other_package", **options | {"version": version})


def test_os_layer_of_a_default_windows_is_imported_without_a_size(workspace):
    """Windows Setup creates the recovery partition behind that of Windows; the documented way sets no size."""
    make_package(os.fspath(workspace.tmp_path / "share" / "w11"), Spec(variants=("recovery",)), name="w11")
    options = workspace.options | {"name": "Windows 11", "file_share": os.fspath(workspace.tmp_path / "share")}
    package = options | {"version": "2.0", "ovf_package": "w11"}
    done = converges("os_layer", lambda: state_of(workspace.path), **package)
    assert done["layer"]["size_gb"] == 1
    result = {finding["name"]: finding["result"] for finding in done["readiness"]}
    assert result["recovery_partition"] == "warn"
    assert run("os_layer", **package, max_layer_size_gb=1)["changed"] is False
    fails("os_layer", "operations.os_other_size", **package, max_layer_size_gb=2)
    fails("os_layer", "images.partitions_not_last", **package | {"version": "3.0"}, max_layer_size_gb=100)


def test_os_layer_in_use_is_not_deleted(workspace):
    add_app(workspace)
    assert (
        "Tool 1.0"
        in fails(
            "os_layer", "catalog.layer_needed", **workspace.options, name="Windows 11", version="1.0", state="absent"
        )["msg"]
    )
    add_template(workspace)
    fails("os_layer", "catalog.in_use", **workspace.options, name="Windows 11", version="1.0", state="absent")


def test_os_layer_is_deleted(workspace):
    converges(
        "os_layer",
        lambda: state_of(workspace.path),
        **workspace.options,
        name="Windows 11",
        version="1.0",
        state="absent",
    )
    assert run("layer_info", **workspace.options)["layers"] == []


def test_os_layer_without_a_package_is_refused(workspace):
    fails("os_layer", "operations.os_no_package", **workspace.options, **(OS_LAYER | {"version": "9"}))


def test_os_layer_package_outside_of_the_share_is_refused(workspace, exported):
    options = OS_LAYER | {
        "version": "9",
        "file_share": os.fspath(exported / "gold"),
        "packaging_disk": "../../etc/x.ovf",
    }
    fails("os_layer", "operations.os_outside_share", **workspace.options, **options)


def test_os_layer_that_is_not_ready_is_refused_if_enforced(workspace, exported):
    options = OS_LAYER | {"version": "9", "file_share": os.fspath(exported), "packaging_disk": "gold/gold-w11.ovf"}
    before = state_of(workspace.path)
    result = fails("os_layer", "operations.os_not_ready", **workspace.options, **options, readiness="enforce")
    assert result["details"]["readiness"]
    assert state_of(workspace.path) == before
    warned = run("os_layer", **workspace.options, **options, readiness="warn")
    assert any("free" in str(warning) for warning in warned["warnings"])


def test_app_layer_version_is_built_changed_and_deleted(workspace):
    folder = workspace.files(
        "tool", {"Program Files/Tool/tool.exe": b"MZ" * 5000, "Program Files/Tool/Data/\u00fc.txt": "x"}
    )
    done = converges(
        "app_layer",
        lambda: state_of(workspace.path),
        **workspace.options,
        name="Tool",
        version="1.0",
        os_layer={"name": "Windows 11"},
        files=folder,
        delete=["Windows\\notepad.exe"],
        priority=300,
        description="A tool",
        comment="CHG-8",
    )
    assert done["changes"] == {"files": 2, "directories": 3, "removed": 1, "bytes": 10001, "keys": 0, "values": 0}
    assert (done["layer"]["status"], done["layer"]["priority"]) == ("Deployable", 300)
    converges(
        "app_layer", lambda: state_of(workspace.path), **workspace.options, name="Tool", version="1.0", priority=400
    )
    workspace.files("tool", {"Program Files/Tool/tool.exe": b"MZ"})
    fails("app_layer", "operations.layer_other_source", **workspace.options, name="Tool", version="1.0", files=folder)
    converges(
        "app_layer", lambda: state_of(workspace.path), **workspace.options, name="Tool", version="1.0", state="absent"
    )


def test_app_layer_without_os_layer_or_source_is_refused(workspace):
    folder = workspace.files("tool", {"a.txt": "x"})
    fails("app_layer", "operations.layer_no_os_layer", **workspace.options, name="Tool", version="1", files=folder)
    fails(
        "app_layer",
        "operations.layer_no_source",
        **workspace.options,
        name="Tool",
        version="1",
        os_layer={"name": "Windows 11"},
    )
    fails(
        "app_layer",
        "catalog.layer_missing",
        **workspace.options,
        name="Tool",
        version="1",
        os_layer={"name": "Windows 12"},
        files=folder,
    )
    fails(
        "app_layer",
        "catalog.layer_version_missing",
        **workspace.options,
        name="Tool",
        version="1",
        os_layer={"name": "Windows 11", "version": "7"},
        files=folder,
    )
    fails(
        "app_layer",
        "layers.version",
        **workspace.options,
        name="Tool",
        version="latest",
        os_layer={"name": "Windows 11"},
        files=folder,
    )
    assert run("layer_info", **workspace.options, kind="app")["layers"] == []


def test_app_layer_in_use_is_not_deleted(workspace):
    add_app(workspace)
    add_template(workspace)
    fails("app_layer", "catalog.in_use", **workspace.options, name="Tool", version="1.0", state="absent")


def test_image_template_is_created_changed_and_deleted(workspace):
    add_app(workspace, "Beta")
    add_app(workspace, "alpha", priority=900)
    options = {
        "name": "office",
        "os_layer": {"name": "Windows 11", "version": "1.0"},
        "connector": "desktops",
        "app_layers": [{"name": "alpha", "version": "1.0"}, {"name": "Beta", "version": "1.0"}],
    }
    done = converges(
        "image_template", lambda: state_of(workspace.path), **workspace.options, **options, comment="CHG-9"
    )
    assert [layer["name"] for layer in done["template"]["app_layers"]] == ["Beta", "alpha"], (
        "applied by ascending priority"
    )
    shuffled = options | {"app_layers": options["app_layers"][::-1]}
    assert run("image_template", **workspace.options, **shuffled)["changed"] is False
    converges(
        "image_template",
        lambda: state_of(workspace.path),
        **workspace.options,
        **(options | {"disk_size_gb": 2, "description": "larger disk"}),
    )
    found = run("image_template_info", **workspace.options)["templates"]
    assert found[0]["problem"] is None
    assert found[0]["image_digest"] != done["template"]["image_digest"]
    converges("image_template", lambda: state_of(workspace.path), **workspace.options, name="office", state="absent")


def test_image_template_with_latest_uses_the_newest_versions(workspace):
    for version in ("1.9", "1.10"):
        add_app(workspace, version=version)
    options = {"name": "office", "os_layer": {"name": "Windows 11", "version": "latest"}, "connector": "desktops"}
    options = options | {"app_layers": [{"name": "Tool", "version": "latest"}]}
    done = converges("image_template", lambda: state_of(workspace.path), **workspace.options, **options)
    assert done["template"]["app_layers"][0]["version"] == "1.10"
    assert done["template"]["os_layer"]["version"] == "1.0"
    add_app(workspace, version="2.0-rc1")
    add_app(workspace, version="2.0")
    done = converges("image_template", lambda: state_of(workspace.path), **workspace.options, **options)
    assert done["template"]["app_layers"][0]["version"] == "2.0"


def test_image_template_that_names_missing_objects_is_refused(workspace):
    base = dict(
        workspace.options, name="office", connector="desktops", os_layer={"name": "Windows 11", "version": "1.0"}
    )
    fails("image_template", "catalog.layer_missing", **base, app_layers=[{"name": "None", "version": "1"}])
    fails("image_template", "repository.catalog_missing", **dict(base, connector="nowhere"))
    fails(
        "image_template",
        "catalog.layer_version_missing",
        **(base | {"os_layer": {"name": "Windows 11", "version": "3"}}),
    )
    fails("image_template", "operations.template_vm_name", **base, vm_name="a/b")
    add_app(workspace)
    fails("image_template", "catalog.layer_twice", **base, app_layers=[{"name": "Tool", "version": "1.0"}] * 2)


def test_priority_decides_the_order_and_changes_the_image(workspace):
    add_app(workspace)
    add_app(workspace, "Other")
    before = add_template(workspace, apps=(("Tool", "1.0"), ("Other", "1.0")))["template"]
    run("app_layer", **workspace.options, name="Other", version="1.0", priority=900)
    after = run("image_template_info", **workspace.options)["templates"][0]
    assert [layer["name"] for layer in after["app_layers"]] == ["Tool", "Other"]
    assert before["content_digest"] != after["content_digest"]


@pytest.mark.parametrize("form", ["vmdk", "ova", "raw", "qcow2", "vhd", "vhdx"])
def test_layered_image_export_writes_the_file_once(workspace, form):
    add_app(workspace)
    add_template(workspace)
    path = workspace.tmp_path / f"out.{form}"

    def look():
        return {name: digest for name, digest in state_of(workspace.tmp_path).items() if "out." in name}

    done = converges(
        "layered_image_export", look, **workspace.options, template="office", path=os.fspath(path), format=form
    )
    assert done["bytes"] == path.stat().st_size
    # The format follows from the name, too.
    assert run("layered_image_export", **workspace.options, template="office", path=os.fspath(path))["changed"] is False
    assert done["file"] == os.fspath(path)
    # Copies and mounted shares keep a time of whole seconds.
    assert path.stat().st_mtime_ns % 2_000_000_000 == 0
    template = run("image_template_info", **workspace.options)["templates"][0]
    assert {key: done[key] for key in ("image_digest", "content_digest", "digest")} == {
        "image_digest": template["image_digest"],
        "content_digest": template["content_digest"],
        "digest": template["content_digest"],
    }


@pytest.fixture
def own_export(workspace):
    """An exported file, its record, and the options of the export."""
    add_app(workspace)
    add_template(workspace)
    path = workspace.tmp_path / "out" / "out.vmdk"
    path.parent.mkdir()
    options = workspace.options | {"template": "office", "path": os.fspath(path)}
    assert run("layered_image_export", **options)["changed"]
    return path, path.with_name("out.vmdk.strata.json"), options


def refuses_to_overwrite(folder, code, /, **options):
    before = state_of(folder)
    for check in (True, False):
        fails("layered_image_export", code, check=check, **options)
    assert state_of(folder) == before


def test_layered_image_export_never_overwrites_other_files(own_export, workspace):
    path, record, options = own_export
    refuses_to_overwrite(
        path.parent, "operations.export_format", **options | {"path": os.fspath(path.with_name("new.vdi"))}
    )
    # The record of one file is not a file of its own.
    refuses_to_overwrite(
        path.parent, "operations.export_foreign", **options | {"path": os.fspath(record), "format": "raw"}
    )
    add_template(workspace, "kiosk")
    refuses_to_overwrite(path.parent, "operations.export_other_image", **options | {"template": "kiosk"})
    text = record.read_text()
    record.unlink()
    refuses_to_overwrite(path.parent, "operations.export_foreign", **options)
    record.write_text(text)
    assert run("layered_image_export", **options)["changed"] is False
    path.write_bytes(b"changed by another program")
    refuses_to_overwrite(path.parent, "operations.export_changed", **options)
    path.unlink()
    assert run("layered_image_export", **options)["changed"]


def test_layered_image_export_record_of_an_earlier_release_is_its_own(own_export, workspace):
    path, record, options = own_export
    known = json.loads(record.read_text())
    assert known.pop("template") == "office"
    record.write_text(json.dumps(known))
    assert run("layered_image_export", **options)["changed"] is False
    add_app(workspace, version="2.0")
    add_template(workspace, apps=(("Tool", "2.0"),))
    assert run("layered_image_export", **options)["changed"]


@pytest.mark.parametrize("written", [True, False])
def test_layered_image_export_killed_run_is_repeated(own_export, written):
    """A run that is killed leaves a record without the size of the file, and the old or the new file."""
    path, record, options = own_export
    known = json.loads(record.read_text())
    del known["bytes"], known["mtime_ns"]
    record.write_text(json.dumps(known | {"writing": True}))
    if not written:
        path.unlink()
    assert run("layered_image_export", **options)["changed"]
    assert run("layered_image_export", **options)["changed"] is False


@pytest.mark.parametrize("existed", [True, False])
def test_layered_image_export_failure_restores_the_record(own_export, workspace, monkeypatch, existed):
    path, record, options = own_export
    if not existed:
        path.unlink()
        record.unlink()
    add_app(workspace, version="2.0")
    add_template(workspace, apps=(("Tool", "2.0"),))
    before = state_of(path.parent)

    def export(*_arguments, **_options):
        raise NoSpace("The disk is full.", code="images.no_space")

    monkeypatch.setattr(image_files, "export", export)
    fails("layered_image_export", "images.no_space", **options)
    assert state_of(path.parent) == before


def test_audit_history_is_filtered(workspace):
    add_app(workspace, comment="one")
    add_app(workspace, "Other", comment="two")
    records = run("audit_info", **workspace.options, name="Other")["records"]
    assert [record["comment"] for record in records] == ["two"]
    assert run("audit_info", **workspace.options, limit=1)["records"][0]["name"] == "Other"
    assert run("audit_info", **workspace.options, since="2999-01-01")["records"] == []


@pytest.mark.parametrize("kind", ["app", "app_layer"])
def test_audit_history_and_layers_accept_both_names_of_a_kind(workspace, kind):
    add_app(workspace)
    assert {record["kind"] for record in run("audit_info", **workspace.options, kind=kind)["records"]} == {"app_layer"}
    assert {layer["kind"] for layer in run("layer_info", **workspace.options, kind=kind)["layers"]} == {"app"}


def test_audit_history_contains_only_kinds_that_can_be_selected(workspace, tmp_path):
    add_app(workspace)
    add_template(workspace)
    run("layered_image_export", **workspace.options, template="office", path=os.fspath(tmp_path / "office.raw"))
    audit = Repository.open(workspace.options["repository"]).audit
    audit.append("create", PACKAGING, "app/Tool/2.0")
    audit.append("delete", IMAGE, "office")
    for record in run("audit_info", **workspace.options)["records"]:
        assert record in run("audit_info", **workspace.options, kind=record["kind"])["records"]


def test_audit_history_of_an_unknown_kind_is_refused(workspace):
    assert "app_layers" in attempt("audit_info", **workspace.options, kind="app_layers")["msg"]


@pytest.mark.parametrize("check", [True, False])
def test_repository_collected_reports_what_it_keeps(workspace, check):
    add_app(workspace)
    run("app_layer", **workspace.options, name="Tool", state="absent")
    result = run("repository", **workspace.options, state="collected", check=check)
    assert result["freed"] == 0
    assert result["kept_young"] > 0
    assert result["kept_young_bytes"] > 0
    assert str(result["kept_young"]) in result["message"]


def test_repository_collected_removes_images_that_no_template_yields(workspace):
    add_app(workspace)
    add_template(workspace)
    path = os.fspath(workspace.tmp_path / "out.vmdk")
    run("layered_image_export", **workspace.options, template="office", path=path)
    assert run("repository", **workspace.options, state="collected")["changed"] is False
    add_app(workspace, version="2.0")
    add_template(workspace, apps=(("Tool", "2.0"),))
    for blob in (workspace.path / "blobs/sha256").iterdir():
        os.utime(blob, (1, 1))
    assert run("repository", **workspace.options, state="collected")["freed"] > 0
    assert run("repository", **workspace.options, state="verified")["damaged"] == []
    assert run("layered_image_export", **workspace.options, template="office", path=path)["changed"] is True


REG = """Windows Registry Editor Version 5.00

[HKEY_LOCAL_MACHINE\\SOFTWARE\\Strata]
"Version"="%s"
"Count"=dword:00000001

[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Environment]
"STRATA_%s"="on"
"""


def add_registry(workspace, name: str, version: str = "1.0", **options) -> dict:
    folder = workspace.files(f"{name}-{version}-reg", {"settings.reg": REG % (version, name.upper())})
    return run(
        "app_layer",
        **workspace.options,
        name=name,
        version=version,
        os_layer={"name": "Windows 11"},
        registry=[f"{folder}/settings.reg"],
        **options,
    )


def test_registry_files_of_layers_are_merged_into_the_image(workspace):
    folder = workspace.files("reg", {"settings.reg": REG % ("1.0", "TOOL")})
    options = {
        "name": "Tool",
        "version": "1.0",
        "os_layer": {"name": "Windows 11"},
        "registry": [f"{folder}/settings.reg"],
    }
    done = converges("app_layer", lambda: state_of(workspace.path), **workspace.options, **options)
    assert done["changes"]["keys"] == 2
    assert done["changes"]["values"] == 3
    add_registry(workspace, "Other")
    add_app(workspace, "Plain")
    add_template(workspace, apps=(("Tool", "1.0"), ("Other", "1.0"), ("Plain", "1.0")))
    found = image_registry(workspace)
    assert found["SOFTWARE"] == {"Version": "1.0", "Count": 1}
    assert {name for name in found["SYSTEM"] if name.startswith("STRATA_")} == {"STRATA_TOOL", "STRATA_OTHER"}
    add_registry(workspace, "Tool", "2.0")
    add_template(workspace, apps=(("Tool", "2.0"), ("Plain", "1.0")))
    found = image_registry(workspace)
    assert found["SOFTWARE"]["Version"] == "2.0"
    assert {name for name in found["SYSTEM"] if name.startswith("STRATA_")} == {"STRATA_TOOL"}
    add_template(workspace, apps=(("Plain", "1.0"),))
    found = image_registry(workspace)
    assert found["SOFTWARE"] is None
    assert not any(name.startswith("STRATA_") for name in found["SYSTEM"])


def test_registry_file_with_a_key_outside_of_layers_is_refused(workspace):
    folder = workspace.files(
        "reg",
        {
            "x.reg": "Windows Registry Editor Version 5.00\r\n\r\n[HKEY_LOCAL_MACHINE\\\\SAM\\\\x]\r\n".replace(
                "\\\\", "\\"
            )
        },
    )
    options = {"name": "Tool", "version": "1.0", "os_layer": {"name": "Windows 11"}}
    result = fails("app_layer", "winregistry.source", **workspace.options, **options, registry=[f"{folder}/x.reg"])
    assert "line 3" in result["msg"]
    fails("app_layer", "images.registry_file", **workspace.options, **options, registry=[f"{folder}/none.reg"])


def test_platform_layer_is_used_for_confirmed_os_layer_versions(workspace, exported):
    folder = workspace.files("agent", {"Program Files/Agent/agent.exe": "MZ"})
    options = {"name": "Agent", "version": "1", "os_layer": {"name": "Windows 11"}}
    converges("platform_layer", lambda: state_of(workspace.path), **workspace.options, **options, files=folder)
    add_app(workspace, tree={"Program Files/Agent/agent.exe": "from the app layer"})
    template = {"name": "office", "os_layer": {"name": "Windows 11", "version": "1.0"}, "connector": "desktops"}
    template["app_layers"] = [{"name": "Tool", "version": "1.0"}]
    platform = {"platform_layer": {"name": "Agent", "version": "1"}}
    done = converges("image_template", lambda: state_of(workspace.path), **workspace.options, **template, **platform)
    assert done["template"]["platform_layer"]["name"] == "Agent"
    fails("platform_layer", "catalog.in_use", **workspace.options, name="Agent", state="absent")
    run(
        "os_layer",
        **workspace.options,
        **(OS_LAYER | {"version": "2.0", "file_share": os.fspath(exported), "packaging_disk": "gold/gold-w11.ovf"}),
    )
    template["os_layer"]["version"] = "2.0"
    fails("image_template", "catalog.template_platform_layer", **workspace.options, **template, **platform)
    converges(
        "platform_layer",
        lambda: state_of(workspace.path),
        **workspace.options,
        name="Agent",
        version="1",
        confirmed_for=["2.0"],
    )
    run("image_template", **workspace.options, **template, **platform)


def test_plan_reports_conflicts_and_provenance(workspace, exported, tmp_path):
    add_app(workspace, "Base", tree={"Program Files/Shared/shared.dll": "old", "Program Files/Base/b.txt": "b"})
    add_app(
        workspace, "Tool", tree={"program files/shared/SHARED.DLL": "new", "Windows/notepad.exe": "patched long ago"}
    )
    add_registry(workspace, "One", "1.0")
    add_registry(workspace, "Two", "2.0")
    add_template(workspace, apps=(("Base", "1.0"), ("Tool", "1.0"), ("One", "1.0"), ("Two", "2.0")))
    before = state_of(workspace.path)
    plan = run(
        "layered_image_plan",
        **workspace.options,
        template="office",
        paths=["Program Files\\Shared\\shared.dll", "Windows\\explorer.exe"],
    )
    assert state_of(workspace.path) == before
    assert plan["changed"] is False
    assert (plan["publish"], plan["current"], [image["template"] for image in plan["images"]]) == (
        True,
        None,
        ["office"],
    )
    assert plan["planned"]["layers"][0] == {"kind": "os", "name": "Windows 11", "version": "1.0"}
    assert plan["conflicts"] == [
        {
            "path": "program files/shared/SHARED.DLL",
            "outcome": "brings",
            "winner": "app layer Tool 1.0",
            "losers": ["app layer Base 1.0"],
        }
    ]
    assert plan["provenance"]["Program Files\\Shared\\shared.dll"] == [
        {"layer": "app layer Base 1.0", "says": "brings"},
        {"layer": "app layer Tool 1.0", "says": "brings"},
    ]
    assert plan["provenance"]["Windows\\explorer.exe"] == [{"layer": "os layer Windows 11 1.0", "says": "brings"}]
    contested = [finding for finding in plan["registry"] if finding.get("value") == "Version"]
    assert contested
    assert contested[0]["layers"] == ["app layer Two 2.0"]
    assert contested[0]["overruled"] == ["app layer One 1.0"]
    assert plan["counts"]["files"] == 3
    assert plan["counts"]["outdated"] == 0
    options = {"name": "other", "os_layer": {"name": "Windows 11", "version": "1.0"}, "connector": "desktops"}
    options["app_layers"] = [{"name": "Base", "version": "1.0"}, {"name": "Tool", "version": "1.0"}]
    shown = run("image_template", **workspace.options, **options, check=True, diff=True)["diff"]["after"]["contested"]
    assert shown == ["program files/shared/SHARED.DLL: app layer Tool 1.0 brings it, over app layer Base 1.0"]
