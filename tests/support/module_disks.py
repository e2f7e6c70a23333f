# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks for tests of modules: the disk of a packaging machine, and the content of a composed image."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from types import SimpleNamespace

from dissect.ntfs import NTFS
from dissect.regf import RegistryHive
from dissect.regf.exceptions import RegistryKeyNotFoundError

from ...plugins.module_utils.catalog.layers import find_version
from ...plugins.module_utils.disk.block_device import BlockDevice, FileDevice
from ...plugins.module_utils.disk.encode import encode
from ...plugins.module_utils.disk.partitions import TYPE_BASIC_DATA, Partition, read_partitions
from ...plugins.module_utils.images import image_files
from ...plugins.module_utils.images.composing.layered_image import compose_stack
from ...plugins.module_utils.ntfs.volume import Volume
from ...plugins.module_utils.repository.repository import Repository
from ..sample.reread import RangeStream
from .modules import run
from .ntfs_tree import read_tree

WINDOWS_11 = ("Windows 11", "1.0")


def windows_partition(disk: BlockDevice) -> Partition:
    """Return the partition of a disk with the Windows volume."""
    return next(partition for partition in read_partitions(disk).partitions if partition.type == TYPE_BASIC_DATA)


def export_stack(
    workspace: SimpleNamespace,
    name: str = "packaged",
    *,
    os_layer: tuple[str, str] = WINDOWS_11,
    prerequisites: Sequence[tuple[str, str]] = (),
) -> str:
    """Write the raw disk that a packaging machine starts with; return its path."""
    repository = Repository.open(os.fspath(workspace.path))
    layers = tuple(find_version(repository, "app", *prerequisite) for prerequisite in prerequisites)
    image = compose_stack(repository, find_version(repository, "os", *os_layer), layers)
    path = os.fspath(workspace.tmp_path / f"{name}.raw")
    image_files.export(image, path, "raw", name=name, firmware="efi")
    return path


def install_app(volume: Volume) -> None:
    """Install an application on a volume."""
    programs = volume.find("Program Files")
    assert programs is not None
    with programs as folder, folder.create_directory("App") as app:
        app.create_file("app.exe", b"MZ" * 900).close()


def packaged_disk(
    workspace: SimpleNamespace,
    os_layer: tuple[str, str] = WINDOWS_11,
    prerequisites: Sequence[tuple[str, str]] = (),
    work: Callable[[Volume], None] = install_app,
    form: str = "raw",
) -> str:
    """Write the disk of a packaging machine with these layers after ``work`` on its Windows volume; return its path.

    ``form`` is raw or vmdk.
    """
    path = export_stack(workspace, os_layer=os_layer, prerequisites=prerequisites)
    with FileDevice(path, writable=True) as disk:
        with Volume.mount(windows_partition(disk).window(disk), writable=True) as volume:
            work(volume)
    if form == "raw":
        return path
    vmdk = os.fspath(workspace.tmp_path / "packaged.vmdk")
    with FileDevice(path) as disk, open(vmdk, "wb") as out:
        encode(disk, out)
    return vmdk


def image_tree(workspace: SimpleNamespace, template: str = "office") -> dict:
    """Return the files of the image of a template, by path."""
    path = _export_image(workspace, template)
    with FileDevice(path) as disk:
        window = windows_partition(disk).window(disk)
        return read_tree(disk, window.offset, window.size)


def image_registry(workspace: SimpleNamespace, template: str = "office") -> dict:
    """Return the values of one key in each of two hives of the image of a template, as dissect.regf reads them."""
    path = _export_image(workspace, template)
    with FileDevice(path) as disk:
        offset = windows_partition(disk).offset
    with open(path, "rb") as stream:
        volume = NTFS(RangeStream(stream, offset, os.stat(path).st_size - offset))
        found: dict[str, dict | None] = {}
        for hive, key in (("SOFTWARE", "Strata"), ("SYSTEM", "ControlSet001\\Control\\Session Manager\\Environment")):
            registry = RegistryHive(volume.mft.get(f"Windows/System32/config/{hive}").open())
            try:
                found[hive] = {value.name: value.value for value in registry.open(key).values()}
            except RegistryKeyNotFoundError:
                found[hive] = None
    return found


def _export_image(workspace: SimpleNamespace, template: str) -> str:
    path = os.fspath(workspace.tmp_path / f"{template}.raw")
    run("layered_image_export", **workspace.options, template=template, path=path, format="raw")
    return path
