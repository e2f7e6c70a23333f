# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OVF packages of OS machines: opening one on a file share, and finding the disk with Windows in it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..common.composer_paths import is_windows_path
from ..common.errors import Corrupt, InvalidInput, StrataError, Unsupported
from ..disk.block_device import BlockDevice
from ..ovf.package import Package, open_package
from ..shares.local import LocalShare
from ..shares.location import check_path
from ..shares.open import ShareCredentials, open_share
from ..shares.share import Share
from .package_disk import disk_opener

if TYPE_CHECKING:
    from ..images import os_import

#: Codes of disks without a Windows installation; the refusal of a disk with one is reported first.
_NO_WINDOWS = ("images.os_no_windows", "images.os_no_ntfs", "disk.partitions_none")


@dataclass(frozen=True)
class OsPackageSource:
    """The package ``path`` on a file share."""

    file_share: str
    path: str
    credentials: ShareCredentials

    @contextlib.contextmanager
    def open(self) -> Iterator[Package]:
        """Open the package; its share is closed afterwards.

        Raises:
            InvalidInput: ``operations.os_outside_share`` if the path or a link leads out of the share.
            NotFound, Unavailable, Corrupt, Unsupported: as ``open_share`` and ``open_package``.
        """
        with open_share(self.file_share, self.credentials) as share:
            if share.local_path("") is None:
                yield open_package(check_path(self._path_on(share)), share)
                return
            root = os.path.realpath(self.file_share)
            path = os.path.join(root, self._local_path(root))
            if os.path.commonpath((root, os.path.realpath(path))) != root:
                raise InvalidInput(
                    f"The package {self.path!r} is outside the file share {self.file_share!r}.",
                    code="operations.os_outside_share",
                    hint="Set ovf_package to a package below file_share that no link leads to.",
                )
            below = os.path.relpath(path, root)
            # Others may write to the share: links in the package must not lead to other files of the composer.
            yield open_package("" if below == "." else below, LocalShare(root, confined=True))

    def _path_on(self, share: Share) -> str:
        """Return the path on an SMB share: it is relative, or full as the module packaging_machine returns it."""
        path, share_path = self.path.replace("\\", "/"), f"{share.where()}/"
        return path[len(share_path) :] if path.lower().startswith(share_path.lower()) else self.path

    def _local_path(self, root: str) -> str:
        """Return the path with slashes: backslashes separate folders as on an SMB share, unless such a file exists."""
        if is_windows_path(self.path):
            raise InvalidInput(
                f"The package '{self.path}' is a path in Windows.",
                code="operations.os_outside_share",
                hint=f"Set ovf_package to a path relative to the file share {self.file_share}, such as "
                "win11-os/win11-os.ovf.",
            )
        return self.path if os.path.exists(os.path.join(root, self.path)) else self.path.replace("\\", "/")

    def describe(self, package: Package) -> dict[str, Any]:
        """Return what a version records of its package.

        ``manifest_sha256`` is the digest of the manifest, None without a manifest. ``fingerprint`` covers the
        descriptor and the sizes of the disks; it identifies a package that has no manifest.
        """
        return {
            "packaging_disk": self.path,
            "manifest_sha256": package.manifest_digest(),
            "fingerprint": package.fingerprint(),
        }

    def is_recorded(self, package: Package, source: Mapping[str, Any]) -> bool:
        """Return whether ``source`` describes ``package``, as far as this can be recognized."""
        recorded, manifest = source.get("manifest_sha256"), package.manifest_digest()
        if recorded and manifest:
            return bool(recorded == manifest)
        # The manifest was removed or added later. Versions of earlier releases have no fingerprint.
        fingerprint = source.get("fingerprint")
        return fingerprint is None or fingerprint == package.fingerprint()


@dataclass(frozen=True)
class WindowsDisk:
    """A disk file of a package that holds a Windows installation."""

    name: str
    opener: Callable[[], BlockDevice]
    examination: os_import.Examination


def find_windows_disk(package: Package, size_gb: int | None) -> WindowsDisk:
    """Return the only disk of a package that holds a Windows installation.

    It has to fit into ``size_gb`` GiB; None accepts every size.

    Raises:
        Unsupported: ``operations.ovf_not_single``, ``operations.os_two_windows``, ``operations.os_no_disk``, or
            why the installation cannot be used (``images.os_...``).
        Corrupt: ``operations.ovf_capacity``.
    """
    from ..images import os_import

    descriptor = package.descriptor
    if descriptor.collection or len(descriptor.systems) != 1:
        raise Unsupported(
            f"The OVF package {package.path} describes {len(descriptor.systems)} VMs instead of one.",
            code="operations.ovf_not_single",
            hint="Export the OS machine by itself, not its vApp.",
        )
    found: list[WindowsDisk] = []
    refusals: list[StrataError] = []
    for disk in descriptor.disks:
        if disk.file_id is None:
            continue
        name = package.disk_file(disk)
        opener = disk_opener(package, name)
        try:
            _check_capacity(package, name, opener, disk.capacity)
            found.append(WindowsDisk(name, opener, os_import.examine(opener, name, size_gb)))
        except Unsupported as error:
            refusals.append(error)
    if len(found) > 1:
        raise Unsupported(
            f"Several disks of the OVF package {package.path} hold a Windows installation: "
            f"{', '.join(disk.name for disk in found)}.",
            code="operations.os_two_windows",
            hint="Export a VM with a single Windows installation.",
        )
    if found:
        return found[0]
    if refusals:
        raise min(refusals, key=lambda error: error.code in _NO_WINDOWS)
    raise Unsupported(
        f"The OVF package {package.path} has no disk.",
        code="operations.os_no_disk",
        hint="Export the VM with its disks.",
    )


def _check_capacity(package: Package, name: str, opener: Callable[[], BlockDevice], capacity: int) -> None:
    with opener() as device:
        if device.size != capacity:
            raise Corrupt(
                f"The disk {name} of the OVF package {package.path} has {device.size} bytes, "
                f"but its descriptor says {capacity}.",
                code="operations.ovf_capacity",
                hint="Copy or export the VM again.",
            )
