# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry of record that was tampered with: a synchronization takes over only what a trusted key signed."""

from __future__ import annotations

import hashlib
import json

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName
from ansible_collections.strata.layering.plugins.module_utils.distribution.items.details import DETAILS_TYPE
from ansible_collections.strata.layering.plugins.module_utils.distribution.signatures.trust import (
    SignatureGuard,
    TrustPolicy,
)
from ansible_collections.strata.layering.plugins.module_utils.repository.oci_layout import MANIFEST
from ansible_collections.strata.layering.plugins.module_utils.signing.bundle import BUNDLE
from ansible_collections.strata.layering.plugins.module_utils.signing.keys import SigningKey
from ansible_collections.strata.layering.tests.support.composers import Composer
from ansible_collections.strata.layering.tests.support.shared_registry import SharedBackend, SharedRegistry
from ansible_collections.strata.layering.tests.support.signing_keys import key_pair, refusal
from ansible_collections.strata.layering.tests.support.small_layers import (
    add_app_layer,
    add_connector,
    add_os_layer,
    describe_layer,
    put_template,
)

WINDOWS, EDITOR = VersionName("Windows", "1"), VersionName("Editor", "1.0")
APP, TEMPLATE = "windows/app/editor", "windows/templates/office"
KEY, STRANGER = (SigningKey.load(key_pair().private) for _number in range(2))
TRUSTED = TrustPolicy((KEY.public,), required=True)


@pytest.fixture
def registry():
    return SharedRegistry()


@pytest.fixture
def backend(registry):
    """A connection of an attacker who may write."""
    return SharedBackend(registry)


def composer(tmp_path, registry, name, key=None):
    return Composer(str(tmp_path / name), registry, guard=SignatureGuard(TRUSTED, key))


@pytest.fixture
def builder(tmp_path, registry):
    """A composer that has signed an OS layer, an app layer and a template."""
    found = composer(tmp_path, registry, "builder", KEY)
    add_connector(found.repository)
    add_os_layer(found.repository, "Windows", "1")
    add_app_layer(found.repository, "Editor", "1.0", os_layer=WINDOWS)
    put_template(found.repository, "office", WINDOWS, (EDITOR,))
    return found


@pytest.fixture
def user(tmp_path, registry, builder):
    """A composer without a key of its own, and without layers."""
    return composer(tmp_path, registry, "user")


def refused(code, user):
    before = user.documents()
    error = refusal(code, lambda: user.sync(full=True))
    assert user.documents() == before
    return error


def forge(backend, repository, document, *blobs):
    """Store blobs and a manifest; return its digest."""
    for data in blobs:
        backend.upload(repository, digest_of(data), len(data), data)
    data = json.dumps(document).encode()
    backend.put_manifest(repository, digest_of(data), data, MANIFEST)
    return digest_of(data)


def digest_of(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def move_tag(backend, repository, tag, digest):
    backend.put_manifest(repository, tag, backend.manifest(repository, digest).data, MANIFEST)


def signatures(backend, repository, digest):
    return [item.digest for item in backend.referrers(repository, digest, BUNDLE)]


def newest_details(backend):
    found = backend.referrers(APP, backend.digest_of(APP, "1.0"), DETAILS_TYPE)
    return max(found, key=lambda item: item.annotations["org.opencontainers.image.created"]).digest


def test_signed_content_is_taken_over(builder, user):
    assert len(user.sync().changes) == 3
    assert not user.sync(full=True).changes


def test_forged_layer_is_refused(builder, user, backend):
    document = json.loads(backend.manifest(APP, "1.0").data)
    evil = b"archive of an attacker"
    document["layers"][0] |= {"digest": digest_of(evil), "size": len(evil)}
    move_tag(backend, APP, "1.0", forge(backend, APP, document, evil))
    refused("distribution.unsigned", user)


@pytest.mark.parametrize("which", ["layer", "details", "template"])
def test_removed_signature_is_refused(builder, user, backend, which):
    repository, digest = {
        "layer": (APP, backend.digest_of(APP, "1.0")),
        "details": (APP, newest_details(backend)),
        "template": (TEMPLATE, backend.digest_of(TEMPLATE, "current")),
    }[which]
    for signature in signatures(backend, repository, digest):
        backend.delete_manifest(repository, signature)
    refused("distribution.unsigned", user)


def test_signature_of_an_unknown_key_is_refused(tmp_path):
    registry = SharedRegistry()
    stranger = Composer(str(tmp_path / "stranger"), registry, guard=SignatureGuard(TrustPolicy(), STRANGER))
    add_os_layer(stranger.repository, "Windows", "1")
    refused("distribution.signature_unknown", composer(tmp_path, registry, "user"))


def test_older_template_is_ignored(builder, user, backend):
    older = backend.digest_of(TEMPLATE, "current")
    put_template(builder.repository, "office", WINDOWS, (EDITOR,), description="newer")
    user.sync()
    before = user.documents()
    move_tag(backend, TEMPLATE, "current", older)
    result = user.sync(full=True)
    assert (len(result.conflicts), result.changes) == (1, [])
    assert user.documents() == before


def test_older_details_are_ignored(builder, user, backend):
    describe_layer(builder.repository, "app", "Editor", "Licensed until 2027")
    user.sync()
    before = user.documents()
    backend.delete_manifest(APP, newest_details(backend))
    result = user.sync(full=True)
    assert (len(result.conflicts), result.changes) == (1, [])
    assert user.documents() == before


def test_replaced_layer_version_that_is_in_use_is_kept(builder, user, backend):
    """The signed version 2.0 of the builder is moved to the tag of version 1.0."""
    user.sync()
    add_app_layer(builder.repository, "Editor", "2.0", b"archive of 2.0", os_layer=WINDOWS)
    user.sync()
    before = user.documents()
    move_tag(backend, APP, "1.0", backend.digest_of(APP, "2.0"))
    result = user.sync(full=True)
    assert len(result.conflicts) == 1
    assert user.documents() == before


def test_replaced_layer_version_that_nothing_uses_is_kept(builder, user, backend):
    for version in ("2.0", "3.0"):
        add_app_layer(builder.repository, "Editor", version, b"archive of " + version.encode(), os_layer=WINDOWS)
    user.sync()
    before = user.documents()
    move_tag(backend, APP, "3.0", backend.digest_of(APP, "2.0"))
    result = user.sync(full=True)
    assert (len(result.conflicts), result.changes) == (1, [])
    assert user.documents() == before
