# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a capture leaves out by default: data only, see docs/capture.md.

Patterns are paths on the system drive and registry keys below a hive's name, with backslashes;
``*`` and ``?`` stand within a name, ``**`` for any number of names. A pattern holds for what it
names and for everything below. ``SYSTEM\\CurrentControlSet`` is the control set that Windows
starts with. Later lines win over earlier ones, and rules given by the user over all of these.

Sources: facts that Windows' own BackupRestore lists, the MSIX Packaging Tool's default exclusions
(Microsoft Learn, "MPT command-line conversion template"), wimlib's and DISM's default exclusions.
"""

from __future__ import annotations

#: reason: file patterns
FILES: dict[str, tuple[str, ...]] = {
    # First, so that what is named more exactly below has its own reason.
    "user_profile": ("Users\\*",),
    "paging": ("pagefile.sys", "swapfile.sys", "hiberfil.sys", "DumpStack.log", "DumpStack.log.tmp"),
    "boot": ("bootmgr", "BOOTNXT", "BOOTSECT.BAK", "Boot"),
    "ntfs": ("$Extend", "System Volume Information"),
    "recycle_bin": ("$Recycle.Bin", "RECYCLER"),
    "leftover_of_setup": (
        "$WINDOWS.~BT", "$WINDOWS.~WS", "$Windows.~Q", "$WinREAgent", "$SysReset", "Config.Msi", "Windows.old",
    ),
    "temporary": (
        "Windows\\Temp\\*", "Windows\\SystemTemp\\*", "Users\\*\\AppData\\Local\\Temp\\*", "Windows\\ServiceProfiles\\*\\AppData\\Local\\Temp\\*",
        "Windows\\System32\\config\\systemprofile\\AppData\\Local\\Temp\\*", "Windows\\WinSxS\\Temp\\*", "Windows\\Installer\\*.tmp",
        "Windows\\assembly\\temp\\*", "Windows\\assembly\\tmp\\*", "Windows\\System32\\drivers\\SET*.tmp",
    ),
    "log": (
        "Windows\\Logs\\*", "Windows\\debug\\*", "Windows\\Panther\\*", "Windows\\System32\\LogFiles\\*", "Windows\\System32\\winevt\\Logs\\*",
        "Windows\\System32\\WDI\\*", "Windows\\System32\\sru\\*", "Windows\\System32\\SleepStudy\\*", "Windows\\inf\\setupapi.*.log",
        "Windows\\*.log", "Windows\\Performance\\WinSAT\\*", "Windows\\System32\\wbem\\Logs\\*", "Windows\\System32\\Msdtc\\Trace\\*",
        "Windows\\ModemLogs\\*", "Windows\\Microsoft.NET\\**\\ngen*.log", "ProgramData\\Microsoft\\Diagnosis\\*", "ProgramData\\USOShared\\Logs\\*",
        "ProgramData\\VMware\\**\\*.log", "ProgramData\\Microsoft\\Windows\\DeviceMetadataCache\\*", "Windows\\System32\\config\\*.evt",
    ),
    "image_script": ("Windows\\Setup\\Scripts\\image",),
    "crash_report": (
        "ProgramData\\Microsoft\\Windows\\WER\\*", "Windows\\Minidump", "Windows\\LiveKernelReports\\*", "Windows\\memory.dmp",
        "Users\\*\\AppData\\Local\\CrashDumps",
    ),
    "prefetch": ("Windows\\Prefetch\\*", "Windows\\System32\\config\\BBI*", "Windows\\ServiceState\\*"),
    "windows_update": (
        "Windows\\SoftwareDistribution\\*", "Windows\\System32\\catroot2\\*", "ProgramData\\Microsoft\\Network\\Downloader\\*",
        "ProgramData\\USOPrivate\\*", "Windows\\SysWOW64\\config\\systemprofile\\AppData\\Local\\Microsoft\\Windows\\DeliveryOptimization\\*",
        "Windows\\ServiceProfiles\\NetworkService\\AppData\\Local\\Microsoft\\Windows\\DeliveryOptimization\\*", "Windows\\WindowsUpdate.log",
    ),
    "cache": (
        "Windows\\CSC", "Windows\\INF\\INFCACHE.*", "Windows\\ServiceProfiles\\LocalService\\AppData\\Local\\FontCache\\*",
        "Windows\\System32\\FNTCACHE.DAT", "Windows\\WinSxS\\ManifestCache\\*", "Windows\\rescache\\*", "ProgramData\\Microsoft\\Windows\\Caches\\*",
        "Windows\\AppCompat\\*", "ProgramData\\Microsoft\\Windows\\AppRepository\\*.srd-*", "ProgramData\\Microsoft\\Windows\\ClipSVC\\*",
        "ProgramData\\NVIDIA Corporation\\**\\*.cache", "Users\\*\\AppData\\Local\\Microsoft\\Windows\\INetCache", "Windows\\**\\INetCache",
        "Windows\\System32\\config\\systemprofile\\AppData\\LocalLow\\*", "Users\\*\\AppData\\Local\\IconCache.db",
        "ProgramData\\Microsoft\\SmsRouter\\*",
    ),
    "search_index": ("ProgramData\\Microsoft\\Search\\Data\\*",),
    "antivirus_state": (
        "ProgramData\\Microsoft\\Windows Defender\\*", "ProgramData\\Microsoft\\Windows Defender Advanced Threat Protection\\*",
        "ProgramData\\Microsoft\\Microsoft Antimalware\\*", "ProgramData\\Microsoft\\Windows Security Health\\Logs\\*",
    ),
    "machine_secret": (
        "ProgramData\\Microsoft\\Crypto\\*", "Windows\\System32\\Microsoft\\Protect\\*",
        "Windows\\ServiceProfiles\\*\\AppData\\Roaming\\Microsoft\\Protect", "Windows\\ServiceProfiles\\*\\AppData\\Roaming\\Microsoft\\Crypto",
        "Windows\\System32\\config\\systemprofile\\AppData\\Roaming\\Microsoft\\Protect",
        "Windows\\System32\\config\\systemprofile\\AppData\\*\\Microsoft\\Credentials",
        "Windows\\System32\\config\\systemprofile\\AppData\\Roaming\\Microsoft\\Crypto", "ProgramData\\Microsoft\\Vault",
        "Windows\\System32\\ias\\*", "Windows\\SMSCFG.INI", "ProgramData\\ssh\\ssh_host_*",
    ),
    "machine_state": (
        "Windows\\System32\\netlogon.chg", "Windows\\security\\database\\*", "Windows\\System32\\GroupPolicy\\DataStore\\*",
        "Windows\\System32\\Msdtc\\MSDTC.LOG", "Windows\\System32\\wbem\\Repository\\*", "Windows\\System32\\spp\\store\\*",
        "Windows\\System32\\CodeIntegrity\\bootcat.cache", "ProgramData\\Microsoft\\Windows\\SystemData", "Windows\\bootstat.dat",
        "Windows\\System32\\restore\\MachineGuid.txt", "Windows\\System32\\LogFiles\\WMI\\*",
    ),
    "account_database": ("Windows\\System32\\config\\SAM", "Windows\\System32\\config\\SECURITY"),
    "servicing_database": (
        "Windows\\System32\\config\\COMPONENTS", "Windows\\System32\\config\\DRIVERS", "Windows\\System32\\config\\ELAM",
        "Windows\\System32\\SMI\\Store\\*", "Windows\\servicing\\Sessions\\*",
    ),
    "registry_file": (
        "Windows\\System32\\config\\*.LOG", "Windows\\System32\\config\\*.LOG1", "Windows\\System32\\config\\*.LOG2",
        "Windows\\System32\\config\\*.SAV", "Windows\\System32\\config\\TxR", "Windows\\System32\\config\\RegBack", "**\\*.regtrans-ms",
        "**\\*.TM.blf", "**\\*.TMContainer*", "**\\ntuser.dat.LOG?", "**\\UsrClass.dat.LOG?", "Windows\\System32\\config\\netlogon.*",
        "Windows\\appcompat\\Programs\\*.hve*", "Users\\*\\ntuser.ini",
        # Every start of Windows changes them, and without their logs they are not whole.
        "Windows\\ServiceProfiles\\*\\NTUSER.DAT", "Windows\\ServiceProfiles\\*\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat",
        "Windows\\System32\\config\\systemprofile\\AppData\\Local\\Microsoft\\Windows\\UsrClass.dat",
    ),
}

#: Exceptions to the lines above: the profile that new users get, and what all users share.
KEPT_FILES: tuple[str, ...] = ("Users\\Public", "Users\\Default", "Users\\All Users", "Users\\Default User", "Users\\desktop.ini", "Windows\\Logs\\desktop.ini")

#: Left out also where it is kept by the lines above.
NEVER_FILES: dict[str, tuple[str, ...]] = {
    "temporary": ("Users\\Default\\AppData\\Local\\Temp\\*",),
    "registry_file": ("Users\\Default\\**\\*.LOG?", "Users\\Default\\**\\*.regtrans-ms", "Users\\Default\\**\\*.blf"),
}

#: reason: key patterns, or (key pattern, value pattern)
KEYS: dict[str, tuple[str | tuple[str, str], ...]] = {
    "machine_identity": (
        ("SOFTWARE\\Microsoft\\Cryptography", "MachineGuid"), "SOFTWARE\\Microsoft\\SQMClient", "SOFTWARE\\WOW6432Node\\Microsoft\\SQMClient",
        ("SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion", "InstallDate"), ("SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion", "InstallTime"),
        ("SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion", "ProductId"), ("SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion", "DigitalProductId*"),
        ("SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion", "RegisteredO*"), ("SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate", "Sus*"),
        ("SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate", "PingID"), "SYSTEM\\CurrentControlSet\\Control\\ComputerName",
        ("SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters", "*Hostname"),
        ("SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters", "*Domain"), "SYSTEM\\CurrentControlSet\\Control\\Lsa\\JD",
        "SYSTEM\\CurrentControlSet\\Control\\Lsa\\Skew1", "SYSTEM\\CurrentControlSet\\Control\\Lsa\\GBG",
        "SYSTEM\\CurrentControlSet\\Control\\Lsa\\Data", "SYSTEM\\CurrentControlSet\\Control\\Lsa\\SspiCache",
        ("SYSTEM\\CurrentControlSet\\Control\\Lsa", "LsaPid"), "SYSTEM\\CurrentControlSet\\Services\\Netlogon\\Parameters",
        "SYSTEM\\CurrentControlSet\\Control\\SystemInformation", "SYSTEM\\HardwareConfig", "SYSTEM\\Setup", "SYSTEM\\RNG", "SYSTEM\\WPA",
        "SYSTEM\\MountedDevices",
    ),
    "machine_state": (
        "SYSTEM\\Select", "SYSTEM\\ControlSet*", "SYSTEM\\LastKnownGoodRecovery", "SYSTEM\\CurrentControlSet\\Control\\hivelist",
        ("SYSTEM\\CurrentControlSet\\Control\\Session Manager", "PendingFileRenameOperations*"),
        ("SYSTEM\\CurrentControlSet\\Control\\Session Manager", "AllowProtectedRenames"),
        ("SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Memory Management", "ExistingPageFiles"),
        "SYSTEM\\CurrentControlSet\\Control\\Session Manager\\AppCompatCache", ("SYSTEM\\CurrentControlSet\\Control\\Windows", "ShutdownTime"),
        "SYSTEM\\CurrentControlSet\\Control\\Nls\\Sorting\\Ids", "SYSTEM\\CurrentControlSet\\Services\\W32Time\\SecureTimeLimits",
        "SYSTEM\\CurrentControlSet\\Services\\W32Time\\Config\\Status", "SYSTEM\\CurrentControlSet\\Services\\bam\\State",
        "SYSTEM\\CurrentControlSet\\Services\\rdyboost\\Parameters", "SYSTEM\\CurrentControlSet\\Control\\WMI\\Autologger\\*\\*",
        "SYSTEM\\CurrentControlSet\\Services\\SharedAccess\\Epoch*", "SYSTEM\\CurrentControlSet\\Control\\Power\\PowerRequestOverride",
        "SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters\\Interfaces", "SYSTEM\\CurrentControlSet\\Services\\Tcpip6\\Parameters\\Interfaces",
        "SYSTEM\\CurrentControlSet\\Services\\Dhcp\\Configurations", "SYSTEM\\ResourceManager", "SYSTEM\\ResourcePolicyStore",
        "SYSTEM\\ActivationBroker", "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Setup\\State",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Prefetcher", "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\S-1-5-21-*",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\NetworkList",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon\\GPExtensions\\*\\*",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\SoftwareProtectionPlatform",
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Group Policy\\State", "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Group Policy\\History",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Windows\\Win32kWPP", "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Installer\\InProgress",
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Installer\\Rollback", "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Diagnostics",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\AppCompatFlags\\CIT",
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Authentication\\LogonUI", "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Superfetch",
        "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\SystemRestore", "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\VolatileNotifications",
        "SOFTWARE\\Microsoft\\WindowsSelfHost", "SOFTWARE\\Microsoft\\PLA",
    ),
    "hardware": (
        "SYSTEM\\CurrentControlSet\\Enum", "SYSTEM\\CurrentControlSet\\Control\\DeviceClasses",
        "SYSTEM\\CurrentControlSet\\Control\\DeviceContainers",
        "SYSTEM\\CurrentControlSet\\Control\\Class\\{4d36e972-e325-11ce-bfc1-08002be10318}\\0*", "SYSTEM\\CurrentControlSet\\Control\\Video",
        "SYSTEM\\CurrentControlSet\\Hardware Profiles", "SYSTEM\\CurrentControlSet\\Control\\GraphicsDrivers",
        "SYSTEM\\CurrentControlSet\\Control\\CriticalDeviceDatabase",
        "SYSTEM\\CurrentControlSet\\Control\\Network\\{4d36e972-e325-11ce-bfc1-08002be10318}\\{*",
    ),
    "antivirus_state": (
        "SOFTWARE\\Microsoft\\Windows Defender", "SOFTWARE\\Microsoft\\Microsoft Antimalware",
        "SOFTWARE\\Microsoft\\Windows Advanced Threat Protection",
    ),
    "windows_update": (
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Auto Update",
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Services\\Pending",
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Orchestrator", "SOFTWARE\\Microsoft\\WindowsUpdate\\Orchestrator",
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\DeliveryOptimization", "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\BITS",
    ),
    "servicing_database": (
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing", "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\SideBySide",
    ),
    "search_index": (
        "SOFTWARE\\Microsoft\\Windows Search\\Gather*", "SOFTWARE\\Microsoft\\Windows Search\\CatalogNames",
        "SOFTWARE\\Microsoft\\Windows Search\\FileChange*",
    ),
    "telemetry": (
        "SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Diagnostics", "SOFTWARE\\Microsoft\\Windows\\Windows Error Reporting\\*",
        "SOFTWARE\\Microsoft\\RADAR",
    ),
}

#: What the variables in Windows' BackupRestore lists stand for on the system drive.
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
