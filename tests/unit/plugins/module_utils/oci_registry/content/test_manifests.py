# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests, tags and referrers, on registries with and without the referrers API."""

from __future__ import annotations

import json

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    Corrupt,
    StrataError,
    Unavailable,
    Unsupported,
)
from ansible_collections.strata.layering.tests.support.oci_registry import (
    MANIFEST,
    REPOSITORY,
    connect,
    digest_of,
    manifest_of,
)


@pytest.fixture
def registry(simulated_registry):
    with connect(simulated_registry) as connected:
        yield connected


def test_nothing_is_found_in_a_repository_that_does_not_exist(registry):
    assert registry.tags(REPOSITORY) == []
    assert registry.digest_of(REPOSITORY, "1.0") is None
    assert registry.manifest(REPOSITORY, "1.0") is None
    assert registry.blob_size(REPOSITORY, digest_of(b"")) is None
    assert registry.referrers(REPOSITORY, digest_of(b"")) == []
    assert registry.delete_manifest(REPOSITORY, digest_of(b"")) is False
    assert registry.delete_tag(REPOSITORY, "1.0") is False


def test_manifest_is_returned_byte_for_byte(registry):
    data = manifest_of(registry)
    registry.put_manifest(REPOSITORY, "1.0", data, MANIFEST)
    found = registry.manifest(REPOSITORY, "1.0")
    assert (found.data, found.digest, found.media_type) == (data, digest_of(data), MANIFEST)
    assert registry.manifest(REPOSITORY, digest_of(data)).data == data
    assert registry.digest_of(REPOSITORY, "1.0") == digest_of(data)
    assert registry.tags(REPOSITORY) == ["1.0"]


def test_manifest_by_digest_has_no_tag(registry):
    data = manifest_of(registry)
    registry.put_manifest(REPOSITORY, digest_of(data), data, MANIFEST)
    assert registry.tags(REPOSITORY) == []
    assert registry.digest_of(REPOSITORY, digest_of(data)) == digest_of(data)


@pytest.mark.parametrize("by_digest", [False, True])
def test_manifest_that_is_damaged_is_refused(simulated_registry, registry, by_digest):
    data = manifest_of(registry)
    registry.put_manifest(REPOSITORY, "1.0", data, MANIFEST)
    simulated_registry.rules.add("GET", "/manifests/", corrupt=20)
    with pytest.raises(Corrupt) as caught:
        registry.manifest(REPOSITORY, digest_of(data) if by_digest else "1.0")
    assert caught.value.code == "oci_registry.manifest_digest"


def test_manifest_is_bounded(registry):
    data = manifest_of(registry, title="x" * 1000)
    registry.put_manifest(REPOSITORY, "1.0", data, MANIFEST)
    with pytest.raises(Corrupt) as caught:
        registry.manifest(REPOSITORY, "1.0", bound=500)
    assert caught.value.code == "oci_registry.answer"


def test_page_in_place_of_a_manifest_is_refused(simulated_registry, registry):
    simulated_registry.rules.add("GET", "/manifests/", status=200, body="<html>login</html>")
    with pytest.raises(Corrupt) as caught:
        registry.manifest(REPOSITORY, "1.0")
    assert caught.value.code == "oci_registry.answer"


def test_digest_is_computed_if_the_registry_does_not_send_it(simulated_registry, registry):
    data = manifest_of(registry)
    registry.put_manifest(REPOSITORY, "1.0", data, MANIFEST)
    simulated_registry.rules.add("HEAD", "/manifests/", status=200)
    assert registry.digest_of(REPOSITORY, "1.0") == digest_of(data)


def test_manifest_stored_with_a_different_digest_is_reported(simulated_registry, registry):
    data = manifest_of(registry)
    simulated_registry.rules.add("PUT", "/manifests/", status=201, headers={"Docker-Content-Digest": digest_of(b"x")})
    with pytest.raises(Corrupt) as caught:
        registry.put_manifest(REPOSITORY, "1.0", data, MANIFEST)
    assert caught.value.code == "oci_registry.manifest_digest"


def test_tag_that_cannot_be_moved_is_a_conflict(simulated_registry, registry):
    simulated_registry.configure(immutable_tags=True)
    registry.put_manifest(REPOSITORY, "1.0", manifest_of(registry), MANIFEST)
    with pytest.raises(Conflict) as caught:
        registry.put_manifest(REPOSITORY, "1.0", manifest_of(registry, title="other"), MANIFEST)
    assert caught.value.code == "oci_registry.immutable"


def test_manifest_without_its_blobs_is_refused(registry):
    document = {
        "schemaVersion": 2,
        "config": {"mediaType": "a/b", "digest": digest_of(b"none"), "size": 4},
        "layers": [],
    }
    with pytest.raises(Unavailable) as caught:
        registry.put_manifest(REPOSITORY, "1.0", json.dumps(document).encode(), MANIFEST)
    assert caught.value.code == "oci_registry.refused"
    assert caught.value.details["registry_codes"] == ["MANIFEST_BLOB_UNKNOWN"]


@pytest.mark.parametrize(
    "settings",
    [{}, {"paging": False}, {"page_size": 2}, {"page_size": 1}],
    ids=["one", "random", "pages", "page_of_one"],
)
def test_all_pages_of_tags_are_read(simulated_registry, registry, settings):
    simulated_registry.configure(**settings)
    data = manifest_of(registry)
    tags = ["1.0", "1.1", "10.0", "2.0", "latest"]
    for tag in reversed(tags):
        registry.put_manifest(REPOSITORY, tag, data, MANIFEST)
    assert registry.tags(REPOSITORY) == tags


def tag_page(simulated, names, **values):
    body = json.dumps({"name": REPOSITORY, "tags": names})
    simulated.rules.add("GET", "/tags/", status=200, body=body, **values)


def test_full_page_without_a_link_is_asked_for_more(simulated_registry, registry):
    first = [f"a{number:04}" for number in range(1000)]
    tag_page(simulated_registry, first)
    tag_page(simulated_registry, ["b", "not valid"])
    assert registry.tags(REPOSITORY) == [*first, "b"]
    assert "last=a0999" in simulated_registry.journal("GET", "/tags/")[-1].target


def test_full_page_of_a_registry_that_ignores_the_question_ends(simulated_registry, registry):
    first = [f"a{number:04}" for number in range(1000)]
    tag_page(simulated_registry, first, count=None)
    assert registry.tags(REPOSITORY) == first
    assert len(simulated_registry.journal("GET", "/tags/")) == 2


def test_repository_without_tags_has_an_empty_list(simulated_registry, registry):
    tag_page(simulated_registry, None)
    assert registry.tags(REPOSITORY) == []


@pytest.mark.parametrize(
    "link", ['</v2/x/tags/list?n=1000>; rel="next"', '<http://192.0.2.1/v2/x/tags/list>; rel="next"']
)
def test_pages_that_do_not_end_or_are_elsewhere_are_refused(simulated_registry, registry, link):
    tag_page(simulated_registry, ["a"], headers={"Link": link}, count=None)
    with pytest.raises(StrataError) as caught:
        registry.tags("x")
    assert caught.value.code == "oci_registry.answer"
    assert len(simulated_registry.journal("GET", "/tags/")) <= 2


@pytest.mark.parametrize("body", ["<html>", "[]", '{"tags": "a"}', '{"tags": [1]}'])
def test_list_of_tags_that_is_not_valid_is_refused(simulated_registry, registry, body):
    simulated_registry.rules.add("GET", "/tags/", status=200, body=body)
    with pytest.raises(Corrupt) as caught:
        registry.tags(REPOSITORY)
    assert caught.value.code == "oci_registry.answer"


def test_deletion_of_manifests_and_tags(registry):
    data = manifest_of(registry)
    for tag in ("1.0", "2.0"):
        registry.put_manifest(REPOSITORY, tag, data, MANIFEST)
    assert registry.delete_tag(REPOSITORY, "1.0") is True
    assert registry.tags(REPOSITORY) == ["2.0"]
    assert registry.delete_manifest(REPOSITORY, digest_of(data)) is True
    assert registry.manifest(REPOSITORY, "2.0") is None


@pytest.mark.parametrize("deletion", ["none", "manifests"])
def test_deletion_that_is_not_allowed_is_reported(simulated_registry, registry, deletion):
    simulated_registry.configure(deletion=deletion)
    registry.put_manifest(REPOSITORY, "1.0", manifest_of(registry), MANIFEST)
    with pytest.raises(Unsupported) as caught:
        registry.delete_tag(REPOSITORY, "1.0")
    assert caught.value.code == "oci_registry.delete"


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"referrers": False},
        {"referrers_filter": False},
        {"page_size": 1},
        {"referrers": False, "check_blobs": False},
    ],
    ids=["api", "tag", "no_filter", "pages", "tag_and_no_checks"],
)
def test_referrers_are_listed_and_filtered(simulated_registry, registry, settings):
    simulated_registry.configure(**settings)
    subject = manifest_of(registry, title="subject")
    registry.put_manifest(REPOSITORY, "1.0", subject, MANIFEST)
    first = manifest_of(registry, subject=subject, title="first", kind="test/first")
    second = manifest_of(registry, subject=subject, title="second", kind="test/second")
    for data in (first, second, first):
        registry.put_manifest(REPOSITORY, digest_of(data), data, MANIFEST)
    found = registry.referrers(REPOSITORY, digest_of(subject))
    assert {referrer.digest for referrer in found} == {digest_of(first), digest_of(second)}
    assert len(found) == 2
    (only,) = registry.referrers(REPOSITORY, digest_of(subject), "test/second")
    assert (only.digest, only.size, only.media_type, only.artifact_type) == (
        digest_of(second),
        len(second),
        MANIFEST,
        "test/second",
    )
    assert only.annotations["org.opencontainers.image.title"] == "second"
    assert registry.delete_manifest(REPOSITORY, digest_of(first)) is True
    assert [referrer.digest for referrer in registry.referrers(REPOSITORY, digest_of(subject))] == [digest_of(second)]


def test_type_of_the_config_is_the_type_of_an_artifact_without_a_type(simulated_registry, registry):
    simulated_registry.configure(referrers=False)
    subject = manifest_of(registry)
    document = json.loads(manifest_of(registry, subject=subject))
    del document["artifactType"]
    data = json.dumps(document).encode()
    registry.put_manifest(REPOSITORY, digest_of(data), data, MANIFEST)
    (found,) = registry.referrers(REPOSITORY, digest_of(subject))
    assert found.artifact_type == "application/vnd.oci.empty.v1+json"


def test_entry_that_a_different_client_removes_is_written_again(simulated_registry, registry):
    simulated_registry.configure(referrers=False)
    subject = manifest_of(registry, title="subject")
    data = manifest_of(registry, subject=subject)
    # The first index is lost, as if a different client had written the tag at the same time.
    simulated_registry.rules.add("PUT", "/manifests/sha256-", status=201)
    registry.put_manifest(REPOSITORY, digest_of(data), data, MANIFEST)
    assert len(registry.referrers(REPOSITORY, digest_of(subject))) == 1


def test_entry_that_is_never_kept_is_reported(simulated_registry, registry):
    simulated_registry.configure(referrers=False)
    data = manifest_of(registry, subject=manifest_of(registry, title="subject"))
    simulated_registry.rules.add("PUT", "/manifests/sha256-", status=201, count=None)
    with pytest.raises(Unavailable) as caught:
        registry.put_manifest(REPOSITORY, digest_of(data), data, MANIFEST)
    assert caught.value.code == "oci_registry.referrers"


@pytest.mark.parametrize("answer", [{"status": 405}, {"status": 200, "body": "<html>"}, {"status": 400}])
def test_registry_with_a_broken_referrers_api_is_asked_for_the_tag(simulated_registry, registry, answer):
    simulated_registry.configure(referrers=False)
    subject = manifest_of(registry)
    data = manifest_of(registry, subject=subject, title="x")
    registry.put_manifest(REPOSITORY, digest_of(data), data, MANIFEST)
    simulated_registry.rules.add("GET", "/referrers/", **answer)
    assert len(registry.referrers(REPOSITORY, digest_of(subject))) == 1


def test_docker_registry_keeps_manifests_and_referrers(debian_registry):
    with connect(debian_registry) as registry:
        subject = manifest_of(registry, title="subject")
        registry.put_manifest(REPOSITORY, "1.0", subject, MANIFEST)
        data = manifest_of(registry, subject=subject, title="signature")
        registry.put_manifest(REPOSITORY, digest_of(data), data, MANIFEST)
        assert registry.manifest(REPOSITORY, "1.0").data == subject
        assert [referrer.digest for referrer in registry.referrers(REPOSITORY, digest_of(subject))] == [digest_of(data)]
        assert registry.delete_manifest(REPOSITORY, digest_of(data)) is True
        assert registry.referrers(REPOSITORY, digest_of(subject)) == []
        with pytest.raises(Unsupported) as caught:
            registry.delete_tag(REPOSITORY, "1.0")
    assert caught.value.code == "oci_registry.delete"
