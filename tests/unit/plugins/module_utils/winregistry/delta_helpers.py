# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helpers of the delta tests: random changes of random hives, and dumps of the content that deltas carry."""

from __future__ import annotations

from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta import Delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_compute import flags_of
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive, Key

from .registry_helpers import names

few_names = st.sampled_from(["a", "A", "b", "c", "\u00e9", "\u00c9", "Path"])
small = st.binary(max_size=3)


@st.composite
def trees(draw, name=names, data=small, most=14) -> Hive:
    """Draw a hive without layered keys."""
    hive = Hive.new("SOFTWARE", last_written=1)
    edit(draw, hive, name, data, draw(st.integers(0, most)), deleting=False)
    return hive


@st.composite
def changed(draw, base: Hive, name=names, data=small, most=12) -> Hive:
    """Draw a changed copy of ``base``; the times of keys only grow."""
    hive = Hive(base.root.copy(), base_block=bytes(base.base_block))
    edit(draw, hive, name, data, draw(st.integers(0, most)), deleting=True)
    return hive


def edit(draw, hive: Hive, name, data, number: int, deleting: bool) -> None:
    """Make ``number`` random changes, each of which touches a key's time."""
    for _change in range(number):
        keys = [key for _path, key in hive.root.walk()]
        key = draw(st.sampled_from(keys))
        choice = draw(st.integers(0, 9))
        if choice <= 2:
            key = key.create(draw(name))
        elif choice <= 5 or not deleting:
            key.set_value(draw(st.one_of(st.just(""), name)), draw(st.integers(0, 2**32 - 1)), draw(data))
        elif choice == 6 and len(key.subkeys):
            key.delete(draw(st.sampled_from(sorted(key.subkeys))))
        elif choice == 7 and len(key.values):
            key.delete_value(draw(st.sampled_from(sorted(key.values))))
        elif choice == 8:
            key.security = draw(st.sampled_from([b"one", b"two", b"three"]))
            key.class_name = draw(st.sampled_from([None, "class"]))
        else:
            key.flags = draw(st.sampled_from([key.flags, key.flags ^ cell_layout.KEY_SYM_LINK]))
            key.control = draw(st.sampled_from([0, 0x12]))
        key.last_written += draw(st.integers(0, 5))


def content(root: Key, *, times: bool = False) -> dict:
    """Return the content of a tree that deltas carry, by path; names as spelled."""
    return {
        path: (
            key.name if path else "",
            flags_of(key),
            key.class_data,
            key.security,
            key.last_written if times else 0,
            [(value.name, value.type, value.data, value.wide) for value in key.values.values()],
        )
        for path, key in root.walk()
    }


def described(delta: Delta) -> list:
    """Return the content of a delta."""
    return [
        (
            path,
            key.action,
            key.renamed,
            key.security,
            key.class_data,
            key.flags,
            key.last_written,
            key.order,
            list(key.values.values()),
        )
        for path, key in delta.walk()
    ]
