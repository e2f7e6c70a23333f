# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read registry editor files (.reg) into operations.

Both forms are read: "Windows Registry Editor Version 5.00" (UTF-16 or UTF-8) and REGEDIT4
(ANSI, in which hexadecimal strings are ANSI, too). Sources: Microsoft's "How to add, modify,
or delete registry subkeys and values by using a .reg file"; wine's regedit where that article leaves details open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ..common.errors import InvalidInput
from .registry_values import REG_BINARY, REG_DWORD, REG_EXPAND_SZ, REG_MULTI_SZ, REG_SZ, encode_string

HEADER = "Windows Registry Editor Version 5.00"
HEADER_ANSI = "REGEDIT4"

_BLANK = re.compile(r"(?:[ \t\r\n]++|;[^\r\n]*+)*+")
_LINE = re.compile(r"[^\r\n]*+")
# A bracket within a name is not followed by the end of the line.
KEY_LINE = re.compile(r"\[(-?)([^\r\n]*?)\][ \t]*+(?:;[^\r\n]*+)?(?=[\r\n]|\Z)")
_STRING = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ASSIGN = re.compile(r"[ \t]*+=[ \t]*+")
_DWORD = re.compile(r"dword:[ \t]*+([0-9a-f]{1,8})(?![0-9a-f])", re.IGNORECASE)
_HEX = re.compile(r"hex(?:\(([0-9a-f]{1,8})\))?:((?:[0-9a-f, \t]++|\\[ \t]*+(?:\r\n|\n|\r))*+)", re.IGNORECASE)
_CONTINUATION = re.compile(r"[\\ \t\r\n]+")
_END = re.compile(r"[ \t]*+(?:;[^\r\n]*+)?(?=[\r\n]|\Z)")
_ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "r": "\r", "0": "\0"}


@dataclass(frozen=True, slots=True)
class CreateKey:
    """Create the key ``path`` (with its root, such as HKEY_LOCAL_MACHINE) if it does not exist."""

    path: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class DeleteKey:
    """Delete the key ``path`` and everything below it."""

    path: str
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class SetValue:
    """Set the value ``name`` ("" for the default value) of the key ``path``."""

    path: str
    name: str
    type: int
    data: bytes
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class DeleteValue:
    """Delete the value ``name`` of the key ``path``."""

    path: str
    name: str
    line: int = field(default=0, compare=False)


Operation: TypeAlias = "CreateKey | DeleteKey | SetValue | DeleteValue"


def read_reg(data: bytes, *, source: str = "The .reg file", ansi: str = "cp1252") -> list[Operation]:
    """Read a .reg file into operations in their order.

    ``source`` names the file in errors, ``ansi`` is the code page of REGEDIT4.

    Raises:
        InvalidInput: a line is not valid; the registry editor of Windows would skip it silently. ``line`` is its number.
    """
    return list(_Parser(_decode(data, source, ansi), source, ansi).operations())


def _decode(data: bytes, source: str, ansi: str) -> str:
    try:
        if data.startswith(b"\xff\xfe"):
            return data[2:].decode("utf-16-le", "surrogatepass")
        if data.startswith(b"\xef\xbb\xbf"):
            return data[3:].decode("utf-8")
        if data[1:2] == b"\0":
            return data.decode("utf-16-le", "surrogatepass")
        if data.lstrip().startswith(HEADER_ANSI.encode("ascii")):
            return data.decode(ansi)
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{source} is not {error.encoding} text: byte {error.start} cannot be decoded.",
            code="winregistry.text",
            hint="Save the file as UTF-16, as the registry editor does.",
        ) from error


def _lines(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


class _Parser:
    def __init__(self, text: str, source: str, ansi: str) -> None:
        self.text = text
        self.source = source
        self.ansi = ansi
        self.line = 1
        self.position = 0
        self.position = self.end_of(_BLANK)
        start, self.position = self.position, self.end_of(_LINE)
        header = text[start : self.position].strip()
        if header not in (HEADER, HEADER_ANSI):
            raise InvalidInput(
                f"{source} does not begin with '{HEADER}' or '{HEADER_ANSI}'.",
                code="winregistry.text",
                hint="Export the file with the registry editor, or add that line.",
            )
        self.unicode = header == HEADER

    def end_of(self, pattern: re.Pattern[str]) -> int:
        """Return the end of ``pattern`` at the position. The pattern may match nothing."""
        match = pattern.match(self.text, self.position)
        return self.position if match is None else match.end()

    def operations(self) -> Iterator[Operation]:
        """Yield the operations in the order of the file."""
        text = self.text
        path: str | None = None
        counted = 0
        while True:
            self.position = self.end_of(_BLANK)
            if self.position == len(text):
                return
            self.line += _lines(text[counted : self.position])
            counted = self.position
            first = text[self.position]
            if first == "[":
                deleted, name = self.key()
                yield DeleteKey(name, self.line) if deleted else CreateKey(name, self.line)
                path = None if deleted else name
            elif first in '@"':
                if path is None:
                    raise self.error("has a value without a key")
                yield self.value(path)
            else:
                raise self.error("has a line that is neither a key nor a value")

    def error(self, problem: str) -> InvalidInput:
        line = _lines(self.text[: self.position]) + 1
        return InvalidInput(
            f"{self.source} {problem} in line {line}.",
            code="winregistry.text",
            hint=f"Correct line {line} of the file.",
            line=line,
        )

    def key(self) -> tuple[bool, str]:
        """Read a key line; return whether the key is deleted, and its path."""
        match = KEY_LINE.match(self.text, self.position)
        if match is None:
            raise self.error("has a key without its closing bracket")
        deleted, path = match.group(1) == "-", match.group(2)
        path = path.rstrip("\\")
        if not all(path.split("\\")) or not path.upper().startswith("HKEY_"):
            raise self.error(f"has the key '{path[:80]}', which is not a path below HKEY_...,")
        self.position = match.end()
        return deleted, path

    def value(self, path: str) -> Operation:
        if self.text[self.position] == "@":
            name = ""
            self.position += 1
        else:
            name = self.string("a value name")
        match = _ASSIGN.match(self.text, self.position)
        if match is None:
            raise self.error("has a value without '='")
        self.position = match.end()
        operation = self.data(path, name)
        end = _END.match(self.text, self.position)
        if end is None:
            raise self.error("has unexpected text after a value")
        self.position = end.end()
        return operation

    def data(self, path: str, name: str) -> Operation:
        text = self.text
        if text.startswith("-", self.position):
            self.position += 1
            return DeleteValue(path, name, self.line)
        if text.startswith('"', self.position):
            return SetValue(path, name, REG_SZ, encode_string(self.string("a text")), self.line)
        match = _DWORD.match(text, self.position)
        if match is not None:
            self.position = match.end()
            return SetValue(path, name, REG_DWORD, int(match.group(1), 16).to_bytes(4, "little"), self.line)
        match = _HEX.match(text, self.position)
        if match is None:
            raise self.error("has a value that is not text, dword, hex or '-'")
        kind = REG_BINARY if match.group(1) is None else int(match.group(1), 16)
        data = self.hexadecimal(match.group(2))
        if not self.unicode and kind in (REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ):
            try:
                data = data.decode(self.ansi).encode("utf-16-le")
            except UnicodeDecodeError as error:
                raise self.error(f"has a text that is not {self.ansi}") from error
        self.position = match.end()
        return SetValue(path, name, kind, data, self.line)

    def hexadecimal(self, digits: str) -> bytes:
        parts = _CONTINUATION.sub("", digits).rstrip(",").split(",")
        if parts == [""]:
            return b""
        if not all(0 < len(part) <= 2 for part in parts):
            raise self.error("has a hexadecimal value with bytes that are not one or two digits")
        return bytes([int(part, 16) for part in parts])

    def string(self, kind: str) -> str:
        match = _STRING.match(self.text, self.position)
        if match is None:
            raise self.error(f"has {kind} without its closing quote")
        content = match.group(1)
        if "\\" in content:
            parts = re.split(r"\\(.)", content, flags=re.DOTALL)
            if not all(part in _ESCAPES for part in parts[1::2]):
                raise self.error(f"has {kind} with a single backslash, which must be written twice,")
            parts[1::2] = [_ESCAPES[part] for part in parts[1::2]]
            content = "".join(parts)
        self.position = match.end()
        return content
