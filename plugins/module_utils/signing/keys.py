# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of signatures: ECDSA with the curve P-256 and SHA-256, in PEM form, from a file or as text.

Text serves credentials of AWX, which reach a module as a value of an option. Neither the text of a private key nor
its passphrase is part of a message, a representation or a document.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..common.composer_paths import current_user, path_hint
from ..common.errors import InvalidInput, NotFound, Unsupported
from ..common.optional_imports import crypto_ec, crypto_errors, crypto_hashes, crypto_serialization

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

#: A key has less than 1 KiB; a file with public keys may have several.
MAX_FILE = 64 << 10
_CURVE = "secp256r1"
_BEGIN = "-----BEGIN "
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,64})-----\s.*?-----END \1-----", re.DOTALL)
#: The body of a key: base64 of more than 100 characters, which no usual path is.
_BODY = re.compile(r"\s*[A-Za-z0-9+/]{100,}={0,2}\s*")
_PUBLIC = "PUBLIC KEY"
_PRIVATE = ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "EC PRIVATE KEY")
#: The labels of private keys that cosign generates: scrypt and XSalsa20, which no requirement of this collection has.
_COSIGN = ("ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY")
#: Options with the text of a key, by the option with its file.
_TEXT_OPTIONS = {"sign_key": "sign_key_content"}
_PLAIN_KEY = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY.pem"
_NEW_KEY = _PLAIN_KEY.replace(" -out", " -aes-256-cbc -out")


@dataclass(frozen=True)
class VerifyKey:
    """A public key, ECDSA P-256. ``source`` is its file, or "the text of the option" for a key that was given as text."""

    key: EllipticCurvePublicKey = field(repr=False, compare=False)
    der: bytes = field(repr=False)
    source: str = field(compare=False)

    @classmethod
    def load(cls, path_or_text: str) -> VerifyKey:
        """Return the only public key of a PEM file or of a PEM text.

        Raises:
            InvalidInput: ``signing.key_several`` if there is more than one; else as ``load_all``.
        """
        keys = cls.load_all(path_or_text)
        if len(keys) > 1:
            raise InvalidInput(
                f"{_subject(keys[0].source)} contains {len(keys)} public keys, not 1.",
                code="signing.key_several",
                hint="Name a file with a single public key.",
            )
        return keys[0]

    @classmethod
    def load_all(cls, path_or_text: str) -> list[VerifyKey]:
        """Return the public keys of a PEM file or of a PEM text, each of them once.

        Raises:
            InvalidInput: ``signing.key_file``, ``signing.key_format``, ``signing.key_private``.
            NotFound: ``signing.key_missing``.
            Unsupported: ``signing.key_kind``.
        """
        text, source = _read(path_or_text, "verify_keys")
        found = list(_PEM.finditer(text))
        labels = [match[1] for match in found]
        if any(label.endswith("PRIVATE KEY") for label in labels):
            raise InvalidInput(
                f"{_subject(source)} is a private key: a signature is verified with the public key.",
                code="signing.key_private",
                hint="Create the public key with: openssl pkey -in KEY.pem -pubout -out KEY.pub. Keep the private key where layers are signed.",
            )
        if not found or set(labels) != {_PUBLIC}:
            raise _no_key(source, "a public key", "Name a PEM file that begins with -----BEGIN PUBLIC KEY-----.")
        keys = [cls._of_pem(match[0].encode("ascii", "replace"), source) for match in found]
        return list({key.der: key for key in keys}.values())

    @classmethod
    def _of_pem(cls, pem: bytes, source: str) -> VerifyKey:
        try:
            key = crypto_serialization.load_pem_public_key(pem)
        except (ValueError, crypto_errors.UnsupportedAlgorithm):
            raise _no_key(source, "a public key", "Correct or replace the PEM file.") from None
        if not isinstance(key, crypto_ec.EllipticCurvePublicKey) or key.curve.name != _CURVE:
            raise _other_kind(source, "public", key)
        return cls.of(key, source)

    @classmethod
    def of(cls, key: EllipticCurvePublicKey, source: str) -> VerifyKey:
        """Return the key of a library object."""
        der = key.public_bytes(
            crypto_serialization.Encoding.DER, crypto_serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return cls(key, der, source)

    @property
    def hint(self) -> str:
        """The name of the key in a bundle: base64 of the SHA-256 digest of its DER form."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode("ascii")

    @property
    def fingerprint(self) -> str:
        """The SHA-256 digest of the DER form of the key: ``sha256:`` and 64 hexadecimal digits."""
        return f"sha256:{hashlib.sha256(self.der).hexdigest()}"

    @property
    def pem(self) -> str:
        """The PEM form of the key."""
        return self.key.public_bytes(
            crypto_serialization.Encoding.PEM, crypto_serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode("ascii")

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Return whether ``signature`` (DER) is a signature of ``data`` by this key."""
        try:
            self.key.verify(signature, data, crypto_ec.ECDSA(crypto_hashes.SHA256()))
        except (crypto_errors.InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A private key, ECDSA P-256. ``warnings`` are sentences for the administrator."""

    key: EllipticCurvePrivateKey = field(repr=False, compare=False)
    public: VerifyKey
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def load(cls, path_or_text: str, passphrase: str | None = None) -> SigningKey:
        """Return the private key of a PEM file or of a PEM text; ``passphrase`` decrypts it.

        Raises:
            InvalidInput: ``signing.key_file``, ``signing.key_format``, ``signing.key_public``,
                ``signing.passphrase_missing``, ``signing.passphrase_wrong``.
            NotFound: ``signing.key_missing``.
            Unsupported: ``signing.key_kind``, ``signing.key_cosign``.
        """
        text, source = _read(path_or_text, "sign_key")
        pem = _private_pem(text, source)
        warnings = [*_open_permissions(path_or_text)]
        encrypted = "ENCRYPTED" in pem[:200]
        if passphrase and not encrypted:
            warnings.append(f"{_subject(source)} is not encrypted: sign_key_passphrase is not used.")
        key = _decrypt(pem, passphrase if encrypted else None, source)
        if not isinstance(key, crypto_ec.EllipticCurvePrivateKey) or key.curve.name != _CURVE:
            raise _other_kind(source, "private", key)
        return cls(key, VerifyKey.of(key.public_key(), source), tuple(warnings))

    def sign(self, data: bytes) -> bytes:
        """Return the signature of ``data`` (DER)."""
        return self.key.sign(data, crypto_ec.ECDSA(crypto_hashes.SHA256()))


def load_verify_keys(paths_or_texts: Iterable[str]) -> list[VerifyKey]:
    """Return the public keys of several PEM files or PEM texts, each of them once; errors as ``VerifyKey.load_all``."""
    keys = [key for path_or_text in paths_or_texts for key in VerifyKey.load_all(path_or_text)]
    return list({key.der: key for key in reversed(keys)}.values())[::-1]


def is_key_text(path_or_text: str) -> bool:
    """Return whether the value of an option is the text of a key, not the path of its file."""
    return _BEGIN in path_or_text


def _private_pem(text: str, source: str) -> str:
    """Return the block of ``text`` with the private key. Files of OpenSSL may have a block of curve parameters before it."""
    found = [match for match in _PEM.finditer(text) if match[1] != "EC PARAMETERS"]
    if any(match[1] in _COSIGN for match in found):
        raise Unsupported(
            f"{_subject(source)} is a private key in the encrypted form of cosign, which only cosign reads.",
            code="signing.key_cosign",
            hint=f"Create a key that both read: {_PLAIN_KEY}. Import it into cosign: cosign import-key-pair --key KEY.pem. "
            "Then encrypt it for sign_key: openssl pkey -in KEY.pem -aes-256-cbc -out ENCRYPTED.pem. Both have the same public key.",
        )
    if any(match[1] == _PUBLIC for match in found) and not any(match[1] in _PRIVATE for match in found):
        raise InvalidInput(
            f"{_subject(source)} is a public key: signing needs the private key.",
            code="signing.key_public",
            hint="Set sign_key to the private key.",
        )
    if any(match[1] not in _PRIVATE for match in found):
        label = next(match[1] for match in found if match[1] not in _PRIVATE)
        raise Unsupported(
            f"{_subject(source)} has the form {label!r}, which is not supported.",
            code="signing.key_kind",
            hint=f"Create a key with: {_NEW_KEY}.",
        )
    if len(found) != 1:
        raise _no_key(
            source, "a private key", f"Name a PEM file with a single private key; create it with: {_NEW_KEY}."
        )
    return found[0][0]


def _decrypt(pem: str, passphrase: str | None, source: str) -> object:
    """Return the private key of a PEM block; the library reports a wrong passphrase and damaged data alike."""
    try:
        return crypto_serialization.load_pem_private_key(
            pem.encode("ascii", "replace"), passphrase.encode("utf-8") if passphrase else None
        )
    except TypeError:
        raise InvalidInput(
            f"{_subject(source)} is encrypted, and no passphrase is set.",
            code="signing.passphrase_missing",
            hint="Set sign_key_passphrase, or STRATA_SIGN_KEY_PASSPHRASE in the environment of the task.",
        ) from None
    except (ValueError, crypto_errors.UnsupportedAlgorithm):
        if passphrase:
            raise InvalidInput(
                f"{_subject(source)} cannot be decrypted: the passphrase is wrong, or the data is damaged.",
                code="signing.passphrase_wrong",
                hint="Correct sign_key_passphrase, or STRATA_SIGN_KEY_PASSPHRASE in the environment. Test it with: openssl pkey -in KEY.pem -noout.",
            ) from None
        raise _no_key(source, "a private key", f"Correct the PEM file, or create a key with: {_NEW_KEY}.") from None


def _read(path_or_text: str, option: str) -> tuple[str, str]:
    """Return the text of a key and the name of its source."""
    text = f"the text of {_TEXT_OPTIONS.get(option, option)}"
    if is_key_text(path_or_text):
        if len(path_or_text) > MAX_FILE:
            raise _too_large(text)
        return path_or_text, text
    if _BODY.fullmatch(path_or_text) or "\n" in path_or_text.strip():
        # Perhaps a private key without its frame: it must not appear in a message.
        raise _no_key(text, "a key", "The text of a key begins with -----BEGIN and ends with -----.")
    path = os.path.abspath(os.path.expanduser(path_or_text.strip())) if path_or_text.strip() else ""
    try:
        data = _read_file(path, option)
    except FileNotFoundError:
        raise NotFound(
            f"The key file {path!r} does not exist on the composer." if path else f"The option {option} is empty.",
            code="signing.key_missing",
            hint=f"{path_hint(path_or_text, option)}Correct {option}: the path of a PEM file on the composer, or the text of the key.",
            option=option,
        ) from None
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"The user {current_user()} cannot read the key file {path!r}: {getattr(error, 'strerror', None) or 'invalid path'}.",
            code="signing.key_file",
            hint=f"Give the user access to the file, or correct {option}.",
            option=option,
        ) from None
    if len(data) > MAX_FILE:
        raise _too_large(f"the key file {path!r}")
    return data.decode("ascii", "replace"), f"the key file {path!r}"


def _read_file(path: str, option: str) -> bytes:
    """Return the bytes of a regular file, one more than ``MAX_FILE`` at most."""
    # Opening a named pipe must not wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidInput(
                f"The key file {path!r} is not a regular file.",
                code="signing.key_file",
                hint=f"Set {option} to the path of a PEM file.",
                option=option,
            )
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read(MAX_FILE + 1)
    finally:
        os.close(descriptor)


def _open_permissions(path_or_text: str) -> Iterable[str]:
    """Return a warning if users outside the group of the file can read it, or users other than its owner can change it."""
    if is_key_text(path_or_text):
        return
    path = os.path.abspath(os.path.expanduser(path_or_text.strip()))
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & 0o037:
        yield (
            f"The private key {path!r} has the permissions {mode:04o}: more users than its owner and its group can use it. "
            f"Restrict it with: chmod 600 {path}"
        )


def _subject(source: str) -> str:
    return source[0].upper() + source[1:]


def _no_key(source: str, expected: str, hint: str) -> InvalidInput:
    return InvalidInput(
        f"{_subject(source)} does not contain {expected} in PEM form.", code="signing.key_format", hint=hint
    )


def _too_large(source: str) -> InvalidInput:
    return InvalidInput(
        f"{_subject(source)} is larger than {MAX_FILE >> 10} KiB, the limit for keys.",
        code="signing.key_file",
        hint="Name a file that contains only keys.",
    )


def _other_kind(source: str, half: str, key: object) -> Unsupported:
    curve = getattr(getattr(key, "curve", None), "name", None)
    size = getattr(key, "key_size", None)
    kind = f"the elliptic curve {curve}" if curve else re.sub(r"^_|(Private|Public)Key$", "", type(key).__name__)
    found = f"{kind} with {size} bits" if size and not curve else kind
    return Unsupported(
        f"{_subject(source)} is a {half} key of another kind than ECDSA P-256: {found}.",
        code="signing.key_kind",
        hint=f"Create a key with: {_NEW_KEY}.",
    )
