# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers and templates travel between two sites: what arrives, what is not moved again, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import (
    RegistryAddress,
    RegistryConnection,
)
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.registry import Registry
from ansible_collections.strata.layering.tests.support.module_options import connector
from ansible_collections.strata.layering.tests.support.modules import converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.samba import Samba
from ansible_collections.strata.layering.tests.support.sites import (
    LAYERS,
    TEMPLATE,
    add_template,
    add_version,
    new_site,
)
from ansible_collections.strata.layering.tests.support.transfers import (
    EVERYTHING,
    OFFICE,
    actions,
    layer,
    layers_of,
    offered,
    pull,
    push,
)


def exported(site: SimpleNamespace) -> tuple[str, bytes]:
    """Compose the image of the template; return its digest and its disk."""
    path = site.tmp_path / "image.vmdk"
    result = run("layered_image_export", **site.options, template=TEMPLATE, path=os.fspath(path))
    return result["image_digest"], path.read_bytes()


@pytest.fixture(params=["registry", "flat", "debian", "folder", "smb", "other_repository", "file"])
def remote(request, tmp_path) -> dict:
    """Options of modules for a remote of each kind, which has nothing."""
    if request.param in ("registry", "flat"):
        return request.getfixturevalue("registry") | {"flat": request.param == "flat"}
    return request.getfixturevalue(request.param)


@pytest.fixture
def debian(debian_tls_registry) -> dict:
    """The oldest registry in use, with TLS and a login."""
    login = debian_tls_registry.login
    return {
        "registry": f"{login.address}/transfers/windows",
        "ca_path": os.fspath(login.ca_file),
        "registry_username": login.username,
        "registry_password": login.password,
    }


@pytest.fixture
def folder(tmp_path) -> dict:
    (tmp_path / "share").mkdir()
    return {"file_share": os.fspath(tmp_path / "share")}


@pytest.fixture
def smb(tmp_path) -> Iterator[dict]:
    with Samba(tmp_path / "samba") as samba:
        (samba.path / "layers").mkdir()
        yield {
            "file_share": f"{samba.address('data')}/layers",
            "file_share_username": samba.username,
            "file_share_password": samba.password,
        }


@pytest.fixture
def other_repository(tmp_path) -> dict:
    return {"other_repository": os.fspath(new_site(tmp_path / "other").path)}


@pytest.fixture
def file(tmp_path) -> dict:
    return {"file": os.fspath(tmp_path / "layers.tar")}


def test_push_and_pull_converge_with_every_remote(berlin, madrid, remote):
    pushed = converges(
        "layer_transfer", lambda: offered(remote), **berlin.options, **remote, state="pushed", **EVERYTHING
    )
    assert set(actions(pushed).values()) == {"copied"}
    pulled = converges(
        "layer_transfer", lambda: state_of(madrid.path), **madrid.options, **remote, state="pulled", **EVERYTHING
    )
    assert actions(pulled) == actions(pushed)
    assert layers_of(madrid) == layers_of(berlin)
    assert exported(madrid) == exported(berlin)


def test_template_travels_with_its_closure(berlin, madrid, registry):
    pushed = push(berlin, registry, **OFFICE)
    assert set(actions(pushed)) == {*(set(LAYERS) - {("app", "Tool", "1.9")}), ("template", TEMPLATE, None)}
    pull(madrid, registry, **OFFICE)
    assert set(layers_of(madrid)) == set(LAYERS) - {("app", "Tool", "1.9")}
    [template] = run("image_template_info", **madrid.options)["templates"]
    [original] = run("image_template_info", **berlin.options)["templates"]
    assert template == original


def test_second_transfer_moves_nothing(berlin, madrid, registry, simulated_registry):
    push(berlin, registry, **OFFICE)
    pull(madrid, registry, **OFFICE)
    simulated_registry.clear_journal()
    for again in (push(berlin, registry, **OFFICE), pull(madrid, registry, **OFFICE)):
        assert again["changed"] is False
        assert again["bytes"]["moved"] == 0
        assert set(actions(again).values()) == {"kept"}
    assert {entry.method for entry in simulated_registry.journal()} <= {"GET", "HEAD"}


def test_change_moves_only_what_is_new(berlin, madrid, registry):
    first = push(berlin, registry, **OFFICE)
    pull(madrid, registry, **OFFICE)
    add_version(berlin, "Tool", "1.11")
    add_template(berlin, app_layers=[{"name": "Tool", "version": "1.11"}])
    second = push(berlin, registry, **OFFICE)
    assert actions(second)["app", "Tool", "1.11"] == "copied"
    assert actions(second)["os", "Windows 11", "1.0"] == "kept"
    assert actions(second)["template", TEMPLATE, None] == "updated"
    assert 0 < second["bytes"]["moved"] < first["bytes"]["moved"] / 20
    pulled = pull(madrid, registry, **OFFICE)
    assert actions(pulled) == actions(second)
    assert exported(madrid) == exported(berlin)


def test_composed_image_travels_on_request(berlin, madrid, registry):
    digest, disk = exported(berlin)
    without = push(berlin, registry, **OFFICE)
    assert "image" not in {item["kind"] for item in without["transfers"]}
    planned = run("layer_transfer", **berlin.options, **registry, **OFFICE, state="pushed", images=True, check=True)
    pushed = push(berlin, registry, **OFFICE, images=True)
    for result in (planned, pushed):
        [image] = [item for item in result["transfers"] if item["kind"] == "image"]
        assert image["action"] == "copied"
    # The image has the disk of its OS layer, which the registry has already.
    assert image["bytes"]["mounted"] > image["bytes"]["moved"] > 0
    pulled = pull(madrid, registry, **OFFICE, images=True)
    assert [item["action"] for item in pulled["transfers"] if item["kind"] == "image"] == ["copied"]
    assert exported(madrid) == (digest, disk)
    for again in (push(berlin, registry, **OFFICE, images=True), pull(madrid, registry, **OFFICE, images=True)):
        assert again["changed"] is False


def test_versions_are_selected(berlin, registry):
    newest = push(berlin, registry, layers=[layer("Tool", "latest")])
    assert ("app", "Tool", "1.10") in actions(newest)
    assert ("app", "Tool", "1.9") not in actions(newest)
    every = push(berlin, registry, layers=[layer("Tool")])
    assert actions(every)["app", "Tool", "1.9"] == "copied"


def test_path_is_the_name_in_the_registry(berlin, madrid, registry, simulated_registry):
    push(berlin, registry, layers=[layer("Tool", "1.10", path="tools/own")])
    assert "1.10" in simulated_registry.tags()["windows/app/tools/own"]
    pull(madrid, registry, layers=[layer("Tool", "1.10")])
    assert ("app", "Tool", "1.10") in layers_of(madrid)


def test_other_content_under_a_version_is_refused_before_anything_moves(berlin, madrid, registry, simulated_registry):
    push(berlin, registry, layers=[layer("Windows 11", kind="os")])
    pull(madrid, registry, layers=[layer("Windows 11", kind="os")])
    for site in (berlin, madrid):
        for name in ("Own", "Second"):
            add_version(site, name, "1", content=site.tmp_path.name)
    add_version(madrid, "Third", "1")
    push(berlin, registry, layers=[layer("Own"), layer("Second")])
    before = simulated_registry.tags()
    simulated_registry.clear_journal()
    selected = {"layers": [layer("Third"), layer("Own"), layer("Second")]}
    for check in (True, False):
        error = fails(
            "layer_transfer",
            "distribution.other_content",
            **madrid.options,
            **registry,
            state="pushed",
            **selected,
            check=check,
        )
        messages = error["details"]["conflicts"]
        assert [name for message in messages for name in ("Own 1", "Second 1", "Third 1") if name in message] == [
            "Own 1",
            "Second 1",
        ]
    assert simulated_registry.tags() == before
    assert {entry.method for entry in simulated_registry.journal()} <= {"GET", "HEAD"}
    local = state_of(madrid.path)
    fails(
        "layer_transfer",
        "distribution.other_content",
        **madrid.options,
        **registry,
        state="pulled",
        layers=[layer("Own")],
    )
    assert state_of(madrid.path) == local


def test_connector_is_mapped(berlin, madrid, registry):
    push(berlin, registry, **OFFICE)
    run("connector", **madrid.options, **connector(name="madrid"))
    pull(madrid, registry, **OFFICE, connectors={"desktops": "madrid"})
    [template] = run("image_template_info", **madrid.options)["templates"]
    assert template["connector"] == "madrid"
    assert pull(madrid, registry, **OFFICE, connectors={"desktops": "madrid"})["changed"] is False


def test_missing_connector_is_an_error_before_anything_moves(berlin, madrid, registry):
    push(berlin, registry, **OFFICE)
    before = state_of(madrid.path)
    options = madrid.options | registry | OFFICE | {"state": "pulled", "connectors": {"desktops": "Madird"}}
    error = fails("layer_transfer", "distribution.connector", **options)
    assert error["details"]["connector"] == "Madird"
    assert state_of(madrid.path) == before


def test_template_that_both_sites_changed_needs_force(berlin, madrid, registry):
    push(berlin, registry, **OFFICE)
    pull(madrid, registry, **OFFICE)
    add_template(berlin, description="Berlin")
    add_template(madrid, description="Madrid")
    push(berlin, registry, **OFFICE)
    fails("layer_transfer", "distribution.both_changed", **madrid.options, **registry, state="pulled", **OFFICE)
    forced = pull(madrid, registry, **OFFICE, force=True)
    assert actions(forced)["template", TEMPLATE, None] == "updated"
    [template] = run("image_template_info", **madrid.options)["templates"]
    assert template["description"] == "Berlin"


def test_metadata_of_a_layer_is_updated(berlin, madrid, registry):
    push(berlin, registry, layers=[layer("Runtime")])
    pull(madrid, registry, layers=[layer("Runtime")])
    run("app_layer", **berlin.options, name="Runtime", version="1.0", description="For all tools", priority=7)
    for result in (
        push(berlin, registry, layers=[layer("Runtime")]),
        pull(madrid, registry, layers=[layer("Runtime")]),
    ):
        assert actions(result)["app", "Runtime", "1.0"] == "updated"
    [found] = run("layer_info", **madrid.options, name="Runtime")["layers"]
    assert (found["description"], found["priority"]) == ("For all tools", 7)


def test_difference_shows_the_target(berlin, registry):
    planned = run("layer_transfer", **berlin.options, **registry, state="pushed", **OFFICE, check=True, diff=True)
    assert planned["diff"]["before"] == {}
    assert f"image template {TEMPLATE}" in planned["diff"]["after"]
    assert planned["bytes"]["moved"] > 0


def test_audit_history_has_both_sides(berlin, madrid, registry):
    push(berlin, registry, layers=[layer("Runtime")], comment="CHG-1")
    pull(madrid, registry, layers=[layer("Runtime")], comment="CHG-2")
    for site, action, comment, side in ((berlin, "push", "CHG-1", "to"), (madrid, "pull", "CHG-2", "from")):
        records = run("audit_info", **site.options, kind="app_layer", name="Runtime")["records"]
        record = next(record for record in records if record["action"] == action)
        assert record["comment"] == comment
        assert registry["registry"] in record["details"][side]
        assert record["details"]["digest"] == layers_of(site)["app", "Runtime", "1.0"]


@pytest.mark.parametrize("is_writable", [True, False])
def test_pull_from_a_repository_is_recorded_there_if_it_can_be_written(berlin, madrid, monkeypatch, is_writable):
    access = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: (is_writable or str(path) != str(berlin.path)) and access(path, mode)
    )
    before = state_of(berlin.path)
    pull(madrid, {"other_repository": os.fspath(berlin.path)}, **OFFICE)
    assert (state_of(berlin.path) != before) is is_writable
    newest = run("audit_info", **berlin.options)["records"][0]
    assert (newest["action"] == "push") is is_writable


def test_number_as_version_is_refused(berlin, registry):
    options = berlin.options | registry | {"state": "pushed", "layers": [layer("Tool", 1.10)]}
    fails("layer_transfer", "common.option_not_text", **options)
    fails("layer_transfer", "common.option_not_text", **(options | {"layers": [], "templates": [1.10]}))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "operations.transfer_selection"),
        ({"everything": True, "templates": [TEMPLATE]}, "operations.transfer_selection"),
        ({"everything": True, "state": "absent"}, "operations.transfer_selection"),
        ({"templates": [{"title": "x"}]}, "operations.transfer_template"),
        ({"templates": [TEMPLATE], "connectors": {"a": 1}}, "operations.transfer_connector"),
        ({"templates": [TEMPLATE], "file": "/x"}, "operations.remote"),
    ],
)
def test_contradicting_options_are_refused(berlin, registry, options, code):
    fails("layer_transfer", code, **(berlin.options | registry | {"state": "pushed"} | options))


def test_lost_entries_of_the_catalogue_are_stored_again(berlin, madrid, registry, simulated_registry):
    push(berlin, registry, layers=[layer("Tool", path="editors/tool")])
    push(berlin, registry, **EVERYTHING)
    catalogue = simulated_registry.tags()["windows/catalog"]
    assert sorted(tag.partition(".")[0] for tag in catalogue if tag != "generation") == ["app", "app", "os", "template"]
    assert "windows/app/tool" not in simulated_registry.tags()
    connection = RegistryConnection(RegistryAddress.parse(simulated_registry.address), plain_http=True)
    with Registry.connect(connection) as backend:
        runtime = backend.manifest("windows/catalog", "app.runtime")
        backend.delete_tag("windows/catalog", "template.office")
        damaged = runtime.data.replace(b"Runtime", b"../time")
        backend.put_manifest("windows/catalog", "app.runtime", damaged, runtime.media_type)
    found = fails(
        "layer_transfer", "distribution.catalog_entry", **madrid.options, **registry, **EVERYTHING, state="pulled"
    )
    assert "windows/catalog:app.runtime" in found["msg"]
    lost = converges(
        "layer_transfer",
        lambda: simulated_registry.tags()["windows/catalog"],
        **berlin.options,
        **registry,
        **EVERYTHING,
        state="pushed",
    )
    changes = {item["name"]: item["changes"] for item in lost["transfers"] if item["action"] != "kept"}
    assert changes == {"Runtime": ["catalog_entry"], TEMPLATE: ["catalog_entry"]}
    assert simulated_registry.tags()["windows/catalog"].items() >= {
        (tag, digest) for tag, digest in catalogue.items() if tag != "generation"
    }
    pull(madrid, registry, **EVERYTHING)
    assert layers_of(madrid) == layers_of(berlin)
