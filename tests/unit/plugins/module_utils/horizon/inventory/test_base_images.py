# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vCenters, VMs and snapshots are found by whole names, paths and IDs, and never guessed."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.base_images import (
    BaseImages,
    BaseVm,
    Snapshot,
)
from ansible_collections.strata.layering.tests.support.scripted_server import Reply

VCENTERS, VMS, SNAPSHOTS = "/config/v2/virtual-centers", "/external/v1/base-vms", "/external/v1/base-snapshots"
UUID = "0f0e0d0c-1111-2222-3333-444455556666"


@pytest.fixture
def images(scripted_client):
    return BaseImages(scripted_client, pause=0.05)


def failed(call, *arguments, **options):
    with pytest.raises(StrataError) as raised:
        call(*arguments, **options)
    return raised.value


def vm(moid, path, **fields):
    return {"id": moid, "name": path.rpartition("/")[2], "path": path, "datacenter_id": "datacenter-2"} | fields


@pytest.fixture
def vcenters(scripted):
    scripted.script(
        "GET",
        VCENTERS,
        Reply(
            200,
            [
                {"id": "1", "server_name": "vc1.example.com", "instance_uuid": UUID.upper(), "enabled": True},
                {"id": "2", "server_name": "vc10.example.com", "instance_uuid": "x", "enabled": False},
                {"id": "3", "server_name": "double.example.com"},
                {"id": "4", "server_name": "https://DOUBLE.example.com:443/sdk"},
                {"id": "5"},
            ],
        ),
    )


@pytest.mark.parametrize(
    "name",
    [
        UUID,
        UUID.upper(),
        UUID.replace("-", ""),
        "vc1.example.com",
        "VC1.example.com ",
        "https://vc1.example.com:443/sdk",
    ],
)
def test_find_vcenter_by_uuid_name_or_url(images, vcenters, name):
    found = images.find_vcenter(name)
    assert (found.id, found.instance_uuid) == ("1", UUID)


@pytest.mark.parametrize(
    "name", ["vc1", "example.com", UUID.replace("0", "1"), "", "https://[", "vc1.example.com.evil"]
)
def test_find_vcenter_never_matches_a_part(images, vcenters, name):
    error = failed(images.find_vcenter, name)
    assert error.code == "horizon.vcenter_missing"
    assert any("vc10.example.com" in known for known in error.details["vcenters"])


def test_find_vcenter_two_of_a_name_lists_them(images, vcenters):
    error = failed(images.find_vcenter, "double.example.com")
    assert error.code == "horizon.vcenter_ambiguous"
    assert len(error.details["vcenters"]) == 2


def test_answers_are_read_once(images, scripted, vcenters):
    scripted.script("GET", VMS, Reply(200, [vm("vm-1", "/DC/vm/gold")]))
    scripted.script("GET", SNAPSHOTS, Reply(200, [vm("snapshot-1", "/a")]))
    for unused in range(2):
        found = images.vm("1", "gold")
        images.snapshot("1", found, "a")
        images.find_vcenter(UUID)
    assert [len(scripted.requests("GET", path)) for path in (VCENTERS, VMS, SNAPSHOTS)] == [1, 1, 1]
    assert scripted.requests("GET", SNAPSHOTS)[0].query == {"vcenter_id": "1", "base_vm_id": "vm-1"}


@pytest.mark.parametrize("name", ["vm-2", "/DC/vm/x/9/30/26", "9/30/26"])
def test_vm_names_with_slashes_are_compared_whole(images, scripted, name):
    vms = [vm("vm-1", "/DC/vm/26"), vm("vm-2", "/DC/vm/x/9/30/26", name="9/30/26")]
    scripted.script("GET", VMS, Reply(200, vms))
    assert images.vm("1", name).id == "vm-2"


def test_vm_two_of_a_name_lists_the_paths(images, scripted):
    scripted.script("GET", VMS, Reply(200, [vm("vm-1", "/DC/vm/a/gold"), vm("vm-2", "/DC/vm/b/gold")]))
    error = failed(images.vm, "1", "gold")
    assert error.code == "horizon.vm_ambiguous"
    assert error.details["paths"] == ["/DC/vm/a/gold (vm-1)", "/DC/vm/b/gold (vm-2)"]
    assert images.vm("1", "/DC/vm/b/gold").id == "vm-2"


def test_vm_name_that_is_the_id_of_a_different_vm_is_ambiguous(images, scripted):
    scripted.script("GET", VMS, Reply(200, [vm("vm-1", "/DC/vm/vm-2"), vm("vm-2", "/DC/vm/gold")]))
    assert failed(images.vm, "1", "vm-2").code == "horizon.vm_ambiguous"


def test_vm_missing_names_similar_vms(images, scripted):
    scripted.script("GET", VMS, Reply(200, [vm("vm-1", "/DC/vm/gold-win11"), vm("vm-2", "/DC/vm/other")]))
    error = failed(images.vm, "1", "gold-win10")
    assert error.code == "horizon.vm_missing"
    assert "/DC/vm/gold-win11" in error.hint
    assert len(scripted.requests("GET", VMS)) == 1


def test_vm_new_appears_during_the_wait(images, scripted):
    scripted.script("GET", VMS, Reply(200, []), Reply(200, []), Reply(200, [vm("vm-1", "/DC/vm/gold")]))
    assert images.vm("1", "vm-1", timeout=5).id == "vm-1"


def test_snapshot_new_appears_during_the_wait(images, scripted):
    machine = BaseVm("vm-1", "gold", "/DC/vm/gold", None, ())
    scripted.script("GET", SNAPSHOTS, Reply(200, []), Reply(200, [vm("snapshot-1", "/a")]))
    assert images.snapshot("1", machine, "snapshot-1", timeout=5).id == "snapshot-1"


def test_wait_for_a_vm_is_bounded(images, scripted):
    scripted.script("GET", VMS, Reply(200, []))
    assert failed(images.vm, "1", "gold", timeout=0.3).code == "horizon.vm_missing"
    assert 2 <= len(scripted.requests("GET", VMS)) <= 7


def test_snapshot_names_with_slashes_and_of_the_same_name(images, scripted):
    machine = BaseVm("vm-1", "gold", "/DC/vm/gold", None, ())
    snapshots = [
        {
            "id": "snapshot-1",
            "name": "Update 9/30/26",
            "path": "/base/Update 9/30/26",
            "created_timestamp": 1790000000000,
        },
        {"id": "snapshot-2", "name": "base", "path": "/base"},
        {"id": "snapshot-3", "name": "base", "path": "/base/base"},
    ]
    scripted.script("GET", SNAPSHOTS, Reply(200, snapshots))
    assert images.snapshot("1", machine, "Update 9/30/26").created == 1790000000000
    assert images.snapshot("1", machine, "/base").id == "snapshot-2"
    assert failed(images.snapshot, "1", machine, "base").code == "horizon.snapshot_ambiguous"
    assert failed(images.snapshot, "1", machine, "30").code == "horizon.snapshot_missing"


@pytest.mark.parametrize(
    ("reason", "pool", "farm"),
    [
        ("IN_USE_BY_DESKTOP_POOL", False, False),
        ("IN_USE_BY_LINKED_CLONE_DESKTOP_POOL", False, False),
        ("IN_USE_BY_INSTANT_CLONE_DESKTOP_POOL", False, False),
        ("INSTANT_INTERNAL", False, False),
        ("VIEW_COMPOSER_REPLICA", False, False),
        ("NO_SNAPSHOTS", False, False),
        ("UNSUPPORTED_OS", False, True),
        ("UNSUPPORTED_OS_FOR_FARM", True, False),
    ],
)
def test_check_reasons_by_kind(images, reason, pool, farm):
    machine = BaseVm("vm-1", "gold", None, None, (reason,))
    for kind, accepted in (("pool", pool), ("farm", farm)):
        if accepted:
            assert images.check(machine, None, kind) == ()
        else:
            error = failed(images.check, machine, None, kind)
            assert (error.code, error.details["reason"]) == ("horizon.vm_incompatible", reason)


@pytest.mark.parametrize("reason", ["POWERED_ON", "INCOMPATIBLE_HARDWARE_VERSION"])
def test_check_reasons_of_snapshots(images, reason):
    machine, snapshot = BaseVm("vm-1", "gold", None, None, ()), Snapshot("s", "s", None, None, (reason,))
    assert failed(images.check, machine, snapshot, "pool").code == "horizon.snapshot_incompatible"


def test_check_unknown_reasons_are_warnings(images):
    machine, snapshot = BaseVm("v", "v", None, None, ("NEW_A",)), Snapshot("s", "s", None, None, ("NEW_B",))
    warnings = images.check(machine, snapshot, "farm")
    assert len(warnings) == 2
    assert "NEW_A" in warnings[0]
    assert "NEW_B" in warnings[1]


@pytest.mark.parametrize(
    "body",
    [{}, "x", None, [1], [{"id": 1}], [{}], [{"id": "a", "incompatible_reasons": "X"}], [{"id": "a", "name": []}]],
)
def test_lists_of_the_wrong_type_are_reported(images, scripted, body):
    scripted.script("GET", VMS, Reply(200, body))
    assert failed(images.vms, "1").code == "horizon.answer"
