# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decode and encode the data of registry values, as tolerantly as Windows programs do.

Strings may lack their terminating NUL or end in half a character, and numbers may be longer than
necessary. A decoder returns None if there is no value or if the value is of an unsuitable type.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..common.errors import Corrupt
from .hive_items import Value
from .hive_model import Hive, Key

REG_SZ = 1
REG_EXPAND_SZ = 2
REG_BINARY = 3
REG_DWORD = 4
REG_DWORD_BIG_ENDIAN = 5
REG_LINK = 6
REG_MULTI_SZ = 7
REG_QWORD = 11


def decode_string(value: Value | None) -> str | None:
    """Return the text of a REG_SZ, REG_EXPAND_SZ or REG_LINK up to its first NUL, or the first text of a REG_MULTI_SZ."""
    if value is None or value.type not in (REG_SZ, REG_EXPAND_SZ, REG_LINK, REG_MULTI_SZ):
        return None
    return _text(value.data).partition("\0")[0]


def decode_multi_string(value: Value | None) -> list[str] | None:
    """Return the texts of a REG_MULTI_SZ up to the first empty text. A REG_SZ or REG_EXPAND_SZ is a list of one text."""
    if value is None or value.type not in (REG_SZ, REG_EXPAND_SZ, REG_MULTI_SZ):
        return None
    texts = _text(value.data).split("\0")
    if value.type != REG_MULTI_SZ:
        return texts[:1] if texts[0] else []
    return texts[: texts.index("")] if "" in texts else texts


def decode_integer(value: Value | None) -> int | None:
    """Return the number in a REG_DWORD (either byte order), a REG_QWORD, or a REG_BINARY of at most 8 bytes."""
    if value is None or not value.data:
        return None
    if value.type == REG_DWORD:
        return int.from_bytes(value.data[:4], "little")
    if value.type == REG_DWORD_BIG_ENDIAN:
        return int.from_bytes(value.data[:4], "big")
    if value.type == REG_QWORD or (value.type == REG_BINARY and len(value.data) <= 8):
        return int.from_bytes(value.data[:8], "little")
    return None


def _text(data: bytes) -> str:
    return data[: len(data) & ~1].decode("utf-16-le", "surrogatepass")


def encode_string(text: str) -> bytes:
    """Return the data of a REG_SZ or REG_EXPAND_SZ."""
    return text.encode("utf-16-le", "surrogatepass") + b"\0\0"


def encode_multi_string(texts: Iterable[str]) -> bytes:
    """Return the data of a REG_MULTI_SZ. Empty texts, which would end the list, are omitted."""
    return b"".join(encode_string(text) for text in texts if text) + b"\0\0"


def current_control_set(system: Hive) -> Key:
    """Return the key of the control set that Windows would start with.

    Raises:
        Corrupt: the hive SYSTEM has no such control set.
    """
    select = system.key("Select")
    if select is not None:
        for name in ("Current", "Default"):
            number = decode_integer(select.value(name))
            control = system.key(f"ControlSet{number:03d}") if number else None
            if control is not None:
                return control
    raise Corrupt(
        "The registry hive SYSTEM has no current control set: its key Select names no existing ControlSetNNN.",
        code="winregistry.no_control_set",
        hint="Start the OS machine once, shut it down, and export it again.",
    )
