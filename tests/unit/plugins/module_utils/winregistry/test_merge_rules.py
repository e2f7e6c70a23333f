# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.winregistry.merge_rules import (
    KINDS,
    RULES,
    compile_rules,
)

RULE = {"hive": "SOFTWARE", "key": "Vendor\\*", "value": "List", "kind": "separated", "separator": "|"}


@pytest.mark.parametrize(
    "hive, key, value, kind",
    [
        ("SYSTEM", "controlset001\\Control\\Session Manager\\Environment", "PATH", "separated"),
        (
            "system",
            "ControlSet002\\Control\\Class\\{4D36E967-E325-11CE-BFC1-08002BE10318}",
            "upperfilters",
            "multi_string",
        ),
        ("SYSTEM", "ControlSet001\\Control\\NetworkProvider\\HwOrder", "ProviderOrder", "separated"),
        ("SYSTEM", "ControlSet001\\Control\\NetworkProvider\\Order", "ProviderOrder", "separated"),
        ("SYSTEM", "ControlSet001\\Control\\Lsa", "Security Packages", "multi_string"),
        ("SYSTEM", "ControlSet001\\Control", "PreshutdownOrder", "multi_string"),
        ("SYSTEM", "ControlSet001\\Control\\Session Manager", "PendingFileRenameOperations2", "dropped"),
        (
            "SYSTEM",
            "ControlSet001\\Services\\WinSock2\\Parameters\\Protocol_Catalog9\\Catalog_Entries64\\000000000001",
            "PackedCatalogItem",
            "manual",
        ),
        ("SYSTEM", "ControlSet001\\Services\\WinSock2\\Parameters", "x", "manual"),
        ("SYSTEM", "ControlSet001\\Services\\Any", "DependOnService", "multi_string"),
        ("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\Svchost", "netsvcs", "multi_string"),
        ("SOFTWARE", "Wow6432Node\\Microsoft\\Windows\\CurrentVersion\\SharedDLLs", "C:\\a.dll", "counter"),
        ("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\Perflib\\009", "Counter", "manual"),
        ("NTUSER.DAT", "Environment", "Path", "separated"),
    ],
)
def test_settings_that_programs_share(hive, key, value, kind):
    assert compile_rules().find(hive, key, value).kind == kind


@pytest.mark.parametrize(
    "hive, key, value",
    [
        ("SOFTWARE", "ControlSet001\\Control\\Session Manager\\Environment", "Path"),
        ("SYSTEM", "ControlSet001\\Control\\Session Manager\\Environment", "TEMP"),
        ("SYSTEM", "ControlSet001\\Control\\Class", "UpperFilters"),
        ("SYSTEM", "ControlSet001\\Control\\Class\\{x}\\0000", "UpperFilters"),
        ("NO", "", ""),
        ("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\Svchost\\netsvcs", "CoInitializeSecurityParam"),
    ],
)
def test_other_values_have_no_rule(hive, key, value):
    assert compile_rules().find(hive, key, value) is None


def test_what_must_be_done_by_hand_says_what():
    assert all(rule["advice"] for rule in RULES if rule["kind"] in ("manual", "dropped"))
    assert {rule["kind"] for rule in RULES} == set(KINDS)


def test_own_rules_go_before_the_built_in_ones():
    own = {
        "hive": ["SYSTEM", "software"],
        "key": "ControlSet*\\Control\\Session Manager\\**",
        "value": "*",
        "kind": "manual",
        "advice": "Ask.",
    }
    rules = compile_rules([RULE, own])
    assert rules.find("SYSTEM", "ControlSet001\\Control\\Session Manager\\Environment", "Path").advice == "Ask."
    assert rules.find("SOFTWARE", "vendor\\product", "LIST").separator == "|"
    assert rules.find("SOFTWARE", "vendor", "LIST") is None
    assert compile_rules([RULE], builtin=()).find("SYSTEM", "ControlSet001\\Control\\Lsa", "Security Packages") is None


@pytest.mark.parametrize(
    "change, words",
    [
        ({"kind": "list"}, "has the kind 'list'"),
        ({"hive": None}, "names no hive"),
        ({"hive": []}, "names no hive"),
        ({"hive": [1]}, "names no hive"),
        ({"key": None}, "lacks the field key"),
        ({"value": None}, "lacks the field value"),
        ({"kind": None}, "lacks the field kind"),
        ({"value": 1}, "has no text as value"),
        ({"separator": None}, "needs a separator"),
        ({"separator": ""}, "needs a separator"),
        ({"separator": '"'}, "cannot part"),
        ({"kind": "counter"}, "although"),
        ({"key": "a\\\\b"}, "no pattern"),
        ({"key": "a\\"}, "no pattern"),
        ({"key": "a**b"}, "no pattern"),
        ({"colour": "red"}, "unknown field colour"),
        ({"value": "x" * 20000}, "longer"),
        ({"hive": "HKLM\\SOFTWARE"}, "UsrClass.dat exist"),
        ({"hive": ["SOFTWARE", "SAM"]}, "'SAM'"),
        ({"hive": "SYSTEM", "key": "currentcontrolset\\Control"}, "ControlSet*"),
        ({"key": "HKEY_LOCAL_MACHINE\\SOFTWARE\\a"}, "below the hive's root"),
        ({"key": "HKLM\\SOFTWARE\\a"}, "below the hive's root"),
    ],
)
def test_a_rule_that_is_none_is_named(change, words):
    with pytest.raises(InvalidInput) as caught:
        compile_rules([RULE, RULE | change])
    assert (
        "number 2" in caught.value.message
        and words in caught.value.message
        and caught.value.code == "winregistry.rules"
    )


def test_rules_are_dictionaries():
    with pytest.raises(InvalidInput):
        compile_rules(["Path"])
