# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout
from ansible_collections.strata.layering.plugins.module_utils.winregistry import delta as deltas
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_apply import apply_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_compute import compute_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_format import read_delta, write_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive

from .delta_helpers import changed, content, described, few_names, trees
from .registry_helpers import contents, real_system


def pair() -> tuple[Hive, Hive]:
    base = Hive.new("SOFTWARE", last_written=10)
    base.root.create("Vendor\\Product").set_value("Version", 1, b"1\0\0\0")
    base.root.create("Vendor\\Old\\Deep").set_value("x", 3, b"x")
    return base, Hive(base.root.copy(), base_block=bytes(base.base_block))


def test_compute_delta_names_only_changes():
    base, after = pair()
    product = after.key("Vendor\\Product")
    product.set_value("version", 1, b"2\0\0\0")
    product.last_written = 20
    after.root.create("New\\Below").set_value("", 4, b"abcd")
    after.root.delete("Vendor\\Old")
    delta = compute_delta(base, after)
    assert delta.hive == "SOFTWARE"
    assert [(path, key.action) for path, key in delta.walk()] == [
        ("", deltas.KEEP),
        ("New", deltas.CREATE),
        ("New\\Below", deltas.CREATE),
        ("Vendor", deltas.KEEP),
        ("Vendor\\Old", deltas.REMOVE),
        ("Vendor\\Product", deltas.KEEP),
    ]
    version = delta.key("vendor\\PRODUCT").values["VERSION"]
    assert (version.name, version.data, version.before.data, version.renamed) == (
        "Version",
        b"2\0\0\0",
        b"1\0\0\0",
        False,
    )
    assert delta.key("Vendor\\Product").last_written == 20
    assert delta.key("Vendor").last_written is None
    assert delta.counts() == deltas.Counts(
        keys_added=2, keys_changed=1, keys_removed=1, values_added=1, values_changed=1
    )


def test_compute_delta_time_or_access_bits_alone_are_ignored():
    base, after = pair()
    after.key("Vendor\\Product").last_written = 99
    after.key("Vendor").access = 2
    assert compute_delta(base, after).is_empty


def test_compute_delta_large_former_value_is_kept_as_digest():
    base, after = pair()
    base.key("Vendor").set_value("big", 3, bytes(70000))
    base.key("Vendor").set_value("small", 3, bytes(65536))
    delta = compute_delta(base, after)
    big, small = (delta.key("Vendor").values[name].before for name in ("BIG", "SMALL"))
    assert (big.data, big.size, len(big.digest)) == (None, 70000, 16)
    assert (small.data, small.digest) == (bytes(65536), None)
    assert big.is_same(3, bytes(70000))
    assert not big.is_same(3, bytes(69999) + b"\1")
    assert not big.is_same(4, bytes(70000))


def test_compute_delta_records_order_and_spelling():
    base, after = pair()
    key = base.key("Vendor")
    for name in "abc":
        key.set_value(name, 1, b"")
    other = after.key("Vendor")
    for name in "cAd":
        other.set_value(name, 1, b"")
    delta = compute_delta(base, after)
    assert delta.key("Vendor").order == ("c", "A", "d")
    assert delta.key("Vendor").values["A"].renamed
    apply_delta(base, delta)
    assert list(base.key("Vendor").values) == ["c", "A", "d"]


def test_compute_delta_differencing_hive_is_rejected():
    base, after = pair()
    after.key("Vendor").layer_semantics = cell_layout.LAYER_TOMBSTONE
    with pytest.raises(InvalidInput) as caught:
        compute_delta(base, after)
    assert caught.value.code == "winregistry.differencing"
    base, after = pair()
    after.key("Vendor").set_value("gone", 0, b"").tombstone = True
    with pytest.raises(InvalidInput) as caught:
        compute_delta(base, after)
    assert caught.value.code == "winregistry.differencing"
    base, after = pair()
    after.root.create("New").set_value("gone", 0, b"").tombstone = True
    with pytest.raises(InvalidInput) as caught:
        compute_delta(base, after)
    assert caught.value.code == "winregistry.differencing"


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_compute_then_apply_gives_the_changed_hive(data):
    pool = data.draw(st.sampled_from([few_names, None]))
    arguments = {} if pool is None else {"name": pool}
    base = data.draw(trees(**arguments))
    after = data.draw(changed(base, **arguments))
    before = content(base.root, times=True)
    delta = compute_delta(base, after, name="SOFTWARE")
    assert content(base.root, times=True) == before
    stored = write_delta(delta)
    again = read_delta(stored)
    assert described(again) == described(delta)
    assert write_delta(again) == stored
    apply_delta(base, again)
    touched = content(after.root, times=True)
    assert content(base.root) == content(after.root)
    result = content(base.root, times=True)
    assert all(
        result[path][4] == touched[path][4]
        for path, key in delta.walk()
        if path in result and (key.last_written is not None)
    )
    assert compute_delta(base, after).is_empty


@given(st.data())
@settings(max_examples=20, deadline=None)
def test_compute_then_apply_unrelated_hives_through_files(data):
    base, after = data.draw(trees(data=contents, most=8)), data.draw(trees(data=contents, most=8))
    base, after = (read_hive(write_hive(hive)) for hive in (base, after))
    delta = read_delta(write_delta(compute_delta(base, after)))
    apply_delta(base, delta)
    assert content(read_hive(write_hive(base)).root) == content(after.root)


def test_the_real_hive():
    base, after = read_hive(real_system()), read_hive(real_system())
    assert compute_delta(base, after).is_empty
    services = after.key("ControlSet001\\Services")
    services.create("Sample").set_value("Start", 4, b"\2\0\0\0")
    services.delete("VMTools")
    after.key("ControlSet001\\Control\\Session Manager\\Environment").set_value("Path", 2, b"C\0\0\0")
    delta = compute_delta(base, after)
    assert delta.counts() == deltas.Counts(
        keys_added=1, keys_changed=1, keys_removed=1, values_added=1, values_changed=1
    )
    apply_delta(base, read_delta(write_delta(delta)))
    assert compute_delta(base, after).is_empty
