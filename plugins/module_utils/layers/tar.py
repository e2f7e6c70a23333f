# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers of the pax interchange format: bounded when read, without data of the host when written.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; base-256 numbers and
the long-name members L and K as in GNU tar.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

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


class FormatError(Exception):
    """An archive breaks its format. ``ArchiveReader`` turns it into a Corrupt error that names the layer.

    The text is the problem without subject and full stop, such as "a header has a negative size".
    """


class Header(NamedTuple):
    """The fields of a ustar header, before extended records are applied."""

    name: bytes
    kind: bytes
    size: int
    mtime: int
    linkname: bytes


def header_block(name: bytes, kind: bytes, size: int, mode: int, mtime: int, linkname: bytes = b"") -> bytes:
    """Return the 512 bytes of a ustar header. Values too long for a field are truncated; a pax record must carry them."""
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
    """Return an extended header record, whose length includes its own digits."""
    body = b" %b=%b\n" % (key.encode("utf-8"), value)
    length = len(body) + len(str(len(body)))
    length += len(str(length)) - len(str(len(body)))
    return b"%d%b" % (length, body)


def pax_member(name: bytes, records: dict[str, bytes]) -> bytes:
    """Return the extended header member that carries ``records`` for the next member."""
    body = b"".join(pax_record(key, records[key]) for key in sorted(records))
    return header_block(b"PaxHeaders.0/" + name[-80:], EXTENDED, len(body), 0o644, 0) + body + padding(len(body))


def padding(size: int) -> bytes:
    """Return the zero bytes that fill ``size`` up to whole blocks."""
    return ZERO_BLOCK[: -size % BLOCK]


def parse_number(field: bytes) -> int:
    """Parse an octal or base-256 header field; raise FormatError for anything else."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        if field[0] & 0x40:
            value -= 1 << (8 * len(field) - 1)
    else:
        text = field.strip(b" \0")
        if text.strip(b"01234567"):
            raise FormatError("a number in a header is not octal")
        value = int(text, 8) if text else 0
    if not -MAX_NUMBER <= value <= MAX_NUMBER:
        raise FormatError("a number in a header is out of range")
    return value


def parse_header(block: bytes) -> Header:
    """Parse a ustar header; raise FormatError if its checksum or a number is wrong."""
    # The low half of Adler-32 is a sum of bytes, which stays below its modulus for half a block: 20 times as fast as sum().
    total = (zlib.adler32(block[:256]) & 0xFFFF) + (zlib.adler32(block[256:]) & 0xFFFF) - 2
    blank = total - sum(block[148:156]) + _CHECKSUM_BLANK
    if parse_number(block[148:156]) != blank:
        raise FormatError("the checksum of a header is wrong")
    size = parse_number(block[124:136])
    if size < 0:
        raise FormatError("a header has a negative size")
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0":
        prefix = block[345:500].partition(b"\0")[0]
        if prefix:
            name = prefix + b"/" + name
    return Header(name, block[156:157], size, parse_number(block[136:148]), block[157:257].partition(b"\0")[0])


def parse_pax(body: bytes, max_records: int) -> dict[str, bytes]:
    """Parse the records of an extended header. The last value of a repeated key applies; an empty value removes the key."""
    records: dict[str, bytes] = {}
    position, count = 0, 0
    while position < len(body):
        space = body.find(b" ", position, position + 12)
        digits = body[position:space] if space > 0 else b""
        if not digits.isdigit():
            raise FormatError("an extended header record has no length")
        end = position + int(digits)
        if end > len(body) or end <= space + 1 or body[end - 1] != 0x0A:
            raise FormatError("the length of an extended header record is wrong")
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise FormatError("an extended header record has no key")
        count += 1
        if count > max_records:
            raise FormatError(f"an extended header has more than {max_records} records")
        try:
            text = key.decode("utf-8")
        except UnicodeDecodeError:
            raise FormatError("an extended header key is not UTF-8") from None
        if value:
            records[text] = value
        else:
            records.pop(text, None)
        position = end
    return records
