# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named checks of whether a packaging machine is in a state that can be captured.

They are the checks that administrators of layered images know from "Shutdown for Finalize", as far as they are
possible on an offline disk. A volume that is dirty or hibernated is rejected before the checks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ..common.errors import Corrupt, NotFound
from ..common.findings import FAIL, PASS, WARN, Finding
from ..winregistry.registry_values import decode_multi_string, decode_string
from .installation import WindowsInstallation, exists
from .readiness import done_markers, membership, pending_renames, reboot_signs, shown

KMSDIR = "Windows/Setup/Scripts/kmsdir"
#: The startup task that the OS machine tools create.
STARTUP_TASK = "Windows/System32/Tasks/strata.layering/startup"
_CURRENT = "Microsoft\\Windows\\CurrentVersion\\"
_FRAMEWORKS = ("", "WOW6432Node\\")
#: Altitudes of FSLogix filters (Microsoft Learn, "Allocated filter altitudes").
_ALTITUDES = {"frxdrvvt": "132700"}


def check_finalized(windows: WindowsInstallation) -> list[dict[str, Any]]:
    """Run every check; return the findings, JSON-compatible, in the order of ``CHECKS``."""
    return [asdict(Finding(name, *check(windows))) for name, check in CHECKS.items()]


def _reboot(windows: WindowsInstallation) -> tuple[str, ...]:
    signs = reboot_signs(windows)
    if signs:
        return (
            FAIL,
            "a restart is pending: " + ", ".join(signs),
            "Restart the packaging machine until no restart is pending, then shut it down.",
        )
    return PASS, "no restart is pending"


def _renames(windows: WindowsInstallation) -> tuple[str, ...]:
    return pending_renames(windows).finding("packaging machine")


def _installer(windows: WindowsInstallation) -> tuple[str, ...]:
    signs = []
    for prefix in _FRAMEWORKS:
        if windows.software.root.key(f"{prefix}{_CURRENT}Installer\\InProgress"):
            signs.append("Installer\\InProgress")
    if windows.software.root.key(f"{_CURRENT}Installer\\Rollback\\Scripts") is not None and _has_values(
        windows, f"{_CURRENT}Installer\\Rollback\\Scripts"
    ):
        signs.append("Installer\\Rollback")
    if exists(windows.volume, "Windows/Installer/inprogressinstallinfo.ipi"):
        signs.append("inprogressinstallinfo.ipi")
    leftovers = _names(windows, "Config.Msi", (".rbs", ".rbf"))
    if leftovers:
        signs.append(f"{len(leftovers)} rollback files in Config.Msi")
    if signs:
        return (
            FAIL,
            "an MSI installation is in progress: " + ", ".join(signs),
            "Wait until the installation ends, or restart the packaging machine, then shut it down.",
        )
    return PASS, "no MSI installation is in progress"


def _has_values(windows: WindowsInstallation, path: str) -> bool:
    key = windows.software.root.key(path)
    return key is not None and bool(len(key.values) or len(key.subkeys))


def _run_once(windows: WindowsInstallation) -> tuple[str, ...]:
    found = []
    for prefix in _FRAMEWORKS:
        for name in ("RunOnce", "RunOnceEx"):
            key = windows.software.root.key(f"{prefix}{_CURRENT}{name}")
            if key is not None:
                found += [
                    value.name or "(default)" for value in key.values.values() if value.name and decode_string(value)
                ]
                found += [f"{name}\\{below}" for below in key.subkeys]
    if found:
        return (
            FAIL,
            f"{len(found)} RunOnce entries have not run: {shown(found)}",
            "Log on to the packaging machine as an administrator, so that they run, then shut it down.",
        )
    return PASS, "no RunOnce entry is pending"


def _ngen(windows: WindowsInstallation) -> tuple[str, ...]:
    queued = 0
    for platform in ("WIN32", "WIN64"):
        key = windows.software.root.key(f"Microsoft\\.NETFramework\\NGenQueue\\{platform}\\Default")
        queued += len(key.subkeys) if key is not None else 0
    if queued:
        return (
            WARN,
            f"{queued} .NET assemblies are queued for compilation",
            "Run 'ngen executequeueditems' of Framework and Framework64 v4.0.30319, then shut down.",
        )
    return PASS, "no .NET assembly is queued for compilation"


def _upgrade(windows: WindowsInstallation) -> tuple[str, ...]:
    setup = windows.system.root.key("Setup")
    signs = [
        name
        for name in ("SystemSetupInProgress", "OOBEInProgress", "UpgradeInProgress")
        if windows.setting(setup, name) == 1
    ]
    state = windows.facts()["image_state"]
    if state not in (None, "IMAGE_STATE_COMPLETE"):
        signs.append(str(state))
    for folder in ("$WINDOWS.~BT/Sources/SetupHost.exe", "$WINDOWS.~BT/NewOS"):
        if exists(windows.volume, folder):
            signs.append(folder.rpartition("/")[0])
            break
    if signs:
        return (
            FAIL,
            "Windows is being set up or upgraded: " + ", ".join(signs),
            "Wait until Windows Setup ends, or delete C:\\$WINDOWS.~BT with Disk Cleanup.",
        )
    return PASS, "no Windows upgrade is in progress"


def _sysprep_state(windows: WindowsInstallation) -> tuple[str, ...]:
    """Find a Windows installation that Sysprep generalized, or in which Sysprep failed.

    Windows starts with Setup then, which re-creates what layers contain. GeneralizationState is 7 and CleanupState is 2
    while Sysprep is not used; Cloudbase-Init waits for the former at a first start. SetupType 2 starts the program of
    CmdLine instead of the logon (both are knowledge of deployment tools, not documented by Microsoft).
    """
    signs = []
    state = str(windows.facts()["image_state"] or "")
    if "GENERALIZE" in state or "UNDEPLOYABLE" in state:
        signs.append(f"ImageState {state}")
    setup = windows.system.root.key("Setup")
    status = windows.system.root.key("Setup\\Status\\SysprepStatus")
    for name, normal in (("GeneralizationState", 7), ("CleanupState", 2)):
        value = windows.setting(status, name)
        if value not in (None, 0, normal):
            signs.append(f"{name} {value} instead of {normal}")
    if windows.setting(setup, "SetupType") and windows.setting(setup, "CmdLine"):
        signs.append(f"SetupType {windows.setting(setup, 'SetupType')}, which runs {windows.setting(setup, 'CmdLine')}")
    if signs:
        return (
            FAIL,
            "Sysprep generalized Windows or was interrupted: " + ", ".join(signs),
            "Create the packaging machine again and do not run Sysprep in it. Images are generalized when VMs are cloned.",
        )
    return PASS, "Sysprep was not run"


def _domain_joined(windows: WindowsInstallation) -> tuple[str, ...]:
    """Find the account of the packaging machine in a domain.

    The secret of the account and the SID of the domain are in hives that no layer contains, so that a layer would have
    one half of it. This holds for platform layers as well: Horizon joins its clones.
    """
    joined = membership(windows)
    if joined:
        return (
            FAIL,
            f"the packaging machine is joined to {joined}",
            "Remove the packaging machine from it, restart it and shut it down. Horizon joins its clones to the domain.",
        )
    return PASS, "the packaging machine is not joined to a domain"


def _sms(windows: WindowsInstallation) -> tuple[str, ...]:
    start, image = windows.service("CcmExec")
    if image and start != 4 and exists(windows.volume, "Windows/SMSCFG.INI"):
        return (
            FAIL,
            "the Configuration Manager client will start, and SMSCFG.INI gives every image the same identity",
            "Stop CcmExec, delete C:\\Windows\\SMSCFG.INI and the certificates in the store SMS.",
        )
    return PASS, "there is no Configuration Manager identity"


def _kmsdir(windows: WindowsInstallation) -> tuple[str, ...]:
    if not exists(windows.volume, KMSDIR):
        return (
            WARN,
            "C:\\Windows\\Setup\\Scripts\\kmsdir is missing",
            "Restore the folder if images are activated with a volume license (KMS).",
        )
    return PASS, "kmsdir exists"


def _kms_policy(windows: WindowsInstallation) -> tuple[str, ...]:
    if not exists(windows.volume, f"{KMSDIR}/kmssetup.cmd"):
        return PASS, "kmssetup.cmd is not used"
    if exists(windows.volume, STARTUP_TASK):
        return PASS, "a startup task runs kmssetup.cmd"
    scripts = windows.software.root.key("Microsoft\\Windows\\CurrentVersion\\Group Policy\\Scripts\\Startup")
    for _path, key in scripts.walk() if scripts is not None else ():
        if "kmssetup.cmd" in (decode_string(key.value("Script")) or "").lower():
            return PASS, "kmssetup.cmd is a startup script"
    return (
        WARN,
        "kmssetup.cmd exists, but no startup script or task runs it",
        "Run install.cmd of the OS machine tools in the OS machine.",
    )


def _markers(windows: WindowsInstallation) -> tuple[str, ...]:
    markers = done_markers(windows)
    if markers:
        return (
            FAIL,
            "kmssetup.cmd has run already: " + shown(markers),
            "Delete the *_done files below C:\\Windows\\Setup\\Scripts\\kmsdir.",
        )
    return PASS, "no *_done files"


def _altitudes(windows: WindowsInstallation) -> tuple[str, ...]:
    wrong: list[str] = []
    taken: dict[str, str] = {}
    services = windows.control.key("Services")
    for name, service in services.subkeys.items() if services is not None else ():
        instances = service.key("Instances")
        for key in instances.subkeys.values() if instances is not None else ():
            altitude = decode_string(key.value("Altitude"))
            if altitude is None:
                continue
            other = taken.setdefault(altitude, name)
            if other != name:
                wrong.append(f"{other} and {name} both have {altitude}")
            assigned = _ALTITUDES.get(name.lower())
            if assigned is not None and altitude != assigned:
                wrong.append(f"{name} has {altitude} instead of {assigned}")
    if wrong:
        return (
            WARN,
            "file system filters have wrong altitudes: " + shown(wrong),
            "Install the current version of the product that the filter belongs to.",
        )
    return PASS, "no file system filter has a wrong altitude"


def _boot_execute(windows: WindowsInstallation) -> tuple[str, ...]:
    manager = windows.control.key("Control\\Session Manager")
    commands = [
        text
        for name in ("BootExecute", "SetupExecute")
        for text in (decode_multi_string(manager.value(name)) or () if manager is not None else ())
    ]
    unusual = [text for text in commands if text.strip().lower() != "autocheck autochk *"]
    if unusual:
        return (
            WARN,
            "programs will run before Windows at the next start: " + shown(unusual),
            "Restart the packaging machine, so that they run, then shut it down.",
        )
    return PASS, "no program runs before Windows at the next start"


def _names(windows: WindowsInstallation, folder: str, endings: tuple[str, ...]) -> list[str]:
    try:
        node = windows.volume.find(folder)
    except (Corrupt, NotFound):
        return []
    if node is None:
        return []
    with node:
        return (
            [child.name for child in node.children() if child.name.lower().endswith(endings)]
            if node.is_directory
            else []
        )


CHECKS: dict[str, Callable[[WindowsInstallation], tuple[str, ...]]] = {
    "reboot": _reboot,
    "pending_renames": _renames,
    "installer": _installer,
    "run_once": _run_once,
    "ngen_needed": _ngen,
    "windows_upgrade": _upgrade,
    "sysprep_state": _sysprep_state,
    "domain_joined": _domain_joined,
    "boot_execute": _boot_execute,
    "sms_configuration": _sms,
    "kmsdir": _kmsdir,
    "kms_policy": _kms_policy,
    "no_done_markers": _markers,
    "filter_altitudes": _altitudes,
}
