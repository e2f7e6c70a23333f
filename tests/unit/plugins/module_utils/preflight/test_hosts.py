# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the composer reaches the hosts that may receive the disk."""

from __future__ import annotations

import contextlib
import socket

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.findings import FAIL, PASS, WARN
from ansible_collections.strata.layering.plugins.module_utils.preflight import hosts
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory import compute
from ansible_collections.strata.layering.tests.support.simulator import Simulator

from .conftest import log_in, subject_on


@pytest.fixture
def closed_port():
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    return port


@pytest.fixture
def silent_port():
    """A port that accepts connections and never answers, as a firewall that inspects TLS does."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def test_reachable_hosts_pass(subject):
    result, found, action = hosts.check(subject())
    assert (result, action) == (PASS, "")
    assert "127.0.0.1" in found


def test_no_host_reachable_fails(simulator, subject, closed_port):
    simulator.set_host_address(name="esx-7.invalid")
    result, found, action = hosts.check(subject())
    assert result == FAIL
    assert "esx-7.invalid" in found
    assert "443" in action
    simulator.set_host_address(name="127.0.0.1", port=closed_port)
    assert hosts.check(subject())[0] == FAIL


def test_one_host_unreachable_warns_and_names_it(simulator, subject):
    simulator.set_host_address("DC0_C0_H1", name="esx-7.invalid")
    result, found, _action = hosts.check(subject())
    assert result == WARN
    assert "esx-7.invalid" in found
    assert "1 of 2" in found


def test_only_hosts_that_may_receive_the_disk_count(simulator, subject):
    simulator.set_host_address("DC0_C0_H1", name="esx-7.invalid")
    simulator.set_host_address("DC0_H0", name="esx-8.invalid")
    assert hosts.check(subject(cluster=None, esxi_host="DC0_C0_H0"))[0] == PASS
    assert hosts.check(subject(cluster=None, esxi_host="DC0_C0_H1"))[0] == FAIL
    assert hosts.check(subject(cluster=None, esxi_host="DC0_H0"))[0] == FAIL


def test_host_that_does_not_answer_fails(simulator, subject, silent_port, monkeypatch):
    monkeypatch.setattr(hosts, "_TIMEOUT", 0.3)
    simulator.set_host_address(port=silent_port)
    result, found, _action = hosts.check(subject())
    assert result == FAIL
    assert str(silent_port) in found


def test_certificate_of_host_is_compared_with_the_thumbprint_of_the_inventory():
    with Simulator(template="windows-template", separate_host=True) as simulator, log_in(simulator) as session:
        assert hosts.check(subject_on(session))[0] == PASS
        simulator.set_host_address(thumbprint="AA:" * 19 + "AA")
        result, found, _action = hosts.check(subject_on(session))
        assert result == FAIL
        assert "AA:AA" in found


def test_certificate_without_a_thumbprint_in_the_inventory_is_a_warning(monkeypatch):
    """Some versions of vCenter may leave both properties unset; the lease of a transfer has its own."""
    read = compute.collect

    def without_certificates(*arguments, **options):
        found = read(*arguments, **options)
        for values in found.values():
            values["summary.config"].sslThumbprint = None
        return found

    monkeypatch.setattr(compute, "collect", without_certificates)
    with Simulator(template="windows-template", separate_host=True) as simulator, log_in(simulator) as session:
        result, _found, action = hosts.check(subject_on(session))
    assert (result, bool(action)) == (WARN, True)


def test_port_of_consoles_means_https(simulator, subject):
    """Older servers report the port of the agent for consoles; file transfers use 443, where nothing listens here."""
    simulator.set_host_address(port=902)
    result, found, _action = hosts.check(subject())
    assert result == FAIL
    assert "443" in found
    assert "902" not in found


def test_hosts_that_the_user_may_not_read_are_a_warning(subject, monkeypatch):
    """A user with privileges on the resource pool alone can publish."""
    target = subject()
    monkeypatch.setattr(
        compute, "collect", lambda _session, objects, *_paths, **_options: {item: {} for item in objects}
    )
    assert hosts.check(target)[0] == WARN
