# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client and the base images on the Horizon simulator, which checks every request against its contract."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.base_images import BaseImages
from ansible_collections.strata.layering.plugins.module_utils.horizon.rest.client import AnswerLost, HorizonClient

POOLS = "/inventory/v6/desktop-pools"


@pytest.fixture
def connection(horizon, connection_to):
    changes = {"username": horizon.username, "domain": horizon.domain, "password": horizon.password}
    return connection_to(horizon, hostname=horizon.host, ca_file=horizon.ca_file, **changes)


@pytest.fixture
def client(connection):
    with HorizonClient.connect(connection) as found:
        yield found


def push(horizon, pool="sales"):
    """Return path and body of a push of the image that ``add_vm`` made."""
    image = horizon.add_vm("gold-2")
    path = f"/inventory/v2/desktop-pools/{horizon.pool(pool)['id']}/action/schedule-push-image"
    body = {
        "logoff_policy": "WAIT_FOR_LOGOFF",
        "parent_vm_id": image["moid"],
        "snapshot_id": "",
        "add_virtual_tpm": False,
    }
    return path, body, image


def failed(call, *arguments, **options):
    with pytest.raises(StrataError) as raised:
        call(*arguments, **options)
    return raised.value


def test_environment_and_clock(horizon, client):
    assert client.environment.cluster_guid == horizon.cluster_guid
    assert client.environment.pod == horizon.pod
    assert client.environment.release is not None
    assert abs(client.server_time() - horizon.clock.now) < 5000


def test_session_ends_with_the_client(horizon, connection):
    before = horizon.logged_in()
    with HorizonClient.connect(connection):
        assert horizon.logged_in() == before + 1
    assert horizon.logged_in() == before


@pytest.mark.parametrize("refresh", [False, True])
def test_tokens_that_expire_are_renewed(horizon, client, refresh):
    horizon.expire_tokens(refresh=refresh)
    assert list(client.pages(POOLS)) == []


def test_hours_pass_between_requests(horizon, client):
    horizon.clock.advance(10 * 3600)
    assert list(client.pages(POOLS)) == []


def test_vcenters_vms_and_snapshots(horizon, client):
    created = horizon.add_vm("gold", ("Base", "Update 9/30/26"))
    images = BaseImages(client)
    [vcenter] = images.vcenters()
    assert images.find_vcenter(vcenter.instance_uuid) == images.find_vcenter(vcenter.server_name) == vcenter
    vm = images.vm(vcenter.id, "gold")
    assert vm == images.vm(vcenter.id, vm.path) == images.vm(vcenter.id, created["moid"])
    snapshot = images.snapshot(vcenter.id, vm, "Update 9/30/26")
    assert snapshot == images.snapshot(vcenter.id, vm, snapshot.id) == images.snapshot(vcenter.id, vm, snapshot.path)
    assert images.check(vm, snapshot, "pool") == ()


def test_check_reads_the_reasons(horizon, client):
    horizon.add_vm("gold")
    horizon.set_reasons("gold", ["UNSUPPORTED_OS_FOR_FARM"])
    images = BaseImages(client)
    vm = images.vm(images.vcenters()[0].id, "gold")
    assert images.check(vm, None, "pool") == ()
    assert failed(images.check, vm, None, "farm").code == "horizon.vm_incompatible"


def test_pools_are_found_by_filter(horizon, client):
    horizon.add_vm("gold")
    for name in ("sales", "sales-2"):
        horizon.add_pool(name, "gold", "Image")
    [found] = client.pages(POOLS, {"name": "sales"})
    assert found["name"] == "sales"
    assert len(list(client.pages(POOLS))) == 2


def test_request_refused_has_the_key(horizon, client):
    horizon.add_vm("gold")
    horizon.add_pool("sales", "gold", "Image")
    path, body, unused = push(horizon)
    error = failed(client.post, path, body | {"snapshot_id": "snapshot-99999"})
    assert error.code == "horizon.refused"
    assert error.details["error_key"]


def test_pool_that_does_not_exist_is_not_found(client):
    error = failed(client.get, f"{POOLS}/00000000-0000-0000-0000-000000000000")
    assert error.code == "horizon.not_found"


def test_read_only_user_lacks_a_privilege(horizon, connection):
    horizon.add_vm("gold")
    horizon.add_pool("sales", "gold", "Image")
    path, body, image = push(horizon)
    password = horizon.add_user("reader")
    with HorizonClient.connect(dataclasses.replace(connection, username="reader", password=password)) as client:
        error = failed(client.post, path, body | {"snapshot_id": "snapshot-1"})
    assert error.code == "horizon.forbidden"
    assert error.details["privilege"] == "POOL_SVI_IMAGE_MANAGEMENT"


@pytest.mark.parametrize(
    "rule",
    [
        {"status": 503, "html": True},
        {"status": 502, "html": True},
        {"status": 429, "headers": {"X-Rate-Limit-Retry-After-Seconds": "1"}},
        {"drop_connection": True},
        {"drop_connection": True, "after": True},
        {"expire_tokens": "access"},
        {"expire_tokens": "all"},
    ],
)
def test_read_is_repeated(horizon, client, rule):
    horizon.rules.add("GET", POOLS, **rule)
    assert list(client.pages(POOLS)) == []


@pytest.mark.parametrize(
    ("rule", "lost"),
    [
        ({"status": 503, "html": True}, False),
        ({"status": 429, "headers": {"X-Rate-Limit-Retry-After-Seconds": "1"}}, False),
        ({"expire_tokens": "access"}, False),
        ({"expire_tokens": "all"}, False),
        ({"status": 502, "html": True}, True),
        ({"drop_connection": True}, True),
        ({"drop_connection": True, "after": True}, True),
    ],
)
def test_push_is_sent_at_most_once(horizon, client, rule, lost):
    horizon.add_vm("gold")
    horizon.add_pool("sales", "gold", "Image")
    path, body, image = push(horizon)
    body["snapshot_id"] = next(iter(image["snapshots"]))["moid"]
    horizon.clear_journal()
    horizon.rules.add("POST", "schedule-push-image", **rule)
    if lost:
        assert isinstance(failed(client.post, path, body), AnswerLost)
    else:
        client.post(path, body)
    accepted = [entry for entry in horizon.journal("POST", "schedule-push-image") if entry["status"] == 200]
    assert len(accepted) == (0 if lost else 1)
    [pool] = client.pages(POOLS)
    assert (pool["provisioning_status_data"]["instant_clone_operation"] == "SCHEDULE_PUSH_IMAGE") == (
        not lost or rule.get("after", False)
    )


def test_login_with_a_wrong_password_is_sent_once(horizon, connection):
    horizon.clear_journal()
    error = failed(HorizonClient.connect, dataclasses.replace(connection, password="wrong"))
    assert error.code == "horizon.login"
    assert len(horizon.journal("POST", "/login")) == 1
