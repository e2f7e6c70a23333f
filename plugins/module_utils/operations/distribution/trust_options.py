# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of keys: with which a push signs, and by which signatures are verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...common.errors import InvalidInput

if TYPE_CHECKING:
    from ...distribution.signatures.trust import SignatureGuard


@dataclass(frozen=True, kw_only=True)
class VerificationOptions:
    """Public keys, as files or text in PEM format, and whether a valid signature is required."""

    keys: tuple[str, ...] = ()
    required: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> VerificationOptions:
        """Read the options of ``verification_arguments``."""
        keys = tuple(dict.fromkeys(params["verify_keys"] or ()))
        return cls(
            keys=keys, required=bool(keys) if params["signatures"] is None else params["signatures"] == "required"
        )

    def guard(self) -> SignatureGuard:
        """Read the keys of what is pulled.

        Raises:
            StrataError: as ``SignatureGuard.load``; ``distribution.verify_keys`` if signatures are required without a key.
        """
        from ...distribution.signatures.trust import SignatureGuard

        return SignatureGuard.load(self.keys, self.required)


@dataclass(frozen=True, kw_only=True)
class SigningOptions:
    """The private key that signs, as a file or a text in PEM format; None to sign nothing. ``passphrase`` opens it."""

    key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> SigningOptions:
        """Read the options of ``signing_arguments``.

        Raises:
            InvalidInput: ``operations.sign_key`` if a file and a text are set.
        """
        file, content = params["sign_key"], params["sign_key_content"]
        if file and content:
            raise InvalidInput(
                "The options sign_key and sign_key_content are set together.",
                code="operations.sign_key",
                hint="Set the file of the private key or its text. STRATA_SIGN_KEY and STRATA_SIGN_KEY_CONTENT in the environment set them, too.",
            )
        return cls(key=file or content, passphrase=params["sign_key_passphrase"])

    def guard(self) -> SignatureGuard:
        """Read the key of what is pushed.

        Raises:
            StrataError: as ``SignatureGuard.load``.
        """
        from ...distribution.signatures.trust import SignatureGuard

        return SignatureGuard.load(sign_key=self.key, passphrase=self.passphrase)
