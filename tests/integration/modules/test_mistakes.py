# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What administrators get wrong: the message names the thing that is wrong and says what to do, and nothing is changed."""

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
    """Runs a module that must fail and change nothing; its message must hold every one of ``parts``."""

    def one(module: str, code: str, *parts: str, **options) -> dict:
        before = state_of(workspace.path)
        result = fails(module, code, **{**workspace.options, **options})
        for part in parts:
            assert part in result["msg"], result["msg"]
        assert state_of(workspace.path) == before
        return result

    return one


def test_names_are_called_what_they_are(refused):
    template = {"os_layer": {"name": "Windows 11", "version": "1.0"}, "connector": "desktops"}
    refused("image_template", "layers.name", "'a/b'", "name of an image template", name="a/b", **template)
    template["os_layer"]["name"] = "windows 11"
    refused(
        "image_template",
        "catalog.layer_missing",
        "no OS layer named windows 11",
        "It has: Windows 11.",
        name="t",
        **template,
    )


def test_a_disk_smaller_than_that_of_the_os_layer(refused, workspace, exported):
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
        "small cannot have 1 GiB",
        "has 2 GiB",
        disk_size_gb=1,
        **template,
    )
    assert run("image_template", **workspace.options, **template, disk_size_gb=2)["changed"]


def test_files_that_are_one_file(refused, workspace):
    file = os.path.join(workspace.files("one", {"tool.exe": "x"}), "tool.exe")
    refused("app_layer", "layers.folder", file, "is not a folder", name="Tool", version="1.0", files=file, **OS)


def test_an_export_into_a_folder(refused, workspace):
    add_app(workspace)
    add_template(workspace)
    for name in (os.fspath(workspace.tmp_path), f"{workspace.tmp_path}/"):
        refused(
            "layered_image_export",
            "operations.export_kind",
            "is a folder",
            "name of the file",
            template="office",
            path=name,
        )


def test_paths_of_a_plan_are_written_as_those_of_a_layer(refused, workspace):
    add_app(workspace)
    add_template(workspace)
    paths = ["Program Files/Tool/tool.txt", "C:\\Program Files\\Tool\\tool.txt", "/program files/tool/TOOL.txt"]
    provenance = run("layered_image_plan", **workspace.options, template="office", paths=paths)["provenance"]
    assert list(provenance) == paths
    assert all(says == [{"layer": "app layer Tool 1.0", "says": "brings"}] for says in provenance.values()), provenance
    refused("layered_image_plan", "layers.path", "without wildcards", template="office", paths=["Windows\\*.dll"])
    refused("layered_image_plan", "layers.path", "'D:", template="office", paths=["D:\\Tool"])


def test_folders_of_a_file_share_that_are_not_relative(tmp_path):
    result = fails("file_share", "shares.name", file_share=os.fspath(tmp_path), folders=["/packages"])
    assert "'/packages'" in result["msg"]


def test_a_file_share_that_is_written_as_a_url():
    result = fails("file_share", "shares.address", file_share="smb://user:hidden@server/share")
    assert "file_share" in result["hint"]
    assert "hidden" not in result["msg"]


def test_a_server_that_is_not_there():
    result = fails(
        "file_share",
        "shares.unreachable",
        file_share="//127.0.0.1:1/share",
        file_share_username="u",
        file_share_password="p",
    )
    assert "refused" in result["msg"] and "Error:" not in result["msg"], result["msg"]


def test_a_vcenter_whose_name_is_empty(refused, vcenter):
    given = vcenter | {"hostname": ""}
    refused(
        "connector", "vsphere.hostname", "Set hostname", "VMWARE_HOST", test=True, **connector(name="other"), **given
    )


def test_a_certificate_that_is_not_trusted(refused, vcenter):
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
def test_numbers_below_zero(refused, workspace, vcenter, option):
    refused(
        "layered_image_publish",
        "operations.publish_option",
        f"{option} is -1",
        templates="office",
        **vcenter,
        **{option: -1},
    )


def test_one_of_several_templates_fails(workspace, vcenter):
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
    assert many["failed"] and many["msg"].startswith("lost: There is no datacenter Nowhere"), many["msg"]
    alone = attempt("layered_image_publish", **workspace.options, **vcenter, templates="lost")
    assert alone["msg"].startswith("There is no datacenter Nowhere"), alone["msg"]


def test_a_library_that_is_missing_is_missing_for_one_python():
    absent = optional_imports._optional("no_such_library_at_all", "no-such-library")
    with mock.patch.object(sys, "executable", "/opt/python/bin/python"), pytest.raises(MissingLibrary) as caught:
        absent.anything  # pylint: disable=pointless-statement
    assert "no-such-library is not installed for /opt/python/bin/python" in str(caught.value)
    assert "ansible_python_interpreter" in str(caught.value)


@pytest.mark.parametrize("check", [True, False])
def test_a_folder_that_cannot_become_a_repository(workspace, check):
    folder = workspace.files("full", {"papers.txt": "x"})
    before = state_of(folder)
    assert "is not empty" in fails("repository", "repository.not_empty", check=check, repository=folder)["msg"]
    assert (
        "is not a folder"
        in fails("repository", "repository.path", check=check, repository=os.path.join(folder, "papers.txt"))["msg"]
    )
    below = fails(
        "repository", "repository.read_only", check=check, repository=os.path.join(folder, "papers.txt", "layers")
    )
    assert "papers.txt is no folder that can be written" in below["msg"]
    assert state_of(folder) == before


def test_variables_that_nobody_has_filled_in(refused, workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(
        "connector",
        "operations.connector_incomplete",
        "datacenter, datastore, cluster or esxi_hostname",
        **connector(datacenter="", datastore="", cluster=""),
    )
    refused("layer_info", "repository.path", "STRATA_REPOSITORY", repository="")
    refused("repository", "repository.path", "STRATA_REPOSITORY", repository="")
    refused("file_share", "shares.address", "file_share", file_share="")
    refused(
        "os_layer",
        "shares.address",
        "file_share",
        name="W",
        version="1",
        file_share="",
        packaging_disk="gold/gold-w11.ovf",
    )
    empty = {"name": "Windows 11", "version": ""}
    refused(
        "app_layer",
        "catalog.layer_version_missing",
        "has no version ''",
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
