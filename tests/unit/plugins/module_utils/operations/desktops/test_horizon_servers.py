# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking several Connection Servers about the use of VMs."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.arguments import horizon_servers_arguments
from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput, Unavailable
from ansible_collections.strata.layering.plugins.module_utils.common.progress import Progress, silent
from ansible_collections.strata.layering.plugins.module_utils.common.worker_pool import run_jobs
from ansible_collections.strata.layering.plugins.module_utils.horizon.inventory.usage import ImageUse, UsedImage
from ansible_collections.strata.layering.plugins.module_utils.horizon.model import ImageRef
from ansible_collections.strata.layering.plugins.module_utils.operations.desktops.horizon_options import HorizonOptions
from ansible_collections.strata.layering.plugins.module_utils.operations.desktops.horizon_servers import (
    HorizonServers,
    RememberedUse,
)
from ansible_collections.strata.layering.plugins.module_utils.publish.retiring.horizon_use import HorizonUser
from ansible_collections.strata.layering.tests.support.expectations import raises

SERVER = {
    "hostname": "cs01.example.com",
    "username": "svc-images",
    "domain": "EXAMPLE",
    "password": "s3cret",
    "validate_certs": True,
    "port": 443,
    "ca_path": None,
    "proxy_host": None,
    "proxy_port": None,
    "api_log": None,
}
SALES = ImageUse("pool", "sales", "current")
APPS = ImageUse("farm", "apps", "machines", 2)


class FakeServers(HorizonServers):
    """Connection Servers with known answers; ``reads`` counts the questions."""

    reads = 0
    answers: list = []
    error: Exception | None = None

    def read(self) -> list:
        FakeServers.reads += 1
        if self.error is not None:
            raise self.error
        return self.answers


@pytest.fixture
def servers(monkeypatch) -> FakeServers:
    """Two pods with the image vm-1 of the vCenter uuid-1; the second pod also has the ID in the vCenter uuid-2."""
    first = {UsedImage("uuid-1", ImageRef("vm-1", "snapshot-1")): [SALES]}
    second = {
        UsedImage("uuid-1", ImageRef("vm-1", "snapshot-2")): [APPS],
        UsedImage("uuid-2", ImageRef("vm-2", "snapshot-1")): [SALES],
    }
    monkeypatch.setattr(FakeServers, "reads", 0)
    monkeypatch.setattr(FakeServers, "answers", [("cs01", first), ("cs02", second)])
    return FakeServers(())


def test_users_joins_the_pods_and_ignores_other_vcenters(servers):
    assert servers.users("UUID-1", ["vm-1", "vm-2"]) == {
        "vm-1": (HorizonUser("cs01", "pool", "sales", "current"), HorizonUser("cs02", "farm", "apps", "machines", 2)),
        "vm-2": (),
    }


def test_users_of_a_pod_without_an_image_in_the_vcenter_are_matched_by_the_id_alone(servers):
    """Whether the instance UUID that Horizon reports is the one of vSphere has not been tried on a real Connection Server."""
    assert servers.users("uuid-3", ["vm-2"]) == {"vm-2": (HorizonUser("cs02", "pool", "sales", "current", 0, False),)}


def test_users_asks_again_each_time(servers):
    for _number in range(2):
        servers.users("uuid-1", ["vm-1"])
    assert servers.reads == 2


def test_remembered_use_asks_once(servers):
    remembered = RememberedUse(servers)
    assert remembered.users("uuid-1", ["vm-1"]) == remembered.users("uuid-1", ["vm-1"])
    assert servers.reads == 1


def test_remembered_use_asks_once_also_if_a_server_does_not_answer(servers, monkeypatch):
    monkeypatch.setattr(FakeServers, "error", Unavailable("No answer.", code="horizon.no_answer", hint="Wait."))
    remembered = RememberedUse(servers)
    for _number in range(2):
        with raises(Unavailable, "horizon.no_answer"):
            remembered.users("uuid-1", ["vm-1"])
    assert servers.reads == 1


def test_rejected_login_is_not_repeated_by_the_processes_of_other_templates(monkeypatch):
    """Several rejected logins lock the account."""
    servers = HorizonServers.optional({"horizon": [SERVER]})
    assert servers is not None

    def reject(_options: HorizonOptions) -> None:
        raise Unavailable("Rejected.", code="horizon.login")

    def ask(_progress: Progress) -> None:
        servers.users("uuid-1", ["vm-1"])

    monkeypatch.setattr(HorizonOptions, "connect", reject)
    results = run_jobs(dict.fromkeys(("first", "second", "third"), ask), 1, silent)
    assert [error.code for error in results.values()] == ["horizon.login", *["operations.horizon_login_rejected"] * 2]


def test_optional_without_servers_is_none():
    assert HorizonServers.optional({"horizon": []}) is None
    assert RememberedUse.optional({"horizon": None}) is None


def test_optional_reads_each_server_and_shows_no_password():
    servers = HorizonServers.optional({"horizon": [SERVER, SERVER | {"hostname": "cs02", "port": 8443}]})
    assert servers is not None
    assert [(server.connection.hostname, server.connection.port) for server in servers.servers] == [
        ("cs01.example.com", 443),
        ("cs02", 8443),
    ]
    assert "s3cret" not in repr(servers)


def test_optional_of_a_user_without_domain_fails():
    with raises(InvalidInput, "operations.horizon_account"):
        HorizonServers.optional({"horizon": [SERVER | {"domain": None}]})


def test_servers_arguments_use_no_environment_variable():
    options = horizon_servers_arguments()["horizon"]["options"]
    assert not [name for name, spec in options.items() if "fallback" in spec]
    assert options["password"]["no_log"] is True
    assert options.keys() == SERVER.keys()
