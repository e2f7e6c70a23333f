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
        ("SOFTWARE", "Microsoft\\Wbem\\CIMOM", "Autorecover MOFs", "multi_string"),
        ("SOFTWARE", "Microsoft\\Wbem\\CIMOM", "Autorecover MOFs timestamp", "version"),
        (
            "SOFTWARE",
            "Microsoft\\Cryptography\\OID\\EncodingType 1\\CertDllVerifyRevocation\\DEFAULT",
            "Dll",
            "multi_string",
        ),
        ("SOFTWARE", "Microsoft\\Windows\\CurrentVersion\\SideBySide\\Winners\\x86_a_b_none_c\\9.0", "", "version"),
        ("SYSTEM", "ControlSet001\\Control\\CrashControl", "DumpFilters", "multi_string"),
        ("SYSTEM", "ControlSet001\\Services\\disk", "Owners", "multi_string"),
        ("DRIVERS", "DriverDatabase\\DriverInfFiles\\oem11.inf", "Active", "manual"),
        ("SYSTEM", "ControlSet001\\Control\\Class\\{4d36e97d-e325-11ce-bfc1-08002be10318}\\0007", "InfPath", "manual"),
        ("SYSTEM", "ControlSet001\\Enum\\ROOT\\NET\\0000", "HardwareID", "manual"),
        (
            "SOFTWARE",
            "Microsoft\\Windows\\CurrentVersion\\Setup\\PnpLockdownFiles\\%SystemRoot%/System32/drivers/a.sys",
            "Owners",
            "multi_string",
        ),
    ],
)
def test_built_in_rules_cover_shared_settings(hive, key, value, kind):
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
def test_built_in_rules_ignore_other_values(hive, key, value):
    assert compile_rules().find(hive, key, value) is None


def test_built_in_rules_manual_and_dropped_have_advice():
    assert all(rule["advice"] for rule in RULES if rule["kind"] in ("manual", "dropped"))
    assert {rule["kind"] for rule in RULES} == set(KINDS)


def test_compile_rules_extra_rules_take_precedence():
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
    "change, field",
    [
        ({"kind": "list"}, "kind"),
        ({"hive": None}, "hive"),
        ({"hive": []}, "hive"),
        ({"hive": [1]}, "hive"),
        ({"key": None}, "key"),
        ({"value": None}, "value"),
        ({"kind": None}, "kind"),
        ({"value": 1}, "value"),
        ({"separator": None}, "separator"),
        ({"separator": ""}, "separator"),
        ({"separator": '"'}, "separator"),
        ({"kind": "counter"}, "separator"),
        ({"key": "a\\\\b"}, "key"),
        ({"key": "a\\"}, "key"),
        ({"key": "a**b"}, "key"),
        ({"colour": "red"}, "colour"),
        ({"value": "x" * 20000}, "value"),
        ({"hive": "HKLM\\SOFTWARE"}, "hive"),
        ({"hive": ["SOFTWARE", "SAM"]}, "hive"),
        ({"hive": "SYSTEM", "key": "currentcontrolset\\Control"}, "key"),
        ({"key": "HKEY_LOCAL_MACHINE\\SOFTWARE\\a"}, "key"),
        ({"key": "HKLM\\SOFTWARE\\a"}, "key"),
    ],
)
def test_compile_rules_invalid_rule_is_named(change, field):
    with pytest.raises(InvalidInput) as caught:
        compile_rules([RULE, RULE | change])
    assert caught.value.code == "winregistry.rules"
    assert caught.value.details == {"rule": 2, "field": field}


def test_compile_rules_rule_that_is_not_a_dictionary_is_rejected():
    with pytest.raises(InvalidInput) as caught:
        compile_rules(["Path"])
    assert caught.value.code == "winregistry.rules"
    assert caught.value.details == {"rule": 1}
