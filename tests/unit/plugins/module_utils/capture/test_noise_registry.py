# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys and values that Windows changes by itself are removed from a delta; those of an installer are not."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.noise.registry import DeltaSubtraction
from ansible_collections.strata.layering.plugins.module_utils.capture.noise.subtraction import Overrides, Subtraction
from ansible_collections.strata.layering.plugins.module_utils.capture.rule import Rule
from ansible_collections.strata.layering.plugins.module_utils.capture.rules import LeftOut, RuleSet
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_compute import compute_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive

SZ, EXPAND_SZ, BINARY, DWORD, MULTI_SZ = 1, 2, 3, 4, 7
TREE = "Microsoft\\Windows NT\\CurrentVersion\\Schedule\\TaskCache\\Tasks\\"
FIRST, SECOND = "{0378D977-BE68-6ECB-AEAC-2DD9E6D78838}", "{9178D977-BE68-6ECB-AEAC-2DD9E6D78839}"


def text(value: str) -> bytes:
    return f"{value}\0".encode("utf-16-le")


def texts(*values: str) -> bytes:
    return "".join(f"{value}\0" for value in (*values, "")).encode("utf-16-le")


def number(value: int) -> bytes:
    return struct.pack("<I", value)


def hive(content, time=1):
    """Return a hive with ``content``: key -> value name -> (type, data)."""
    made = Hive.new("X", minor=5, last_written=time)
    for path, values in content.items():
        key = made.root.create(path)
        for name, (kind, data) in values.items():
            key.set_value(name, kind, data)
        if values:
            key.last_written = time
    return made


def subtract(before, windows, found, *, name="SOFTWARE", rules=(), databases=(), kept=frozenset(), base=None):
    """Return what remains of the change ``before`` to ``found``, and the state, if ``windows`` is what Windows changes it to."""
    delta = compute_delta(hive(before), hive(found, 3), name=name)
    noise = compute_delta(hive(before if base is None else base), hive(windows, 2), name=name)
    state = Subtraction(Overrides(RuleSet(rules), RuleSet(databases), kept), LeftOut())
    DeltaSubtraction(delta, noise, state).apply()
    remaining = {f"{path}\\{value.name}": value.data for path, key in delta.walk() for value in key.values.values()}
    return delta, remaining, state


@pytest.mark.parametrize(
    ("kind", "before", "windows", "found", "is_taken"),
    [
        pytest.param(BINARY, b"\0" * 8, b"\1" * 8, b"\2" * 8, False, id="time"),
        pytest.param(
            SZ, text("2026-01-01 00:00"), text("2026-11-30 09:12"), text("2026-12-01 10:00"), False, id="text time"
        ),
        pytest.param(SZ, text("x"), text(FIRST), text(SECOND), False, id="guid"),
        pytest.param(SZ, text("x"), text("a b"), text("c d"), True, id="text"),
        pytest.param(SZ, text("1"), text("2"), text("3"), True, id="setting as text"),
        pytest.param(
            SZ, text("118.0.1"), text("119.0.2151.58"), text("120.0.2210.61"), True, id="version of the installer"
        ),
        pytest.param(
            SZ, text("x"), text("C:\\A\\119.0.2151.58\\a.exe"), text("C:\\A\\120.0.2210.61\\a.exe"), True, id="folder"
        ),
        pytest.param(SZ, text("x"), text("30.11.2026 9:12"), text("1.12.2026 10:00"), False, id="date with periods"),
        pytest.param(DWORD, number(7), number(8), number(10), False, id="counter"),
        pytest.param(DWORD, number(3), number(4), number(2), True, id="start type"),
        pytest.param(DWORD, number(5), number(90_000), number(80_000), False, id="random number"),
        pytest.param(MULTI_SZ, texts("a"), texts("a", "b"), texts("a", "c"), True, id="unknown list"),
        pytest.param(MULTI_SZ, texts("a"), texts("run 17"), texts("run 18"), False, id="list of generated texts"),
    ],
)
def test_value_that_windows_and_the_installer_change_differently(kind, before, windows, found, is_taken):
    contents = ({"Key": {"Item": (kind, data)}} for data in (before, windows, found))
    _delta, remaining, state = subtract(*contents)
    assert bool(remaining) == is_taken
    assert bool(state.left_out.report()) == (not is_taken)


def test_value_with_the_content_of_the_profile_is_removed_with_its_key():
    change = {"Key": {"Item": (SZ, text("a"))}, "New\\Below": {"x": (DWORD, number(1))}}
    delta, _remaining, state = subtract({"Key": {"Item": (SZ, text("b"))}}, change, change)
    assert delta.is_empty
    assert {entry["kind"]: sorted(entry["examples"]) for entry in state.left_out.report()} == {
        "value": ["SOFTWARE\\Key\\Item", "SOFTWARE\\New\\Below\\x"],
        "key": ["SOFTWARE\\New", "SOFTWARE\\New\\Below"],
    }


def test_value_that_windows_removes_and_the_installer_sets_is_taken():
    before = {"Key": {"Item": (DWORD, number(1))}}
    _delta, remaining, _state = subtract(before, {"Key": {}}, {"Key": {"Item": (DWORD, number(2))}})
    assert remaining == {"Key\\Item": number(2)}


def test_value_of_another_type_is_taken():
    before = {"Key": {"Item": (DWORD, number(1))}}
    windows, found = {"Key": {"Item": (DWORD, number(2))}}, {"Key": {"Item": (SZ, text("two"))}}
    _delta, remaining, _state = subtract(before, windows, found)
    assert remaining == {"Key\\Item": text("two")}


def test_removed_key_is_removed_from_the_delta_only_if_windows_removes_it_too():
    before = {"One": {"x": (DWORD, number(1))}, "Two": {"x": (DWORD, number(1))}}
    delta, _remaining, _state = subtract(before, {"Two": {"x": (DWORD, number(1))}}, {})
    assert sorted(delta.root.subkeys) == ["TWO"]


def test_list_keeps_the_items_of_the_installer():
    key, name = "Microsoft\\Windows NT\\CurrentVersion\\Svchost", "netsvcs"
    before, windows, found = ({key: {name: (MULTI_SZ, texts(*items))}} for items in ("ab", "abw", "abwi"))
    _delta, remaining, state = subtract(before, windows, found)
    assert remaining == {f"{key}\\{name}": texts("a", "b", "i")}
    assert state.left_out.report()[0]["examples"] == [f"SOFTWARE\\{key}\\{name}"]


def test_list_without_items_of_the_installer_is_removed():
    key, name = "Microsoft\\Windows NT\\CurrentVersion\\Svchost", "netsvcs"
    before, windows, found = ({key: {name: (MULTI_SZ, texts(*items))}} for items in ("ab", "abw", "abw"))
    delta, _remaining, _state = subtract(before, windows, found)
    assert delta.is_empty


def test_path_keeps_the_folders_of_the_installer():
    key = "ControlSet001\\Control\\Session Manager\\Environment"
    before, windows, found = (
        {key: {"Path": (EXPAND_SZ, text(path))}} for path in ("C:\\W", "C:\\W;C:\\Edge", "C:\\W;C:\\Edge;C:\\App")
    )
    _delta, remaining, _state = subtract(before, windows, found, name="SYSTEM")
    assert remaining == {f"{key}\\Path": text("C:\\W;C:\\App")}


def test_path_keeps_the_folders_of_prerequisites():
    """The profile belongs to the OS layer alone; the packaging machine started with an app layer."""
    key = "ControlSet001\\Control\\Session Manager\\Environment"
    base, windows, before, found = (
        {key: {"Path": (EXPAND_SZ, text(path))}} for path in ("W", "W;Edge", "W;Base", "W;Base;Edge;App")
    )
    _delta, remaining, _state = subtract(before, windows, found, name="SYSTEM", base=base)
    assert remaining == {f"{key}\\Path": text("W;Base;App")}


def test_reference_count_keeps_the_count_of_the_installer():
    key, name = "Microsoft\\Windows\\CurrentVersion\\SharedDLLs", "C:\\x.dll"
    before, windows, found = ({key: {name: (DWORD, number(count))}} for count in (1, 2, 4))
    _delta, remaining, _state = subtract(before, windows, found)
    assert remaining == {f"{key}\\{name}": number(3)}


def test_created_key_keeps_the_values_of_the_installer():
    windows = {"New": {"Stamp": (BINARY, b"1" * 8)}}
    found = {"New": {"Stamp": (BINARY, b"2" * 8), "Path": (SZ, text("C:\\App"))}}
    _delta, remaining, state = subtract({}, windows, found)
    assert remaining == {"New\\Path": text("C:\\App")}
    assert state.doubtful == ["value SOFTWARE\\New\\Stamp"]


@pytest.mark.parametrize(
    ("windows", "found", "is_taken"),
    [
        pytest.param({"Name": (SZ, text("Network 1"))}, {"Name": (SZ, text("Network 2"))}, False, id="generated"),
        pytest.param({"Path": (SZ, text("\\Microsoft\\A"))}, {"Path": (SZ, text("\\App\\B"))}, True, id="other text"),
        pytest.param({"Name": (SZ, text("N"))}, {"Name": (SZ, text("N")), "More": (DWORD, number(1))}, True, id="more"),
        pytest.param({"Flags": (DWORD, number(1))}, {"Flags": (DWORD, number(1))}, True, id="no text"),
    ],
)
def test_key_under_another_generated_name(windows, found, is_taken):
    delta, _remaining, _state = subtract({}, {TREE + FIRST: windows}, {TREE + SECOND: found})
    assert (not delta.is_empty) == is_taken


@pytest.mark.parametrize(
    ("kind", "windows", "found", "is_taken"),
    [
        pytest.param(SZ, text("Seen 17"), text("Seen 18"), False, id="generated"),
        pytest.param(SZ, text("App=A"), text("App=B"), True, id="other text"),
        pytest.param(BINARY, b"1" * 8, b"2" * 8, True, id="data"),
        pytest.param(BINARY, b"1" * 8, b"1" * 8, False, id="same data"),
    ],
)
def test_value_under_another_generated_name(kind, windows, found, is_taken):
    _delta, remaining, _state = subtract({}, {"Key": {FIRST: (kind, windows)}}, {"Key": {SECOND: (kind, found)}})
    assert bool(remaining) == is_taken


def test_deep_keys_under_generated_names_are_taken():
    path = "\\".join(["below"] * 200)
    values = {"Name": (SZ, text("N"))}
    _delta, remaining, _state = subtract({}, {f"{FIRST}\\{path}": values}, {f"{SECOND}\\{path}": values})
    assert list(remaining.values()) == [text("N")]


def test_users_rule_keeps_a_key_under_a_generated_name():
    values = {"Name": (SZ, text("N"))}
    rule = Rule("SOFTWARE\\" + TREE + SECOND, "", registry=True, include=True)
    _delta, remaining, _state = subtract({}, {TREE + FIRST: values}, {TREE + SECOND: values}, rules=[rule])
    assert remaining == {f"{TREE}{SECOND}\\Name": text("N")}


@pytest.mark.parametrize("kept", [frozenset(("devices",)), frozenset()])
def test_database_of_which_something_remains_is_whole(kept):
    rule = Rule("SOFTWARE\\Key", "", registry=True, include=True, database="devices")
    before, windows = ({"Key": {"Stamp": (BINARY, data)}} for data in (b"0" * 8, b"1" * 8))
    _delta, remaining, _state = subtract(before, windows, windows, databases=[rule], kept=kept)
    assert bool(remaining) == bool(kept)
