# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random changes of a volume, compared with a model of the tree and read back with dissect.ntfs."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs import attribute_records
from ansible_collections.strata.layering.plugins.module_utils.ntfs.times import Times
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.ntfs_images import Independent, verify_volume

NAMES = [
    "a",
    "B",
    "b",
    "Some longer name.text",
    "SOME LONGER NAME.TEXT",
    "\u00e4\u00d6",
    "\u00c4\u00f6",
    "x" * 200,
    "file.txt",
    "nul",
    "caf\u00e9 \U0001f600",
]
SHORT = [None, None, "SOMELO~1.TEX", "A", "FILE.TXT", "OTHER~1"]
REPARSE = struct.pack("<IHH", 0x9000701A, 8, 0) + b"cloudy!!"


class Model:
    """Apply steps to the volume and to plain dictionaries: directories {folded name: entry}."""

    def __init__(self, volume, make_descriptor):
        self.volume = volume
        self.descriptor = make_descriptor
        self.top = {"directory": {}, "names": {}}
        self.counter = 0

    def times(self):
        self.counter += 10
        return Times(*(132000000000000000 + self.counter + number for number in range(4)))

    def find(self, path):
        entry = self.top
        for part in path:
            entry = self.entry(entry, part) if entry and entry.get("directory") is not None else None
        return entry

    def entry(self, directory, name):
        """Return the entry with this long or 8.3 name."""
        folded = self.volume.upcase(name)
        return directory["directory"].get(self.volume.upcase(directory["names"].get(folded, name)))

    def taken(self, directory, name):
        folded = self.volume.upcase(name)
        return folded in directory["directory"] or folded in directory["names"]

    def add(self, path, name, entry, short):
        parent = self.find(path)
        entry["name"], entry["short"] = name, short
        parent["directory"][self.volume.upcase(name)] = entry
        if short is not None and self.volume.upcase(short) != self.volume.upcase(name):
            parent["names"][self.volume.upcase(short)] = name

    def step(self, kind, path, name, short, size, extra):
        parent = self.find(path)
        node = self.volume.find("/".join(path))
        if parent is None or parent.get("directory") is None:
            assert node is None or not node.is_directory
            if node:
                node.close()
            return
        with node:
            getattr(self, kind)(node, parent, path, name, short, size, extra)

    def make(self, node, parent, path, name, short, size, extra):
        times, security = self.times(), self.descriptor(size % 7)
        taken = self.taken(parent, name) or (
            short is not None and self.volume.upcase(short) != self.volume.upcase(name) and self.taken(parent, short)
        )
        try:
            if extra & 1:
                made = node.create_directory(name, times=times, security=security, short_name=short)
                entry = {"directory": {}, "names": {}, "times": times, "security": security, "attributes": 0}
            else:
                attributes = attribute_records.HIDDEN if extra & 2 else attribute_records.ARCHIVE
                attributes |= attribute_records.COMPRESSED if extra & 4 else 0
                data = bytes([size % 256]) * size
                made = node.create_file(
                    name, data, times=times, security=security, short_name=short, attributes=attributes
                )
                entry = {
                    "data": data,
                    "times": times,
                    "security": security,
                    "attributes": attributes,
                    "streams": {},
                    "links": 1,
                }
        except Conflict:
            assert taken
            return
        assert not taken
        made.close()
        self.add(path, name, entry, short)

    def write(self, node, parent, path, name, short, size, extra):
        entry = self.entry(parent, name)
        if entry is None or "data" not in entry:
            return
        data = bytes([extra % 256]) * (size // 3)
        offset = (extra * 777) % 20000 if extra & 8 else 0
        with node.child(name) as child:
            if extra & 1:
                child.write(data, offset, f"stream{extra % 3}")
                old = entry["streams"].get(f"stream{extra % 3}", b"")
                entry["streams"][f"stream{extra % 3}"] = self.patched(old, data, offset)
            else:
                child.write(data, offset)
                entry["data"] = self.patched(entry["data"], data, offset)

    @staticmethod
    def patched(old, data, offset):
        return old if not data else old[:offset].ljust(offset, b"\0") + data + old[offset + len(data) :]

    def metadata(self, node, parent, path, name, short, size, extra):
        entry = self.entry(parent, name)
        if entry is None:
            return
        with node.child(name) as child:
            entry["times"] = self.times()
            child.set_times(entry["times"])
            if extra & 1:
                entry["security"] = self.descriptor(size)
                child.set_security(entry["security"])
            if extra & 2 and "data" in entry:
                child.set_reparse(REPARSE if extra & 4 else None)
                entry["reparse"] = REPARSE if extra & 4 else None

    def delete(self, node, parent, path, name, short, size, extra):
        folded = self.volume.upcase(name)
        child = node.child(name)
        if child is None:
            assert not self.taken(parent, name)
            return
        long_name = parent["names"].get(folded, name)
        entry = parent["directory"].pop(self.volume.upcase(long_name))
        parent["names"] = {
            key: value
            for key, value in parent["names"].items()
            if self.volume.upcase(value) != self.volume.upcase(entry["name"])
        }
        child.delete()

    def link(self, node, parent, path, name, short, size, extra):
        entry = self.entry(self.top, name)
        target = f"link {size}"
        if entry is None or "data" not in entry:
            return
        with self.volume.find(name) as child:
            try:
                node.link(child, target).close()
            except Conflict:
                assert self.taken(parent, target)
                return
        assert not self.taken(parent, target)
        # Two names share the content: the entries differ only in the name.
        alias = Alias(entry)
        self.add(path, target, alias, None)


class Alias(dict):
    """Another name of an entry."""

    def __init__(self, entry):
        super().__init__()
        self.entry = entry.entry if isinstance(entry, Alias) else entry

    def __missing__(self, key):
        return self.entry[key]

    def __contains__(self, key):
        return super().__contains__(key) or key in self.entry

    def get(self, key, default=None):
        return self[key] if key in self else default

    def __setitem__(self, key, value):
        if key in ("name", "short"):
            super().__setitem__(key, value)
        else:
            self.entry[key] = value


STEP = st.tuples(
    st.sampled_from(["make", "make", "make", "write", "metadata", "delete", "link"]),
    st.lists(st.sampled_from(NAMES[:4]), max_size=2),
    st.sampled_from(NAMES),
    st.sampled_from(SHORT),
    st.one_of(st.integers(0, 1200), st.integers(0, 70000)),
    st.integers(0, 63),
)


def compare(volume, model, prefix=""):
    for entry in model["directory"].values():
        path = prefix + entry["name"]
        assert volume.times(path) == entry["times"], path
        assert volume.security(path) == entry["security"], path
        if "data" in entry:
            assert volume.data(path) == entry["data"], path
            for stream, data in entry["streams"].items():
                assert volume.data(path, stream) == data, (path, stream)
            if entry.get("reparse"):
                assert volume.value(path, 0xC0) == REPARSE
            else:
                assert 0xC0 not in volume.record(path).attributes
        else:
            compare(volume, entry, path + "/")


def paths(model, prefix=""):
    for entry in model["directory"].values():
        yield prefix + entry["name"]
        if entry.get("directory") is not None:
            yield from paths(entry, prefix + entry["name"] + "/")


@settings(max_examples=25, deadline=None)
@given(st.lists(STEP, min_size=5, max_size=60), st.integers(0, 60))
def test_random_changes_match_the_model(tmp_path_factory, blank, descriptor, steps, pause):
    path = blank(tmp_path_factory.mktemp("model") / "image", 32)
    with FileDevice(str(path), writable=True) as device:
        with Volume.mount(device, writable=True) as volume:
            model = Model(volume, descriptor)
            for step in steps[:pause]:
                model.step(*step)
        with Volume.mount(device, writable=True) as volume:
            model.volume = volume
            for step in steps[pause:]:
                model.step(*step)
    verify_volume(path)
    reader = Independent(path)
    try:
        assert sorted(reader.tree()) == sorted(paths(model.top))
        compare(reader, model.top)
    finally:
        reader.close()
        path.unlink()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=12), st.booleans())
def test_any_name_is_stored_or_rejected(tmp_path_factory, blank, name, trailing):
    path = blank(tmp_path_factory.mktemp("names") / "image", 8)
    with FileDevice(str(path), writable=True) as device:
        with Volume.mount(device, writable=True) as volume, volume.root as root:
            try:
                root.create_file(name, allow_trailing=trailing).close()
                kept = True
            except (InvalidInput, Conflict):
                kept = False
        with Volume.mount(device) as volume, volume.root as root:
            assert [child.name for child in root.children()] == ([name] if kept else [])
            if kept:
                with root.child(volume.upcase(name)) as node:
                    assert node.name == name
    path.unlink()
