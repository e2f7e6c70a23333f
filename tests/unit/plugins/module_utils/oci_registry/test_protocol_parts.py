# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Challenges, scopes, URLs, pauses and records: the small parts of the protocol."""

from __future__ import annotations

import os

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InternalError, Unavailable
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.connection.endpoints import Endpoints, shown
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.connection.exchange import Request
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.connection.pacing import retry_after
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.content.blobs import range_in
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.content.upload_records import (
    UploadRecord,
)
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.login.challenges import (
    joined_scopes,
    parse_challenges,
)
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.login.hidden_secrets import Secrets
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import (
    RegistryAddress,
    RegistryConnection,
)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, []),
        ("", []),
        ('Basic realm="x, y"', [("basic", {"realm": "x, y"})]),
        (
            'Bearer realm="https://auth/token",service="reg",scope="repository:a:pull,push"',
            [("bearer", {"realm": "https://auth/token", "service": "reg", "scope": "repository:a:pull,push"})],
        ),
        ("bearer Realm = x , service=y", [("bearer", {"realm": "x", "service": "y"})]),
        ('Basic realm="a", Bearer realm="b"', [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        ('Negotiate, Basic realm="q\\"uote"', [("negotiate", {}), ("basic", {"realm": 'q"uote'})]),
    ],
)
def test_challenges_are_parsed(header, expected):
    assert [(found.scheme, dict(found.parameters)) for found in parse_challenges(header)] == expected


def test_long_challenge_is_bounded():
    assert len(parse_challenges("Basic " + "a=b," * 100_000)) <= 2


def test_scopes_of_a_challenge_are_checked():
    (challenge,) = parse_challenges('Bearer realm="x",scope="repository:a/b:pull  registry:catalog:* nonsense a:b:"')
    assert challenge.scopes == ("repository:a/b:pull", "registry:catalog:*")


def test_scopes_are_joined():
    assert joined_scopes(("repository:a:pull",), ("repository:a:pull,push", "repository:b:pull")) == (
        "repository:a:pull,push",
        "repository:b:pull",
    )


def endpoints(host="registry.example.com:5000", **options):
    return Endpoints(RegistryConnection(RegistryAddress.parse(host), **options))


def test_docker_hub_has_its_own_host():
    assert endpoints("docker.io").base == "https://registry-1.docker.io"


def test_names_that_are_not_valid_are_a_defect():
    with pytest.raises(InternalError):
        endpoints().manifest("a/../b", "1.0")
    with pytest.raises(InternalError):
        endpoints().manifest("a", "../b")
    with pytest.raises(InternalError):
        endpoints().blob("a", "sha256:x")


CURRENT = "https://registry.example.com:5000/v2/a/blobs/uploads/"


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/v2/a/blobs/uploads/1?_state=x", "https://registry.example.com:5000/v2/a/blobs/uploads/1?_state=x"),
        ("1?_state=x", f"{CURRENT}1?_state=x"),
        ("https://registry.example.com:5000/x", "https://registry.example.com:5000/x"),
        # A registry behind a proxy that ends TLS does not know its own URL.
        ("http://registry.example.com:5000/x?y", "https://registry.example.com:5000/x?y"),
        ("http://registry.example.com/x", "https://registry.example.com:5000/x"),
        ("https://store.example.com/x", "https://store.example.com/x"),
    ],
)
def test_locations_are_resolved(location, expected):
    assert endpoints().resolve(CURRENT, location, upload=True) == expected


@pytest.mark.parametrize(
    "location",
    [
        "http://store.example.com/x",
        "ftp://store.example.com/x",
        "https://user:password@store.example.com/x",
        "https://[::1/x",
        "https://store.example.com:port/x",
        "/x" * 10_000,
        "/x y",
    ],
)
def test_locations_that_are_not_valid_are_refused(location):
    with pytest.raises(Unavailable) as caught:
        endpoints().resolve(CURRENT, location, upload=True)
    assert caught.value.code == "oci_registry.redirect"
    assert "password" not in str(caught.value)


def test_shown_url_has_no_secrets():
    assert shown("https://user:secret@example.com/a?sig=secret") == "https://example.com/a"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        (
            {"Retry-After": "Mon, 01 Jan 2024 00:00:30 GMT", "Date": "Mon, 01 Jan 2024 00:00:00 GMT"},
            30,
        ),
    ],
)
def test_pause_that_a_registry_demands(headers, expected):
    assert retry_after(headers) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes 0-9/100", (0, 10, 100)),
        ("bytes 5-9/*", (5, 10, None)),
        ("bytes */100", None),
        ("items 0-9/100", None),
        ("bytes 0-9", None),
    ],
)
def test_content_range(header, expected):
    assert range_in(header) == expected


def test_secrets_are_hidden_in_all_forms():
    secrets = Secrets()
    secrets.add('p/"x')
    secrets.add_login("user", "long secret")
    text = secrets.hide('p/"x p%2F%22x p/\\"x long secret dXNlcjpsb25nIHNlY3JldA==')
    assert text == "*** *** *** *** ***"


BEGIN = Request("POST", "https://registry.example.com/v2/a/blobs/uploads/", "a", "")


def test_record_of_an_upload_is_kept_until_it_is_done(tmp_path):
    record = UploadRecord(str(tmp_path), BEGIN, "sha256:x")
    assert record.url() is None
    record.save("https://registry.example.com/long")
    record.save("https://registry.example.com/1")
    record.finish(done=False)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    record = UploadRecord(str(tmp_path), BEGIN, "sha256:x")
    assert record.url() == "https://registry.example.com/1"
    record.finish(done=True)
    assert list(tmp_path.iterdir()) == []


def test_record_that_a_different_process_uses_is_left_alone(tmp_path):
    record = UploadRecord(str(tmp_path), BEGIN, "sha256:x")
    record.save("https://registry.example.com/1")
    second = UploadRecord(str(tmp_path), BEGIN, "sha256:x")
    assert second.url() is None
    second.save("https://registry.example.com/2")
    second.finish(done=True)
    assert record.url() == "https://registry.example.com/1"
    record.finish(done=False)


def test_record_that_is_old_or_damaged_is_ignored(tmp_path):
    record = UploadRecord(str(tmp_path), BEGIN, "sha256:x")
    record.save("https://registry.example.com/1")
    record.finish(done=False)
    (file,) = tmp_path.iterdir()
    os.utime(file, (0, 0))
    record = UploadRecord(str(tmp_path), BEGIN, "sha256:x")
    assert record.url() is None
    record.finish(done=False)
    file.write_bytes(b"\xff\xfe")
    record = UploadRecord(str(tmp_path), BEGIN, "sha256:x")
    assert record.url() is None
    record.finish(done=True)


@pytest.mark.parametrize("folder", [None, "/nowhere/at/all"])
def test_record_without_a_folder_does_nothing(folder):
    record = UploadRecord(folder, BEGIN, "sha256:x")
    record.save("https://registry.example.com/1")
    assert record.url() is None
    record.finish(done=True)
