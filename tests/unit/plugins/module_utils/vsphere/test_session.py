# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions: logging in, failures, and logging in again after the session ended."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    InternalError,
    InvalidInput,
    StrataError,
    Unavailable,
)
from ansible_collections.strata.layering.plugins.module_utils.vsphere.hardware.hardware import Hardware
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.inventory import Inventory
from ansible_collections.strata.layering.plugins.module_utils.vsphere.properties import read
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Patience
from ansible_collections.strata.layering.tests.support.deploying import deploy_vm


@pytest.fixture
def failure(simulator, connect):
    def attempt(**changes):
        with pytest.raises(StrataError) as caught:
            connect(simulator, **changes)
        assert caught.value.hint
        return caught.value

    return attempt


def test_connect_logs_in_and_out(simulator, connect):
    with connect(simulator) as session:
        assert session.content.about.apiType == "VirtualCenter"
        assert simulator.password not in repr(session)
        root = session.content.rootFolder
        assert read(session, root, "name")["name"] == "Datacenters"
    with pytest.raises(InternalError) as caught:
        read(session, root, "name")
    assert caught.value.code == "vsphere.session"
    session.close()


def test_connect_wrong_password_fails(simulator, failure):
    error = failure(password="not the s3cret")
    assert error.code == "vsphere.login"
    assert simulator.host in error.message
    assert simulator.username in error.message
    assert "s3cret" not in f"{error} {error.details} {error.__cause__}"


def test_connect_untrusted_certificate_fails(simulator, failure, connect):
    error = failure(ca_file=None)
    assert error.code == "vsphere.certificate"
    assert "validate_certs" in error.hint
    with connect(simulator, ca_file=None, validate_certs=False) as session:
        assert session.content.about.vendor


def test_connect_refused_connection_fails(free_port, failure):
    assert failure(port=free_port).code == "vsphere.refused"
    error = failure(hostname="vcenter.invalid")
    assert error.code == "vsphere.name_resolution"
    assert "vcenter.invalid" in error.message


def test_connect_proxy_that_fails_is_named(free_port, failure, simulator):
    refused = failure(proxy_host="127.0.0.1", proxy_port=free_port)
    unknown = failure(proxy_host="proxy.invalid")
    for error, code, proxy in (
        (refused, "vsphere.refused", str(free_port)),
        (unknown, "vsphere.name_resolution", "proxy.invalid"),
    ):
        assert error.code == code
        assert proxy in error.message and str(simulator.port) not in error.message
    assert "proxy_host" in unknown.hint


def test_connect_web_server_fails(web_server, failure):
    plain, tls = web_server
    assert failure(port=plain).code in ("vsphere.tls", "vsphere.connection")
    assert failure(port=tls, validate_certs=False, ca_file=None).code == "vsphere.protocol"


def test_connect_invalid_options_fail(tmp_path, failure):
    assert failure(ca_file=str(tmp_path / "absent.pem")).code == "vsphere.ca_file"
    (tmp_path / "junk.pem").write_text("junk")
    assert isinstance(failure(ca_file=str(tmp_path / "junk.pem")), InvalidInput)
    assert failure(hostname="").code == "vsphere.hostname"


def test_session_expired_is_renewed(simulator, session):
    datacenter = Inventory(session).datacenter("DC0")
    simulator.expire_sessions()
    assert read(session, datacenter, "name") == {"name": "DC0"}
    simulator.expire_sessions()
    # Calls that change something are made once more too: the refused one did nothing.
    folder = Inventory(session).folder(datacenter, "renewed", create=True)
    assert read(session, folder, "name") == {"name": "renewed"}


def test_session_expired_is_renewed_once_by_many_threads(simulator, session):
    datacenter = Inventory(session).datacenter("DC0")
    simulator.expire_sessions()
    simulator.clear_journal()
    names = []
    threads = [
        threading.Thread(target=lambda: names.append(read(session, datacenter, "name")["name"])) for unused in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["DC0"] * 8
    assert len(simulator.journal(method="Login")) == 1


def test_session_password_changed_fails(simulator, session):
    datacenter = Inventory(session).datacenter("DC0")
    simulator.expire_sessions()
    session._password = "changed"
    with pytest.raises(Unavailable) as caught:
        read(session, datacenter, "name")
    assert caught.value.code == "vsphere.login"


def test_session_vcenter_restarts_is_waited_for(simulator, session):
    datacenter = Inventory(session).datacenter("DC0")
    simulator.restart(down=1.5)
    assert read(session, datacenter, "name") == {"name": "DC0"}
    assert simulator.journal(method="Login")


@pytest.mark.parametrize(
    "fault", [{"drop_connection": True}, {"http_status": 503}, {"drop_connection": True, "after": True}]
)
def test_session_connection_fails_repeats_only_reads(simulator, session, fault):
    inventory = Inventory(session)
    datacenter = inventory.datacenter("DC0")
    simulator.rules.add("RetrievePropertiesEx", **fault)
    assert read(session, datacenter, "name") == {"name": "DC0"}
    simulator.rules.add("CreateFolder", **fault)
    with pytest.raises(Unavailable) as caught:
        inventory.folder(datacenter, f"once-{len(fault)}", create=True)
    assert caught.value.code == ("vsphere.not_ready" if "http_status" in fault else "vsphere.connection")
    assert simulator.host in caught.value.message
    # The next run finds or makes it.
    assert inventory.folder(datacenter, f"once-{len(fault)}", create=True) is not None


def test_session_transient_fault_repeats_reads(simulator, session):
    root = session.content.rootFolder
    simulator.rules.add("RetrievePropertiesEx", fault="SystemError")
    assert "name" in read(session, root, "name")
    simulator.rules.add("RetrievePropertiesEx", fault="NoPermission")
    with pytest.raises(Unavailable) as caught:
        read(session, root, "name")
    assert caught.value.code == "vsphere.permission"
    number = simulator.rules.add("RetrievePropertiesEx", fault="SystemError", count=None)
    with pytest.raises(Unavailable) as caught:
        read(session, root, "name")
    assert caught.value.code == "vsphere.fault"
    assert next(rule["hits"] for rule in simulator.rules.list() if rule["id"] == number) == 4


@pytest.mark.parametrize("fault", [{"drop_connection": True}, {"http_status": 503}])
def test_connect_transient_failure_is_repeated(simulator, connect, fault):
    for method in ("RetrieveServiceContent", "Login"):
        simulator.rules.add(method, **fault)
    with connect(simulator) as session:
        simulator.expire_sessions()
        simulator.rules.add("Login", **fault)
        assert Inventory(session).folder(Inventory(session).datacenter("DC0"), "made", create=True) is not None


def test_connect_lasting_failure_fails(simulator, connect):
    with connect(simulator, patience=Patience(calls=0.6)) as session:
        simulator.rules.add("RetrievePropertiesEx", count=None, http_status=503)
        with pytest.raises(Unavailable) as caught:
            read(session, session.content.rootFolder, "name")
        assert "503" in caught.value.message


def test_fault_error_is_a_sentence(simulator, session):
    inventory = Inventory(session)
    datacenter = inventory.datacenter("DC0")
    simulator.rules.add(
        "CreateFolder",
        fault="NoPermission",
        fault_fields={"PrivilegeId": "Folder.Create"},
        message="Permission was denied.",
    )
    with pytest.raises(Unavailable) as caught:
        inventory.folder(datacenter, "denied", create=True)
    assert caught.value.code == "vsphere.permission"
    assert "Folder.Create" in caught.value.message
    assert "denied in /DC0/vm failed" in caught.value.message


def test_session_uses_the_proxy(simulator, connect, proxy, disk):
    port, targets = proxy
    with connect(simulator, proxy_host="127.0.0.1", proxy_port=port) as session:
        placement = Inventory(session).placement(
            datacenter="DC0", cluster="DC0_C0", datastore="LocalDS_0", network="VM Network"
        )
        made = deploy_vm(
            session,
            placement,
            name="image",
            hardware=Hardware(),
            capacity=disk.capacity,
            blocks=disk.blocks,
            length=disk.length,
        )
        assert made.verified
    assert len(targets) >= 3
    assert set(targets) == {f"{simulator.host}:{simulator.port}"}
