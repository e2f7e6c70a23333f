# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The specification of a sample disk, the plan of the generator, and the expected content of the disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator

MIB = 1 << 20
GIB = 1 << 30

READONLY, HIDDEN, SYSTEM, DIRECTORY, ARCHIVE = 0x01, 0x02, 0x04, 0x10, 0x20
SPARSE, REPARSE, COMPRESSED, NOT_INDEXED = 0x200, 0x400, 0x800, 0x2000

SYMLINK_TAG = 0xA000000C
MOUNT_POINT_TAG = 0xA0000003

VARIANTS = (
    "hibernated",  # hiberfil.sys with a live image
    "fast_startup",  # $LogFile of version 2.0, as a hybrid shutdown leaves it
    "dirty",  # $Volume says that chkdsk must run
    "bitlocker",  # the Windows partition is encrypted
    "no_ntfs",  # the Windows partition holds FAT
    "no_windows",  # NTFS without Windows
    "two_windows",  # two partitions with Windows
    "mbr",  # BIOS machine: MBR, System Reserved partition with bootmgr; sound
    "unprepared",  # sound, but nothing of what readiness asks for has been done
    "recovery",  # a recovery partition follows C:; sound, but C: cannot grow
)


@dataclasses.dataclass(frozen=True)
class Spec:
    """The specification of a sample disk.

    ``size``: "full" (whole wine prefix, about 700 MB in use) or "small" (a few hundred
    files, no wine). ``virtual_size``: bytes of the disk, 0 for 20 GiB or 512 MiB.
    ``ballast``: further bytes of file data. ``variants``: any of ``VARIANTS``.
    """

    size: str = "small"
    virtual_size: int = 0
    ballast: int = 0
    variants: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.size not in ("small", "full"):
            raise ValueError(f"unknown size {self.size!r}")
        unknown = set(self.variants) - set(VARIANTS)
        if unknown:
            raise ValueError(f"unknown variants {sorted(unknown)}")
        object.__setattr__(self, "variants", tuple(sorted(set(self.variants))))

    @property
    def disk_size(self) -> int:
        return self.virtual_size or (20 * GIB if self.size == "full" else 512 * MIB)


class Content:
    """Bytes of a planned file or stream: in memory, from a host file, or made chunk by chunk."""

    def __init__(self, size: int, chunks: Callable[[], Iterator[bytes]]) -> None:
        self.size = size
        self.chunks = chunks

    @classmethod
    def of(cls, data: bytes) -> Content:
        return cls(len(data), lambda: iter((data,) if data else ()))

    @classmethod
    def host(cls, path: str, size: int) -> Content:
        def read() -> Iterator[bytes]:
            with open(path, "rb") as stream:
                while chunk := stream.read(MIB):
                    yield chunk

        return cls(size, read)


@dataclasses.dataclass(slots=True)
class Item:
    """One path of the plan; ``path`` is relative to the volume's root, with "/"; "" is the root.

    Times are FILETIMEs. ``security`` None: inherited from the folder. ``link_target``: the
    path whose file this is another name of. A sparse file has no ``content`` but ``data``, its
    (offset, bytes) runs, and ``size``.
    """

    path: str
    kind: str
    attributes: int = ARCHIVE
    content: Content | None = None
    security: bytes | None = None
    short_name: str | None = None
    link_target: str | None = None
    reparse: bytes | None = None
    streams: dict[str, bytes] = dataclasses.field(default_factory=dict)
    object_id: bytes | None = None
    data: list[tuple[int, bytes]] | None = None
    size: int = 0
    eas: bytes | None = None
    created: int = 0
    written: int = 0
    accessed: int = 0
    changed: int = 0


@dataclasses.dataclass(slots=True)
class Expected:
    """One path of a finished volume. Bytes and digests are hex; links repeat their target's facts.

    ``names`` is how many names a file has, with its first; 0 for the others.
    """

    kind: str
    attributes: int
    created: int
    written: int
    accessed: int
    changed: int
    security: str
    size: int = 0
    sha256: str | None = None
    short_name: str | None = None
    link_target: str | None = None
    reparse: str | None = None
    streams: dict[str, str] = dataclasses.field(default_factory=dict)
    object_id: str | None = None
    eas: str | None = None
    names: int = 1

    def plain(self) -> dict:
        """Return the facts as a dictionary without missing facts."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value not in (None, {})}


@dataclasses.dataclass
class Manifest:
    """A finished disk: its partitions (role, offset, size) and the content of drive C by path."""

    spec: Spec
    disk_size: int
    partitions: list[dict]
    files: dict[str, Expected]
    esp: dict[str, str] = dataclasses.field(default_factory=dict)

    def partition(self, role: str = "windows") -> dict:
        """Return the partition of a role: "esp", "msr", "windows", "windows2", "recovery", "reserved"."""
        return next(partition for partition in self.partitions if partition["role"] == role)

    def to_json(self) -> str:
        return json.dumps(
            {**dataclasses.asdict(self), "files": {path: entry.plain() for path, entry in self.files.items()}},
            indent=0,
            sort_keys=True,
        )

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        document = json.loads(text)
        spec = document.pop("spec")
        spec["variants"] = tuple(spec["variants"])
        files = {path: Expected(**entry) for path, entry in document.pop("files").items()}
        return cls(spec=Spec(**spec), files=files, **document)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
