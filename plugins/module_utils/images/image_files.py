# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a thin image out as a file: VMDK, OVA, raw or qcow2."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from ..common.atomic_files import ABANDONED, TEMPORARY_PREFIX, atomic_file, sync_folder
from ..common.errors import MissingLibrary, NoSpace, Unavailable
from ..common.progress import Progress, silent
from ..disk.block_device import write_all
from ..disk.grains import GRAIN_SHIFT
from ..ovf.descriptor_writer import ImageDescription, write_descriptor
from ..ovf.ova import OvaWriter
from .thin_image import ThinImage

FORMATS = ("vmdk", "ova", "raw", "qcow2")
#: Windows 10 and 11 in the terms of the hardware version that OVAs are written for.
_GUEST = "windows9_64Guest"
_PIECE = 16
#: Bytes that a name within an OVA has at most before its ending.
_LONGEST_NAME = 200


def export(image: ThinImage, path: str, form: str, *, name: str, firmware: str, progress: Progress = silent) -> int:
    """Write the image to ``path``, whole or not at all; returns the file's size in bytes.

    ``name`` and ``firmware`` describe the machine in an OVA. Raises NoSpace, and
    MissingLibrary when qcow2 is asked for without qemu-img.
    """
    prefix = f"{TEMPORARY_PREFIX}{hashlib.sha256(os.fsencode(os.path.basename(path))).hexdigest()[:12]}-"
    _remove_leftovers(os.path.dirname(os.path.abspath(path)), prefix)
    if form == "raw":
        with _temporary(path, prefix) as temporary:
            _write_raw(image, temporary, progress)
            temporary.keep()
    elif form == "qcow2":
        _write_qcow2(image, path, prefix, progress)
    else:
        with atomic_file(path, temporary=prefix + secrets.token_hex(4)) as out:
            write(image, out, form, name=name, firmware=firmware, progress=progress)
    return os.stat(path).st_size


def write(image: ThinImage, out: BinaryIO, form: str, *, name: str, firmware: str, progress: Progress = silent) -> None:
    """Write the image as a VMDK or OVA to a file that is open for writing; other forms need a path."""
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
            name=name, disk_file=disk, disk_size=length, capacity=image.capacity, guest_id=_GUEST, firmware=firmware
        )
    )
    ova = OvaWriter(out, files, descriptor, [disk])
    ova.add(disk, length, counted)
    ova.finish()


def _remove_leftovers(folder: str, prefix: str) -> None:
    """Remove what killed runs that wrote the same file left."""
    for entry in os.scandir(folder):
        if entry.name.startswith(prefix):
            with contextlib.suppress(OSError):
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > ABANDONED:
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        os.unlink(entry.path)


def _file_name(name: str) -> str:
    """What the files of an OVA are named by: without what means something else in a file's name or in a reference to it."""
    plain = re.sub(r"[^\w .()+-]", "-", name)
    return plain.encode()[:_LONGEST_NAME].decode(errors="ignore")


def _counted(chunks, length: int, progress: Progress):
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        progress("write", done, length)


class _temporary:
    """A sparse file in the making that takes the place of ``path`` when it is kept."""

    def __init__(self, path: str, prefix: str) -> None:
        self.path = path
        self._folder = os.path.dirname(os.path.abspath(path))
        self.descriptor, self.name = tempfile.mkstemp(prefix=prefix, dir=self._folder)
        self._kept = False

    def keep(self) -> None:
        """Let the file take its place when the block ends."""
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


def _write_raw(image: ThinImage, target: _temporary, progress: Progress) -> None:
    """Inflate on all processors; what is zeros stays a hole."""
    os.ftruncate(target.descriptor, image.capacity)
    numbers = image.plan().numbers.tolist()
    pieces = [numbers[start : start + _PIECE] for start in range(0, len(numbers), _PIECE)]
    failed = threading.Event()

    def write(piece: list[int]) -> int:
        if failed.is_set():
            return 0
        try:
            for number in piece:
                place = number << GRAIN_SHIFT
                write_all(target.descriptor, disk.read_grain(number)[: image.capacity - place], place, target.path)
        except BaseException:
            failed.set()
            raise
        return len(piece)

    workers = os.cpu_count() or 1
    with image.open_disk() as disk, ThreadPoolExecutor(workers) as pool:
        done, running = 0, deque()
        for piece in pieces:
            running.append(pool.submit(write, piece))
            if len(running) > 4 * workers:
                done += running.popleft().result()
                progress("write", done << GRAIN_SHIFT, len(numbers) << GRAIN_SHIFT)
        while running:
            done += running.popleft().result()
    progress("write", done << GRAIN_SHIFT, len(numbers) << GRAIN_SHIFT)


def _write_qcow2(image: ThinImage, path: str, prefix: str, progress: Progress) -> None:
    """Through the VMDK and qemu-img, which is the reference for the format."""
    program = shutil.which("qemu-img")
    if program is None:
        raise MissingLibrary(
            "qemu-img is not installed on the composer.",
            code="images.export_qemu_img",
            hint="Install qemu-utils, or export another format.",
        )
    folder = os.path.dirname(os.path.abspath(path))
    with tempfile.TemporaryDirectory(prefix=prefix, dir=folder) as scratch:
        source, result = os.path.join(scratch, "images.vmdk"), os.path.join(scratch, "images.qcow2")
        length, chunks = image.stream()
        with open(source, "wb") as out:
            for chunk in _counted(chunks, length, progress):
                out.write(chunk)
        command = [program, "convert", "-q", "-f", "vmdk", "-O", "qcow2", source, result]
        # pylint: disable-next=ansible-bad-function  # the engine knows no AnsibleModule, whose run_command is meant
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            kind = NoSpace if "No space left" in done.stderr else Unavailable
            raise kind(
                f"qemu-img could not write {path}: {done.stderr.strip()[:300]}",
                code="images.export_qemu_img",
                hint="Free space, or export another format.",
            )
        with open(result, "rb+") as stream:
            os.fsync(stream.fileno())
        os.replace(result, path)
        sync_folder(folder)
