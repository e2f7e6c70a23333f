# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deltas as bytes, in the form that docs/registry-deltas.md defines.

A delta has exactly one form: siblings are in Windows' order, security descriptors in the
order of their first use, and nothing is optional. The reader rejects every other form.
"""

from __future__ import annotations

import struct
import zlib

from ..common.errors import Corrupt, Unsupported
from . import cell_layout, upcase
from .delta import CARRIED_FLAGS, CREATE, KEEP, KEPT_BEFORE, REMOVE, REPLACE, Before, Delta, KeyDelta, ValueDelta
from .hive_model import MAXIMUM_DATA, MAXIMUM_DEPTH, MAXIMUM_KEY_NAME, MAXIMUM_VALUE_NAME

MAGIC = b"STRATARD"
VERSION = 1

_HEADER = struct.Struct("<8sHHI")
_KEY = struct.Struct("<HBB")
_FLAGS = struct.Struct("<HHI")
_U16 = cell_layout.U16
_U32 = cell_layout.U32
_U64 = cell_layout.U64

# Bits of the fields that follow in a key's record
_RENAMED = 0x01
_SECURITY = 0x02
_CLASS = 0x04
_KEY_FLAGS = 0x08
_TIME = 0x10
_ORDER = 0x20
_KEY_FIELDS = 0x3F
# Bits of the fields that follow in a value's record
_SET = 0x01
_BEFORE = 0x02
_DIGEST = 0x04
_VALUE_RENAMED = 0x08
_WIDE = 0x10
_VALUE_FIELDS = 0x1F

_HINT = "Copy the layer version to the repository again; its digest shows whether it is complete."


def write_delta(delta: Delta) -> bytes:
    """Return ``delta`` as bytes, which depend only on the delta."""
    descriptors: dict[bytes, int] = {}
    keys = bytearray()
    count = 0
    stack = [(0, delta.root)]
    while stack:
        depth, key = stack.pop()
        count += 1
        _write_key(keys, depth, key, descriptors)
        # Not by the delta's folded names: its upcase table may be that of a volume.
        stack += [(depth + 1, below) for below in sorted(key.subkeys.values(), key=_sort_key, reverse=True)]
    body = bytearray(_name(delta.hive))
    body += _U32.pack(len(descriptors))
    for security in descriptors:
        body += _U32.pack(len(security)) + security
    body += _U32.pack(count) + keys
    return _HEADER.pack(MAGIC, VERSION, 0, zlib.crc32(body)) + body


def _sort_key(key: KeyDelta) -> bytes:
    return upcase.sort_key(upcase.WINDOWS.fold(key.name))


def _name(name: str) -> bytes:
    encoded = name.encode("utf-16-le", "surrogatepass")
    return _U16.pack(len(encoded)) + encoded


def _write_key(out: bytearray, depth: int, key: KeyDelta, descriptors: dict[bytes, int]) -> None:
    fields = (
        (_RENAMED if key.renamed else 0)
        | (_SECURITY if key.security is not None else 0)
        | (_CLASS if key.class_data is not None else 0)
        | (_KEY_FLAGS if key.flags is not None else 0)
        | (_TIME if key.last_written is not None else 0)
        | (_ORDER if key.order else 0)
    )
    out += _KEY.pack(depth, key.action, fields) + _name(key.name)
    if key.security is not None:
        out += _U32.pack(descriptors.setdefault(key.security, len(descriptors)))
    if key.class_data is not None:
        out += _U16.pack(len(key.class_data)) + key.class_data
    if key.flags is not None:
        out += _FLAGS.pack(*key.flags)
    if key.last_written is not None:
        out += _U64.pack(key.last_written)
    if key.order:
        out += _U32.pack(len(key.order))
        for name in key.order:
            out += _name(name)
    out += _U32.pack(len(key.values))
    for value in key.values.values():
        _write_value(out, value)


def _write_value(out: bytearray, value: ValueDelta) -> None:
    before = value.before
    out.append(
        (_SET if value.data is not None else 0)
        | (_BEFORE if before is not None else 0)
        | (_VALUE_RENAMED if value.renamed else 0)
        | (_DIGEST if before is not None and before.data is None else 0)
        | (_WIDE if value.wide else 0)
    )
    out += _name(value.name)
    if value.data is not None:
        out += _U32.pack(value.type) + _U32.pack(len(value.data)) + value.data
    if before is not None:
        out += _U32.pack(before.type) + _U32.pack(before.size)
        out += (before.digest if before.data is None else before.data) or b""


def read_delta(data: bytes, *, name: str = "", table: upcase.Upcase = upcase.WINDOWS) -> Delta:
    """Read a delta that ``write_delta`` wrote. Error messages contain ``name``, such as the hive and the layer.

    Raises:
        Corrupt: ``data`` is not a valid delta.
        Unsupported: the delta has a later version.
    """
    try:
        return _read(data, table)
    except (Corrupt, Unsupported) as error:
        if name:
            error.message = error.message.replace("The registry delta", f"The registry delta of {name}", 1)
        raise


def _read(data: bytes, table: upcase.Upcase) -> Delta:
    if len(data) < _HEADER.size or not data.startswith(MAGIC):
        raise _corrupt("does not begin with the signature of a delta", 0)
    _magic, version, reserved, checksum = _HEADER.unpack_from(data)
    if version != VERSION:
        raise Unsupported(
            f"The registry delta has format version {version}; this release reads version {VERSION}.",
            code="winregistry.delta_version",
            hint="Use the release of strata.layering that created the layer, or a later release.",
        )
    if reserved or zlib.crc32(memoryview(data)[_HEADER.size :]) != checksum:
        raise _corrupt("does not match its checksum", 0)
    return _Reader(data, table).read()


def _corrupt(problem: str, position: int) -> Corrupt:
    return Corrupt(
        f"The registry delta is damaged: it {problem} (at byte {position}).", code="winregistry.delta", hint=_HINT
    )


class _Reader:
    def __init__(self, data: bytes, table: upcase.Upcase) -> None:
        self.data = data
        self.table = table
        self.position = _HEADER.size

    def read(self) -> Delta:
        hive = self.name(MAXIMUM_KEY_NAME)
        descriptors = [self.take(self.number(_U32)) for _index in range(self.count(4))]
        if len(set(descriptors)) != len(descriptors):
            raise _corrupt("names a security descriptor twice", self.position)
        root = None
        used = 0
        line: list[KeyDelta] = []
        for _index in range(self.count(_KEY.size + 6)):
            depth, key, used = self.key(descriptors, used)
            if root is None:
                if depth or key.name or key.action != KEEP or key.renamed:
                    raise _corrupt("does not begin with a root key that is kept", self.position)
                root = key
            elif not 0 < depth <= min(len(line), MAXIMUM_DEPTH) or not key.name:
                raise _corrupt(f"has the key {key.name!r} at the invalid depth {depth}", self.position)
            else:
                del line[depth:]
                self.attach(line[-1], key)
            line.append(key)
        if root is None or used != len(descriptors) or self.position != len(self.data):
            raise _corrupt("is shorter or longer than its records", self.position)
        return Delta(hive, root, table=self.table)

    def attach(self, parent: KeyDelta, key: KeyDelta) -> None:
        """Add ``key`` to ``parent``, which must allow it: siblings are in order, removed keys have no subkeys."""
        folded = self.table.fold(key.name)
        if parent.action == REMOVE or "\\" in key.name:
            raise _corrupt(f"has the key {key.name!r} below a removed key, or with a backslash", self.position)
        if (
            parent.subkeys
            and _sort_key(next(reversed(parent.subkeys.values()))) >= _sort_key(key)
            or folded in parent.subkeys
        ):
            raise _corrupt(f"has the key {key.name!r} out of order", self.position)
        parent.subkeys[folded] = key

    def key(self, descriptors: list[bytes], used: int) -> tuple[int, KeyDelta, int]:
        depth, action, fields = _KEY.unpack(self.take(_KEY.size))
        if action not in (KEEP, CREATE, REMOVE, REPLACE) or fields & ~_KEY_FIELDS or (action == REMOVE and fields):
            raise _corrupt(f"has a key with the action {action} and the fields {fields:#x}", self.position)
        key = KeyDelta(self.name(MAXIMUM_KEY_NAME), action)
        key.renamed = bool(fields & _RENAMED)
        if fields & _SECURITY:
            index = self.number(_U32)
            if index >= len(descriptors) or index > used:
                raise _corrupt(f"uses the security descriptor {index} out of order", self.position)
            used = max(used, index + 1)
            key.security = descriptors[index]
        if fields & _CLASS:
            key.class_data = self.take(self.number(_U16))
        if fields & _KEY_FLAGS:
            key.flags = _FLAGS.unpack(self.take(_FLAGS.size))
            if key.flags[0] & ~CARRIED_FLAGS:
                raise _corrupt(f"sets the flags {key.flags[0]:#x} of a key", self.position)
        if fields & _TIME:
            key.last_written = self.number(_U64)
        if fields & _ORDER:
            key.order = tuple(self.name(MAXIMUM_VALUE_NAME) for _index in range(self.count(2)))
        count = self.count(3)
        if count and action == REMOVE or fields & _ORDER and not key.order or key.renamed and action != KEEP:
            raise _corrupt(f"has the key {key.name!r} with contradictory fields", self.position)
        for _index in range(count):
            value = self.value()
            folded = self.table.fold(value.name)
            if folded in key.values:
                raise _corrupt(f"names the value {value.name!r} twice", self.position)
            key.values[folded] = value
        return depth, key, used

    def value(self) -> ValueDelta:
        fields = self.take(1)[0]
        if (
            fields & ~_VALUE_FIELDS
            or (fields & _DIGEST and not fields & _BEFORE)
            or (fields & (_WIDE | _VALUE_RENAMED) and not fields & _SET)
        ):
            raise _corrupt(f"has a value with the fields {fields:#x}", self.position)
        name = self.name(MAXIMUM_VALUE_NAME)
        kind, data = 0, None
        if fields & _SET:
            kind, data = self.number(_U32), self.take(self.size())
        before = None
        if fields & _BEFORE:
            before_type, size = self.number(_U32), self.size()
            if (size > KEPT_BEFORE) != bool(fields & _DIGEST):
                raise _corrupt(f"keeps the former value {name!r} of {size} bytes in the wrong form", self.position)
            before = (
                Before(before_type, size, None, self.take(16))
                if fields & _DIGEST
                else Before(before_type, size, self.take(size), None)
            )
        return ValueDelta(name, kind, data, before, renamed=bool(fields & _VALUE_RENAMED), wide=bool(fields & _WIDE))

    def size(self) -> int:
        size = self.number(_U32)
        if size > MAXIMUM_DATA:
            raise _corrupt(f"has a value of {size} bytes", self.position)
        return size

    def take(self, size: int) -> bytes:
        end = self.position + size
        if end > len(self.data):
            raise _corrupt(f"is truncated within a field of {size} bytes", self.position)
        taken = self.data[self.position : end]
        self.position = end
        return bytes(taken)

    def number(self, form: struct.Struct) -> int:
        return form.unpack(self.take(form.size))[0]

    def count(self, smallest: int) -> int:
        """Read a number of records, each of at least ``smallest`` bytes."""
        count = self.number(_U32)
        if count * smallest > len(self.data) - self.position:
            raise _corrupt(f"announces {count} records, more than fit", self.position)
        return count

    def name(self, limit: int) -> str:
        size = self.number(_U16)
        if size & 1 or size > limit * 2:
            raise _corrupt(f"has a name of {size} bytes", self.position)
        return str(self.take(size), "utf-16-le", "surrogatepass")
