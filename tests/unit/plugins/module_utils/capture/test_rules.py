# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of a capture: the objects that they exclude, and rules that are rejected."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.databases.all import database_rules
from ansible_collections.strata.layering.plugins.module_utils.capture.rule import Rule
from ansible_collections.strata.layering.plugins.module_utils.capture.rules import (
    LeftOut,
    RuleSet,
    default_rules,
    parse_rules,
    windows_rules,
)
from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import encode_multi_string
from ansible_collections.strata.layering.tests.support.pypi_samples import sample_bytes

WINNERS = "Microsoft\\Windows\\CurrentVersion\\SideBySide\\Winners"


@pytest.fixture(name="defaults", scope="module")
def _defaults():
    return RuleSet([*default_rules(), *database_rules("app")], current="ControlSet001")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("pagefile.sys", "paging"),
        ("PAGEFILE.SYS", "paging"),
        ("Tools/pagefile.sys", None),
        ("Windows/Temp/a/b/c", "temporary"),
        ("Windows/Temp", None),
        ("Windows/Prefetch/X.pf", "prefetch"),
        ("Windows/System32/winevt/Logs/System.evtx", "log"),
        ("Windows/inf/setupapi.dev.log", "log"),
        ("Windows/Installer/1a2b.msi", None),
        ("Windows/System32/config/SAM", "account_database"),
        ("windows/system32/CONFIG/sam.log1", "account_database"),
        ("Windows/System32/config/SOFTWARE.SAV", "registry_file"),
        ("Windows/System32/config/TxR/x.blf", "transactions"),
        ("Users/Someone/file", "user_profile"),
        ("Windows/ServiceProfiles/LocalService/NTUSER.DAT", "service_profiles"),
        ("Windows/ServiceProfiles/LocalService/NTUSER.DAT.LOG1", "service_profiles"),
        ("Windows/ServiceProfiles/LocalService/AppData/Local/x", "service_profiles"),
        ("Users/Public/Desktop/App.lnk", None),
        ("Users/Default/AppData/Roaming/x", None),
        ("Users/Default/AppData/Local/Temp/x", "temporary"),
        ("ProgramData/Microsoft/Crypto/RSA/MachineKeys/1", "machine_secret"),
        ("ProgramData/App/data", None),
        ("$Recycle.Bin/S-1/x", "recycle_bin"),
        ("System Volume Information/tracking.log", "ntfs"),
        ("Windows/CSC/v2.0.6", "cache"),
        ("Windows/System32/wbem/Repository/OBJECTS.DATA", "wmi_repository"),
        ("Windows/SoftwareDistribution/Download/x", "windows_update"),
        ("ProgramData/Microsoft/Windows Defender/x", "antivirus_state"),
        ("Program Files/App/app.exe", None),
        ("Windows/System32/drivers/app.sys", None),
        ("Windows/SMSCFG.INI", "machine_identity"),
        ("Windows/Setup/scripts/image/results/01.code", "image_script"),
        ("Windows/Setup/scripts/run-scripts.cmd", None),
        ("ProgramData/Microsoft/EdgeUpdate/Log/x.log", "log"),
        ("ProgramData/Microsoft/NetFramework/BreadcrumbStore/x", "log"),
        ("ProgramData/Microsoft/Windows/wfp/wfpdiag.etl", "log"),
        ("Windows/System32/Msdtc/KtmRmTmContainer00000000000000000001", "transactions"),
        ("Windows/WinSxS/x86_microsoft.vc90.crt_1fc8b3b9a1e18e3b_9.0.21022.8_none_0/msvcr90.dll", None),
        (
            "Windows/WinSxS/amd64_microsoft.windows.gdiplus_6595b64144ccf1df_1.1.1.1_none_0/gdiplus.dll",
            "servicing_database",
        ),
        ("ProgramData/App/store.db-wal", None),
    ],
)
def test_default_rules_exclude_files(defaults, path, reason):
    rule = defaults.file(path)
    assert (rule.reason if rule else None) == reason


@pytest.mark.parametrize(
    ("hive", "key", "value", "reason"),
    [
        ("SOFTWARE", "Microsoft\\Cryptography", "MachineGuid", "machine_identity"),
        ("SOFTWARE", "Microsoft\\Cryptography", "Other", None),
        ("SOFTWARE", "Microsoft\\Cryptography\\Below", "MachineGuid", None),
        ("SYSTEM", "ControlSet001\\Enum\\PCI", "x", "hardware"),
        ("SYSTEM", "ControlSet001\\Services\\pvscsi\\StartOverride", "0", "hardware"),
        ("SYSTEM", "ControlSet001\\Services\\pvscsi", "Start", None),
        ("SYSTEM", "ControlSet001\\Services\\App", "Start", None),
        ("SYSTEM", "ControlSet002\\Services\\App", "Start", "machine_state"),
        ("SYSTEM", "MountedDevices", "\\DosDevices\\C:", "machine_identity"),
        ("SYSTEM", "controlset001\\control\\session manager", "pendingfilerenameoperations2", "machine_state"),
        ("SYSTEM", "ControlSet001\\Control\\Session Manager\\Environment", "Path", None),
        ("NTUSER.DAT", "Software\\App", "x", None),
        ("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\S-1-5-21-1", "x", "user_profile"),
        ("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\S-1-5-80-1", "x", "user_profile"),
        ("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\ProfileList", "Default", None),
        ("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\S-1-5-18", "x", None),
        ("SOFTWARE", "Microsoft\\IdentityStore\\Cache", "x", "account_database"),
        ("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\Winlogon", "LastUsedUsername", "machine_state"),
        ("SYSTEM", "ControlSet001\\Control\\WMI\\Autologger\\EventLog-Application", "FileCounter", "machine_state"),
        ("SYSTEM", "ControlSet001\\Control\\WMI\\Autologger\\EventLog-Application\\{1}", "Status", "machine_state"),
        ("SYSTEM", "ControlSet001\\Control\\WMI\\Autologger\\EventLog-Application\\{1}", "Enabled", None),
        ("SOFTWARE", "Microsoft\\SystemCertificates\\MY\\Certificates\\AB", "Blob", "machine_secret"),
        ("SOFTWARE", "Microsoft\\SystemCertificates\\ROOT\\Certificates\\AB", "Blob", None),
        ("SYSTEM", "ControlSet001\\Services\\Netlogon", "Start", "domain_membership"),
        ("SYSTEM", "ControlSet001\\Services\\W32Time\\Parameters", "Type", "domain_membership"),
        ("SOFTWARE", f"{WINNERS}\\x86_microsoft.vc90.crt_1fc8b3b9a1e18e3b_none_ea33c8f0b247cd77\\9.0", "", None),
        ("SOFTWARE", f"{WINNERS}\\amd64_ntdll_31bf3856ad364e35_none_ea33c8f0b247cd77\\10.0", "", "servicing_database"),
    ],
)
def test_default_rules_exclude_values(defaults, hive, key, value, reason):
    rule = defaults.value(hive, key, value)
    assert (rule.reason if rule else None) == reason


def test_last_matching_rule_decides():
    rules = parse_rules(
        [
            {"path": "C:/App/*", "reason": "one"},
            {"path": "App\\keep", "action": "include"},
            {"path": "app\\keep\\*.tmp", "reason": "two"},
            {"key": "HKLM\\SOFTWARE\\App", "reason": "key"},
            {"key": "SOFTWARE\\App\\Kept", "action": "include"},
            {"key": "SOFTWARE\\App\\Kept", "value": "Sec*", "reason": "value"},
            {"key": "HKEY_USERS\\.DEFAULT\\Software\\App"},
        ]
    )
    compiled = RuleSet(rules)
    found = {
        path: compiled.file(path)
        for path in ("App", "App/x", "App/keep", "App/keep/y", "App/keep/z.TMP", "App/keep/z.tmp/below")
    }
    assert {path: rule.reason for path, rule in found.items() if rule} == {
        "App/x": "one",
        "App/keep/z.TMP": "two",
        "App/keep/z.tmp/below": "two",
    }
    assert compiled.key("SOFTWARE", "App").reason == "key"
    assert compiled.key("software", "app\\kept\\below") is None
    assert compiled.value("SOFTWARE", "App\\Kept", "SECRET").reason == "value"
    assert compiled.value("SOFTWARE", "App\\Kept", "Public") is None
    assert compiled.value("SOFTWARE", "App\\Other", "v").reason == "key"
    assert compiled.key("DEFAULT", "Software\\App\\x").reason == "rule"


def test_last_matching_rule_decides_between_keys_and_values():
    value = {"key": "SOFTWARE\\App", "value": "Id", "reason": "value"}
    assert (
        RuleSet(parse_rules([value, {"key": "SOFTWARE\\App", "action": "include"}])).value("SOFTWARE", "App", "Id")
        is None
    )
    rules = RuleSet(parse_rules([value | {"action": "include"}, {"key": "SOFTWARE\\App", "reason": "key"}]))
    assert rules.value("SOFTWARE", "App", "Id").reason == "key"
    rules = RuleSet(parse_rules([{"key": "SOFTWARE\\App", "reason": "key"}, value | {"action": "include"}]))
    assert rules.value("SOFTWARE", "App", "Id") is None
    assert rules.value("SOFTWARE", "App", "Other").reason == "key"


def test_rule_with_the_number_of_the_current_control_set():
    """The current control set also has the name with its number."""
    rules = parse_rules(
        [{"key": "HKLM\\SYSTEM\\ControlSet002\\Services\\App"}, {"key": "SYSTEM\\controlset002\\Control", "value": "x"}]
    )
    compiled = RuleSet([*default_rules(), *rules], current="ControlSet002")
    assert compiled.key("SYSTEM", "ControlSet002\\Services\\App").reason == "rule"
    assert compiled.key("SYSTEM", "ControlSet002\\Services\\Other") is None
    assert compiled.value("SYSTEM", "ControlSet002\\Control", "X").reason == "rule"
    assert compiled.key("SYSTEM", "ControlSet001\\Services\\Other").reason == "machine_state"


@pytest.mark.parametrize(
    "bad",
    [
        "text",
        {},
        {"path": "x", "key": "y"},
        {"path": "x", "value": "y"},
        {"value": "y"},
        {"path": "x", "action": "drop"},
        {"path": "x", "other": "y"},
        {"path": 5},
        {"path": "D:\\x"},
        {"path": ""},
        {"path": "C:\\"},
        {"path": "a\\\\b"},
        {"path": "a**\\b"},
        {"key": "\\"},
        {"path": "x\\" * 70 + "y"},
        {"path": "C:App"},
        {"path": "%ProgramData%\\App"},
        {"path": "App\\a|b"},
        {"key": "HKCU\\Software\\App"},
        {"key": "HKLM"},
        {"key": "App"},
    ],
)
def test_parse_rules_invalid_rule_is_rejected(bad):
    with pytest.raises(InvalidInput) as caught:
        parse_rules([{"path": "fine"}, bad])
    assert caught.value.code == "capture.rule"
    assert caught.value.details["rule"] == 2


def test_parse_rules_too_many_rules_are_rejected():
    with pytest.raises(InvalidInput) as caught:
        parse_rules([{"path": "x"}] * 2001)
    assert caught.value.code == "capture.rules"


def test_windows_rules_of_a_real_hive():
    """The hive that comes with dissect.regf: entries are taken, and none hits what installers bring."""
    system = read_hive(sample_bytes("dissect.regf", "3.14", "tests/_data/SYSTEM.gz"))
    rules = windows_rules(system.key("ControlSet001"))
    compiled = RuleSet(rules, current="ControlSet001")
    assert len(rules) > 10
    assert all(rule.reason == "backup_list" for rule in rules)
    for path in ("pagefile.sys", "hiberfil.sys", "Windows/Minidump/x.dmp", "Windows/softwaredistribution/x/y"):
        assert compiled.file(path), path
    assert compiled.value("SYSTEM", "ControlSet001\\Control\\Session Manager", "PendingFileRenameOperations")
    assert compiled.key("SYSTEM", "MountedDevices")
    for path in (
        "Windows",
        "Windows/System32/app.dll",
        "Program Files/App/app.exe",
        "ProgramData/App",
        "Users/Default/x",
    ):
        assert compiled.file(path) is None, path
    for key in (
        "ControlSet001\\Services\\App",
        "ControlSet001\\Control",
        "ControlSet001\\Control\\Session Manager\\Environment",
    ):
        assert compiled.key("SYSTEM", key) is None, key


def test_windows_rules_invalid_entries_are_ignored():
    hive = Hive.new("SYSTEM")
    key = hive.root.create("ControlSet001\\Control\\BackupRestore\\FilesNotToBackup")
    for number, text in enumerate(
        ["*", "\\*", "%unknown%\\*", "D:\\x", "a:b", "\\a\\\\b", "%systemroot%\\fine\\* /s", "C:\\also\\*.*", ""]
    ):
        key.set_value(str(number), 7, encode_multi_string([text]))
    key.set_value("binary", 3, b"\0\1")
    hive.root.create("ControlSet001\\Control\\BackupRestore\\KeysNotToRestore").set_value(
        "x",
        7,
        encode_multi_string(
            [
                "CurrentControlSet\\Services\\*",
                "Single",
                "CurrentControlSet\\Enum\\",
                "CurrentControlSet\\Control\\Value",
            ]
        ),
    )
    assert windows_rules(hive.key("ControlSet001")) == [
        Rule("Windows\\fine\\*", "backup_list"),
        Rule("also\\*", "backup_list"),
        Rule("SYSTEM\\CurrentControlSet\\Enum", "backup_list", True),
        Rule("SYSTEM\\CurrentControlSet\\Control", "backup_list", True, "Value"),
    ]


def test_left_out_report_counts_and_has_the_first_examples():
    left_out = LeftOut(examples=3)
    for number in range(10):
        left_out.add("file", "temporary", f"file {number}", "Windows\\Temp\\*")
    left_out.add("key", "hardware", "SYSTEM\\x")
    assert left_out.report() == [
        {
            "kind": "file",
            "reason": "temporary",
            "count": 10,
            "examples": ["file 0", "file 1", "file 2"],
            "rules": ["Windows\\Temp\\*"],
        },
        {"kind": "key", "reason": "hardware", "count": 1, "examples": ["SYSTEM\\x"], "rules": []},
    ]


def test_rule_set_finds_keys_below_which_nothing_can_be_included():
    rules = parse_rules(
        [
            {"key": "SOFTWARE\\App"},
            {"key": "SOFTWARE\\App\\Kept\\*", "action": "include"},
            {"key": "SOFTWARE\\App\\Values", "value": "x", "action": "include"},
        ]
    )
    compiled = RuleSet(rules)
    found = {
        path: compiled.may_include_below("SOFTWARE", path)
        for path in ("App", "App\\Kept", "App\\Kept\\x\\y", "App\\Values")
    }
    assert set(found.values()) == {True}
    found = {
        path: compiled.may_include_below("SOFTWARE", path) for path in ("Other", "App\\Other", "App\\Values\\below")
    }
    assert set(found.values()) == {False}
