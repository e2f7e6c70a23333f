# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files, keys and values that no layer contains and that belong to nothing else: data only, see docs/capture.md.

Each pattern is about objects that can be missing or old without harm: logs, caches, temporary files, states of one start.
Files and keys that belong together are in ``databases``.

Patterns are paths on the system drive, and registry keys below a hive's name, with backslashes.
``*`` and ``?`` match within a name, ``**`` matches any number of names. A pattern applies to the file or key
that it matches and to everything below. ``SYSTEM\\CurrentControlSet`` is the control set that Windows
starts with. Later lines override earlier lines; the databases and the rules of the user override all of these.

Sources: the lists below Windows' BackupRestore key, the default exclusions of the MSIX Packaging Tool
(Microsoft Learn, "MPT command-line conversion template"), and those of wimlib and DISM.
"""

from __future__ import annotations

#: reason: file patterns
FILES: dict[str, tuple[str, ...]] = {
    "paging": ("pagefile.sys", "swapfile.sys", "hiberfil.sys", "DumpStack.log", "DumpStack.log.tmp"),
    "boot": ("bootmgr", "BOOTNXT", "BOOTSECT.BAK", "Boot", "Windows\\bootstat.dat"),
    "ntfs": ("$Extend", "System Volume Information"),
    "recycle_bin": ("$Recycle.Bin", "RECYCLER"),
    "leftover_of_setup": (
        "$WINDOWS.~BT",
        "$WINDOWS.~WS",
        "$Windows.~Q",
        "$WinREAgent",
        "$SysReset",
        "Config.Msi",
        "Windows.old",
    ),
    "temporary": (
        "Windows\\Temp\\*",
        "Windows\\SystemTemp\\*",
        "Users\\*\\AppData\\Local\\Temp\\*",
        "Windows\\System32\\config\\systemprofile\\AppData\\Local\\Temp\\*",
        "Windows\\Installer\\*.tmp",
        "Windows\\assembly\\temp\\*",
        "Windows\\assembly\\tmp\\*",
        "Windows\\System32\\drivers\\SET*.tmp",
        "Windows\\System32\\DriverStore\\Temp\\*",
    ),
    "log": (
        "Windows\\Logs\\*",
        "Windows\\debug\\*",
        "Windows\\Panther\\*",
        "Windows\\System32\\LogFiles\\*",
        "Windows\\System32\\winevt\\Logs\\*",
        "Windows\\System32\\WDI\\*",
        "Windows\\System32\\sru\\*",
        "Windows\\System32\\SleepStudy\\*",
        "Windows\\inf\\setupapi.*.log",
        "Windows\\*.log",
        "Windows\\Performance\\WinSAT\\*",
        "Windows\\System32\\wbem\\Logs\\*",
        "Windows\\ModemLogs\\*",
        "Windows\\Microsoft.NET\\**\\ngen*.log",
        "ProgramData\\Microsoft\\Diagnosis\\*",
        "ProgramData\\Microsoft\\EdgeUpdate\\Log",
        "ProgramData\\Microsoft\\NetFramework\\BreadcrumbStore",
        "ProgramData\\Microsoft\\DiagnosticLogCSP",
        "ProgramData\\Microsoft\\Windows\\wfp\\*.etl",
        "Windows\\System32\\wfp\\*.etl",
        "ProgramData\\Microsoft\\Windows\\Power Efficiency Diagnostics",
        "ProgramData\\VMware\\**\\*.log",
        "ProgramData\\Microsoft\\Windows\\DeviceMetadataCache\\*",
        "Windows\\System32\\config\\*.evt",
    ),
    "image_script": ("Windows\\Setup\\Scripts\\image",),
    "crash_report": (
        "ProgramData\\Microsoft\\Windows\\WER",
        "Windows\\Minidump",
        "Windows\\LiveKernelReports\\*",
        "Windows\\memory.dmp",
        "Users\\*\\AppData\\Local\\CrashDumps",
    ),
    "prefetch": ("Windows\\Prefetch\\*", "Windows\\System32\\config\\BBI*", "Windows\\ServiceState\\*"),
    "cache": (
        "Windows\\CSC",
        "Windows\\INF\\INFCACHE.*",
        # Windows compiles an INF file again when it needs it.
        "Windows\\INF\\*.PNF",
        "Windows\\System32\\FNTCACHE.DAT",
        "Windows\\System32\\CodeIntegrity\\bootcat.cache",
        "Windows\\rescache\\*",
        # Indexes of the driver store before Windows 8.
        "Windows\\System32\\DriverStore\\*.dat",
        # The counters of WMI, which Windows registers again whenever the classes of WMI change.
        "Windows\\INF\\WmiApRpl",
        "Windows\\System32\\wbem\\Performance\\WmiApRpl*",
        "ProgramData\\Microsoft\\Windows\\Caches\\*",
        "Windows\\AppCompat\\*",
        "ProgramData\\NVIDIA Corporation\\**\\*.cache",
        "Users\\*\\AppData\\Local\\Microsoft\\Windows\\INetCache",
        "Windows\\**\\INetCache",
        "Windows\\System32\\config\\systemprofile\\AppData\\LocalLow\\*",
        "Users\\*\\AppData\\Local\\IconCache.db",
        "ProgramData\\Microsoft\\SmsRouter\\*",
    ),
    # The changes of these hives are in deltas; other journals follow their main files, see ntfs.journals.
    "registry_file": (
        "Windows\\System32\\config\\*.LOG",
        "Windows\\System32\\config\\*.SAV",
        "Windows\\System32\\config\\RegBack",
        "Users\\*\\ntuser.ini",
    ),
}

#: Exceptions to the lines above.
KEPT_FILES: tuple[str, ...] = ("Windows\\Logs\\desktop.ini",)

#: reason: key patterns, or (key pattern, value pattern)
KEYS: dict[str, tuple[str | tuple[str, str], ...]] = {
    "machine_state": (
        "SYSTEM\\CurrentControlSet\\Control\\Lsa\\SspiCache",
        ("SYSTEM\\CurrentControlSet\\Control\\Lsa", "LsaPid"),
        "SYSTEM\\Select",
        "SYSTEM\\ControlSet*",
        "SYSTEM\\LastKnownGoodRecovery",
        "SYSTEM\\CurrentControlSet\\Control\\hivelist",
        ("SYSTEM\\CurrentControlSet\\Control\\Session Manager", "PendingFileRenameOperations*"),
        ("SYSTEM\\CurrentControlSet\\Control\\Session Manager", "AllowProtectedRenames"),
        ("SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Memory Management", "ExistingPageFiles"),
        "SYSTEM\\CurrentControlSet\\Control\\Session Manager\\AppCompatCache",
        ("SYSTEM\\CurrentControlSet\\Control\\Windows", "ShutdownTime"),
        "SYSTEM\\CurrentControlSet\\Control\\Nls\\Sorting\\Ids",
        "SYSTEM\\CurrentControlSet\\Services\\W32Time\\SecureTimeLimits",
        "SYSTEM\\CurrentControlSet\\Services\\W32Time\\Config\\Status",
        "SYSTEM\\CurrentControlSet\\Services\\bam\\State",
        "SYSTEM\\CurrentControlSet\\Services\\rdyboost\\Parameters",
        # The state of a trace session and of its providers. The providers themselves are registered by installers.
        ("SYSTEM\\CurrentControlSet\\Control\\WMI\\Autologger\\*", "FileCounter"),
        ("SYSTEM\\CurrentControlSet\\Control\\WMI\\Autologger\\*", "Status"),
        ("SYSTEM\\CurrentControlSet\\Control\\WMI\\Autologger\\*\\*", "Status"),
        "SYSTEM\\CurrentControlSet\\Control\\Power\\PowerRequestOverride",
        "SYSTEM\\CurrentControlSet\\Control\\IDConfigDB",
        (
            "SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Memory Management\\PrefetchParameters",
            "B*",
        ),
        ("SYSTEM\\CurrentControlSet\\Services\\W32Time\\Config", "LastKnownGoodTime"),
        "SYSTEM\\CurrentControlSet\\Services\\WmiApRpl\\Performance",
        ("SYSTEM\\DriverDatabase", "UpdateDate"),
        ("DRIVERS\\DriverDatabase", "UpdateDate"),
        "SYSTEM\\WaaS",
        "SYSTEM\\ResourcePolicyStore",
        "SYSTEM\\ActivationBroker",
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\State",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Prefetcher",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon\\GPExtensions\\*\\*",
        ("SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon", "LastUsedUsername"),
        ("SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon", "AutoLogonSID"),
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Windows\\Win32kWPP",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Notifications\\Data",
        ("SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Explorer", "GlobalAssocChangedCounter"),
        ("SOFTWARE\\WOW6432Node\\Microsoft\\EdgeUpdate\\ClientState\\*", "Last*"),
        ("SOFTWARE\\WOW6432Node\\Microsoft\\EdgeUpdate", "Last*"),
        "DEFAULT\\Software\\Microsoft\\IdentityCRL",
        ("SOFTWARE\\Microsoft\\WBEM\\CIMOM", "LastServiceStart"),
        ("SOFTWARE\\Microsoft\\WBEM\\CIMOM", "PreviousServiceShutdown"),
        ("SOFTWARE\\Microsoft\\WBEM\\CIMOM", "ProcessID"),
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Installer\\InProgress",
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Installer\\Rollback",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Diagnostics",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\AppCompatFlags\\CIT",
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Authentication\\LogonUI",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Superfetch",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\SystemRestore",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\VolatileNotifications",
        "SOFTWARE\\Microsoft\\WindowsSelfHost",
        "SOFTWARE\\Microsoft\\PLA",
    ),
    "telemetry": (
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Diagnostics",
        "SOFTWARE\\Microsoft\\Windows\\Windows Error Reporting\\*",
        "SOFTWARE\\Microsoft\\RADAR",
    ),
}

#: The paths on the system drive for the variables in Windows' BackupRestore lists.
VARIABLES: dict[str, str] = {
    "%systemroot%": "Windows",
    "%windir%": "Windows",
    "%systemdrive%": "",
    "%programdata%": "ProgramData",
    "%allusersprofile%": "ProgramData",
    "%programfiles%": "Program Files",
    "%programfiles(x86)%": "Program Files (x86)",
    "%temp%": "Windows\\Temp",
    "%tmp%": "Windows\\Temp",
    "%userprofile%": "Users\\*",
    "$userprofile$": "Users\\*",
    "%localappdata%": "Users\\*\\AppData\\Local",
    "%appdata%": "Users\\*\\AppData\\Roaming",
}
