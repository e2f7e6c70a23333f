# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""App layers captured from the disk of a packaging machine, through the module."""

from __future__ import annotations

import hashlib
import os
import pathlib
import struct
import subprocess

import pytest

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.ovf.descriptor_writer import (
    ImageDescription,
    write_descriptor,
)
from ansible_collections.strata.layering.tests.sample.package import write_package
from ansible_collections.strata.layering.tests.sample.plan import Manifest, Spec
from ansible_collections.strata.layering.tests.sample.reread import read_volume
from ansible_collections.strata.layering.tests.support.module_disks import (
    export_stack,
    image_registry,
    windows_partition,
)
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.packaging_workspace import install

OS = {"os_layer": {"name": "Windows 11", "version": "1.0"}}


def test_capture_then_compose_gives_the_changes(workspace):
    add_app(workspace, "Base", tree={"Program Files/Base/base.txt": "base"})
    path = export_stack(workspace, "packaging", prerequisites=(("Base", "1.0"),))
    install(path)
    options = {
        "name": "App",
        "version": "1",
        "packaged_disk": path,
        "prerequisites": [{"name": "Base", "version": "1.0"}],
        **OS,
    }
    done = converges("app_layer", lambda: state_of(workspace.path), **workspace.options, **options)
    assert done["changes"]["files"] == 2
    assert done["changes"]["removed"] == 1
    assert done["detail"]["keys"]["added"] == 1
    assert done["detail"]["values"]["added"] == 1
    assert any("setup1234" in str(entry) for entry in done["left_out"])
    assert done["gate"]
    assert all(finding["result"] != "fail" for finding in done["gate"])
    assert (
        "App 1"
        in fails("app_layer", "catalog.layer_needed", **workspace.options, name="Base", version="1.0", state="absent")[
            "msg"
        ]
    )

    add_template(workspace, apps=(("Base", "1.0"), ("App", "1")))
    found = image_registry(workspace)
    assert found["SOFTWARE"] == {"Version": "captured"}
    raw = os.fspath(workspace.tmp_path / "office.raw")
    with FileDevice(raw) as disk:
        partition = windows_partition(disk)
    tree = read_volume(raw, partition.offset, partition.size)
    assert tree["Program Files/Installed/app.exe"].size == 18000
    assert "Windows/regedit.exe" not in tree
    assert "Program Files/Base/base.txt" in tree

    os.unlink(path)
    assert run("app_layer", **workspace.options, **options)["changed"] is False


def test_capture_exported_vmdk(workspace):
    path = export_stack(workspace, "packaging")
    install(path)
    vmdk = os.fspath(workspace.tmp_path / "packaging.vmdk")
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", path, vmdk], check=True
    )
    done = run("app_layer", **workspace.options, name="App", version="1", packaged_disk=vmdk, **OS)
    assert done["changes"]["files"] == 2
    # A package of another tool, without a manifest.
    description = ImageDescription(
        name="packaging",
        disk_file="packaging.vmdk",
        disk_size=os.stat(vmdk).st_size,
        capacity=os.stat(path).st_size,
        guest_id="windows9_64Guest",
    )
    package = workspace.tmp_path / "packaging.ovf"
    package.write_bytes(write_descriptor(description))
    options = workspace.options | {"name": "App", "version": "2", "packaged_disk": os.fspath(package), **OS}
    planned, done = run("app_layer", check=True, **options), run("app_layer", **options)
    assert done["changes"]["files"] == 2
    for result in (planned, done):
        assert any("App 2" in str(text) and "packaging.mf" in str(text) for text in result["warnings"])
    # An earlier release did not find a manifest of a different name, and recorded the package as one without a manifest.
    lines = [
        f"SHA256({name.name})= {hashlib.sha256(name.read_bytes()).hexdigest()}"
        for name in (package, pathlib.Path(vmdk))
    ]
    (workspace.tmp_path / "exported.mf").write_text("\n".join(lines) + "\n")
    assert run("app_layer", **options)["changed"] is False
    package.touch()
    fails("app_layer", "operations.layer_other_source", **options)


def test_capture_finalize_checks_fail_or_warn(workspace):
    path = export_stack(workspace, "packaging")
    install(path, pending=True)
    options = {"name": "App", "version": "1", "packaged_disk": path, **OS}
    before = run("layer_info", **workspace.options)
    result = fails("app_layer", "operations.layer_not_finalizable", **workspace.options, **options)
    assert result["details"]["gate"]
    assert run("layer_info", **workspace.options) == before
    assert run("app_layer", **workspace.options, **options, finalize="warn")["warnings"]


def test_capture_exclusions(workspace):
    path = export_stack(workspace, "packaging")
    install(path)
    rules = [
        {"path": "Windows/app.ini", "action": "exclude", "reason": "unused"},
        {"key": "SOFTWARE\\Strata", "action": "exclude"},
    ]
    done = run("app_layer", **workspace.options, name="App", version="1", packaged_disk=path, exclusions=rules, **OS)
    assert done["changes"]["files"] == 1
    assert done["changes"]["keys"] == 0
    fails(
        "app_layer",
        "capture.rule",
        **workspace.options,
        name="App",
        version="2",
        packaged_disk=path,
        exclusions=[{"path": "x", "key": "SOFTWARE"}],
        **OS,
    )


def test_capture_truncated_disk_is_rejected(workspace, exported):
    disk = next((exported / "gold").glob("*.vmdk"))
    broken = os.fspath(workspace.tmp_path / "other.raw")
    subprocess.run(["qemu-img", "convert", "-O", "raw", os.fspath(disk), broken], check=True)
    with open(broken, "r+b") as stream:
        stream.truncate(1 << 20)
    before = run("layer_info", **workspace.options)
    fails(
        "app_layer",
        "disk.partitions_truncated",
        **workspace.options,
        name="App",
        version="1",
        packaged_disk=broken,
        **OS,
    )
    assert run("layer_info", **workspace.options) == before


def test_app_layer_with_two_sources_is_rejected(workspace):
    path = export_stack(workspace, "packaging")
    fails(
        "app_layer",
        "operations.layer_two_sources",
        **workspace.options,
        name="App",
        version="1",
        packaged_disk=path,
        files=os.fspath(workspace.tmp_path),
        **OS,
    )


def program(version: tuple[int, int, int, int], filler: bytes) -> bytes:
    """Return bytes that begin like a program and contain the fixed part of a version resource."""
    numbers = (0xFEEF04BD, 0x10000, version[0] << 16 | version[1], version[2] << 16 | version[3])
    return b"MZ" + filler * 200 + struct.pack("<4I", *numbers) + filler * 200


@pytest.fixture
def patched(workspace):
    """Add version 2.0 of the OS layer, with patched notepad.exe and regedit.exe; the app layers were captured on 1.0."""
    add_app(workspace, "Old", tree={"Windows/notepad.exe": program((1, 0, 0, 0), b"layer"), "Windows/app.ini": "ini"})
    add_app(workspace, "New", tree={"Windows/regedit.exe": program((9, 0, 0, 0), b"layer")})
    path = export_stack(workspace, "patched")
    with FileDevice(path, writable=True) as disk:
        partition = windows_partition(disk)
        with Volume.mount(partition.window(disk), writable=True) as volume, volume.find("Windows") as folder:
            for name in ("notepad.exe", "regedit.exe"):
                folder.child(name).delete()
                with folder.create_file(name, program((5, 0, 0, 0), b"patched")):
                    pass
    share = workspace.tmp_path / "share"
    package = write_package(
        os.fspath(share / "patched"), "patched", path, Manifest(Spec("small"), os.stat(path).st_size, [], {}, {})
    )
    run(
        "os_layer",
        **workspace.options,
        name="Windows 11",
        version="2.0",
        max_layer_size_gb=1,
        file_share=os.fspath(share),
        packaging_disk=f"patched/{os.path.basename(package.ovf)}",
    )
    return workspace


def published(workspace, **options) -> dict[str, bytes]:
    """Return the first bytes after "MZ" of the programs in an image on OS layer 2.0."""
    apps = [{"name": name, "version": "1.0"} for name in ("Old", "New")]
    run(
        "image_template",
        **workspace.options,
        name="t",
        os_layer={"name": "Windows 11", "version": "2.0"},
        connector="desktops",
        app_layers=apps,
        **options,
    )
    path = os.fspath(workspace.tmp_path / "office.raw")
    run("layered_image_export", **workspace.options, template="t", path=path, format="raw")
    with FileDevice(path) as disk:
        partition = windows_partition(disk)
        with Volume.mount(partition.window(disk)) as volume:
            found = {}
            for name in ("notepad.exe", "regedit.exe", "app.ini"):
                with volume.find(f"Windows/{name}") as node:
                    found[name] = node.read(7, 2)
            return found


def test_outdated_files_policies(patched):
    assert published(patched) == {"notepad.exe": b"layerla", "regedit.exe": b"layerla", "app.ini": b"i"}
    plan = run("layered_image_plan", **patched.options, template="t")
    assert {(file["path"], file["layer"]) for file in plan["outdated"]} == {
        ("Windows/notepad.exe", "app layer Old 1.0"),
        ("Windows/regedit.exe", "app layer New 1.0"),
    }
    assert published(patched, outdated_files="newest") == {
        "notepad.exe": b"patched",
        "regedit.exe": b"layerla",
        "app.ini": b"i",
    }
    plan = run(
        "layered_image_plan", **patched.options, template="t", paths=["Windows/notepad.exe", "Windows/regedit.exe"]
    )
    layers = {path: [entry["layer"] for entry in entries] for path, entries in plan["provenance"].items()}
    assert layers == {
        "Windows/notepad.exe": ["os layer Windows 11 2.0"],
        "Windows/regedit.exe": ["os layer Windows 11 2.0", "app layer New 1.0"],
    }
    assert [layer["files_that_win"] for layer in plan["layers"]] == [1, 1]
    assert len(plan["outdated"]) == 2
    assert published(patched, outdated_files="os") == {
        "notepad.exe": b"patched",
        "regedit.exe": b"patched",
        "app.ini": b"i",
    }
    options = {
        "name": "t",
        "os_layer": {"name": "Windows 11", "version": "2.0"},
        "connector": "desktops",
        "outdated_files": "fail",
    }
    run("image_template", **patched.options, **options, app_layers=[{"name": "Old", "version": "1.0"}])
    path = os.fspath(patched.tmp_path / "image.raw")
    result = fails(
        "layered_image_export", "images.outdated_files", **patched.options, template="t", path=path, format="raw"
    )
    assert "notepad.exe" in result["msg"]


def test_registry_lists_join_a_value_of_two_layers(workspace):
    for name in ("One", "Two"):
        folder = workspace.files(
            f"{name}-reg",
            {
                "x.reg": f'Windows Registry Editor Version 5.00\n\n[HKEY_LOCAL_MACHINE\\SOFTWARE\\Strata]\n"Version"="{name}"\n'
            },
        )
        run(
            "app_layer",
            **workspace.options,
            name=name,
            version="1.0",
            os_layer={"name": "Windows 11"},
            registry=[f"{folder}/x.reg"],
        )
    template = {"name": "office", "os_layer": {"name": "Windows 11", "version": "1.0"}, "connector": "desktops"}
    template["app_layers"] = [{"name": "One", "version": "1.0"}, {"name": "Two", "version": "1.0"}]
    run("image_template", **workspace.options, **template)
    assert image_registry(workspace)["SOFTWARE"] == {"Version": "Two"}
    rule = {"hive": "SOFTWARE", "key": "Strata", "value": "Version", "kind": "separated", "separator": ";"}
    converges(
        "image_template", lambda: state_of(workspace.path), **workspace.options, **template, registry_lists=[rule]
    )
    assert image_registry(workspace)["SOFTWARE"] == {"Version": "One;Two"}
    fails(
        "image_template",
        "winregistry.rules",
        **workspace.options,
        **template,
        registry_lists=[rule | {"kind": "nothing"}],
    )
