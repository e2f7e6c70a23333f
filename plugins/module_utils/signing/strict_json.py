# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict reading of JSON that others wrote: bounded in size and depth, without duplicate keys and special numbers."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, NoReturn

#: Bounds of a document in bytes, and of the nesting of its objects and lists.
MAX_BYTES, MAX_DEPTH = 1 << 20, 64
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Malformed(Exception):
    """Data breaks its format; the text is the end of a sentence: "it has no field payload"."""


def read_object(data: bytes, *, bound: int = MAX_BYTES) -> dict[str, Any]:
    """Return the JSON object in ``data`` (UTF-8).

    Raises:
        Malformed: the data is not a JSON object, or exceeds a bound.
    """
    if len(data) > bound:
        raise Malformed(f"it has {len(data)} bytes; the limit is {bound}")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise Malformed(f"its objects are nested more than {MAX_DEPTH} levels deep") from None
    except ValueError:
        raise Malformed("it is not JSON") from None
    if not isinstance(value, dict):
        raise Malformed("it is not a JSON object")
    _check_depth(value)
    return value


def field_of(values: dict[str, Any], name: str, kind: type) -> Any:
    """Return a field that must be present and of exactly the type ``kind``.

    Raises:
        Malformed: it is missing or of a different type.
    """
    value = values.get(name)
    if value.__class__ is not kind:
        raise Malformed(f"its field {name} is missing or has the wrong type")
    return value


def binary_field(values: dict[str, Any], name: str) -> bytes:
    """Return the bytes of a field in base64.

    Raises:
        Malformed: it is missing, empty or not base64.
    """
    try:
        data = base64.b64decode(field_of(values, name, str), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(f"its field {name} is not base64") from None
    if not data:
        raise Malformed(f"its field {name} is empty")
    return data


def is_digest(value: object) -> bool:
    """Return whether ``value`` is ``sha256:`` and 64 hexadecimal digits in lower case."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        # Readers disagree about which of the values counts.
        raise Malformed("an object has a key twice")
    return values


def _no_constant(_name: str) -> NoReturn:
    raise Malformed("it is not JSON")


def _check_depth(value: object) -> None:
    level = [value]
    for _depth in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise Malformed(f"its objects are nested more than {MAX_DEPTH} levels deep")
