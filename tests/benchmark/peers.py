# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools that the engine is compared with."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess

from ...plugins.module_utils.disk.block_device import FileDevice
from ...plugins.module_utils.disk.partitions import TYPE_BASIC_DATA, read_partitions
from ...plugins.module_utils.ntfs.volume import Volume
from ..sample.plan import MIB
from ..support.ntfs_changes import delete_stream
from ..support.simulator import Simulator, binary, run_go
from .measure import Run, run

#: Maximum size of an extended attribute in Linux, in bytes; ntfs-3g presents a named stream as such an attribute.
_LARGEST_XATTR = 65536
# Emulation is forced, so that the figure does not depend on KVM.
_GUESTFISH = {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}


def qemu_img_convert(raw: str, output: str) -> Run:
    """Convert a raw disk to a stream-optimized VMDK with qemu-img."""
    return run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, output])


def qemu_img_export(vmdk: str, output: str, form: str) -> Run:
    """Convert a stream-optimized VMDK to a format of qemu-img, and write the result to the disk."""
    options = ["-o", "subformat=dynamic,force_size=on"] if form == "vpc" else []
    command = ["qemu-img", "convert", "-f", "vmdk", "-O", form, *options, vmdk, output]
    return run(["sh", "-c", '"$@" && sync "$0"', output, *command])


def copy(source: str, output: str, *, sync: bool) -> Run:
    """Copy all bytes with cp, to the page cache or, with ``sync``, to the disk."""
    if not sync:
        return run(["cp", "--reflink=never", "--sparse=never", source, output])
    return run(["sh", "-c", 'cp --reflink=never --sparse=never "$1" "$2" && sync "$2"', "sh", source, output])


def copy_sparse(source: str, output: str) -> None:
    """Copy a sparse file as input of a measurement."""
    subprocess.run(["cp", "--sparse=always", source, output], check=True)


def have_guestfish() -> bool:
    """Return whether libguestfs and its tools are installed."""
    return shutil.which("guestfish") is not None and shutil.which("virt-diff") is not None


def virt_diff(first: str, second: str, *, checksum: bool, timeout: float) -> Run:
    """List the files in which two raw disks differ with virt-diff under emulation (TCG).

    It compares size and times, with ``checksum`` also the content.
    """
    warm_appliance()
    command = ["virt-diff", "--format=raw", "-a", first, "--format=raw", "-A", second]
    return run([*command, "--checksum"] if checksum else command, environment=_GUESTFISH, timeout=timeout)


def drop_large_streams(raw: str) -> None:
    """Delete the named streams at which virt-diff fails from the Windows volume of a raw disk."""
    with FileDevice(raw, writable=True) as device:
        partition = next(entry for entry in read_partitions(device).partitions if entry.type == TYPE_BASIC_DATA)
        with Volume.mount(partition.window(device), writable=True) as volume:
            waiting = [volume.root]
            while waiting:
                with waiting.pop() as node:
                    for name in [name for name, size in node.streams if size > _LARGEST_XATTR]:
                        delete_stream(node, name)
                    if node.is_directory and node.reparse is None:
                        waiting += [volume.open(child.reference) for child in node.children()]


def warm_appliance() -> None:
    """Let libguestfs build its appliance unless it exists."""
    subprocess.run(
        ["guestfish", "-a", "/dev/null", "run"],
        check=True,
        env={**os.environ, **_GUESTFISH},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def guestfish_tar_in(raw: str, partition: int, archive: str, folder: str, overlay: str) -> Run:
    """Unpack a tar archive into a folder of the Windows volume with guestfish under emulation (TCG); changes go to an overlay."""
    warm_appliance()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, overlay], check=True)
    commands = f'run\nmount /dev/sda{partition} /\nmkdir-p "{folder}"\ntar-in "{archive}" "{folder}"\numount /\n'
    return run(["guestfish", "--format=qcow2", "-a", overlay], stdin=commands, environment=_GUESTFISH)


class WimImage:
    """A WIM of a Windows volume with additional files, created by wimlib and applied to fresh volumes.

    ``compression`` is a name of wimlib: LZX is its default and that of install.wim, XPRESS the fastest.
    """

    def __init__(self, scratch: str, raw: str, files: str, compression: str) -> None:
        self._scratch = scratch
        self._path = os.path.join(scratch, f"{compression}.wim")
        volume = os.path.join(scratch, "captured.ntfs")
        windows_volume(raw, volume)
        self._size = os.stat(volume).st_size
        _quietly("wimlib-imagex", "capture", volume, self._path, "Windows", f"--compress={compression}")
        os.unlink(volume)
        command = f"add '{os.path.join(files, 'Program Files')}' '/Program Files'"
        _quietly("wimlib-imagex", "update", self._path, "1", f"--command={command}")

    def apply(self) -> Run:
        """Apply the whole image to an empty volume."""
        volume = os.path.join(self._scratch, "applied.ntfs")
        with open(volume, "wb") as stream:
            stream.truncate(self._size)
        environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
        subprocess.run(
            ["mkntfs", "-F", "-Q", "-T", "-q", "-s", "512", "-p", "0", "-H", "255", "-S", "63", volume],
            check=True,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return run(["wimlib-imagex", "apply", self._path, "1", volume])
        finally:
            os.unlink(volume)


_COMPARE = r"""
cd "$4"
for side in first second; do
    case $side in first) volume=$1 ;; second) volume=$2 ;; esac
    wimlib-imagex capture "$volume" $side.wim Windows --compress="$3" >/dev/null
    wimlib-imagex dir $side.wim 1 --detailed | awk '
        /^Full Path/ { if (file) print file; file = "" }
        /^(Full Path|Short Name|Attributes|Security|Creation|Last Write|Reparse Tag|Hash)/ { file = file $0 " " }
        END { print file }' | LC_ALL=C sort >$side.txt
done
LC_ALL=C comm -3 first.txt second.txt | sed -E 's/^\t?Full Path +=//; s/" .*//' | LC_ALL=C sort -u
"""


def wimlib_compare(first: str, second: str, folder: str, compression: str, timeout: float) -> Run:
    """Capture two NTFS volumes into WIMs in ``folder`` with wimlib and compare the lists of their files.

    The lists have all metadata and hashes. The output has the path of each file that differs.
    """
    try:
        return run(["sh", "-ec", _COMPARE, "sh", first, second, compression, folder], timeout=timeout)
    finally:
        for name in ("first.wim", "second.wim"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))


def windows_volume(raw: str, output: str) -> None:
    """Copy the Windows partition of a raw disk to a file."""
    with FileDevice(raw) as device:
        partition = next(entry for entry in read_partitions(device).partitions if entry.type == TYPE_BASIC_DATA)
    _copy_partition(raw, partition.offset, partition.size, output)


def govc() -> str:
    """Build govc from the govmomi version of the simulator and return its path."""
    source = os.path.join(os.path.dirname(os.path.realpath(__file__)), "govc")
    program = str(binary().with_name("govc"))
    done = run_go("build", "-C", source, "-trimpath", "-o", program, ".")
    if done.returncode:
        raise RuntimeError(f"govc was not built: {done.stderr.strip()[-2000:]}")
    return program


def govc_import(simulator: Simulator, ovf: str) -> Run:
    """Run govc import.ovf against the simulator, with certificate verification."""
    placement = [
        "-pool",
        "/DC0/host/DC0_C0/Resources",
        "-ds",
        "LocalDS_0",
        "-folder",
        "/DC0/vm",
        "-name",
        "imported-by-govc",
    ]
    return run(
        [govc(), "import.ovf", *placement, ovf], environment=simulator.environment() | {"GOVC_PERSIST_SESSION": "false"}
    )


def govc_hosts(simulator: Simulator) -> Run:
    """Run govc host.info for all hosts of the simulator."""
    return run(
        [govc(), "host.info", "-json", "/DC0/host/DC0_C0/*"],
        environment=simulator.environment() | {"GOVC_PERSIST_SESSION": "false"},
    )


def _quietly(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:2])}: {(done.stderr or done.stdout)[-2000:]}")


def _copy_partition(raw: str, offset: int, size: int, output: str) -> None:
    with FileDevice(raw) as device, open(output, "wb") as out:
        out.truncate(size)
        for start, end in device.data_extents():
            for position in range(max(start, offset), min(end, offset + size), MIB):
                count = min(MIB, min(end, offset + size) - position)
                os.pwrite(out.fileno(), device.pread(count, position), position - offset)
