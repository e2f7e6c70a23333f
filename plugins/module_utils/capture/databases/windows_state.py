# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases of services of Windows.

Sources: Microsoft Learn, "Win32_WMISetting", "Windows Update log files", "Background Intelligent Transfer Service",
"Manage Microsoft Defender Antivirus updates" (a platform update has a folder of its own, to which services and classes
then refer); E. Zimmerman's RegistryPlugin.TaskCache (DynamicInfo has the times of the last start).
"""

from __future__ import annotations

from .model import ALL_LAYERS, Database

_MICROSOFT = "SOFTWARE\\Microsoft\\"
_CURRENT = _MICROSOFT + "Windows\\CurrentVersion\\"
_NT = _MICROSOFT + "Windows NT\\CurrentVersion\\"
_SERVICES = "SYSTEM\\CurrentControlSet\\Services\\"
DEFENDER_SERVICES = ("WinDefend", "WdNisSvc", "WdNisDrv", "WdFilter", "WdBoot", "MDCoreSvc", "Sense")

WMI_REPOSITORY = Database(
    name="wmi_repository",
    text="classes and instances of WMI. Windows compiles the files in the list Autorecover MOFs, which layers contain, when "
    "it creates the repository again",
    files=("Windows\\System32\\wbem\\Repository", "Windows\\System32\\wbem\\repository.0*"),
    keys=(_MICROSOFT + "WBEM\\ESS", _MICROSOFT + "WBEM\\WDM"),
)

SEARCH_INDEX = Database(
    name="search_index",
    text="the index of Windows Search",
    files=("ProgramData\\Microsoft\\Search\\Data",),
    keys=(
        _MICROSOFT + "Windows Search\\Gather*",
        _MICROSOFT + "Windows Search\\CatalogNames",
        _MICROSOFT + "Windows Search\\FileChange*",
    ),
)

ANTIVIRUS = Database(
    name="antivirus_state",
    text="Microsoft Defender: programs of its updates, signatures, settings, and the services and classes that refer to the "
    "folder of the current program",
    files=(
        "ProgramData\\Microsoft\\Windows Defender",
        "ProgramData\\Microsoft\\Windows Defender Advanced Threat Protection",
        "ProgramData\\Microsoft\\Microsoft Antimalware",
        "ProgramData\\Microsoft\\Windows Security Health\\Logs",
        "Windows\\System32\\config\\ELAM",
        "Windows\\System32\\drivers\\wd",
    ),
    keys=(
        _MICROSOFT + "Windows Defender",
        _MICROSOFT + "Microsoft Antimalware",
        _MICROSOFT + "Windows Advanced Threat Protection",
        *(_SERVICES + name for name in DEFENDER_SERVICES),
    ),
)

WINDOWS_UPDATE = Database(
    name="windows_update",
    text="downloads, history and schedule of Windows Update",
    files=(
        "Windows\\SoftwareDistribution",
        "Windows\\WindowsUpdate.log",
        "Windows\\UUS",
        "Windows\\SysWOW64\\config\\systemprofile\\AppData\\Local\\Microsoft\\Windows\\DeliveryOptimization",
        "Windows\\System32\\Tasks\\Microsoft\\Windows\\UpdateOrchestrator",
        "ProgramData\\USOPrivate",
        "ProgramData\\USOShared",
    ),
    keys=(
        _CURRENT + "WindowsUpdate\\Auto Update",
        _CURRENT + "WindowsUpdate\\Services\\Pending",
        _CURRENT + "WindowsUpdate\\Orchestrator",
        _MICROSOFT + "WindowsUpdate\\Orchestrator",
        _CURRENT + "DeliveryOptimization",
        _NT + "Schedule\\TaskCache\\Tree\\Microsoft\\Windows\\UpdateOrchestrator",
    ),
)

TRANSFERS = Database(
    name="transfers",
    text="the queue of the Background Intelligent Transfer Service (BITS)",
    files=("ProgramData\\Microsoft\\Network\\Downloader",),
    keys=(_CURRENT + "BITS",),
)

COM_PLUS = Database(
    name="com_plus",
    text="the catalog of COM+ applications. The highest layer replaces it as a whole",
    files=("Windows\\Registration",),
    keys=(_MICROSOFT + "COM3",),
    taken_by=ALL_LAYERS,
)

PERFORMANCE_COUNTERS = Database(
    name="performance_counters",
    text="names and numbers of performance counters. The highest layer replaces them as a whole",
    files=("Windows\\System32\\perf?0*.dat", "Windows\\System32\\PerfStringBackup.INI"),
    keys=(
        _NT + "Perflib",
        *((_SERVICES + "*\\Performance", f"{end} {kind}") for end in ("First", "Last") for kind in ("Counter", "Help")),
    ),
    taken_by=ALL_LAYERS,
)
