# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of an installer on the disk of a packaging machine: files added, replaced and removed, keys set."""

from __future__ import annotations

import os

from ...plugins.module_utils.disk.block_device import FileDevice
from ...plugins.module_utils.disk.partitions import TYPE_BASIC_DATA, read_partitions
from ...plugins.module_utils.ntfs.file_names import DOS
from ...plugins.module_utils.ntfs.node import Node
from ...plugins.module_utils.ntfs.volume import Volume
from ...plugins.module_utils.windows.installation import CONFIG, load_hive
from ...plugins.module_utils.winregistry.hive_writer import write_hive
from ...plugins.module_utils.winregistry.registry_values import encode_string

_SHARED = "Windows/System32"


def install(path: str, files: str, *, replaced: int, removed: int, keys: int) -> None:
    """Change the raw disk ``path``.

    Add the tree below ``files``, overwrite ``replaced`` libraries of System32 that do not belong to Windows, delete
    ``removed`` further libraries, and set ``keys`` keys with a value each in SOFTWARE.
    """
    with FileDevice(path, writable=True) as disk:
        partition = next(entry for entry in read_partitions(disk).partitions if entry.type == TYPE_BASIC_DATA)
        with Volume.mount(partition.window(disk), writable=True) as volume:
            with volume.root as root:
                _add(root, files)
            with _existing(volume.find(_SHARED), _SHARED) as folder:
                names = [name for name in _libraries(folder) if not _belongs_to_windows(folder, name)]
                names = names[: replaced + removed]
                for name in names[:replaced]:
                    with _existing(folder.child(name), name) as node:
                        node.write(b"MZ replaced".ljust(node.size, name.encode()[:1]))
                for name in names[replaced:]:
                    _existing(folder.child(name), name).delete()
            _set_keys(volume, keys)


def _libraries(folder: Node) -> list[str]:
    return sorted(child.name for child in folder.children() if child.name.endswith(".dll"))


def _belongs_to_windows(folder: Node, name: str) -> bool:
    """Return whether a library has another name, which is that in the component store."""
    with _existing(folder.child(name), name) as node:
        return len([found for found in node.file_names if found.namespace != DOS]) > 1


def _add(folder: Node, source: str) -> None:
    for entry in sorted(os.scandir(source), key=lambda child: child.name):
        if entry.is_dir():
            with folder.child(entry.name) or folder.create_directory(entry.name) as below:
                _add(below, entry.path)
        else:
            with open(entry.path, "rb") as stream, folder.create_file(entry.name, stream.read()):
                pass


def _set_keys(volume: Volume, keys: int) -> None:
    path = f"{CONFIG}/SOFTWARE"
    hive = load_hive(volume, path)
    for number in range(keys):
        hive.root.create(f"Vendor\\Installed\\{number:06}").set_value(
            "Path", 1, encode_string(f"C:\\Program Files\\Installed\\{number}")
        )
    data = write_hive(hive)
    with _existing(volume.find(path), path) as node, node.open_stream() as stream:
        stream.truncate(len(data), allocate=True)
        stream.pwrite(data, 0)


def _existing(node: Node | None, path: str) -> Node:
    if node is None:
        raise FileNotFoundError(path)
    return node
