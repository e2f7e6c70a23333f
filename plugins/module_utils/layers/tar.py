# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers of the pax interchange format, bounded on reading and free of host data on writing.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; base-256 numbers and
the long-name members L and K as in GNU tar.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

from ..common.errors import Corrupt

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)
END = bytes(2 * BLOCK)

REGULAR = b"0"
HARD_LINK = b"1"
SYMLINK = b"2"
DIRECTORY = b"5"
EXTENDED = b"x"
GLOBAL = b"g"
LONG_NAME = b"L"
LONG_LINK = b"K"

MAX_OCTAL = 0o77777777777
MAX_NUMBER = (1 << 63) - 1

_CHECKSUM_BLANK = 8 * 0x20


class Header(NamedTuple):
    """A ustar header as it stands, before extended records are applied."""

    name: bytes
    kind: bytes
    size: int
    mtime: int
    linkname: bytes


def damaged(problem: str) -> Corrupt:
    """The error for an archive that breaks the format."""
    return Corrupt(
        f"The layer archive is damaged: {problem}.",
        code="layers.archive_corrupt",
        hint="Fetch or build the layer version again.",
    )


def header_block(name: bytes, kind: bytes, size: int, mode: int, mtime: int, linkname: bytes = b"") -> bytes:
    """512 bytes of ustar header; what does not fit its field is cut, a pax record must carry it."""
    head = b"%b%07o\x000000000\x000000000\x00%011o\x00%011o\x00" % (
        name[:100].ljust(100, b"\0"),
        mode,
        min(size, MAX_OCTAL),
        min(max(mtime, 0), MAX_OCTAL),
    )
    tail = b"%b%bustar\x0000%b0000000\x000000000\x00%b" % (
        kind,
        linkname[:100].ljust(100, b"\0"),
        bytes(64),
        bytes(167),
    )
    return b"%b%06o\x00 %b" % (head, sum(head) + sum(tail) + _CHECKSUM_BLANK, tail)


def pax_record(key: str, value: bytes) -> bytes:
    """One extended header record; its length counts its own digits."""
    body = b" %b=%b\n" % (key.encode("utf-8"), value)
    length = len(body) + len(str(len(body)))
    length += len(str(length)) - len(str(len(body)))
    return b"%d%b" % (length, body)


def pax_member(name: bytes, records: dict[str, bytes]) -> bytes:
    """The extended header member that carries ``records`` for the member that follows."""
    body = b"".join(pax_record(key, records[key]) for key in sorted(records))
    return header_block(b"PaxHeaders.0/" + name[-80:], EXTENDED, len(body), 0o644, 0) + body + padding(len(body))


def padding(size: int) -> bytes:
    """Zero bytes that fill ``size`` up to whole blocks."""
    return ZERO_BLOCK[: -size % BLOCK]


def parse_number(field: bytes) -> int:
    """An octal or base-256 header field; Corrupt when it is neither."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            value -= 1 << (8 * len(field) - 1)
    else:
        text = field.strip(b" \0")
        if text.strip(b"01234567"):
            raise damaged("a number in a header is not octal")
        value = int(text, 8) if text else 0
    if not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise damaged("a number in a header is out of range")
    return value


def parse_header(block: bytes) -> Header:
    """Take a ustar header apart; Corrupt when its checksum or a number is wrong."""
    # Adler-32 begins with a sum of bytes, which stays below its modulus for half a block: twenty times as fast as sum().
    total = (zlib.adler32(block[:256]) & 0xFFFF) + (zlib.adler32(block[256:]) & 0xFFFF) - 2
    blank = total - sum(block[148:156]) + _CHECKSUM_BLANK
    if parse_number(block[148:156]) != blank:
        raise damaged("the checksum of a header is wrong")
    size = parse_number(block[124:136])
    if size < 0:
        raise damaged("a header gives a negative size")
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0":
        prefix = block[345:500].partition(b"\0")[0]
        if prefix:
            name = prefix + b"/" + name
    return Header(name, block[156:157], size, parse_number(block[136:148]), block[157:257].partition(b"\0")[0])


def parse_pax(body: bytes, max_records: int) -> dict[str, bytes]:
    """Records of an extended header; the last of a repeated key counts, an empty value removes it."""
    records: dict[str, bytes] = {}
    position, count = 0, 0
    while position < len(body):
        space = body.find(b" ", position, position + 12)
        digits = body[position:space] if space > 0 else b""
        if not digits.isdigit():
            raise damaged("an extended header record has no length")
        end = position + int(digits)
        if end > len(body) or end <= space + 1 or body[end - 1] != 0x0A:
            raise damaged("an extended header record does not end where it says")
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise damaged("an extended header record has no key")
        count += 1
        if count > max_records:
            raise damaged(f"an extended header has more than {max_records} records")
        try:
            text = key.decode("utf-8")
        except UnicodeDecodeError:
            raise damaged("an extended header key is not UTF-8") from None
        if value:
            records[text] = value
        else:
            records.pop(text, None)
        position = end
    return records
