# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures that the library made as cosign does, signatures that openssl verifies, and bundles that are refused."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InternalError, StrataError
from ansible_collections.strata.layering.plugins.module_utils.signing.artifact import (
    sign_manifest,
    signatures_of_manifest,
    simple_signing_tag,
)
from ansible_collections.strata.layering.plugins.module_utils.signing.bundle import signed_bytes, verify_bundle
from ansible_collections.strata.layering.plugins.module_utils.signing.keys import SigningKey, VerifyKey
from ansible_collections.strata.layering.plugins.module_utils.signing.simple_signing import verify_simple
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors
from ansible_collections.strata.layering.tests.support.signing_keys import (
    BUNDLE,
    SIMPLE,
    bundle_of,
    changed,
    key_pair,
    refusal,
    sign,
    simple_payload,
    statement_of,
)

DIGEST, OTHER_DIGEST = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
PAIR, STRANGER = key_pair(), key_pair()
KEY, OTHER_KEY = VerifyKey.load(PAIR.public), VerifyKey.load(key_pair().public)
GOOD = bundle_of(statement_of(DIGEST), PAIR)
SIGNED = sign_manifest(DIGEST, SigningKey.load(PAIR.private), size=1234)


def encoded(document):
    return json.dumps(document).encode()


def signature_of(payload, pair=PAIR):
    return base64.b64encode(sign(pair, payload)).decode()


def our_bundle():
    (stored,) = signatures_of_manifest(SIGNED.manifest, DIGEST)
    return SIGNED.blobs[stored.digest]


def test_bundle_of_cosign_names_the_key_that_verified_it():
    assert verify_bundle(encoded(GOOD), DIGEST, [OTHER_KEY, KEY]) is KEY


def test_own_signature_has_the_form_of_cosign():
    assert verify_bundle(our_bundle(), DIGEST, [KEY]) is KEY
    ours, theirs = json.loads(our_bundle()), GOOD
    assert ours["mediaType"] == theirs["mediaType"]
    assert ours["verificationMaterial"]["publicKey"] == theirs["verificationMaterial"]["publicKey"]
    assert ours["dsseEnvelope"]["payloadType"] == theirs["dsseEnvelope"]["payloadType"]
    statement = json.loads(base64.b64decode(ours["dsseEnvelope"]["payload"]))
    assert statement["subject"][0]["digest"] == statement_of(DIGEST)["subject"][0]["digest"]
    assert statement["predicateType"] == statement_of(DIGEST)["predicateType"]


def test_own_signature_is_verified_by_openssl(tmp_path):
    envelope = json.loads(our_bundle())["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    (tmp_path / "key").write_text(PAIR.public)
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    covered = f"DSSEv1 28 application/vnd.in-toto+json {len(payload)} ".encode() + payload
    command = ["openssl", "dgst", "-sha256", "-verify", tmp_path / "key", "-signature", tmp_path / "sig"]
    subprocess.run(command, input=covered, check=True, capture_output=True, timeout=30)


def test_signed_bytes_are_those_of_the_specification():
    # The example in secure-systems-lab/dsse, protocol.md.
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert signed_bytes("http://example.com/HelloWorld", b"hello world") == expected


def test_artifact_is_attached_to_the_manifest():
    manifest = json.loads(SIGNED.manifest)
    assert SIGNED.digest == f"sha256:{hashlib.sha256(SIGNED.manifest).hexdigest()}"
    assert manifest["subject"] == {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": DIGEST,
        "size": 1234,
    }
    assert manifest["artifactType"] == SIGNED.artifact_type == BUNDLE
    named = {blob["digest"]: blob["size"] for blob in (manifest["config"], *manifest["layers"])}
    assert named == {digest: len(data) for digest, data in SIGNED.blobs.items()}
    assert all(digest == f"sha256:{hashlib.sha256(data).hexdigest()}" for digest, data in SIGNED.blobs.items())


def test_signing_something_without_a_digest_is_a_defect():
    with pytest.raises(InternalError):
        sign_manifest("1.0", SigningKey.load(PAIR.private), size=1)


@pytest.mark.parametrize(
    ("bundle", "code"),
    [
        (encoded(bundle_of(statement_of(DIGEST), STRANGER)), "signing.key_unknown"),
        (encoded(bundle_of(statement_of(OTHER_DIGEST), PAIR)), "signing.subject"),
        (encoded(bundle_of(statement_of(DIGEST), PAIR, "text/plain")), "signing.payload_type"),
        (changed(GOOD, "dsseEnvelope", "payloadType", value="text/plain"), "signing.signature_invalid"),
        (
            changed(GOOD, "dsseEnvelope", "payload", value=base64.b64encode(b"{}").decode()),
            "signing.signature_invalid",
        ),
        (
            encoded(bundle_of(statement_of(DIGEST, predicateType="https://cyclonedx.org/bom"), PAIR)),
            "signing.predicate_type",
        ),
    ],
    ids=["stranger", "subject", "type", "type_changed", "payload_changed", "attestation"],
)
def test_bundle_that_does_not_sign_the_manifest_is_untrusted(bundle, code):
    assert refusal(code, verify_bundle, bundle, DIGEST, [OTHER_KEY, KEY]).default_code == "untrusted"


SUBJECT = statement_of(DIGEST)["subject"][0]


@pytest.mark.parametrize(
    "statement",
    [
        statement_of(DIGEST, subject=[]),
        statement_of(DIGEST, subject=[SUBJECT, SUBJECT]),
        statement_of(DIGEST, subject=SUBJECT),
        statement_of(DIGEST, subject=["x"]),
        statement_of(DIGEST, subject=[{"digest": {"sha512": "a" * 128}}]),
        statement_of(DIGEST, subject=[{"digest": {"sha1": "a" * 40, "sha256": "a" * 64}}]),
        statement_of(DIGEST, subject=[{"digest": {"sha256": "A" * 64}}]),
        statement_of(DIGEST, subject=[{"digest": {"sha256": ["a" * 64]}}]),
        statement_of(DIGEST, subject=[{"digest": {}}]),
        statement_of(DIGEST, _type="https://in-toto.io/Statement/v0.1"),
        statement_of(DIGEST, predicateType=None),
        b"",
        b"[]",
        b'{"subject": [], "subject": []}',
        b'{"predicateType": NaN}',
        b"[" * 100_000,
        b'{"a":' * 200 + b"1" + b"}" * 200,
    ],
    ids=itertools.count(),
)
def test_signed_statement_that_is_malformed_is_refused(statement):
    bundle = encoded(bundle_of(statement, PAIR)) if statement else b"{}"
    refusal("signing.bundle", verify_bundle, bundle, DIGEST, [KEY])


ENVELOPE = GOOD["dsseEnvelope"]


@pytest.mark.parametrize(
    "bundle",
    [
        b"",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b" " * (1 << 20) + encoded(GOOD),
        b'{"mediaType": "x", ' + encoded(GOOD)[1:],
        changed(GOOD, "mediaType", value="application/vnd.dev.sigstore.bundle+json;version=0.1"),
        changed(GOOD, "mediaType", value=["x"]),
        changed(GOOD, "verificationMaterial", value=...),
        changed(GOOD, "dsseEnvelope", value=...),
        changed(GOOD, "dsseEnvelope", "payload", value="***"),
        changed(GOOD, "dsseEnvelope", "payload", value="é"),
        changed(GOOD, "dsseEnvelope", "payload", value=""),
        changed(GOOD, "dsseEnvelope", "payloadType", value="\ud800"),
        changed(GOOD, "dsseEnvelope", "payloadType", value=7),
        changed(GOOD, "dsseEnvelope", "signatures", value=[]),
        changed(GOOD, "dsseEnvelope", "signatures", value=ENVELOPE["signatures"] * 2),
        changed(GOOD, "dsseEnvelope", "signatures", value=["x"]),
        changed(GOOD, "dsseEnvelope", "signatures", 0, "sig", value="A" * 2000),
    ],
    ids=itertools.count(),
)
def test_malformed_bundle_is_refused(bundle):
    refusal("signing.bundle", verify_bundle, bundle, DIGEST, [KEY])


def test_hint_is_not_trusted():
    claims = changed(GOOD, "verificationMaterial", "publicKey", "hint", value=OTHER_KEY.hint)
    assert verify_bundle(claims, DIGEST, [OTHER_KEY, KEY]) is KEY
    without = changed(GOOD, "verificationMaterial", value={"certificate": {"rawBytes": "AA=="}})
    assert verify_bundle(without, DIGEST, [KEY]) is KEY
    odd = changed(
        bundle_of(statement_of(DIGEST), STRANGER), "verificationMaterial", "publicKey", "hint", value="\x1b[2J"
    )
    assert "key_hint" not in refusal("signing.key_unknown", verify_bundle, odd, DIGEST, [KEY]).details


def test_simple_signature_is_verified():
    payload = simple_payload(DIGEST)
    assert verify_simple(payload, signature_of(payload), DIGEST, [OTHER_KEY, KEY]) is KEY


@pytest.mark.parametrize(
    ("payload", "signature", "code"),
    [
        (simple_payload(DIGEST), signature_of(simple_payload(DIGEST), STRANGER), "signing.key_unknown"),
        (simple_payload(DIGEST), signature_of(simple_payload(OTHER_DIGEST)), "signing.key_unknown"),
        (simple_payload(OTHER_DIGEST), signature_of(simple_payload(OTHER_DIGEST)), "signing.subject"),
        (simple_payload(DIGEST, type="x"), signature_of(simple_payload(DIGEST, type="x")), "signing.simple"),
        (simple_payload(DIGEST, image={}), signature_of(simple_payload(DIGEST, image={})), "signing.simple"),
        (simple_payload("sha1:00"), signature_of(simple_payload("sha1:00")), "signing.simple"),
        (b"[]", signature_of(b"[]"), "signing.simple"),
        (b" " * (65 << 10), signature_of(b" " * (65 << 10)), "signing.key_unknown"),
        (simple_payload(DIGEST), "", "signing.simple"),
        (simple_payload(DIGEST), "*", "signing.simple"),
        (simple_payload(DIGEST), "A" * 4000, "signing.simple"),
    ],
    ids=itertools.count(),
)
def test_simple_signature_is_refused(payload, signature, code):
    refusal(code, verify_simple, payload, signature, DIGEST, [KEY])


def simple_manifest(**changes):
    blob = {
        "mediaType": SIMPLE,
        "digest": OTHER_DIGEST,
        "size": 243,
        "annotations": {"dev.cosignproject.cosign/signature": "c2ln"},
    }
    return encoded({"schemaVersion": 2, "layers": [{"mediaType": "text/plain"}, blob | changes, "x"]})


def test_simple_signatures_are_found_in_their_manifest():
    (found,) = signatures_of_manifest(simple_manifest(), DIGEST)
    assert (found.digest, found.size, found.signature) == (OTHER_DIGEST, 243, "c2ln")
    assert simple_signing_tag(DIGEST) == f"sha256-{'a' * 64}.sig"
    for value in (None, {}, {"dev.cosignproject.cosign/signature": 1}):
        assert signatures_of_manifest(simple_manifest(annotations=value), DIGEST) == []


@pytest.mark.parametrize(
    "manifest",
    [
        simple_manifest(size=1 << 30),
        simple_manifest(size=True),
        simple_manifest(digest="sha512:00"),
        b'{"layers": [' + b"1," * 200 + b"1]}",
        b"{}",
        SIGNED.manifest.replace(DIGEST.encode(), OTHER_DIGEST.encode()),
        changed(json.loads(SIGNED.manifest), "layers", value=json.loads(SIGNED.manifest)["layers"] * 2),
        changed(json.loads(SIGNED.manifest), "subject", value=...),
        SIGNED.manifest + b" " * (256 << 10),
    ],
    ids=itertools.count(),
)
def test_malformed_manifest_is_refused(manifest):
    refusal("signing.manifest", signatures_of_manifest, manifest, DIGEST)


def test_manifest_without_signatures_has_none():
    assert signatures_of_manifest(changed(json.loads(SIGNED.manifest), "layers", value=[]), DIGEST) == []


def test_every_flipped_byte_of_an_own_signature_is_noticed():
    bundle = our_bundle()
    accepted = []
    for position in range(len(bundle)):
        for bit in (1, 0x20):
            data = bytearray(bundle)
            data[position] ^= bit
            try:
                verify_bundle(bytes(data), DIGEST, [KEY])
            except StrataError:
                continue
            accepted.append(position)
    # Only the hint is not signed; base64 with padding has unused bits.
    hint = bundle.index(b'"verificationMaterial"'), bundle.index(b'"dsseEnvelope"')
    unused = [position for position in accepted if not hint[0] <= position < hint[1]]
    assert all(bundle[position + 1 : position + 2] in (b"=",) for position in unused)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([DIGEST, BUNDLE, SIMPLE]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def paths_of(document, prefix=()):
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield (*prefix, key)
        yield from paths_of(value, (*prefix, key))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(paths_of(GOOD), key=repr)), JSON | st.just(...))
def test_random_field_of_a_bundle_raises_only_our_errors(path, value):
    with only_our_errors():
        assert verify_bundle(changed(GOOD, *path, value=value), DIGEST, [KEY]) is KEY


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(paths_of(statement_of(DIGEST)), key=repr)), JSON | st.just(...))
def test_random_field_of_a_statement_raises_only_our_errors(path, value):
    with only_our_errors():
        statement = changed(statement_of(DIGEST), *path, value=value)
        assert verify_bundle(encoded(bundle_of(statement, PAIR)), DIGEST, [KEY]) is KEY


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(paths_of(json.loads(SIGNED.manifest)), key=repr)), JSON | st.just(...))
def test_random_field_of_a_manifest_raises_only_our_errors(path, value):
    manifest = changed(json.loads(SIGNED.manifest), *path, value=value)
    with only_our_errors():
        signatures_of_manifest(manifest, DIGEST)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.text(max_size=200))
def test_random_data_raises_only_our_errors(data, text):
    with only_our_errors():
        verify_bundle(data, DIGEST, [KEY])
    with only_our_errors():
        verify_simple(data, text, DIGEST, [KEY])
    with only_our_errors():
        VerifyKey.load(text)
