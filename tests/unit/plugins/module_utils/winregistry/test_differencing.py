# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import io
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout
from ansible_collections.strata.layering.plugins.module_utils.winregistry import delta as deltas
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_apply import apply_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_compute import compute_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.differencing import (
    delta_from_differencing,
    merge_differencing,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive, Key
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.tests.support.differencing_hives import differencing_from_delta
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors

from .delta_helpers import changed, content, few_names, trees

MERGE, TOMBSTONE, LOCAL, TREE = (
    cell_layout.LAYER_MERGE,
    cell_layout.LAYER_TOMBSTONE,
    cell_layout.LAYER_SUPERSEDE_LOCAL,
    cell_layout.LAYER_SUPERSEDE_TREE,
)


def copy(hive: Hive) -> Hive:
    return Hive(hive.root.copy(), base_block=bytes(hive.base_block))


def parent_hive() -> Hive:
    hive = Hive.new("SYSTEM", last_written=100)
    for name in ("merge", "gone", "local", "tree"):
        key = hive.root.create(name)
        key.class_name = "of the parent"
        key.set_value("old", 1, b"old")
        key.set_value("both", 1, b"old")
        key.create("below").set_value("deep", 1, b"deep")
    return hive


def layered_hive() -> Hive:
    hive = Hive.new("System_Delta", minor=6, last_written=50)
    hive.flags = 2
    for name, semantics in (
        ("merge", MERGE),
        ("gone", TOMBSTONE),
        ("local", LOCAL),
        ("tree", TREE),
        ("new", TREE),
        ("absent", TOMBSTONE),
    ):
        key = hive.root.create(name)
        key.security = b"security of the layer"
        key.layer_semantics = semantics
        if semantics != TOMBSTONE:
            key.set_value("BOTH", 1, b"new")
    hive.key("merge").set_value("old", 0, b"").tombstone = True
    hive.key("merge").inherit_class = True
    hive.key("merge").last_written = 200
    hive.key("tree").create("other").layer_semantics = TREE
    return read_hive(write_hive(hive))


def test_merge_differencing_layer_semantics():
    hive = parent_hive()
    merge_differencing(hive, layered_hive())
    assert {path: [(value.name, value.data) for value in key.values.values()] for path, key in hive.root.walk()} == {
        "": [],
        "merge": [("BOTH", b"new")],
        "merge\\below": [("deep", b"deep")],
        "local": [("BOTH", b"new")],
        "local\\below": [("deep", b"deep")],
        "tree": [("BOTH", b"new")],
        "tree\\other": [],
        "new": [("BOTH", b"new")],
    }
    assert [hive.key(name).class_name for name in ("merge", "local", "tree")] == ["of the parent", None, None]
    assert [hive.key(name).last_written for name in ("merge", "local", "tree")] == [200, 100, 50]
    assert {hive.key(name).security for name in ("merge", "local", "tree", "new")} == {b"security of the layer"}
    assert not any(key.layer_semantics or key.inherit_class for _path, key in hive.root.walk())


def test_delta_from_differencing_has_the_effect_of_the_hive():
    hive = parent_hive()
    delta = delta_from_differencing(hive, layered_hive(), name="SYSTEM")
    assert content(hive.root) == content(parent_hive().root)
    assert {path: key.action for path, key in delta.walk() if "\\" not in path} == {
        "": deltas.KEEP,
        "gone": deltas.REMOVE,
        "local": deltas.KEEP,
        "merge": deltas.KEEP,
        "new": deltas.CREATE,
        "tree": deltas.REPLACE,
    }
    assert delta.key("merge").values["OLD"].before.data == b"old"
    other = parent_hive()
    other.key("tree").set_value("from another layer", 1, b"")
    apply_delta(other, delta)
    merge_differencing(hive, layered_hive())
    assert content(other.root, times=True) == content(hive.root, times=True)


def test_differencing_hive_written_form():
    base = parent_hive()
    after = copy(base)
    after.root.delete("gone")
    after.key("merge").delete_value("old")
    after.root.create("new\\below")
    data = write_hive(differencing_from_delta(base, compute_delta(base, after), name="System_Delta"))
    assert struct.unpack_from("<I", data, 24) == (6,)
    assert struct.unpack_from("<I", data, 144) == (2,)
    layered = read_hive(data)
    assert {path: key.access >> 8 for path, key in layered.root.walk()} == {
        "": 0,
        "gone": 1,
        "merge": 0x80,
        "new": 3,
        "new\\below": 3,
    }
    assert not layered.key("gone").values
    assert not layered.key("gone").class_data
    value = layered.key("merge").value("old")
    at = data.index(b"vk")
    assert value.tombstone
    assert struct.unpack_from("<IIIH", data, at + 4) == (0, 0xFFFFFFFF, 0, 3)
    assert layered.key("merge").security == base.key("merge").security


def test_merge_differencing_other_hive_is_rejected():
    hive = parent_hive()
    with pytest.raises(InvalidInput) as caught:
        merge_differencing(hive, parent_hive())
    assert caught.value.code == "winregistry.differencing"


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_delta_through_a_differencing_hive_is_equal(data):
    base = data.draw(trees(name=few_names))
    after = data.draw(changed(base, name=few_names))
    delta = compute_delta(base, after, name="SOFTWARE")
    layered = read_hive(write_hive(differencing_from_delta(base, delta)))
    again = delta_from_differencing(base, layered, name="SOFTWARE")
    shown = copy(base)
    merge_differencing(shown, layered)
    applied = copy(base)
    apply_delta(applied, again)
    for hive in (shown, applied):
        assert unordered(hive.root) == unordered(after.root)


def unordered(root: Key) -> dict:
    """Return the content without the order of values, which a differencing hive does not record."""
    return {path: (*rest, sorted(values)) for path, (*rest, values) in content(root).items()}


def test_differencing_mutated_hive_raises_only_our_errors():
    random_numbers = random.Random(7)
    sound = write_hive(
        differencing_from_delta(parent_hive(), delta_from_differencing(parent_hive(), layered_hive(), name="SYSTEM"))
    )
    read = 0
    for _round in range(400):
        data = bytearray(sound)
        for _byte in range(random_numbers.randint(1, 4)):
            data[random_numbers.randrange(4096, len(data))] = random_numbers.choice(
                [0, 1, 2, 3, 0x80, 0xFF, random_numbers.randrange(256)]
            )
        with only_our_errors():
            layered = read_hive(bytes(data))
            hive = parent_hive()
            apply_delta(hive, delta_from_differencing(hive, layered, name="SYSTEM"))
            read += 1
    assert read


def test_differencing_hive_is_read_by_dissect():
    regf = pytest.importorskip("dissect.regf.regf")
    base = parent_hive()
    after = copy(base)
    after.root.delete("gone")
    after.key("merge").delete_value("old")
    after.root.create("new\\below").set_value("x", 3, bytes(20000))
    hive = regf.RegistryHive(io.BytesIO(write_hive(differencing_from_delta(base, compute_delta(base, after)))))
    root = hive.root()
    assert sorted(key.name for key in root.subkeys()) == ["gone", "merge", "new"]
    assert [value.name for value in root.subkey("merge").values()] == ["old"]
    assert root.subkey("new").subkey("below").value("x").value == bytes(20000)


def stored_with_layer_bits(minor: int, flags: int) -> Hive:
    """Return a hive, written and read again, whose key nodes and value have the bits of layered keys."""
    hive = Hive.new("SYSTEM", minor=minor)
    hive.flags = flags
    key = hive.root.create("Key")
    key.access = 0x8303
    key.set_value("v", 4, bytes(4)).tombstone = True
    key.create("Below")
    return read_hive(write_hive(hive))


@pytest.mark.parametrize(
    "minor, flags, counts", [(3, 0, False), (5, 0, False), (5, 1, False), (6, 0, True), (5, 2, True)]
)
def test_bits_of_layered_keys_count_only_in_a_differencing_hive(minor, flags, counts):
    hive = stored_with_layer_bits(minor, flags)
    key = hive.key("Key")
    assert hive.is_differencing == counts
    assert (key.layer_semantics, key.inherit_class, key.value("v").tombstone) == (
        (3, True, True) if counts else (0, False, False)
    )
    plain = Hive.new("SYSTEM")
    if counts:
        with pytest.raises(InvalidInput) as caught:
            compute_delta(plain, hive, name="SYSTEM")
        assert caught.value.code == "winregistry.differencing"
        merge_differencing(plain, hive)
        assert list(plain.key("Key").values) == []
        return
    delta = compute_delta(plain, hive, name="SYSTEM")
    assert list(delta.key("Key").values) == ["V"]
    assert delta.key("Key\\Below").action == deltas.CREATE
    with pytest.raises(InvalidInput) as caught:
        merge_differencing(plain, hive)
    assert caught.value.code == "winregistry.differencing"
    assert compute_delta(hive, stored_with_layer_bits(minor, flags)).is_empty
