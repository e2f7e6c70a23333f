# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of connections, refusals, rate limits and servers that are not registries."""

from __future__ import annotations

import time

import pytest
from urllib3.connection import HTTPConnection

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput, NotFound, StrataError
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import Patience, RegistryAddress
from ansible_collections.strata.layering.tests.support.certificates import make_certificate
from ansible_collections.strata.layering.tests.support.connect_proxy import ConnectProxy
from ansible_collections.strata.layering.tests.support.oci_registry import REPOSITORY, connect, push_blob
from ansible_collections.strata.layering.tests.support.samba import free_port


def failure(registry, **options):
    with pytest.raises(StrataError) as caught, connect(registry, **options) as connected:
        connected.tags(REPOSITORY)
    assert caught.value.hint
    return caught.value


def test_certificate_of_an_unknown_authority_is_reported(simulated_tls_registry):
    error = failure(simulated_tls_registry, ca_file=None)
    assert (error.code, error.details["reason"]) == ("oci_registry.certificate", "unknown_authority")


def test_certificate_is_not_checked_if_not_requested(simulated_tls_registry):
    with connect(simulated_tls_registry, ca_file=None, validate_certs=False) as registry:
        assert registry.tags(REPOSITORY) == []


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_environment_does_not_replace_the_authorities(simulated_tls_registry, monkeypatch, tmp_path, variable):
    monkeypatch.setenv(variable, str(make_certificate(tmp_path, "other").ca_file))
    with connect(simulated_tls_registry) as registry:
        assert registry.tags(REPOSITORY) == []


def test_file_of_authorities_that_is_not_valid_is_reported(simulated_tls_registry, tmp_path):
    (tmp_path / "ca").write_text("nothing")
    assert failure(simulated_tls_registry, ca_file=str(tmp_path / "ca")).code == "oci_registry.ca_file"
    assert failure(simulated_tls_registry, ca_file=str(tmp_path / "none")).code == "oci_registry.ca_file"


def test_registry_without_tls_is_reported(simulated_registry):
    error = failure(simulated_registry, plain_http=False)
    assert error.code == "oci_registry.tls"
    assert "plain_http" in error.hint


def test_port_that_nothing_listens_on_is_reported(simulated_registry):
    address = RegistryAddress("127.0.0.1", free_port())
    assert failure(simulated_registry, address=address).code == "oci_registry.connection_refused"


def test_name_that_does_not_exist_is_reported(simulated_registry):
    address = RegistryAddress("registry.invalid")
    assert failure(simulated_registry, address=address).code == "oci_registry.name_resolution"


def test_registry_that_does_not_answer_is_reported(simulated_registry):
    simulated_registry.rules.add("GET", "/v2/", delay=1, count=None)
    patience = Patience(connect=5, read=0.2, attempts=2, pause=0.01)
    assert failure(simulated_registry, patience=patience).code == "oci_registry.no_answer"


@pytest.mark.parametrize(("status", "body"), [(404, "<h1>Not Found</h1>"), (200, "<html>Welcome</html>")])
def test_server_that_is_not_a_registry_is_reported(simulated_registry, status, body):
    simulated_registry.rules.add("GET", "^/v2/$", status=status, body=body)
    assert failure(simulated_registry).code == "oci_registry.protocol"


@pytest.mark.parametrize(
    ("status", "headers", "body", "code"),
    [
        (403, {}, '{"errors": [{"code": "DENIED", "message": "project is read-only"}]}', "oci_registry.forbidden"),
        (400, {}, '{"errors": [{"code": "NAME_INVALID", "message": "bad name"}]}', "oci_registry.refused"),
        (500, {}, "<html><body>Error</body></html>", "oci_registry.unavailable"),
        (429, {"Retry-After": "100"}, "", "oci_registry.throttled"),
        (302, {"Location": "http://user:pw@192.0.2.1/"}, "", "oci_registry.redirect"),
        (200, {"Content-Encoding": "gzip"}, "{}", "oci_registry.connection"),
    ],
)
def test_refusals_have_codes(simulated_registry, status, headers, body, code):
    simulated_registry.rules.add("GET", "/tags/", status=status, headers=headers, body=body, count=None)
    assert failure(simulated_registry).code == code


def test_server_that_wants_tls_is_reported(simulated_registry):
    body = "Client sent an HTTP request to an HTTPS server.\n"
    simulated_registry.rules.add("GET", "^/v2/$", status=400, body=body)
    assert failure(simulated_registry).code == "oci_registry.tls"


def test_repository_that_must_be_created_first_is_reported(simulated_registry):
    body = '{"errors": [{"code": "NAME_UNKNOWN", "message": "create it"}]}'
    simulated_registry.rules.add("POST", "/uploads/", status=404, body=body)
    with connect(simulated_registry) as registry, pytest.raises(NotFound) as caught:
        push_blob(registry, b"data")
    assert caught.value.code == "oci_registry.not_found"


def test_codes_and_messages_of_the_registry_are_shown(simulated_registry):
    body = '{"errors": [{"code": "DENIED", "message": "quota\\nexceeded"}]}'
    simulated_registry.rules.add("GET", "/tags/", status=403, body=body)
    error = failure(simulated_registry)
    assert error.details["registry_codes"] == ["DENIED"]
    assert "quota exceeded" in error.message


def test_text_of_a_page_is_shown_without_markup(simulated_registry):
    page = "<html><style>h1 {}</style><h1>Bad <b>gateway</b></h1></html>" + "x" * 100_000
    simulated_registry.rules.add("GET", "/tags/", status=502, body=page, count=None)
    error = failure(simulated_registry)
    assert "Bad gateway" in error.message
    assert len(error.message) < 1000


def test_secret_in_an_error_is_hidden(simulated_registry):
    simulated_registry.configure(auth="basic")
    body = '{"errors": [{"code": "DENIED", "message": "no s3cret/Pa ss"}]}'
    simulated_registry.rules.add("GET", "/tags/", status=403, body=body)
    error = failure(simulated_registry, username="pusher", password="s3cret/Pa ss")
    assert "s3cret" not in f"{error} {error.details}"


@pytest.mark.parametrize(
    ("status", "body"),
    [(429, ""), (503, ""), (403, "You have exceeded a secondary rate limit.")],
    ids=["429", "503", "403"],
)
def test_rate_limit_is_respected(simulated_registry, status, body):
    simulated_registry.rules.add("GET", "/tags/", status=status, body=body, headers={"Retry-After": "0.3"})
    began = time.monotonic()
    with connect(simulated_registry) as registry:
        assert registry.tags(REPOSITORY) == []
    assert time.monotonic() - began >= 0.3


def test_rate_limit_in_an_upload_is_respected(simulated_registry):
    simulated_registry.rules.add("PUT", status=429, headers={"Retry-After": "0"})
    with connect(simulated_registry) as registry:
        push_blob(registry, b"data")


def test_redirects_end(simulated_registry):
    simulated_registry.rules.add(
        "GET", "/tags/", status=307, headers={"Location": f"/v2/{REPOSITORY}/tags/list"}, count=None
    )
    assert failure(simulated_registry).code == "oci_registry.redirect"
    assert len(simulated_registry.journal("GET", "/tags/")) == 6


def test_redirect_to_http_is_refused(simulated_tls_registry, simulated_registry):
    simulated_tls_registry.rules.add("GET", "/tags/", status=307, headers={"Location": f"{simulated_registry.url}/v2/"})
    assert failure(simulated_tls_registry).code == "oci_registry.redirect"
    assert simulated_registry.journal() == []


def test_cookies_are_not_sent_back(simulated_registry):
    simulated_registry.rules.add(
        "GET", "/tags/", status=200, body='{"tags": []}', headers={"Set-Cookie": "sid=1; Path=/"}
    )
    with connect(simulated_registry) as registry:
        registry.tags(REPOSITORY)
        registry.tags(REPOSITORY)
    assert [entry for entry in simulated_registry.journal() if "cookie" in entry.headers] == []


def test_connections_are_used_again(simulated_registry, monkeypatch):
    opened, original = [], HTTPConnection.connect

    def counting(connection):
        opened.append(connection)
        original(connection)

    monkeypatch.setattr(HTTPConnection, "connect", counting)
    with connect(simulated_registry) as registry:
        digest = push_blob(registry, b"data")
        registry.blob_size(REPOSITORY, digest)
        registry.digest_of(REPOSITORY, "none")
        registry.read_blob(REPOSITORY, digest, 10)
    assert len(opened) == 1


def test_time_of_the_server_is_known(simulated_registry):
    simulated_registry.configure(clock_offset=3600)
    with connect(simulated_registry) as registry:
        assert registry.server_time() == pytest.approx(time.time() + 3600, abs=5)


@pytest.mark.parametrize("proxy", ["proxy.example.com", "socks5://proxy.example.com"])
def test_proxy_that_is_not_a_url_is_refused(simulated_registry, proxy):
    with pytest.raises(InvalidInput) as caught:
        connect(simulated_registry, proxy=proxy)
    assert caught.value.code == "oci_registry.proxy_url"


def test_proxy_is_used(simulated_tls_registry):
    with ConnectProxy() as proxy, connect(simulated_tls_registry, proxy=f"http://127.0.0.1:{proxy.port}") as registry:
        assert registry.tags(REPOSITORY) == []
        assert proxy.targets == [simulated_tls_registry.address]


@pytest.mark.parametrize(("no_proxy", "uses"), [("", 1), ("127.0.0.1", 0)])
def test_proxy_of_the_environment_is_used(simulated_tls_registry, monkeypatch, no_proxy, uses):
    with ConnectProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", no_proxy)
        with connect(simulated_tls_registry) as registry:
            assert registry.tags(REPOSITORY) == []
        assert len(proxy.targets) == uses


def test_option_without_proxy_overrides_the_environment(simulated_tls_registry, monkeypatch):
    with ConnectProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with connect(simulated_tls_registry, proxy="") as registry:
            assert registry.tags(REPOSITORY) == []
        assert proxy.targets == []


def test_proxy_that_refuses_is_reported(simulated_tls_registry):
    with ConnectProxy(status="407 Proxy Authentication Required") as proxy:
        assert failure(simulated_tls_registry, proxy=f"http://127.0.0.1:{proxy.port}").code == "oci_registry.proxy"


def test_password_of_a_proxy_is_not_shown(simulated_tls_registry):
    proxy = f"http://user:hidden@127.0.0.1:{free_port()}"
    error = failure(simulated_tls_registry, proxy=proxy)
    assert error.code == "oci_registry.connection_refused"
    assert "the proxy" in error.message
    assert "hidden" not in f"{error} {error.details}"
