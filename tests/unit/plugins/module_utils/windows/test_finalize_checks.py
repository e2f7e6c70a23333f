# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every finalize check, with the changes of a disk that make it fail."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.windows.finalize_checks import CHECKS, check_finalized
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    encode_multi_string,
    encode_string,
)
from ansible_collections.strata.layering.tests.support.captured import changed_windows, make_windows_disk
from ansible_collections.strata.layering.tests.support.registry_data import encode_dword

_CURRENT = "Microsoft\\Windows\\CurrentVersion\\"
_SYSPREP = "Setup\\Status\\SysprepStatus"
_MANAGER = "ControlSet001\\Control\\Session Manager"


@pytest.fixture(name="disk", scope="module")
def _disk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gate")
    make_windows_disk(str(folder / "raw"))
    with FileDevice(str(folder / "raw")) as device:
        yield device, str(folder)


def findings(windows) -> dict[str, dict]:
    return {finding["name"]: finding for finding in check_finalized(windows)}


def test_finalize_checks_pass_for_an_unchanged_disk(disk):
    with changed_windows(*disk, files=["Windows/Setup/Scripts/kmsdir"]) as windows:
        found = findings(windows)
    assert list(found) == list(CHECKS)
    assert {name: finding["result"] for name, finding in found.items()} == dict.fromkeys(CHECKS, "pass")
    assert not any(finding["action"] for finding in found.values())


TEXT = (1, encode_string("x"))


@pytest.mark.parametrize(
    ("name", "result", "changes", "fact"),
    [
        (
            "reboot",
            "fail",
            {"software": {_CURRENT + "Component Based Servicing\\PackagesPending": {}}},
            "PackagesPending",
        ),
        (
            "reboot",
            "fail",
            {
                "software": {
                    _CURRENT + "Component Based Servicing\\SessionsPending": {"Exclusive": (4, encode_dword(3))}
                }
            },
            "Exclusive",
        ),
        ("reboot", "fail", {"software": {_CURRENT + "WindowsUpdate\\Services\\Pending\\{1}": {}}}, "Services Pending"),
        ("reboot", "fail", {"files": ["Windows/WinSxS/pending.xml"]}, "pending.xml"),
        ("reboot", "fail", {"system": {"ControlSet001\\Services\\Netlogon": {"JoinDomain": TEXT}}}, "JoinDomain"),
        (
            "pending_renames",
            "fail",
            {
                "system": {
                    _MANAGER: {
                        "PendingFileRenameOperations": (
                            7,
                            "\\??\\C:\\Config.Msi\\1.rbf\0\0\\??\\C:\\two\0!\\??\\C:\\three\0\0".encode("utf-16-le"),
                        )
                    }
                }
            },
            ": C:\\three",
        ),
        (
            "pending_renames",
            "warn",
            {"system": {_MANAGER: {"PendingFileRenameOperations2": (7, "\\??\\C:\\x\0\0\0".encode("utf-16-le"))}}},
            "C:\\x",
        ),
        ("installer", "fail", {"software": {_CURRENT + "Installer\\InProgress": {}}}, "InProgress"),
        (
            "installer",
            "fail",
            {"software": {_CURRENT + "Installer\\Rollback\\Scripts": {"C:\\x.rbs": (4, encode_dword(1))}}},
            "Rollback",
        ),
        ("installer", "fail", {"files": ["Config.Msi/1a.rbs"]}, "Config.Msi"),
        ("installer", "fail", {"files": ["Windows/Installer/inprogressinstallinfo.ipi"]}, "ipi"),
        ("run_once", "fail", {"software": {_CURRENT + "RunOnce": {"Setup": TEXT}}}, "Setup"),
        ("run_once", "fail", {"software": {"WOW6432Node\\" + _CURRENT + "RunOnce": {"Setup32": TEXT}}}, "Setup32"),
        ("run_once", "fail", {"software": {_CURRENT + "RunOnceEx\\0001": {"1": TEXT}}}, "RunOnceEx\\0001"),
        ("ngen_needed", "warn", {"software": {"Microsoft\\.NETFramework\\NGenQueue\\WIN64\\Default\\0": {}}}, "1 "),
        (
            "windows_upgrade",
            "fail",
            {"system": {"Setup": {"SystemSetupInProgress": (4, encode_dword(1))}}},
            "SystemSetupInProgress",
        ),
        (
            "windows_upgrade",
            "fail",
            {"software": {_CURRENT + "Setup\\State": {"ImageState": (1, encode_string("IMAGE_STATE_UNDEPLOYABLE"))}}},
            "UNDEPLOYABLE",
        ),
        ("windows_upgrade", "fail", {"files": ["$WINDOWS.~BT/Sources/SetupHost.exe"]}, "$WINDOWS.~BT/Sources"),
        (
            "sysprep_state",
            "fail",
            {"system": {_SYSPREP: {"GeneralizationState": (4, encode_dword(3))}}},
            "3 instead of 7",
        ),
        ("sysprep_state", "fail", {"system": {_SYSPREP: {"CleanupState": (4, encode_dword(1))}}}, "1 instead of 2"),
        (
            "sysprep_state",
            "pass",
            {"system": {_SYSPREP: {"GeneralizationState": (4, encode_dword(7)), "CleanupState": (4, encode_dword(2))}}},
            "",
        ),
        (
            "sysprep_state",
            "fail",
            {
                "software": {
                    _CURRENT + "Setup\\State": {
                        "ImageState": (1, encode_string("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"))
                    }
                }
            },
            "GENERALIZE_RESEAL_TO_OOBE",
        ),
        (
            "sysprep_state",
            "fail",
            {
                "system": {
                    "Setup": {"SetupType": (4, encode_dword(2)), "CmdLine": (1, encode_string("oobe\\windeploy.exe"))}
                }
            },
            "windeploy.exe",
        ),
        (
            "domain_joined",
            "fail",
            {
                "system": {
                    "ControlSet001\\Services\\Tcpip\\Parameters": {"Domain": (1, encode_string("corp.example.com"))},
                    "ControlSet001\\Services\\Netlogon": {"Start": (4, encode_dword(2))},
                }
            },
            "corp.example.com",
        ),
        (
            "domain_joined",
            "fail",
            {"system": {"ControlSet001\\Control\\CloudDomainJoin\\JoinInfo\\0A1B": {}}},
            "Entra",
        ),
        # A DNS suffix alone does not mean that Windows is joined.
        (
            "domain_joined",
            "pass",
            {
                "system": {
                    "ControlSet001\\Services\\Tcpip\\Parameters": {"Domain": (1, encode_string("corp.example.com"))},
                    "ControlSet001\\Services\\Netlogon": {"Start": (4, encode_dword(3))},
                }
            },
            "",
        ),
        (
            "boot_execute",
            "warn",
            {"system": {_MANAGER: {"BootExecute": (7, encode_multi_string(["autocheck autochk *", "other.exe"]))}}},
            "other.exe",
        ),
        (
            "sms_configuration",
            "fail",
            {
                "files": ["Windows/SMSCFG.INI"],
                "system": {
                    "ControlSet001\\Services\\CcmExec": {
                        "Start": (4, encode_dword(2)),
                        "ImagePath": (1, encode_string("ccmexec")),
                    }
                },
            },
            "SMSCFG",
        ),
        ("sms_configuration", "pass", {"files": ["Windows/SMSCFG.INI"]}, ""),
        ("kmsdir", "warn", {}, "kmsdir"),
        ("kms_policy", "warn", {"files": ["Windows/Setup/Scripts/kmsdir/kmssetup.cmd"]}, "kmssetup.cmd"),
        (
            "kms_policy",
            "pass",
            {"files": ["Windows/Setup/Scripts/kmsdir/kmssetup.cmd", "Windows/System32/Tasks/strata.layering/startup"]},
            "kmssetup.cmd",
        ),
        (
            "kms_policy",
            "pass",
            {
                "files": ["Windows/Setup/Scripts/kmsdir/kmssetup.cmd"],
                "software": {
                    _CURRENT + "Group Policy\\Scripts\\Startup\\0\\0": {
                        "Script": (1, encode_string("C:\\Windows\\Setup\\scripts\\kmsdir\\KMSSETUP.CMD"))
                    }
                },
            },
            "kmssetup.cmd",
        ),
        ("no_done_markers", "fail", {"files": ["Windows/Setup/Scripts/kmsdir/office_done"]}, "office_done"),
        (
            "filter_altitudes",
            "warn",
            {"system": {"ControlSet001\\Services\\frxdrvvt\\Instances\\a": {"Altitude": (1, encode_string("138010"))}}},
            "132700",
        ),
        (
            "filter_altitudes",
            "warn",
            {
                "system": {
                    "ControlSet001\\Services\\one\\Instances\\a": {"Altitude": (1, encode_string("5"))},
                    "ControlSet001\\Services\\two\\Instances\\a": {"Altitude": (1, encode_string("5"))},
                }
            },
            "one and two both",
        ),
    ],
)
def test_finalize_check_changed_disk_gives_the_result(disk, name, result, changes, fact):
    with changed_windows(*disk, **changes) as windows:
        finding = findings(windows)[name]
    assert finding["result"] == result
    assert fact in finding["found"]
    assert bool(finding["action"]) == (result != "pass")
