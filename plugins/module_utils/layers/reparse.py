# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reparse buffers of symbolic links and junctions: conversion from and to the target as text.

Source: MS-FSCC 2.1.2.4 (symbolic link) and 2.1.2.5 (mount point). Targets are
encoded as in the container tools of Windows (go-winio, reparse.go): a link from a layer archive
of those tools and a link from an archive of this collection have the same bytes.
"""

from __future__ import annotations

import struct

from .entry import MAX_REPARSE, REPARSE_MOUNT_POINT, REPARSE_SYMLINK

_FLAG_RELATIVE = 1


def encode_link(target: str, *, mount_point: bool) -> bytes:
    """Return the reparse buffer of a link to ``target`` (a Windows path; relative targets stay relative)."""
    relative = False
    if target.startswith("\\\\?\\"):
        substitute = "\\??\\" + target[4:]
    elif target.startswith("\\\\"):
        substitute = "\\??\\UNC\\" + target[2:]
    elif len(target) >= 2 and target[0].isascii() and target[0].isalpha() and target[1] == ":":
        substitute = "\\??\\" + target
    else:
        substitute = target
        relative = True
    first = (substitute + "\0").encode("utf-16-le", "surrogatepass")
    second = (target + "\0").encode("utf-16-le", "surrogatepass")
    flags = b"" if mount_point else struct.pack("<I", _FLAG_RELATIVE if relative else 0)
    body = struct.pack("<HHHH", 0, len(first) - 2, len(first), len(second) - 2) + flags + first + second
    return struct.pack("<IHH", REPARSE_MOUNT_POINT if mount_point else REPARSE_SYMLINK, len(body), 0) + body


def encodable(target: str) -> bool:
    """Return whether a link to ``target`` fits into a reparse buffer."""
    return (
        bool(target)
        and "\0" not in target
        and 4 * len(target.encode("utf-16-le", "surrogatepass")) // 2 + 64 <= MAX_REPARSE
    )


def decode_link(buffer: bytes) -> tuple[str, bool] | None:
    """Return (target, is a mount point) of a symbolic link or junction, None for other tags and malformed buffers."""
    if len(buffer) < 16 or len(buffer) > MAX_REPARSE:
        return None
    tag, length = struct.unpack_from("<IH", buffer)
    if tag not in (REPARSE_SYMLINK, REPARSE_MOUNT_POINT) or length + 8 != len(buffer):
        return None
    names = 16 if tag == REPARSE_MOUNT_POINT else 20
    substitute_at, substitute_length, print_at, print_length = struct.unpack_from("<HHHH", buffer, 8)
    if (
        max(substitute_at + substitute_length, print_at + print_length) + names > len(buffer)
        or (substitute_length | print_length) & 1
    ):
        return None
    text = buffer[names + print_at : names + print_at + print_length].decode("utf-16-le", "surrogatepass")
    if not text:
        text = buffer[names + substitute_at : names + substitute_at + substitute_length].decode(
            "utf-16-le", "surrogatepass"
        )
        if text.startswith("\\??\\UNC\\"):
            text = "\\\\" + text[8:]
        elif text.startswith("\\??\\"):
            text = text[4:]
    return (text, tag == REPARSE_MOUNT_POINT) if text and "\0" not in text else None
