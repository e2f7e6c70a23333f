# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read an OVF package on a share: a folder of files, or an OVA.

A package is opened by the path of its .ovf or .ova file, or of a folder that contains exactly one such file.
Disks are read in place, also inside an OVA. Files may be in folders below the descriptor's folder, and the case of
letters in their names may differ from the descriptor and the manifest, as on Windows.

Only the disks are needed. The manifest, its entry for the descriptor, and files that no disk refers to (NVRAM, ISO
images) may be missing: ``warnings`` reports it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import shlex
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO

from ..common.errors import Conflict, Corrupt, InvalidInput, NotFound, Unsupported
from ..common.progress import Progress, silent
from ..shares.local import LocalShare
from ..shares.share import Share, join, parent_of
from . import document
from .descriptor import check_file_path, parse_descriptor
from .envelope import Descriptor, Disk, File
from .manifest import MAXIMUM_BYTES as MANIFEST_MAXIMUM
from .manifest import Entry, parse_manifest, verify_files
from .ova import Member, MemberStream, read_members

_SHOWN = 10
_EXPORT_AS_FOLDER = "Export the virtual machine again, as a folder of files."
_COPY_AGAIN = "Copy the package again, or export the virtual machine again."


class Package:
    """An open package. ``descriptor`` is its parsed descriptor; ``manifest`` its entries, None without a .mf file.

    ``path`` is the full location of the .ovf or .ova file; ``name`` is the descriptor's file name without its
    suffix. ``folder`` contains ``file`` and the other files of the package.
    """

    def __init__(self, folder: Share, file: str, descriptor_name: str, members: dict[str, Member] | None) -> None:
        self.path = folder.where(file)
        self.name = descriptor_name[: -len(".ovf")]
        self._descriptor_name = descriptor_name
        self._folder = folder
        self._file = file
        self._members = members
        self._listings: dict[str, list[str]] = {}
        self.descriptor: Descriptor = parse_descriptor(
            self._read(descriptor_name, document.MAXIMUM_BYTES), f"The OVF descriptor {descriptor_name}"
        )
        self.manifest_name = self._find_manifest()
        self.manifest: tuple[Entry, ...] | None = (
            parse_manifest(self._read(self.manifest_name, MANIFEST_MAXIMUM), f"The OVF manifest {self.manifest_name}")
            if self.manifest_name
            else None
        )

    def manifest_digest(self) -> str | None:
        """Return the SHA-256 of the manifest, None without a manifest."""
        if self.manifest_name is None:
            return None
        return hashlib.sha256(self._read(self.manifest_name, MANIFEST_MAXIMUM)).hexdigest()

    def fingerprint(self) -> str:
        """Return a digest of the descriptor and the sizes of the disk files, which identifies a package without a manifest."""
        digest = hashlib.sha256(self._read(self._descriptor_name, document.MAXIMUM_BYTES))
        for name in self._disk_files():
            digest.update(f"\n{name} {self.size(name)}".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def warnings(self) -> tuple[str, ...]:
        """Return a sentence for each part that is missing although the package can be used."""
        found = []
        names = [self._stored_name(file.href, self._descriptor_subject) for file in self.descriptor.files]
        missing = [file.href for file, name in zip(self.descriptor.files, names) if name is None]
        if missing:
            noun = "the file" if len(missing) == 1 else "the files"
            found.append(
                f"The OVF package {self.path} lacks {noun} {', '.join(missing[:_SHOWN])}, which no disk needs."
            )
        if self.manifest is None:
            files = shlex.join((self._descriptor_name, *self._disk_files()))
            found.append(
                f"The OVF package {self.path} has no manifest ({self.name}.mf), so its files were not verified. "
                f"To create a manifest, run 'sha256sum --tag {files} > {shlex.quote(self.name)}.mf' where the files are known to be intact."
            )
        elif self._descriptor_name not in {entry.name for entry in self._stored_entries()}:
            found.append(
                f"The manifest {self.manifest_name} of the OVF package {self.path} has no digest for "
                f"{self._descriptor_name}, so the descriptor was not verified."
            )
        return tuple(found)

    def file_name(self, file: File) -> str:
        """Return the name under which ``file`` is stored: its href, or its href with percent escapes decoded.

        Raises:
            NotFound: ``ovf.missing_file`` if it does not exist.
        """
        name = self._stored_name(file.href, self._descriptor_subject)
        if name is None:
            raise NotFound(
                f"The file {file.href} of the OVF package {self.path} does not exist.",
                code="ovf.missing_file",
                hint=_COPY_AGAIN,
            )
        return name

    def disk_file(self, disk: Disk) -> str:
        """Return the name of the file that contains ``disk``.

        Raises:
            Unsupported: ``ovf.disk_file`` if the disk is blank, has a parent, or is compressed or split.
            NotFound: ``ovf.missing_file`` if the file does not exist.
            Corrupt: ``ovf.size`` if it does not have the declared size.
        """
        if disk.file_id is None or disk.parent is not None:
            raise Unsupported(
                f"The disk {disk.id} of the OVF package {self.path} is blank or depends on a parent disk.",
                code="ovf.disk_file",
                hint="Export the virtual machine again without snapshots, with all its disks.",
                disk=disk.id,
            )
        file = self.descriptor.file(disk.file_id)
        compressed, split = file.compression != "identity", file.chunk_size is not None
        for applies, state, option in (
            (compressed, "compressed", "--compress"),
            (split, "split into chunks", "--chunkSize"),
        ):
            if applies:
                raise Unsupported(
                    f"The file {file.href} of the OVF package {self.path} is {state}, which is not supported.",
                    code="ovf.disk_file",
                    hint=f"Export the virtual machine again; if you use ovftool, leave out {option}.",
                    file=file.href,
                    ovftool_option=option,
                )
        name = self.file_name(file)
        size = self.size(name)
        if file.size is not None and file.size != size:
            raise Corrupt(
                f"The file {name} of the OVF package {self.path} has a wrong size: expected {file.size} bytes, "
                f"found {size} bytes.",
                code="ovf.size",
                hint=_COPY_AGAIN,
                file=name,
                expected=file.size,
                found=size,
            )
        return name

    def size(self, name: str) -> int:
        """Return the size of the file ``name`` in bytes."""
        if self._members is not None:
            return self._members[name].size
        status = self._folder.stat(name)
        if status is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self._folder.where(name))
        return status.size

    def open(self, name: str) -> BinaryIO:
        """Open the file ``name`` for reading, as a seekable stream.

        Raises:
            FileNotFoundError: if it does not exist.
        """
        stream = self.open_raw(name)
        return io.BufferedReader(stream, 1 << 20) if isinstance(stream, MemberStream) else stream

    def open_raw(self, name: str) -> BinaryIO:
        """Open the file ``name`` as ``open`` does, but without a buffer for a member of an OVA."""
        check_file_path(name, f"The OVF package {self.path}")
        if self._members is None:
            return self._folder.open(name)
        if name not in self._members:
            raise FileNotFoundError(name)
        return MemberStream(self._folder.open(self._file), self._members[name])

    def location(self, name: str) -> tuple[str, int, int] | None:
        """Return (path on this host, offset in bytes, size in bytes) of the file ``name``; None on an SMB share.

        Readers that need a real file use it.
        """
        member = None if self._members is None else self._members[name]
        path = self._folder.local_path(name if member is None else self._file)
        if path is None:
            return None
        return (path, 0, self.size(name)) if member is None else (path, member.offset, member.size)

    def verify(self, progress: Progress = silent) -> dict[str, str]:
        """Compare every file that exists with the manifest, and return the digests by file name.

        Without a manifest, only the existence and the sizes of disks are checked, and the result is empty.

        Raises:
            NotFound, Corrupt, Unsupported: as ``disk_file`` and ``manifest.verify_files``.
        """
        disks = self._disk_files()
        if self.manifest is None:
            return {}
        entries = [entry for entry in self._stored_entries() if entry.name in disks or self._exists(entry.name)]
        total = sum(self.size(name) for name in {entry.name for entry in entries})
        return verify_files(entries, disks, self.open, package=self.path, progress=progress, total=total)

    @property
    def _descriptor_subject(self) -> str:
        return f"The OVF descriptor {self._descriptor_name}"

    def _disk_files(self) -> list[str]:
        """Return the names of the disk files, each with the declared size; raise as ``disk_file``."""
        disks = (disk for disk in self.descriptor.disks if disk.file_id is not None and disk.parent is None)
        return list(dict.fromkeys(map(self.disk_file, disks)))

    def _stored_entries(self) -> list[Entry]:
        """Return the entries of the manifest with the names under which the files are stored.

        Names may have percent escapes in a manifest, as in References.
        """
        subject = f"The OVF manifest {self.manifest_name}"
        return [
            replace(entry, name=self._stored_name(entry.name, subject) or entry.name) for entry in self.manifest or ()
        ]

    def _find_manifest(self) -> str | None:
        """Return the manifest's file name, also if the descriptor was renamed after the export."""
        expected = f"{self.name}.mf"
        if self._exists(expected):
            return expected
        names = [name for name in self._listing("") if not name.startswith(".")]
        manifests = [name for name in names if name.lower().endswith(".mf")]
        same = [name for name in manifests if name.casefold() == expected.casefold()]
        if len(same) == 1:
            return same[0]
        packages = [name for name in names if name.lower().endswith((".ovf", ".ova"))]
        return manifests[0] if len(manifests) == len(packages) == 1 else None

    def _stored_name(self, name: str, subject: str) -> str | None:
        """Return the name under which a file is stored, None if it does not exist; ``subject`` is the source of ``name``.

        It is ``name`` or its form without percent escapes, possibly with letters in another case.
        """
        candidates = []
        for candidate in dict.fromkeys((name, urllib.parse.unquote(name))):
            candidates.append(check_file_path(candidate, subject))
            if self._exists(candidates[-1]):
                return candidates[-1]
        return next(filter(None, map(self._in_other_case, candidates)), None)

    def _in_other_case(self, path: str) -> str | None:
        """Return the only file whose path differs from ``path`` at most in the case of letters, None without it."""
        found = ""
        for part in path.split("/"):
            listing = self._listing(found)
            same = [part] if part in listing else [name for name in listing if name.casefold() == part.casefold()]
            if len(same) != 1:
                return None
            found = join(found, same[0])
        return found if self._exists(found) else None

    def _listing(self, folder: str) -> list[str]:
        """Return the names of the files and folders in a folder of the package."""
        if folder not in self._listings:
            names: list[str] = []
            if self._members is not None:
                start = f"{folder}/" if folder else ""
                below = (member[len(start) :] for member in self._members if member.startswith(start))
                names = list(dict.fromkeys(name.partition("/")[0] for name in below))
            else:
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    names = [name for name, _status in self._folder.names(folder)]
            self._listings[folder] = names
        return self._listings[folder]

    def _exists(self, name: str) -> bool:
        if self._members is not None:
            return name in self._members
        return self._folder.is_file(name)

    def _read(self, name: str, limit: int) -> bytes:
        with self.open(name) as stream:
            return stream.read(limit + 1)


def open_package(path: str, share: Share | None = None) -> Package:
    """Open the package at ``path``: an .ovf file, an .ova file, or a folder that contains exactly one of them.

    ``path`` is a path of this host, or relative to ``share``.

    Raises:
        NotFound: ``ovf.not_found`` if it does not exist.
        Conflict: ``ovf.ambiguous`` if the folder contains several packages.
        InvalidInput: ``ovf.suffix`` if it is neither an .ovf nor an .ova file.
        Corrupt, Unsupported: as ``parse_descriptor``, ``parse_manifest`` and ``read_members``; also
            ``ovf.ova_descriptor`` if an OVA does not contain exactly one descriptor.
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
            f"The OVF package {where} does not exist.",
            code="ovf.not_found",
            hint="Check the file share and the path of the package.",
        )
    else:
        share, path = share.folder(parent_of(path)), path.rpartition("/")[2]
    where = share.where(path)
    if path.lower().endswith(".ova"):
        return _open_ova(share, path, where)
    if path.lower().endswith(".ovf"):
        return Package(share, path, path, None)
    raise InvalidInput(
        f"The file {where} is neither an .ovf nor an .ova file.",
        code="ovf.suffix",
        hint="Set the path to the .ovf or .ova file of the export.",
    )


def _open_ova(share: Share, path: str, where: str) -> Package:
    with share.open(path) as stream:
        members = {member.name: member for member in read_members(stream, f"The OVA {where}")}
    # macOS adds hidden files to archives, such as ._os.ovf.
    descriptors = [
        name for name in members if name.lower().endswith(".ovf") and not name.rpartition("/")[2].startswith(".")
    ]
    if len(descriptors) != 1:
        raise Corrupt(
            f"The OVA {where} contains {len(descriptors)} descriptors; expected 1.",
            code="ovf.ova_descriptor",
            hint=_EXPORT_AS_FOLDER,
        )
    # Names in the descriptor are relative to the descriptor.
    folder, _slash, descriptor = descriptors[0].rpartition("/")
    start = f"{folder}/" if folder else ""
    return Package(
        share,
        path,
        descriptor,
        {name.removeprefix(start): member for name, member in members.items() if name.startswith(start)},
    )


def _find(folder: Share, where: str) -> str:
    names = sorted(_packages(folder))
    if not names:
        raise NotFound(
            f"The folder {where} does not contain an OVF package.",
            code="ovf.not_found",
            hint="Check the file share and the path of the folder.",
        )
    if len(names) > 1:
        raise Conflict(
            f"The folder {where} contains several OVF packages: {', '.join(names[:10])}.",
            code="ovf.ambiguous",
            hint="Set the path to one of these files.",
            packages=names[:10],
        )
    return names[0]


def _packages(folder: Share) -> Iterator[str]:
    for name, status in folder.names():
        if name.lower().endswith((".ovf", ".ova")) and not name.startswith(".") and not status.is_folder:
            yield name
