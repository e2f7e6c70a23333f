# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools that the figures are compared with."""

from __future__ import annotations

import os
import shutil
import subprocess

from ...plugins.module_utils.disk.device import FileDevice
from ..sample.plan import MIB, Manifest
from .measure import Run, run

# KVM is switched off, so that the figure does not depend on whether the machine has it.
_GUESTFISH = {"LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}


def qemu_img_convert(raw: str, output: str) -> Run:
    """qemu-img: a raw disk to a stream-optimized VMDK."""
    return run(["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, output])


def copy(source: str, output: str, *, sync: bool) -> Run:
    """cp, all bytes through the page cache, and if asked for until they are on the disk."""
    if not sync:
        return run(["cp", "--reflink=never", "--sparse=never", source, output])
    return run(["sh", "-c", 'cp --reflink=never --sparse=never "$1" "$2" && sync "$2"', "sh", source, output])


def have_guestfish() -> bool:
    """Whether libguestfs is there."""
    return shutil.which("guestfish") is not None


def guestfish_tar_in(raw: str, partition: int, archive: str, folder: str, overlay: str) -> Run:
    """guestfish: unpack a tar archive into a folder of the disk's Windows, into an overlay of the raw disk, under emulation (TCG)."""
    warm = ["guestfish", "-a", "/dev/null", "run"]
    subprocess.run(warm, check=True, env={**os.environ, **_GUESTFISH}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", raw, overlay], check=True)
    commands = f'run\nmount /dev/sda{partition} /\nmkdir-p "{folder}"\ntar-in "{archive}" "{folder}"\numount /\n'
    return run(["guestfish", "--format=qcow2", "-a", overlay], stdin=commands, environment=_GUESTFISH)


class WimImage:
    """wimlib: a WIM of a Windows volume with files added to it, made before, and applied to fresh volumes.

    ``compression`` as wimlib names it: LZX is its default and what Windows' install.wim has, XPRESS the fastest.
    """

    def __init__(self, scratch: str, raw: str, manifest: Manifest, files: str, compression: str) -> None:
        self._scratch = scratch
        self._size = manifest.partition()["size"]
        self._path = os.path.join(scratch, f"{compression}.wim")
        volume = os.path.join(scratch, "captured.ntfs")
        _copy_partition(raw, manifest.partition()["offset"], self._size, volume)
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
        subprocess.run(["mkntfs", "-F", "-Q", "-T", "-q", "-s", "512", "-p", "0", "-H", "255", "-S", "63", volume], check=True, env=environment,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return run(["wimlib-imagex", "apply", self._path, "1", volume])
        finally:
            os.unlink(volume)


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
