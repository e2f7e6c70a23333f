# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry of tests/registry answers as other registries do, and independent clients work with it."""

from __future__ import annotations

import hashlib
import json
import pathlib
import urllib.parse
from typing import Any

import pytest
import requests

from ansible_collections.strata.layering.tests.support.registries import (
    PASSWORD,
    USERNAME,
    DistributionRegistry,
    SimulatedRegistry,
)
from ansible_collections.strata.layering.tests.support.registry_clients import Regctl, Skopeo
from ansible_collections.strata.layering.tests.support.registry_fixtures import (  # noqa: F401  pylint: disable=unused-import
    debian_registry,
    debian_tls_registry,
    simulated_registry,
    simulated_registry_process,
    simulated_tls_registry,
    simulated_tls_registry_process,
)

LOGIN = (USERNAME, PASSWORD)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2}


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Probe:
    """A minimal client of one registry and repository."""

    def __init__(self, registry: SimulatedRegistry | DistributionRegistry, name: str, auth: Any = None) -> None:
        self.url, self.name = registry.url, name
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(registry.ca_file or True)
        self.session.auth = auth

    def ask(self, method: str, path: str, **arguments: Any) -> requests.Response:
        arguments.setdefault("allow_redirects", False)
        return self.session.request(method, f"{self.url}/v2/{self.name}/{path}", **arguments)

    def begin(self, query: str = "") -> str:
        answer = self.ask("POST", f"blobs/uploads/{query}")
        assert answer.status_code == 202
        return self.location(answer)

    def location(self, answer: requests.Response) -> str:
        return urllib.parse.urljoin(self.url + "/", answer.headers["Location"])

    def patch(self, location: str, first: int, data: bytes) -> requests.Response:
        headers = {"Content-Range": f"{first}-{first + len(data) - 1}", "Content-Type": "application/octet-stream"}
        return self.session.patch(location, data=data, headers=headers)

    def put(self, location: str, digest: str, data: bytes = b"") -> requests.Response:
        mark = "&" if "?" in location else "?"
        return self.session.put(f"{location}{mark}digest={digest}", data=data)

    def push(self, data: bytes) -> dict[str, Any]:
        digest = digest_of(data)
        assert self.put(self.begin(), digest, data).status_code == 201
        return {"digest": digest, "size": len(data), "mediaType": "application/octet-stream"}

    def push_manifest(self, reference: str, **parts: Any) -> requests.Response:
        config = self.push(b"{}") | {"mediaType": EMPTY["mediaType"]}
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [], **parts}
        data = json.dumps(document).encode()
        return self.ask(
            "PUT", f"manifests/{reference or digest_of(data)}", data=data, headers={"Content-Type": MANIFEST}
        )


@pytest.fixture
def probe(simulated_registry: SimulatedRegistry) -> Probe:  # noqa: F811
    return Probe(simulated_registry, "windows/app/editor")


def test_chunked_upload_is_resumed_after_interruption(probe, simulated_registry):  # noqa: F811
    data = bytes(range(256)) * 40
    location = probe.location(probe.patch(probe.begin(), 0, data[:4000]))
    assert probe.patch(location, 9, data[4000:5000]).status_code == 416
    location = probe.location(probe.session.get(location))
    rule = simulated_registry.rules.add("PATCH", cut_request=3000)
    with pytest.raises(requests.ConnectionError):
        probe.patch(location, 4000, data[4000:])
    assert simulated_registry.rules.hits(rule) == 1
    status = probe.session.get(location)
    assert (status.status_code, status.headers["Range"]) == (204, "0-6999")
    answer = probe.put(probe.location(status), digest_of(data), data[7000:])
    assert answer.status_code == 201 and answer.headers["Docker-Content-Digest"] == digest_of(data)
    assert probe.ask("GET", f"blobs/{digest_of(data)}").content == data
    assert [entry.received for entry in simulated_registry.journal("PATCH")] == [4000, 1000, 3000]


@pytest.mark.parametrize(("interrupted", "status"), [("nothing", 404), ("parts", 204)])
def test_upload_that_lost_data_restarts(probe, simulated_registry, interrupted, status):  # noqa: F811
    simulated_registry.configure(interrupted=interrupted, part_size=5000)
    location = probe.begin()
    simulated_registry.rules.add("PATCH", cut_request=3000)
    with pytest.raises(requests.ConnectionError):
        probe.patch(location, 0, bytes(8000))
    answer = probe.session.get(location)
    assert answer.status_code == status
    assert answer.headers.get("Range", "0-0") == "0-0"


def test_upload_variants(probe, simulated_registry):  # noqa: F811
    data = b"blob"
    assert probe.put(probe.begin(), digest_of(b"else"), data).status_code == 400
    assert probe.ask("POST", f"blobs/uploads/?digest={digest_of(data)}", data=data).status_code == 201
    # A body of unknown length, in chunks.
    answer = probe.session.patch(probe.begin(), data=iter([b"some", b"thing"]))
    assert answer.status_code == 202
    assert probe.put(probe.location(answer), digest_of(b"something")).status_code == 201
    other = Probe(simulated_registry, "windows/app/viewer")
    query = f"blobs/uploads/?mount={digest_of(data)}&from={probe.name}"
    assert other.ask("POST", query).status_code == 201
    simulated_registry.configure(mount=False, patch=405, single_post=False)
    answer = Probe(simulated_registry, "windows/app/third").ask("POST", query)
    assert answer.status_code == 202
    assert probe.session.delete(probe.location(answer)).status_code == 204
    assert probe.patch(probe.begin(), 0, data).status_code == 405
    assert probe.ask("POST", f"blobs/uploads/?digest={digest_of(data)}", data=data).status_code == 202


def test_ranges_and_redirects_without_login(probe, simulated_registry):  # noqa: F811
    digest = probe.push(b"0123456789")["digest"]
    answer = probe.ask("GET", f"blobs/{digest}", headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.content, answer.headers["Content-Range"]) == (206, b"234", "bytes 2-4/10")
    assert probe.ask("GET", f"blobs/{digest}", headers={"Range": "bytes=8-"}).content == b"89"
    assert probe.ask("GET", f"blobs/{digest}", headers={"Range": "bytes=10-"}).status_code == 416
    simulated_registry.configure(ranges=False)
    assert probe.ask("GET", f"blobs/{digest}", headers={"Range": "bytes=8-"}).content == b"0123456789"
    simulated_registry.configure(ranges=True, redirects=True)
    assert probe.ask("HEAD", f"blobs/{digest}").status_code == 307
    answer = probe.ask("GET", f"blobs/{digest}", headers={"Range": "bytes=8-"}, allow_redirects=True)
    assert answer.content == b"89"
    location = probe.ask("GET", f"blobs/{digest}").headers["Location"]
    assert requests.get(location, headers={"Authorization": "Basic eDp5"}, timeout=10).status_code == 400
    assert [entry.status for entry in simulated_registry.journal(server="store")] == [206, 400]


def test_manifests_tags_and_deletion(probe, simulated_registry):  # noqa: F811
    missing = {"mediaType": "a/b", "digest": digest_of(b"absent"), "size": 6}
    assert probe.push_manifest("1.0", layers=[missing]).status_code == 400
    digest = probe.push_manifest("1.0").headers["Docker-Content-Digest"]
    assert probe.ask("HEAD", "manifests/1.0").headers["Docker-Content-Digest"] == digest
    assert probe.push_manifest("1+0").status_code == 404
    for tag in ("2.0", "3.0"):
        probe.push_manifest(tag, annotations={"version": tag})
    first = probe.ask("GET", "tags/list?n=2")
    assert first.json()["tags"] == ["1.0", "2.0"]
    assert probe.session.get(probe.url + first.links["next"]["url"]).json()["tags"] == ["3.0"]
    simulated_registry.configure(immutable_tags=True)
    assert probe.push_manifest("1.0").status_code == 201
    assert probe.push_manifest("1.0", annotations={"version": "changed"}).status_code == 412
    assert probe.ask("DELETE", "manifests/3.0").status_code == 202
    assert probe.ask("DELETE", f"manifests/{digest}").status_code == 202
    assert probe.ask("GET", "tags/list").json()["tags"] == ["2.0"]
    simulated_registry.configure(deletion="none")
    assert probe.ask("DELETE", "manifests/2.0").status_code == 405
    assert Probe(simulated_registry, "other").ask("GET", "tags/list").status_code == 404


def test_referrers_are_filtered_and_listed_in_pages(probe, simulated_registry):  # noqa: F811
    subject = probe.push_manifest("1.0").headers["Docker-Content-Digest"]
    for number in range(3):
        answer = probe.push_manifest(
            "",
            artifactType=f"a/{number % 2}",
            subject={"digest": subject, "size": 1, "mediaType": MANIFEST},
            annotations={"number": str(number)},
        )
        assert answer.headers["OCI-Subject"] == subject
    answer = probe.ask("GET", f"referrers/{subject}?artifactType=a/0")
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert {entry["annotations"]["number"] for entry in answer.json()["manifests"]} == {"0", "2"}
    simulated_registry.configure(page_size=2)
    first = probe.ask("GET", f"referrers/{subject}")
    second = probe.session.get(probe.url + first.links["next"]["url"])
    assert [len(page.json()["manifests"]) for page in (first, second)] == [2, 1]
    simulated_registry.configure(referrers=False)
    assert probe.ask("GET", f"referrers/{subject}").status_code == 404


def test_bearer_tokens_expire_and_are_limited_to_scopes(simulated_registry):  # noqa: F811
    simulated_registry.configure(auth="bearer", token_lifetime=30)
    probe = Probe(simulated_registry, "windows/app/editor")
    answer = probe.ask("POST", "blobs/uploads/")
    assert answer.status_code == 401
    assert 'scope="repository:windows/app/editor:pull,push"' in answer.headers["WWW-Authenticate"]
    realm, service = f"{probe.url}/token", "registry.example.com"

    def token(**fields: Any) -> requests.Response:
        return probe.session.get(realm, params={"service": service, **fields}, auth=fields.pop("auth", None))

    assert token(scope="repository:windows/app/editor:pull").status_code == 401
    answer = requests.get(realm, params={"scope": f"repository:{probe.name}:pull,push"}, auth=LOGIN, timeout=10)
    assert answer.json()["expires_in"] == 30
    probe.session.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    assert probe.ask("POST", "blobs/uploads/").status_code == 202
    assert Probe(simulated_registry, "else").ask("GET", "tags/list").status_code == 401
    simulated_registry.expire_tokens()
    assert probe.ask("POST", "blobs/uploads/").status_code == 401
    form = {"grant_type": "password", "username": USERNAME, "password": PASSWORD, "access_type": "offline"}
    refresh = requests.post(realm, data=form, timeout=10).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh, "scope": f"repository:{probe.name}:pull"}
    assert "token" in requests.post(realm, data=form, timeout=10).json()
    assert {entry.headers.get("authorization") for entry in simulated_registry.journal()} <= {None, "Basic", "Bearer"}


def test_rules(probe, simulated_registry):  # noqa: F811
    digest = probe.push(bytes(1000))["digest"]
    rules = simulated_registry.rules
    rules.add("GET", "/blobs/", status=429, headers={"Retry-After": "1"})
    rules.add("GET", "/blobs/", status=503, body="<html>", skip=1)
    answers = [probe.ask("GET", f"blobs/{digest}") for _attempt in range(3)]
    assert [answer.status_code for answer in answers] == [429, 200, 503]
    rules.clear()
    rules.add("GET", corrupt=10)
    assert probe.ask("GET", f"blobs/{digest}").content[10] == 0xFF
    rules.add("GET", cut_answer=500)
    with pytest.raises(requests.RequestException):
        probe.ask("GET", f"blobs/{digest}")
    rules.add("DELETE", cut_answer=-1)
    with pytest.raises(requests.ConnectionError):
        probe.ask("DELETE", f"blobs/{digest}")
    assert probe.ask("HEAD", f"blobs/{digest}").status_code == 404
    assert [entry.sent for entry in simulated_registry.journal("GET", digest)][-2:] == [1000, 500]


def test_registries_of_debian(debian_registry, debian_tls_registry):  # noqa: F811
    for registry, auth in ((debian_registry, None), (debian_tls_registry, LOGIN)):
        probe = Probe(registry, "windows/app/editor", auth)
        assert probe.push_manifest("1.0").status_code == 201
        assert probe.ask("GET", "tags/list").json()["tags"] == ["1.0"]
    assert Probe(debian_tls_registry, "windows/app/editor").ask("GET", "tags/list").status_code == 401


@pytest.mark.parametrize("client", [Skopeo, Regctl])
def test_clients_copy_from_debian_to_simulated_registry(
    client,
    debian_tls_registry,  # noqa: F811
    simulated_tls_registry,  # noqa: F811
    tmp_path: pathlib.Path,
):
    simulated_tls_registry.configure(auth="bearer", redirects=True)
    name = f"copied/by-{client.__name__.lower()}"
    probe = Probe(debian_tls_registry, name, LOGIN)
    layers = [probe.push(bytes([number]) * 100_000) for number in range(3)]
    probe.push_manifest("1.0", layers=layers, artifactType="application/vnd.example")
    source, target = debian_tls_registry.login, simulated_tls_registry.login
    tool = client(tmp_path, source, target)
    scheme = "docker://" if client is Skopeo else ""
    tool.copy(f"{scheme}{source.address}/{name}:1.0", f"{scheme}{target.address}/{name}:1.0")
    layout = "oci:" if client is Skopeo else "ocidir://"
    tool.copy(f"{scheme}{target.address}/{name}:1.0", f"{layout}{tmp_path}/layout:1.0")
    expected = probe.ask("GET", "manifests/1.0", headers={"Accept": MANIFEST})
    digest = expected.headers["Docker-Content-Digest"]
    assert (tmp_path / "layout/blobs/sha256" / digest.partition(":")[2]).read_bytes() == expected.content
    assert simulated_tls_registry.tags()[name] == {"1.0": digest}
    assert all("authorization" not in entry.headers for entry in simulated_tls_registry.journal(server="store"))
