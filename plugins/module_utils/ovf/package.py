# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An OVF package as it lies on a share: a folder of files or one OVA.

The package is opened by naming its .ovf or .ova file, or a folder that holds exactly one
of either. Disks are read where they are, also inside an OVA.
"""

from __future__ import annotations

import errno
import io
import os
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from ..common.errors import Conflict, Corrupt, InvalidInput, NotFound, Unsupported
from ..common.progress import Progress, silent
from ..shares.local import LocalShare
from ..shares.share import Share, parent_of
from . import document
from .descriptor import Descriptor, Disk, File, check_file_name, parse_descriptor
from .manifest import MAXIMUM_BYTES as MANIFEST_MAXIMUM
from .manifest import Entry, parse_manifest, verify_files
from .ova import Member, MemberStream, read_members

_HINT = "Export the virtual machine again, as a folder of files."


class Package:
    """An opened package. ``descriptor`` is parsed, ``manifest`` its entries or None when there is no .mf.

    ``path`` is the .ovf or .ova file as people write it; ``name`` the descriptor's file name
    without suffix. ``folder`` is where ``file`` and its companions are.
    """

    def __init__(self, folder: Share, file: str, descriptor_name: str, members: dict[str, Member] | None) -> None:
        self.path = folder.where(file)
        self.name = descriptor_name[: -len(".ovf")]
        self._descriptor_name = descriptor_name
        self._folder = folder
        self._file = file
        self._members = members
        self.descriptor: Descriptor = parse_descriptor(
            self._read(descriptor_name, document.MAXIMUM_BYTES), f"The OVF descriptor {descriptor_name}"
        )
        manifest = f"{self.name}.mf"
        self.manifest: tuple[Entry, ...] | None = (
            parse_manifest(self._read(manifest, MANIFEST_MAXIMUM), f"The OVF manifest {manifest}")
            if self._exists(manifest)
            else None
        )

    def file_name(self, file: File) -> str:
        """The name under which ``file`` is stored: its href, or that with percent escapes undone.

        Raises NotFound when the file is missing.
        """
        name = self._stored_name(file.href, f"The OVF descriptor {self._descriptor_name}")
        if name is None:
            raise NotFound(
                f"The file {file.href} of the OVF {self.path} is missing.",
                code="ovf.missing_file",
                hint="Copy or export the virtual machine again.",
            )
        return name

    def disk_file(self, disk: Disk) -> str:
        """The name of the file that holds ``disk``.

        Raises Unsupported when the disk is blank, has a parent, or is compressed or split,
        NotFound when the file is missing, Corrupt when it has not the size that is declared.
        """
        if disk.file_id is None or disk.parent is not None:
            raise Unsupported(
                f"The disk {disk.id} of the OVF {self.path} has no file of its own.", code="ovf.disk_file", hint=_HINT
            )
        file = self.descriptor.file(disk.file_id)
        compressed, split = file.compression != "identity", file.chunk_size is not None
        for is_so, what, option in (
            (compressed, "compressed", "--compress"),
            (split, "split into chunks", "--chunkSize"),
        ):
            if is_so:
                raise Unsupported(
                    f"The file {file.href} of the OVF {self.path} is {what}.",
                    code="ovf.disk_file",
                    hint=f"Export the virtual machine again without that (ovftool: without {option}).",
                )
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
        status = self._folder.stat(name)
        if status is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._folder.where(name))
        return status.size

    def open(self, name: str) -> BinaryIO:
        """Open the file ``name`` for reading; seekable. FileNotFoundError when it is missing."""
        stream = self.open_raw(name)
        return stream if self._members is None else io.BufferedReader(stream, 1 << 20)

    def open_raw(self, name: str) -> BinaryIO:
        """As ``open``, but a member of an OVA without a buffer."""
        check_file_name(name, f"The OVF {self.path}")
        if self._members is None:
            return self._folder.open(name)
        if name not in self._members:
            raise FileNotFoundError(name)
        return MemberStream(self._folder.open(self._file), self._members[name])

    def location(self, name: str) -> tuple[str, int, int] | None:
        """Host path, offset and size in bytes of the file ``name``, for readers that need a real file; None when this host does not see it as one."""
        member = None if self._members is None else self._members[name]
        path = self._folder.local_path(name if member is None else self._file)
        if path is None:
            return None
        return (path, 0, self.size(name)) if member is None else (path, member.offset, member.size)

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
        # Names may be escaped in a manifest as they are in References.
        what = f"The OVF manifest {self.name}.mf"
        entries = [replace(entry, name=self._stored_name(entry.name, what) or entry.name) for entry in self.manifest]
        total = sum(self.size(entry.name) for entry in entries if self._exists(entry.name))
        return verify_files(entries, names, self.open, package=self.path, progress=progress, total=total)

    def _stored_name(self, name: str, what: str) -> str | None:
        """``name``, or that with percent escapes undone, whichever is there; ``what`` has it."""
        for possible in dict.fromkeys((name, urllib.parse.unquote(name))):
            if self._exists(check_file_name(possible, what)):
                return possible
        return None

    def _exists(self, name: str) -> bool:
        if self._members is not None:
            return name in self._members
        return self._folder.is_file(name)

    def _read(self, name: str, limit: int) -> bytes:
        with self.open(name) as stream:
            return stream.read(limit + 1)


def open_package(path: str, share: Share | None = None) -> Package:
    """Open the package at ``path``: an .ovf, an .ova, or a folder holding exactly one of them.

    ``path`` is one of this host, or relative to ``share``. Raises NotFound, Conflict (several
    in the folder), InvalidInput (another kind of file), and what the descriptor's and
    manifest's readers raise.
    """
    if share is None:
        path = os.path.abspath(path)
        share, path = (
            (LocalShare(path), "")
            if os.path.isdir(path)
            else (LocalShare(os.path.dirname(path)), os.path.basename(path))
        )
    where = share.where(path)
    status = share.stat(path)
    if status is not None and status.is_folder:
        share, path = share.folder(path), _find(share.folder(path), where)
    elif status is None:
        raise NotFound(
            f"There is no OVF at {where}.", code="ovf.not_found", hint="Check the file share and the name of the OVF."
        )
    else:
        share, path = share.folder(parent_of(path)), path.rpartition("/")[2]
    where = share.where(path)
    if path.lower().endswith(".ova"):
        with share.open(path) as stream:
            members = {member.name: member for member in read_members(stream, f"The OVA {where}")}
        descriptors = [name for name in members if name.lower().endswith(".ovf")]
        if len(descriptors) != 1:
            raise Corrupt(
                f"The OVA {where} holds {len(descriptors)} descriptors; there must be one.",
                code="ovf.ova_descriptor",
                hint=_HINT,
            )
        return Package(share, path, descriptors[0], members)
    if path.lower().endswith(".ovf"):
        return Package(share, path, path, None)
    raise InvalidInput(
        f"{where} is neither an .ovf nor an .ova file.", code="ovf.suffix", hint="Name the .ovf file of the export."
    )


def _find(folder: Share, where: str) -> str:
    found = sorted(_packages(folder))
    if not found:
        raise NotFound(
            f"There is no OVF in {where}.",
            code="ovf.not_found",
            hint="Check the file share and the name of the folder.",
        )
    if len(found) > 1:
        raise Conflict(
            f"There are several OVFs in {where}: {', '.join(found[:10])}.",
            code="ovf.ambiguous",
            hint="Name the one to use.",
        )
    return found[0]


def _packages(folder: Share) -> Iterator[str]:
    for name, status in folder.names():
        if name.lower().endswith((".ovf", ".ova")) and not name.startswith(".") and not status.is_folder:
            yield name
