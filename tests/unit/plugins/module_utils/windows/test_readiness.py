# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every readiness check, with the changes of a disk that decide its result."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.windows.readiness import (
    CHECKS,
    DiskFacts,
    check_readiness,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    encode_string,
)
from ansible_collections.strata.layering.tests.support.captured import changed_windows, make_windows_disk
from ansible_collections.strata.layering.tests.support.registry_data import encode_dword

_CURRENT = "Microsoft\\Windows\\CurrentVersion\\"
_SERVICES = "ControlSet001\\Services\\"
_MANAGER = "ControlSet001\\Control\\Session Manager"
_CI = "ControlSet001\\Control\\CI\\Policy"
_DISK = DiskFacts(20 << 30, "uefi", False)
_TEXT = (1, encode_string("x"))


def _number(value: int) -> tuple[int, bytes]:
    return 4, encode_dword(value)


@pytest.fixture(name="disk", scope="module")
def _disk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readiness")
    make_windows_disk(str(folder / "raw"))
    with FileDevice(str(folder / "raw")) as device:
        yield device, str(folder)


def _findings(windows, disk: DiskFacts = _DISK) -> dict[str, dict]:
    return {finding["name"]: finding for finding in check_readiness(windows, disk)}


def _renames(*paths: str) -> dict:
    value = "".join(path + "\0" for path in (*paths, "")).encode("utf-16-le")
    return {"system": {_MANAGER: {"PendingFileRenameOperations": (7, value)}}}


_STORE = "{3808876b-c176-4e48-b7ae-04046e6cc752}"
_POLICY = "Policies\\Microsoft\\Windows\\WindowsUpdate\\AU"
_ON = {"software": {_POLICY: {"NoAutoUpdate": _number(0)}}, "system": {_SERVICES + "wuauserv": {"Start": _number(3)}}}
_DOMAIN = {_SERVICES + "Tcpip\\Parameters": {"Domain": (1, encode_string("example.org"))}}


@pytest.mark.parametrize(
    ("name", "result", "changes", "fact"),
    [
        ("vmxnet3", "fail", {}, "vmxnet3ndis6"),
        (
            "vmxnet3",
            "fail",
            {"system": {_SERVICES + "vmxnet3ndis6": {"Start": _number(3), "ImagePath": _TEXT}}},
            "vmxnet3ndis6",
        ),
        (
            "vmxnet3",
            "pass",
            {
                "system": {_SERVICES + "vmxnet3ndis6": {"Start": _number(3), "ImagePath": _TEXT}},
                "files": ["Windows/System32/drivers/vmxnet3.sys"],
            },
            "vmxnet3ndis6",
        ),
        (
            "vmware_tools",
            "fail",
            {"system": {_SERVICES + "VMTools": {"ImagePath": (1, encode_string(""))}}},
            "VMTools",
        ),
        ("boot_controllers", "warn", {"system": {_SERVICES + "storahci": {"Start": _number(3)}}}, ""),
        # One controller is common; every publish compares it with the VM template.
        (
            "boot_controllers",
            "pass",
            {
                "system": {_SERVICES + "storahci": {"Start": _number(0)}},
                "files": ["Windows/System32/drivers/storahci.sys"],
            },
            "ahci",
        ),
        ("updates_off", "warn", _ON, ""),
        ("updates_off", "pass", {"software": {_POLICY: {"NoAutoUpdate": _number(1)}}, "system": _ON["system"]}, ""),
        (
            "updates_off",
            "pass",
            {"software": _ON["software"], "system": {_SERVICES + "wuauserv": {"Start": _number(4)}}},
            "",
        ),
        (
            "pending_reboot",
            "fail",
            {"software": {_CURRENT + "Component Based Servicing\\PackagesPending": {}}},
            "PackagesPending",
        ),
        ("pending_reboot", "fail", {"files": ["Windows/WinSxS/pending.xml"]}, "pending.xml"),
        ("pending_reboot", "fail", {"system": {_SERVICES + "Netlogon": {"AvoidSpnSet": _number(1)}}}, "AvoidSpnSet"),
        # An installer could not replace three, which is in use.
        ("pending_renames", "fail", _renames("\\??\\C:\\one", "", "\\??\\C:\\two", "!\\??\\C:\\three"), ": C:\\three"),
        ("pending_renames", "fail", _renames("*1\\??\\C:\\x.tmp", "*1\\??\\C:\\x.dll"), ": C:\\x.dll"),
        ("pending_renames", "warn", _renames("\\??\\C:\\one", "", "*2\\??\\C:\\two", ""), "C:\\one, C:\\two"),
        ("pending_renames", "warn", _renames("\\??\\C:\\old", "\\??\\C:\\Windows\\Temp\\1"), "C:\\old"),
        ("pending_renames", "pass", _renames(), ""),
        (
            "pending_renames",
            "warn",
            {
                "system": {
                    _MANAGER: {
                        "PendingFileRenameOperations2": (
                            7,
                            "\\??\\C:\\\ud800\0\0\0".encode("utf-16-le", "surrogatepass"),
                        )
                    }
                }
            },
            "\ufffd",
        ),
        ("pending_reboot", "pass", {"system": {_MANAGER: {"PendingFileRenameOperations": _TEXT}}}, ""),
        ("hibernation_off", "warn", {"files": ["hiberfil.sys"]}, ""),
        (
            "not_domain_joined",
            "fail",
            {"system": _DOMAIN | {_SERVICES + "Netlogon": {"Start": _number(2)}}},
            "example.org",
        ),
        ("not_domain_joined", "fail", {"system": _DOMAIN}, "example.org"),
        (
            "not_domain_joined",
            "pass",
            {"system": _DOMAIN | {_SERVICES + "Netlogon": {"Start": _number(3)}}},
            "example.org",
        ),
        (
            "not_domain_joined",
            "fail",
            {"system": {"ControlSet001\\Control\\CloudDomainJoin\\JoinInfo\\0A1B": {}}},
            "Entra",
        ),
        (
            "shadow_copies",
            "warn",
            {"files": ["System Volume Information/{7fb7c153-587b-11e1-81c6-8e766726f236}" + _STORE.upper()]},
            "1 shadow copy",
        ),
        # The catalog alone has no shadow copy.
        (
            "shadow_copies",
            "pass",
            {"files": ["System Volume Information/" + _STORE, "System Volume Information/a.log"]},
            "",
        ),
        ("smart_app_control", "warn", {"system": {_CI: {"VerifiedAndReputablePolicyState": _number(1)}}}, "enforced"),
        ("smart_app_control", "warn", {"system": {_CI: {"VerifiedAndReputablePolicyState": _number(2)}}}, "evaluation"),
        ("smart_app_control", "pass", {"system": {_CI: {"VerifiedAndReputablePolicyState": _number(0)}}}, ""),
        ("update_client_id", "warn", {"software": {_CURRENT + "WindowsUpdate": {"SusClientId": _TEXT}}}, "SusClientId"),
        ("setup_complete", "warn", {"system": {"Setup": {"SystemSetupInProgress": _number(1)}}}, ""),
        ("no_done_markers", "fail", {"files": ["Windows/Setup/Scripts/kmsdir/runato_done"]}, "runato_done"),
    ],
)
def test_readiness_check_changed_disk_gives_the_result(disk, name, result, changes, fact):
    with changed_windows(*disk, **changes) as windows:
        found = _findings(windows)
    assert list(found) == list(CHECKS)
    finding = found[name]
    assert finding["result"] == result
    assert fact in finding["found"]
    assert bool(finding["action"]) == (result != "pass")


def test_readiness_facts_of_the_disk(disk):
    with changed_windows(*disk) as windows:
        found = _findings(windows, DiskFacts(9 << 30, "bios", True))
    assert {name: found[name]["result"] for name in ("free_space", "firmware", "recovery_partition")} == {
        "free_space": "warn",
        "firmware": "pass",
        "recovery_partition": "warn",
    }
    assert "9.0 GiB" in found["free_space"]["found"]
    assert "BIOS" in found["firmware"]["found"]
