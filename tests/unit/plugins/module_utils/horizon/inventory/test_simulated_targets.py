# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools and farms on the Horizon simulator, which checks each request: pushes, canaries, cancellation, uses of images."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import NotFound, Unavailable
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.farms import Farms
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.machines import (
    choose_canary,
    count_machines,
)
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.pools import Pools
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.usage import (
    ImageUse,
    images_in_use,
    uses_of,
)
from ansible_collections.strata.layering.plugins.module_utils.horizon.model import (
    FORCE_LOGOFF,
    ComputeProfile,
    ImageRef,
    Operation,
    PendingState,
    PushRequest,
    SessionCounts,
)


@dataclasses.dataclass
class Site:
    """A pool and a farm on one image, and a second image."""

    horizon: object
    client: object
    old: ImageRef
    new: ImageRef

    def api(self, kind):
        return Pools(self.client) if kind == "pool" else Farms(self.client)

    def target(self, kind):
        (found,) = self.api(kind).find([{"pool": "sales", "farm": "apps"}[kind]])
        return found

    def members(self, kind):
        return self.horizon.machines("sales") if kind == "pool" else self.horizon.servers("apps")


@pytest.fixture
def site(horizon, horizon_client):
    def image(name):
        vm = horizon.add_vm(name)
        return ImageRef(vm["moid"], vm["snapshots"][0]["moid"])

    old, new = image("golden-1"), image("golden-2")
    horizon.add_pool("sales", old.vm, old.snapshot, 3, display_name="Desktop", add_virtual_tpm=True)
    horizon.add_farm("apps", old.vm, old.snapshot, 3)
    return Site(horizon, horizon_client, old, new)


both_kinds = pytest.mark.parametrize("kind", ["pool", "farm"])


@both_kinds
def test_target_is_found_by_its_name(site, kind):
    target = site.target(kind)
    assert (target.kind, target.current, target.operation, target.pending) == (kind, site.old, Operation.NONE, None)
    assert site.api(kind).all() == [target]
    assert site.api(kind).read(target.id) == target


@both_kinds
def test_display_name_is_not_a_name(site, kind):
    with pytest.raises(NotFound) as caught:
        site.api(kind).find(["Desktop"])
    assert caught.value.code == "horizon.no_such_target"
    assert caught.value.details["display_names"] == ({"Desktop": ["sales"]} if kind == "pool" else {})


@both_kinds
def test_push_reaches_all_machines(site, kind):
    api, target = site.api(kind), site.target(kind)
    assert api.push(target, PushRequest(site.new)) == ()
    pushed = api.read(target.id)
    assert pushed.operation is Operation.PUSH
    assert pushed.pending is not None
    assert pushed.pending.image == site.new
    site.horizon.clock.advance(3600)
    after = api.read(target.id)
    assert (after.current, after.operation, after.pending) == (site.new, Operation.NONE, None)
    assert after.add_virtual_tpm is target.add_virtual_tpm
    counts = count_machines(api.machines(target), site.new)
    assert (counts.total, counts.on_image) == (3, 3)


@both_kinds
def test_machines_in_session_are_pending(site, kind):
    api, target = site.api(kind), site.target(kind)
    first, second = [member["name"] for member in site.members(kind)][:2]
    site.horizon.add_session(first)
    site.horizon.add_session(second, "DISCONNECTED")
    assert api.sessions(target) == SessionCounts(1, 1, 0)
    assert api.sessions(target, [site.members(kind)[0]["id"]]) == SessionCounts(1, 0, 0)
    api.push(target, PushRequest(site.new))
    site.horizon.clock.advance(3600)
    counts = count_machines(api.machines(target), site.new)
    assert (counts.on_image, counts.pending) == (1, 2)
    assert sum(machine.in_session for machine in api.machines(target)) == 2


@both_kinds
def test_canary_is_applied_and_promoted(site, kind):
    api, target = site.api(kind), site.target(kind)
    (first,) = choose_canary(api.machines(target), site.new, count=1)
    (result,) = api.push(target, PushRequest(site.new, machine_ids=(first.id,)))
    assert (result.machine_id, result.error) == (first.id, None)
    site.horizon.clock.advance(600)
    held = api.read(target.id)
    assert held.current == site.old
    assert held.operation is Operation.NONE
    assert held.pending is not None
    assert held.pending.state is PendingState.READY_HELD
    chosen = choose_canary(api.machines(target), site.new, count=2)
    assert chosen[0].id == first.id
    api.apply(held, [machine.id for machine in chosen[1:]])
    site.horizon.clock.advance(600)
    assert count_machines(api.machines(target), site.new).on_image == 2
    api.promote(held)
    site.horizon.clock.advance(600)
    assert api.read(target.id).current == site.new
    assert count_machines(api.machines(target), site.new).on_image == 3


@both_kinds
def test_machine_that_does_not_exist_is_refused(site, kind):
    api, target = site.api(kind), site.target(kind)
    api.push(target, PushRequest(site.new, machine_ids=()))
    site.horizon.clock.advance(600)
    (first, *_others) = api.machines(target)
    with pytest.raises(Unavailable) as caught:
        api.apply(api.read(target.id), [first.id, "00000000-0000-0000-0000-000000000000"])
    assert caught.value.code == "horizon.machines_refused"
    assert caught.value.details["accepted"] == 1


@both_kinds
def test_scheduled_push_is_moved_and_canceled(site, kind):
    api, target, now = site.api(kind), site.target(kind), site.horizon.clock.now
    request = PushRequest(site.new, FORCE_LOGOFF, start_time=now + 7_200_000)
    api.push(target, request)
    site.horizon.clock.advance(600)
    scheduled = api.read(target.id)
    assert scheduled.pending is not None
    assert scheduled.pending.state is PendingState.READY
    assert scheduled.pending.settings.start_time == request.start_time
    assert scheduled.pending.settings.logoff_policy == FORCE_LOGOFF
    api.push(scheduled, dataclasses.replace(request, start_time=now + 10_800_000))
    moved = api.read(target.id)
    assert moved.pending is not None
    assert moved.pending.settings.start_time == now + 10_800_000
    api.cancel(moved)
    after = api.read(target.id)
    assert (after.operation, after.pending) == (Operation.NONE, None)
    # Horizon's documents say that a published image remains as the current image of a farm.
    assert after.current == (site.old if kind == "pool" else site.new)


@both_kinds
def test_image_that_is_being_published_is_canceled(site, kind):
    api, target = site.api(kind), site.target(kind)
    api.push(target, PushRequest(site.new))
    site.horizon.clock.advance(20)
    publishing = api.read(target.id)
    assert publishing.pending is not None
    assert publishing.pending.state is PendingState.PUBLISHING
    api.cancel(publishing)
    after = api.read(target.id)
    assert (after.operation, after.pending, after.current) == (Operation.NONE, None, site.old)


@both_kinds
def test_image_that_is_held_is_canceled(site, kind):
    api, target = site.api(kind), site.target(kind)
    api.push(target, PushRequest(site.new, machine_ids=()))
    site.horizon.clock.advance(600)
    api.cancel(api.read(target.id))
    after = api.read(target.id)
    assert (after.operation, after.pending, after.current) == (Operation.NONE, None, site.old)


def test_recurring_maintenance_of_a_farm_outlives_a_push_and_its_cancellation(site):
    site.horizon.add_recurring("apps")
    api, target = Farms(site.client), site.target("farm")
    assert target.operation is Operation.NONE
    api.push(target, PushRequest(site.new))
    site.horizon.clock.advance(20)
    pushed = api.read(target.id)
    assert pushed.operation is Operation.PUSH
    api.cancel(pushed)
    after = api.read(target.id)
    assert (after.operation, after.pending, after.current) == (Operation.NONE, None, site.old)
    assert after.raw["instant_clone_operation"] == "RECURRING_SCHEDULED_MAINTENANCE"


@both_kinds
def test_compute_profile_is_kept(site, kind):
    api, target = site.api(kind), site.target(kind)
    profile = ComputeProfile(4, 2, 8192)
    api.push(target, PushRequest(site.new, compute_profile=profile))
    site.horizon.clock.advance(3600)
    assert api.read(target.id).compute_profile == profile
    api.push(api.read(target.id), PushRequest(site.old))
    site.horizon.clock.advance(3600)
    after = api.read(target.id)
    assert (after.current, after.compute_profile) == (site.old, profile)


def test_task_that_is_halted_is_resumed(site):
    api, target = Pools(site.client), site.target("pool")
    site.horizon.settings(parallel=1)
    site.horizon.fail_machine("No space.")
    api.push(target, PushRequest(site.new))
    site.horizon.clock.advance(600)
    counts = count_machines(api.machines(target), site.new)
    assert (len(counts.failed), counts.halted) == (1, 2)
    api.resume(target, stop_on_first_error=True)
    site.horizon.clock.advance(600)
    assert count_machines(api.machines(target), site.new).on_image == 3


def test_provisioning_is_enabled(site):
    site.horizon.change_pool("sales", enable_provisioning=False)
    api, target = Pools(site.client), site.target("pool")
    assert target.provisioning is False
    api.enable_provisioning(target)
    assert api.read(target.id).provisioning is True


def test_uses_of_images_take_five_lists(site):
    pools = Pools(site.client)
    target = site.target("pool")
    pools.push(target, PushRequest(site.new, machine_ids=(pools.machines(target)[0].id,)))
    site.horizon.clock.advance(600)
    before = len(site.horizon.journal())
    images = images_in_use(site.client)
    assert len(site.horizon.journal()) - before == 5
    (vcenter,) = site.horizon.vcenters()
    uuid = vcenter["instance_uuid"]
    assert uses_of(images, uuid, site.new.vm, site.new.snapshot) == [
        ImageUse("pool", "sales", "machines", 1),
        ImageUse("pool", "sales", "pending"),
    ]
    assert uses_of(images, uuid, site.old.vm) == [
        ImageUse("farm", "apps", "current"),
        ImageUse("farm", "apps", "machines", 3),
        ImageUse("pool", "sales", "current"),
        ImageUse("pool", "sales", "machines", 2),
    ]
