# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A workspace with a vCenter and a file share for packaging machines, and the work of an administrator in them."""

from __future__ import annotations

import os
import pathlib
import subprocess
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ...plugins.module_utils.disk.block_device import FileDevice
from ...plugins.module_utils.disk.partitions import TYPE_BASIC_DATA, read_partitions
from ...plugins.module_utils.ntfs.node import Node
from ...plugins.module_utils.ntfs.volume import Volume
from ...plugins.module_utils.windows.installation import load_hive
from ...plugins.module_utils.winregistry.hive_writer import write_hive
from ...plugins.module_utils.winregistry.registry_values import encode_string
from .modules import state_of
from .simulator import Simulator
from .vcenter import machines, options_of

OS = {"os_layer": {"name": "Windows 11", "version": "1.0"}}


@pytest.fixture
def office(workspace: SimpleNamespace, simulator: Simulator, tmp_path: pathlib.Path) -> SimpleNamespace:
    """A workspace with a vCenter whose guests run until they are shut down, and a share.

    ``vcenter`` has the options of modules, ``share`` the path of the share; ``look()`` returns everything that a module could change.
    """
    simulator.guest("sleep 600")
    share = tmp_path / "share"
    share.mkdir()
    workspace.vcenter = workspace.options | options_of(simulator)
    workspace.share = os.fspath(share)
    workspace.look = lambda: (machines(simulator), state_of(workspace.path), state_of(share))
    workspace.simulator = simulator
    return workspace


def present(office: SimpleNamespace, version: str = "1", **options: Any) -> dict:
    """Return the options of a packaging machine of the layer App."""
    return office.vcenter | {"name": "App", "version": version, "connector": "desktops"} | OS | options


def work_in(office: SimpleNamespace, machine: dict, change: Callable[[str], None]) -> None:
    """Change the disk of a VM that is powered off: ``change`` is called with the path of its raw copy."""
    raw, vmdk = (os.fspath(office.tmp_path / f"work.{kind}") for kind in ("raw", "vmdk"))
    disk = office.simulator.disks(machine["moid"])[0]
    subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", disk["path"], raw], check=True)
    change(raw)
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, vmdk], check=True
    )
    office.simulator.put_disk(machine["moid"], vmdk)


def on_volume(change: Callable[[Volume], None]) -> Callable[[str], None]:
    """Return a function that applies ``change`` to the Windows volume of a raw disk."""

    def work(path: str) -> None:
        with FileDevice(path, writable=True) as disk:
            partition = next(entry for entry in read_partitions(disk).partitions if entry.type == TYPE_BASIC_DATA)
            with Volume.mount(partition.window(disk), writable=True) as volume:
                change(volume)

    return work


def _node(volume: Volume, path: str) -> Node:
    """Return a file or folder that exists."""
    node = volume.find(path)
    assert node is not None, path
    return node


def install(path: str, *, pending: bool = False) -> None:
    """Change a raw disk as an installer does: files, a removal, registry keys; with ``pending`` work is left for a restart."""
    with FileDevice(path, writable=True) as disk:
        partition = next(entry for entry in read_partitions(disk).partitions if entry.type == TYPE_BASIC_DATA)
        with Volume.mount(partition.window(disk), writable=True) as volume:
            with (
                _node(volume, "Program Files") as folder,
                folder.create_directory("Installed") as made,
                made.create_file("app.exe", b"MZ" * 9000),
            ):
                pass
            with _node(volume, "Windows") as folder, _node(volume, "Windows/regedit.exe") as program:
                program.delete()
                with folder.create_file("app.ini", b"[app]\r\n"):
                    pass
            with (
                volume.find("Windows/Temp") or _node(volume, "Windows") as folder,
                folder.create_file("setup1234.tmp", b"x" * 100),
            ):
                pass
            hive = load_hive(volume, "Windows/System32/config/SOFTWARE")
            hive.root.create("Strata").set_value("Version", 1, encode_string("captured"))
            if pending:
                hive.root.create("Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\PackagesPending")
                hive.root.create("Microsoft\\Windows\\CurrentVersion\\RunOnce").set_value(
                    "later", 1, encode_string("setup.exe")
                )
            data = write_hive(hive)
            with _node(volume, "Windows/System32/config/SOFTWARE") as node, node.open_stream() as stream:
                stream.truncate(len(data), allocate=True)
                stream.pwrite(data, 0)
