# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wine's registry files, read and written: "WINE REGISTRY Version 2".

Source: how wine's server saves and loads them (server/registry.c). A key appears when it has
values, a class or no subkeys, or is a link; the others follow from the paths of those.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from ...plugins.module_utils.winregistry import cell_layout
from ...plugins.module_utils.winregistry.hive_model import Key

_SZ, _BINARY, _DWORD = 1, 3, 4
_TEXTS = (1, 2, 7)
_UNIX_EPOCH, _SECOND = 116444736000000000, 10_000_000
_SPECIAL = dict(zip("abtnvfre", "\a\b\t\n\v\f\r\x1b"))
_ESCAPE_OF = {ord(character): "\\" + letter for letter, character in _SPECIAL.items()}
_ESCAPED = re.compile(r"\\(?:x([0-9a-fA-F]{1,4})|([0-7]{1,3})|(.))", re.DOTALL)
_VALUE = re.compile(r'(?:@|"((?:[^"\\]|\\.)*)")=(.*)', re.DOTALL)
_SECTION = re.compile(r"\[((?:[^\]\\]|\\.)*)\](?: \d+)?$")
_STRING = re.compile(r'(?:str\(([0-9a-f]+)\):)?"((?:[^"\\]|\\.)*)"$', re.DOTALL)
_BYTES = re.compile(r"hex(?:\(([0-9a-f]+)\))?:([0-9a-f,]*)$")


def read(text: str) -> Key:
    """The root key of a registry file. A key that the file does not list has the time 0."""
    root = Key("", last_written=0)
    key = None
    lines = iter(text.replace("\\\n  ", "").split("\n"))
    if next(lines) != "WINE REGISTRY Version 2":
        raise ValueError("not a registry file of wine")
    for line in lines:
        if line.startswith("["):
            match = _SECTION.match(line)
            if match is None:
                raise ValueError(f"not a key: {line}")
            key = root.create(_unescape(match[1]), last_written=0)
        elif not line or line.startswith((";;", "#arch=")):
            continue
        elif key is None:
            raise ValueError(f"before the first key: {line}")
        elif line.startswith("#time="):
            key.last_written = int(line[6:], 16)
        elif line == "#link":
            key.flags |= cell_layout.KEY_SYM_LINK
        elif line.startswith('#class="'):
            key.class_name = _unescape(line[8:-1])
        else:
            match = _VALUE.match(line)
            if match is None:
                raise ValueError(f"not a value: {line}")
            key.set_value(_unescape(match[1] or ""), *_read_data(match[2]))
    return root


def _unescape(text: str) -> str:
    def plain(match: re.Match) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return chr(int(match[2], 8)) if match[2] else _SPECIAL.get(match[3], match[3])

    # Characters beyond the basic plane are written as two surrogates.
    return _ESCAPED.sub(plain, text).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _read_data(text: str) -> tuple[int, bytes]:
    if match := _STRING.match(text):
        return int(match[1], 16) if match[1] else _SZ, (_unescape(match[2]) + "\0").encode("utf-16-le", "surrogatepass")
    if text.startswith("dword:"):
        return _DWORD, struct.pack("<I", int(text[6:], 16))
    match = _BYTES.match(text)
    if match is None:
        raise ValueError(f"not the data of a value: {text}")
    return int(match[1], 16) if match[1] else _BINARY, bytes.fromhex(match[2].replace(",", ""))


def write(root: Key, key_path: str) -> str:
    """The registry file of the keys below ``root``, at ``key_path``, such as ``Machine``."""
    lines = ["WINE REGISTRY Version 2", f";; All keys relative to REGISTRY\\\\{key_path}", "", "#arch=win64", ""]
    for path, key in root.walk():
        if path and is_listed(key):
            lines += [*_section(path, key), ""]
    return "\n".join(lines)


def is_listed(key: Key) -> bool:
    """Return whether wine lists a key, and therefore keeps its time."""
    return bool(len(key.values) or not len(key.subkeys) or key.class_data or key.is_symbolic_link)


def _section(path: str, key: Key) -> Iterator[str]:
    time = key.last_written
    yield f"[{_escape(path, '[]')}] {max(time - _UNIX_EPOCH, 0) // _SECOND & 0xFFFFFFFF}"
    yield f"#time={time >> 32:x}{time & 0xFFFFFFFF:08x}"
    if key.class_name:
        yield f'#class="{_escape(key.class_name, chr(34))}"'
    if key.is_symbolic_link:
        yield "#link"
    for value in key.values.values():
        yield ("@=" if not value.name else f'"{_escape(value.name, chr(34))}"=') + _data(value.type, value.data)


def _escape(text: str, special: str) -> str:
    units = memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H")
    out = []
    for number, unit in enumerate(units):
        following = chr(units[number + 1]) if number + 1 < len(units) and units[number + 1] < 128 else ""
        if unit > 127:
            out.append(f"\\x{unit:04x}" if following in "0123456789abcdefABCDEF" and following else f"\\x{unit:x}")
        elif unit < 32:
            out.append(
                _ESCAPE_OF.get(unit) or (f"\\{unit:03o}" if following in "01234567" and following else f"\\{unit:o}")
            )
        else:
            out.append("\\" + chr(unit) if chr(unit) in special + "\\" else chr(unit))
    return "".join(out)


def _data(kind: int, data: bytes) -> str:
    if kind in _TEXTS and len(data) >= 2 and len(data) % 2 == 0 and data[-2:] == b"\0\0":
        text = data[:-2].decode("utf-16-le", "surrogatepass")
        return (f"str({kind:x}):" if kind != _SZ else "") + f'"{_escape(text, chr(34))}"'
    if kind == _DWORD and len(data) == 4:
        return f"dword:{int.from_bytes(data, 'little'):08x}"
    # Wine's reader continues a line only between two bytes.
    head = "hex:" if kind == _BINARY else f"hex({kind:x}):"
    rows = [data[start : start + 24].hex(",") for start in range(0, len(data), 24)]
    return head + ",\\\n  ".join(rows)
