# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry editor files (.reg) for the tests: write operations, export a tree as operations, apply operations to a tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...plugins.module_utils.winregistry.hive_model import Key
from ...plugins.module_utils.winregistry.reg_text import (
    HEADER,
    KEY_LINE,
    CreateKey,
    DeleteKey,
    DeleteValue,
    Operation,
    SetValue,
)
from ...plugins.module_utils.winregistry.registry_values import REG_BINARY, REG_DWORD, REG_SZ

_WIDTH = 78


def write_reg(operations: Iterable[Operation]) -> bytes:
    """Return a version 5.00 .reg file (UTF-16 with byte order mark) that does ``operations``."""
    lines = [HEADER, ""]
    current = None
    for operation in operations:
        written = KEY_LINE.match(f"[{operation.path}]")
        if written is None or written.group(2) != operation.path or "\0" in operation.path:
            raise ValueError(f"The key {operation.path!r} cannot be written to a .reg file.")
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
    if "\0" in text:
        raise ValueError(f"The text {text!r} cannot be written to a .reg file.")
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        text = text.replace(character, escaped)
    return text


def _assignment(operation: SetValue) -> str:
    name, data = _name(operation.name), operation.data
    if operation.type == REG_DWORD and len(data) == 4:
        return f"{name}=dword:{int.from_bytes(data, 'little'):08x}"
    if operation.type == REG_SZ and len(data) >= 2 and len(data) % 2 == 0 and data[-2:] == b"\0\0":
        text = data[:-2].decode("utf-16-le", "surrogatepass")
        # Readers differ in the handling of control characters.
        if not any(character < " " for character in text):
            return f'{name}="{_quoted(text)}"'
    lines, line = [], f"{name}=hex{'' if operation.type == REG_BINARY else f'({operation.type:x})'}:"
    numbers = data.hex(",").split(",") if data else []
    start = 0
    while start < len(numbers):
        count = max((_WIDTH - len(line)) // 3, 1)
        line += ",".join(numbers[start : start + count])
        start += count
        if start < len(numbers):
            lines.append(line + ",\\")
            line = "  "
    return "\r\n".join(lines + [line])


def export(key: Key, path: str) -> Iterator[Operation]:
    """Yield the operations that create the tree of ``key`` at ``path``."""
    for below, subkey in key.walk():
        here = f"{path}\\{below}" if below else path
        yield CreateKey(here)
        for value in subkey.values.values():
            yield SetValue(here, value.name, value.type, value.data)


def apply(root: Key, operations: Iterable[Operation], mount: str) -> int:
    """Apply the ``operations`` at or below ``mount``, the path of ``root``; return how many.

    As in Windows, deleting something that does not exist is not an error.
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
