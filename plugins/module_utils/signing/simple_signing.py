# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures in the form of cosign before version 3: "simple signing". They are verified, and no longer made.

The payload is a JSON object that names the digest of a manifest. It is a blob; the signature of its bytes is an annotation
of the blob in a manifest with the tag ``sha256-<digits>.sig``.

Sources: containers/image (docs/containers-signature.5.md), cosign (specs/SIGNATURE_SPEC.md).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from ..common.errors import Corrupt
from .bundle import key_of_signature, subject_mismatch, unknown_key
from .keys import VerifyKey
from .strict_json import Malformed, field_of, is_digest, read_object

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
#: The annotation with the signature, in base64.
SIGNATURE = "dev.cosignproject.cosign/signature"
#: The types of payloads: of all versions of cosign, and of drafts of cosign 3.
_TYPES = ("cosign container image signature", "https://sigstore.dev/cosign/sign/v1")
_MAX_PAYLOAD = 64 << 10
_MAX_SIGNATURE = 2048


def verify_simple(payload: bytes, signature_b64: str, digest: str, keys: Sequence[VerifyKey]) -> VerifyKey:
    """Return the key of ``keys`` that made the signature of ``payload``, which must name the manifest ``digest``.

    The payload is decoded only after its signature was verified. Its ``docker-reference`` is ignored: copies of a
    manifest in other repositories keep their signature.

    Raises:
        Corrupt: ``signing.simple`` if payload or signature break their format.
        Untrusted: ``signing.key_unknown`` if none of the keys made the signature; ``signing.subject`` if the payload
            names a different manifest.
    """
    try:
        signature = _read_signature(signature_b64)
    except Malformed as error:
        raise _malformed(digest, error) from None
    key = key_of_signature(signature, payload, keys) if len(payload) <= _MAX_PAYLOAD else None
    if key is None:
        raise unknown_key(digest, keys, "")
    try:
        signed = _signed_digest(payload)
    except Malformed as error:
        raise _malformed(digest, error) from None
    if signed != digest:
        raise subject_mismatch(digest, signed)
    return key


def _read_signature(text: str) -> bytes:
    if not 0 < len(text) <= _MAX_SIGNATURE:
        raise Malformed(f"its signature has {len(text)} characters; the limit is {_MAX_SIGNATURE}")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("its signature is not base64") from None


def _signed_digest(payload: bytes) -> str:
    critical = field_of(read_object(payload, bound=_MAX_PAYLOAD), "critical", dict)
    if critical.get("type") not in _TYPES:
        raise Malformed(f"its type is not {_TYPES[0]!r}")
    signed = field_of(field_of(critical, "image", dict), "docker-manifest-digest", str)
    if not is_digest(signed):
        raise Malformed("it does not name the SHA-256 digest of a manifest")
    return str(signed)


def _malformed(digest: str, error: Malformed) -> Corrupt:
    return Corrupt(
        f"A signature of the manifest {digest} in the form of cosign 2 is damaged: {error}.",
        code="signing.simple",
        hint="Delete this signature, and sign the manifest again.",
        digest=digest,
    )
