# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InternalError
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta import (
    REMOVE,
    Before,
    Delta,
    KeyDelta,
    ValueDelta,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_apply import apply_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_builder import DeltaBuilder
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_compute import compute_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_format import read_delta, write_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_merge import (
    combine_deltas,
    merge_deltas,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.merge_rules import compile_rules
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    REG_BINARY,
    REG_DWORD,
    REG_EXPAND_SZ,
    REG_MULTI_SZ,
    REG_SZ,
    decode_multi_string,
    decode_string,
    encode_multi_string,
    encode_string,
)
from ansible_collections.strata.layering.tests.support.registry_data import encode_dword

from .delta_helpers import changed, few_names, trees

RULES = compile_rules()
NO_RULES = compile_rules(builtin=())
ENVIRONMENT = "ControlSet001\\Control\\Session Manager\\Environment"
FILTERS = "ControlSet001\\Control\\Class\\{4d36e967-e325-11ce-bfc1-08002be10318}"


def copy(hive: Hive) -> Hive:
    return Hive(hive.root.copy(), base_block=bytes(hive.base_block))


def base_hive() -> Hive:
    hive = Hive.new("SYSTEM", last_written=10)
    hive.root.create(ENVIRONMENT).set_value("Path", REG_EXPAND_SZ, encode_string("%SystemRoot%\\system32;%SystemRoot%"))
    hive.root.create(FILTERS).set_value("UpperFilters", REG_MULTI_SZ, encode_multi_string(["PartMgr"]))
    hive.root.create("ControlSet001\\Services\\Spooler").set_value("Start", REG_DWORD, encode_dword(2))
    return hive


def layer(base: Hive, *changes) -> object:
    """Return the delta of changes: (path, name, type, data), (path, name) a removed value, (path,) a removed key."""
    hive = copy(base)
    for change in changes:
        if len(change) == 1:
            hive.root.delete(change[0])
        elif len(change) == 2:
            hive.key(change[0]).delete_value(change[1])
        else:
            path, name, kind, data = change
            hive.root.create(path).set_value(name, kind, data)
    return read_delta(write_delta(compute_delta(base, hive, name=base.name)))


def found(merged) -> list:
    return [
        (finding.key, finding.value, finding.outcome, finding.layers, finding.overruled) for finding in merged.findings
    ]


def test_merge_lists_are_joined_and_single_changes_stay_verbatim():
    base = base_hive()
    front = layer(
        base, (ENVIRONMENT, "PATH", REG_SZ, encode_string("C:\\Anaconda;%SystemRoot%\\system32;%SystemRoot%"))
    )
    back = layer(
        base,
        (ENVIRONMENT, "Path", REG_EXPAND_SZ, encode_string("%SystemRoot%\\system32;%SystemRoot%;C:\\Tools;")),
        (FILTERS, "UpperFilters", REG_MULTI_SZ, encode_multi_string(["PartMgr", "snap"])),
    )
    merged = merge_deltas(base, [("front", front), ("back", back)], RULES)
    value = base.key(ENVIRONMENT).value("Path")
    assert (value.name, value.type, decode_string(value)) == (
        "Path",
        REG_EXPAND_SZ,
        "C:\\Anaconda;%SystemRoot%\\system32;%SystemRoot%;C:\\Tools",
    )
    assert decode_multi_string(base.key(FILTERS).value("upperfilters")) == ["PartMgr", "snap"]
    assert found(merged) == [(ENVIRONMENT, "Path", "merged", ("front", "back"), ())]
    assert merged.conflicts == []
    assert merged.origin(ENVIRONMENT, "path") == ("front", "back")
    assert merged.origin(FILTERS, "UpperFilters") == ("back",)
    assert merged.origin("ControlSet001\\Services\\Spooler", "Start") == ()
    assert merged.applied.values_set == 2


def test_merge_same_value_last_layer_wins_and_is_reported():
    base = base_hive()
    spooler = "ControlSet001\\Services\\Spooler"
    layers = [
        (label, layer(base, (spooler, "Start", REG_DWORD, encode_dword(number))))
        for label, number in (("a", 3), ("b", 4), ("c", 3))
    ]
    merged = combine_deltas(layers, RULES)
    assert found(merged) == [(spooler, "Start", "overruled", ("a", "c"), ("b",))]
    assert json.loads(json.dumps(merged.findings[0].as_dict())) == {
        "hive": "SYSTEM",
        "key": spooler,
        "value": "Start",
        "outcome": "overruled",
        "layers": ["a", "c"],
        "overruled": ["b"],
    }
    assert merged.delta.key(spooler).values["START"].before.data == encode_dword(2)
    assert combine_deltas(layers[::2], RULES).findings == []


def test_merge_counters_are_summed_even_if_layers_agree():
    base = Hive.new("SOFTWARE")
    key = "Microsoft\\Windows\\CurrentVersion\\SharedDLLs"
    base.root.create(key).set_value("C:\\old.dll", REG_DWORD, encode_dword(2))
    first_delta = layer(
        base, (key, "C:\\new.dll", REG_DWORD, encode_dword(1)), (key, "C:\\old.dll", REG_DWORD, encode_dword(3))
    )
    two = layer(base, (key, "C:\\new.dll", REG_DWORD, encode_dword(1)), (key, "C:\\old.dll"))
    merged = merge_deltas(base, [("one", first_delta), ("two", two)], RULES)
    values = {
        name: int.from_bytes(value.data, "little") for name, value in base.key(key).values.by_folded_name().items()
    }
    assert values == {"C:\\NEW.DLL": 2, "C:\\OLD.DLL": 1}
    assert {finding.outcome for finding in merged.findings} == {"summed"}


def test_merge_assemblies_of_two_layers_union_with_the_highest_version():
    """Two layers install versions 9.0.21022.8 and 9.0.30729.1 of the runtime of Visual C++ 2008, the higher one below."""
    base = Hive.new("SOFTWARE")
    assembly = "Microsoft\\Windows\\CurrentVersion\\SideBySide\\Winners\\x86_microsoft.vc90.crt_1fc8b3b9a1e18e3b_none_ea33c8f0b247cd77"
    series = f"{assembly}\\9.0"

    def installed(version: str) -> object:
        return layer(
            base,
            (assembly, "", REG_SZ, encode_string("9.0")),
            (series, "", REG_SZ, encode_string(version)),
            (series, version, REG_BINARY, b"\x01"),
        )

    merged = merge_deltas(base, [("a", installed("9.0.30729.1")), ("b", installed("9.0.21022.8"))], RULES)
    assert decode_string(base.key(series).value("")) == "9.0.30729.1"
    assert set(base.key(series).values.by_folded_name()) == {"", "9.0.30729.1", "9.0.21022.8"}
    assert merged.conflicts == []


def test_merge_key_removed_by_one_layer_and_changed_by_another():
    base = base_hive()
    spooler = "ControlSet001\\Services\\Spooler"
    remove = layer(base, (spooler,))
    change = layer(base, (spooler, "Start", REG_DWORD, encode_dword(4)))
    first = copy(base)
    merged = merge_deltas(first, [("change", change), ("remove", remove)], RULES)
    assert found(merged) == [(spooler, None, "removed", ("remove",), ("change",))]
    assert first.key(spooler) is None
    assert (
        merged.origin(spooler, "Start") == merged.origin(spooler) == merged.origin(spooler + "\\Below") == ("remove",)
    )
    second = copy(base)
    second.key(spooler).set_value("Type", REG_DWORD, encode_dword(1))
    merged = merge_deltas(second, [("remove", remove), ("change", change)], RULES)
    assert found(merged) == [(spooler, None, "restored", ("change",), ("remove",))]
    assert list(second.key(spooler).values) == ["Start"]
    assert merged.origin(spooler, "Type") == ("remove",)
    assert merged.origin(spooler) == ("change",)
    values = [("gone", layer(base, (spooler, "Start"))), ("set", change)]
    assert found(combine_deltas(values, RULES)) == [(spooler, "Start", "restored", ("set",), ("gone",))]
    assert found(combine_deltas(values[::-1], RULES)) == [(spooler, "Start", "removed", ("gone",), ("set",))]


def test_merge_restored_key_can_be_removed_again():
    base = base_hive()
    spooler = "ControlSet001\\Services\\Spooler"
    base.root.create(spooler + "\\Below").set_value("v", REG_SZ, b"")
    remove = layer(base, (spooler,))
    change = layer(
        base,
        (spooler, "Start", REG_DWORD, encode_dword(4)),
        (spooler, "Type", REG_DWORD, encode_dword(1)),
        (spooler + "\\Below", "v", REG_SZ, b"x"),
    )
    hive = copy(base)
    hive.key(spooler).delete_value("Start")
    hive.root.delete(spooler + "\\Below")
    take = compute_delta(base, hive, name=base.name)
    hive.key(spooler).class_name = "class"
    take_more = compute_delta(base, hive, name=base.name)
    for last, lost in ((take, ()), (take_more, ("take",))):
        layers = [("remove", remove), ("change", change), ("take", last)]
        result = copy(base)
        merged = merge_deltas(result, layers, RULES)
        assert list(result.key(spooler).values) == ["Type"]
        assert not result.key(spooler).subkeys
        assert not result.key(spooler).class_data
        assert found(merged)[0] == (spooler, None, "restored", ("change",), ("remove", *lost))
        assert {finding[1:4] for finding in found(merged)[1:]} == {
            ("Start", "removed", ("take",)),
            (None, "removed", ("take",)),
        }
        without = Hive.new(base.name)
        merge_deltas(without, layers[1:], RULES)
        assert list(without.key(spooler).values) == ["Type"]
        assert not without.key(spooler).subkeys


def test_merge_pending_renames_are_dropped_and_manual_values_have_advice():
    base = base_hive()
    manager = "ControlSet001\\Control\\Session Manager"
    sockets = "ControlSet001\\Services\\WinSock2\\Parameters\\Protocol_Catalog9"
    layers = [
        (
            label,
            layer(
                base,
                (manager, "PendingFileRenameOperations", REG_MULTI_SZ, encode_multi_string([label])),
                (sockets, "Num_Catalog_Entries", REG_DWORD, encode_dword(number)),
            ),
        )
        for number, label in enumerate("ab")
    ]
    merged = merge_deltas(base, layers, RULES)
    assert base.key(manager).value("PendingFileRenameOperations") is None
    assert [(finding.outcome, finding.layers, finding.overruled) for finding in merged.findings] == [
        ("dropped", (), ("a", "b")),
        ("manual", ("b",), ("a",)),
    ]
    assert "Restart" in merged.findings[0].advice
    assert "Winsock" in merged.findings[1].advice


def test_merge_later_changes_of_the_base_count_as_its_change():
    old = base_hive()
    path = layer(
        old, (ENVIRONMENT, "Path", REG_EXPAND_SZ, encode_string("%SystemRoot%\\system32;%SystemRoot%;C:\\Tools"))
    )
    start = layer(old, ("ControlSet001\\Services\\Spooler", "Start", REG_DWORD, encode_dword(4)))
    new = copy(old)
    new.key(ENVIRONMENT).set_value(
        "Path", REG_EXPAND_SZ, encode_string("%SystemRoot%\\system32;%SystemRoot%;%SystemRoot%\\OpenSSH")
    )
    new.key("ControlSet001\\Services\\Spooler").set_value("Start", REG_DWORD, encode_dword(3))
    merged = merge_deltas(new, [("path", path), ("start", start)], RULES, base_label="os 2")
    assert (
        decode_string(new.key(ENVIRONMENT).value("Path"))
        == "%SystemRoot%\\system32;%SystemRoot%;%SystemRoot%\\OpenSSH;C:\\Tools"
    )
    assert found(merged) == [
        (ENVIRONMENT, "Path", "merged", ("os 2", "path"), ()),
        ("ControlSet001\\Services\\Spooler", "Start", "overruled", ("start",), ("os 2",)),
    ]
    gone = copy(old)
    gone.root.delete("ControlSet001\\Services\\Spooler")
    merged = merge_deltas(gone, [("start", start)], RULES, base_label="os 2")
    assert found(merged) == [("ControlSet001\\Services\\Spooler", None, "restored", ("start",), ("os 2",))]
    assert gone.key("ControlSet001\\Services\\Spooler").value("Start") is not None
    same = copy(old)
    same.key("ControlSet001\\Services\\Spooler").set_value("Start", REG_DWORD, encode_dword(4))
    assert merge_deltas(same, [("start", start)], RULES).findings == []


def test_merge_change_of_a_known_layer_is_not_a_conflict():
    base = base_hive()
    first = copy(base)
    first.root.create("ControlSet001\\Services\\App").set_value("Start", REG_DWORD, encode_dword(2))
    first.key(ENVIRONMENT).set_value(
        "Path", REG_EXPAND_SZ, encode_string("%SystemRoot%\\system32;%SystemRoot%;C:\\One")
    )
    first_delta = compute_delta(base, first)
    two = layer(
        first,
        ("ControlSet001\\Services\\App", "Start", REG_DWORD, encode_dword(3)),
        (ENVIRONMENT, "Path", REG_EXPAND_SZ, encode_string("%SystemRoot%\\system32;%SystemRoot%;C:\\Two")),
    )
    merged = combine_deltas([("one", first_delta), ("two", two)], RULES, base=base, seen={"two": {"one"}})
    assert merged.findings == []
    apply_delta(base, merged.delta)
    assert decode_string(base.key(ENVIRONMENT).value("Path")).endswith("%SystemRoot%;C:\\Two")
    assert base.key("ControlSet001\\Services\\App").value("Start").data == encode_dword(3)
    three = layer(first, ("ControlSet001\\Services\\App",))
    merged = combine_deltas([("one", first_delta), ("three", three)], RULES, seen={"three": ["one"]})
    assert merged.findings == []
    assert [
        finding.outcome for finding in combine_deltas([("one", first_delta), ("three", three)], RULES).findings
    ] == ["removed"]


def test_merge_layer_captured_on_another_layers_value_knew_it():
    base = base_hive()
    first = copy(base)
    first.root.create("Vendor").set_value("v", REG_SZ, b"1")
    layers = [("one", compute_delta(base, first)), ("two", layer(first, ("Vendor", "v", REG_SZ, b"2")))]
    for hive in (None, base):
        assert combine_deltas(layers, RULES, base=hive).findings == []
        other = layer(base, ("Vendor", "v", REG_SZ, b"3"))
        merged = combine_deltas([layers[0], ("other", other), layers[1]], RULES, base=hive)
        assert found(merged) == [("Vendor", "v", "overruled", ("two",), ("other",))]


def test_combine_deltas_equal_labels_or_different_hives_is_an_internal_error():
    base = base_hive()
    delta = compute_delta(base, base)
    software = compute_delta(base, base, name="SOFTWARE")
    for layers, code in (
        ([("a", delta), ("a", delta)], "winregistry.labels"),
        ([("base", delta)], "winregistry.labels"),
        ([("a", delta), ("b", software)], "winregistry.hives"),
    ):
        with pytest.raises(InternalError) as raised:
            combine_deltas(layers, RULES)
        assert raised.value.code == code
    assert combine_deltas([], RULES).delta.is_empty


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_merge_arbitrary_deltas_gives_a_valid_result(data):
    base = base_hive()
    layers = []
    for label in "abc":
        delta = Delta("SYSTEM")
        nodes = [delta.root]
        for _key in range(data.draw(st.integers(0, 6))):
            parent_node = data.draw(st.sampled_from(nodes))
            name = data.draw(st.sampled_from(["ControlSet001", "Services", "Spooler", "Control", "x"]))
            node = parent_node.subkeys[name.upper()] = KeyDelta(name, data.draw(st.integers(0, 3)))
            if node.action != REMOVE:
                nodes.append(node)
                node.security = data.draw(st.sampled_from([None, b"", b"sd"]))
                node.order = data.draw(st.sampled_from([None, ("Start", "y")]))
                value = ValueDelta(
                    "Start",
                    4,
                    data.draw(st.sampled_from([None, b"", b"a"])),
                    data.draw(st.sampled_from([None, Before(4, 1, b"a", None)])),
                )
                node.values = data.draw(st.sampled_from([{}, {"START": value}]))
        layers.append((label, read_delta(write_delta(delta))))
    planned = combine_deltas(layers, RULES)
    write_delta(planned.delta)
    merged = merge_deltas(base, layers, RULES, seen={"c": ["a"]})
    assert read_delta(write_delta(merged.delta)) is not None
    read_hive(write_hive(base))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_merge_of_one_layer_is_its_delta(data):
    base = data.draw(trees(name=few_names))
    after = data.draw(changed(base, name=few_names))
    delta = compute_delta(base, after, name="SOFTWARE")
    merged = combine_deltas([("one", delta)], RULES)
    assert write_delta(merged.delta) == write_delta(delta)
    assert merged.findings == []


def test_merge_replaced_key_ends_earlier_changes():
    base = base_hive()
    spooler = "ControlSet001\\Services\\Spooler"
    base.root.create(spooler + "\\Parameters").set_value("p", REG_SZ, b"")
    first_delta = layer(base, (spooler, "Own", REG_SZ, b"1"), (spooler, "Start", REG_DWORD, encode_dword(3)))
    builder = DeltaBuilder("SYSTEM", base)
    builder.delete_key(spooler)
    builder.set_value(spooler, "Type", REG_DWORD, encode_dword(16))
    two_bytes = write_delta(builder.finish())
    two = read_delta(two_bytes)
    three = layer(base, (spooler, "Start", REG_DWORD, encode_dword(4)), (spooler + "\\Parameters", "p", REG_SZ, b"x"))
    for hive in (None, base):
        merged = combine_deltas([("one", first_delta), ("two", two), ("three", three)], RULES, base=hive)
        assert found(merged) == [
            (spooler, None, "overruled", ("two", "three"), ("one",)),
            (spooler, "Start", "restored", ("three",), ("two",)),
            (spooler + "\\Parameters", None, "restored", ("three",), ("two",)),
        ]
        assert merged.origin(spooler, "Own") == ("two",)
        assert merged.origin(spooler, "Start") == ("three",)
        result = copy(base)
        apply_delta(result, merged.delta)
        assert {value.name: value.data for value in result.key(spooler).values.values()} == {
            "Start": encode_dword(4),
            "Type": encode_dword(16),
        }
        assert result.key(spooler + "\\Parameters").value("p").data == b"x"
        assert not combine_deltas([("two", two), ("again", two)], RULES, base=hive).findings
        builder.set_value(spooler + "\\Parameters", "Own", REG_SZ, b"")
        other = builder.finish()
        again = layer(base, (spooler, "Type", REG_DWORD, encode_dword(16)))
        for lower in (other, again):
            assert found(combine_deltas([("lower", lower), ("two", read_delta(two_bytes))], RULES, base=hive)) == [
                (spooler, None, "overruled", ("two",), ("lower",))
            ]


def test_merge_key_created_by_several_layers():
    base = Hive.new("SOFTWARE")
    hives = []
    for number, security in enumerate((b"one", b"one", b"two")):
        hive = copy(base)
        key = hive.root.create("Vendor")
        key.security, key.last_written = security, 100 - number
        key.set_value(str(number), REG_SZ, b"")
        hives.append(compute_delta(base, hive))
    merged = combine_deltas(list(zip("abc", hives)), RULES)
    assert [(finding.attribute, finding.layers, finding.overruled) for finding in merged.findings] == [
        ("security", ("c",), ("a", "b"))
    ]
    vendor = merged.delta.key("vendor")
    assert (vendor.security, vendor.last_written, sorted(vendor.values)) == (b"two", 100, ["0", "1", "2"])
    assert merged.origin("Vendor") == ("a", "b", "c")
    assert combine_deltas(list(zip("ab", hives)), RULES).findings == []


def test_merge_new_spelling_overrules_nothing():
    base = Hive.new("SOFTWARE")
    base.root.create("k").set_value("name", REG_SZ, b"old")
    changed_data = layer(base, ("k", "name", REG_SZ, b"new"))
    respelled = copy(base)
    respelled.key("k").delete_value("name")
    respelled.key("k").set_value("NAME", REG_SZ, b"old")
    for layers in (
        [("data", changed_data), ("case", compute_delta(base, respelled))],
        [("case", compute_delta(base, respelled)), ("data", changed_data)],
    ):
        merged = combine_deltas(layers, RULES)
        assert merged.findings == []
        result = copy(base)
        apply_delta(result, merged.delta)
        assert [(value.name, value.data) for value in result.key("k").values.values()] == [("NAME", b"new")]


def test_merge_lists_that_cannot_be_joined_last_layer_wins():
    base = base_hive()
    broken = layer(base, (ENVIRONMENT, "Path", REG_DWORD, encode_dword(1)))
    sound = layer(base, (ENVIRONMENT, "Path", REG_SZ, encode_string("x")))
    merged = combine_deltas([("broken", broken), ("sound", sound)], RULES)
    assert found(merged) == [(ENVIRONMENT, "Path", "overruled", ("sound",), ("broken",))]
    gone = layer(base, (ENVIRONMENT, "Path"))
    assert found(combine_deltas([("gone", gone), ("sound", sound)], RULES)) == [
        (ENVIRONMENT, "Path", "restored", ("sound",), ("gone",))
    ]


def test_merge_many_layers_of_many_keys():
    base = base_hive()
    layers = []
    for number in range(10):
        hive = copy(base)
        for key in range(300):
            hive.root.create(f"Software\\Vendor {number}\\{key}").set_value("v", REG_SZ, b"x")
            hive.root.create(f"Shared\\{key}").set_value(f"v{number}", REG_SZ, b"x")
        layers.append((f"app {number}", compute_delta(base, hive)))
    merged = merge_deltas(base, layers, RULES)
    assert merged.findings == []
    assert merged.applied.keys_created == 10 * 301 + 300 + 2
    assert merged.origin("Shared\\17", "v3") == ("app 3",)
    assert len(merged.origin("Shared\\17")) == 10
