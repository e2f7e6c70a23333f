# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trust in what a remote has: its signatures are verified before anything is stored, and made when something is pushed.

Signatures are found in two places: manifests whose ``subject`` is the signed manifest (sigstore bundles), and the manifest
with the tag ``sha256-<digits>.sig`` (cosign before version 3). A signature of a manifest covers every blob that it lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ...common.errors import Corrupt, InvalidInput, NotFound, StrataError, Untrusted
from ...oci_registry.model import Referrer
from ...repository.blobs import Descriptor
from ...signing.artifact import (
    MAX_MANIFEST,
    MAX_SIGNATURES,
    StoredSignature,
    sign_manifest,
    signatures_of_manifest,
    simple_signing_tag,
)
from ...signing.bundle import BUNDLE_TYPES, PREDICATE, PREDICATE_ANNOTATION, verify_bundle
from ...signing.keys import SigningKey, VerifyKey, load_verify_keys
from ...signing.simple_signing import verify_simple
from ..backends.backend import Backend
from ..items.artifacts import CREATED, EMPTY_TYPE

#: Errors of a single signature; others are errors of the back end.
_BAD_SIGNATURE = (Corrupt, NotFound, Untrusted)


@dataclass(frozen=True)
class Verified:
    """A valid signature of the manifest ``digest``: the key, and the digest of the manifest that has the signature."""

    digest: str
    key: VerifyKey
    signature: str


@dataclass(frozen=True)
class TrustPolicy:
    """The public keys whose signatures count, and whether content without a valid signature is refused."""

    verify_keys: tuple[VerifyKey, ...] = ()
    required: bool = False

    def __post_init__(self) -> None:
        if self.required and not self.verify_keys:
            raise InvalidInput(
                "Signatures are required, but no public key is set to verify them.",
                code="distribution.verify_keys",
                hint="Set verify_keys, or set signatures to optional.",
            )

    def check(self, backend: Backend, repository: str, digest: str, subject: str = "") -> Verified | None:
        """Return the valid signature of a stored manifest; None if there is none and none is required.

        ``subject`` names the manifest in messages. Without keys, nothing is read.

        Raises:
            Untrusted: signatures are required, and none is valid. ``distribution.unsigned``: there is no signature;
                ``distribution.signature_unknown``: all are by other keys; ``distribution.signature_invalid``: a signature
                is damaged, was changed, or signs something else.
            StrataError: of the back end.
        """
        if not self.verify_keys:
            return None
        problems: list[StrataError] = []
        reader = SignatureReader(backend, repository, digest)
        for manifest in reader.manifests():
            try:
                for stored in reader.stored(manifest):
                    key = reader.verify(stored, self.verify_keys, problems)
                    if key is not None:
                        return Verified(digest, key, manifest)
            except _BAD_SIGNATURE as error:
                problems.append(error)
        if self.required:
            raise _refusal(subject or f"manifest {digest}", backend.label, digest, problems)
        return None


@dataclass
class SignatureGuard:
    """A trust policy, and the key with which pushed manifests are signed (None: they are not).

    ``warnings`` collects sentences about content that has no valid signature although there are keys to verify it.
    """

    policy: TrustPolicy = field(default_factory=TrustPolicy)
    key: SigningKey | None = None
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def load(
        cls,
        verify_keys: Iterable[str] = (),
        required: bool = False,
        sign_key: str | None = None,
        passphrase: str | None = None,
    ) -> SignatureGuard:
        """Return the guard for keys that options name: each is the path of a PEM file or the text of one.

        Raises:
            StrataError: as ``TrustPolicy``, ``VerifyKey.load_all`` and ``SigningKey.load``.
        """
        policy = TrustPolicy(tuple(load_verify_keys(verify_keys)), required)
        key = SigningKey.load(sign_key, passphrase) if sign_key else None
        return cls(policy, key, list(key.warnings) if key else [])

    def check(self, backend: Backend, repository: str, digest: str, subject: str) -> str | None:
        """Return the fingerprint of the key that signed a manifest, None if none is required; else as ``TrustPolicy.check``."""
        verified = self.policy.check(backend, repository, digest, subject)
        if verified is not None:
            return verified.key.fingerprint
        if self.policy.verify_keys:
            warning = f"The {subject} in {backend.label} has no signature by a key in verify_keys."
            self.warnings += [] if warning in self.warnings else [warning]
        return None

    def sign(self, backend: Backend, repository: str, manifest: Descriptor) -> bool:
        """Sign a stored manifest unless there is no key or the key signed it before; return whether a signature was added."""
        return self.key is not None and sign(backend, repository, manifest, self.key)


def sign(backend: Backend, repository: str, manifest: Descriptor, key: SigningKey) -> bool:
    """Attach a signature by ``key`` to a stored manifest; return False if a valid one by this key exists."""
    if TrustPolicy((key.public,)).check(backend, repository, manifest.digest) is not None:
        return False
    made = sign_manifest(manifest.digest, key, size=manifest.size, media_type=manifest.media_type)
    for digest, data in made.blobs.items():
        backend.upload(repository, digest, len(data), data)
    backend.put_manifest(repository, made.digest, made.manifest, made.media_type)
    return True


@dataclass(frozen=True)
class SignatureReader:
    """The signatures of a stored manifest, which are read when they are needed: usually, the first is valid."""

    backend: Backend
    repository: str
    digest: str

    def manifests(self) -> Iterator[str]:
        """Return the digests of the manifests with signatures."""
        for referrer in _bundles(self.backend.referrers(self.repository, self.digest)):
            yield referrer.digest
        tagged = self.backend.digest_of(self.repository, simple_signing_tag(self.digest))
        if tagged is not None:
            yield tagged

    def stored(self, manifest: str) -> list[StoredSignature]:
        """Return the signatures that a manifest lists; none if it was deleted since it was found."""
        found = self.backend.manifest(self.repository, manifest, bound=MAX_MANIFEST)
        return [] if found is None else signatures_of_manifest(found.data, self.digest)

    def verify(
        self, stored: StoredSignature, keys: Sequence[VerifyKey], problems: list[StrataError]
    ) -> VerifyKey | None:
        """Return the key that made a signature; None if it is not valid, which is added to ``problems``."""
        try:
            data = self.backend.read_blob(self.repository, stored.digest, stored.size)
            if stored.signature is None:
                return verify_bundle(data, self.digest, keys)
            return verify_simple(data, stored.signature, self.digest, keys)
        except _BAD_SIGNATURE as error:
            problems.append(error)
            return None


def _bundles(referrers: Sequence[Referrer]) -> list[Referrer]:
    """Return the referrers that may be signatures, the newest first; their number is bounded.

    Tools that copy manifests may lose the artifactType in the list of referrers.
    """
    found = [
        item
        for item in referrers
        if item.artifact_type in (*BUNDLE_TYPES, EMPTY_TYPE, "")
        and item.size <= MAX_MANIFEST
        and item.annotations.get(PREDICATE_ANNOTATION, PREDICATE) == PREDICATE
    ]
    newest_first = sorted(found, key=lambda item: str(item.annotations.get(CREATED, "")), reverse=True)
    return sorted(newest_first, key=lambda item: item.artifact_type not in BUNDLE_TYPES)[:MAX_SIGNATURES]


def _refusal(subject: str, label: str, digest: str, problems: Sequence[StrataError]) -> Untrusted:
    """Return the error for content without a valid signature: it names the most alarming of the problems."""
    if not problems:
        return Untrusted(
            f"The {subject} in {label} is not signed.",
            code="distribution.unsigned",
            hint="Push it again with sign_key, or sign it with cosign. To accept unsigned content, set signatures to optional.",
            digest=digest,
        )
    worst = next((problem for problem in problems if problem.code != "signing.key_unknown"), None)
    if worst is None:
        return Untrusted(
            f"The {subject} in {label} is signed, but not with a key in verify_keys.",
            code="distribution.signature_unknown",
            hint="Add the public key of the signer to verify_keys if you trust it, or push the content again with a trusted key.",
            digest=digest,
            signatures=len(problems),
            **{name: value for name, value in problems[0].details.items() if name == "key_hint"},
        )
    return Untrusted(
        f"The {subject} in {label} has no valid signature. {worst.message}",
        code="distribution.signature_invalid",
        hint=worst.hint,
        digest=digest,
        signatures=len(problems),
        reason=worst.code,
    )
