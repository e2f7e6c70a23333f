# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names do not get into a report, in any form in which messages write them."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict
from ansible_collections.strata.layering.plugins.module_utils.selftest.redaction import Redactor
from ansible_collections.strata.layering.plugins.module_utils.vsphere.inventory.names import escaped_name, path_name

#: Parts of messages. No generated name is a part of them.
_BEFORE, _AFTER = "Creating the virtual machine ", " failed: it exists already."
_ODD = "äß€İıſK'\"\\\\/%|`*<>[](){}.+?^0&;:, -_~A9"
names = st.text(st.sampled_from(_ODD) | st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=80)


@given(name=names)
def test_name_is_replaced_in_every_form(name):
    assume(
        name == name.strip()
        and not any(name.casefold() in text.casefold() for text in (_BEFORE, _AFTER, "datastore-1"))
    )
    redactor = Redactor()
    placeholder = redactor.add("datastore", name)
    for form in (name, escaped_name(name), path_name(name), repr(name)[1:-1], " ".join(name.split())):
        text = redactor.text(f"{_BEFORE}{form}{_AFTER}")
        assert text == f"{_BEFORE}{placeholder}{_AFTER}"


@given(name=names.filter(lambda name: len(name) >= 5 and name.strip() == name), around=st.sampled_from("aZ_.-/9'\" "))
def test_long_name_is_replaced_inside_of_words(name, around):
    assume(not name[0].isdigit() and not name[-1].isdigit() and name.casefold() not in "datastore-1")
    redactor = Redactor()
    redactor.add("datastore", name)
    assert name.casefold() not in redactor.text(f"{around}{name}{around}").replace("datastore-1", "").casefold()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the host esx.example.com (port 443) refused", "the host server-1 (port 443) refused"),
        ("the host esx (port 443) refused", "the host server-1 (port 443) refused"),
        ("at 10.1.2.3 failed", "at address-1 failed"),
        ("at fe80::1%eth0 failed", "at address-1 failed"),
        ("https://esx:8443/nfc/1", "https://server-1:8443/nfc/1"),
        ("user Alice@example.com", "user user-1"),
        ("UUID 52d5e3b4-aaaa-bbbb-cccc-0123456789ab", "UUID uuid-1"),
        ("MAC 00:50:56:aa:bb:cc", "MAC mac-1"),
        ("thumbprint " + ":".join(["AB"] * 20), "thumbprint thumbprint-1"),
        ("(VirtualMachine vm-77)", "(VirtualMachine object-1)"),
        ("file /home/alice/ca.pem", "file path-1"),
    ],
)
def test_unknown_name_is_replaced_by_its_form(text, expected):
    assert Redactor().text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "privilege VirtualMachine.Config.AddNewDisk is missing",
        "Reading properties (config.hardware.device)",
        "it took 05:47:08 with version vmx-19",
        "strata.layering.selftest of strata-selftest-0123abcd",
    ],
)
def test_text_without_names_does_not_change(text):
    assert Redactor().text(text) == text


def test_short_name_is_replaced_only_as_a_word():
    redactor = Redactor()
    redactor.add("datastore", "a")
    assert redactor.text("a data on [a] and /a/b") == "datastore-1 data on [datastore-1] and /datastore-1/b"


def test_longer_name_is_replaced_before_a_name_in_it():
    redactor = Redactor()
    redactor.add("host", "esx01")
    redactor.add("host", "esx01.lan")
    redactor.add("datastore", "esx01.lan-local")
    assert redactor.text("esx01.lan-local, esx01.lan, esx01, esx010") == "datastore-1, host-2, host-1, esx010"


def test_name_with_parentheses_is_replaced():
    redactor = Redactor()
    redactor.add("datacenter", "Berlin (DC)")
    assert redactor.text("/Berlin (DC)/vm (NotSupported)") == "/datacenter-1/vm (NotSupported)"


def test_object_has_one_placeholder_under_all_its_names():
    redactor = Redactor()
    assert redactor.add("host", "esx1.lan", "host-21") == "host-1"
    assert redactor.add("host", "ESX1.LAN", "esx1") == "host-1"
    assert redactor.text("esx1 host-21 host-213") == "host-1 host-1 object-1"


def test_shortened_message_does_not_end_with_the_beginning_of_a_name():
    redactor = Redactor()
    redactor.add("vm", "Payroll-Server")
    text = redactor.text("x " * 120 + "Payroll-S (NotSupported).")
    assert "Payroll" not in text
    assert text.endswith(" (NotSupported).")


def test_value_is_redacted_in_keys_and_lists():
    redactor = Redactor()
    redactor.add("host", "esx1.lan")
    redactor.secret("Pa55-w0rd")
    value = {"esx1.lan": ["pa55-W0RD", 7, None, True, Conflict("on esx1.lan", code="x.y", hint="h")]}
    assert redactor.value(value) == {"host-1": ["(secret)", 7, None, True, "on host-1 h"]}
