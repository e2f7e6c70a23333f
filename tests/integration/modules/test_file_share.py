# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that use file shares over SMB, on a real Samba server."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.ovf.package import open_package
from ansible_collections.strata.layering.plugins.module_utils.shares import smb_client
from ansible_collections.strata.layering.tests.support.background import eventually
from ansible_collections.strata.layering.tests.support.module_disks import export_stack
from ansible_collections.strata.layering.tests.support.module_options import OS_LAYER, add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.packaging_workspace import OS, install, present, work_in
from ansible_collections.strata.layering.tests.support.samba import PASSWORD, Samba, TcpProxy
from ansible_collections.strata.layering.tests.support.vcenter import options_of

_COLLECTIONS = pathlib.Path(__file__).resolve().parents[3] / ".build" / "collections"


@pytest.fixture(scope="module")
def shared_samba(tmp_path_factory):
    with Samba(tmp_path_factory.mktemp("samba")) as server:
        yield server


@pytest.fixture
def samba(shared_samba):
    """A server whose share is empty."""
    yield shared_samba
    shutil.rmtree(shared_samba.path)
    shared_samba.path.mkdir()


@pytest.fixture
def short_patience(monkeypatch):
    """The client tries to reconnect for one second only."""
    monkeypatch.setattr(
        smb_client.SmbClient.__init__,
        "__kwdefaults__",
        {
            **smb_client.SmbClient.__init__.__kwdefaults__,
            "delays": (0.1, 0.2, 0.7),
            "answer_timeout": 1,
        },
    )


@pytest.fixture
def powered_off_vm(workspace, simulator):
    """Options of ovf_export for a published VM that is powered off."""
    simulator.guest("true")
    add_app(workspace, tree={"Program Files/Tool/random.bin": os.urandom(12 << 20)})
    add_template(workspace)
    vcenter = options_of(simulator)
    vm = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]["vm"]
    return vcenter | {"name": vm["name"], "package": "desktop"}


def no_threads() -> bool:
    """Return whether all threads of the SMB library have ended; they may need a moment."""
    for _attempt in range(50):
        if not any(thread.name.startswith("msg_worker") for thread in threading.enumerate()):
            return True
        time.sleep(0.05)
    return False


def test_file_share_creates_and_removes_folders(samba, tmp_path):
    local = tmp_path / "share"
    local.mkdir()
    for options, folder in (
        ({"file_share": os.fspath(local)}, local),
        (samba.options(), samba.path),
        ({"file_share": os.fspath(tmp_path / "new" / "share"), "create": True}, tmp_path / "new" / "share"),
        (samba.options(path="deep/er") | {"create": True}, samba.path / "deep/er"),
    ):
        done = converges(
            "file_share",
            lambda folder=folder: [path for path, _folders, _files in os.walk(folder)],
            **options,
            folders=["packages/os", "icons"],
        )
        assert done["diff"]["after"]["folders"] == ["icons", "packages/os"]
        assert (folder / "packages" / "os").is_dir()
        assert 0 < done["file_share"]["free_bytes"] < done["file_share"]["total_bytes"]
        (folder / "icons" / "x.png").write_bytes(b"")
        absent = options | {"folders": ["packages", "packages/os", "icons"], "state": "absent"}
        assert "x.png" in fails("file_share", "operations.share_not_empty", **absent)["msg"]
        (folder / "icons" / "x.png").unlink()
        converges("file_share", lambda folder=folder: [path for path, _folders, _files in os.walk(folder)], **absent)
    assert done["file_share"]["dialect"] == "3.1.1"
    assert done["file_share"]["encrypted"] is True
    assert no_threads()


def test_file_share_refusal_names_its_cause(samba, tmp_path):
    good = samba.options()
    fails("file_share", "shares.credentials", **good | {"file_share_password": "wrong"})
    fails("file_share", "shares.credentials", **good | {"file_share_username": "unknown-user"})
    fails("file_share", "shares.missing", **samba.options("elsewhere"))
    for options in (samba.options(path="none/at all"), {"file_share": os.fspath(tmp_path / "none")}):
        for state in ("present", "absent"):
            fails("file_share", "shares.missing", **options, folders=["packages"], state=state)
    (tmp_path / "file").write_bytes(b"")
    fails("file_share", "shares.missing", file_share=os.fspath(tmp_path / "file"))
    assert os.listdir(samba.path) == []
    assert os.listdir(tmp_path) == ["file"]
    fails("file_share", "shares.missing", **samba.options("elsewhere"), create=True)
    fails("file_share", "shares.denied", **samba.options("readonly"))
    fails("file_share", "shares.unreachable", **samba.options(port=1))
    fails("file_share", "shares.address", **good | {"file_share": "//me:secret@server/share"})
    fails("file_share", "shares.outside", **good, folders=["../x"])
    fails("file_share", "shares.name", **good, folders=["aux"])
    fails("file_share", "operations.share_space", **good, minimum_free_gb=1 << 30)
    (samba.path / "file").write_bytes(b"")
    fails("file_share", "operations.share_kind", **good, folders=["file"])
    fails("file_share", "operations.share_folders", **good, state="absent")
    assert no_threads()


def test_credentials_from_the_environment_are_used_and_not_shown(samba, monkeypatch):
    monkeypatch.setenv("STRATA_FILE_SHARE_USERNAME", samba.username)
    monkeypatch.setenv("STRATA_FILE_SHARE_PASSWORD", samba.password)
    done = run("file_share", file_share=samba.address().replace("/", "\\"), diff=True)
    assert PASSWORD not in json.dumps(done)
    # The connection of one user must not be used for another user.
    result = fails("file_share", "shares.credentials", file_share=samba.address(), file_share_password="Another-secret")
    assert "Another-secret" not in json.dumps({key: value for key, value in result.items() if key != "invocation"})


def test_file_share_without_password_uses_kerberos(samba):
    result = fails("file_share", "shares.credentials", file_share=samba.address())
    assert "Kerberos" in result["msg"]


@pytest.mark.parametrize("kind", ["folder", "ova"])
def test_os_layer_reads_a_package_from_the_share(samba, exported, workspace, kind):
    package = samba.path / "gold"
    shutil.copytree(exported / "gold", package)
    name = "gold/gold-w11.ovf"
    if kind == "ova":
        with tarfile.open(samba.path / "gold.ova", "w") as tar:
            for file in sorted(
                os.listdir(package), key=lambda file: (not file.endswith(".ovf"), not file.endswith(".mf"))
            ):
                tar.add(package / file, file)
        shutil.rmtree(package)
        name = "gold.ova"
    layer_options = OS_LAYER | {"version": "2.0"}
    done = converges(
        "os_layer",
        lambda: state_of(workspace.path),
        **workspace.options,
        **layer_options,
        **samba.options(),
        packaging_disk=name,
    )
    first = run("layer_info", **workspace.options)
    versions = {
        version["version"]: version
        for layer in first["layers"]
        for version in layer["versions"]
        if layer["kind"] == "os"
    }
    assert done["layer"]["windows"]["build"] == 22631
    assert versions["2.0"]["size"] == versions["1.0"]["size"]
    fails(
        "os_layer",
        "shares.outside",
        **workspace.options,
        **layer_options | {"version": "3.0"},
        **samba.options(),
        packaging_disk="../gold.ovf",
    )
    fails(
        "os_layer",
        "ovf.not_found",
        **workspace.options,
        **layer_options | {"version": "3.0"},
        **samba.options(),
        packaging_disk="none.ovf",
    )
    assert no_threads()


def test_os_layer_connection_lost_resumes(samba, exported, workspace):
    shutil.copytree(exported / "gold", samba.path / "gold")
    size = sum(file.stat().st_size for file in (samba.path / "gold").iterdir())
    with TcpProxy(samba.port, cut_after=size // 2) as proxy:
        options = samba.options(port=proxy.port)
        run(
            "os_layer",
            **workspace.options,
            **OS_LAYER | {"version": "2.0"},
            **options,
            packaging_disk="gold/gold-w11.ovf",
        )
        assert proxy.cuts == 1


def test_app_layer_reads_a_disk_from_the_share(samba, workspace):
    path = export_stack(workspace, "packaging")
    install(path)
    shutil.move(path, samba.path / "packaging.raw")
    options = {
        "name": "App",
        "version": "1",
        "packaged_disk": samba.address(path="packaging.raw"),
        **OS,
        **samba.credentials,
    }
    done = converges("app_layer", lambda: state_of(workspace.path), **workspace.options, **options)
    assert done["changes"]["files"] == 2
    assert done["changes"]["removed"] == 1
    os.utime(samba.path / "packaging.raw", (1, 1))
    fails("app_layer", "operations.layer_other_source", **workspace.options, **options)
    (samba.path / "packaging.raw").unlink()
    assert run("app_layer", **workspace.options, **options)["changed"] is False
    fails("app_layer", "operations.packaged_missing", **workspace.options, **options | {"version": "2"})


def test_ovf_export_writes_a_package_that_os_layer_reads(samba, powered_off_vm, workspace):
    done = converges("ovf_export", lambda: state_of(samba.path), **powered_off_vm, **samba.options())
    assert done["packaging_disk"] == "desktop/desktop.ovf"
    open_package(os.fspath(samba.path / "desktop" / "desktop.ovf")).verify()
    assert "desktop-disk1.vmdk" in samba.client("cd desktop", "ls")
    layer = run(
        "os_layer",
        **workspace.options,
        name="Again",
        version="1",
        max_layer_size_gb=1,
        **samba.options(),
        packaging_disk=done["packaging_disk"],
    )
    assert layer["layer"]["windows"]["build"] == 22631
    for share, code in (("readonly", "shares.denied"), ("elsewhere", "shares.missing")):
        before = state_of(samba.path)
        fails("ovf_export", code, **powered_off_vm | {"package": "other"}, **samba.options(share))
        assert state_of(samba.path) == before


@pytest.mark.parametrize("form", ["vmdk", "ova", "vhdx"])
def test_layered_image_export_writes_to_the_share(samba, workspace, form):
    add_app(workspace)
    add_template(workspace)
    options = {"template": "office", "path": samba.address(path=f"office.{form}"), "format": form, **samba.credentials}
    done = converges("layered_image_export", lambda: state_of(samba.path), **workspace.options, **options)
    local = os.fspath(workspace.tmp_path / f"office.{form}")
    assert (
        run("layered_image_export", **workspace.options, template="office", path=local, format=form)["bytes"]
        == done["bytes"]
    )
    with open(local, "rb") as local_file, open(samba.path / f"office.{form}", "rb") as shared_file:
        assert local_file.read() == shared_file.read()
    fails("layered_image_export", "operations.export_share", **workspace.options, **options | {"format": "raw"})
    fails(
        "layered_image_export",
        "operations.export_folder",
        **workspace.options,
        **options | {"path": samba.address(path="none/x")},
    )


def test_ovf_export_connection_lost_resumes(samba, powered_off_vm):
    with TcpProxy(samba.port, cut_after=8 << 20) as proxy:
        assert run("ovf_export", **powered_off_vm, **samba.options(port=proxy.port))["changed"]
        assert proxy.cuts == 1
    open_package(os.fspath(samba.path / "desktop")).verify()


def test_ovf_export_server_dies_fails_and_can_be_repeated(samba, powered_off_vm, short_patience):
    with TcpProxy(samba.port, cut_after=8 << 20, then=samba.kill) as proxy:
        result = attempt("ovf_export", **powered_off_vm, **samba.options(port=proxy.port))
    assert result["code"] == "shares.gone"
    assert result["details"]["path"].startswith("//127.0.0.1")
    assert result["details"]["path"].endswith("desktop-disk1.vmdk")
    leftovers = os.listdir(samba.path / "desktop")
    assert leftovers
    assert all(name.startswith(".strata-tmp-") for name in leftovers)
    samba.start()
    assert run("ovf_export", **powered_off_vm, **samba.options())["changed"]
    open_package(os.fspath(samba.path / "desktop")).verify()
    assert not any(name.startswith(".strata-tmp-") for name in os.listdir(samba.path / "desktop"))
    assert no_threads()


def test_os_layer_server_hangs_fails_and_can_be_repeated(samba, exported, workspace, short_patience):
    shutil.copytree(exported / "gold", samba.path / "gold")
    layer_options = OS_LAYER | {"version": "2.0"}
    before = state_of(workspace.path)
    size = sum(file.stat().st_size for file in (samba.path / "gold").iterdir())
    with TcpProxy(samba.port, cut_after=size // 2, then=samba.freeze) as proxy:
        result = attempt(
            "os_layer",
            **workspace.options,
            **layer_options,
            **samba.options(port=proxy.port),
            packaging_disk="gold/gold-w11.ovf",
        )
        samba.thaw()
    assert result["code"] == "shares.gone"
    assert "gold" in result["details"]["path"]
    assert {name: digest for name, digest in state_of(workspace.path).items() if not name.startswith("blobs")} == {
        name: digest for name, digest in before.items() if not name.startswith("blobs")
    }
    assert run("os_layer", **workspace.options, **layer_options, **samba.options(), packaging_disk="gold/gold-w11.ovf")[
        "changed"
    ]


def test_ovf_export_full_share_fails_and_leaves_nothing(tmp_path, powered_off_vm):
    with Samba(tmp_path / "small", largest_file=8 << 20) as server:
        result = fails("ovf_export", "shares.files_no_space", **powered_off_vm, **server.options())
        assert result["details"]["path"].endswith("desktop-disk1.vmdk")
        assert not os.listdir(server.path / "desktop")


def test_packaging_machine_exports_to_the_share(samba, office):
    vm = run("packaging_machine", **present(office))["machine"]
    final = office.vcenter | {"name": "App", "version": "1", "state": "finalized"} | samba.options()
    # Windows cannot be shut down before VMware Tools run.
    eventually(lambda: attempt("packaging_machine", **final).get("code") != "packaging.running")
    work_in(office, vm, install)
    shutil.rmtree(samba.path / vm["name"])
    done = converges("packaging_machine", lambda: state_of(samba.path), **final)
    assert done["packaged_disk"] == samba.address(path=f"{vm['name']}/{vm['name']}.ovf")
    captured = run(
        "app_layer",
        **office.options,
        name="App",
        version="1",
        packaged_disk=done["packaged_disk"],
        os_layer=done["os_layer"],
        **samba.credentials,
    )
    assert captured["changes"]["files"] == 2
    run(
        "packaging_machine",
        **office.vcenter,
        name="App",
        version="1",
        state="absent",
        remove_package=True,
        **samba.credentials,
    )
    assert os.listdir(samba.path) == []
    assert no_threads()


def test_roles_use_the_share_and_hide_the_password(samba, exported, workspace):
    shutil.copytree(exported / "gold", samba.path / "deep" / "gold")
    values = {
        "layering_repository": os.fspath(workspace.path),
        "layering_file_share": samba.address(path="deep"),
        "file_share_create": "true",
        "layering_file_share_username": samba.username,
        "layering_file_share_password": samba.password,
        "file_share_folders": ["icons"],
        "os_layer_versions": [OS_LAYER | {"version": "2.0", "packaging_disk": "gold/gold-w11.ovf"}],
    }
    host = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = workspace.tmp_path / "inventory.yml"
    inventory.write_text(json.dumps({"all": {"hosts": {"localhost": host}, "vars": values}}))

    def play(*flags: str) -> int:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "ansible",
                "playbook",
                "strata.layering.file_share",
                "strata.layering.os_layer",
                "-i",
                os.fspath(inventory),
                "-vvv",
                *flags,
            ],
            cwd=workspace.tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": os.fspath(_COLLECTIONS),
                "ANSIBLE_HOME": os.fspath(workspace.tmp_path / "home"),
                "ANSIBLE_NOCOLOR": "1",
            },
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert PASSWORD not in done.stdout + done.stderr
        # The recap of the last playbook counts the changes of all playbooks.
        return int(re.findall(r"(?m)^localhost +: .*changed=(\d+)", done.stdout)[-1])

    before = state_of(workspace.path), os.listdir(samba.path / "deep")
    assert play("--check", "--diff") == 2
    assert before == (state_of(workspace.path), os.listdir(samba.path / "deep"))
    assert play() == 2
    assert (samba.path / "deep" / "icons").is_dir()
    assert play() == 0
