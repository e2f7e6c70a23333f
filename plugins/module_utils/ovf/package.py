# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OVF package as it lies on a share: a folder of files or one OVA.

The package is opened by naming its .ovf or .ova file, or a folder that holds exactly one
of either. Disks are read where they are, also inside an OVA.
"""

from __future__ import annotations

import io
import os
import urllib.parse
from collections.abc import Iterator
from typing import BinaryIO

from ..common.errors import Conflict, Corrupt, InvalidInput, NotFound, Unsupported
from ..common.progress import Progress, silent
from . import document
from .descriptor import Descriptor, Disk, File, check_file_name, parse_descriptor
from .manifest import MAXIMUM_BYTES as MANIFEST_MAXIMUM
from .manifest import Entry, parse_manifest, verify_files
from .ova import Member, MemberStream, read_members

_HINT = "Export the virtual machine again, as a folder of files."


class Package:
    """An opened package. ``descriptor`` is parsed, ``manifest`` its entries or None when there is no .mf.

    ``path`` is the .ovf or .ova file; ``name`` the descriptor's file name without suffix.
    """

    def __init__(self, path: str, descriptor_name: str, members: dict[str, Member] | None) -> None:
        self.path = path
        self.name = descriptor_name[: -len(".ovf")]
        self._descriptor_name = descriptor_name
        self._folder = os.path.dirname(path)
        self._members = members
        self.descriptor: Descriptor = parse_descriptor(
            self._read(descriptor_name, document.MAXIMUM_BYTES), f"The OVF descriptor {descriptor_name}"
        )
        manifest = f"{self.name}.mf"
        self.manifest: tuple[Entry, ...] | None = (
            parse_manifest(self._read(manifest, MANIFEST_MAXIMUM), f"The OVF manifest {manifest}") if self._exists(manifest) else None
        )

    def file_name(self, file: File) -> str:
        """The name under which ``file`` is stored: its href, or that with percent escapes undone.

        Raises NotFound when the file is missing.
        """
        plain = urllib.parse.unquote(file.href)
        for name in dict.fromkeys((file.href, plain)):
            if self._exists(check_file_name(name, f"The OVF descriptor {self._descriptor_name}")):
                return name
        raise NotFound(f"The file {file.href} of the OVF {self.path} is missing.", code="ovf.missing_file", hint="Copy or export the virtual machine again.")

    def disk_file(self, disk: Disk) -> str:
        """The name of the file that holds ``disk``.

        Raises Unsupported when the disk is blank, has a parent, or is compressed or split,
        NotFound when the file is missing, Corrupt when it has not the size that is declared.
        """
        if disk.file_id is None or disk.parent is not None:
            raise Unsupported(f"The disk {disk.id} of the OVF {self.path} has no file of its own.", code="ovf.disk_file", hint=_HINT)
        file = self.descriptor.file(disk.file_id)
        if file.compression != "identity" or file.chunk_size is not None:
            raise Unsupported(f"The file {file.href} of the OVF {self.path} is compressed or split.", code="ovf.disk_file", hint=_HINT)
        name = self.file_name(file)
        size = self.size(name)
        if file.size is not None and file.size != size:
            raise Corrupt(
                f"The file {name} of the OVF {self.path} should have {file.size} bytes and has {size}.",
                code="ovf.size",
                hint="Copy or export the virtual machine again.",
                file=name,
                expected=file.size,
                found=size,
            )
        return name

    def size(self, name: str) -> int:
        """Bytes of the file ``name``."""
        if self._members is not None:
            return self._members[name].size
        return os.stat(os.path.join(self._folder, name)).st_size

    def open(self, name: str) -> BinaryIO:
        """Open the file ``name`` for reading; seekable. FileNotFoundError when it is missing."""
        check_file_name(name, f"The OVF {self.path}")
        if self._members is None:
            return open(os.path.join(self._folder, name), "rb")
        if name not in self._members:
            raise FileNotFoundError(name)
        return io.BufferedReader(MemberStream(open(self.path, "rb", buffering=0), self._members[name]), 1 << 20)

    def location(self, name: str) -> tuple[str, int, int]:
        """Host path, offset and size in bytes of the file ``name``, for readers that need a real file."""
        if self._members is not None:
            member = self._members[name]
            return self.path, member.offset, member.size
        return os.path.join(self._folder, name), 0, self.size(name)

    def verify(self, progress: Progress = silent) -> dict[str, str]:
        """Compare the descriptor and every file with the manifest; returns name -> digest.

        Without a manifest only presence and sizes are checked and the result is empty.
        """
        for disk in self.descriptor.disks:
            if disk.file_id is not None and disk.parent is None:
                self.disk_file(disk)
        names = [self._descriptor_name, *(self.file_name(file) for file in self.descriptor.files)]
        if self.manifest is None:
            return {}
        total = sum(self.size(entry.name) for entry in self.manifest if self._exists(entry.name))
        return verify_files(self.manifest, names, self.open, package=self.path, progress=progress, total=total)

    def _exists(self, name: str) -> bool:
        if self._members is not None:
            return name in self._members
        return os.path.isfile(os.path.join(self._folder, name))

    def _read(self, name: str, limit: int) -> bytes:
        with self.open(name) as stream:
            return stream.read(limit + 1)


def open_package(path: str) -> Package:
    """Open the package at ``path``: an .ovf, an .ova, or a folder holding exactly one of them.

    Raises NotFound, Conflict (several in the folder), InvalidInput (another kind of file),
    and what the descriptor's and manifest's readers raise.
    """
    if os.path.isdir(path):
        path = _find(path)
    if not os.path.isfile(path):
        raise NotFound(f"There is no OVF at {path}.", code="ovf.not_found", hint="Check the file share and the name of the OVF.")
    if path.lower().endswith(".ova"):
        with open(path, "rb") as stream:
            members = {member.name: member for member in read_members(stream, f"The OVA {path}")}
        descriptors = [name for name in members if name.lower().endswith(".ovf")]
        if len(descriptors) != 1:
            raise Corrupt(f"The OVA {path} holds {len(descriptors)} descriptors; there must be one.", code="ova.descriptor", hint=_HINT)
        return Package(path, descriptors[0], members)
    if path.lower().endswith(".ovf"):
        return Package(path, os.path.basename(path), None)
    raise InvalidInput(f"{path} is neither an .ovf nor an .ova file.", code="ovf.suffix", hint="Name the .ovf file of the export.")


def _find(folder: str) -> str:
    found = sorted(_packages(folder))
    if not found:
        raise NotFound(f"There is no OVF in {folder}.", code="ovf.not_found", hint="Check the file share and the name of the folder.")
    if len(found) > 1:
        raise Conflict(f"There are several OVFs in {folder}: {', '.join(found[:10])}.", code="ovf.ambiguous", hint="Name the one to use.")
    return os.path.join(folder, found[0])


def _packages(folder: str) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.name.lower().endswith((".ovf", ".ova")) and not entry.name.startswith(".") and entry.is_file():
            yield entry.name
