# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
r"""A guest for the simulator: the machine's own disk starts in wine.

``simulator.guest(wine_guest.command())`` makes it the guest of every machine. At each start it takes
C:\Windows\Setup\scripts, and the folders that it was told of, from the machine's disk into a wine prefix, runs
what Windows' startup task runs, passes guestinfo on, puts the changed files back on the disk, and then ends
as a machine that was shut down or restarts, or stays on until vSphere shuts it down.

A machine that is switched off while its scripts run keeps its files beside the disk, for its next start.
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
    """The shell command of the guest, for Simulator.guest. ``folders`` on drive C: are in its Windows beside the scripts."""
    template()
    arguments = [f"--folder={folder}" for folder in folders] + ([] if vmware_tools else ["--no-vmware-tools"])
    collections = pathlib.Path(__file__).resolve().parents[2] / ".build" / "collections"
    environment = ["env", f"PYTHONPATH={collections}"]
    # The simulator waits for the process that it started, and that must not be a shell, which ends when it is asked to.
    return "exec " + shlex.join([*environment, sys.executable, "-m", __spec__.name, *arguments]) + ' "$@"'


# -- files of the disk


def unpack(disk: str, machine: WineMachine, folders: tuple[str, ...]) -> dict[str, bytes]:
    """Take ``folders`` from a VMDK into a machine; return path -> content of every file."""
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
    """Where a path of drive C: is on this host; wine spells its own folders in lower case."""
    parts = path.split("/")
    if parts[0].lower() == "windows":
        parts[0] = "windows"
    return pathlib.Path(machine.prefix.host_path("/".join(parts)))


def files(machine: WineMachine, folders: tuple[str, ...]) -> dict[str, bytes]:
    """Path -> content of every file that a machine has in ``folders``."""
    return {
        f"{folder}/{path.relative_to(_host(machine, folder)).as_posix()}": path.read_bytes()
        for folder in folders
        for path in sorted(_host(machine, folder).rglob("*"))
        if path.is_file()
    }


def repack(
    disk: str, out: str, before: dict[str, bytes], after: dict[str, bytes], *, moment: int | None = None
) -> None:
    """Write a VMDK that is ``disk`` with the files that became ``after``, as ``write_files`` does."""
    with contextlib.closing(StreamOptimizedDisk(disk)) as base, CopyOnWriteDevice(base, os.path.dirname(out)) as device:
        write_files(device, before, after, moment=moment)
        with open(out, "wb") as stream:
            encode(device, stream)


def write_files(
    device: BlockDevice, before: dict[str, bytes], after: dict[str, bytes], *, moment: int | None = None
) -> None:
    """Let the files ``before`` of a Windows be ``after``; new ones have the FILETIME ``moment``, or that of now."""
    times = Times(*[time.time_ns() // 100 + _EPOCH if moment is None else moment] * 4)
    with Volume.mount(find_windows(device).window(device), writable=True) as volume:
        for path in before.keys() - after.keys():
            with volume.find(path) as node:
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
    with volume.find(parent) as folder:
        folder.create_file(name, data, security=inherit(folder.security, False), times=times).close()


def _make_folder(volume: Volume, path: str, times: Times) -> None:
    node = volume.find(path)
    if node is not None:
        node.close()
        return
    parent, _slash, name = path.rpartition("/")
    _make_folder(volume, parent, times)
    with volume.find(parent) as folder:
        folder.create_directory(name, security=inherit(folder.security, True), times=times).close()


# -- the life of the guest


class _Asked(BaseException):
    """vSphere asked the guest to shut down, or to restart."""


def _ask(*_signal: object) -> None:
    raise _Asked


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    """Let vSphere ask only here: not while files are put back on the disk."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def main(arguments: list[str]) -> int:
    """Start the machine once; the exit status is what the simulator expects of a guest."""
    parser = argparse.ArgumentParser(description="A machine's own disk starts in wine.")
    parser.add_argument("--folder", action="append", default=[])
    parser.add_argument("--no-vmware-tools", action="store_true")
    parser.add_argument("name")
    parser.add_argument("moid")
    parser.add_argument("disk")
    given = parser.parse_args(arguments)
    folders = (SCRIPTS, *given.folder)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, _ask)
    place = pathlib.Path(os.getcwd()) / f"wine-{given.moid}"
    try:
        return _run(given, folders, place)
    except _Asked:
        return 0


def _run(given: argparse.Namespace, folders: tuple[str, ...], place: pathlib.Path) -> int:
    # A folder that is there was left by a start that was cut off; what it has is newer than the disk, unless that is another one now.
    disk_note = place / "disk"
    cut_off = disk_note.exists() and disk_note.read_text() == given.disk
    left = None
    if cut_off:
        left = files(WineMachine(place, vmware_tools=not given.no_vmware_tools), folders)
    shutil.rmtree(place, ignore_errors=True)
    machine = WineMachine(place, vmware_tools=not given.no_vmware_tools)
    before = unpack(given.disk, machine, folders)
    for path, data in (left or {}).items():
        _host(machine, path).parent.mkdir(parents=True, exist_ok=True)
        _host(machine, path).write_bytes(data)
    machine.guestinfo = json.loads(os.environ.get("STRATA_VM_GUESTINFO", "{}"))
    disk_note.write_text(given.disk)
    outcome = None
    try:
        with _listening():
            outcome = machine.start(told=_tell).outcome
    finally:
        _keep(given, machine, before, files(machine, folders))
        if outcome != ON:
            shutil.rmtree(place, ignore_errors=True)
    if outcome == ON:
        try:
            with _listening():
                signal.pause()
        finally:
            shutil.rmtree(place, ignore_errors=True)
    return REBOOT_STATUS if outcome == REBOOT else 0


def _tell(key: str, value: str) -> None:
    sys.stdout.write(f"{key}={value}\n")
    sys.stdout.flush()


def _keep(given: argparse.Namespace, machine: WineMachine, before: dict[str, bytes], after: dict[str, bytes]) -> None:
    """Put what was changed on the machine's disk."""
    if after == before:
        return
    with tempfile.TemporaryDirectory(dir=machine.folder) as folder:
        path = os.path.join(folder, "disk.vmdk")
        repack(given.disk, path, before, after)
        put_disk(given.moid, path)


def put_disk(moid: str, path: str) -> None:
    """Let a VMDK be what the first disk of a machine holds; only a guest can."""
    data = json.dumps({"vm": moid, "index": 0, "path": path}).encode()
    request = urllib.request.Request(os.environ["STRATA_CONTROL"] + "/disks", data=data, method="PUT")
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120):
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
