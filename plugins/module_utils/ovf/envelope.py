# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of an OVF descriptor: files, disks, networks and virtual machines."""

from __future__ import annotations

from dataclasses import dataclass

from ..common.errors import Corrupt, Unsupported

#: The hint of errors in a descriptor.
EXPORT_AGAIN = "Export the virtual machine again."


@dataclass(frozen=True, slots=True)
class File:
    """An entry of References. ``size`` is the declared size in bytes, None if it is not declared."""

    id: str
    href: str
    size: int | None
    compression: str
    chunk_size: int | None


@dataclass(frozen=True, slots=True)
class Disk:
    """An entry of DiskSection; ``capacity`` and ``populated_size`` are in bytes."""

    id: str
    file_id: str | None
    capacity: int
    populated_size: int | None
    format: str
    parent: str | None


@dataclass(frozen=True, slots=True)
class DiskItem:
    """A disk of a virtual machine: the disk's ID, and where it is attached.

    ``controller`` is "scsi", "sata", "ide", "nvme" or "other"; ``controller_type`` is the subtype as written,
    such as ``lsilogicsas`` or ``VirtualSCSI``.
    """

    disk_id: str | None
    name: str
    controller: str
    controller_type: str
    bus: int
    unit: int


@dataclass(frozen=True, slots=True)
class Nic:
    """A network adapter: its type (``VmxNet3``, ``E1000``, ...) and the name of its network."""

    type: str
    network: str
    name: str


@dataclass(frozen=True, slots=True)
class System:
    """A virtual machine of the envelope. ``firmware`` is "bios" or "efi"."""

    id: str
    name: str
    os_id: int | None
    os_type: str | None
    firmware: str
    secure_boot: bool
    hardware_versions: tuple[str, ...]
    cpus: int | None
    cores_per_socket: int | None
    memory_mib: int | None
    disks: tuple[DiskItem, ...]
    nics: tuple[Nic, ...]
    annotation: str


@dataclass(frozen=True, slots=True)
class Descriptor:
    """An envelope.

    ``collection`` says whether it contains a VirtualSystemCollection (a vApp); ``subject`` is the descriptor's
    name at the start of error messages.
    """

    version: str
    files: tuple[File, ...]
    disks: tuple[Disk, ...]
    networks: tuple[str, ...]
    systems: tuple[System, ...]
    collection: bool
    subject: str

    def file(self, file_id: str) -> File:
        """Return the entry of References with this ID.

        Raises:
            Corrupt: ``ovf.reference`` if it does not exist.
        """
        for file in self.files:
            if file.id == file_id:
                return file
        raise Corrupt(
            f"{self.subject} refers to the file '{file_id}', which its References do not list.",
            code="ovf.reference",
            hint=EXPORT_AGAIN,
        )

    def disk(self, disk_id: str) -> Disk:
        """Return the entry of DiskSection with this ID.

        Raises:
            Corrupt: ``ovf.reference`` if it does not exist.
        """
        for disk in self.disks:
            if disk.id == disk_id:
                return disk
        raise Corrupt(
            f"{self.subject} attaches the disk '{disk_id}', which its DiskSection does not list.",
            code="ovf.reference",
            hint=EXPORT_AGAIN,
        )

    def single_system(self) -> System:
        """Return the only virtual machine of the envelope.

        Raises:
            Unsupported: ``ovf.not_single`` if the envelope is a vApp or does not contain exactly one VM.
        """
        if self.collection or len(self.systems) != 1:
            content = "a vApp" if self.collection else f"{len(self.systems)} virtual machines"
            raise Unsupported(
                f"{self.subject} contains {content}; expected 1 virtual machine.",
                code="ovf.not_single",
                hint="Export the virtual machine itself, not the vApp that contains it.",
                systems=len(self.systems),
                is_vapp=self.collection,
            )
        return self.systems[0]
