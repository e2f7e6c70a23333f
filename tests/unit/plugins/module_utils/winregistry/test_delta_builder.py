# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.winregistry import delta as deltas
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_builder import DeltaBuilder
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_format import read_delta, write_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive


def builder() -> DeltaBuilder:
    base = Hive.new("SYSTEM")
    base.root.create("ControlSet001\\Control").set_value("a", 1, b"a")
    return DeltaBuilder("SYSTEM", base, aliases={"CURRENTCONTROLSET": "ControlSet001"}, last_written=9)


def test_set_value_equal_to_base_is_recorded():
    changes = builder()
    changes.set_value("CurrentControlSet\\control", "A", 1, b"a")
    value = changes.finish().key("ControlSet001\\Control").values["A"]
    assert (value.name, value.data, value.before.data) == ("a", b"a", b"a")


def test_create_key_existing_key_is_not_recorded():
    changes = builder()
    changes.create_key("controlset001\\control")
    assert changes.finish().is_empty


def test_delete_of_missing_items_is_recorded():
    changes = builder()
    changes.delete_key("Absent\\Deep")
    changes.delete_value("Absent", "v")
    delta = changes.finish()
    assert delta.key("Absent").action == deltas.KEEP
    assert delta.key("Absent\\Deep").action == deltas.REMOVE
    assert delta.key("Absent").values["V"].is_removal
    assert delta.key("Absent").values["V"].before is None


def test_delete_within_new_key():
    changes = builder()
    changes.delete_key("ControlSet001\\Control")
    changes.set_value("ControlSet001\\Control\\x\\y", "", 1, b"")
    changes.delete_key("ControlSet001\\Control\\x")
    delta = changes.finish()
    assert [(path, key.action) for path, key in delta.walk()][2:] == [("ControlSet001\\Control", deltas.REPLACE)]


def test_delete_within_deleted_key():
    changes = builder()
    changes.delete_key("ControlSet001")
    changes.delete_key("ControlSet001\\Control")
    changes.delete_key("ControlSet001\\Absent\\Deep\\Deeper")
    changes.delete_value("ControlSet001", "v")
    changes.delete_value("ControlSet001\\Control", "a")
    delta = read_delta(write_delta(changes.finish()))
    assert [(path, key.action) for path, key in delta.walk()] == [("", deltas.KEEP), ("ControlSet001", deltas.REMOVE)]


@pytest.mark.parametrize(
    "path, name, kind",
    [("a", "n" * 16384, 1), ("a", "n", 2**32), ("a", "n", -1), ("\\".join("a" * 513), "n", 1), ("x" * 257, "n", 1)],
)
def test_builder_invalid_path_name_or_type_is_rejected(path, name, kind):
    with pytest.raises(InvalidInput) as caught:
        builder().set_value(path, name, kind, b"")
    assert caught.value.code in ("winregistry.data", "winregistry.name")


def test_set_value_spelling_follows_windows():
    changes = builder()
    changes.set_value("ControlSet001", "New", 1, b"1")
    changes.set_value("ControlSet001", "NEW", 1, b"2")
    changes.set_value("ControlSet001\\Control", "A", 1, b"1")
    changes.delete_value("ControlSet001\\Control", "A")
    delta = changes.finish()
    assert delta.key("ControlSet001").values["NEW"].name == "New"
    assert delta.key("ControlSet001\\Control").values["A"].name == "a"
    changes.set_value("ControlSet001\\Control", "A", 1, b"2")
    changes.set_value("ControlSet001\\Control", "a", 1, b"3")
    value = delta.key("ControlSet001\\Control").values["A"]
    assert (value.name, value.data, value.renamed) == ("A", b"3", True)
