# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of keys: with which a push signs, and by which signatures are verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...common.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class VerificationOptions:
    """Files with public keys, and whether a valid signature is required."""

    keys: tuple[str, ...] = ()
    required: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> VerificationOptions:
        """Read the options of ``verification_arguments``.

        Raises:
            InvalidInput: ``operations.verify_keys`` if signatures are required and no key is set.
        """
        keys = tuple(dict.fromkeys(params["verify_keys"] or ()))
        required = bool(keys) if params["signatures"] is None else params["signatures"] == "required"
        if required and not keys:
            raise InvalidInput(
                "Signatures are required, and no key is set to verify them.",
                code="operations.verify_keys",
                hint="Set verify_keys to files with public keys, or set signatures to optional.",
            )
        return cls(keys=keys, required=required)


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
