# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exported disk of a packaging machine: an OVF package or a disk image, on the composer or on a share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..common.composer_paths import path_hint
from ..common.errors import InvalidInput
from ..shares.open import ShareCredentials, open_file
from ..shares.share import Share

if TYPE_CHECKING:
    from ..disk.block_device import BlockDevice
    from ..ovf.package import Package


def packaged_disk_exists(path: str, credentials: ShareCredentials) -> bool:
    """Return whether the disk at ``path`` exists."""
    share, file = open_file(path, credentials, "packaged_disk")
    with share:
        return share.is_file(file)


@dataclass(frozen=True)
class PackagedDisk:
    """A packaged disk on its share; ``package`` is None for a disk image."""

    path: str
    share: Share
    file: str
    package: Package | None

    @classmethod
    def open(cls, path: str, credentials: ShareCredentials) -> PackagedDisk:
        """Open the disk at ``path``, a path on the composer or ``//server/share/path``.

        Raises:
            InvalidInput: ``operations.packaged_missing``.
            NotFound, Unavailable, Corrupt, Unsupported: as ``open_file`` and ``open_package``.
        """
        from ..ovf.package import open_package

        share, file = open_file(path, credentials, "packaged_disk")
        if not share.is_file(file):
            raise InvalidInput(
                f"The packaged disk {path!r} does not exist.",
                code="operations.packaged_missing",
                hint=f"{path_hint(path, 'packaged_disk')}Set packaged_disk to an OVF file or a disk image.",
            )
        is_package = path.lower().endswith((".ovf", ".ova"))
        return cls(path, share, file, open_package(file, share) if is_package else None)

    def describe(self) -> dict[str, Any]:
        """Return what a document records of the disk."""
        if self.package is not None and self.package.manifest is not None:
            return {"packaged_disk": self.path, "manifest_sha256": self.package.manifest_digest()}
        return self._status()

    def is_recorded(self, source: Mapping[str, Any]) -> bool:
        """Return whether ``source`` is the record of this disk.

        Earlier releases found only a manifest with the name of the descriptor, and recorded the status without it.
        """
        return source == self.describe() or ("mtime_ns" in source and source == self._status())

    def _status(self) -> dict[str, Any]:
        status = self.share.stat(self.file)
        return {
            "packaged_disk": self.path,
            "size": status.size if status else 0,
            "mtime_ns": status.mtime_ns if status else 0,
        }

    def opener(self) -> Callable[[], BlockDevice]:
        """Return how to open the disk."""
        from .package_disk import disk_opener, share_disk_opener

        if self.package is None:
            return share_disk_opener(self.share, self.file)
        disks = [disk for disk in self.package.descriptor.disks if disk.file_id is not None]
        if len(disks) != 1:
            raise InvalidInput(
                f"The packaged disk {self.path!r} is a package with {len(disks)} disks instead of one.",
                code="operations.packaged_disks",
                hint="Export the packaging machine with its only disk.",
            )
        return disk_opener(self.package, self.package.disk_file(disks[0]))
