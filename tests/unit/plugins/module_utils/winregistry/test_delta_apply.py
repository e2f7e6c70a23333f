# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout
from ansible_collections.strata.layering.plugins.module_utils.winregistry import delta as deltas
from ansible_collections.strata.layering.plugins.module_utils.winregistry import key_security as descriptors
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta import (
    Before,
    Delta,
    KeyDelta,
    ValueDelta,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_apply import Applied, apply_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive


def delta(path: str, action: int, *values: ValueDelta) -> Delta:
    """Return a delta that changes one key; the keys above it are kept."""
    result = Delta("SOFTWARE")
    node = result.root
    names = path.split("\\")
    for name in names:
        node.subkeys[name.upper()] = below = KeyDelta(name, deltas.KEEP if name is not names[-1] else action)
        node = below
    node.values = {value.name.upper(): value for value in values}
    return result


def hive() -> Hive:
    result = Hive.new("SOFTWARE", last_written=5)
    result.root.create("Vendor\\Product").set_value("a", 1, b"a")
    return result


def test_apply_missing_key_is_created_only_if_something_is_set():
    target = hive()
    applied = apply_delta(
        target, delta("Other\\Deep", deltas.KEEP, ValueDelta("gone", 0, None, Before(1, 0, b"", None)))
    )
    assert applied == Applied(missing=["Other"])
    assert target.key("Other") is None
    applied = apply_delta(target, delta("Other\\Deep", deltas.KEEP, ValueDelta("new", 1, b"n")))
    assert (applied.keys_created, applied.values_set, applied.missing) == (2, 1, ["Other", "Other\\Deep"])
    key = target.key("other\\deep")
    assert key.security == descriptors.inherit(descriptors.inherit(target.root.security))
    assert key.last_written == 5
    applied = apply_delta(target, delta("Never", deltas.REMOVE))
    assert applied == Applied(missing=["Never"])


def test_apply_create_of_existing_key_keeps_its_content():
    target = hive()
    change = delta("vendor\\PRODUCT", deltas.CREATE, ValueDelta("A", 1, b"new"), ValueDelta("b", 1, b"b"))
    change.key("vendor\\product").security = b"sd"
    applied = apply_delta(target, change)
    key = target.key("Vendor\\Product")
    assert (key.name, key.security, [(value.name, value.data) for value in key.values.values()]) == (
        "Product",
        b"sd",
        [("a", b"new"), ("b", b"b")],
    )
    assert (applied.keys_created, applied.keys_changed, applied.missing) == (0, 1, [])


def test_apply_replace_removes_former_content():
    target = hive()
    target.key("Vendor").set_value("x", 1, b"")
    applied = apply_delta(target, delta("VENDOR", deltas.REPLACE, ValueDelta("y", 1, b"")))
    assert (target.key("Vendor").name, list(target.key("Vendor").values), len(target.key("Vendor").subkeys)) == (
        "VENDOR",
        ["y"],
        0,
    )
    assert (applied.keys_removed, applied.keys_created) == (1, 1)


def test_apply_position_flags_do_not_change():
    target = hive()
    change = Delta("SOFTWARE")
    change.root.flags = (cell_layout.KEY_COMP_NAME | cell_layout.KEY_SYM_LINK, 0x12, 0)
    apply_delta(target, change)
    assert target.root.flags == cell_layout.KEY_HIVE_ENTRY | cell_layout.KEY_COMP_NAME | cell_layout.KEY_SYM_LINK
    assert target.root.control == 0x12


def test_apply_spelling_changes_only_if_renamed():
    target = hive()
    apply_delta(target, delta("Vendor\\Product", deltas.KEEP, ValueDelta("A", 1, b"b", Before(1, 1, b"a", None))))
    assert list(target.key("Vendor\\Product").values) == ["a"]
    apply_delta(
        target,
        delta(
            "Vendor\\Product", deltas.KEEP, ValueDelta("A", 1, b"b", Before(1, 1, b"b", None), renamed=True, wide=True)
        ),
    )
    value = target.key("Vendor\\Product").value("a")
    assert (value.name, value.wide) == ("A", True)
