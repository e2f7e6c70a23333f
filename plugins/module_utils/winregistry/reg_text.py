# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry editor files (.reg): read them into operations, write operations as such a file, apply them to keys.

Both forms are read: "Windows Registry Editor Version 5.00" (UTF-16 or UTF-8) and REGEDIT4
(ANSI, in which hexadecimal strings are ANSI, too). Sources: Microsoft's "How to add, modify,
or delete registry subkeys and values by using a .reg file"; wine's regedit for what it leaves open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ..common.errors import InvalidInput
from .hive_model import Key
from .registry_values import REG_BINARY, REG_DWORD, REG_EXPAND_SZ, REG_MULTI_SZ, REG_SZ, encode_string

HEADER = "Windows Registry Editor Version 5.00"
HEADER_ANSI = "REGEDIT4"
_WIDTH = 78

_BLANK = re.compile(r"(?:[ \t\r\n]++|;[^\r\n]*+)*+")
_LINE = re.compile(r"[^\r\n]*+")
# A bracket within a name is not followed by the end of the line.
_KEY = re.compile(r"\[(-?)([^\r\n]*?)\][ \t]*+(?:;[^\r\n]*+)?(?=[\r\n]|\Z)")
_STRING = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ASSIGN = re.compile(r"[ \t]*+=[ \t]*+")
_DWORD = re.compile(r"dword:[ \t]*+([0-9a-f]{1,8})(?![0-9a-f])", re.IGNORECASE)
_HEX = re.compile(r"hex(?:\(([0-9a-f]{1,8})\))?:((?:[0-9a-f, \t]++|\\[ \t]*+(?:\r\n|\n|\r))*+)", re.IGNORECASE)
_CONTINUATION = re.compile(r"[\\ \t\r\n]+")
_END = re.compile(r"[ \t]*+(?:;[^\r\n]*+)?(?=[\r\n]|\Z)")
_ESCAPES = {"\\": "\\", '"': '"', "n": "\n", "r": "\r", "0": "\0"}


@dataclass(frozen=True, slots=True)
class CreateKey:
    """Make the key ``path`` (with its root, such as HKEY_LOCAL_MACHINE) if it does not exist."""

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
    """Read a .reg file into operations in their order; ``source`` names it in errors, ``ansi`` is the code page of REGEDIT4.

    Raises InvalidInput, with the line, for what Windows' editor would silently skip.
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
            f"{source} is not text in {error.encoding}.",
            code="winregistry.text",
            hint="Save it as UTF-16, as the registry editor does.",
        ) from error


def _lines(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


class _Parser:
    def __init__(self, text: str, source: str, ansi: str) -> None:
        self.text = text
        self.source = source
        self.ansi = ansi
        self.line = 1
        self.position = _BLANK.match(text).end()
        header = _LINE.match(text, self.position)
        if header.group().strip() not in (HEADER, HEADER_ANSI):
            raise InvalidInput(
                f"{source} does not begin with '{HEADER}' or '{HEADER_ANSI}'.",
                code="winregistry.text",
                hint="Export it with the registry editor, or add that line.",
            )
        self.unicode = header.group().strip() == HEADER
        self.position = header.end()

    def operations(self) -> Iterator[Operation]:
        text, path = self.text, None
        counted = 0
        while True:
            self.position = _BLANK.match(text, self.position).end()
            if self.position == len(text):
                return
            self.line += _lines(text[counted : self.position])
            counted = self.position
            first = text[self.position]
            if first == "[":
                deleted, path = self.key()
                yield DeleteKey(path, self.line) if deleted else CreateKey(path, self.line)
                path = None if deleted else path
            elif first in '@"':
                if path is None:
                    raise self.error("has a value that belongs to no key")
                yield self.value(path)
            else:
                raise self.error("has a line that is neither a key nor a value")

    def error(self, what: str) -> InvalidInput:
        line = _lines(self.text[: self.position]) + 1
        return InvalidInput(
            f"{self.source} {what} in line {line}.", code="winregistry.text", hint="Correct that line.", line=line
        )

    def key(self) -> tuple[bool, str]:
        match = _KEY.match(self.text, self.position)
        if match is None:
            raise self.error("has a key without its closing bracket")
        deleted, path = match.group(1) == "-", match.group(2)
        path = path.rstrip("\\")
        if not all(path.split("\\")) or not path.upper().startswith("HKEY_"):
            raise self.error(f"has no key name that begins with HKEY_ but '{path[:80]}'")
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
            raise self.error("has more after a value than belongs to it")
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
            raise self.error("has a value that is no text, dword, hex or '-'")
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
            raise self.error("has a hexadecimal value with something else than bytes of two digits")
        return bytes([int(part, 16) for part in parts])

    def string(self, what: str) -> str:
        match = _STRING.match(self.text, self.position)
        if match is None:
            raise self.error(f"has {what} without its closing quote")
        content = match.group(1)
        if "\\" in content:
            parts = re.split(r"\\(.)", content, flags=re.DOTALL)
            if not all(part in _ESCAPES for part in parts[1::2]):
                raise self.error(f"has {what} with a single backslash before another character, where two are needed")
            parts[1::2] = [_ESCAPES[part] for part in parts[1::2]]
            content = "".join(parts)
        self.position = match.end()
        return content


def write_reg(operations: Iterable[Operation]) -> bytes:
    """Return a version 5.00 .reg file (UTF-16 with byte order mark) that does ``operations``."""
    lines = [HEADER, ""]
    current = None
    for operation in operations:
        written = _KEY.match(f"[{operation.path}]")
        if written is None or written.group(2) != operation.path or "\0" in operation.path:
            raise InvalidInput(f"The key {operation.path!r} cannot be written to a .reg file.", code="winregistry.text")
        if isinstance(operation, DeleteKey):
            lines += [f"[-{operation.path}]", ""]
            current = None
            continue
        if operation.path != current or isinstance(operation, CreateKey):
            lines += ([""] if current is not None else []) + [f"[{operation.path}]"]
            current = operation.path
        if isinstance(operation, DeleteValue):
            lines.append(f"{_name(operation.name)}=-")
        elif isinstance(operation, SetValue):
            lines.append(_assignment(operation))
    return b"\xff\xfe" + "\r\n".join(lines + [""]).encode("utf-16-le", "surrogatepass")


def _name(name: str) -> str:
    return f'"{_quoted(name)}"' if name else "@"


def _quoted(text: str) -> str:
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\0", "\\0")):
        text = text.replace(character, escaped)
    return text


def _assignment(operation: SetValue) -> str:
    name, data = _name(operation.name), operation.data
    if operation.type == REG_DWORD and len(data) == 4:
        return f"{name}=dword:{int.from_bytes(data, 'little'):08x}"
    if operation.type == REG_SZ and len(data) >= 2 and len(data) % 2 == 0 and data[-2:] == b"\0\0":
        text = data[:-2].decode("utf-16-le", "surrogatepass")
        # Control characters would depend on how the reader takes line ends.
        if not any(character < " " for character in text):
            return f'{name}="{_quoted(text)}"'
    lines, line = [], f"{name}=hex{'' if operation.type == REG_BINARY else f'({operation.type:x})'}:"
    numbers = data.hex(",").split(",") if data else []
    start = 0
    while start < len(numbers):
        room = max((_WIDTH - len(line)) // 3, 1)
        line += ",".join(numbers[start : start + room])
        start += room
        if start < len(numbers):
            lines.append(line + ",\\")
            line = "  "
    return "\r\n".join(lines + [line])


def export(key: Key, path: str) -> Iterator[Operation]:
    """Yield the operations that make the tree of ``key`` at ``path``."""
    for below, found in key.walk():
        here = f"{path}\\{below}" if below else path
        yield CreateKey(here)
        for value in found.values.values():
            yield SetValue(here, value.name, value.type, value.data)


def apply(root: Key, operations: Iterable[Operation], mount: str) -> int:
    """Do those of ``operations`` that lie at or below ``mount``, which is where ``root`` stands; return how many.

    As in Windows, deleting what does not exist is no error.
    """
    fold = root.context.upcase.fold
    mounted = fold(mount).rstrip("\\") + "\\"
    done = 0
    for operation in operations:
        if not fold(operation.path + "\\").startswith(mounted):
            continue
        done += 1
        path = operation.path[len(mounted) :]
        if isinstance(operation, SetValue):
            root.create(path).set_value(operation.name, operation.type, operation.data)
            continue
        key = root.key(path)
        if isinstance(operation, CreateKey):
            root.create(path)
        elif key is not None and isinstance(operation, DeleteValue):
            if operation.name in key.values:
                key.delete_value(operation.name)
        elif key is not None and path:
            root.delete(path)
    return done
