# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simple model of applying layers: a dictionary of names, to which layers are added in order.

The rules are those in the docs and in the docstrings of the images package, but none of its code is called. The base
and the result to compare with come from ``ntfs_tree``.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator

from ...plugins.module_utils.layers.entry import Entry
from ...plugins.module_utils.ntfs.file_security import inherit
from .ntfs_tree import File, Name

DIRECTORY, SPARSE, REPARSE = 0x10, 0x200, 0x400
#: Attributes that follow from the content of a file, or that NTFS does not store.
_DERIVED = DIRECTORY | REPARSE | 0x40 | 0x80


class Item:
    """An entry of a layer with its data and the data of its streams, by name."""

    def __init__(self, entry: Entry, data: bytes = b"", streams: dict[str, bytes] | None = None) -> None:
        self.entry = entry
        self.data = data
        self.streams = streams or {}

    def __repr__(self) -> str:
        fields = {
            field: value
            for field in self.entry.__slots__
            if (value := getattr(self.entry, field)) not in (None, [], 0, False)
        }
        if self.entry.security:
            fields["security"] = f"{len(self.entry.security)} bytes"
        return f"Item({fields})"


class Refused(Exception):
    """The stack contradicts itself or the base; ``code`` is the code of the expected error."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclasses.dataclass
class _Node:
    name: str
    base: File | None = None
    base_short: str | None = None
    item: Item | None = None
    layer: int = -1
    children: dict[str, _Node] = dataclasses.field(default_factory=dict)

    @property
    def is_link(self) -> bool:
        """Whether the entry is a folder that is a link to another folder."""
        if self.item is not None and not (self.base is not None and self.item.entry.implied):
            return self.item.entry.kind == "directory" and _is_link_tag(self.item.entry.reparse)
        return (
            self.base is not None
            and self.base.is_directory
            and _is_link_tag(bytes.fromhex(self.base.reparse) if self.base.reparse else None)
        )

    @property
    def is_leaf(self) -> bool:
        if self.item is not None:
            return self.item.entry.kind != "directory" or self.is_link
        return self.base is not None and (not self.base.is_directory or self.is_link)


class Model:
    """A model of the tree: add layers with ``add``, then call ``expected``."""

    def __init__(self, base: dict[str, Name], fold: Callable[[str], str]) -> None:
        self._fold = fold
        self._layers: list[dict[str, Item]] = []
        self._base_names: dict[str, Name] = {self._key(path): name for path, name in base.items()}
        self._base_shorts: dict[str, dict[str, str]] = {}
        self._root_file = base[""].file
        self._root = _Node("", self._root_file)
        for path in sorted(base, key=lambda path: path.count("/") if path else -1):
            name = base[path]
            parent, _slash, last = path.rpartition("/")
            if path:
                folder = self._find(parent)
                assert folder is not None
                folder.children[fold(last)] = _Node(last, name.file, name.short_name)
            if name.short_name:
                self._base_shorts.setdefault(self._key(parent), {})[fold(name.short_name)] = fold(last)

    def _key(self, path: str) -> str:
        return "/".join(self._fold(part) for part in path.split("/")) if path else ""

    def _find(self, path: str) -> _Node | None:
        node: _Node | None = self._root
        for part in path.split("/") if path else ():
            if node is None:
                return None
            node = node.children.get(self._fold(part))
        return node

    # -- layers

    def add(self, items: list[Item]) -> None:
        """Add the next layer on top."""
        number = len(self._layers)
        self._layers.append({self._key(item.entry.path): item for item in items if item.entry.kind == "file"})
        for item in items:
            if item.entry.kind == "whiteout":
                parent, _slash, last = item.entry.path.rpartition("/")
                folder = self._find(parent)
                if folder is not None:
                    folder.children.pop(self._fold(last), None)
        for item in items:
            if item.entry.kind != "whiteout":
                self._put(item, number)

    def _put(self, item: Item, number: int) -> None:
        entry = item.entry
        *above, last = entry.path.split("/")
        node = self._root
        for part in above:
            child = node.children.get(self._fold(part))
            if child is not None and child.is_link:
                raise Refused("images.layer_below_link")
            if child is None or child.is_leaf:
                child = node.children[self._fold(part)] = _Node(part)
            node = child
        folded = self._fold(last)
        present = node.children.get(folded)
        if entry.kind != "directory" or _is_link_tag(entry.reparse):
            node.children[folded] = _Node(last, item=item, layer=number)
        elif present is None or present.is_leaf:
            if present is not None and present.is_link and entry.implied:
                raise Refused("images.layer_below_link")
            node.children[folded] = _Node(last, item=item, layer=number)
        elif not entry.implied or present.item is None and present.base is None:
            present.item, present.layer = item, number

    # -- the result

    def expected(self) -> Expected:
        """Return the tree that must be read back."""
        result = Expected()
        result.names[""] = Name("", None, self._root_file)
        self._resolve(self._root, "", "", self._root_file, True, result, {})
        return result

    def _resolve(
        self, node: _Node, path: str, key: str, folder: File, of_base: bool, result: Expected, files: dict[tuple, File]
    ) -> None:
        shorts = self._base_shorts.get(key, {}) if of_base else {}
        claims = {
            folded: self._short_names(child, f"{key}/{folded}" if key else folded, of_base)
            for folded, child in node.children.items()
        }
        granted = _grant(claims, self._fold)
        for folded, child in sorted(node.children.items()):
            child_path, child_key = (f"{path}/{child.name}", f"{key}/{folded}") if path else (child.name, folded)
            before = self._base_names.get(child_key) if of_base else None
            if child.base is None and before is None and folded in shorts and self._survives(node, shorts[folded]):
                raise Refused("images.layer_short_name")
            file = self._file(child, folder, files)
            result.names[child_path] = Name(child_path, granted[folded], file)
            if not child.is_leaf:
                self._resolve(child, child_path, child_key, file, child.base is not None, result, files)

    def _short_names(self, child: _Node, key: str, of_base: bool) -> tuple[str | None, int, str | None]:
        """Return the 8.3 name that a file keeps unless a layer gives it a new name, the number of that layer, and the new name."""
        before = self._base_names.get(key) if of_base else None
        kept = (
            child.base_short
            if child.base is not None
            else before.short_name
            if child.is_leaf and before is not None
            else None
        )
        return kept, child.layer, child.item.entry.short_name if child.item is not None else None

    @staticmethod
    def _survives(folder: _Node, folded: str) -> bool:
        """Return whether the file of the base with this name still exists."""
        node = folder.children.get(folded)
        return node is not None and node.base is not None

    def _file(self, node: _Node, folder: File, files: dict[tuple, File]) -> File:
        if node.item is None:
            return node.base or _made(Entry("", "directory"), Item(Entry("", "directory")), folder)
        entry = node.item.entry
        if node.base is not None:
            return _described(node.base, node.item)
        if entry.kind == "directory":
            return _made(entry, node.item, folder)
        first = self._key(entry.link_target or "" if entry.kind == "link" else entry.path)
        file = files.get((node.layer, first))
        if file is None:
            item = self._layers[node.layer][first]
            file = files[node.layer, first] = _made(item.entry, item, folder)
        return file


def _grant(files: dict[str, tuple[str | None, int, str | None]], fold: Callable[[str], str]) -> dict[str, str | None]:
    """Return the 8.3 names of the files of a folder, by folded long name.

    Claims are granted in order. When a claim is denied, it is removed and granting starts again.
    """
    wishes = sorted(
        (layer, folded, claim)
        for folded, (kept, layer, claim) in files.items()
        if claim is not None and fold(claim) not in (folded, kept and fold(kept))
    )
    while True:
        result = {
            folded: kept if kept is None or fold(kept) not in files else None
            for folded, (kept, _layer, _claim) in files.items()
        }
        for _layer, folded, _claim in wishes:
            result[folded] = None
        for wish in wishes:
            _layer, folded, claim = wish
            holders = {fold(short) for short in result.values() if short is not None}
            if fold(claim) in files or fold(claim) in holders:
                wishes.remove(wish)
                break
            result[folded] = claim
        else:
            return result


def _is_link_tag(reparse: bytes | None) -> bool:
    """Return whether a reparse point makes a folder a link. Source: [MS-FSCC] 2.1.2.1, bit "D" of a tag: the folder may contain files."""
    return reparse is not None and not reparse[3] & 0x10


def digest(data: bytes) -> str:
    """Return the SHA-256 digest as hex digits."""
    return hashlib.sha256(data).hexdigest()


def _times(entry: Entry, fallback: File) -> tuple[int, int, int, int]:
    written = (
        entry.written
        if entry.written is not None
        else entry.created
        if entry.created is not None
        else fallback.times[1]
    )
    created, accessed, changed = (
        written if time is None else time for time in (entry.created, entry.accessed, entry.changed)
    )
    return created, written, accessed, changed


def _made(entry: Entry, item: Item, folder: File) -> File:
    is_directory = entry.kind == "directory"
    security = entry.security if entry.security is not None else inherit(bytes.fromhex(folder.security), is_directory)
    attributes = entry.attributes & ~_DERIVED | (DIRECTORY if is_directory else 0) | (REPARSE if entry.reparse else 0)
    if entry.sparse is not None and sum(length for _offset, length in entry.sparse) < entry.size:
        attributes |= SPARSE
    return File(
        is_directory,
        attributes,
        _times(entry, folder),
        security.hex(),
        0 if is_directory else len(item.data),
        None if is_directory else digest(item.data),
        {name: digest(data) for name, data in item.streams.items()},
        entry.reparse.hex() if entry.reparse else None,
        entry.eas.hex() if entry.eas else None,
        entry.object_id.hex() if entry.object_id else None,
        allocated=entry.sparse,
    )


def _described(base: File, item: Item) -> File:
    entry = item.entry
    reparse = entry.reparse.hex() if entry.reparse is not None else base.reparse
    return dataclasses.replace(
        base,
        attributes=entry.attributes & ~_DERIVED | DIRECTORY | (REPARSE if reparse else 0),
        times=_times(entry, base),
        security=entry.security.hex() if entry.security is not None else base.security,
        reparse=reparse,
        streams={**base.streams, **{name: digest(data) for name, data in item.streams.items()}},
        eas=entry.eas.hex() if entry.eas is not None else base.eas,
        object_id=entry.object_id.hex() if entry.object_id is not None else base.object_id,
    )


class Expected:
    """The expected names by path."""

    def __init__(self) -> None:
        self.names: dict[str, Name] = {}

    def differences(self, read_back: dict[str, Name]) -> list[str]:
        """Return a line for each difference between the expected and the names that were read back."""
        lines = [f"{path!r}: missing" for path in self.names.keys() - read_back.keys()]
        lines += [f"{path!r}: not expected" for path in read_back.keys() - self.names.keys()]
        objects: dict[str, int] = {}
        for file in {id(name.file): name.file for name in self.names.values()}.values():
            if file.object_id:
                objects[file.object_id] = objects.get(file.object_id, 0) + 1
        pairs: dict[int, int] = {}
        for path in sorted(self.names.keys() & read_back.keys()):
            planned, actual = self.names[path].file, read_back[path].file
            for field in dataclasses.fields(File):
                expected, real = getattr(planned, field.name), getattr(actual, field.name)
                if field.name in ("record", "allocated") or expected == real:
                    continue
                if field.name == "object_id" and expected and objects[expected] > 1 and real is None:
                    continue
                lines.append(f"{path!r}: {field.name} is {real!r} instead of {expected!r}")
            if planned.record < 0 and planned.allocated is not None and actual.allocated is not None:
                lines += _outside(path, planned.allocated, actual.allocated)
            if pairs.setdefault(id(planned), actual.record) != actual.record:
                lines.append(f"{path!r}: is not the same file as its other names")
        if len(set(pairs.values())) != len(pairs):
            lines.append("files that are not hard links of each other have one record")
        return sorted(lines) + list(self._short_differences(read_back))

    def _short_differences(self, read_back: dict[str, Name]) -> Iterator[str]:
        groups: dict[int, int] = {}
        for name in self.names.values():
            groups[id(name.file)] = groups.get(id(name.file), 0) + 1
        for path in self.names.keys() & read_back.keys():
            name, actual = self.names[path], read_back[path].short_name
            # Only one of a file's names can have an 8.3 name.
            if actual != name.short_name and not (actual is None and groups[id(name.file)] > 1):
                yield f"{path!r}: 8.3 name is {actual!r} instead of {name.short_name!r}"


def _outside(
    path: str, runs: list[tuple[int, int]], allocated: list[tuple[int, int]], cluster: int = 4096
) -> Iterator[str]:
    """Yield a line if clusters are allocated where the layer has a hole."""
    data = {
        number
        for offset, length in runs
        if length
        for number in range(offset // cluster, (offset + length - 1) // cluster + 1)
    }
    taken = {
        number for offset, length in allocated for number in range(offset // cluster, (offset + length) // cluster)
    }
    if taken - data:
        yield f"{path!r}: {len(taken - data)} clusters of its holes are allocated"


def expect(base: dict[str, Name], stack: list[list[Item]], fold: Callable[[str], str]) -> Expected:
    """Return the tree that a stack gives on a base; raise Refused when the stack is impossible."""
    model = Model(base, fold)
    for items in stack:
        model.add(items)
    return model.expected()
