# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of a file index, and the table of their optional fields that writer and reader share."""

from __future__ import annotations

import binascii
import operator
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import entry as model
from .entry import Entry, path_problem, stream_problem
from .entry_headers import runs_problem
from .extended_attributes import unpack_eas

MAX_NUMBER = (1 << 63) - 1


class InvalidValue(Exception):
    """A value breaks the format of a file index; ``read_index`` turns it into a Corrupt error that names the layer."""


@dataclass(slots=True)
class Record:
    """An entry with the SHA-256 digests (32 bytes) of its unnamed stream, None without one, and of each named stream."""

    entry: Entry
    digest: bytes | None = None
    stream_digests: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OptionalField:
    """A property of entries that records contain only if it differs from ``default``.

    ``pack`` returns the JSON value of the attribute, ``read`` checks a JSON value and sets it on a record.
    Errors name ``attribute``, which is the property of Entry.
    """

    attribute: str
    pack: Callable[[Any], Any]
    read: Callable[[Record, Any], None]
    default: object = None


def read_number(value: Any) -> int:
    """Return an integer between 0 and ``MAX_NUMBER``."""
    if value.__class__ is not int or not 0 <= value <= MAX_NUMBER:
        raise InvalidValue
    return value


def read_digest(value: Any) -> bytes:
    """Return the 32 bytes of a SHA-256 digest in hexadecimal digits."""
    try:
        digest = bytes.fromhex(value)
    except (TypeError, ValueError):
        raise InvalidValue from None
    if len(digest) != 32:
        raise InvalidValue
    return digest


def read_binary(value: Any, bound: int) -> bytes:
    """Return the bytes of base64 of at most ``bound`` bytes."""
    if value.__class__ is not str or len(value) > bound * 4 // 3 + 8:
        raise InvalidValue
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidValue from None


def _lists(value: Any, length: int) -> list[list[Any]]:
    if value.__class__ is not list or any(item.__class__ is not list or len(item) != length for item in value):
        raise InvalidValue
    return value


def _pack_binary(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _binary_field(attribute: str, bound: int) -> OptionalField:
    def read(record: Record, value: Any) -> None:
        setattr(record.entry, attribute, read_binary(value, bound))

    return OptionalField(attribute, _pack_binary, read)


def _read_short_name(record: Record, value: Any) -> None:
    if value.__class__ is not str or not 0 < len(value) <= 12:
        raise InvalidValue
    record.entry.short_name = value


def _read_link_target(record: Record, value: Any) -> None:
    if value.__class__ is not str or path_problem(value):
        raise InvalidValue
    record.entry.link_target = value


def _read_eas(record: Record, value: Any) -> None:
    record.entry.eas = read_binary(value, model.MAX_EAS)
    if unpack_eas(record.entry.eas) is None:
        raise InvalidValue


def _read_sparse(record: Record, value: Any) -> None:
    record.entry.sparse = [(read_number(offset), read_number(length)) for offset, length in _lists(value, 2)]
    if runs_problem(record.entry.sparse, record.entry.size):
        raise InvalidValue


def _read_implied(record: Record, value: Any) -> None:
    record.entry.implied = value == 1


def _read_streams(record: Record, value: Any) -> None:
    for name, size, digest in _lists(value, 3):
        if name.__class__ is not str or stream_problem(name):
            raise InvalidValue
        record.entry.streams.append((name, read_number(size)))
        record.stream_digests.append(read_digest(digest))


#: By key, in the order in which they are written. ``pack`` of streams takes (name, size, digest) triples.
OPTIONAL: dict[str, OptionalField] = {
    "n": OptionalField("short_name", str, _read_short_name),
    "l": OptionalField("link_target", str, _read_link_target),
    "r": _binary_field("reparse", model.MAX_REPARSE),
    "e": OptionalField("eas", _pack_binary, _read_eas),
    "o": _binary_field("object_id", 64),
    "p": OptionalField("sparse", list, _read_sparse),
    "i": OptionalField("implied", int, _read_implied, default=False),
    "s": OptionalField(
        "streams", lambda streams: [[name, size, digest.hex()] for name, size, digest in streams], _read_streams, []
    ),
}
#: Returns the optional attributes of an entry as a tuple, to compare them with ``DEFAULTS`` at once.
get_optional: Callable[[Entry], tuple[Any, ...]] = operator.attrgetter(*(item.attribute for item in OPTIONAL.values()))
_PACKERS = tuple((key, item.default, item.pack) for key, item in OPTIONAL.items())
DEFAULTS = tuple(item.default for item in OPTIONAL.values())


def pack_optional(values: tuple[Any, ...], stream_digests: Sequence[bytes]) -> dict[str, Any]:
    """Return the optional attributes of an entry, from ``get_optional``, as JSON values by key."""
    packed: dict[str, Any] = {}
    for (key, default, pack), value in zip(_PACKERS, values):
        if value != default:
            if key == "s":
                value = [(name, size, digest) for (name, size), digest in zip(value, stream_digests, strict=True)]
            packed[key] = pack(value)
    return packed
