# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs and libraries (PE32+, AMD64) that print their environment, generated without a compiler.

A program is a list of statements that each write one line; a library exports functions that return a text.
Both have a version resource. Source: Microsoft's "PE Format", "VS_VERSIONINFO"; x64 calling convention.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

_HEADERS = 0x400
_BASE = 0x1000
_BUFFER = 4096
_RELATIVE, _RVA, _RVA64 = range(3)
_ROOTS = {"HKCR": 0x80000000, "HKCU": 0x80000001, "HKLM": 0x80000002}
_ANY_TYPE = 0xFFFF
_STANDARD_OUTPUT = -11


@dataclass(frozen=True)
class Text:
    """Write a fixed text."""

    text: str


@dataclass(frozen=True)
class Call:
    """Write the result of a function of a library."""

    library: str
    function: str


@dataclass(frozen=True)
class Registry:
    """Write a string value, ``root`` HKLM or HKCU; "(absent)" if it does not exist."""

    root: str
    key: str
    value: str


@dataclass(frozen=True)
class Environment:
    """Write an environment variable; an empty line if it does not exist."""

    name: str


Statement = Text | Call | Registry | Environment


class _Section:
    """The only section of an image: code and data, with references that are resolved at the end."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._labels: dict[str, int] = {}
        self._references: list[tuple[int, str, int]] = []
        self._pending: dict[str, bytes] = {}

    def label(self, name: str) -> None:
        self._labels[name] = _BASE + len(self.data)

    def rva(self, name: str) -> int:
        return self._labels[name]

    def code(self, *parts: str | tuple[str, str]) -> None:
        """Hexadecimal code; ("bytes", label) ends with a 32-bit reference relative to its end."""
        for part in parts:
            if isinstance(part, str):
                self.data += bytes.fromhex(part)
            else:
                self.data += bytes.fromhex(part[0])
                self.refer(part[1], _RELATIVE)

    def refer(self, name: str, kind: int) -> None:
        self._references.append((len(self.data), name, kind))
        self.data += bytes(8 if kind == _RVA64 else 4)

    def constant(self, data: bytes) -> str:
        """Keep ``data`` for the end of the section and return its label."""
        name = f"constant {data!r}"
        self._pending[name] = data
        return name

    def align(self, to: int) -> None:
        self.data += bytes(-len(self.data) % to)

    def flush(self) -> None:
        for name, data in self._pending.items():
            self.label(name)
            self.data += data

    def resolve(self) -> bytes:
        for position, name, kind in self._references:
            target = self._labels[name]
            if kind == _RELATIVE:
                struct.pack_into("<i", self.data, position, target - (_BASE + position + 4))
            else:
                struct.pack_into("<Q" if kind == _RVA64 else "<I", self.data, position, target)
        return bytes(self.data)


def program(statements: list[Statement], version: str, description: str) -> bytes:
    """A console program that writes a line for each statement, in UTF-8, and ends with exit code 0."""
    section = _Section()
    imports = {
        "kernel32.dll": ["GetStdHandle", "WriteFile", "lstrlenA", "GetEnvironmentVariableA", "ExitProcess"],
        "advapi32.dll": ["RegGetValueA"],
    }
    for statement in statements:
        if isinstance(statement, Call):
            imports.setdefault(statement.library, []).append(statement.function)
    section.label("entry")
    section.code(
        "4883ec48", "48c7c1" + struct.pack("<i", _STANDARD_OUTPUT).hex(), ("ff15", "GetStdHandle"), ("488905", "output")
    )
    for statement in statements:
        _statement(section, statement)
        section.code(("488d0d", section.constant(b"\r\n\0")), ("e8", "say"))
    section.code("31c9", ("ff15", "ExitProcess"))
    # say: write the string that rcx points to
    section.label("say")
    section.code(
        "53",
        "4883ec30",
        "4889cb",
        ("ff15", "lstrlenA"),
        "4189c0",
        "4889da",
        ("488b0d", "output"),
        ("4c8d0d", "written"),
        "48c744242000000000",
        ("ff15", "WriteFile"),
        "4883c430",
        "5b",
        "c3",
    )
    return _image(section, imports, {}, "", version, description, is_library=False)


def _statement(section: _Section, statement: Statement) -> None:
    if isinstance(statement, Text):
        section.code(("488d0d", section.constant(statement.text.encode() + b"\0")))
    elif isinstance(statement, Call):
        section.code(("ff15", statement.function), "4889c1")
    elif isinstance(statement, Environment):
        section.code(
            ("488d05", "buffer"),
            "c60000",
            ("488d0d", section.constant(statement.name.encode() + b"\0")),
            ("488d15", "buffer"),
            "41b8" + struct.pack("<I", _BUFFER).hex(),
            ("ff15", "GetEnvironmentVariableA"),
            ("488d0d", "buffer"),
        )
    else:
        absent = section.constant(b"(absent)\0")
        section.code(
            ("488d05", "size"),
            "c700" + struct.pack("<I", _BUFFER).hex(),
            "4889442430",
            ("488d05", "buffer"),
            "4889442428",
            "48c744242000000000",
            "48c7c1" + struct.pack("<I", _ROOTS[statement.root]).hex(),
            ("488d15", section.constant(statement.key.encode() + b"\0")),
            ("4c8d05", section.constant(statement.value.encode() + b"\0")),
            "41b9" + struct.pack("<I", _ANY_TYPE).hex(),
            ("ff15", "RegGetValueA"),
            ("488d0d", "buffer"),
            "85c0",
            "7407",
            ("488d0d", absent),
        )
    section.code(("e8", "say"))


def library(name: str, functions: dict[str, str], version: str, description: str) -> bytes:
    """Build a library ``name`` whose functions have no parameters and return their text."""
    section = _Section()
    section.label("entry")
    section.code("b801000000", "c3")
    for function, text in functions.items():
        section.label("export " + function)
        section.code(("488d05", section.constant(text.encode() + b"\0")), "c3")
    return _image(section, {}, functions, name, version, description, is_library=True)


def _image(
    section: _Section,
    imports: dict[str, list[str]],
    exports: dict[str, str],
    name: str,
    version: str,
    description: str,
    is_library: bool,
) -> bytes:
    directories = [(0, 0)] * 16
    if exports:
        directories[0] = _exports(section, sorted(exports), name)
    if imports:
        directories[1] = _imports(section, imports)
    directories[2] = _resources(section, version_resource(version, description, is_library))
    section.align(8)
    for label, size in (("output", 8), ("written", 8), ("size", 8), ("buffer", _BUFFER)):
        section.label(label)
        section.data += bytes(size)
    section.flush()
    section.align(0x200)
    body = section.resolve()
    # Libraries without relocations need different addresses.
    base = 0x180000000 + (zlib.crc32(name.encode()) & 0xFFF) * 0x100000 if is_library else 0x140000000
    pages = -(-len(body) // 0x1000) * 0x1000
    dos = b"MZ\x90\x00".ljust(0x3C, b"\x00") + struct.pack("<I", 0x40)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, 240, 0x2023 if is_library else 0x23)
    optional = struct.pack(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII",
        0x20B,
        14,
        0,
        len(body),
        0,
        0,
        section.rva("entry"),
        _BASE,
        base,
        0x1000,
        0x200,
        6,
        0,
        0,
        0,
        6,
        0,
        0,
        _BASE + pages,
        _HEADERS,
        0,
        3,
        0x100,
        0x100000,
        0x1000,
        0x100000,
        0x1000,
        0,
        16,
    ) + b"".join(struct.pack("<II", *directory) for directory in directories)
    table = struct.pack("<8sIIIIIIHHI", b".text", len(body), _BASE, len(body), _HEADERS, 0, 0, 0, 0, 0xE0000060)
    return (dos + coff + optional + table).ljust(_HEADERS, b"\0") + body


def _imports(section: _Section, imports: dict[str, list[str]]) -> tuple[int, int]:
    section.align(8)
    for library_name, functions in imports.items():
        for function in functions:
            section.label("hint " + function)
            section.data += b"\0\0" + function.encode() + b"\0"
            section.align(2)
        section.label("name " + library_name)
        section.data += library_name.encode() + b"\0"
        section.align(8)
        for table in ("lookup ", "addresses "):
            section.label(table + library_name)
            for function in functions:
                if table == "addresses ":
                    section.label(function)
                section.refer("hint " + function, _RVA64)
            section.data += bytes(8)
    start = _BASE + len(section.data)
    for library_name in imports:
        section.refer("lookup " + library_name, _RVA)
        section.data += bytes(8)
        section.refer("name " + library_name, _RVA)
        section.refer("addresses " + library_name, _RVA)
    section.data += bytes(20)
    return start, _BASE + len(section.data) - start


def _exports(section: _Section, functions: list[str], name: str) -> tuple[int, int]:
    section.align(4)
    start = _BASE + len(section.data)
    section.data += bytes(12)
    section.refer("library name", _RVA)
    section.data += struct.pack("<III", 1, len(functions), len(functions))
    for label in ("functions", "function names", "ordinals"):
        section.refer(label, _RVA)
    section.label("functions")
    for function in functions:
        section.refer("export " + function, _RVA)
    section.label("function names")
    for function in functions:
        section.refer("text " + function, _RVA)
    section.label("ordinals")
    section.data += struct.pack(f"<{len(functions)}H", *range(len(functions)))
    section.label("library name")
    section.data += name.encode() + b"\0"
    for function in functions:
        section.label("text " + function)
        section.data += function.encode() + b"\0"
    return start, _BASE + len(section.data) - start


def _resources(section: _Section, version: bytes) -> tuple[int, int]:
    """A resource tree of one leaf: type 16 (version), name 1, language 1033."""
    section.align(4)
    start = _BASE + len(section.data)
    for depth, number in enumerate((16, 1, 1033)):
        following = 24 * (depth + 1)
        section.data += struct.pack("<IIHHHHII", 0, 0, 0, 0, 0, 1, number, following | (0x80000000 if depth < 2 else 0))
    section.data += struct.pack("<IIII", start + 88, len(version), 0, 0) + version
    return start, 88 + len(version)


def _block(key: str, value: bytes, *, is_text: bool = False, children: bytes = b"") -> bytes:
    head = key.encode("utf-16-le") + b"\0\0"
    body = head + bytes(-(6 + len(head)) % 4) + value
    if children:
        body += bytes(-(6 + len(body)) % 4) + children
    data = struct.pack("<HHH", 6 + len(body), len(value) // (2 if is_text else 1), int(is_text)) + body
    return data


def _joined(blocks: list[bytes]) -> bytes:
    return b"".join(block + bytes(-len(block) % 4) for block in blocks)


def version_resource(version: str, description: str, is_library: bool) -> bytes:
    """VS_VERSIONINFO of a file version "a.b.c.d"."""
    numbers = [int(part) for part in version.split(".")]
    version_words = (numbers[0] << 16 | numbers[1], numbers[2] << 16 | numbers[3])
    fixed = struct.pack(
        "<13I", 0xFEEF04BD, 0x10000, *version_words, *version_words, 0x3F, 0, 0x40004, 2 if is_library else 1, 0, 0, 0
    )
    texts = {"CompanyName": "Strata", "FileDescription": description, "FileVersion": version, "ProductVersion": version}
    strings = _joined([_block(key, text.encode("utf-16-le") + b"\0\0", is_text=True) for key, text in texts.items()])
    table = _block(
        "StringFileInfo", b"", is_text=True, children=_block("040904B0", b"", is_text=True, children=strings)
    )
    translation = _block(
        "VarFileInfo", b"", is_text=True, children=_block("Translation", struct.pack("<HH", 0x409, 0x4B0))
    )
    return _block("VS_VERSION_INFO", fixed, children=_joined([table, translation]))
