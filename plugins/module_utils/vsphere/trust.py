# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trust of TLS connections: certificate authorities, or a thumbprint that vCenter reports."""

from __future__ import annotations

import hashlib
import re
import ssl
from dataclasses import dataclass

from ..common.errors import InvalidInput, Unavailable
from ..common.tls import unverified_context, verifying_context

_ALGORITHMS = {40: "sha1", 64: "sha256", 128: "sha512"}


@dataclass(frozen=True, slots=True)
class Trust:
    """The rules for verifying certificates. ``validate_certs`` false accepts any certificate; ``ca_file`` adds authorities in PEM form."""

    validate_certs: bool = True
    ca_file: str | None = None

    def context(self) -> ssl.SSLContext:
        """Return a context for client connections. Raises InvalidInput (vsphere.ca_file) when ``ca_file`` cannot be used."""
        if not self.validate_certs:
            return unverified_context()
        try:
            return verifying_context(self.ca_file)
        except OSError as error:
            raise InvalidInput(
                f"The file of certificate authorities {self.ca_file} cannot be used: {error.strerror or error}.",
                code="vsphere.ca_file",
                hint="Set ca_path to a file with certificates in PEM form.",
            ) from error


def check_thumbprint(certificate: bytes, thumbprint: str, label: str) -> None:
    """Compare a certificate (DER) with a SHA-1, SHA-256 or SHA-512 thumbprint.

    ``label`` names the server in the message. Raises Unavailable (vsphere.thumbprint) when they differ.
    """
    expected = re.sub(r"[^0-9a-f]", "", thumbprint.lower())
    algorithm = _ALGORITHMS.get(len(expected))
    found = hashlib.new(algorithm, certificate).hexdigest() if algorithm else ""
    if not algorithm or found != expected:
        raise Unavailable(
            f"The certificate of {label} has the thumbprint {_colons(found) or 'unknown'}, but vCenter reported {thumbprint[:200]}.",
            code="vsphere.thumbprint",
            hint="Check for a proxy between the composer and the host, or refresh the host's certificate in vCenter.",
            expected=thumbprint[:200],
            found=_colons(found),
        )


def _colons(digest: str) -> str:
    return ":".join(re.findall("..", digest.upper()))
