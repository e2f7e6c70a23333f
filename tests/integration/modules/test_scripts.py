# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts of layers and templates, from the option to the disk of an image."""

from __future__ import annotations

import hashlib
import io
import os

import pytest
from dissect.ntfs import NTFS
from dissect.ntfs.exceptions import FileNotFoundError as Missing

from ansible_collections.strata.layering.plugins.module_utils.catalog.office_activation import office_script
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import TYPE_BASIC_DATA, read_partitions
from ansible_collections.strata.layering.plugins.module_utils.images.composing.layered_image import compose_stack
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.sample.reread import RangeStream
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.module_disks import packaged_disk
from ansible_collections.strata.layering.tests.support.module_options import OS_LAYER, add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import converges, fails, run, state_of

FOLDER = "Windows/Setup/scripts/image"


def script(workspace, name: str, text: str) -> str:
    """Write a script on the composer; return its path."""
    return os.path.join(workspace.files("scripts", {name: text}), name)


def placed(workspace, name: str = "image.raw", template: str = "office") -> dict[str, bytes]:
    """Return the files in the image's folder of scripts, read by dissect."""
    path = os.fspath(workspace.tmp_path / name)
    run("layered_image_export", **workspace.options, template=template, path=path, format="raw")
    offset = _windows_offset(FileDevice(path))
    with open(path, "rb") as stream:
        volume = NTFS(RangeStream(stream, offset, os.stat(path).st_size - offset))
        names = [name for name in volume.mft.get(FOLDER).listdir() if "~" not in name]
        return {name: volume.mft.get(f"{FOLDER}/{name}").open().read() for name in names}


def _windows_offset(disk) -> int:
    return next(entry.offset for entry in read_partitions(disk).partitions if entry.type == TYPE_BASIC_DATA)


def plan(content_digest: str, *lines: str) -> bytes:
    head = "image=" + content_digest.partition(":")[2][:16]
    return "".join(line + "\r\n" for line in (head, *lines)).encode()


def test_image_scripts_are_placed_in_layer_order(workspace, exported):
    run(
        "app_layer",
        **workspace.options,
        name="Nothing",
        version="1",
        os_layer={"name": "Windows 11"},
        files=workspace.files("nothing", {"n.txt": "n"}),
    )
    os_script, first, last, own = (
        script(workspace, name, f"rem {name}\r\n") for name in ("os.cmd", "Zuerst (ä).bat", "b.PS1", "own.cmd")
    )
    run(
        "os_layer",
        **workspace.options,
        **OS_LAYER | {"version": "2.0"},
        file_share=os.fspath(exported),
        packaging_disk="gold/gold-w11.ovf",
        script=os_script,
    )
    add_app(workspace, "A|B & \u00e9", tree={"a.txt": "a"}, priority=900, script=last)
    add_app(workspace, "Late", priority=10, script=first)
    options = {
        "name": "office",
        "connector": "desktops",
        "os_layer": {"name": "Windows 11", "version": "2.0"},
        "script": own,
        "app_layers": [
            {"name": name, "version": version}
            for name, version in (("A|B & \u00e9", "1.0"), ("Late", "1.0"), ("Nothing", "1"))
        ],
    }
    result = converges("image_template", lambda: state_of(workspace.path), **workspace.options, **options)["template"]
    found = placed(workspace)
    assert found.pop("plan.txt") == plan(
        result["content_digest"],
        "01|os layer Windows 11 2.0|01-os.cmd",
        "02|app layer Late 1.0|02-Zuerst.bat",
        "03|app layer A_B _ _ 1.0|03-b.ps1",
        "04|image template|04-own.cmd",
    )
    assert found == {
        "01-os.cmd": b"rem os.cmd\r\n",
        "02-Zuerst.bat": "rem Zuerst (ä).bat\r\n".encode(),
        "03-b.ps1": b"rem b.PS1\r\n",
        "04-own.cmd": b"rem own.cmd\r\n",
    }


def test_image_without_scripts_has_empty_plan(workspace):
    add_app(workspace, "Tool", script=script(workspace, "a.cmd", "exit /b 0\r\n"))
    add_app(workspace, "Plain")
    with_own = add_template(
        workspace, apps=(("Tool", "1.0"), ("Plain", "1.0")), script=script(workspace, "b.cmd", "exit /b 0\r\n")
    )["template"]
    assert sorted(placed(workspace)) == ["01-a.cmd", "02-b.cmd", "plan.txt"]
    changed = add_template(
        workspace, apps=(("Tool", "1.0"), ("Plain", "1.0")), script=script(workspace, "b.cmd", "exit /b 1\r\n")
    )["template"]
    assert changed["content_digest"] != with_own["content_digest"]
    assert changed["image_digest"] != with_own["image_digest"]
    assert placed(workspace)["02-b.cmd"] == b"exit /b 1\r\n"
    without = add_template(workspace, apps=(("Plain", "1.0"),))["template"]
    assert without["script"] is None
    assert placed(workspace) == {"plan.txt": plan(without["content_digest"])}


def test_image_omits_layer_files_in_script_folder(workspace):
    add_app(
        workspace,
        tree={f"{FOLDER}/finished": "x", f"{FOLDER}/results/01.code": "0", "Windows/Setup/scripts/mine.txt": "x"},
    )
    add_template(workspace)
    assert list(placed(workspace)) == ["plan.txt"]


def test_template_composed_twice_gives_same_disk(workspace):
    add_app(workspace, script=script(workspace, "a.cmd", "exit /b 0\r\n"))
    add_template(workspace)
    digests = []
    for number in range(2):
        path = workspace.tmp_path / f"{number}.vmdk"
        run("layered_image_export", **workspace.options, template="office", path=os.fspath(path), format="vmdk")
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
        repository = Repository.open(os.fspath(workspace.path))
        for reference in repository.layout.references():
            if reference.startswith("image/"):
                repository.layout.remove_reference(reference)
    assert digests[0] == digests[1]


def test_packaging_stack_has_neither_plan_nor_scripts(workspace):
    add_app(workspace, script=script(workspace, "a.cmd", "exit /b 0\r\n"))
    add_template(workspace)
    placed(workspace)
    repository = Repository.open(os.fspath(workspace.path))
    os_layer, layer = (
        stored_layers.require_version(repository, *name).reference()
        for name in (("os", "Windows 11", "1.0"), ("app", "Tool", "1.0"))
    )
    image = compose_stack(repository, os_layer, (layer,))
    assert image.config.statistics.incremental
    with image.open_disk() as disk:
        offset = _windows_offset(disk)
        data = disk.pread(image.capacity - offset, offset)
    volume = NTFS(RangeStream(io.BytesIO(data), 0, len(data)))
    with pytest.raises(Missing):
        volume.mft.get(FOLDER)


@pytest.mark.parametrize(
    "first, then, code",
    [
        ("a", "b", "catalog.layer_other_script"),
        (None, "b", "catalog.layer_other_script"),
        ("a", None, None),
        ("a", "a", None),
    ],
)
def test_layer_version_with_other_script_is_refused(workspace, first, then, code):
    texts = {name: script(workspace, f"{name}.cmd", f"rem {name}\r\n") for name in "ab"}
    made = add_app(workspace, **{"script": texts[first]} if first else {})["layer"]
    assert made["script"] == (
        {"name": "a.cmd", "digest": "sha256:" + hashlib.sha256(b"rem a\r\n").hexdigest(), "size": 7} if first else None
    )
    options = {
        "name": "Tool",
        "version": "1.0",
        "os_layer": {"name": "Windows 11"},
        "files": os.fspath(workspace.tmp_path / "Tool-1.0"),
        **({"script": texts[then]} if then else {}),
    }
    if code:
        fails("app_layer", code, **workspace.options, **options)
    else:
        assert not run("app_layer", **workspace.options, **options)["changed"]


def test_layer_with_script_converges(workspace):
    converges(
        "app_layer",
        lambda: state_of(workspace.path),
        **workspace.options,
        name="Tool",
        version="1",
        os_layer={"name": "Windows 11"},
        files=workspace.files("t", {"a": "b"}),
        script=script(workspace, "a.cmd", "rem\r\n"),
    )


_LICENSES = "Program Files/Microsoft Office/root/Licenses16"
_LICENSE = f"{_LICENSES}/ProPlus2021VL_KMS_Client_AE-ppd.xrm-ms"


def test_layer_with_volume_licenses_of_office_gets_its_script(workspace):
    options = workspace.options | {"name": "Office", "os_layer": {"name": "Windows 11"}}
    options["files"] = workspace.files("office", {_LICENSE: "x"})
    done = converges("app_layer", lambda: state_of(workspace.path), **options, version="1")
    assert done["layer"]["script"]["name"] == "officeactivate.cmd"
    assert run("app_layer", **options, version="1", office_activation=False)["changed"] is False
    without = run("app_layer", **options, version="2", office_activation=False)
    assert without["layer"]["script"] is None
    assert run("app_layer", **options, version="2")["changed"] is False
    own = run("app_layer", **options, version="3", script=script(workspace, "own.cmd", "rem\r\n"))
    assert own["layer"]["script"]["name"] == "own.cmd"
    add_template(workspace, apps=(("Office", "1"),))
    found = placed(workspace)
    assert found["01-officeactivate.cmd"] == office_script().text.data
    assert b"|01-officeactivate.cmd\r\n" in found["plan.txt"]


def test_captured_layer_with_volume_licenses_of_office_gets_its_script(workspace):
    def install(volume):
        parts = _LICENSES.split("/")
        for depth in range(2, len(parts) + 1):
            with volume.find("/".join(parts[: depth - 1])) as folder:
                folder.create_directory(parts[depth - 1]).close()
        with volume.find(_LICENSES) as folder:
            folder.create_file(_LICENSE.rpartition("/")[2], b"x" * 900).close()

    options = workspace.options | {"name": "Office", "os_layer": {"name": "Windows 11", "version": "1.0"}}
    options |= {"version": "1", "packaged_disk": packaged_disk(workspace, work=install)}
    done = run("app_layer", **options)
    assert done["layer"]["script"]["name"] == "officeactivate.cmd"
    assert run("app_layer", **options)["changed"] is False
    for path in (workspace.path / "blobs/sha256").iterdir():
        os.utime(path, (1, 1))
    run("repository", **workspace.options, state="collected")
    add_template(workspace, apps=(("Office", "1"),))
    assert placed(workspace)["01-officeactivate.cmd"] == office_script().text.data
    assert run("app_layer", **options | {"version": "2"}, office_activation=False)["layer"]["script"] is None


@pytest.mark.parametrize(
    "name, text, code",
    [
        ("a.exe", "x", "catalog.script_kind"),
        ("a.cmd", "", "catalog.script_size"),
        ("a.cmd", "x" * ((1 << 20) + 1), "catalog.script_size"),
    ],
)
def test_invalid_script_is_refused(workspace, name, text, code):
    add_app(workspace)
    fails(
        "image_template",
        code,
        **workspace.options,
        name="office",
        os_layer={"name": "Windows 11", "version": "1.0"},
        connector="desktops",
        app_layers=[{"name": "Tool", "version": "1.0"}],
        script=script(workspace, name, text),
    )


def test_template_script_is_kept_until_template_is_deleted(workspace):
    add_app(workspace)
    digest = add_template(workspace, script=script(workspace, "a.cmd", "rem kept\r\n"))["template"]["script"]["digest"]
    blob = workspace.path / "blobs/sha256" / digest.partition(":")[2]
    for state in ("present", "absent"):
        run(
            "image_template",
            **workspace.options,
            name="office",
            state=state,
            **(
                {
                    "os_layer": {"name": "Windows 11", "version": "1.0"},
                    "connector": "desktops",
                    "app_layers": [{"name": "Tool", "version": "1.0"}],
                    "script": os.fspath(workspace.tmp_path / "scripts/a.cmd"),
                }
                if state == "present"
                else {}
            ),
        )
        for path in (workspace.path / "blobs/sha256").iterdir():
            os.utime(path, (1, 1))
        run("repository", **workspace.options, state="collected")
        assert blob.exists() == (state == "present")
