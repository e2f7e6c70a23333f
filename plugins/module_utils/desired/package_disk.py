# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a disk of an OVF package, be it a file of its own or a member of an OVA."""

from __future__ import annotations

from collections.abc import Callable

from ..disk.device import BlockDevice
from ..disk.flat import open_disk
from ..disk.vmdk_reader import StreamOptimizedDisk
from ..ovf.package import Package


def disk_opener(package: Package, name: str) -> Callable[[], BlockDevice]:
    """How to open the disk file ``name`` of a package; a member of an OVA is read where it stands."""
    path, offset, _size = package.location(name)
    return (lambda: open_disk(path)) if not offset else (lambda: StreamOptimizedDisk(package.open(name)))
