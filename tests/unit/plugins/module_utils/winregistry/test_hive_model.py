# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InternalError
from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout, key_security
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive, Key
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.tests.support.registry_data import hive_content


@pytest.fixture
def hive() -> Hive:
    return Hive.new("SYSTEM", last_written=5)


def test_create_existing_key_is_found_in_any_case(hive):
    created = hive.root.create("ControlSet001\\Control\\ProductOptions")
    assert hive.root.create("CONTROLSET001\\control\\productoptions") is created
    assert hive.key("controlset001\\Control\\PRODUCTOPTIONS") is created
    assert [path for path, _key in hive.root.walk()] == [
        "",
        "ControlSet001",
        "ControlSet001\\Control",
        "ControlSet001\\Control\\ProductOptions",
    ]
    assert hive.key("ControlSet001\\Nowhere") is None
    assert hive.key("") is hive.root
    assert created.last_written == 5


def test_add_key_that_differs_only_in_case_is_rejected(hive):
    hive.root.create("\u00e9t\u00e9")
    with pytest.raises(InternalError) as caught:
        hive.root.add(Key("\u00c9T\u00c9"))
    assert caught.value.code == "winregistry.exists"


@pytest.mark.parametrize("name", ["", "a\\b", "x" * 257, "\U0001f600" * 128 + "x"])
def test_add_invalid_key_name_is_rejected(hive, name):
    with pytest.raises(InternalError) as caught:
        hive.root.add(Key(name))
    assert caught.value.code == "winregistry.name"


def test_set_value_existing_value_keeps_position_and_spelling(hive):
    key = hive.root
    for name in ("Path", "", "Other"):
        key.set_value(name, 1, b"")
    key.set_value("PATH", 2, b"x")
    assert list(key.values) == ["Path", "", "Other"]
    assert key.value("path").type == 2
    assert key.values["pAth"].data == b"x"
    assert key.value("") is not None
    key.delete_value("path")
    assert list(key.values) == ["", "Other"]
    assert "Path" not in key.values
    with pytest.raises(InternalError) as caught:
        key.delete_value("Path")
    assert caught.value.code == "winregistry.no_value"


@pytest.mark.parametrize("name, kind", [("x" * 16384, 1), ("x", -1), ("x", 1 << 32)])
def test_set_value_invalid_name_or_type_is_rejected(hive, name, kind):
    with pytest.raises(InternalError) as caught:
        hive.root.set_value(name, kind, b"")
    assert caught.value.code in ("winregistry.name", "winregistry.type")


def test_delete_key_deletes_its_subtree(hive):
    hive.root.create("a\\b\\c")
    hive.root.delete("A\\B")
    assert [path for path, _key in hive.root.walk()] == ["", "a"]
    with pytest.raises(InternalError) as caught:
        hive.root.delete("a\\b")
    assert caught.value.code == "winregistry.no_key"
    with pytest.raises(InternalError):
        hive.root.delete("x\\b")


def test_layer_bits_positions():
    key = Key("x")
    key.access = 3
    key.layer_semantics, key.inherit_class = cell_layout.LAYER_SUPERSEDE_TREE, True
    assert key.access == 0x8303
    assert key.layer_semantics == 3
    assert key.inherit_class
    key.layer_semantics, key.inherit_class = cell_layout.LAYER_TOMBSTONE, False
    assert key.access == 0x0103


def test_base_block_fields(hive):
    hive.name = "\\SystemRoot\\System32\\Config\\SOFTWARE.that.is.longer"
    assert hive.name == "\\SystemRoot\\System32\\Config\\SOFTWARE.that.is.longer"[-31:]
    hive.minor, hive.flags = 6, 2
    assert (hive.minor, hive.flags, hive.last_written) == (6, 2, 5)
    with pytest.raises(InternalError) as caught:
        hive.minor = 2
    assert caught.value.code == "winregistry.version"
    assert (
        hive.root.flags & (cell_layout.KEY_HIVE_ENTRY | cell_layout.KEY_NO_DELETE)
        == cell_layout.KEY_HIVE_ENTRY | cell_layout.KEY_NO_DELETE
    )


def test_create_new_key_inherits_its_descriptor(hive):
    created = hive.root.create("a\\b")
    assert created.security == hive.root.key("a").security != key_security.DEFAULT


def test_copy_shares_no_mutable_state():
    hive = read_hive(write_hive(sample_tree()))
    copied = hive.root.copy()
    assert hive_content(copied) == hive_content(hive.root)
    copied.key("a").set_value("x", 1, b"other")
    copied.key("a").create("new")
    copied.delete("b")
    assert hive.key("a").value("x").data == b"x"
    assert hive.key("b") is not None
    assert hive.key("a\\new") is None
    decoded = hive.root.copy()
    decoded.key("a").value("x").data = b"changed"
    assert hive.key("a").value("x").data == b"x"


def sample_tree() -> Hive:
    hive = Hive.new("sample")
    hive.root.create("a").set_value("x", 1, b"x")
    hive.root.create("b")
    return hive


def test_order_values_moves_only_named_values():
    key = Key("k")
    for name in ("a", "b", "c", "d"):
        key.set_value(name, 1, name.encode())
    key.order_values(["D", "b", "none", "a", "b"])
    assert [(value.name, value.data) for value in key.values.values()] == [
        ("d", b"d"),
        ("b", b"b"),
        ("c", b"c"),
        ("a", b"a"),
    ]
    assert list(key.values) == ["d", "b", "c", "a"]
