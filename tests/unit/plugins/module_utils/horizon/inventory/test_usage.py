# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The uses of images by pools, farms, machines and RDS servers."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.usage import (
    ImageUse,
    UsedImage,
    images_in_use,
    uses_of,
)
from ansible_collections.strata.layering.plugins.module_utils.horizon.model import ImageRef
from ansible_collections.strata.layering.tests.support.horizon_answers import (
    FARMS,
    MACHINES,
    POOLS,
    RDS_SERVERS,
    VCENTERS,
    RecordedClient,
    farm_answer,
    machine_answer,
    pool_answer,
    server_answer,
)

UUID, OTHER_UUID = "0f000000-0000-0000-0000-000000000001", "0f000000-0000-0000-0000-000000000002"
OLD, NEW = ImageRef("vm-1", "snapshot-1"), ImageRef("vm-2", "snapshot-2")
PENDING = {
    "instant_clone_pending_image_parent_vm_id": "vm-2",
    "instant_clone_pending_image_snapshot_id": "snapshot-2",
}
TO_NEW = {"pending_base_vm_id": "vm-2", "pending_base_vm_snapshot_id": "snapshot-2"}


def client(**lists) -> RecordedClient:
    vcenters = [
        {"id": f"vc-{number}", "server_name": f"vc{number}.example.com", "instance_uuid": uuid.upper(), "enabled": True}
        for number, uuid in enumerate((UUID, OTHER_UUID), 1)
    ]
    return RecordedClient({VCENTERS: vcenters} | lists)


def uses(**lists):
    return images_in_use(client(**lists))


class TestImagesInUse:
    def test_images_of_pools_farms_and_machines_are_found(self):
        status = {"instant_clone_pending_image_state": "READY_HELD", **PENDING}
        found = uses(
            **{
                POOLS: [pool_answer(status=status), pool_answer("lab", vcenter_id="vc-2")],
                FARMS: [farm_answer()],
                MACHINES: [machine_answer("m1"), machine_answer("m2", managed=TO_NEW)],
                RDS_SERVERS: [server_answer("s1")],
            }
        )
        assert found == {
            UsedImage(UUID, OLD): [
                ImageUse("farm", "apps", "current"),
                ImageUse("farm", "apps", "machines", 1),
                ImageUse("pool", "sales", "current"),
                ImageUse("pool", "sales", "machines", 2),
            ],
            UsedImage(UUID, NEW): [ImageUse("pool", "sales", "machines", 1), ImageUse("pool", "sales", "pending")],
            UsedImage(OTHER_UUID, OLD): [ImageUse("pool", "lab", "current")],
        }

    def test_requests_do_not_grow_with_pools(self):
        pools = [pool_answer(f"p{number}") for number in range(20)]
        machines = [machine_answer(f"m{number}", f"id-p{number % 20}") for number in range(100)]
        asked = client(**{POOLS: pools, MACHINES: machines})
        images_in_use(asked)
        assert len(asked.requests) == 5

    def test_pending_image_without_state_is_in_use(self):
        found = uses(**{POOLS: [pool_answer(status=PENDING)]})
        assert found[UsedImage(UUID, NEW)] == [ImageUse("pool", "sales", "pending")]

    def test_machine_of_invisible_pool_has_vcenter_of_its_own(self):
        found = uses(**{MACHINES: [machine_answer("m1", "hidden")]})
        assert found == {UsedImage(UUID, OLD): [ImageUse("pool", "hidden", "machines", 1)]}

    def test_server_of_invisible_farm_has_no_vcenter(self):
        found = uses(**{RDS_SERVERS: [server_answer("s1", "hidden")]})
        assert found == {UsedImage(None, OLD): [ImageUse("farm", "hidden", "machines", 1)]}

    def test_machine_whose_image_is_current_and_pending_counts_once(self):
        managed = {"pending_base_vm_id": "vm-1", "pending_base_vm_snapshot_id": "snapshot-1"}
        found = uses(**{MACHINES: [machine_answer("m1", managed=managed)]})
        assert [use.machines for use in found[UsedImage(UUID, OLD)]] == [1]

    def test_pod_without_pools_uses_no_image(self):
        assert uses() == {}


class TestUsesOf:
    IMAGES = {
        UsedImage(UUID, OLD): [ImageUse("pool", "sales", "current")],
        UsedImage(UUID, ImageRef("vm-1", "snapshot-9")): [ImageUse("pool", "lab", "pending")],
        UsedImage(OTHER_UUID, OLD): [ImageUse("pool", "other", "current")],
    }

    @pytest.mark.parametrize(
        ("uuid", "snapshot", "names"),
        [
            (UUID, "snapshot-1", ["sales"]),
            (UUID.upper(), "snapshot-1", ["sales"]),
            (UUID, None, ["lab", "sales"]),
            (OTHER_UUID, None, ["other"]),
            (UUID, "snapshot-2", []),
        ],
    )
    def test_uses_of_snapshot_or_of_all_snapshots(self, uuid, snapshot, names):
        assert [use.target_name for use in uses_of(self.IMAGES, uuid, "vm-1", snapshot)] == names

    def test_image_of_unknown_vcenter_counts_for_every_vcenter(self):
        images = {UsedImage(None, OLD): [ImageUse("farm", "apps", "machines", 1)]}
        assert uses_of(images, UUID, "vm-1", "snapshot-1") == [ImageUse("farm", "apps", "machines", 1)]

    def test_image_that_horizon_does_not_name_may_be_any_image_of_the_vcenter(self):
        """A pending image of the image catalog has a stream and a tag, and may be the VM that is to be removed."""
        catalog = pool_answer(status={"instant_clone_pending_image_state": "PUBLISHING"})
        found = uses(**{POOLS: [catalog]})
        assert [use.role for use in uses_of(found, UUID, "vm-7")] == ["pending"]
        assert uses_of(found, OTHER_UUID, "vm-7") == []
        failed = pool_answer(status={"instant_clone_pending_image_state": "FAILED"})
        assert uses_of(uses(**{POOLS: [failed]}), UUID, "vm-7") == []

    def test_machines_show_the_image_of_a_pool_that_horizon_does_not_name(self):
        catalog = pool_answer(settings={"parent_vm_id": None, "base_snapshot_id": None, "im_stream_id": "stream"})
        assert [use.role for use in uses_of(uses(**{POOLS: [catalog]}), UUID, "vm-7")] == ["current"]
        found = uses(**{POOLS: [catalog], MACHINES: [machine_answer("m1")]})
        assert uses_of(found, UUID, "vm-7") == []
        assert [use.role for use in uses_of(found, UUID, "vm-1")] == ["machines"]
