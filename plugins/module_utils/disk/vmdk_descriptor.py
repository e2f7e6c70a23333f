# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VMDK descriptors: the text with the type of a disk and its extents.

Source: VMware, "Virtual Disk Format 5.0", section "The Descriptor File".
"""

from __future__ import annotations

import dataclasses
import re

from ..common.errors import Unsupported
from .grains import MAX_CAPACITY
from .vmdk_layout import SECTOR, damaged

#: A descriptor longer than this is not one.
MAX_DESCRIPTOR = 1 << 20
MAX_EXTENTS = 4096
NO_PARENT = "ffffffff"

_EXTENT = re.compile(r'(RW|RDONLY|NOACCESS)\s+(\d{1,18})\s+([A-Z]+)(?:\s+"([^"]*)"(?:\s+(\d{1,18}))?)?(?:\s.*)?\Z')
_NAME = re.compile(r"[A-Za-z0-9_.]+")


@dataclasses.dataclass(slots=True)
class Extent:
    """A part of a disk: ``size`` and ``offset`` (in its file) in bytes; ``kind`` is FLAT, VMFS, ZERO, SPARSE…"""

    access: str
    size: int
    kind: str
    file: str
    offset: int


@dataclasses.dataclass(slots=True)
class Descriptor:
    """A descriptor's ``create_type``, its extents in order, and its other settings by lower-case name."""

    create_type: str
    extents: list[Extent]
    settings: dict[str, str]

    @property
    def size(self) -> int:
        """The disk's size in bytes."""
        return sum(extent.size for extent in self.extents)


def is_descriptor(data: bytes) -> bool:
    """Return whether a file whose first 512 bytes or more are ``data`` is a descriptor."""
    return data.lstrip(b"\xef\xbb\xbf\r\n\t ")[:21].lower().startswith(b"# disk descriptorfile")


def parse_descriptor(data: bytes, name: str) -> Descriptor:
    """Read a descriptor.

    Raises Corrupt ``disk.vmdk_corrupt`` for impossible numbers, Unsupported
    ``disk.vmdk_has_parent`` for a disk that needs a parent (a snapshot or linked clone).
    """
    if len(data) > MAX_DESCRIPTOR:
        raise damaged(name, "its descriptor is longer than 1 MiB")
    text = data.split(b"\0", 1)[0].decode("utf-8", errors="replace")
    settings: dict[str, str] = {}
    extents: list[Extent] = []
    size = 0
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _EXTENT.match(line)
        if match:
            access, sectors, kind, file, offset = match.groups()
            extent = Extent(access, int(sectors) * SECTOR, kind, file or "", int(offset or 0) * SECTOR)
            size += extent.size
            if size > MAX_CAPACITY or extent.offset > MAX_CAPACITY or len(extents) >= MAX_EXTENTS:
                raise damaged(name, "its descriptor lists more extents or bytes than a disk can have")
            extents.append(extent)
            continue
        # Not a regular expression: its time would grow with the square of the length of a line of spaces.
        name_of, separator, value = (part.strip() for part in line.partition("="))
        value = value.removeprefix('"').removesuffix('"')
        if separator and _NAME.fullmatch(name_of) and '"' not in value:
            settings.setdefault(name_of.lower(), value.strip())
    create_type = settings.get("createtype", "")
    if settings.get("parentcid", NO_PARENT).lower() != NO_PARENT or "parentfilenamehint" in settings:
        raise Unsupported(
            f"{name} is a snapshot or linked clone that needs its parent disk.",
            code="disk.vmdk_has_parent",
            hint="Consolidate the snapshots of the VM and export it again.",
        )
    return Descriptor(create_type, extents, settings)
