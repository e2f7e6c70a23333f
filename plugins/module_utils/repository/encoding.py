# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that become file names on any file system, and references that OCI tools accept."""

from __future__ import annotations

import hashlib
import re

from ..common.errors import InternalError, InvalidInput

MAX_NAME = 200
_MAX_ENCODED = 180
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_RESERVED = frozenset(("con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))))
_REFERENCE = re.compile(
    r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*(?:/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*"
)


def check_name(name: str) -> str:
    """Return ``name``; InvalidInput (``repository.name``) if no document can have it."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise InvalidInput(
            f"{str(name)[:80]!r} cannot be used as a name.",
            code="repository.name",
            hint=f"Use 1 to {MAX_NAME} printable characters without leading or trailing spaces.",
        )
    return name


def encoded_name(name: str) -> str:
    """Return a file name (ASCII, lower case, no reserved words) that encodes ``name`` and no other name.

    Everything outside [a-z0-9._-] is percent-encoded, because shares may ignore case. A long name is
    truncated and ends in a digest of the whole name.
    """
    check_name(name)
    parts = [
        character if character in _PLAIN else "".join(f"%{byte:02x}" for byte in character.encode("utf-8"))
        for character in name
    ]
    text = "".join(parts)
    if text[0] in ".-" or text.partition(".")[0] in _RESERVED:
        text = f"%{ord(text[0]):02x}" + text[1:]
    if len(text) > _MAX_ENCODED:
        text = text[: _MAX_ENCODED - 35] + "%+" + hashlib.sha256(name.encode("utf-8")).hexdigest()[:32]
    return text


def check_reference(reference: str) -> str:
    """Return ``reference``; InternalError unless it has the form that the OCI image layout requires.

    Source: OCI image-spec, annotations.md, org.opencontainers.image.ref.name.
    """
    if not isinstance(reference, str) or len(reference) > 512 or not _REFERENCE.fullmatch(reference):
        raise InternalError(f"{str(reference)[:80]!r} is not an OCI reference name.", code="repository.reference")
    return reference


def reference_name(*parts: str) -> str:
    """Return a reference that consists of ``parts``; a part that is not allowed is changed and gets a digest."""
    return check_reference("/".join(_reference_part(part) for part in parts))


def _reference_part(part: str) -> str:
    if len(part) <= 100 and _REFERENCE.fullmatch(part) and "/" not in part:
        return part
    plain = re.sub(r"[^A-Za-z0-9]+", "-", part)[:80].strip("-")
    digest = hashlib.sha256(part.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{plain}.{digest}" if plain else digest
