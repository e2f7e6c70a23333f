# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes of administrators: the error names the option or object, has a hint, and nothing is changed."""

from __future__ import annotations

import os
import sys
from unittest import mock

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common import optional_imports
from ansible_collections.strata.layering.plugins.module_utils.common.errors import MissingLibrary
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template, connector
from ansible_collections.strata.layering.tests.support.modules import attempt, fails, run, state_of

OS = {"os_layer": {"name": "Windows 11"}}


@pytest.fixture
def refused(workspace):
    """Run a module that must fail and change nothing; its message must contain each of ``names``."""

    def run_refused(module: str, code: str, *names: str, **options) -> dict:
        before = state_of(workspace.path)
        result = fails(module, code, **{**workspace.options, **options})
        for name in names:
            assert name in result["msg"], result["msg"]
        assert state_of(workspace.path) == before
        return result

    return run_refused


def test_name_that_cannot_be_used_is_named_with_its_kind(refused):
    template = {"os_layer": {"name": "Windows 11", "version": "1.0"}, "connector": "desktops"}
    refused("image_template", "layers.name", "'a/b'", "name of an image template", name="a/b", **template)
    template["os_layer"]["name"] = "windows 11"
    refused(
        "image_template",
        "catalog.layer_missing",
        "'windows 11'",
        "It has: Windows 11.",
        name="t",
        **template,
    )


def test_disk_smaller_than_the_disk_of_the_os_layer_is_refused(refused, workspace, exported):
    layer = {"name": "Windows 11", "version": "2.0"}
    run(
        "os_layer",
        **workspace.options,
        **layer,
        max_layer_size_gb=2,
        file_share=os.fspath(exported),
        packaging_disk="gold/gold-w11.ovf",
    )
    template = {"name": "small", "connector": "desktops", "os_layer": layer}
    refused(
        "image_template",
        "operations.template_disk_size",
        "image template small",
        "1 GiB",
        "2 GiB",
        disk_size_gb=1,
        **template,
    )
    assert run("image_template", **workspace.options, **template, disk_size_gb=2)["changed"]


def test_files_that_name_a_file_are_refused(refused, workspace):
    file = os.path.join(workspace.files("one", {"tool.exe": "x"}), "tool.exe")
    refused("app_layer", "layers.folder", file, name="Tool", version="1.0", files=file, **OS)


def test_export_to_a_folder_is_refused(refused, workspace):
    add_app(workspace)
    add_template(workspace)
    for name in (os.fspath(workspace.tmp_path), f"{workspace.tmp_path}/"):
        refused(
            "layered_image_export",
            "operations.export_kind",
            repr(name),
            template="office",
            path=name,
        )


def test_paths_of_a_plan_may_be_written_like_paths_of_a_layer(refused, workspace):
    add_app(workspace)
    add_template(workspace)
    paths = ["Program Files/Tool/tool.txt", "C:\\Program Files\\Tool\\tool.txt", "/program files/tool/TOOL.txt"]
    provenance = run("layered_image_plan", **workspace.options, template="office", paths=paths)["provenance"]
    assert list(provenance) == paths
    assert all(claims == [{"layer": "app layer Tool 1.0", "says": "brings"}] for claims in provenance.values())
    refused("layered_image_plan", "layers.path", "*.dll", template="office", paths=["Windows\\*.dll"])
    refused("layered_image_plan", "layers.path", "'D:", template="office", paths=["D:\\Tool"])


def test_absolute_folder_of_a_file_share_is_refused(tmp_path):
    result = fails("file_share", "shares.name", file_share=os.fspath(tmp_path), folders=["/packages"])
    assert "'/packages'" in result["msg"]


def test_file_share_that_is_a_url_is_refused_without_its_password():
    result = fails("file_share", "shares.address", file_share="smb://user:hidden@server/share")
    assert "file_share" in result["hint"]
    assert "hidden" not in result["msg"]


@pytest.mark.parametrize("path", ["Z:\\layers", "\\layers"])
def test_path_in_windows_is_refused(refused, workspace, path):
    add_app(workspace)
    add_template(workspace)
    refused("file_share", "shares.address", f"'{path}'", file_share=path)
    refused("app_layer", "shares.address", f"'{path}'", name="T", version="1", packaged_disk=path, **OS)
    refused("layered_image_export", "shares.address", "Windows", template="office", path=f"{path}.vmdk")
    refused("repository", "repository.path", f"'{path}'", repository=path)
    for option, code in (("files", "layers.folder_missing"), ("registry", "images.registry_file")):
        refused("app_layer", code, f"'{path}'", name="T", version="1", **{option: path}, **OS)
    for option, code in (("icon", "catalog.icon_unreadable"), ("script", "catalog.script_unreadable")):
        file = path + ".cmd"
        refused("app_layer", code, f"'{file}'", name="T", version="1", delete=["x"], **{option: file}, **OS)


def test_icon_that_is_no_picture_is_named(refused, workspace):
    icon = os.path.join(workspace.files("i", {"icon.png": "x"}), "icon.png")
    refused("app_layer", "layers.icon_format", icon, name="T", version="1", delete=["x"], icon=icon, **OS)


def test_server_that_does_not_answer_is_reported():
    result = fails(
        "file_share",
        "shares.unreachable",
        file_share="//127.0.0.1:1/share",
        file_share_username="u",
        file_share_password="p",
    )
    assert "127.0.0.1" in result["msg"]
    assert "Error:" not in result["msg"]


def test_unknown_suboption_of_exclusions_is_refused_without_a_capture(workspace):
    files = workspace.files("one", {"tool.exe": "x"})
    result = attempt(
        "app_layer", **workspace.options, name="Tool", version="1.0", files=files, exclusions=[{"pth": "x"}], **OS
    )
    assert result["failed"]
    assert "exclusions.pth" in result["msg"]


def test_empty_name_of_a_vcenter_is_refused(refused, vcenter):
    options = vcenter | {"hostname": ""}
    refused(
        "connector", "common.option_missing", "hostname", "VMWARE_HOST", test=True, **connector(name="other"), **options
    )


def test_certificate_that_is_not_trusted_names_the_option(refused, vcenter):
    result = refused(
        "connector",
        "vsphere.certificate",
        "ca_path",
        test=True,
        **connector(name="other"),
        **{**vcenter, "ca_path": None},
    )
    assert "ca_file" not in result["msg"]


@pytest.mark.parametrize("option", ["keep", "retries", "retry_pause"])
def test_negative_number_is_refused(refused, workspace, vcenter, option):
    refused(
        "layered_image_publish",
        "operations.publish_option",
        option,
        templates="office",
        **vcenter,
        **{option: -1},
    )


def test_failure_of_one_template_does_not_stop_the_others(workspace, vcenter):
    add_app(workspace)
    run("connector", **workspace.options, **connector(name="elsewhere", datacenter="Nowhere"))
    add_template(workspace)
    run(
        "image_template",
        **workspace.options,
        name="lost",
        os_layer={"name": "Windows 11", "version": "1.0"},
        connector="elsewhere",
    )
    many = attempt("layered_image_publish", **workspace.options, **vcenter, templates=["office", "lost"])
    assert many["failed"]
    assert many["msg"].startswith("lost: ")
    assert "Nowhere" in many["msg"]
    assert [task["status"] for task in many["details"]["tasks"]] == ["Complete", "Failed"]
    assert many["tasks"] == many["details"]["tasks"]
    alone = attempt("layered_image_publish", **workspace.options, **vcenter, templates="lost")
    assert alone["code"] == many["code"]
    assert not alone["msg"].startswith("lost: ")


def test_missing_library_names_the_python_that_lacks_it():
    absent = optional_imports._optional("no_such_library_at_all", "no-such-library")
    with mock.patch.object(sys, "executable", "/opt/python/bin/python"), pytest.raises(MissingLibrary) as caught:
        absent.anything  # pylint: disable=pointless-statement
    assert "no-such-library" in caught.value.message
    assert "/opt/python/bin/python" in str(caught.value)
    assert "ansible_python_interpreter" in str(caught.value)


@pytest.mark.parametrize("check", [True, False])
def test_folder_that_cannot_become_a_repository_is_refused(workspace, check):
    folder = workspace.files("full", {"papers.txt": "x"})
    before = state_of(folder)
    assert "papers.txt" in fails("repository", "repository.not_empty", check=check, repository=folder)["msg"]
    fails("repository", "repository.path", check=check, repository=os.path.join(folder, "papers.txt"))
    below = fails(
        "repository", "repository.read_only", check=check, repository=os.path.join(folder, "papers.txt", "layers")
    )
    assert "papers.txt" in below["msg"]
    assert state_of(folder) == before


def test_empty_options_are_refused(refused, workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = state_of(workspace.path)
    for module, options in (
        ("connector", connector(datacenter="", datastore="", cluster="")),
        (
            "os_layer",
            {"name": "W", "version": "1", "file_share": "", "packaging_disk": "gold/gold-w11.ovf"},
        ),
    ):
        assert attempt(module, **workspace.options, **options)["failed"]
    assert state_of(workspace.path) == before
    refused("app_layer", "layers.name", "version", name="T", version="", state="absent")
    refused("layer_info", "common.option_missing", "STRATA_REPOSITORY", repository="")
    refused("repository", "common.option_missing", "STRATA_REPOSITORY", repository="")
    refused("file_share", "shares.address", "file_share", file_share="")
    empty = {"name": "Windows 11", "version": ""}
    refused(
        "app_layer",
        "catalog.layer_version_missing",
        "It has: 1.0",
        name="T",
        version="1",
        delete=["x"],
        os_layer=empty,
    )
    add_app(workspace)
    add_template(workspace)
    refused("layered_image_export", "shares.address", template="office", path="")
    assert not (tmp_path / "repository.json").exists()
