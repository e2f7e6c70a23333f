# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures in the form of sigstore bundles, which cosign 3 makes by default, and verifies.

A bundle is a JSON object with a DSSE envelope. The payload of the envelope is an in-toto statement, whose only subject
is the SHA-256 digest of a manifest. The signature covers type and payload (``signed_bytes``).

Sources: sigstore protobuf-specs (sigstore_bundle.proto, version 0.3), secure-systems-lab/dsse (protocol.md, envelope.md),
in-toto attestation framework (spec/v1/statement.md), cosign (pkg/types/predicate.go).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..common.errors import Corrupt, Untrusted
from .keys import SigningKey, VerifyKey
from .strict_json import Malformed, binary_field, field_of, is_digest, read_object

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
#: The same version of the format in the spelling of its first year.
BUNDLE_TYPES = (BUNDLE, "application/vnd.dev.sigstore.bundle+json;version=0.3")
#: The type of the statement, and the annotation of the manifest that repeats it.
PREDICATE, PREDICATE_ANNOTATION = "https://sigstore.dev/cosign/sign/v1", "dev.sigstore.bundle.predicateType"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_HINT = re.compile(r"[A-Za-z0-9+/=_-]{1,100}")
_MEDIA_TYPE = re.compile(r"[ -~]{1,200}")
_MAX_SIGNATURE = 1024


@dataclass(frozen=True)
class _Envelope:
    """What a bundle contains: the hint at its key ("" without one), type and bytes of the payload, and the signature."""

    hint: str
    payload_type: str
    payload: bytes
    signature: bytes


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    """Return what the signature of a DSSE envelope covers: its pre-authentication encoding."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def make_bundle(digest: str, key: SigningKey) -> bytes:
    """Return a bundle that signs the manifest with this digest."""
    statement = {
        "_type": _STATEMENT,
        "subject": [{"digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": PREDICATE,
        "predicate": {},
    }
    payload = _json(statement)
    signature = key.sign(signed_bytes(_PAYLOAD, payload))
    return _json(
        {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": key.public.hint}},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode("ascii"),
                "payloadType": _PAYLOAD,
                "signatures": [{"sig": base64.b64encode(signature).decode("ascii")}],
            },
        }
    )


def verify_bundle(bundle: bytes, digest: str, keys: Sequence[VerifyKey]) -> VerifyKey:
    """Return the key of ``keys`` that made the signature in ``bundle``, which must sign the manifest ``digest``.

    All keys are tried: the hint in the bundle is not signed. The payload is decoded only after its signature was verified.

    Raises:
        Corrupt: ``signing.bundle`` if the bundle breaks its format.
        Untrusted: ``signing.key_unknown`` if none of the keys made the signature; ``signing.signature_invalid`` if the
            bundle names one of the keys and its signature is wrong; ``signing.payload_type`` and
            ``signing.predicate_type`` if it is not the signature of a manifest; ``signing.subject`` if it signs a
            different manifest.
    """
    try:
        envelope = _read_bundle(bundle)
    except Malformed as error:
        raise _malformed("bundle", digest, error) from None
    key = key_of_signature(envelope.signature, signed_bytes(envelope.payload_type, envelope.payload), keys)
    if key is None:
        raise unknown_key(digest, keys, envelope.hint)
    if envelope.payload_type != _PAYLOAD:
        raise Untrusted(
            f"A signature of the manifest {digest} covers the payload type {envelope.payload_type[:100]!r}, not {_PAYLOAD!r}.",
            code="signing.payload_type",
            hint="Sign the manifest again.",
            digest=digest,
        )
    try:
        _check_statement(read_object(envelope.payload), digest)
    except Malformed as error:
        raise _malformed("statement", digest, error) from None
    return key


def key_of_signature(signature: bytes, data: bytes, keys: Sequence[VerifyKey]) -> VerifyKey | None:
    """Return the first of ``keys`` that made the signature of ``data``; None if none of them did."""
    return next((key for key in keys if key.verifies(signature, data)), None)


def unknown_key(digest: str, keys: Sequence[VerifyKey], hint: str) -> Untrusted:
    """Return the error for a signature that none of ``keys`` made, although its bundle may name one of them in ``hint``."""
    named = next((key for key in keys if key.hint == hint), None)
    if named is not None:
        return Untrusted(
            f"A signature of the manifest {digest} names the key {named.fingerprint}, which did not make it.",
            code="signing.signature_invalid",
            hint="The signature was changed after it was made. Find out who changed it, and sign the manifest again.",
            digest=digest,
            key=named.fingerprint,
        )
    return Untrusted(
        f"A signature of the manifest {digest} was made with a key that is not in verify_keys.",
        code="signing.key_unknown",
        hint="Add the public key of the signer to verify_keys if you trust it.",
        digest=digest,
        **({"key_hint": hint} if hint else {}),
    )


def subject_mismatch(digest: str, signed: str) -> Untrusted:
    """Return the error for the valid signature of a different manifest."""
    return Untrusted(
        f"A signature at the manifest {digest} signs a different manifest, {signed}.",
        code="signing.subject",
        hint="The signature was copied from a different manifest. Find out who copied it, and sign the manifest again.",
        digest=digest,
        signed=signed,
    )


def _malformed(part: str, digest: str, error: Malformed) -> Corrupt:
    return Corrupt(
        f"The {part} of a signature of the manifest {digest} is damaged: {error}.",
        code="signing.bundle",
        hint="Delete this signature, and sign the manifest again.",
        digest=digest,
    )


def _read_bundle(data: bytes) -> _Envelope:
    bundle = read_object(data)
    if bundle.get("mediaType") not in BUNDLE_TYPES:
        raise Malformed(f"its mediaType is not {BUNDLE}")
    material = field_of(bundle, "verificationMaterial", dict)
    envelope = field_of(bundle, "dsseEnvelope", dict)
    signatures = field_of(envelope, "signatures", list)
    if len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise Malformed(f"it has {len(signatures)} signatures; a bundle has 1")
    signature = binary_field(signatures[0], "sig")
    if len(signature) > _MAX_SIGNATURE:
        raise Malformed(f"its signature has {len(signature)} bytes; the limit is {_MAX_SIGNATURE}")
    payload_type = field_of(envelope, "payloadType", str)
    if not _MEDIA_TYPE.fullmatch(payload_type):
        raise Malformed("its payloadType is not a media type")
    return _Envelope(_key_hint(material), payload_type, binary_field(envelope, "payload"), signature)


def _key_hint(material: dict[str, Any]) -> str:
    """Return the name of the key; "" for a signature with a certificate, or for a name in an unusual form."""
    public = material.get("publicKey")
    hint = public.get("hint") if isinstance(public, dict) else None
    return hint if isinstance(hint, str) and _HINT.fullmatch(hint) else ""


def _check_statement(statement: dict[str, Any], digest: str) -> None:
    """Raise unless a verified statement says that its signer signed the manifest ``digest``."""
    predicate = field_of(statement, "predicateType", str)
    if statement.get("_type") != _STATEMENT:
        raise Malformed(f"its _type is not {_STATEMENT}")
    if predicate != PREDICATE:
        raise Untrusted(
            f"A signature at the manifest {digest} is an attestation of the type {predicate[:100]!r}, not a signature of the manifest.",
            code="signing.predicate_type",
            hint="Sign the manifest; attestations do not replace a signature.",
            digest=digest,
        )
    subjects = field_of(statement, "subject", list)
    if len(subjects) != 1 or not isinstance(subjects[0], dict):
        raise Malformed(f"it has {len(subjects)} subjects; a signature has 1")
    digests = field_of(subjects[0], "digest", dict)
    if list(digests) != ["sha256"]:
        raise Malformed("its subject does not have exactly a SHA-256 digest")
    signed = f"sha256:{field_of(digests, 'sha256', str)}"
    if not is_digest(signed):
        raise Malformed("its subject does not have exactly a SHA-256 digest")
    if signed != digest:
        raise subject_mismatch(digest, signed)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
