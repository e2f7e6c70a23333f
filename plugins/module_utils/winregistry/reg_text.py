# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read registry editor files (.reg) into operations.

Both forms are read: "Windows Registry Editor Version 5.00" (UTF-16 or UTF-8) and REGEDIT4
(ANSI, in which hexadecimal strings are ANSI, too). ANSI text is in the code page of the installation.
Sources: Microsoft's "How to add, modify, or delete registry subkeys and values by using a .reg file"; where that
article leaves details open, what the tests of wine's reg.exe (programs/reg/tests/import.c) assert about Windows:
comments begin with ";", also after a value and between the lines of a continued value, in which blank lines are
skipped, too; a line that begins with "#" is skipped; a continued line ends in a comma before the backslash.
The registry editor skips lines that it cannot read without a message. Here they are errors.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ..common.errors import InvalidInput
from .registry_values import REG_BINARY, REG_DWORD, REG_EXPAND_SZ, REG_MULTI_SZ, REG_SZ, encode_string

HEADER = "Windows Registry Editor Version 5.00"
HEADER_ANSI = "REGEDIT4"

# Blank lines and comments. Windows skips lines that begin with "#", as any line that it cannot read.
_BLANK = re.compile(r"(?:[ \t\r\n]++|[;#][^\r\n]*+)*+")
_LINE = re.compile(r"[^\r\n]*+")
# A bracket within a name is not followed by the end of the line.
KEY_LINE = re.compile(r"\[(-?)([^\r\n]*?)\][ \t]*+(?:;[^\r\n]*+)?(?=[\r\n]|\Z)")
_STRING = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ASSIGN = re.compile(r"[ \t]*+=[ \t]*+")
_DWORD = re.compile(r"dword:[ \t]*+([0-9a-f]{1,8})(?![0-9a-f])", re.IGNORECASE)
# The backslash and the rest of its line, with the blank and comment lines that follow.
_CONTINUATION = r"\\(?:(?:[ \t]*+(?:;[^\r\n]*+)?(?:\r\n|\r|\n))++|[ \t]*+(?:;[^\r\n]*+)?\Z)"
_HEX = re.compile(rf"hex(?:\(([0-9a-f]{{1,8}})\))?:((?:[0-9a-f, \t]++|{_CONTINUATION})*+)", re.IGNORECASE)
_CONTINUED = re.compile(_CONTINUATION)
_END = re.compile(r"[ \t]*+(?:;[^\r\n]*+)?(?=[\r\n]|\Z)")
_HEX_TEXT = re.compile(rb"h\0?e\0?x\0?\(", re.IGNORECASE)
_ROOTS = {
    "HKLM": "HKEY_LOCAL_MACHINE",
    "HKCU": "HKEY_CURRENT_USER",
    "HKCR": "HKEY_CLASSES_ROOT",
    "HKU": "HKEY_USERS",
    "HKCC": "HKEY_CURRENT_CONFIG",
}
_SAVE_HINT = f"Save the file as '{HEADER}' in UTF-16, as the registry editor does."
_UTF_8 = 65001
_ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "r": "\r"}


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


def needs_code_page(data: bytes) -> bool:
    """Return whether a .reg file can have text whose meaning depends on the ANSI code page of Windows.

    That includes the hexadecimal strings of a REGEDIT4 file.
    """
    if _is_regedit4(data):
        return not data.isascii() or _HEX_TEXT.search(data) is not None
    return _encoding(data) is None


def read_reg(data: bytes, *, source: str = "The .reg file", code_page: int | None = None) -> list[Operation]:
    """Read a .reg file into operations in their order.

    ``source`` names the file in errors, ``code_page`` is the number of the ANSI code page of the OS layer; without it, ANSI text must be ASCII.

    Raises:
        InvalidInput winregistry.text: a line is not valid; the registry editor of Windows would skip it silently.
            ``line`` is its number.
        InvalidInput winregistry.code_page: ANSI text cannot be read in the code page.
    """
    ansi = _Ansi.of(code_page)
    return list(_Parser(_decode(data, source, ansi), source, ansi).operations())


@dataclass(frozen=True, slots=True)
class _Ansi:
    """How ANSI text is read: the code page's number, Python's codec, and what other text violates."""

    number: int | None
    codec: str
    problem: str

    @classmethod
    def of(cls, number: int | None) -> _Ansi:
        if number is None:
            return cls(None, "ascii", "is not ASCII, and the code page of the OS layer is not known")
        try:
            codec = codecs.lookup("utf-8" if number == _UTF_8 else f"cp{number}").name
        except LookupError:
            return cls(number, "ascii", f"is not ASCII, and the code page {number} of the OS layer is not supported")
        return cls(number, codec, f"is not valid in the code page {number} of the OS layer")


def _is_regedit4(data: bytes) -> bool:
    """Return whether the first line is that of REGEDIT4, in ANSI or UTF-16."""
    start = data[:200].lstrip(b"\xff\xfe").replace(b"\0", b"").lstrip()
    return start.startswith(HEADER_ANSI.encode("ascii"))


def _encoding(data: bytes) -> str | None:
    """Return the encoding of a .reg file: utf-16-le or utf-8, with or without byte order mark; None for ANSI."""
    if data.startswith(b"\xff\xfe") or data[1:2] == b"\0":
        return "utf-16-le"
    if data.startswith(b"\xef\xbb\xbf"):
        return "utf-8"
    if _is_regedit4(data):
        return None
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _decode(data: bytes, source: str, ansi: _Ansi) -> str:
    encoding = _encoding(data)
    if encoding == "utf-16-le":
        data = data.removeprefix(b"\xff\xfe")
    elif encoding == "utf-8":
        data = data.removeprefix(b"\xef\xbb\xbf")
    elif ansi.number != _UTF_8 and not data.isascii() and _is_utf_8(data):
        raise _code_page_error(source, f"is a {HEADER_ANSI} file in UTF-8, which Windows would read as ANSI text", ansi)
    try:
        return data.decode(encoding or ansi.codec, "surrogatepass" if encoding == "utf-16-le" else "strict")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-16-le" if encoding == "utf-16-le" else "latin-1", "replace")
        line = _lines(before) + 1
        if encoding is None:
            raise _code_page_error(source, f"has text in line {line} that {ansi.problem}", ansi, line) from error
        raise InvalidInput(
            f"{source} has text in line {line} that is not valid {encoding.upper()}.",
            code="winregistry.text",
            hint=_SAVE_HINT,
            line=line,
        ) from error


def _code_page_error(source: str, problem: str, ansi: _Ansi, line: int = 1) -> InvalidInput:
    return InvalidInput(
        f"{source} {problem}.",
        code="winregistry.code_page",
        hint=_SAVE_HINT,
        line=line,
        code_page=ansi.number,
    )


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _lines(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


class _Parser:
    def __init__(self, text: str, source: str, ansi: _Ansi) -> None:
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

    def error(self, problem: str, hint: str = "Correct line {line} of the file.") -> InvalidInput:
        line = _lines(self.text[: self.position]) + 1
        return InvalidInput(
            f"{self.source} {problem} in line {line}.",
            code="winregistry.text",
            hint=hint.format(line=line),
            line=line,
        )

    def key(self) -> tuple[bool, str]:
        """Read a key line; return whether the key is deleted, and its path."""
        match = KEY_LINE.match(self.text, self.position)
        if match is None:
            raise self.error("has a key without its closing bracket")
        deleted, path = match.group(1) == "-", match.group(2)
        path = path.rstrip("\\")
        root = path.partition("\\")[0]
        if root.upper() in _ROOTS:
            full = _ROOTS[root.upper()]
            raise self.error(f"has the short name '{root}' of a root key", f"Write {full} for {root} in line {{line}}.")
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
                data = data.decode(self.ansi.codec).encode("utf-16-le")
            except UnicodeDecodeError as error:
                line = _lines(self.text[: self.position]) + 1
                problem = f"has a value in line {line} whose text {self.ansi.problem}"
                raise _code_page_error(self.source, problem, self.ansi, line) from error
        self.position = match.end()
        return SetValue(path, name, kind, data, self.line)

    def hexadecimal(self, digits: str) -> bytes:
        """Return the bytes of hexadecimal data; the position is at their value."""
        *continued, last = [line.strip(" \t") for line in _CONTINUED.split(digits)]
        for number, line in enumerate(continued):
            # The first line can be empty, after "hex:". Windows ignores a value without the comma.
            if not (line.endswith(",") or (not line and number == 0)):
                raise self.error("has a hexadecimal value with a backslash that does not follow a comma")
        text = "".join((*continued, last))
        if not text:
            return b""
        parts = [part.strip(" \t") for part in text.removesuffix(",").split(",")]
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
            if "0" in parts[1::2]:
                raise self.error(f"has {kind} with '\\0', which Windows ignores together with the value,")
            if not all(part in _ESCAPES for part in parts[1::2]):
                raise self.error(f"has {kind} with a single backslash, which must be written twice,")
            parts[1::2] = [_ESCAPES[part] for part in parts[1::2]]
            content = "".join(parts)
        self.position = match.end()
        return content
