# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Export a thin image to a file: VMDK, OVA, VHD, VHDX, raw or qcow2."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import BinaryIO

from ..common.atomic_files import ABANDONED, atomic_file, sync_folder
from ..common.composer_paths import TEMPORARY_PREFIX
from ..common.errors import MissingLibrary, NoSpace, Unavailable
from ..common.progress import Progress, silent
from ..disk.disk_file import DiskFile, raw_file
from ..disk.vhd import dynamic_vhd, fixed_vhd
from ..disk.vhdx import dynamic_vhdx
from ..ovf.descriptor_writer import ImageDescription, write_descriptor
from ..ovf.ova import OvaWriter
from .composing.boot_drivers import image_controllers
from .stored.thin_image import ThinImage

#: The names in OVF of the controllers from which images can start, see windows/boot_controllers.py.
_CONTROLLERS = {
    "pvscsi": "VirtualSCSI",
    "lsi_sas": "lsilogicsas",
    "lsi_logic": "lsilogic",
    "nvme": "vmware.nvme.controller",
    "ahci": "vmware.sata.ahci",
}
#: The controller of an image whose boot drivers cannot be read.
_DEFAULT_CONTROLLER = "lsilogicsas"
#: The guest type of Windows 10 and 11 for the hardware version of exported OVAs.
_GUEST = "windows9_64Guest"
#: The maximum length in bytes of a file name in an OVA, without its ending.
_LONGEST_NAME = 200


def export(image: ThinImage, path: str, form: str, *, name: str, firmware: str, progress: Progress = silent) -> int:
    """Write the image to ``path``, completely or not at all; return the file's size in bytes.

    ``form`` is an element of FORMATS; ``name`` and ``firmware`` describe the VM in an OVA.

    Raises:
        NoSpace: the file system is full.
        MissingLibrary images.export_qemu_img: qcow2 is requested and qemu-img is not installed.
        Unavailable images.export_qemu_img: qemu-img failed.
        Unsupported disk.vhd_capacity: the disk is too large for a VHD.
        Corrupt images.grain: a grain of the image is damaged.
    """
    prefix = f"{TEMPORARY_PREFIX}{hashlib.sha256(os.fsencode(os.path.basename(path))).hexdigest()[:12]}-"
    _remove_leftovers(os.path.dirname(os.path.abspath(path)), prefix)
    layout = _layout(image, form)
    if layout is not None:
        with image.open_disk() as disk, _temporary(path, prefix) as temporary:
            layout.store(disk, temporary.descriptor, path, progress)
            temporary.keep()
    elif form == "qcow2":
        _write_qcow2(image, path, prefix, progress)
    else:
        with atomic_file(path, temporary=prefix + secrets.token_hex(4)) as out:
            write(image, out, form, name=name, firmware=firmware, progress=progress)
    return os.stat(path).st_size


def write(image: ThinImage, out: BinaryIO, form: str, *, name: str, firmware: str, progress: Progress = silent) -> None:
    """Write the image to a file that is open for writing. ``form`` is an element of STREAMED; other formats need a path.

    Raises:
        Unsupported disk.vhd_capacity: the disk is too large for a VHD.
        Corrupt images.grain: a grain of the image is damaged.
    """
    layout = _layout(image, form)
    if layout is not None:
        with image.open_disk() as device:
            for part in layout.stream(device, progress):
                out.write(part)
        return
    length, chunks = image.stream()
    counted = _counted(chunks, length, progress)
    if form == "vmdk":
        for chunk in counted:
            out.write(chunk)
        return
    files = _file_name(name)
    disk = f"{files}-disk1.vmdk"
    descriptor = write_descriptor(
        ImageDescription(
            name=name,
            disk_file=disk,
            disk_size=length,
            capacity=image.capacity,
            guest_id=_GUEST,
            firmware=firmware,
            controller_type=_controller(image),
        )
    )
    ova = OvaWriter(out, files, descriptor, [disk])
    ova.add(disk, length, counted)
    ova.finish()


def _layout(image: ThinImage, form: str) -> DiskFile | None:
    """Return the layout of a file with uncompressed data; None for the other formats."""
    if form == "raw":
        return raw_file(image.capacity, image.plan().numbers)
    layouts = {"vhd": dynamic_vhd, "vhd_fixed": fixed_vhd, "vhdx": dynamic_vhdx}
    if form not in layouts:
        return None
    return layouts[form](image.capacity, image.plan().numbers, image.content_digest)


def _controller(image: ThinImage) -> str:
    """Return the name in OVF of the first controller from which Windows on the image can start."""
    controllers = image_controllers(image) or ()
    return next((ovf for name, ovf in _CONTROLLERS.items() if name in controllers), _DEFAULT_CONTROLLER)


def _remove_leftovers(folder: str, prefix: str) -> None:
    """Remove the temporary files of killed runs that wrote the same file."""
    for entry in os.scandir(folder):
        if entry.name.startswith(prefix):
            with contextlib.suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED:
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        os.unlink(entry.path)


def _file_name(name: str) -> str:
    """Return the name of the files of an OVA: without characters that are special in file names or references to them."""
    plain = re.sub(r"[^\w .()+-]", "-", name)
    return plain.encode()[:_LONGEST_NAME].decode(errors="ignore")


def _counted(chunks: Iterator[memoryview], length: int, progress: Progress) -> Iterator[memoryview]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        progress("write", done, length)


class _temporary:
    """A sparse temporary file that replaces ``path`` if it is kept."""

    def __init__(self, path: str, prefix: str) -> None:
        self.path = path
        self._folder = os.path.dirname(os.path.abspath(path))
        self.descriptor, self.name = tempfile.mkstemp(prefix=prefix, dir=self._folder)
        self._kept = False

    def keep(self) -> None:
        """Replace ``path`` when the block ends."""
        self._kept = True

    def __enter__(self) -> _temporary:
        return self

    def __exit__(self, *_exception: object) -> None:
        try:
            if self._kept:
                os.fchmod(self.descriptor, 0o644)
                os.fsync(self.descriptor)
                os.replace(self.name, self.path)
                sync_folder(self._folder)
        finally:
            os.close(self.descriptor)
            if not self._kept:
                os.unlink(self.name)


def _write_qcow2(image: ThinImage, path: str, prefix: str, progress: Progress) -> None:
    """Convert the VMDK with qemu-img, the reference for the format."""
    program = shutil.which("qemu-img")
    if program is None:
        raise MissingLibrary(
            "qemu-img is not installed on the composer.",
            code="images.export_qemu_img",
            hint="Install the package qemu-utils on the composer, or set the option format to a different value.",
        )
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as scratch:
        source, result = os.path.join(scratch, "images.vmdk"), os.path.join(scratch, "images.qcow2")
        length, chunks = image.stream()
        with open(source, "wb") as out:
            for chunk in _counted(chunks, length, progress):
                out.write(chunk)
        command = [program, "convert", "-q", "-f", "vmdk", "-O", "qcow2", source, result]
        # pylint: disable-next=ansible-bad-function  # the engine does not depend on AnsibleModule and its run_command
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            kind = NoSpace if "No space left" in done.stderr else Unavailable
            raise kind(
                f"qemu-img could not write {path}: {done.stderr.strip()[:300]}",
                code="images.export_qemu_img",
                hint="Free disk space, or set the option format to a different value.",
            )
        with open(result, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(result, path)
        sync_folder(folder)
