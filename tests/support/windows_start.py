# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real Windows changes in a start and a shutdown in which nothing is installed, for the sample VM.

``prepare`` adds to a volume with Windows what exists before; ``start`` changes it as the start and the shutdown with
a number do. Two starts change the same items to different content, add files under other generated names, and count.

Each row names its source:

* "review": the review of a capture by hand (rows 15 and 17 of the list of faults that it found);
* "App-Info": Tim Mangan, App-Info, docs/CaptureFilters (what repackaging tools find changed although no program did it);
* "hive": last-written times and values of the SYSTEM hive of Windows 10 in the package dissect.regf;
* "4n6post": 4n6post.com, "Registry - computer restarts, shutdown";
* "BackupRestore": the lists below Control\\BackupRestore of Windows itself;
* "KEA": Microsoft Learn, "Kernel Extended Attributes";
* "knowledge": remembered, without a public source.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...plugins.module_utils.ntfs.volume import Volume
from ...plugins.module_utils.winregistry.hive_model import Hive, Key
from ...plugins.module_utils.winregistry.hive_writer import write_hive
from .volume_changes import edit_hive, existing, put

CONFIG = "Windows/System32/config"
_FIRST_TIME = 133_700_000_000_000_000
_SECOND = 10_000_000
_SZ, _BINARY, _DWORD, _QWORD = 1, 3, 4, 11
_PROGRAM = b"MZ" + bytes(58) + b"\x40\0\0\0PE\0\0" + bytes(6000)


@dataclass(frozen=True)
class FileNoise:
    """A file that Windows writes. ``path`` may contain {guid}, {hex} and {number}, which differ for each start.

    ``exists`` is false for a file that a start creates.
    """

    path: str
    source: str
    exists: bool = True


@dataclass(frozen=True)
class ValueNoise:
    """A value that Windows writes: ``content`` is counter, time, time64, text_time, guid, random or random_number."""

    hive: str
    key: str
    name: str
    content: str
    source: str
    exists: bool = True


FILES: tuple[FileNoise, ...] = (
    # Event logs, traces and logs
    FileNoise("Windows/System32/winevt/Logs/System.evtx", "review"),
    FileNoise("Windows/System32/LogFiles/WMI/RtBackup/EtwRTEventLog-System.etl", "BackupRestore"),
    FileNoise("Windows/System32/WDI/LogFiles/BootCKCL.etl", "knowledge"),
    FileNoise("Windows/System32/wfp/wfpdiag.etl", "review"),
    FileNoise("Windows/Logs/CBS/CBS.log", "review"),
    FileNoise("Windows/debug/netlogon.log", "App-Info"),
    FileNoise("ProgramData/Microsoft/EdgeUpdate/Log/MicrosoftEdgeUpdate.log", "review"),
    FileNoise("ProgramData/Microsoft/DiagnosticLogCSP/Collectors/DiagnosticLogCSP_{number}.etl", "App-Info", False),
    FileNoise("ProgramData/Microsoft/Diagnosis/ETLLogs/AutoLogger/AutoLogger-Diagtrack-Listener.etl", "knowledge"),
    FileNoise("ProgramData/USOShared/Logs/System/UpdateSessionOrchestration.{guid}.1.etl", "App-Info", False),
    FileNoise("ProgramData/Microsoft/Windows/WER/ReportQueue/Report.{guid}/Report.wer", "App-Info", False),
    # Databases with their journals
    FileNoise("ProgramData/Microsoft/Windows/AppRepository/StateRepository-Machine.srd", "review"),
    FileNoise("ProgramData/Microsoft/Windows/AppRepository/StateRepository-Machine.srd-shm", "review"),
    FileNoise("ProgramData/Microsoft/Windows/AppRepository/StateRepository-Machine.srd-wal", "review"),
    FileNoise("ProgramData/Microsoft/Windows/AppRepository/Packages/App_1.0/ActivationStore.dat", "review"),
    FileNoise("Windows/System32/catroot2/edb.log", "review"),
    FileNoise("Windows/System32/catroot2/{guidbase}/catdb", "review"),
    FileNoise("Windows/System32/wbem/Repository/INDEX.BTR", "review"),
    FileNoise("Windows/System32/wbem/Repository/OBJECTS.DATA", "review"),
    FileNoise("Windows/System32/wbem/Repository/MAPPING1.MAP", "review"),
    FileNoise("Windows/System32/spp/store/2.0/data.dat", "review"),
    FileNoise("Windows/System32/spp/store/2.0/cache/cache.dat", "review"),
    FileNoise("Windows/System32/sru/SRUDB.dat", "review"),
    FileNoise("Windows/SoftwareDistribution/DataStore/DataStore.edb", "App-Info"),
    FileNoise("ProgramData/Microsoft/Search/Data/Applications/Windows/Windows.edb", "App-Info"),
    FileNoise("ProgramData/Microsoft/Network/Downloader/qmgr.db", "BackupRestore"),
    FileNoise("ProgramData/Microsoft/Windows/ClipSVC/tokens.dat", "knowledge"),
    FileNoise("Windows/security/database/secedit.sdb", "knowledge"),
    # The driver store; no package is added
    FileNoise("Windows/System32/DriverStore/infpub.dat", "review"),
    FileNoise("Windows/System32/DriverStore/infstor.dat", "review"),
    FileNoise("Windows/System32/DriverStore/drvindex.dat", "review"),
    FileNoise("Windows/INF/setupapi.dev.log", "knowledge"),
    # Caches and state
    FileNoise("Windows/Prefetch/SVCHOST.EXE-{hex}.pf", "review", False),
    FileNoise("Windows/Prefetch/Layout.ini", "review"),
    FileNoise("Windows/AppCompat/Programs/Amcache.hve", "knowledge"),
    FileNoise("Windows/ServiceState/EventLog/Data/lastalive0.dat", "knowledge"),
    FileNoise("Windows/System32/config/BBI", "knowledge"),
    FileNoise("Windows/System32/config/ELAM", "knowledge"),
    FileNoise("Windows/System32/FNTCACHE.DAT", "knowledge"),
    FileNoise("Windows/bootstat.dat", "knowledge"),
    FileNoise("Windows/System32/Msdtc/KtmRmTmContainer00000000000000000001", "review"),
    FileNoise("Windows/System32/Msdtc/MSDTC.LOG", "BackupRestore"),
    FileNoise("Windows/System32/CodeIntegrity/bootcat.cache", "knowledge"),
    FileNoise("ProgramData/Microsoft/NetFramework/BreadcrumbStore/System.Xml,4.0.0.0", "App-Info", False),
    FileNoise("Windows/System32/perfc009.dat", "App-Info"),
    FileNoise("Windows/System32/perfh009.dat", "App-Info"),
    FileNoise("Windows/System32/PerfStringBackup.INI", "App-Info"),
    FileNoise("Windows/INF/WmiApRpl/WmiApRpl.h", "App-Info"),
    FileNoise("Windows/INF/WmiApRpl/WmiApRpl.ini", "App-Info"),
    FileNoise("Windows/System32/wbem/Performance/WmiApRpl.h", "App-Info"),
    FileNoise("Windows/System32/Tasks/Microsoft/Windows/UpdateOrchestrator/Schedule Scan", "review"),
    FileNoise("ProgramData/Microsoft/Windows Defender/Scans/mpcache-{hex}.bin", "App-Info", False),
    FileNoise("ProgramData/Microsoft/Windows Security Health/Logs/SHS-{number}.etl", "App-Info", False),
    # Profiles of users and of service accounts
    FileNoise("Users/Administrator/NTUSER.DAT", "review"),
    FileNoise("Users/Administrator/AppData/Local/Microsoft/Windows/UsrClass.dat", "review"),
    FileNoise("Users/Administrator/AppData/Local/Microsoft/Windows/WebCache/WebCacheV01.dat", "review"),
    FileNoise("Users/Administrator/AppData/Local/ConnectedDevicesPlatform/CDPGlobalSettings.cdp", "knowledge"),
    FileNoise(
        "Users/Administrator/AppData/Roaming/Microsoft/Windows/Recent/AutomaticDestinations/{hex}.ms", "App-Info", False
    ),
    FileNoise("Users/Administrator/AppData/LocalLow/Microsoft/CryptnetUrlCache/MetaData/{hex}", "App-Info", False),
    FileNoise("Windows/ServiceProfiles/LocalService/NTUSER.DAT", "review"),
    FileNoise("Windows/ServiceProfiles/NetworkService/NTUSER.DAT", "review"),
    FileNoise("Windows/ServiceProfiles/LocalService/AppData/Local/FontCache/~FontCache-System.dat", "review"),
    FileNoise(
        "Windows/ServiceProfiles/NetworkService/AppData/Local/Microsoft/Windows/DeliveryOptimization/State/dosvcState.dat",
        "App-Info",
    ),
    FileNoise("Windows/ServiceProfiles/LocalService/AppData/Local/lastalive0.dat", "review"),
    FileNoise(
        "Windows/System32/config/systemprofile/AppData/Local/Microsoft/Windows/INetCache/Content.IE5/x.dat", "knowledge"
    ),
    # Temporary files
    FileNoise("Windows/Temp/MpCmdRun.log", "App-Info"),
    FileNoise("Windows/SystemTemp/{guid}.tmp", "knowledge", False),
)

VALUES: tuple[ValueNoise, ...] = (
    ValueNoise("SYSTEM", "ControlSet001\\Control\\Windows", "ShutdownTime", "time", "4n6post"),
    ValueNoise(
        "SYSTEM",
        "ControlSet001\\Control\\Session Manager\\Memory Management\\PrefetchParameters",
        "BootId",
        "counter",
        "4n6post",
    ),
    ValueNoise(
        "SYSTEM",
        "ControlSet001\\Control\\Session Manager\\Memory Management\\PrefetchParameters",
        "BaseTime",
        "random_number",
        "hive",
    ),
    ValueNoise(
        "SYSTEM", "ControlSet001\\Control\\Session Manager\\AppCompatCache", "AppCompatCache", "random", "knowledge"
    ),
    ValueNoise("SYSTEM", "ControlSet001\\Control\\Lsa", "LsaPid", "random_number", "hive"),
    ValueNoise(
        "SYSTEM", "ControlSet001\\Control\\WMI\\Autologger\\EventLog-System", "FileCounter", "counter", "review"
    ),
    ValueNoise(
        "SYSTEM", "ControlSet001\\Control\\IDConfigDB\\Hardware Profiles\\0001", "PreferenceOrder", "counter", "hive"
    ),
    ValueNoise(
        "SYSTEM", "ControlSet001\\Services\\bam\\State\\UserSettings\\S-1-5-18", "SequenceNumber", "counter", "App-Info"
    ),
    ValueNoise("SYSTEM", "ControlSet001\\Services\\W32Time\\Config", "LastKnownGoodTime", "time64", "hive"),
    ValueNoise("SYSTEM", "ControlSet001\\Services\\W32Time\\SecureTimeLimits", "SecureTimeHigh", "time64", "knowledge"),
    ValueNoise(
        "SYSTEM", "ControlSet001\\Services\\rdyboost\\Parameters", "LastBootPlanUserTime", "text_time", "knowledge"
    ),
    ValueNoise("SYSTEM", "ControlSet001\\Services\\SharedAccess\\Epoch", "Epoch", "counter", "knowledge"),
    ValueNoise("SYSTEM", "ControlSet001\\Services\\WmiApRpl\\Performance", "Last Counter", "random_number", "App-Info"),
    ValueNoise("SYSTEM", "ControlSet001\\Services\\Tcpip\\Parameters", "DhcpNameServer", "text_time", "review"),
    ValueNoise(
        "SYSTEM",
        "ControlSet001\\Services\\Tcpip\\Parameters\\Interfaces\\{3A6FB7B2-6D2F-4F5E-9B43-3C9D8A1F6B07}",
        "LeaseObtainedTime",
        "random_number",
        "review",
    ),
    ValueNoise(
        "SYSTEM", "ActivationBroker\\Plugins\\{C0000000-0000-0000-0000-000000000001}", "Stamp", "time", "review"
    ),
    ValueNoise("SYSTEM", "WaaS\\Upfc", "NextHealthCheckTime", "text_time", "hive"),
    ValueNoise("SYSTEM", "WaaS\\WaaSMedic\\TaskStore", "LastRun", "time64", "hive"),
    ValueNoise("SYSTEM", "DriverDatabase", "UpdateDate", "time", "hive"),
    ValueNoise("SYSTEM", "RNG", "Seed", "random", "knowledge"),
    ValueNoise(
        "SOFTWARE",
        "Microsoft\\Windows NT\\CurrentVersion\\Schedule\\TaskCache\\Tasks\\{11111111-1111-1111-1111-111111111111}",
        "DynamicInfo",
        "random",
        "review",
    ),
    ValueNoise(
        "SOFTWARE",
        "Microsoft\\Windows NT\\CurrentVersion\\NetworkList\\Profiles\\{22222222-2222-2222-2222-222222222222}",
        "DateLastConnected",
        "random",
        "review",
    ),
    ValueNoise(
        "SOFTWARE",
        "Microsoft\\Windows NT\\CurrentVersion\\SoftwareProtectionPlatform",
        "ServiceSessionId",
        "random",
        "App-Info",
    ),
    ValueNoise(
        "SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\Prefetcher", "LastDiskLayoutTime", "time64", "knowledge"
    ),
    ValueNoise(
        "SOFTWARE",
        "Microsoft\\Windows NT\\CurrentVersion\\Notifications\\Data",
        "418A073AA3BC1C75",
        "random",
        "App-Info",
    ),
    ValueNoise("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\Winlogon", "LastUsedUsername", "user", "review"),
    ValueNoise(
        "SOFTWARE",
        "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing",
        "SessionIdHigh",
        "random_number",
        "review",
    ),
    ValueNoise(
        "SOFTWARE",
        "Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\SessionsPending",
        "TotalSessionPhases",
        "counter",
        "review",
    ),
    ValueNoise(
        "SOFTWARE",
        "Microsoft\\Windows\\CurrentVersion\\Authentication\\LogonUI\\SessionData\\1",
        "LoggedOnUser",
        "user",
        "App-Info",
    ),
    ValueNoise(
        "SOFTWARE", "Microsoft\\Windows\\CurrentVersion\\Explorer", "GlobalAssocChangedCounter", "counter", "App-Info"
    ),
    ValueNoise(
        "SOFTWARE",
        "Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Auto Update",
        "LastOnlineScanTimeForAppCategory",
        "text_time",
        "App-Info",
    ),
    ValueNoise(
        "SOFTWARE",
        "Microsoft\\Windows\\CurrentVersion\\Diagnostics\\DiagTrack",
        "LastPersistedEventTimeOrFirstBoot",
        "time64",
        "knowledge",
    ),
    ValueNoise(
        "SOFTWARE",
        "Microsoft\\Windows\\CurrentVersion\\Appx\\AppxAllUserStore\\S-1-5-21-1-2-3-500\\App_1.0_x64__8wekyb3d8bbwe",
        "Path",
        "user",
        "review",
    ),
    ValueNoise("SOFTWARE", "Microsoft\\Windows Search\\Gathering Manager", "BackoffOnPowerMode", "counter", "App-Info"),
    ValueNoise(
        "SOFTWARE", "Microsoft\\Windows Defender\\Signature Updates", "SignaturesLastChecked", "time", "App-Info"
    ),
    ValueNoise("SOFTWARE", "Microsoft\\IdentityStore\\LogonCache\\Name2Sid\\x", "LastSeen", "random", "review"),
    ValueNoise("SOFTWARE", "Microsoft\\WBEM\\CIMOM", "LastServiceStart", "text_time", "App-Info"),
    ValueNoise(
        "SOFTWARE",
        "WOW6432Node\\Microsoft\\EdgeUpdate\\ClientState\\{56EB18F8-B008-4CBD-B6D2-8C97FE7E9062}",
        "LastCheckSuccess",
        "text_time",
        "App-Info",
    ),
    ValueNoise("DEFAULT", "Software\\Microsoft\\IdentityCRL\\Immersive", "Stamp", "time", "App-Info"),
    ValueNoise("DEFAULT", "Software\\Microsoft\\Windows\\DWM", "Start", "counter", "App-Info"),
)

#: Keys that a start creates under names of its own.
NEW_KEYS: tuple[tuple[str, str, str], ...] = (
    ("SOFTWARE", "Microsoft\\Windows NT\\CurrentVersion\\NetworkList\\Nla\\Cache\\Intranet\\{guid}", "review"),
    ("SYSTEM", "ControlSet001\\Services\\SharedAccess\\Parameters\\FirewallPolicy\\AppCs\\{guid}", "knowledge"),
)

#: What the review names and the other rules about databases and files leave out. The limit of a capture without a profile.
MOST_WITHOUT_PROFILE = 3

_HIVES = {name: f"{CONFIG}/{name}" for name in ("SYSTEM", "SOFTWARE", "DEFAULT")}
_SYSTEM_FILE = "Windows/System32/kernel32.dll"
_SERVICED = (
    "Windows/WinSxS/amd64_microsoft-windows-kernel32_31bf3856ad364e35_10.0.22631.1_none_0123456789abcdef/kernel32.dll"
)
#: An extended attribute in the form of NTFS: the cached verdict of Code Integrity.
_KERNEL_EA = struct.pack("<IBBH", 40, 0, 22, 6) + b"$KERNEL.PURGE.ESBCACHE\0verdic\0\0\0"


def prepare(volume: Volume) -> None:
    """Add to a volume with the hives of Windows what exists before the start."""
    for noise in FILES:
        path = _named(noise.path, 0)
        if noise.exists:
            put(volume, path, _content(noise.path, 0))
        elif "{" not in noise.path.rpartition("/")[0]:
            put(volume, f"{path.rpartition('/')[0]}/existing.dat", b"existing")  # The folder is that of Windows.
    put(volume, _SERVICED, _PROGRAM)
    folder, _slash, name = _SYSTEM_FILE.rpartition("/")
    with existing(volume, folder) as target, existing(volume, _SERVICED) as node:
        target.link(node, name).close()
    put(volume, f"{CONFIG}/SECURITY", write_hive(Hive.new("SECURITY", minor=5)))
    put(volume, f"{CONFIG}/COMPONENTS", write_hive(Hive.new("COMPONENTS", minor=5)))
    put(volume, f"{CONFIG}/DRIVERS", write_hive(_drivers()))
    _set_values(volume, 0)


def start(number: int = 1) -> Callable[[Volume], None]:
    """Return the change of a volume that the start and shutdown ``number`` makes; ``prepare`` was applied before."""

    def change(volume: Volume) -> None:
        for noise in FILES:
            put(volume, _named(noise.path, number), _content(noise.path, number))
        _set_values(volume, number)
        edit_hive(volume, f"{CONFIG}/SAM", lambda root: _log_on(root, number))  # review
        for hive, key, name in (
            ("SECURITY", "Policy\\Secrets\\NL$KM\\CupdTime", ""),  # knowledge
            ("COMPONENTS", "ServicingStackVersions", "LastStart"),  # review
            ("DRIVERS", "DriverDatabase", "UpdateDate"),  # hive
        ):
            edit_hive(volume, f"{CONFIG}/{hive}", functools.partial(_stamp, key=key, name=name, number=number))
        with existing(volume, _SYSTEM_FILE) as node:
            node.set_eas(_KERNEL_EA)  # KEA
            node.set_object_id(_random("object ID", number)[:16])  # knowledge: link tracking of a shortcut's target

    return change


def unlisted(number: int = 1) -> Callable[[Volume], None]:
    """Return a change of the kinds that a start makes, in places that no rule of the collection knows."""

    def change(volume: Volume) -> None:
        folder = "ProgramData/Microsoft/Unlisted"
        put(volume, f"{folder}/state.dat", _random("state", number) * 100)
        put(volume, f"{folder}/Collector_{2026_0000 + number}.bin", _random("collector", number))
        put(volume, _named(f"{folder}/{{guid}}/cache.bin", number), _random("cache", number))
        put(volume, f"{folder}/equal.dll", _PROGRAM)
        edit_hive(volume, _HIVES["SOFTWARE"], functools.partial(_edit_unlisted, number=number))

    return change


def _edit_unlisted(root: Key, number: int) -> None:
    key = root.create("Microsoft\\Unlisted")
    for name, content in (("Handle", "random_number"), ("Seen", "time"), ("Session", "guid"), ("When", "text_time")):
        key.set_value(name, *_value(ValueNoise("SOFTWARE", name, name, content, ""), number))
    root.create(_named("Microsoft\\Unlisted\\Runs\\{guid}", number)).set_value("Name", _SZ, _text(f"Run {number}"))


def combined(*changes: Callable[[Volume], None]) -> Callable[[Volume], None]:
    """Return the change that applies all ``changes``, one after the other."""

    def change(volume: Volume) -> None:
        for single in changes:
            single(volume)

    return change


def _stamp(root: Key, key: str, name: str, number: int) -> None:
    root.create(key).set_value(name, _BINARY, _time(number))


def _drivers() -> Hive:
    hive = Hive.new("DRIVERS", minor=5)
    hive.root.create("DriverDatabase\\DriverPackages\\vmxnet3.inf_amd64_c2f04b5d21d3f8b5").set_value(
        "", _SZ, _text("oem3.inf")
    )
    return hive


def _set_values(volume: Volume, number: int) -> None:
    for hive, path in _HIVES.items():
        rows = [row for row in VALUES if row.hive == hive and (number or row.exists)]
        keys = [key for name, key, _source in NEW_KEYS if name == hive] if number else []
        edit_hive(volume, path, functools.partial(_edit, rows=rows, keys=keys, number=number))


def _edit(root: Key, rows: Sequence[ValueNoise], keys: Sequence[str], number: int) -> None:
    for row in rows:
        kind, data = _value(row, number)
        key = root.create(row.key)
        key.set_value(row.name, kind, data)
        key.last_written = _FIRST_TIME + number * _SECOND
    for path in keys:
        root.create(_named(path, number)).set_value("Name", _SZ, _text(f"Network {number}"))


def _value(row: ValueNoise, number: int) -> tuple[int, bytes]:
    values: dict[str, tuple[int, bytes]] = {
        "counter": (_DWORD, _number(40 + number)),
        "time": (_BINARY, _time(number)),
        "time64": (_QWORD, _time(number)),
        "text_time": (_SZ, _text(f"2026-11-{10 + number:02} 0{number}:{number:02}:07")),
        "guid": (_SZ, _text(_guid(row.key, number))),
        "random": (_BINARY, _random(row.key, number)),
        "random_number": (_DWORD, _random(row.key, number)[:3] + b"\1"),
        "user": (_SZ, _text("" if number == 0 else ".\\Administrator")),
    }
    return values[row.content]


def _log_on(root: Key, number: int) -> None:
    """Change the account of the administrator as a logon does: time of the logon and number of logons.

    Layout of F: the structure user_F of chntpw; the time of the last logon is at 8, the number of logons at 0x42.
    """
    user = root.key("SAM\\Domains\\Account\\Users\\000001F4")
    assert user is not None, "the SAM hive has no administrator"
    fields = bytearray(80)
    struct.pack_into("<Q", fields, 8, _FIRST_TIME + number * _SECOND)
    struct.pack_into("<H", fields, 0x42, number)
    user.set_value("F", _BINARY, bytes(fields))


def _named(path: str, number: int) -> str:
    seed = _random(path, number).hex()
    return (
        path.replace("{guidbase}", "{F750E6C3-38EE-11D1-85E5-00C04FC295EE}")
        .replace("{guid}", _guid(path, number))
        .replace("{hex}", seed[:8].upper())
        .replace("{number}", f"{number:04}")
    )


def _guid(seed: str, number: int) -> str:
    text = _random(seed, number).hex().upper()
    return f"{{{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}}}"


def _content(path: str, number: int) -> bytes:
    """Return data that does not fit into a file record."""
    return f"{path} at start {number}\r\n".encode() * 200


def _random(seed: str, number: int) -> bytes:
    return hashlib.sha256(f"{seed}{number}".encode()).digest()


def _number(value: int) -> bytes:
    return struct.pack("<I", value)


def _time(number: int) -> bytes:
    return struct.pack("<Q", _FIRST_TIME + number * 86_400 * _SECOND)


def _text(text: str) -> bytes:
    return f"{text}\0".encode("utf-16-le")
