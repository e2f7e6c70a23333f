# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates, proxies and wrong options end as errors that say what to do."""

from __future__ import annotations

import contextlib
import socket

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.horizon.rest.client import HorizonClient
from ansible_collections.strata.layering.tests.support.certificates import make_certificate
from ansible_collections.strata.layering.tests.support.connect_proxy import ConnectProxy
from ansible_collections.strata.layering.tests.support.scripted_server import Reply, ScriptedServer

POOL = "/inventory/v6/desktop-pools/p1"


def failed(call, *arguments, **options):
    with pytest.raises(StrataError) as raised:
        call(*arguments, **options)
    return raised.value


def test_certificate_of_an_authority_is_accepted(scripted, connection_to):
    with HorizonClient.connect(connection_to(scripted)):
        pass


def test_certificate_that_is_self_signed_is_accepted_with_ca_path(tmp_path, connection_to):
    certificate = make_certificate(tmp_path, "self")
    with ScriptedServer(certificate.file) as server:
        with HorizonClient.connect(connection_to(server, ca_file=str(certificate.ca_file))):
            pass
        with HorizonClient.connect(connection_to(server, ca_file=None, validate_certs=False)):
            pass


@pytest.mark.parametrize(
    ("options", "trusted", "reason"),
    [
        ({}, False, "self_signed"),
        ({"issuer": "other authority"}, False, "unknown_authority"),
        ({"address": "127.0.0.9"}, True, "name"),
        ({"first_day": -9, "last_day": -2}, True, "expired"),
        ({"first_day": 2, "last_day": 5}, True, "not_yet_valid"),
    ],
)
def test_certificate_that_is_not_accepted_says_why(tmp_path, connection_to, options, trusted, reason):
    certificate = make_certificate(tmp_path, "bad", **options)
    with ScriptedServer(certificate.file) as server:
        changes = {"ca_file": str(certificate.ca_file)} if trusted else {}
        error = failed(HorizonClient.connect, connection_to(server, **changes))
        assert (error.code, error.details["reason"]) == ("horizon.certificate", reason)
        assert not server.received


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_ca_path_that_cannot_be_used_is_refused(tmp_path, scripted, connection_to, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    assert failed(HorizonClient.connect, connection_to(scripted, ca_file=str(path))).code == "horizon.ca_file"


@pytest.mark.parametrize("hostname", ["https://cs01.example.com", "cs01.example.com:8443", "cs01 .example.com", ""])
def test_hostname_that_is_not_a_name_is_refused(scripted, connection_to, hostname):
    assert failed(HorizonClient.connect, connection_to(scripted, hostname=hostname)).code == "horizon.hostname"


def test_name_that_is_unknown_is_reported(scripted, connection_to):
    connection = connection_to(scripted, hostname="cs01.invalid")
    assert failed(HorizonClient.connect, connection).code == "horizon.name_resolution"


def test_connection_refused_is_reported(scripted, connection_to):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    assert failed(HorizonClient.connect, connection_to(scripted, port=port)).code == "horizon.connection_refused"


def test_server_without_tls_is_reported(connection_to, scripted):
    with ConnectProxy() as plain:
        assert failed(HorizonClient.connect, connection_to(scripted, port=plain.port)).code in (
            "horizon.tls",
            "horizon.connection",
        )


def test_server_that_stops_during_a_session_is_reported(certificate, connection_to):
    with ScriptedServer(certificate.file) as server:
        client = HorizonClient.connect(connection_to(server))
        server.script("GET", POOL, Reply(200, {}, {"Connection": "close"}))
        client.get(POOL)
    assert failed(client.get, POOL).code == "horizon.connection_refused"
    assert failed(client.post, POOL).code == "horizon.connection_refused"
    client.close()


def test_proxy_is_used(scripted, connection_to):
    with ConnectProxy() as proxy:
        with HorizonClient.connect(connection_to(scripted, proxy_host="127.0.0.1", proxy_port=proxy.port)):
            pass
        assert set(proxy.targets) == {f"127.0.0.1:{scripted.port}"}


@pytest.mark.parametrize("hostname", ["::1", "[::1]"])
def test_ipv6_address_is_used_directly_and_through_a_proxy(tmp_path, connection_to, hostname):
    certificate = make_certificate(tmp_path, "six", issuer="authority", address="::1")
    with ScriptedServer(certificate.file, address="::1") as server, ConnectProxy() as proxy:
        changes = {"hostname": hostname, "ca_file": str(certificate.ca_file)}
        HorizonClient.connect(connection_to(server, **changes)).close()
        HorizonClient.connect(connection_to(server, proxy_host="127.0.0.1", proxy_port=proxy.port, **changes)).close()
        assert set(proxy.targets) == {f"[::1]:{server.port}"}


def test_proxy_of_the_environment_is_not_used(scripted, connection_to, monkeypatch):
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with HorizonClient.connect(connection_to(scripted)):
        pass


def test_proxy_refuses_the_connection_is_reported(scripted, connection_to):
    with ConnectProxy(status="403 Forbidden") as proxy:
        error = failed(HorizonClient.connect, connection_to(scripted, proxy_host="127.0.0.1", proxy_port=proxy.port))
    assert error.code == "horizon.proxy"
    assert "403" in error.message


def test_proxy_that_does_not_run_is_named(scripted, connection_to):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    error = failed(HorizonClient.connect, connection_to(scripted, proxy_host="127.0.0.1", proxy_port=port))
    assert error.code == "horizon.connection_refused"
    assert f"port {port}" in error.message
