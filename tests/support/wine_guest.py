# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""A guest for the simulator: the VM's own disk starts in wine.

``simulator.guest(wine_guest.command())`` makes it the guest of every VM. At each start it copies
C:\Windows\Setup\scripts, and further folders, from the VM's disk into a wine prefix, runs the startup task of
Windows, passes guestinfo on and copies changed files back to the disk. Then it ends like a VM that was shut down
or restarts, or runs until vSphere shuts it down.

If a VM is powered off while its scripts run, its files remain in the prefix for the next start.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import BlockDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.encode import encode
from ansible_collections.strata.layering.plugins.module_utils.disk.overlay import CopyOnWriteDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_reader import StreamOptimizedDisk
from ansible_collections.strata.layering.plugins.module_utils.images.os_import import find_windows
from ansible_collections.strata.layering.plugins.module_utils.ntfs.file_security import inherit
from ansible_collections.strata.layering.plugins.module_utils.ntfs.node import Node
from ansible_collections.strata.layering.plugins.module_utils.ntfs.times import Times
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.wine_machine import ON, REBOOT, SCRIPTS, WineMachine, template

REBOOT_STATUS = 194
_EPOCH = 116444736000000000


def command(*folders: str, vmware_tools: bool = True) -> str:
    """Return the shell command of the guest, for Simulator.guest; ``folders`` of drive C: are copied in addition to the scripts."""
    template()
    arguments = [f"--folder={folder}" for folder in folders] + ([] if vmware_tools else ["--no-vmware-tools"])
    collections = pathlib.Path(__file__).resolve().parents[2] / ".build" / "collections"
    environment = ["env", f"PYTHONPATH={collections}"]
    # The simulator waits for the process that it started. This must not be a shell: a shell ends at SIGTERM.
    return "exec " + shlex.join([*environment, sys.executable, "-m", __spec__.name, *arguments]) + ' "$@"'


# -- files of the disk


def unpack(disk: str, machine: WineMachine, folders: tuple[str, ...]) -> dict[str, bytes]:
    """Copy ``folders`` of a VMDK into a wine machine; return path -> content of every file."""
    found: dict[str, bytes] = {}
    with (
        contextlib.closing(StreamOptimizedDisk(disk)) as device,
        Volume.mount(find_windows(device).window(device)) as volume,
    ):
        for folder in folders:
            node = volume.find(folder)
            if node is not None:
                with node:
                    _read(node, folder, found)
    for folder in folders:
        shutil.rmtree(_host(machine, folder), ignore_errors=True)
        _host(machine, folder).mkdir(parents=True)
    for path, data in found.items():
        _host(machine, path).parent.mkdir(parents=True, exist_ok=True)
        _host(machine, path).write_bytes(data)
    return found


def _read(folder: Node, path: str, found: dict[str, bytes]) -> None:
    for name, reference, is_directory, _attributes in list(folder.children()):
        with folder.open_child(reference, name) as node:
            if is_directory:
                _read(node, f"{path}/{name}", found)
            else:
                found[f"{path}/{name}"] = node.read()


def _host(machine: WineMachine, path: str) -> pathlib.Path:
    """Return the host path of a path on drive C:; wine spells its own folders in lower case."""
    parts = path.split("/")
    if parts[0].lower() == "windows":
        parts[0] = "windows"
    return pathlib.Path(machine.prefix.host_path("/".join(parts)))


def files(machine: WineMachine, folders: tuple[str, ...]) -> dict[str, bytes]:
    """Return path -> content of every file in ``folders`` of a wine machine."""
    return {
        f"{folder}/{path.relative_to(_host(machine, folder)).as_posix()}": path.read_bytes()
        for folder in folders
        for path in sorted(_host(machine, folder).rglob("*"))
        if path.is_file()
    }


def repack(
    disk: str, out: str, before: dict[str, bytes], after: dict[str, bytes], *, moment: int | None = None
) -> None:
    """Write a copy of the VMDK ``disk`` with the files ``after`` instead of ``before``, as ``write_files`` does."""
    with contextlib.closing(StreamOptimizedDisk(disk)) as base, CopyOnWriteDevice(base, os.path.dirname(out)) as device:
        write_files(device, before, after, moment=moment)
        with open(out, "wb") as stream:
            encode(device, stream)


def write_files(
    device: BlockDevice, before: dict[str, bytes], after: dict[str, bytes], *, moment: int | None = None
) -> None:
    """Replace the files ``before`` of a Windows volume by ``after``; new files have the FILETIME ``moment``, by default now."""
    times = Times(*[time.time_ns() // 100 + _EPOCH if moment is None else moment] * 4)
    with Volume.mount(find_windows(device).window(device), writable=True) as volume:
        for path in before.keys() - after.keys():
            with _existing(volume, path) as node:
                node.delete()
        for path, data in sorted(after.items()):
            if before.get(path) != data:
                _write(volume, path, data, times)


def _write(volume: Volume, path: str, data: bytes, times: Times) -> None:
    node = volume.find(path)
    if node is not None:
        with node:
            node.truncate(0)
            node.write(data)
            return
    parent, _slash, name = path.rpartition("/")
    _make_folder(volume, parent, times)
    with _existing(volume, parent) as folder:
        folder.create_file(name, data, security=_inherited(folder, False), times=times).close()


def _existing(volume: Volume, path: str) -> Node:
    """Return a file or a folder that exists."""
    node = volume.find(path)
    if node is None:
        raise FileNotFoundError(path)
    return node


def _inherited(folder: Node, is_folder: bool) -> bytes:
    """Return the security descriptor that a new file or folder inherits."""
    security = folder.security
    if security is None:
        raise ValueError("The folder has no security descriptor.")
    return inherit(security, is_folder)


def _make_folder(volume: Volume, path: str, times: Times) -> None:
    node = volume.find(path)
    if node is not None:
        node.close()
        return
    parent, _slash, name = path.rpartition("/")
    _make_folder(volume, parent, times)
    with _existing(volume, parent) as folder:
        folder.create_directory(name, security=_inherited(folder, True), times=times).close()


# -- the run of the guest


class _PowerRequest(BaseException):
    """vSphere requested a shutdown or a restart of the guest."""


def _on_signal(*_signal: object) -> None:
    raise _PowerRequest


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    """Accept SIGTERM in this block only, not while files are copied back to the disk."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def main(arguments: list[str]) -> int:
    """Start the VM once and return the exit status that the simulator expects of a guest."""
    parser = argparse.ArgumentParser(description="Start the disk of a VM in wine.")
    parser.add_argument("--folder", action="append", default=[])
    parser.add_argument("--no-vmware-tools", action="store_true")
    parser.add_argument("name")
    parser.add_argument("moid")
    parser.add_argument("disk")
    options = parser.parse_args(arguments)
    folders = (SCRIPTS, *options.folder)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, _on_signal)
    folder = pathlib.Path(os.getcwd()) / f"wine-{options.moid}"
    try:
        return _run(options, folders, folder)
    except _PowerRequest:
        return 0


def _run(options: argparse.Namespace, folders: tuple[str, ...], folder: pathlib.Path) -> int:
    # An existing folder was left by an interrupted start. Its files are newer than the disk, unless the VM has a new disk.
    disk_note = folder / "disk"
    interrupted = disk_note.exists() and disk_note.read_text() == options.disk
    left = None
    if interrupted:
        left = files(WineMachine(folder, vmware_tools=not options.no_vmware_tools), folders)
    shutil.rmtree(folder, ignore_errors=True)
    machine = WineMachine(folder, vmware_tools=not options.no_vmware_tools)
    before = unpack(options.disk, machine, folders)
    for path, data in (left or {}).items():
        _host(machine, path).parent.mkdir(parents=True, exist_ok=True)
        _host(machine, path).write_bytes(data)
    machine.guestinfo = json.loads(os.environ.get("STRATA_VM_GUESTINFO", "{}"))
    disk_note.write_text(options.disk)
    outcome = None
    try:
        with _listening():
            outcome = machine.start(on_guestinfo=_print_guestinfo).outcome
    finally:
        _save_changes(options, machine, before, files(machine, folders))
        if outcome != ON:
            shutil.rmtree(folder, ignore_errors=True)
    if outcome == ON:
        try:
            with _listening():
                signal.pause()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return REBOOT_STATUS if outcome == REBOOT else 0


def _print_guestinfo(key: str, value: str) -> None:
    sys.stdout.write(f"{key}={value}\n")
    sys.stdout.flush()


def _save_changes(
    options: argparse.Namespace, machine: WineMachine, before: dict[str, bytes], after: dict[str, bytes]
) -> None:
    """Write the changed files to the VM's disk."""
    if after == before:
        return
    with tempfile.TemporaryDirectory(dir=machine.folder) as folder:
        path = os.path.join(folder, "disk.vmdk")
        repack(options.disk, path, before, after)
        put_disk(options.moid, path)


def put_disk(moid: str, path: str) -> None:
    """Fill the first disk of a VM with a VMDK; only a guest can do this."""
    data = json.dumps({"vm": moid, "index": 0, "path": path}).encode()
    request = urllib.request.Request(os.environ["STRATA_CONTROL"] + "/disks", data=data, method="PUT")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120):
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
