# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network adapters of the packaging machine: nothing in a layer names them."""

from __future__ import annotations

import re
import uuid

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.databases.all import cleanings
from ansible_collections.strata.layering.plugins.module_utils.capture.databases.compared import Compared
from ansible_collections.strata.layering.plugins.module_utils.capture.databases.network_adapters import clean_delta
from ansible_collections.strata.layering.plugins.module_utils.capture.rule import DatabaseRule
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_compute import compute_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive, Key
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    REG_BINARY,
    REG_MULTI_SZ,
    REG_SZ,
    current_control_set,
    encode_multi_string,
    encode_string,
)
from ansible_collections.strata.layering.tests.support.devices import captured_delta, installation
from ansible_collections.strata.layering.tests.support.pypi_samples import sample_bytes

CLASS = "Control\\Class\\{4d36e972-e325-11ce-bfc1-08002be10318}"
#: The ID of the hardware adapter of the real hive, and that of an adapter with another MAC address.
KNOWN = "{c43669b3-ab3e-4d0e-8fde-69579925a20f}"
NEW = "{11112222-3333-4444-5555-666677778888}"
OTHER = "{99992222-3333-4444-5555-666677778888}"


def _renamed(text: str) -> str:
    return re.sub(re.escape(KNOWN), NEW, text, flags=re.IGNORECASE)


def _rename_data(key: Key) -> Key:
    known, new = uuid.UUID(KNOWN).bytes_le, uuid.UUID(NEW).bytes_le
    for _path, below in key.walk():
        for value in list(below.values.values()):
            data = re.sub(
                re.escape(KNOWN.encode("utf-16-le")), NEW.encode("utf-16-le"), value.data, flags=re.IGNORECASE
            )
            below.set_value(value.name, value.type, data.replace(known, new))
    return key


def _add_adapter(system: Hive, *, replace: bool) -> None:
    """Add (or ``replace``) the hardware adapter as Windows does for another MAC address, everywhere in a real hive."""
    control = current_control_set(system)
    for _path, key in list(system.root.walk()):
        for name, below in list(key.subkeys.items()):
            if KNOWN in name.lower() and key.key(_renamed(name)) is None:
                added = _rename_data(below.copy())
                added.name = _renamed(name)
                key.add(added)
                if replace:
                    key.delete(name)
        for value in list(key.values.values()):
            text = value.data.decode("utf-16-le", "replace")
            if value.type == REG_MULTI_SZ and KNOWN in text.lower():
                items = text.rstrip("\0").split("\0")
                made = [_renamed(item) for item in items if KNOWN in item.lower()]
                kept = [item for item in items if not replace or KNOWN not in item.lower()]
                key.set_value(value.name, REG_MULTI_SZ, encode_multi_string([*made, *kept]))
    classes, devices = control.key(CLASS), control.key("Enum\\PCI\\VEN_8086&DEV_10D3&SUBSYS_07D015AD&REV_00")
    settings, device = _rename_data(classes.key("0001").copy()), devices.key("000C29FFFF661AA200").copy()
    settings.set_value("NetCfgInstanceId", REG_SZ, encode_string(NEW))
    settings.name, device.name = "0099", "000C29FFFF661AA300"
    device.set_value("Driver", REG_SZ, encode_string(f"{CLASS.rpartition(chr(92))[2]}\\0099"))
    classes.add(settings)
    devices.add(device)
    if replace:
        classes.delete("0001")
        devices.delete("000C29FFFF661AA200")


def _mentions(delta, adapter: str) -> list[str]:
    text, binary = adapter.strip("{}"), uuid.UUID(adapter).bytes_le
    found = [path for path, _key in delta.walk() if text in path.lower()]
    for path, key in delta.walk():
        for value in key.values.values():
            data = value.data or b""
            if text in value.name.lower() or text in data.decode("utf-16-le", "replace").lower() or binary in data:
                found.append(f"{path}@{value.name}")
    return found


@pytest.fixture(name="real", scope="module")
def _real():
    return sample_bytes("dissect.regf", "3.14", "tests/_data/SYSTEM.gz")


@pytest.mark.parametrize("replace", [False, True])
def test_new_adapter_in_a_real_hive_leaves_no_mention(real, replace):
    before, after = read_hive(real), read_hive(real)
    _add_adapter(after, replace=replace)
    after.root.create("ControlSet001\\Services\\App").set_value("Adapter", REG_SZ, encode_string(f"\\Device\\{NEW}"))
    after.root.create("ControlSet001\\Services\\Other").set_value("Start", 4, b"\2\0\0\0")
    raw = compute_delta(before, after, name="SYSTEM")
    assert len(_mentions(raw, NEW)) > 50
    delta, _rules, left_out = captured_delta(before, after)
    assert (_mentions(delta, NEW), _mentions(delta, KNOWN)) == ([], [])
    changed = {path for path, key in delta.walk() if key.is_fresh or key.values or key.action}
    assert changed == {"ControlSet001\\Services\\App", "ControlSet001\\Services\\Other"}
    assert {entry["reason"] for entry in left_out} == {"hardware", "network_adapters"}


def test_adapters_that_both_sides_have_are_not_cleaned(real):
    before, after = read_hive(real), read_hive(real)
    bind = after.key("ControlSet001\\Services\\Tcpip\\Linkage").value("Bind")
    bind.data = encode_multi_string(["\\Device\\" + KNOWN.upper()])
    delta, _rules, _left_out = captured_delta(before, after)
    assert delta.key("ControlSet001\\Services\\Tcpip\\Linkage").values.keys() == {"BIND"}


def test_rule_of_the_user_about_the_database_keeps_the_lists(real):
    before, after = read_hive(real), read_hive(real)
    compared = Compared(installation(before), installation(after), "app")
    rule = DatabaseRule("network_adapters", "network_adapters", True)
    assert len(cleanings(compared, [rule])) == len(cleanings(compared, ())) - 1


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (["a", "b"], ["x_" + NEW, "a", "b"], None),
        (["a", "b"], ["x_" + NEW, "a", "b", "c"], ["a", "b", "c"]),
        (["a", "x_" + OTHER, "b"], ["x_" + NEW, "a", "b"], None),
        (["a", "x_" + OTHER, "b"], ["x_" + NEW, "b", "a", "c"], ["b", "a", "x_" + OTHER, "c"]),
        (["x_" + OTHER, "b"], ["b", "c"], ["x_" + OTHER, "b", "c"]),
        (None, ["x_" + NEW], None),
        (None, ["x_" + NEW, "a"], ["a"]),
        (["a", "b"], None, []),
        (["a", "b"], ["b"], ["b"]),
    ],
)
def test_clean_delta_removes_items_of_lists(before, after, expected):
    old, new = Hive.new("SYSTEM"), Hive.new("SYSTEM")
    for hive, items in ((old, before), (new, after)):
        key = hive.root.create("Linkage")
        if items is not None:
            key.set_value("Bind", REG_MULTI_SZ, encode_multi_string(items))
    delta = compute_delta(old, new, name="SYSTEM")
    clean_delta(delta, [NEW, OTHER])
    delta.prune()
    key = delta.key("Linkage")
    if expected is None:
        assert key is None
    elif expected:
        assert key.values["BIND"].data == encode_multi_string(expected)
    else:
        assert key.values["BIND"].is_removal


@pytest.mark.parametrize(
    ("kind", "data", "kept"),
    [
        (REG_SZ, encode_string(f"\\Device\\{NEW.upper()}"), False),
        (REG_SZ, encode_string("\\Device\\Other"), True),
        (REG_BINARY, b"head" + uuid.UUID(NEW).bytes_le, False),
        (REG_BINARY, b"head" + uuid.UUID(KNOWN).bytes_le, True),
    ],
)
def test_clean_delta_drops_values_that_name_an_adapter(kind, data, kept):
    old, new = Hive.new("SYSTEM"), Hive.new("SYSTEM")
    for hive in (old, new):
        hive.root.create("App").set_value("Adapter", kind, b"")
    new.key("App").set_value("Adapter", kind, data)
    delta = compute_delta(old, new, name="SYSTEM")
    clean_delta(delta, [NEW])
    delta.prune()
    assert (delta.key("App") is not None) is kept
