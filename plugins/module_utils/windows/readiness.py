# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Named checks of whether an offline Windows installation is suitable as an OS layer.

Each check returns a finding and, if it did not pass, the action to take. A disk that
cannot be imported at all (hibernated, encrypted, dirty) is rejected before the checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from ..common.counting import counted
from ..common.findings import FAIL, PASS, WARN, Finding
from .boot_controllers import boot_controllers
from .installation import WindowsInstallation, exists

#: Windows needs free space for servicing, and layers need space as well.
MIN_FREE_BYTES = 10 << 30
#: Start types of services. Netlogon starts automatically in a domain, and on demand after leaving the domain.
ON_DEMAND, DISABLED = 3, 4
_LISTED = 5
#: The name of files of shadow copies ends with the GUID of the driver volsnap.
_SHADOW_COPY = "{3808876b-c176-4e48-b7ae-04046e6cc752}"
#: What precedes the drive of a path of a pending rename.
_PREFIX = re.compile(r"^[^A-Za-z\\]*\\\?\?\\")
#: A file that is renamed to such a folder is out of use. Windows Installer keeps files for a rollback in Config.Msi.
_TEMPORARY = re.compile(r"\\(te?mp|config\.msi|\$recycle\.bin)\\", re.IGNORECASE)


@dataclass(frozen=True)
class DiskFacts:
    """Facts for the checks that the volume does not contain.

    ``recovery_partition`` is true if a partition is behind that of Windows, ``size_accepted`` if an option sets the size
    that the disk keeps therefore.
    """

    free_bytes: int
    firmware: str
    recovery_partition: bool
    size_accepted: bool = False


def check_readiness(windows: WindowsInstallation, disk: DiskFacts) -> list[dict[str, Any]]:
    """Run every check; return the findings, JSON-compatible, in the order of ``CHECKS``."""
    return [asdict(Finding(name, *check(windows, disk))) for name, check in CHECKS.items()]


def _windows_version(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    facts = windows.facts()
    found = f"{facts['product_name'] or 'Windows'} {facts['display_version'] or ''}, build {facts['build']}.{facts['revision']}, {facts['architecture']}"
    if facts["build"] is None:
        return (
            FAIL,
            found,
            "Start the OS machine, check that Windows works, shut it down and export it again: the hive SOFTWARE has no version.",
        )
    if facts["architecture"] is None:
        return (
            FAIL,
            found,
            "Start the OS machine and set the environment variable PROCESSOR_ARCHITECTURE of the system: neither it nor "
            "cmd.exe, ntdll.dll, kernel32.dll and ntoskrnl.exe show the architecture of Windows.",
        )
    if facts["architecture"] != "x64":
        return FAIL, found, "Use a 64-bit (x64) edition of Windows."
    return PASS, found


def _vmxnet3(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    start, image = windows.service("vmxnet3ndis6")
    driver = exists(windows.volume, "Windows/System32/drivers/vmxnet3.sys")
    if start is not None and image and driver:
        return PASS, "the driver vmxnet3ndis6 is installed"
    return (
        FAIL,
        "the driver vmxnet3ndis6 is not installed",
        "Install VMware Tools and use a VMXNET3 adapter in the OS machine.",
    )


def _vmware_tools(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    image = windows.service("VMTools")[1]
    if image:
        return PASS, f"the service VMTools runs {image}"
    return FAIL, "the service VMTools is not installed", "Install VMware Tools in the OS machine."


def _updates_off(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    policy = windows.in_software("Policies\\Microsoft\\Windows\\WindowsUpdate\\AU", "NoAutoUpdate")
    start = windows.service("wuauserv")[0]
    if policy == 1 or start == DISABLED:
        return PASS, "automatic updates are off"
    return (
        WARN,
        "automatic updates are not disabled",
        "Set the policy 'Configure Automatic Updates' to disabled in the OS machine.",
    )


def reboot_signs(windows: WindowsInstallation) -> list[str]:
    """Return the names of the signs that a restart of Windows is pending.

    Pending renames have a check of their own, because virus scanners and browsers always cause some. The keys
    RebootPending and RebootRequired are volatile and rarely on a disk; pending.xml, pending packages and exclusive
    sessions persist.
    """
    servicing = "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\"
    signs = [
        name
        for name in ("RebootPending", "RebootInProgress", "PackagesPending")
        if windows.software.root.key(servicing + name)
    ]
    exclusive = windows.in_software(servicing + "SessionsPending", "Exclusive")
    if exclusive:
        signs.append("SessionsPending Exclusive")
    update = "Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\"
    if windows.software.root.key(update + "Auto Update\\RebootRequired"):
        signs.append("WindowsUpdate RebootRequired")
    pending = windows.software.root.key(update + "Services\\Pending")
    if pending is not None and len(pending.subkeys):
        signs.append("WindowsUpdate Services Pending")
    if windows.in_software("Microsoft\\Updates", "UpdateExeVolatile"):
        signs.append("UpdateExeVolatile")
    netlogon = windows.control.key("Services\\Netlogon")
    signs += [
        name for name in ("JoinDomain", "AvoidSpnSet") if netlogon is not None and netlogon.value(name) is not None
    ]
    if exists(windows.volume, "Windows/WinSxS/pending.xml"):
        signs.append("WinSxS pending.xml")
    return signs


def _pending_reboot(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    signs = reboot_signs(windows)
    if signs:
        return (
            FAIL,
            "a restart is pending: " + ", ".join(signs),
            "Restart the OS machine until nothing is pending, shut it down and export it again.",
        )
    return PASS, "no restart is pending"


@dataclass(frozen=True)
class PendingRenames:
    """The files that Windows changes at the next start.

    ``deleted`` are paths of files that it deletes or moves to a temporary folder, ``replaced`` are paths of files that
    it puts in place.
    """

    deleted: tuple[str, ...]
    replaced: tuple[str, ...]

    def finding(self, subject: str) -> tuple[str, ...]:
        """Return the outcome of the check ``pending_renames`` of ``subject``, such as "OS machine".

        A file that an installer could not replace is still the old file, so it is not ready. Virus scanners and
        browsers always leave files to delete.
        """
        if self.replaced:
            return (
                FAIL,
                "files will be replaced at the next start: " + shown(self.replaced),
                f"Restart the {subject} and shut it down again, so that Windows replaces the files.",
            )
        if self.deleted:
            found = "files will be deleted at the next start: " + shown(self.deleted)
            return WARN, found, f"Restart the {subject} and shut it down again."
        return PASS, "no renames or deletions of files are pending"


def pending_renames(windows: WindowsInstallation) -> PendingRenames:
    """Return the files that Windows renames or deletes at the next start.

    The values contain pairs of paths, source and target; Windows deletes the source if the target is empty (Microsoft
    Learn, "MoveFileEx"). Characters before a path, such as ! for a target that may exist, are not part of it.
    """
    manager = windows.control.key("Control\\Session Manager")
    deleted: list[str] = []
    replaced: list[str] = []
    for name in ("PendingFileRenameOperations", "PendingFileRenameOperations2"):
        value = manager.value(name) if manager is not None else None
        # An empty text is the target of a deletion, so it does not end the list.
        text = value.data[: len(value.data) & ~1].decode("utf-16-le", "replace") if value is not None else ""
        paths = text.split("\0")
        for source, target in zip(paths[::2], paths[1::2]):
            if target and not _TEMPORARY.search(target):
                replaced.append(_PREFIX.sub("", target))
            elif source:
                deleted.append(_PREFIX.sub("", source))
    return PendingRenames(tuple(deleted), tuple(replaced))


def shown(items: Iterable[str]) -> str:
    """Return the first ``items`` as text, with the number of further items."""
    found = list(items)
    return ", ".join(found[:_LISTED]) + (f" and {len(found) - _LISTED} more" if len(found) > _LISTED else "")


def _pending_renames(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    return pending_renames(windows).finding("OS machine")


def _hibernation_off(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    hiberboot = windows.in_system("Control\\Session Manager\\Power", "HiberbootEnabled")
    enabled = windows.in_system("Control\\Power", "HibernateEnabled")
    if exists(windows.volume, "hiberfil.sys") or enabled == 1 and hiberboot == 1:
        return WARN, "hibernation or fast startup is enabled", "Run 'powercfg /h off' in the OS machine."
    return PASS, "hibernation is disabled"


def membership(windows: WindowsInstallation) -> str | None:
    """Return what Windows is joined to, such as "the domain example.org", None if it is not joined.

    The name of the domain is also the DNS suffix of a computer that is not joined; Netlogon is started on demand then.
    Below JoinInfo is a key for the device certificate of a computer that is joined to Microsoft Entra ID; dsregcmd
    shows the same (knowledge that many tools share; Microsoft does not document the key).
    """
    domain = windows.in_system("Services\\Tcpip\\Parameters", "Domain")
    if domain and windows.service("Netlogon")[0] != ON_DEMAND:
        return f"the domain {domain}"
    joined = windows.control.key("Control\\CloudDomainJoin\\JoinInfo")
    if joined is not None and len(joined.subkeys):
        return "Microsoft Entra ID"
    return None


def _not_joined(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    joined = membership(windows)
    if joined:
        return (
            FAIL,
            f"the OS machine is joined to {joined}",
            "Remove the OS machine from it; VMs join when they are cloned from an image.",
        )
    domain = windows.in_system("Services\\Tcpip\\Parameters", "Domain")
    suffix = f"; its DNS suffix is {domain}" if domain else ""
    return PASS, f"the OS machine is not joined to a domain{suffix}"


def _setup_complete(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    state = windows.facts()["image_state"]
    busy = windows.setting(windows.system.root.key("Setup"), "SystemSetupInProgress")
    if state not in (None, "IMAGE_STATE_COMPLETE") or busy:
        finding = f"Windows Setup has not finished ({state or 'setup in progress'})"
        return WARN, finding, "Start the OS machine, let Setup finish, shut it down and export it again."
    return PASS, "Windows Setup has finished"


def _firmware(_windows: WindowsInstallation, disk: DiskFacts) -> tuple[str, ...]:
    return PASS, f"the disk boots with {disk.firmware.upper()}; the connector's VM template must use the same firmware"


def find_boot_controllers(windows: WindowsInstallation) -> tuple[str, ...]:
    """Return the names of the disk controllers of vSphere from which the installation can start."""
    return boot_controllers(windows.control, lambda path: exists(windows.volume, path))


def _boot_controllers(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    found = find_boot_controllers(windows)
    if not found:
        return (
            WARN,
            "Windows has no boot driver for a disk controller of vSphere (pvscsi, lsi_sas, nvme or ahci)",
            "Attach a second disk on the controller of the connector's VM template to the OS machine, start Windows, shut it "
            "down and export it again.",
        )
    needed = "one of these" if len(found) > 1 else "this controller"
    return PASS, f"Windows can start from a disk on {', '.join(found)}; the connector's VM template must have {needed}"


def _free_space(_windows: WindowsInstallation, disk: DiskFacts) -> tuple[str, ...]:
    found = f"{disk.free_bytes / (1 << 30):.1f} GiB are free"
    if disk.free_bytes < MIN_FREE_BYTES:
        return WARN, found, "Increase max_layer_size_gb or free disk space in the OS machine."
    return PASS, found


def _recovery_partition(_windows: WindowsInstallation, disk: DiskFacts) -> tuple[str, ...]:
    if disk.recovery_partition and disk.size_accepted:
        return PASS, "a partition follows the Windows partition, which keeps the size that max_layer_size_gb sets"
    if disk.recovery_partition:
        return (
            WARN,
            "a partition follows the Windows partition, so the Windows partition cannot grow",
            "Set os_machine_recovery_partition of the role os_machine to remove, or remove the recovery partition with "
            "'reagentc /disable' and diskpart. Alternatively, set max_layer_size_gb to the size of the disk.",
        )
    return PASS, "no partition follows the Windows partition"


def _shadow_copies(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    """Find files with the contents of shadow copies (restore points).

    They describe blocks of the volume as they were. Layers change these blocks, which the shadow copies do not record.
    A snapshot has a file whose name is its GUID and that of the driver; the driver's GUID alone is the catalog
    (libvshadow, "Volume Shadow Snapshot (VSS) format").
    """
    node = windows.volume.find("System Volume Information")
    sizes: list[int] = []
    if node is not None:
        with node:
            names = [child.name for child in node.children()] if node.is_directory else []
            for name in names:
                if name.lower().endswith(_SHADOW_COPY) and len(name) > len(_SHADOW_COPY):
                    store = node.child(name)
                    if store is not None:
                        with store:
                            sizes.append(store.size)
    if sizes:
        return (
            WARN,
            f"the OS machine has {counted(len(sizes), 'shadow copy', 'shadow copies')} of {sum(sizes) / (1 << 30):.1f} GiB",
            "Delete the shadow copies ('vssadmin delete shadows /all') and turn off System Protection of drive C, or set "
            "os_machine_settings of the role os_machine to true.",
        )
    return PASS, "no shadow copies"


def _smart_app_control(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    """Find Smart App Control, which asks for the reputation of each program that is not signed.

    Windows caches the answers with the files; files of layers have none (Microsoft Learn, "Test your app's signature
    with Smart App Control").
    """
    state = windows.in_system("Control\\CI\\Policy", "VerifiedAndReputablePolicyState")
    if state not in (1, 2):
        return PASS, "Smart App Control is off"
    return (
        WARN,
        f"Smart App Control is {'enforced' if state == 1 else 'in evaluation'} and may block unsigned programs of layers",
        "Turn off Smart App Control in Windows Security, or set os_machine_settings of the role os_machine to true.",
    )


def done_markers(windows: WindowsInstallation) -> list[str]:
    """Return the names of the files that show that kmssetup.cmd has run."""
    node = windows.volume.find("Windows/Setup/Scripts/kmsdir")
    if node is None:
        return []
    with node:
        return (
            [child.name for child in node.children() if child.name.lower().endswith("_done")]
            if node.is_directory
            else []
        )


def _no_done_markers(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    markers = done_markers(windows)
    if markers:
        return (
            FAIL,
            "kmssetup.cmd has run already: " + shown(markers),
            "Delete the *_done files below C:\\Windows\\Setup\\Scripts\\kmsdir.",
        )
    return PASS, "no *_done files"


def _update_client_id(windows: WindowsInstallation, _disk: DiskFacts) -> tuple[str, ...]:
    """Find the ID with which a WSUS server identifies its clients; a search for updates creates it.

    Images must not have it: clients with the same ID may not appear in WSUS (Microsoft, "WSUS: Client Requirements").
    """
    if windows.in_software("Microsoft\\Windows\\CurrentVersion\\WindowsUpdate", "SusClientId") is None:
        return PASS, "Windows has no ID of a WSUS client"
    return (
        WARN,
        "Windows has the ID of a WSUS client (SusClientId), which all VMs of an image would share",
        "Delete the values SusClientId and SusClientIdValidation of HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate.",
    )


CHECKS: dict[str, Callable[[WindowsInstallation, DiskFacts], tuple[str, ...]]] = {
    "windows_version": _windows_version,
    "vmxnet3": _vmxnet3,
    "vmware_tools": _vmware_tools,
    "updates_off": _updates_off,
    "pending_reboot": _pending_reboot,
    "pending_renames": _pending_renames,
    "hibernation_off": _hibernation_off,
    "not_domain_joined": _not_joined,
    "setup_complete": _setup_complete,
    "firmware": _firmware,
    "boot_controllers": _boot_controllers,
    "free_space": _free_space,
    "recovery_partition": _recovery_partition,
    "shadow_copies": _shadow_copies,
    "smart_app_control": _smart_app_control,
    "update_client_id": _update_client_id,
    "no_done_markers": _no_done_markers,
}
