# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a tree: add paths, then complete each path with times, 8.3 name and security."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from . import acl, sddl, shortnames
from .plan import ARCHIVE, DIRECTORY, HIDDEN, MOUNT_POINT_TAG, REPARSE, SPARSE, SYMLINK_TAG, SYSTEM, Content, Item

#: 2024-01-15 08:00:00 UTC as FILETIME: when the sample's Windows was "installed".
INSTALLED = 133497792000000000
_SECOND = 10_000_000


def junction(target: str) -> bytes:
    """Reparse data of a junction to an absolute path such as ``C:\\Users``."""
    substitute, printed = ("\\??\\" + target).encode("utf-16-le"), target.encode("utf-16-le")
    names = substitute + b"\0\0" + printed + b"\0\0"
    body = struct.pack("<HHHH", 0, len(substitute), len(substitute) + 2, len(printed)) + names
    return struct.pack("<IHH", MOUNT_POINT_TAG, len(body), 0) + body


def symlink(target: str, relative: bool = False) -> bytes:
    """Reparse data of a symbolic link."""
    substitute, printed = (target if relative else "\\??\\" + target).encode("utf-16-le"), target.encode("utf-16-le")
    body = (
        struct.pack("<HHHHI", 0, len(substitute), len(substitute), len(printed), int(relative)) + substitute + printed
    )
    return struct.pack("<IHH", SYMLINK_TAG, len(body), 0) + body


class Tree:
    """Planned paths, each below folders that are added as needed; names are unique regardless of case."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._add(Item("", "directory", DIRECTORY | HIDDEN | SYSTEM))

    def __contains__(self, path: str) -> bool:
        return path.upper() in self._items

    def __getitem__(self, path: str) -> Item:
        return self._items[path.upper()]

    def _add(self, item: Item) -> Item:
        if item.path in self:
            raise ValueError(f"planned twice: {item.path}")
        if item.path:
            folder = self.directory(item.path.rpartition("/")[0])
            item.path = (folder.path + "/" if folder.path else "") + item.path.rpartition("/")[2]
        self._items[item.path.upper()] = item
        return item

    def directory(self, path: str, attributes: int = 0) -> Item:
        """Return the folder ``path``, which is added with its missing parents; ``attributes`` are added to it."""
        item = self[path] if path in self else self._add(Item(path, "directory", DIRECTORY))
        item.attributes |= attributes
        return item

    def file(self, path: str, data: bytes | Content, attributes: int = ARCHIVE) -> Item:
        content = data if isinstance(data, Content) else Content.of(data)
        return self._add(Item(path, "file", attributes, content=content, size=content.size))

    def sparse_file(self, path: str, size: int, data: list[tuple[int, bytes]], attributes: int = ARCHIVE) -> Item:
        return self._add(Item(path, "file", attributes | SPARSE, data=data, size=size))

    def move(self, path: str, new_path: str) -> Item:
        """Plan the file ``path`` at ``new_path`` instead."""
        item = self._items.pop(path.upper())
        item.path = new_path
        return self._add(item)

    def link(self, path: str, target: str) -> Item:
        """Another name of the file ``target``."""
        first = self[target]
        return self._add(Item(path, "link", first.attributes, link_target=first.path))

    def reparse_directory(self, path: str, data: bytes, attributes: int = 0) -> Item:
        item = self._add(Item(path, "directory", DIRECTORY | REPARSE | attributes))
        item.reparse = data
        return item

    def reparse_file(self, path: str, data: bytes, attributes: int = ARCHIVE) -> Item:
        item = self._add(Item(path, "file", REPARSE | attributes, content=Content.of(b"")))
        item.reparse = data
        return item

    def finish(self) -> list[Item]:
        """Return all completed items, folders before their content and first names before links."""
        # Links last: their first name may sort after them.
        ordered = sorted(self._items.values(), key=lambda item: (item.kind == "link", item.path.upper().split("/")))
        linked = {item.link_target for item in ordered if item.kind == "link"}
        taken: dict[str, set[str]] = {}
        for item in ordered:
            folder, _slash, name = item.path.rpartition("/")
            taken.setdefault(folder, set()).add(name.upper())
        for item in ordered:
            self._set_times(item)
            folder, _slash, name = item.path.rpartition("/")
            if item.kind == "link":
                continue
            if item.path and item.path not in linked and not shortnames.is_short(name):
                item.short_name = shortnames.make_short(name, taken[folder])
            item.security = (
                item.security or acl.own(item.path) or sddl.inherit(self._security(folder), item.kind == "directory")
            )
        return ordered

    def _security(self, folder: str) -> bytes:
        security = self[folder].security
        if security is None:
            raise ValueError(f"{folder} has no descriptor yet")
        return security

    @staticmethod
    def _set_times(item: Item) -> None:
        # Different for each path, to the 100 ns, and the same in each run.
        number = zlib.crc32(item.path.encode("utf-8", "surrogatepass"))
        item.created = INSTALLED + number % 3600 * _SECOND + number % 9_999_991
        item.written = item.created - number % 700 * 86_400 * _SECOND - 1
        item.accessed = item.created + number % 86_400 * _SECOND + 7
        item.changed = item.created + 1

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())
