# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and signatures that tests make with the library alone, as cosign makes them."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
PREDICATE = "https://sigstore.dev/cosign/sign/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"


@dataclass(frozen=True)
class KeyPair:
    """A key in PEM form: PKCS#8 and SubjectPublicKeyInfo."""

    private: str
    public: str


def key_pair(passphrase: str | None = None, curve: ec.EllipticCurve | None = None) -> KeyPair:
    """Return a new key, by default with the curve P-256 and not encrypted."""
    return pem_pair(ec.generate_private_key(curve or ec.SECP256R1()), passphrase)


def pem_pair(key: Any, passphrase: str | None = None) -> KeyPair:
    """Return the PEM forms of a private key of the library."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(private.decode(), public.decode())


def sign(pair: KeyPair, data: bytes) -> bytes:
    """Return the signature of ``data`` (DER)."""
    key = serialization.load_pem_private_key(pair.private.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def statement_of(digest: str, **changes: Any) -> dict[str, Any]:
    """Return the statement with which cosign signs a manifest; ``changes`` replace fields."""
    subject = {"digest": {"sha256": digest.removeprefix("sha256:")}, "annotations": {}}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [subject],
        "predicateType": PREDICATE,
        "predicate": {},
    } | changes


def bundle_of(statement: dict[str, Any] | bytes, pair: KeyPair, payload_type: str = PAYLOAD_TYPE) -> dict[str, Any]:
    """Return a bundle with a correct signature of a statement, or of the bytes of one."""
    payload = statement if isinstance(statement, bytes) else json.dumps(statement).encode()
    covered = " ".join(("DSSEv1", str(len(payload_type)), payload_type, str(len(payload)), "")).encode() + payload
    der = serialization.load_pem_public_key(pair.public.encode()).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return {
        "mediaType": BUNDLE,
        "verificationMaterial": {
            "publicKey": {"hint": base64.b64encode(hashlib.sha256(der).digest()).decode()},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"sig": base64.b64encode(sign(pair, covered)).decode(), "keyid": ""}],
        },
    }


def changed(document: dict[str, Any], *path: Any, value: Any) -> bytes:
    """Return the JSON of a document in which the field at ``path`` has another value; ... removes the field."""
    document = copy.deepcopy(document)
    target: Any = document
    for name in path[:-1]:
        target = target[name]
    if value is ...:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return json.dumps(document).encode()


def simple_payload(digest: str, **changes: Any) -> bytes:
    """Return the payload with which cosign 2 signs a manifest; ``changes`` replace fields of ``critical``."""
    critical = {
        "identity": {"docker-reference": "registry.example.com/windows/app/editor"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return json.dumps({"critical": critical | changes, "optional": None}).encode()


def refusal(code: str, call: Callable[..., object], *arguments: object) -> StrataError:
    """Return the error of a call, which must have ``code`` and a hint."""
    with pytest.raises(StrataError) as caught:
        call(*arguments)
    assert caught.value.code == code
    assert caught.value.hint
    return caught.value
