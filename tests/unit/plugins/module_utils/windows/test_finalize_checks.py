# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check of the finalize gate, by what makes it fail."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.windows.finalize_checks import CHECKS, check_finalized
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    encode_multi_string,
    encode_string,
)
from ansible_collections.strata.layering.tests.support.captured import changed_windows, make_machine
from ansible_collections.strata.layering.tests.support.registry_data import encode_dword

_CURRENT = "Microsoft\\Windows\\CurrentVersion\\"
_MANAGER = "ControlSet001\\Control\\Session Manager"


@pytest.fixture(name="disk", scope="module")
def _disk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gate")
    make_machine(str(folder / "raw"))
    with FileDevice(str(folder / "raw")) as device:
        yield device, str(folder)


def findings(windows) -> dict[str, dict]:
    return {finding["name"]: finding for finding in check_finalized(windows)}


def test_a_machine_in_order(disk):
    with changed_windows(*disk, files=["Windows/Setup/Scripts/kmsdir"]) as windows:
        found = findings(windows)
    assert list(found) == list(CHECKS)
    assert {name: finding["result"] for name, finding in found.items()} == dict.fromkeys(CHECKS, "pass")
    assert not any(finding["action"] for finding in found.values())


TEXT = (1, encode_string("x"))


@pytest.mark.parametrize(
    ("name", "result", "changes", "mentioned"),
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
            "warn",
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
            "C:\\two, C:\\three",
        ),
        (
            "pending_renames",
            "warn",
            {"system": {_MANAGER: {"PendingFileRenameOperations2": (7, encode_multi_string(["\\??\\C:\\x"]))}}},
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
        ("ngen_needed", "warn", {"software": {"Microsoft\\.NETFramework\\NGenQueue\\WIN64\\Default\\0": {}}}, "1 .NET"),
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
        ("sms_configuration", "pass", {"files": ["Windows/SMSCFG.INI"]}, "no Configuration"),
        ("kmsdir", "warn", {}, "missing"),
        ("kms_policy", "warn", {"files": ["Windows/Setup/Scripts/kmsdir/kmssetup.cmd"]}, "no startup script"),
        (
            "kms_policy",
            "pass",
            {"files": ["Windows/Setup/Scripts/kmsdir/kmssetup.cmd", "Windows/System32/Tasks/strata.layering/startup"]},
            "startup task",
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
            "startup",
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
            "one and two both at 5",
        ),
    ],
)
def test_check(disk, name, result, changes, mentioned):
    with changed_windows(*disk, **changes) as windows:
        found = findings(windows)[name]
    assert found["result"] == result and mentioned in found["found"] and bool(found["action"]) == (result != "pass"), (
        found
    )
