# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random layers for hypothesis, and helpers to apply them to a volume.

All layers use few names, so that they overlap with each other and with the base in every way.
"""

from __future__ import annotations

import contextlib
import io
import random
import struct

from hypothesis import strategies as st

from ...plugins.module_utils.common import security_descriptors as descriptors
from ...plugins.module_utils.common.errors import Conflict, InvalidInput
from ...plugins.module_utils.disk.overlay import CopyOnWriteDevice
from ...plugins.module_utils.images.composing.apply import Applier
from ...plugins.module_utils.images.stack.refusals import find_refusals
from ...plugins.module_utils.images.stack.stack_merge import merge
from ...plugins.module_utils.layers.archive import ArchiveReader, ArchiveWriter
from ...plugins.module_utils.layers.entry import Entry
from ...plugins.module_utils.layers.file_index import Record
from ...plugins.module_utils.ntfs import file_security
from ...plugins.module_utils.ntfs.volume import Volume
from ..sample.tree import junction, symlink
from .tree_model import Item

_USER = descriptors.sid("S-1-5-21-1-2-3-1001")
#: The rights of "Modify".
_MODIFY = 0x001301BF
_INHERITING = descriptors.build(
    descriptors.SecurityDescriptor(
        descriptors.DACL_PRESENT | descriptors.DACL_AUTO_INHERITED,
        descriptors.SYSTEM,
        descriptors.SYSTEM,
        None,
        descriptors.Acl(
            2,
            [
                descriptors.Ace(0, descriptors.OBJECT_INHERIT | descriptors.INHERIT_ONLY, _MODIFY, _USER),
                descriptors.Ace(
                    0,
                    descriptors.CONTAINER_INHERIT | descriptors.NO_PROPAGATE,
                    file_security.READ_AND_EXECUTE,
                    descriptors.USERS,
                ),
                descriptors.Ace(
                    0,
                    descriptors.CONTAINER_INHERIT | descriptors.OBJECT_INHERIT | descriptors.INHERIT_ONLY,
                    file_security.FULL_CONTROL,
                    descriptors.CREATOR_OWNER,
                ),
                descriptors.Ace(0, descriptors.INHERITED, file_security.READ_AND_EXECUTE, descriptors.EVERYONE),
            ],
        ),
    )
)
SECURITIES = [
    file_security.default(True),
    file_security.default(True, readers=(_USER,)),
    file_security.default(False, owner=_USER),
    _INHERITING,
]

NAMES = st.one_of(
    st.sampled_from(["a", "A", "b", "c.txt"]),
    st.sampled_from(["A long name.text", "a LONG name.text", "a long nasty.text", "ALONGN~1.TEX", "Another file"]),
    st.sampled_from(
        [
            "\u00e9t\u00e9",
            "\u00c9T\u00c9",
            "\u00ff",
            "\u0178",
            "\u00df",
            "\u0131",
            "\U0001f600",
            "\ud800x",
            "x\udfff",
            "n" * 255,
            "\u4e00" * 255,
        ]
    ),
    st.sampled_from(["trailing. ", " leading", ".dots..", "con", "$Recycle", "~", "a'b{}[]^,;=+%", ".wh.real"]),
)
SHORT_NAMES = st.sampled_from([None, None, None, "ALONGN~1.TEX", "ALONGN~2.TEX", "SHORT~1", "A", "\u00c9~1"])
STREAMS = st.dictionaries(
    st.sampled_from(["Zone.Identifier", "s", "\u00fc\ud800", "l" * 255]), st.integers(0, 3), max_size=2
)
TIMES = st.one_of(st.none(), st.integers(1, 1 << 62), st.sampled_from([0, 1, 132223104000000001]))
ATTRIBUTES = st.integers(0, 63).map(
    lambda bits: sum(value for number, value in enumerate((0x1, 0x2, 0x4, 0x20, 0x2000, 0x800)) if bits >> number & 1)
)
EAS = struct.pack("<IBBH", 20, 0, 5, 6) + b"LXUID\0" + b"123456"
#: The bit of its tag means that files can be below.
CLOUD_FOLDER = struct.pack("<IHH", 0x9000601A, 12, 0) + b"cloud folder"
REPARSE = st.sampled_from(
    [symlink("a\\b", relative=True), symlink("D:\\x"), struct.pack("<IHH", 0x9000701A, 12, 0) + b"cloud file.."]
)
_SIZES = [0, 0, 1, 300, 650, 700, 750, 4096, 5000, 70_000, 300_000]


def content(kind: int, size: int) -> bytes:
    """Return ``size`` bytes of data that do (odd kinds) or do not compress."""
    if kind % 2:
        return (b"%d compressible " % kind * (size // 14 + 1))[:size]
    return random.Random(kind * 1_000_003 + size).randbytes(size)


@st.composite
def _sparse(draw, kind):
    size = draw(st.integers(1, 20)) * 30_000
    cuts = sorted(draw(st.sets(st.integers(0, size), min_size=2, max_size=6)))
    runs = [(start, end - start) for start, end in zip(cuts[::2], cuts[1::2])]
    data = bytearray(size)
    for offset, length in runs:
        data[offset : offset + length] = content(kind, length)
    return bytes(data), runs


@st.composite
def _file(draw, path, kinds):
    kind = draw(kinds)
    data, runs = content(kind, draw(st.sampled_from(_SIZES))), None
    attributes = draw(ATTRIBUTES)
    shape = draw(st.integers(0, 11))
    if shape == 0:
        data, runs = draw(_sparse(kind))
        attributes = attributes & ~0x800 | 0x200
    elif shape == 1 and draw(st.integers(0, 3)) == 0:
        data = content(kind, 5_000_000 + kind)
    reparse = draw(REPARSE) if shape == 2 else None
    if reparse is not None:
        data = data if reparse[:4] == b"\x1a\x70\x00\x90" else b""
        attributes &= ~0x800
    if attributes & 0x800 and len(data) == 4096:
        data += b"."  # dissect takes a compressed file that fills its clusters for a plain one
    entry = Entry(path, "file", attributes | (0x400 if reparse else 0), size=len(data), sparse=runs, reparse=reparse)
    return entry, data


_KINDS = st.integers(0, 9)


@st.composite
def layers(draw, kinds=_KINDS, max_size=6):
    """Return a layer as an archive contains it: each path once, folders before their content, links after their file, whiteouts anywhere."""
    items: dict[str, Item] = {}
    files: list[Entry] = []
    links: list[Item] = []
    for _number in range(draw(st.integers(0, max_size))):
        path = ""
        *above, last = draw(st.lists(NAMES, min_size=1, max_size=3))
        for name in above:
            path = f"{path}/{name}" if path else name
            key = path.lower()
            if key not in items:
                items[key] = Item(_folder(draw, path, implied=draw(st.integers(0, 3)) > 0))
            path = items[key].entry.path
            if items[key].entry.kind != "directory" or items[key].entry.reparse not in (None, CLOUD_FOLDER):
                break
        else:
            path = f"{path}/{last}" if path else last
            if path.lower() in items:
                continue
            kind = draw(st.sampled_from(["file", "file", "file", "directory", "junction", "link"]))
            if kind == "link" and files:
                # Links come last, so that a link can precede its file in the order of names.
                target = draw(st.sampled_from(files))
                links.append(Item(Entry(path, "link", 0x20, link_target=target.path)))
                items[path.lower()] = links[-1]
                target.security, target.written = target.security or SECURITIES[0], target.written or 1234567
                continue
            if kind == "file":
                entry, data = draw(_file(path, kinds))
                files.append(entry)
                item = Item(entry, data)
            else:
                item = Item(_folder(draw, path, implied=False))
                if kind == "junction":
                    item.entry.reparse, item.entry.attributes = (
                        junction("C:\\a"),
                        item.entry.attributes & ~0x800 | 0x400,
                    )
            entry = item.entry
            if kind != "directory":
                _facts(draw, entry)
            for name, number in draw(STREAMS).items():
                item.streams[name] = content(draw(kinds), (0, 10, 800, 9000)[number])
            entry.streams = [(name, len(data)) for name, data in item.streams.items()]
            items[path.lower()] = item
    result = [item for item in items.values() if item.entry.kind != "link"] + links
    whiteouts = [
        Item(Entry("/".join(path), "whiteout"))
        for path in draw(st.lists(st.lists(NAMES, min_size=1, max_size=3), max_size=3))
    ]
    return whiteouts + result if draw(st.booleans()) else result + whiteouts


def _folder(draw, path: str, implied: bool) -> Entry:
    entry = Entry(path, "directory", draw(ATTRIBUTES) | 0x10, implied=implied)
    if implied:
        entry.created = entry.written = entry.accessed = entry.changed = draw(st.integers(1, 1 << 62))
        return entry
    if draw(st.integers(0, 9)) == 0:
        entry.reparse, entry.attributes = CLOUD_FOLDER, entry.attributes & ~0x800 | 0x400
    _facts(draw, entry)
    return entry


def _facts(draw, entry: Entry) -> None:
    entry.created, entry.written, entry.accessed, entry.changed = (draw(TIMES) for _number in range(4))
    entry.security = draw(st.one_of(st.none(), st.sampled_from(SECURITIES)))
    entry.short_name = draw(SHORT_NAMES)
    rare = draw(st.integers(0, 15))
    if rare == 0:
        entry.object_id = draw(st.integers(1, 3)).to_bytes(16, "little")
    elif rare == 1 and entry.reparse is None:
        entry.eas = EAS


def packed(items: list[Item]) -> tuple[bytes, list[Record]]:
    """Return the archive of a layer and the records of its index."""
    out = io.BytesIO()
    records = []
    with ArchiveWriter(out, threads=1) as writer:
        for item in items:
            digest, digests = writer.add(
                item.entry, item.data, [(name, item.streams[name]) for name, _size in item.entry.streams]
            )
            records.append(Record(item.entry, digest, digests))
    return out.getvalue(), records


def stacked(stack: list[list[Item]], fold):
    """Return (merged tree, openers of the archives, records) of a stack."""
    done = [packed(items) for items in stack]
    tree = merge(
        [(f"layer {number}", [record.entry for record in records]) for number, (_data, records) in enumerate(done)],
        fold,
    )
    return (
        tree,
        [
            lambda number=number, data=data: ArchiveReader(io.BytesIO(data), f"layer {number}")
            for number, (data, _records) in enumerate(done)
        ],
        [records for _data, records in done],
    )


@contextlib.contextmanager
def changed(below, stack: list[list[Item]]):
    """Yield (device to which a stack was applied, result of the applier); ``below`` is (device, scratch folder).

    Checks that ``find_refusals`` predicts whether the stack is refused.
    """
    device, scratch = below
    with CopyOnWriteDevice(device, scratch) as over:
        with Volume.mount(over, writable=True) as volume:
            tree, archives, _records = stacked(stack, volume.upcase)
            predicted = find_refusals(tree, volume)
            try:
                applied = Applier(volume, tree).run(archives)
            except (Conflict, InvalidInput) as error:
                assert (error.code, error.details["layer"]) in [
                    (found.code, found.details["layer"]) for found in predicted
                ]
                raise
            assert predicted == []
        yield over, applied
