# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths that a layer must not provide as files, and paths that it must not delete, with the reasons.

Paths are relative to drive C, with "/" between names, and are compared without regard to case, as NTFS does.

Sources: Microsoft Learn, "Registry Hives" and "Master File Table"; the list of hives below
``Control\\hivelist`` and of files below ``Control\\BackupRestore\\FilesNotToBackup`` of real installations;
the boot start drivers (``Start`` 0) that all of them have in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..winregistry import upcase
from ..winregistry.key_patterns import PatternTree

_SETTINGS = "Put settings into a .reg file (option registry), not the hive into files."
_LEAVE_OUT = "Leave it out: Windows writes this file itself."
_BOOT = "Leave it out: the boot files of an image are those of its OS layer."
_NTFS = "Leave it out: NTFS and Windows maintain it."


@dataclass(frozen=True, slots=True)
class Protection:
    """Why a layer must not contain a path, as the end of a sentence that begins with the path, and what to do instead."""

    reason: str
    advice: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """Patterns that protect paths. ``files_only`` exempts folders, ``deletable`` exempts deletions."""

    patterns: tuple[str, ...]
    protection: Protection
    files_only: bool = False
    deletable: bool = False


_PROFILES = (
    "Users\\*",
    "Windows\\ServiceProfiles\\*",
    "Windows\\System32\\config\\systemprofile",
    "Windows\\SysWOW64\\config\\systemprofile",
)

_RULES: tuple[_Rule, ...] = (
    _Rule(
        tuple(
            f"Windows\\System32\\config\\{name}"
            for name in (
                *("SYSTEM", "SOFTWARE", "SAM", "SECURITY", "DEFAULT", "COMPONENTS", "DRIVERS", "ELAM", "BBI"),
                *("BCD-Template", "VSMIDK", "userdiff"),
            )
        )
        + tuple(f"{profile}\\NTUSER.DAT" for profile in _PROFILES)
        + tuple(f"{profile}\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat" for profile in _PROFILES),
        Protection("is a registry hive", _SETTINGS),
    ),
    _Rule(
        (
            "Windows\\System32\\config\\TxR",
            "Windows\\System32\\config\\TxR\\**",
            "Windows\\System32\\config\\Journal\\**",
            *(f"{profile}\\NTUSER.DAT{end}" for profile in _PROFILES for end in (".LOG*", "{*")),
            *(
                f"{profile}\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat{end}"
                for profile in _PROFILES
                for end in (".LOG*", "{*")
            ),
        ),
        Protection("is a log or a copy of a registry hive", _SETTINGS),
    ),
    _Rule(
        ("Windows\\System32\\config\\*",),
        Protection("is in the folder of the registry hives and their logs", _SETTINGS),
        files_only=True,
    ),
    _Rule(
        ("Windows\\System32\\SMI\\Store\\Machine\\SCHEMA.DAT*",),
        Protection("is a registry hive of Windows, or its log", _LEAVE_OUT),
    ),
    _Rule(
        # Windows creates these files again: scripts that clean up an image delete them.
        (
            "Windows\\System32\\config\\RegBack\\**",
            "Windows\\AppCompat\\Programs\\*.hve",
            "Windows\\AppCompat\\Programs\\*.hve.*",
            "Windows\\AppCompat\\Programs\\*.hve{*",
        ),
        Protection("is a registry hive of Windows, its log or its copy", _LEAVE_OUT),
        deletable=True,
    ),
    _Rule(
        ("Boot\\BCD", "Boot\\BCD.*", "EFI\\Microsoft\\Boot\\BCD", "EFI\\Microsoft\\Boot\\BCD.*"),
        Protection("is the boot configuration or its log, a registry hive", _BOOT),
    ),
    _Rule(
        ("bootmgr", "bootmgr.efi", "BOOTNXT", "BOOTTGT", "BOOTSECT.BAK", "ntldr", "EFI\\Microsoft\\Boot\\bootmgfw.efi"),
        Protection("is part of the boot manager", _BOOT),
    ),
    _Rule(
        ("pagefile.sys", "swapfile.sys", "hiberfil.sys"),
        Protection("is a paging or hibernation file", _LEAVE_OUT),
        deletable=True,
    ),
    _Rule(
        tuple(
            f"${name}"
            for name in (
                *("MFT", "MFTMirr", "LogFile", "Volume", "AttrDef", "Bitmap", "Boot", "BadClus", "Secure", "UpCase"),
                *("Extend", "Extend\\**"),
            )
        ),
        Protection("belongs to NTFS itself", _NTFS),
    ),
    _Rule(
        ("System Volume Information", "System Volume Information\\**"),
        Protection("belongs to Windows, which stores the state of the volume there", _NTFS),
    ),
)

_SYSTEM32 = (
    # The loader, the kernel and what it loads with the boot start drivers
    *("winload.efi", "winload.exe", "winresume.efi", "winresume.exe", "ntoskrnl.exe", "hal.dll", "kdcom.dll"),
    *("bootvid.dll", "ci.dll", "PSHED.dll", "clfs.sys", "l_intl.nls", "locale.nls", "c_1252.nls", "c_437.nls"),
    "apisetschema.dll",
    # The processes between the start of the kernel and the sign-in
    *("smss.exe", "autochk.exe", "csrss.exe", "wininit.exe", "winlogon.exe", "services.exe", "lsass.exe", "lsm.dll"),
    *("LogonUI.exe", "userinit.exe", "svchost.exe", "dwm.exe", "fontdrvhost.exe"),
    # The libraries that these processes share
    *("ntdll.dll", "kernel32.dll", "KernelBase.dll", "advapi32.dll", "sechost.dll", "rpcrt4.dll", "ucrtbase.dll"),
    *("msvcrt.dll", "bcrypt.dll", "bcryptprimitives.dll", "combase.dll", "ole32.dll", "user32.dll", "gdi32.dll"),
    *("win32u.dll", "win32k.sys", "win32kbase.sys", "win32kfull.sys", "csrsrv.dll", "basesrv.dll", "winsrv.dll"),
    *("lsasrv.dll", "samsrv.dll", "umpnpmgr.dll", "rpcss.dll"),
    *(
        f"drivers/{name}.sys"
        for name in (
            *("acpi", "cng", "disk", "EhStorClass", "fileinfo", "FLTMGR", "iorate", "ksecdd", "ksecpkg", "mountmgr"),
            *("msrpc", "ndis", "netio", "ntfs", "partmgr", "pci", "pdc", "spaceport", "tm", "vdrvroot", "volmgr"),
            *("volmgrx", "volsnap", "volume", "Wdf01000", "WDFLDR", "WindowsTrustedRT", "WppRecorder", "werkernel"),
            *("CLASSPNP", "storport", "afd", "tcpip"),
        )
    ),
)

#: The files that Windows needs to start, as far as an installation has them: which of them exist depends on the version.
STARTUP_FILES: tuple[str, ...] = tuple(f"Windows/System32/{name}" for name in _SYSTEM32)

#: reason: paths, which are protected together with all folders above them. Other files in these folders are not.
_ESSENTIAL: Mapping[str, tuple[str, ...]] = {
    "is needed to start Windows": STARTUP_FILES,
    "has the OS machine tools, which run the scripts of an image": ("Windows/Setup/Scripts",),
    "is a folder that every Windows installation needs": (
        *(f"Windows/System32/{name}" for name in ("catroot", "config/systemprofile", "DriverStore/FileRepository")),
        *(f"Windows/System32/{name}" for name in ("CodeIntegrity", "wbem", "WindowsPowerShell", "Tasks")),
        *(f"Windows/{name}" for name in ("assembly", "Boot", "Fonts", "Globalization", "inf", "Installer")),
        *(f"Windows/{name}" for name in ("Microsoft.NET", "Resources", "security", "servicing", "SystemApps")),
        *(f"Windows/{name}" for name in ("SystemResources", "SysWOW64", "WinSxS")),
        *(f"Windows/ServiceProfiles/{name}" for name in ("LocalService", "NetworkService")),
        *("Users/Default", "Users/Public", "Users/All Users", "ProgramData/Microsoft/Windows"),
        *("Program Files/Common Files", "Program Files (x86)/Common Files"),
    ),
}
_DELETED = "Delete only what is not part of Windows; remove Windows features in the OS layer's VM."


def _tree(rules: Iterable[_Rule]) -> PatternTree[_Rule]:
    tree: PatternTree[_Rule] = PatternTree()
    for rule in rules:
        for pattern in rule.patterns:
            tree.add(pattern, rule)
    return tree


def _needed_paths() -> tuple[dict[str, str], dict[str, str]]:
    """Return the folded essential paths with their reasons, and the folded folders above them with an example."""
    paths: dict[str, str] = {}
    folders: dict[str, str] = {}
    hives = [pattern.replace("\\", "/") for pattern in _RULES[0].patterns if "*" not in pattern]
    for reason, listed in (*_ESSENTIAL.items(), ("", tuple(hives))):
        for path in listed:
            if reason:
                paths[_fold(path)] = reason
            parts = path.split("/")
            for depth in range(1, len(parts)):
                folders.setdefault(_fold("/".join(parts[:depth])), path)
    return paths, folders


def _fold(path: str) -> str:
    return upcase.WINDOWS.fold(path)


_PATTERNS = _tree(_RULES)
_NEEDED, _ABOVE = _needed_paths()
_LONGEST_ABOVE = max(map(len, _ABOVE))


def _matching(path: str) -> _Rule | None:
    state = _PATTERNS.start
    for name in path.split("/"):
        state = _PATTERNS.advance(state, _fold(name))
        if not state:
            return None
    return next(_PATTERNS.payloads(state), None)


def provided_problem(path: str, *, is_folder: bool) -> Protection | None:
    """Return why a layer must not provide ``path``, None if it may.

    ``is_folder`` is true for a folder, which adds to the folder of a lower layer; files and links replace it.
    """
    rule = _matching(path)
    if rule is not None and not (is_folder and rule.files_only):
        return rule.protection
    if not is_folder and len(path) <= _LONGEST_ABOVE and (below := _ABOVE.get(_fold(path))) is not None:
        return Protection(f"would replace the folder of Windows that contains {below}", "Provide a folder instead.")
    return None


def deleted_problem(path: str) -> Protection | None:
    """Return why a layer must not delete ``path``, None if it may."""
    rule = _matching(path)
    if rule is not None and not rule.deletable:
        return Protection(rule.protection.reason, _DELETED)
    folded = _fold(path)
    if folded in _NEEDED:
        return Protection(_NEEDED[folded], _DELETED)
    if folded in _ABOVE:
        return Protection(f"contains {_ABOVE[folded]}, which Windows needs", _DELETED)
    return None
