# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules that list pools, farms and base VMs of Horizon."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.image_record import ImageRecord
from ansible_collections.strata.layering.plugins.module_utils.catalog.vsphere_records import (
    MachineRecord,
    VCenterRecord,
)
from ansible_collections.strata.layering.plugins.module_utils.publish.machine import image_records
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support import horizon_fixtures
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.modules import fails, run, state_of

shared_horizon = horizon_fixtures.shared_horizon
horizon = horizon_fixtures.horizon

FIRST, SECOND = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@pytest.fixture
def repository(tmp_path) -> Repository:
    return Repository.open(os.fspath(tmp_path / "repository"), create=True)


@pytest.fixture
def info(horizon, tmp_path) -> Callable[..., Any]:
    """Return a function that runs an info module of Horizon, checks that it changes nothing, and returns its result."""

    def ask(kind: str, recorded: bool = False, **options: Any) -> dict:
        path = tmp_path / "repository"
        before = state_of(path) if recorded else None
        known = {"repository": os.fspath(path)} if recorded else {}
        result = run(f"horizon_{kind}_info", **horizon.options(), **known, **options)
        assert result["changed"] is False
        assert {entry["method"] for entry in horizon.journal()} <= {"GET", "POST"}
        assert all(entry["path"] in ("/login", "/logout") for entry in horizon.journal("POST"))
        assert horizon.logged_in() == 0
        assert before is None or state_of(path) == before
        return result

    return ask


def record(repository: Repository, horizon: Any, vm: dict, digest: str, **fields: Any) -> None:
    """Record a described VM as the newest image of the template office, as a publish does."""
    [vcenter] = [found for found in horizon.vcenters() if found["server_name"].startswith("vcenter1")]
    values = {
        "template": "office",
        "image_digest": digest,
        "content_digest": digest,
        "layers": {},
        "connector": "desktops",
        "vcenter": VCenterRecord("vc", vcenter["instance_uuid"].upper()),
        "vm": MachineRecord(vm["name"], vm["moid"], f"uuid-{vm['moid']}"),
        "snapshot": vm["snapshots"][0]["name"],
        "snapshot_moid": vm["snapshots"][0]["moid"],
        "datastore_path": None,
        "published": "2026-01-01T00:00:00Z",
    }
    image_records.record_image(repository, ImageRecord(**values | fields))


@pytest.fixture
def images(horizon, repository) -> tuple[dict, dict]:
    """Two published images of the template office, the older first, and a VM ``golden`` that this collection did not publish."""
    horizon.add_vm("golden")
    older, newer = horizon.add_vm("office-1", ["strata-1"]), horizon.add_vm("office-2", ["strata-2"])
    # An earlier version of the collection has not recorded the ID of the snapshot.
    record(repository, horizon, older, FIRST, snapshot_moid=None)
    record(repository, horizon, newer, SECOND)
    return older, newer


def by_name(entries: list[dict]) -> dict[str, dict]:
    return {entry["name"]: entry for entry in entries}


def test_pool_info_compares_images_with_the_recorded_images(horizon, images, info):
    older, newer = images
    horizon.add_pool("sales", "office-1", "strata-1")
    horizon.add_pool("finance", "office-2", "strata-2")
    horizon.add_pool("other", "golden", "Image")
    pools = by_name(info("pool", recorded=True)["pools"])
    assert sorted(pools) == ["finance", "other", "sales"]
    assert {name: pool["outdated"] for name, pool in pools.items()} == {"sales": True, "finance": False, "other": None}
    assert pools["sales"]["image"] == {
        "vm": "office-1",
        "vm_path": older["path"],
        "moid": older["moid"],
        "snapshot": "strata-1",
        "snapshot_moid": older["snapshots"][0]["moid"],
        "image_digest": FIRST,
        "template": "office",
    }
    newest = pools["sales"]["newest"]
    assert (newest["image_digest"], newest["moid"]) == (SECOND, newer["moid"])
    assert pools["other"]["image"]["template"] is None
    assert pools["other"]["newest"] is None


def test_pool_info_lists_pools_that_cannot_get_images(horizon, images, info):
    horizon.add_pool("linked", "golden", "Image", source="LINKED_CLONE")
    horizon.add_pool(
        "manual", "golden", "Image", machines=0, type="MANUAL", source="UNMANAGED", provisioning_settings=None
    )
    pools = by_name(info("pool", recorded=True, machines=True)["pools"])
    assert {name: pool["source"] for name, pool in pools.items()} == {"linked": "LINKED_CLONE", "manual": "UNMANAGED"}
    assert pools["manual"]["image"] is None
    assert pools["manual"]["outdated"] is None


def test_pool_info_without_repository_has_no_templates(horizon, images, info):
    horizon.add_pool("sales", "office-1", "strata-1")
    [pool] = info("pool")["pools"]
    assert (pool["image"]["vm"], pool["image"]["template"], pool["outdated"]) == ("office-1", None, None)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"names": ["sales"]}, ["sales"]),
        ({"names": ["sales", "finance"]}, ["sales", "finance"]),
        ({"template": "office"}, ["finance", "sales"]),
        ({"template": "office", "names": ["other", "sales"]}, ["sales"]),
        ({"template": "unknown"}, []),
    ],
    ids=str,
)
def test_pool_info_selects_pools(horizon, images, info, options, names):
    """A pool that has an image of the template only as its pending image is selected, too."""
    horizon.add_pool("sales", "office-1", "strata-1")
    horizon.add_pool("finance", "golden", "Image", **pending(images[1]))
    horizon.add_pool("other", "golden", "Image")
    assert [pool["name"] for pool in info("pool", recorded=True, **options)["pools"]] == names


def pending(vm: dict, state: str = "READY_HELD") -> dict:
    """Return the status of a pool in which an image is pending."""
    return {
        "instant_clone_pending_image_state": state,
        "instant_clone_pending_image_parent_vm_id": vm["moid"],
        "instant_clone_pending_image_snapshot_id": vm["snapshots"][0]["moid"],
    }


def test_pool_info_returns_the_pending_image_and_unknown_states(horizon, images, info):
    horizon.add_pool("sales", "golden", "Image", **pending(images[1]))
    [pool] = info("pool", recorded=True)["pools"]
    assert (pool["operation"], pool["pending"]["state"]) == ("NONE", "READY_HELD")
    assert (pool["pending"]["image"]["moid"], pool["pending"]["image"]["image_digest"]) == (images[1]["moid"], SECOND)
    assert pool["outdated"] is None


def test_pool_info_counts_machines_and_sessions(horizon, images, info):
    horizon.add_pool("sales", "office-1", "strata-1", machines=3)
    first, second, third = (machine["name"] for machine in horizon.machines("sales"))
    horizon.add_session(first)
    horizon.add_session(second, state="DISCONNECTED")
    horizon.change_machine(third, state="PROVISIONING_ERROR")
    [pool] = info("pool", machines=True)["pools"]
    assert pool["sessions"] == {"connected": 1, "disconnected": 1}
    counts = pool["machines"]
    assert (counts["total"], counts["on_image"], counts["pending"]) == (3, 2, 0)
    assert [failed["name"] for failed in counts["failed"]] == [third]
    [pool] = info("pool")["pools"]
    assert (pool["machines"], pool["sessions"]) == (None, None)


def test_farm_info_lists_farms(horizon, images, info):
    horizon.add_farm("apps", "office-1", "strata-1", servers=2)
    [farm] = info("farm", recorded=True, machines=True)["farms"]
    assert (farm["name"], farm["image"]["image_digest"], farm["outdated"]) == ("apps", FIRST, True)
    assert (farm["machines"]["total"], farm["machines"]["on_image"]) == (2, 2)
    assert farm["sessions"] == {"connected": 0, "disconnected": 0}


@pytest.mark.parametrize("kind", ["pool", "farm"])
def test_info_of_an_unknown_name_fails(horizon, kind):
    failed = fails(f"horizon_{kind}_info", "horizon.no_such_target", **horizon.options(), names=["missing"])
    assert failed["details"]["missing"] == ["missing"]


@pytest.mark.parametrize("kind", ["pool", "farm", "image"])
def test_info_by_template_needs_a_repository(horizon, monkeypatch, kind):
    monkeypatch.delenv("STRATA_REPOSITORY", raising=False)
    fails(f"horizon_{kind}_info", "operations.horizon_template", **horizon.options(), template="office")


def uses(image: dict) -> set[tuple]:
    """Return who uses the snapshots of a VM."""
    return {
        (snapshot["snapshot"], user["kind"], user["name"], user["role"], user["machines"])
        for snapshot in image["snapshots"]
        for user in snapshot["used_by"]
    }


def test_image_info_names_the_pools_and_farms_that_use_a_vm(horizon, images, info):
    horizon.add_snapshot("golden", "Next", above="Image")
    horizon.add_pool("sales", "golden", "Image", machines=2)
    horizon.add_farm("apps", "golden", "Next", servers=1)
    horizon.add_pool("finance", "office-1", "strata-1", machines=0, **pending(images[1]))
    found = {image["vm"]: image for image in info("image", recorded=True)["images"]}
    assert uses(found["golden"]) == {
        ("Image", "pool", "sales", "current", 0),
        ("Image", "pool", "sales", "machines", 2),
        ("Next", "farm", "apps", "current", 0),
        ("Next", "farm", "apps", "machines", 1),
    }
    assert uses(found["office-2"]) == {("strata-2", "pool", "finance", "pending", 0)}
    assert found["office-2"]["snapshots"][0]["image_digest"] == SECOND
    assert found["golden"]["snapshots"][1]["snapshot_path"].endswith("Image/Next")
    assert all(image["in_use"] and image["vcenter"]["hostname"] == "vcenter1.example.com" for image in found.values())


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"vms": ["golden"]}, ["golden"]),
        ({"template": "office"}, ["office-1", "office-2"]),
        ({"template": "office", "vcenter": "vcenter1.example.com"}, ["office-1", "office-2"]),
        ({}, ["office-1"]),
    ],
    ids=str,
)
def test_image_info_selects_vms(horizon, images, info, options, names):
    horizon.add_pool("sales", "office-1", "strata-1")
    found = info("image", recorded=True, **options)["images"]
    assert [image["vm"] for image in found] == names
    assert [image["in_use"] for image in found] == [name == "office-1" for name in names]


def test_image_info_returns_incompatible_reasons(horizon, images, info):
    horizon.set_reasons("golden", ["UNSUPPORTED_OS"])
    [image] = info("image", vms=["golden"])["images"]
    assert "UNSUPPORTED_OS" in image["incompatible_reasons"]


def test_image_info_shows_a_vm_that_was_removed_from_vcenter(horizon, images, info):
    horizon.add_pool("sales", "office-1", "strata-1", machines=0)
    horizon.remove_vm("office-1")
    [image] = info("image", recorded=True)["images"]
    assert (image["vm"], image["moid"]) == (None, images[0]["moid"])
    assert uses(image) == {(None, "pool", "sales", "current", 0)}


def test_image_info_of_an_unknown_vm_fails(horizon):
    horizon.add_vm("golden")
    fails("horizon_image_info", "horizon.vm_missing", **horizon.options(), vms=["missing"])


def test_image_info_distinguishes_equal_ids_of_two_vcenters():
    with HorizonSimulator(described_vcenters=2) as horizon:
        moids = {horizon.add_vm("golden", vcenter=number)["moid"] for number in (0, 1)}
        horizon.add_pool("sales", "golden", "Image", machines=1, vcenter=1)
        images = run("horizon_image_info", **horizon.options(), vms=["golden"])["images"]
        assert [(image["vcenter"]["hostname"], image["in_use"]) for image in images] == [
            ("vcenter1.example.com", False),
            ("vcenter2.example.com", True),
        ]
        assert len(moids) == 1
        [image] = run("horizon_image_info", **horizon.options(), vcenter="vcenter2.example.com")["images"]
        assert image["vcenter"]["hostname"] == "vcenter2.example.com"
        horizon_fixtures.check_contract(horizon)


def test_info_modules_work_with_the_oldest_version():
    with HorizonSimulator(contract="2206") as horizon:
        horizon.add_vm("golden")
        horizon.add_pool("sales", "golden", "Image")
        horizon.add_farm("apps", "golden", "Image")
        options = horizon.options()
        [pool] = run("horizon_pool_info", **options, machines=True)["pools"]
        [farm] = run("horizon_farm_info", **options, machines=True)["farms"]
        [image] = run("horizon_image_info", **options)["images"]
        assert pool["image"] == farm["image"]
        assert {(kind, name) for _snapshot, kind, name, _role, _number in uses(image)} == {
            ("pool", "sales"),
            ("farm", "apps"),
        }
        horizon_fixtures.check_contract(horizon)
