# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Describe the content of files for a noise profile, and compare files of two disks."""

from __future__ import annotations

import hashlib

from ...ntfs import attribute_records
from ...ntfs.node import Node
from ..file_compare import has_same_streams, has_same_values
from .noise_profile import ATTRIBUTES, DATA, VALUES
from .similarity import shape_of_text

_CHUNK = 1 << 20
_LONGEST_TEXT = 1 << 18
#: Attributes that Windows sets when it writes a file or sets an extended attribute.
_INCIDENTAL = 0x20 | attribute_records.HAS_EAS


def aspects_of(old: Node, new: Node) -> tuple[str, ...]:
    """Return what differs between a file or folder and its former state, sorted."""
    found = []
    if (old.attributes ^ new.attributes) & ~_INCIDENTAL & 0xFFFFFFFF:
        found.append(ATTRIBUTES)
    if not has_same_streams(old, new):
        found.append(DATA)
    if not has_same_values(old, new):
        found.append(VALUES)
    return tuple(found)


def content_digest(node: Node) -> str | None:
    """Return the digest of all streams of a file, None for an encrypted file, which cannot be read."""
    if node.attributes & attribute_records.ENCRYPTED:
        return None
    digest = hashlib.sha256()
    for name in ["", *sorted(name for name, _size in node.streams)]:
        with node.open_stream(name) as stream:
            digest.update(f"{name}\0{stream.size}\0".encode("utf-8", "surrogatepass"))
            for start, length in stream.extents():  # Holes are not read.
                digest.update(f"{start}\0{length}\0".encode("ascii"))
                for offset in range(start, start + length, _CHUNK):
                    digest.update(stream.pread(min(_CHUNK, start + length - offset), offset))
    return digest.hexdigest()


def shape_digest(node: Node) -> str | None:
    """Return the digest of the shape of a text file, None if the file is large, has no text or is encrypted."""
    if not 0 < node.size <= _LONGEST_TEXT or node.attributes & attribute_records.ENCRYPTED:
        return None
    text = _text(start_of(node, _LONGEST_TEXT))
    return None if text is None else hashlib.sha256(shape_of_text(text).encode("utf-8", "surrogatepass")).hexdigest()


def start_of(node: Node, count: int) -> bytes:
    """Return the first ``count`` bytes of a file."""
    with node.open_stream("") as stream:
        return stream.pread(min(count, stream.size), 0)


def _text(data: bytes) -> str | None:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
