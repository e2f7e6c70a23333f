# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write planned items to an NTFS volume, and list the expected content."""

from __future__ import annotations

import hashlib

from ...plugins.module_utils.disk.block_device import BlockDevice, Window
from ...plugins.module_utils.ntfs.node import Node
from ...plugins.module_utils.ntfs.times import Times
from ...plugins.module_utils.ntfs.volume import Volume
from .plan import MIB, Expected, Item, digest

_WHOLE = 4 * MIB  # files up to this size are handed over in one piece


def fill_volume(device: BlockDevice, offset: int, size: int, items: list[Item]) -> dict[str, Expected]:
    """Write ``items``, folders first, to the new volume at ``offset``; return its content by path."""
    expected: dict[str, Expected] = {}
    with Volume.mount(Window(device, offset, size), writable=True) as volume:
        folders = _OpenFolders(volume)
        try:
            for item in items:
                parent, _slash, name = item.path.rpartition("/")
                if not item.path:
                    with volume.root as root:
                        _complete(root, item)
                        expected[""] = _expected(item, None)
                elif item.kind == "link":
                    _link(volume, folders.get(parent), item, name)
                    first = expected[_target(item)]
                    expected[item.path] = _expected(item, first)
                    first.names += 1
                else:
                    with _create(folders.get(parent), item, name) as node:
                        entry = expected[item.path] = _expected(item, None)
                        if item.kind == "file":
                            entry.sha256 = _write(node, item)
                        _complete(node, item)
        finally:
            folders.close()
    return expected


class _OpenFolders:
    """The last folder stays open, because items are sorted."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._path: str | None = None
        self._node: Node | None = None

    def get(self, path: str) -> Node:
        if self._node is None or path != self._path:
            self.close()
            self._node, self._path = self._volume.find(path), path
            if self._node is None:
                raise ValueError(f"the folder {path} was not planned")
        return self._node

    def close(self) -> None:
        node, self._node = self._node, None
        if node is not None:
            node.close()


def _times(item: Item) -> Times:
    return Times(item.created, item.written, item.accessed, item.changed)


def _create(parent: Node, item: Item, name: str) -> Node:
    make = parent.create_directory if item.kind == "directory" else parent.create_file
    return make(
        name, attributes=item.attributes, times=_times(item), security=item.security, short_name=item.short_name
    )


def _target(item: Item) -> str:
    """Return the path of the file to which a link is a further name."""
    if item.link_target is None:
        raise ValueError(f"{item.path} is not a link")
    return item.link_target


def _link(volume: Volume, parent: Node, item: Item, name: str) -> None:
    target = volume.find(_target(item))
    if target is None:
        raise ValueError(f"{item.link_target} was not planned")
    with target, parent.link(target, name):
        pass


def _write(node: Node, item: Item) -> str:
    """Write the file's own data and return its SHA-256."""
    if item.data is not None:
        return _write_sparse(node, item.data, item.size)
    if item.content is None:
        raise ValueError(f"{item.path} has no content")
    checksum, position = hashlib.sha256(), 0
    with node.open_stream() as stream:
        if item.content.size > _WHOLE:
            stream.truncate(item.content.size, allocate=True)
        for chunk in item.content.chunks():
            stream.pwrite(chunk, position)
            checksum.update(chunk)
            position += len(chunk)
    return checksum.hexdigest()


def _write_sparse(node: Node, runs: list[tuple[int, bytes]], size: int) -> str:
    checksum, position = hashlib.sha256(), 0
    with node.open_stream() as stream:
        stream.truncate(size)
        for offset, data in runs:
            stream.pwrite(data, offset)
    for offset, data in [*runs, (size, b"")]:
        while position < offset:
            count = min(offset - position, MIB)
            checksum.update(bytes(count))
            position += count
        checksum.update(data)
        position += len(data)
    return checksum.hexdigest()


def _complete(node: Node, item: Item) -> None:
    """Write the metadata except the name; times are written last."""
    for name, data in item.streams.items():
        node.write(data, stream=name)
    if item.reparse is not None:
        node.set_reparse(item.reparse)
    if item.object_id is not None:
        node.set_object_id(item.object_id)
    if item.eas is not None:
        node.set_eas(item.eas)
    if not item.path:
        node.set_attributes(item.attributes)
        node.set_security(_security(item))
    node.set_times(_times(item))


def _security(item: Item) -> bytes:
    """Return the security descriptor, which the plan fills in before items are written."""
    if item.security is None:
        raise ValueError(f"{item.path} has no security descriptor")
    return item.security


def _expected(item: Item, first: Expected | None) -> Expected:
    if first is not None:
        return Expected(
            **{**first.plain(), "kind": "link", "names": 0, "short_name": None, "link_target": item.link_target}
        )
    return Expected(
        kind=item.kind,
        attributes=item.attributes,
        created=item.created,
        written=item.written,
        accessed=item.accessed,
        changed=item.changed,
        security=_security(item).hex(),
        size=item.size,
        short_name=item.short_name,
        reparse=item.reparse.hex() if item.reparse else None,
        streams={name: digest(data) for name, data in item.streams.items()},
        object_id=item.object_id.hex() if item.object_id else None,
        eas=item.eas.hex() if item.eas else None,
    )
