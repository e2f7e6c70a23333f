# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trust policy: signatures of both forms, unsigned and tampered content, and signing again."""

from __future__ import annotations

import base64
import json
import time

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Unavailable
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends.backend import Backend
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends.folder import Folder
from ansible_collections.strata.layering.plugins.module_utils.distribution.signatures.trust import (
    SignatureGuard,
    TrustPolicy,
    sign,
)
from ansible_collections.strata.layering.plugins.module_utils.repository.blobs import Descriptor
from ansible_collections.strata.layering.plugins.module_utils.shares.local import LocalShare
from ansible_collections.strata.layering.plugins.module_utils.signing.keys import SigningKey, VerifyKey
from ansible_collections.strata.layering.tests.support import signing_keys
from ansible_collections.strata.layering.tests.support.memory_backend import MANIFEST, MemoryBackend, digest_of
from ansible_collections.strata.layering.tests.support.signing_keys import (
    BUNDLE,
    SIMPLE,
    bundle_of,
    changed,
    key_pair,
    refusal,
    simple_payload,
    statement_of,
)

REPOSITORY = "windows/app/editor"
PAIR, STRANGER_PAIR = key_pair(), key_pair()
KEY, STRANGER = SigningKey.load(PAIR.private), SigningKey.load(STRANGER_PAIR.private)
TRUSTED = VerifyKey.load(PAIR.public)
REQUIRED, OPTIONAL = TrustPolicy((TRUSTED,), required=True), TrustPolicy((TRUSTED,))


@pytest.fixture
def registry():
    return MemoryBackend()


@pytest.fixture
def layer(registry):
    """A stored layer version, as a descriptor."""
    stored = registry.store(REPOSITORY, "1.0", b"archive")
    return Descriptor(MANIFEST, stored.digest, len(stored.data))


def attach(registry, layer, bundle, **fields):
    """Attach a bundle, which may be anything, to the layer."""
    subject = {"mediaType": MANIFEST, "digest": layer.digest, "size": layer.size}
    data = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()
    fields = {"artifactType": BUNDLE, "subject": subject} | fields
    stored = registry.store(REPOSITORY, "", data, **fields)
    document = json.loads(stored.data)
    document["layers"][0]["mediaType"] = BUNDLE
    del registry.manifests[REPOSITORY, stored.digest]
    data = json.dumps(document).encode()
    registry.put_manifest(REPOSITORY, digest_of(data), data, MANIFEST)
    return document


def attach_simple(registry, layer, *payloads_and_pairs):
    """Store signatures as cosign 2 does."""
    blobs = []
    for payload, pair in payloads_and_pairs:
        signature = base64.b64encode(signing_keys.sign(pair, payload)).decode()
        blob = registry._stored(REPOSITORY, payload)
        blobs.append(blob | {"mediaType": SIMPLE, "annotations": {"dev.cosignproject.cosign/signature": signature}})
    registry.store(REPOSITORY, layer.digest.replace(":", "-") + ".sig", layers=blobs)


def check(registry, layer, policy=REQUIRED):
    return policy.check(registry, REPOSITORY, layer.digest, "app layer Editor 1.0")


def test_memory_backend_is_a_back_end(registry):
    backend: Backend = registry
    assert backend.tags(REPOSITORY) == []


def test_signed_layer_is_trusted(registry, layer):
    assert sign(registry, REPOSITORY, layer, KEY) is True
    verified = check(registry, layer)
    assert verified.key == TRUSTED
    assert verified.digest == layer.digest
    assert (REPOSITORY, verified.signature) in registry.manifests


def test_second_signing_changes_nothing(registry, layer):
    sign(registry, REPOSITORY, layer, KEY)
    before = dict(registry.manifests), dict(registry.blobs), dict(registry.tagged)
    assert sign(registry, REPOSITORY, layer, KEY) is False
    assert (registry.manifests, registry.blobs, registry.tagged) == before


def test_signature_by_a_different_key_is_added(registry, layer):
    sign(registry, REPOSITORY, layer, STRANGER)
    assert sign(registry, REPOSITORY, layer, KEY) is True
    assert check(registry, layer).key == TRUSTED
    assert check(registry, layer, TrustPolicy((STRANGER.public,), True)).key == STRANGER.public


def test_damaged_signature_is_made_again(registry, layer):
    sign(registry, REPOSITORY, layer, KEY)
    for key in list(registry.blobs):
        if b"dsseEnvelope" in registry.blobs[key]:
            registry.blobs[key] += b" "
    assert sign(registry, REPOSITORY, layer, KEY) is True


def test_signature_of_cosign_2_is_trusted(registry, layer):
    stranger = (simple_payload(layer.digest), STRANGER_PAIR)
    attach_simple(registry, layer, stranger, (simple_payload(layer.digest, identity={}), PAIR))
    assert check(registry, layer).key == TRUSTED


def test_signature_of_cosign_3_is_trusted(registry, layer):
    attach(registry, layer, bundle_of(statement_of(layer.digest), PAIR))
    assert check(registry, layer).key == TRUSTED


@pytest.mark.parametrize("kind", ["", "application/vnd.oci.empty.v1+json"])
def test_referrer_that_lost_its_type_is_found(registry, layer, kind):
    attach(registry, layer, bundle_of(statement_of(layer.digest), PAIR), artifactType=kind)
    assert check(registry, layer).key == TRUSTED


def test_unsigned_layer_is_refused(registry, layer):
    error = refusal("distribution.unsigned", check, registry, layer)
    assert error.details["digest"] == layer.digest
    assert check(registry, layer, OPTIONAL) is None


def test_removed_signature_is_noticed(registry, layer):
    sign(registry, REPOSITORY, layer, KEY)
    registry.delete_manifest(REPOSITORY, check(registry, layer).signature)
    refusal("distribution.unsigned", check, registry, layer)


def test_signature_by_an_unknown_key_is_refused(registry, layer):
    sign(registry, REPOSITORY, layer, STRANGER)
    attach_simple(registry, layer, (simple_payload(layer.digest), STRANGER_PAIR))
    error = refusal("distribution.signature_unknown", check, registry, layer)
    assert error.details["signatures"] == 2
    assert error.details["key_hint"] == STRANGER.public.hint
    assert check(registry, layer, OPTIONAL) is None


def test_signature_of_a_different_layer_is_refused(registry, layer):
    other = registry.store(REPOSITORY, "0.9", b"older archive")
    attach(registry, layer, bundle_of(statement_of(other.digest), PAIR))
    error = refusal("distribution.signature_invalid", check, registry, layer)
    assert error.details["reason"] == "signing.subject"


def test_signature_manifest_of_a_different_layer_is_refused(registry, layer):
    """A registry lists a signature as referrer of a manifest that it does not name."""
    other = registry.store(REPOSITORY, "0.9", b"older archive")
    sign(registry, REPOSITORY, Descriptor(MANIFEST, other.digest, len(other.data)), KEY)
    listed = registry.referrers(REPOSITORY, other.digest)
    registry.referrers = lambda *arguments: listed
    error = refusal("distribution.signature_invalid", check, registry, layer)
    assert error.details["reason"] == "signing.manifest"


def test_attestation_is_not_a_signature(registry, layer):
    bill = bundle_of(statement_of(layer.digest, predicateType="https://cyclonedx.org/bom"), PAIR)
    attach(registry, layer, bill)
    assert (
        refusal("distribution.signature_invalid", check, registry, layer).details["reason"] == "signing.predicate_type"
    )


def test_attestations_of_other_tools_are_not_read(registry, layer):
    noted = {"dev.sigstore.bundle.predicateType": "https://cyclonedx.org/bom"}
    attach(registry, layer, b"not read", annotations=noted)
    registry.store(REPOSITORY, "", b"bill", artifactType="application/spdx+json", subject={"digest": layer.digest})
    refusal("distribution.unsigned", check, registry, layer)
    assert [method for method, _reference in registry.requests if method == "read_blob"] == []


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data.replace(b"sig", b"gis"), lambda data: b""]
)
def test_damaged_signature_is_refused(registry, layer, damage):
    sign(registry, REPOSITORY, layer, KEY)
    blobs = [key for key, data in registry.blobs.items() if b"dsseEnvelope" in data]
    registry.blobs[blobs[0]] = damage(registry.blobs[blobs[0]])
    refusal("distribution.signature_invalid", check, registry, layer)
    sign(registry, REPOSITORY, layer, STRANGER)
    refusal("distribution.signature_invalid", check, registry, layer)


def test_missing_blob_of_a_signature_is_refused(registry, layer):
    sign(registry, REPOSITORY, layer, KEY)
    for key in [key for key, data in registry.blobs.items() if b"dsseEnvelope" in data]:
        del registry.blobs[key]
    refusal("distribution.signature_invalid", check, registry, layer)


def test_flipped_signature_byte_is_refused(registry, layer):
    good = bundle_of(statement_of(layer.digest), PAIR)
    signature = bytearray(base64.b64decode(good["dsseEnvelope"]["signatures"][0]["sig"]))
    signature[-1] ^= 1
    attach(
        registry,
        layer,
        changed(good, "dsseEnvelope", "signatures", 0, "sig", value=base64.b64encode(signature).decode()),
    )
    assert (
        refusal("distribution.signature_invalid", check, registry, layer).details["reason"]
        == "signing.signature_invalid"
    )


def test_bad_signatures_do_not_hide_a_good_one(registry, layer):
    attach(registry, layer, b"not JSON")
    attach(registry, layer, bundle_of(statement_of(layer.digest), STRANGER_PAIR))
    attach(registry, layer, bundle_of(statement_of(layer.digest), PAIR))
    attach(registry, layer, b"[]")
    assert check(registry, layer).key == TRUSTED


def test_number_of_signatures_that_are_read_is_bounded(registry, layer):
    for number in range(150):
        attach(registry, layer, b"%d" % number)
    refusal("distribution.signature_invalid", check, registry, layer)
    assert len([method for method, _reference in registry.requests if method == "read_blob"]) == 100


def test_failed_connection_is_not_a_missing_signature(registry, layer):
    sign(registry, REPOSITORY, layer, KEY)
    for method in ("referrers", "manifest", "read_blob"):
        registry.failing = {method}
        with pytest.raises(Unavailable):
            check(registry, layer, OPTIONAL)


def test_policy_without_keys_reads_nothing(registry, layer):
    registry.requests.clear()
    assert check(registry, layer, TrustPolicy()) is None
    assert registry.requests == []


def test_required_signatures_need_a_key():
    refusal("distribution.verify_keys", TrustPolicy, (), True)


def test_folder_keeps_signatures_of_details(tmp_path):
    share = LocalShare(str(tmp_path))
    with Folder(share, create=True) as folder:
        layer = put(folder, "1.0")
        details = put(folder, "", subject=layer.to_json(), artifactType="application/vnd.strata.layer.details.v1+json")
        lost = put(folder, "", artifactType="application/vnd.example")
        for signed in (layer, details, lost):
            assert sign(folder, REPOSITORY, signed, KEY) is True
            assert sign(folder, REPOSITORY, signed, KEY) is False
        forgotten = folder.forgotten(folder.current_index(), before=time.time() + 60)
        of_lost = REQUIRED.check(folder, REPOSITORY, lost.digest).signature
        assert {entry.descriptor.digest for entry in forgotten} == {lost.digest, of_lost}
    with Folder(share) as folder:
        assert REQUIRED.check(folder, REPOSITORY, layer.digest).key == TRUSTED
        assert REQUIRED.check(folder, REPOSITORY, details.digest).key == TRUSTED


def put(folder, tag, **fields):
    """Store a manifest without content, under a tag or without one."""
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(b"{}"), "size": 2}
    data = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []} | fields).encode()
    folder.upload(REPOSITORY, digest_of(b"{}"), 2, b"{}")
    folder.put_manifest(REPOSITORY, tag or digest_of(data), data, MANIFEST)
    return Descriptor(MANIFEST, digest_of(data), len(data))


def test_guard_signs_and_names_the_key(registry, layer):
    guard = SignatureGuard(REQUIRED, KEY)
    assert guard.sign(registry, REPOSITORY, layer) is True
    assert guard.sign(registry, REPOSITORY, layer) is False
    assert guard.check(registry, REPOSITORY, layer.digest, "app layer Editor 1.0") == TRUSTED.fingerprint
    assert guard.warnings == []


def test_guard_without_keys_neither_signs_nor_checks(registry, layer):
    guard = SignatureGuard()
    assert guard.sign(registry, REPOSITORY, layer) is False
    assert guard.check(registry, REPOSITORY, layer.digest, "app layer Editor 1.0") is None
    assert guard.warnings == []


def test_guard_warns_of_unsigned_content_that_it_accepts(registry, layer):
    guard = SignatureGuard(OPTIONAL)
    assert guard.check(registry, REPOSITORY, layer.digest, "app layer Editor 1.0") is None
    assert len(guard.warnings) == 1


def test_guard_of_options_has_their_keys_and_warnings(tmp_path):
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    private.write_text(PAIR.private)
    public.write_text(PAIR.public + STRANGER_PAIR.public)
    private.chmod(0o644)
    guard = SignatureGuard.load([str(public)], True, str(private))
    assert guard.policy == TrustPolicy((TRUSTED, STRANGER.public), True)
    assert guard.key == KEY
    assert len(guard.warnings) == 1
    assert SignatureGuard.load() == SignatureGuard()
