# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks created from wine prefixes, and prefixes created from disks.

Files are files; wine's three registry files represent the hives that Windows has on C:. Metadata
that wine cannot carry (security, creation times, 8.3 names, attributes) is kept on the disk, and
new files get it as on Windows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from ...plugins.module_utils.disk.block_device import BlockDevice, FileDevice
from ...plugins.module_utils.images.os_import import find_windows
from ...plugins.module_utils.ntfs.file_security import inherit
from ...plugins.module_utils.ntfs.node import Node
from ...plugins.module_utils.ntfs.times import Times
from ...plugins.module_utils.ntfs.volume import Volume
from ...plugins.module_utils.winregistry import cell_layout
from ...plugins.module_utils.winregistry.hive_model import Hive, Key
from ...plugins.module_utils.winregistry.hive_reader import read_hive
from ...plugins.module_utils.winregistry.hive_writer import write_hive
from ..sample import acl, shortnames
from ..sample.disk import make_ntfs
from ..sample.plan import ARCHIVE, HIDDEN, MIB, Content
from ..sample.tree import INSTALLED, Tree
from ..support.gpt_disk import PartitionSpec, format_gpt
from . import wine, wine_registry
from .wine import Prefix

_EPOCH = 116444736000000000
_PIECE = 8 * MIB
_CONFIG = "windows/system32/config/"
_BASIC_DATA, _RESERVED = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "e3c9e316-0b5c-4db8-817d-f92df00215ae"
_WINDOWS_SPELLING = {
    "windows": "Windows",
    "system32": "System32",
    "syswow64": "SysWOW64",
    "winsxs": "WinSxS",
    "users": "Users",
    "temp": "Temp",
}


@dataclass(frozen=True)
class HivePlace:
    """The location of a hive: its file on C:, the registry file of wine, the key in that (which is the hive's root)."""

    path: str
    file: str
    key: str
    spelled: dict[str, str] = field(default_factory=dict)


#: ``spelled``: a key has another name in wine. Wine has no control sets but the current one.
HIVES = (
    HivePlace(_CONFIG + "SYSTEM", wine.SYSTEM, "System", {"ControlSet001": "CurrentControlSet"}),
    HivePlace(_CONFIG + "SOFTWARE", wine.SYSTEM, "Software"),
    HivePlace(_CONFIG + "DEFAULT", wine.SERVICE_DEFAULTS, ""),
    HivePlace("users/Default/NTUSER.DAT", wine.USER_DEFAULTS, ""),
)
_PLACES = {
    wine.SYSTEM: "Machine",
    wine.USER_DEFAULTS: "User\\\\S-1-5-21-0-0-0-1000",
    wine.SERVICE_DEFAULTS: "User\\\\.Default",
}
#: Files that a prefix represents in another form, by folded path.
_NO_FILES = {path.path.casefold() for path in HIVES}


# -- the disk of a prefix


def make_disk(path: str, prefix: Prefix, size: int) -> None:
    """Create a raw disk with the content of ``prefix``, with metadata as Windows Setup leaves it."""
    with open(path, "wb") as stream:
        stream.truncate(size)
    with FileDevice(path, writable=True) as device:
        table = format_gpt(
            device,
            [PartitionSpec(_RESERVED, 16 * MIB, "Reserved"), PartitionSpec(_BASIC_DATA, None, "Windows")],
            disk_guid="0d2cbe0c-6a55-4a7e-8a5e-64cf5c1a7a11",
        )
    partition = table.partitions[1]
    make_ntfs(path, {"offset": partition.offset, "size": partition.size}, _planned(prefix), "Windows")


def _planned(prefix: Prefix) -> list:
    tree = Tree()
    for name, status in _scan(prefix.drive):
        if os.path.isdir(os.path.join(prefix.drive, name)):
            item = tree.directory(name)
        else:
            item = tree.file(name, Content.host(os.path.join(prefix.drive, name), status.st_size))
        item.security = acl.own("/".join(_WINDOWS_SPELLING.get(part, part) for part in name.split("/")))
    registry = registries(prefix)
    for hive_place in HIVES:
        hive = Hive.new(os.path.basename(hive_place.path), last_written=INSTALLED)
        _to_hive(hive.root, _within(registry, hive_place), hive_place)
        tree.file(hive_place.path, Content.of(write_hive(hive)), ARCHIVE | (HIDDEN if hive_place.key == "" else 0))
    return tree.finish()


def _scan(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the content of a host folder, folders before their content: (path with "/", status)."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        with os.scandir(os.path.join(folder, below)) as found:
            for entry in sorted(found, key=lambda entry: entry.name):
                path = f"{below}/{entry.name}" if below else entry.name
                if entry.is_symlink():
                    raise ValueError(f"{path} is a link into the host")
                yield path, entry.stat(follow_symlinks=False)
                if entry.is_dir():
                    waiting.append(path)


# -- a prefix of a disk


def unpack(disk: BlockDevice, path: str, home: str, stamp: str) -> Prefix:
    """Create the prefix ``path`` from the Windows volume of ``disk``."""
    prefix = Prefix(path, home)
    os.makedirs(prefix.drive)
    partition = find_windows(disk)
    with Volume.mount(partition.window(disk)) as volume:
        with volume.root as root:
            _unpack_folder(root, prefix.drive, "")
        roots = {name: Key("", last_written=0) for name in wine.REGISTRY}
        for hive_place in HIVES:
            with volume.find(hive_place.path) as node:
                _from_hive(roots[hive_place.file], read_hive(node.read()), hive_place)
    for name, root in roots.items():
        with open(os.path.join(path, name), "w", encoding="ascii") as stream:
            stream.write(wine_registry.write(root, _PLACES[name]))
    wine.furnish(path, stamp)
    return prefix


def _unpack_folder(folder: Node, host: str, below: str) -> None:
    for name, reference, is_directory, _attributes in list(folder.children()):
        path, target = below + name, os.path.join(host, name)
        if path.casefold() in _NO_FILES:
            continue
        with folder.open_child(reference, name) as node:
            if node.reparse is not None:
                raise ValueError(f"a prefix cannot hold the reparse point {path}")
            if is_directory:
                os.mkdir(target)
                _unpack_folder(node, target, path + "/")
            else:
                with open(target, "wb") as out, node.open_stream() as stream:
                    for offset in range(0, stream.size, _PIECE):
                        out.write(stream.pread(min(_PIECE, stream.size - offset), offset))
            written = (node.times.written - _EPOCH) * 100
            os.utime(target, ns=(written, written))


# -- changes of a prefix, applied to a disk

Stamp = tuple[int, int, int, int]


def stamps(prefix: Prefix) -> dict[str, Stamp]:
    """Return a stamp for each path on C: that changes with the file: inode, size, times of writing and change."""
    return {path: _stamp(status) for path, status in _scan(prefix.drive)}


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def registries(prefix: Prefix) -> dict[str, Key]:
    """Return the content of the registry files of a prefix in which nothing runs, by their names."""
    return {name: wine_registry.read(prefix.read_registry(name)) for name in wine.REGISTRY}


def pack(prefix: Prefix, before: dict[str, Stamp], disk: str, registry: dict[str, Key] | None = None) -> list[str]:
    """Apply the changes of ``prefix`` since ``before`` to the raw ``disk``; return the changed paths.

    ``disk`` must be the disk from which the prefix was unpacked. With ``registry``, the earlier result of ``registries``,
    it may be a different disk that has these files too: new folders may exist already, and keys and values that are as
    they were stay on the disk what they are there.
    """
    after = stamps(prefix)
    touched = []
    with FileDevice(disk, writable=True) as device:
        partition = find_windows(device)
        with Volume.mount(partition.window(device), writable=True) as volume:
            gone = sorted(before.keys() - after.keys(), reverse=True)
            for path in gone:
                with volume.find(path) as node:
                    node.delete()
            for path, stamp in after.items():
                host = prefix.host_path(path)
                old = before.get(path)
                if registry is not None and old is None and os.path.isdir(host) and _is_there(volume, path):
                    continue
                if (
                    old is None
                    or not os.path.isdir(host)
                    and stamp != old
                    and _store(volume, path, host, old[0] == stamp[0])
                ):
                    if old is None:
                        _create(volume, path, host)
                    touched.append(path)
            for hive_place in HIVES:
                _pack_hive(volume, prefix, hive_place, registry)
    return sorted([*touched, *gone])


def _is_there(volume: Volume, path: str) -> bool:
    node = volume.find(path)
    if node is not None:
        node.close()
    return node is not None


def _filetime(host: str) -> int:
    return os.stat(host).st_mtime_ns // 100 + _EPOCH


def _create(volume: Volume, path: str, host: str, keep: Times | None = None, short_name: str | None = None) -> None:
    """Create a file or folder as Windows does: with inherited security, and with an 8.3 name if the long name is not an 8.3 name."""
    parent, _slash, name = path.rpartition("/")
    written = _filetime(host)
    with volume.find(parent) as folder:
        if short_name is None and not shortnames.is_short(name):
            short_name = shortnames.make_short(name, _names(folder))
        is_directory = os.path.isdir(host)
        make = folder.create_directory if is_directory else folder.create_file
        times = Times(keep.created if keep else written, written, written, written)
        options = {} if is_directory else {"attributes": ARCHIVE}
        with make(
            name, security=inherit(folder.security, is_directory), times=times, short_name=short_name, **options
        ) as node:
            if not is_directory:
                _write(node, host)
                node.set_times(times)


def _names(folder: Node) -> set[str]:
    taken = set()
    for name, reference, _is_directory, _attributes in list(folder.children()):
        taken.add(name.upper())
        with folder.open_child(reference, name) as node:
            taken.add((node.short_name or name).upper())
    return taken


def _store(volume: Volume, path: str, host: str, same_file: bool) -> bool:
    """Write a changed file to the volume; return False if only its stamp differs."""
    with volume.find(path) as node:
        times, short_name = node.times, node.short_name
        if _equal(node, host):
            if times.written == _filetime(host):
                return False
        elif same_file:
            with node.open_stream() as stream:
                stream.truncate(0)
            _write(node, host)
        else:
            # Windows gives a file that replaces another of its name the same time of creation and 8.3 name.
            node.delete()
            _create(volume, path, host, times, short_name)
            return True
        written = _filetime(host)
        node.set_times(times._replace(written=written, changed=written))
    return True


def _equal(node: Node, host: str) -> bool:
    if node.size != os.stat(host).st_size:
        return False
    with open(host, "rb") as stream:
        return all(
            node.read(min(_PIECE, node.size - offset), offset) == stream.read(_PIECE)
            for offset in range(0, node.size, _PIECE)
        )


def _write(node: Node, host: str) -> None:
    with open(host, "rb") as source, node.open_stream() as stream:
        position = 0
        while piece := source.read(_PIECE):
            stream.pwrite(piece, position)
            position += len(piece)


def _pack_hive(volume: Volume, prefix: Prefix, hive_place: HivePlace, before: dict[str, Key] | None) -> None:
    with volume.find(hive_place.path) as node:
        hive = read_hive(node.read())
        registry = {hive_place.file: wine_registry.read(prefix.read_registry(hive_place.file))}
        if before is None:
            _to_hive(hive.root, _within(registry, hive_place), hive_place)
        elif not _changes_to_hive(hive.root, _within(before, hive_place), _within(registry, hive_place), hive_place):
            return
        data = write_hive(hive)
        if data != node.read():
            node.truncate(len(data))
            node.write(data)


# -- hives and wine's registry


def _within(registry: dict[str, Key], hive_place: HivePlace) -> Key:
    return registry[hive_place.file].key(hive_place.key) or Key("")


def _to_hive(target: Key, source: Key, hive_place: HivePlace) -> None:
    """Replace the content of ``target`` with that of ``source``; keys that exist in both keep their security and time."""
    wine_names = {wine_name: name for name, wine_name in hive_place.spelled.items()}
    waiting = [(target, source, wine_names)]
    while waiting:
        key, source_key, names = waiting.pop()
        folded = {names.get(name, name).upper() for name in source_key.subkeys}
        for name in [name for name in key.subkeys if name.upper() not in folded]:
            key.delete(name)
        _take_values(key, source_key)
        for below in source_key.subkeys.values():
            waiting.append((key.create(names.get(below.name, below.name), last_written=0), below, {}))


def _changes_to_hive(target: Key, before: Key, after: Key, hive_place: HivePlace) -> bool:
    """Apply the difference of ``before`` and ``after`` to ``target``; return False if there is none."""
    wine_names = {wine_name: name for name, wine_name in hive_place.spelled.items()}
    changed = False
    waiting: list[tuple[str, Key | None, Key]] = [("", before, after)]
    while waiting:
        path, was, now = waiting.pop()
        old = was or Key("")
        names = {} if path else wine_names
        for name in old.subkeys:
            if name not in now.subkeys and target.key(gone := path + names.get(name, name)) is not None:
                target.delete(gone)
                changed = True
        removed = [name for name in old.values if name not in now.values]
        values = [value for value in now.values.values() if old.value(value.name) != value]
        if was is None or removed or values:
            key = target.create(path.rstrip("\\"), last_written=now.last_written)
            key.last_written = now.last_written or key.last_written
            for name in removed:
                if name in key.values:
                    key.delete_value(name)
            for value in values:
                key.set_value(value.name, value.type, value.data)
            changed = True
        for below in now.subkeys.values():
            waiting.append((f"{path}{names.get(below.name, below.name)}\\", old.key(below.name), below))
    return changed


def _take_values(key: Key, source_key: Key) -> None:
    for name in [name for name in key.values if name not in source_key.values]:
        key.delete_value(name)
    for value in source_key.values.values():
        key.set_value(value.name, value.type, value.data)
    key.order_values(list(source_key.values))
    key.class_data = source_key.class_data
    key.flags = key.flags & ~cell_layout.KEY_SYM_LINK | source_key.flags & cell_layout.KEY_SYM_LINK
    if wine_registry.is_listed(source_key) and source_key.last_written:
        key.last_written = source_key.last_written


def _from_hive(root: Key, hive: Hive, hive_place: HivePlace) -> None:
    """Add the content of a hive below ``root``, the root of a registry file of wine."""
    top = root.create(hive_place.key, last_written=0)
    for path, key in hive.root.walk():
        first, slash, rest = path.partition("\\")
        target = (
            top.create(hive_place.spelled.get(first, first) + slash + rest, last_written=key.last_written)
            if path
            else top
        )
        target.last_written = key.last_written
        _take_values(target, key)
