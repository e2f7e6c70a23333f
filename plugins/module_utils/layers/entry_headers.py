# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of an entry in the tar headers of a Windows layer: names, values and the table of its fields.

``header_writer`` and ``header_reader`` hold the two directions. Source: OCI image-spec layer.md,
"Platform-specific attributes" and "Whiteouts"; records and stream names as written by the container
tools of Windows (go-winio backuptar, hcsshim ociwclayer). Records of this collection keep the
metadata that this form loses:

=================== =====================================================================
STRATA.version      on the first member: 1
STRATA.path         the real name below ``Files/`` if tar cannot carry it, base64 of UTF-8
                    with lone surrogates (WTF-8)
STRATA.linkpath     likewise the target of a hard link
STRATA.shortname    8.3 name
STRATA.reparse      raw reparse buffer, base64, unless the target of the link determines it
STRATA.eas          chain of extended attributes with flags, base64
STRATA.objectid     object ID, base64
STRATA.streams      JSON list of [name, size] of the streams that follow
STRATA.implied      1: the directory exists only to carry its children
=================== =====================================================================

Sparse files are GNU sparse 1.0 members, which the tar readers of Go and Python expand.
"""

from __future__ import annotations

import binascii
import functools
import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import entry as model
from .entry import Entry, stream_problem
from .tar import MAX_NUMBER, FormatError

VERSION = 1
FILES = "Files"
HIVES = "Hives"
WHITEOUT_PREFIX = ".wh."
MAX_STREAMS = 4096
TICKS_PER_SECOND = 10_000_000  # units of 100 ns


# --- names -----------------------------------------------------------------------------------


def carried_name(name: str) -> tuple[bytes, bool]:
    """Return (tar form of an entry's path or "path:stream", whether tar carries it unchanged)."""
    if WHITEOUT_PREFIX not in name:
        try:
            return name.encode("utf-8"), True
        except UnicodeEncodeError:
            pass
    is_unchanged = True
    components = []
    for component in name.split("/"):
        file, colon, stream = component.partition(":")
        for part in (file, stream):
            if part.startswith(WHITEOUT_PREFIX) or not is_text(part):
                is_unchanged = False
        components.append(_substitute(file) + colon + _substitute(stream))
    return "/".join(components).encode("utf-8"), is_unchanged


def is_text(part: str) -> bool:
    """Return whether UTF-8 can encode ``part``: it has no lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in part)


def _substitute(part: str) -> str:
    if not part.startswith(WHITEOUT_PREFIX) and is_text(part):
        return part
    return "STRATA~" + hashlib.blake2b(wtf8(part), digest_size=8).hexdigest()


def wtf8(text: str) -> bytes:
    """Encode ``text`` as UTF-8 in which lone surrogates are allowed."""
    return text.encode("utf-8", "surrogatepass")


# --- values ----------------------------------------------------------------------------------


def format_time(filetime: int) -> bytes:
    """Format a FILETIME as pax decimal seconds since 1970: sign and magnitude, without trailing zeros."""
    ticks = model.unix_100ns(filetime)
    seconds, fraction = divmod(abs(ticks), TICKS_PER_SECOND)
    sign = "-" if ticks < 0 else ""
    return (f"{sign}{seconds}.{fraction:07d}".rstrip("0") if fraction else f"{sign}{seconds}").encode("ascii")


@functools.lru_cache(4096)
def parse_time(value: bytes) -> int:
    """Return the FILETIME of pax decimal seconds, exact to 100 ns and clamped to the range of a FILETIME."""
    negative = value[:1] == b"-"
    seconds, _point, fraction = value[negative:].partition(b".")
    if not seconds.isdigit() or len(seconds) > 18 or len(fraction) > 18 or (fraction and not fraction.isdigit()):
        raise FormatError("a time is not a decimal number")
    ticks = int(seconds) * TICKS_PER_SECOND + int(fraction[:7].ljust(7, b"0"))
    return min(max(model.filetime_from_unix_ns(0) + (-ticks if negative else ticks), 0), MAX_NUMBER)


def parse_text(value: bytes, subject: str) -> str:
    """Decode UTF-8; ``subject`` names the value in the FormatError."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{subject} is not UTF-8") from None


def parse_base64(value: bytes, bound: int, subject: str) -> bytes:
    """Decode base64 of at most ``bound`` bytes; ``subject`` names the value in the FormatError."""
    if len(value) > bound * 4 // 3 + 8:
        raise FormatError(f"{subject} is larger than {bound} bytes")
    try:
        return b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise FormatError(f"{subject} is not base64") from None


def _format_streams(streams: list[tuple[str, int]]) -> bytes:
    return json.dumps(streams, separators=(",", ":")).encode("ascii")


def _parse_streams(raw: bytes) -> list[tuple[str, int]]:
    try:
        streams = json.loads(raw)
    except (ValueError, RecursionError):
        streams = None
    is_valid = isinstance(streams, list) and len(streams) <= MAX_STREAMS and all(map(_is_stream, streams))
    if not is_valid or len({name for name, _size in streams}) < len(streams):
        raise FormatError("a list of streams is malformed")
    return [(str(name), int(size)) for name, size in streams]


def _is_stream(item: object) -> bool:
    return (
        isinstance(item, list)
        and len(item) == 2
        and isinstance(item[0], str)
        and item[1].__class__ is int
        and 0 <= item[1] <= MAX_NUMBER
        and not stream_problem(item[0])
    )


# --- fields ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Field:
    """A property of entries that a single pax record carries.

    ``attribute`` is its name in Entry, ``absent`` the value for which no record is written.
    """

    attribute: str
    pack: Callable[[Any], bytes]
    parse: Callable[[bytes], Any]
    absent: object = None


def _base64_field(attribute: str, bound: int, subject: str) -> Field:
    return Field(attribute, b64encode, lambda raw: parse_base64(raw, bound, subject))


#: By pax record. Names, attributes, extended attributes and reparse points take more than one record, or none.
FIELDS: dict[str, Field] = {
    "mtime": Field("written", format_time, parse_time),
    "atime": Field("accessed", format_time, parse_time),
    "ctime": Field("changed", format_time, parse_time),
    "LIBARCHIVE.creationtime": Field("created", format_time, parse_time),
    "MSWINDOWS.rawsd": _base64_field("security", model.MAX_SECURITY, "a security descriptor"),
    "STRATA.shortname": Field(
        "short_name", lambda name: name.encode("utf-8"), lambda raw: parse_text(raw, "an 8.3 name")
    ),
    "STRATA.objectid": _base64_field("object_id", 64, "an object ID"),
    "STRATA.streams": Field("streams", _format_streams, _parse_streams, absent=[]),
    "STRATA.implied": Field("implied", lambda _implied: b"1", lambda raw: raw == b"1", absent=False),
}


def normal_attributes(entry: Entry) -> int:
    """Return the entry's attributes with the directory and reparse bits that match its kind and reparse buffer."""
    attributes = entry.attributes & ~(model.ATTRIBUTE_DIRECTORY | model.ATTRIBUTE_REPARSE)
    if entry.kind == model.DIRECTORY:
        attributes |= model.ATTRIBUTE_DIRECTORY
    return attributes | (model.ATTRIBUTE_REPARSE if entry.reparse else 0)


def runs_problem(runs: list[tuple[int, int]], size: int) -> str | None:
    """Return why ``runs`` is not a map of the data of a sparse file of ``size`` bytes, or None."""
    position = 0
    for offset, length in runs:
        if offset < position or length < 0 or offset + length > size:
            return "has a sparse map that is out of order or exceeds the file"
        position = offset + length
    return None
