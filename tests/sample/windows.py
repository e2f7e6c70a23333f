# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that Windows Setup and an administrator leave on drive C, in addition to the files of wine and the hives."""

from __future__ import annotations

import struct
import zlib

from . import pe
from .plan import ARCHIVE, COMPRESSED, HIDDEN, MIB, NOT_INDEXED, READONLY, SYSTEM, Content, Spec
from .tree import Tree, junction, symlink

_FOLDERS = (
    "PerfLogs",
    "Program Files/Common Files/Services",
    "Program Files/Windows NT/Accessories",
    "Program Files/WindowsApps",
    "Program Files (x86)/Common Files",
    "Program Files (x86)/Microsoft",
    "ProgramData/Microsoft/Windows/Start Menu/Programs/StartUp",
    "ProgramData/Microsoft/Windows/WER/ReportQueue",
    "ProgramData/Microsoft/Network/Downloader",
    "ProgramData/Package Cache",
    "Windows/Prefetch",
    "Windows/Temp",
    "Windows/INF",
    "Windows/Fonts",
    "Windows/Installer",
    "Windows/Logs/CBS",
    "Windows/Panther",
    "Windows/Setup/Scripts",
    "Windows/Setup/State",
    "Windows/SoftwareDistribution/Download",
    "Windows/System32/config/RegBack",
    "Windows/System32/config/TxR",
    "Windows/System32/drivers/etc",
    "Windows/System32/Tasks/Microsoft/Windows/UpdateOrchestrator",
    "Windows/System32/DriverStore/FileRepository",
    "Windows/System32/LogFiles/WMI/RtBackup",
    "Windows/System32/spool/drivers/x64",
    "Windows/System32/wbem/Repository",
    "Windows/System32/winevt/Logs",
    "Windows/SysWOW64",
    "Windows/WinSxS/Manifests",
    "Windows/servicing/Packages",
    "Users/Public/Desktop",
    "Users/Public/Documents",
    "Users/Public/Downloads",
    "Users/Default/AppData/Local/Temp",
    "Users/Default/AppData/Roaming/Microsoft/Windows/SendTo",
    "Users/Default/Desktop",
    "Users/Default/Documents",
    "Users/Administrator/AppData/Local/Temp",
    "Users/Administrator/Desktop",
    "Users/Administrator/Documents",
)
_OLD_NAMES = {
    "Documents and Settings": "C:\\Users",
    "Users/Default User": "C:\\Users\\Default",
    "ProgramData/Application Data": "C:\\ProgramData",
    "ProgramData/Start Menu": "C:\\ProgramData\\Microsoft\\Windows\\Start Menu",
    "Users/Default/My Documents": "C:\\Users\\Default\\Documents",
    "Users/Default/Local Settings": "C:\\Users\\Default\\AppData\\Local",
    "Users/Public/Documents/My Music": "C:\\Users\\Public\\Music",
}
_TOOLS = "Program Files/VMware/VMware Tools/"
_DRIVERS = ("vmxnet3", "pvscsi", "vm3dmp", "vmci", "vsock", "vmmouse", "vmmemctl")
_SMALL_LIBRARIES = (
    "advapi32 bcrypt cabinet combase comctl32 comdlg32 crypt32 d3d11 dbghelp dnsapi dwmapi dxgi gdi32 gdiplus hid imm32 iphlpapi kernel32 kernelbase "
    "mpr msi msvcrt msxml6 netapi32 ntdll ole32 oleaut32 propsys psapi rpcrt4 samlib sechost secur32 setupapi shell32 shlwapi sspicli "
    "user32 userenv usp10 uxtheme version wevtapi win32u winhttp wininet winmm winspool wintrust wldap32 ws2_32 wtsapi32 xmllite wuaueng "
    "Microsoft.Bluetooth.Service.Provider Windows.ApplicationModel.Store Windows.Networking.Connectivity Windows.UI.Xaml.Controls"
).split()
_SMALL_PROGRAMS = "autochk cmd conhost csrss lsass msiexec notepad reg rundll32 services smss svchost taskhostw wininit winlogon winload xcopy".split()
#: Windows has these drivers; the prefix of wine does not.
_DISK_DRIVERS = ("lsi_sas", "storahci", "stornvme")
_SMALL_DRIVERS = "acpi cng disk fltmgr http ksecdd mountmgr mup ndis ntfs partmgr pci tcpip tdx volmgr volsnap".split()
_ARABIC_AND_KANJI = "\u0645\u0631\u062d\u0628\u0627 \u65e5\u672c\u8a9e"


def _text(title: str, lines: int) -> bytes:
    stamps = (
        f"2024-01-15 08:{line // 60 % 60:02}:{line % 60:02}, Info  {title}  line {line * 2654435761 % 4294967296:08x}\r\n"
        for line in range(lines)
    )
    return "".join(stamps).encode()


def _pe(tree: Tree, path: str, size: int, like: str | None = None) -> None:
    """Add a PE file: the bytes of the file ``like`` where the tree has it, else a small one of our own."""
    if path in tree:
        return
    source = tree[like].content if like is not None and like in tree else None
    tree.file(path, source or pe.make_pe(path.rpartition("/")[2], size))


def add_small_system(tree: Tree) -> None:
    """A substitute for the wine prefix: a few hundred small files in the same folders."""
    for name in _SMALL_LIBRARIES:
        _pe(tree, f"Windows/System32/{name}.dll", 2048 + zlib.crc32(name.encode()) % 20000)
    for name in _SMALL_PROGRAMS:
        _pe(tree, f"Windows/System32/{name}.exe", 4096 + zlib.crc32(name.encode()) % 9000)
    for name in _SMALL_DRIVERS:
        _pe(tree, f"Windows/System32/drivers/{name}.sys", 6000)
        tree.file(f"Windows/INF/{name}.inf", _text(name, 20))
        tree.file(f"Windows/INF/{name}.PNF", pe.filler(name, 900))
    for name in ("explorer.exe", "notepad.exe", "regedit.exe"):
        _pe(tree, f"Windows/{name}", 30000)
    tree.file("Windows/win.ini", b"; for 16-bit app support\r\n[fonts]\r\n[extensions]\r\n")
    tree.file("Windows/system.ini", b"[drivers]\r\nwave=mmdrv.dll\r\n")
    tree.file("Windows/System32/drivers/etc/hosts", b"127.0.0.1 localhost\r\n")
    tree.file("Program Files/Windows NT/Accessories/wordpad.exe", pe.make_pe("wordpad.exe", 40000))
    for number in range(60):
        name = f"Microsoft-Windows-Client-Feature-{number:03}~31bf3856ad364e35~amd64~~10.0.22631.1.mum"
        tree.file(f"Windows/servicing/Packages/{name}", _text("package", 6 + number % 9))
    tree.file("Windows/Fonts/segoeui.ttf", pe.filler("segoeui", 150_000))


def _component_store(tree: Tree) -> None:
    """Replace a third of the programs in System32 with hard links to files in WinSxS, as on Windows."""
    for item in sorted(tree, key=lambda item: item.path):
        folder, _slash, name = item.path.rpartition("/")
        base, _dot, extension = name.rpartition(".")
        number = zlib.crc32(name.lower().encode())
        if folder != "Windows/System32" or extension not in ("dll", "exe") or number % 3:
            continue
        component = f"Windows/WinSxS/amd64_microsoft-windows-{base.lower()}_31bf3856ad364e35_10.0.22631.2861_none_{number:08x}{number ^ 0x5DEECE66:08x}"
        tree.move(item.path, f"{component}/{name}")
        tree.link(f"Windows/System32/{name}", f"{component}/{name}")
        tree.file(f"Windows/WinSxS/Manifests/{component.rpartition('/')[2]}.manifest", _text(base, 4))


def _disk_drivers(tree: Tree) -> None:
    for name in _DISK_DRIVERS:
        _pe(tree, f"Windows/System32/drivers/{name}.sys", 7000, "Windows/System32/drivers/netio.sys")


def _tools(tree: Tree) -> None:
    for name in _DRIVERS:
        _pe(tree, f"Windows/System32/drivers/{name}.sys", 9000, "Windows/System32/drivers/netio.sys")
    _pe(tree, _TOOLS + "vmtoolsd.exe", 60000, "Windows/System32/services.exe")
    _pe(tree, _TOOLS + "VMwareToolboxCmd.exe", 30000, "Windows/System32/reg.exe")
    _pe(tree, _TOOLS + "VMware VGAuth/VGAuthService.exe", 30000, "Windows/System32/svchost.exe")
    _pe(tree, _TOOLS + "plugins/vmsvc/guestInfo.dll", 20000, "Windows/System32/iphlpapi.dll")
    repository = "Windows/System32/DriverStore/FileRepository/vmxnet3.inf_amd64_c2f04b5d21d3f8b5/"
    _pe(tree, repository + "vmxnet3.sys", 9000, "Windows/System32/drivers/netio.sys")
    tree.file(
        repository + "vmxnet3.inf",
        b'[Version]\r\nSignature = "$Windows NT$"\r\nClass = Net\r\nDriverVer = 05/04/2023,1.9.15.0\r\n',
    )


def _special(tree: Tree, spec: Spec) -> None:
    for path, target in _OLD_NAMES.items():
        tree.reparse_directory(path, junction(target), HIDDEN | SYSTEM | NOT_INDEXED)
    tree.reparse_directory("Users/All Users", symlink("C:\\ProgramData"), HIDDEN | SYSTEM | NOT_INDEXED)
    tree.reparse_file("Users/Public/Desktop/Tools.log", symlink("..\\Documents\\install.log", relative=True))
    tree.file("Users/Public/Documents/install.log", _text("install", 40))
    tree.directory("$Recycle.Bin/S-1-5-18", HIDDEN | SYSTEM)
    tree.file(
        "$Recycle.Bin/S-1-5-18/desktop.ini",
        b"\r\n[.ShellClassInfo]\r\nCLSID={645FF040-5081-101B-9F08-00AA002F954E}\r\n",
        HIDDEN | SYSTEM | ARCHIVE,
    )
    for path in ("$Recycle.Bin", "System Volume Information", "Recovery", "ProgramData", "Users/Default"):
        tree.directory(path, HIDDEN if path in ("ProgramData", "Users/Default") else HIDDEN | SYSTEM)
    tree.directory("Users/Default", READONLY)
    tree.file("System Volume Information/tracking.log", bytes(20480), HIDDEN | SYSTEM | ARCHIVE)
    tree.file(
        "System Volume Information/IndexerVolumeGuid", "{0C5F4B4C-6C5D-4D6A-9F3B-7B7C6E1B3C11}".encode("utf-16-le")
    )
    tree.sparse_file("pagefile.sys", min(spec.disk_size // 16, 256 * MIB), [], HIDDEN | SYSTEM | ARCHIVE)
    tree.sparse_file("swapfile.sys", 16 * MIB, [], HIDDEN | SYSTEM | ARCHIVE)
    tree.file("DumpStack.log.tmp", bytes(8192), HIDDEN | SYSTEM | ARCHIVE)
    if "mbr" not in spec.variants:
        tree.file(
            "Windows/Boot/EFI/bootmgfw.efi", pe.make_pe("bootmgfw.efi", 90_000), HIDDEN | SYSTEM | READONLY | ARCHIVE
        )


def _examples(tree: Tree) -> None:
    """One of each thing NTFS can hold."""
    download = tree.file(
        "Users/Public/Downloads/VMware-tools-12.3.5-22544099-x86_64.exe", pe.make_pe("setup.exe", 120_000)
    )
    download.streams["Zone.Identifier"] = (
        b"[ZoneTransfer]\r\nZoneId=3\r\nHostUrl=https://packages.vmware.com/tools/\r\n"
    )
    report = tree.file("Users/Public/Documents/Quarterly report (final, signed).docx", pe.filler("report", 9000))
    report.streams.update(
        {"SummaryInformation": bytes(range(88)), "com.strata.thumbnail": pe.filler("thumbnail", 130_000)}
    )
    tree["Users/Public/Documents"].streams["note"] = b"a stream on a folder"
    report.object_id = bytes.fromhex("6e1f3a0c5b7de011a1b2005056c00008")
    tree["Windows/win.ini"].eas = struct.pack("<IBBH", 36, 0, 21, 5) + b"$KERNEL.PURGE.SAMPLE1\0value\0"
    compressed = tree.directory("Windows/Logs/CBS", COMPRESSED)
    tree.file(compressed.path + "/CBS.log", _text("CBS", 6000), ARCHIVE | COMPRESSED)
    tree.file(compressed.path + "/CbsPersist_20240115080000.cab", pe.filler("cab", 70_001), ARCHIVE | COMPRESSED)
    runs = [(0, pe.filler("btr", 65536)), (3 * MIB, pe.filler("btr2", 4096)), (6 * MIB - 4096, bytes([7]) * 4096)]
    tree.sparse_file("Windows/System32/wbem/Repository/INDEX.BTR", 6 * MIB, runs)
    tree.file(
        f"Users/Public/Documents/\u00dcberblick {_ARABIC_AND_KANJI}.txt",
        "\ufeffGr\u00fc\u00dfe\r\n".encode("utf-16-le"),
    )
    tree.file("Users/Public/Documents/\U0001f4c4 emoji.txt", b"beyond the basic plane")
    tree.file("Users/Public/Documents/" + "long name " * 25 + ".txt", b"255")
    tree.file("Users/Public/Documents/empty", b"")
    tree.file("Users/Public/Documents/read only.txt", b"x", READONLY | ARCHIVE)
    deep = "ProgramData/Microsoft/" + "/".join(f"Level{number:02} of a deep path" for number in range(12))
    tree.file(deep + "/leaf.dat", pe.filler("leaf", 700))
    tree.file("Windows/System32/winevt/Logs/System.evtx", b"ElfFile\0" + bytes(69_624))
    tree.file("Windows/Setup/State/State.ini", b"[State]\r\nImageState=IMAGE_STATE_COMPLETE\r\n")
    tree.file("Windows/Panther/setupact.log", _text("SETUP", 300))
    tree.file(
        "Windows/System32/Tasks/Microsoft/Windows/UpdateOrchestrator/Schedule Scan", "\ufeff<Task/>".encode("utf-16-le")
    )


def ballast(size: int) -> list[tuple[str, Content]]:
    """About ``size`` bytes of files that are all different and compress about as programs do."""
    pool = pe.filler("ballast", 4 * MIB) if size else b""
    files, left, number = [], size, 0
    while left > 0:
        length = min(left, 64 * 1024 + zlib.crc32(struct.pack("<I", number)) % (6 * MIB))
        files.append(
            (
                f"ProgramData/Ballast/{number // 500:03}/data{number:06}.bin",
                Content(length, _shuffled(pool, number, length)),
            )
        )
        left -= length
        number += 1
    return files


def _shuffled(pool: bytes, number: int, length: int):
    def chunks():
        # Pieces of the pool in an order of this file's own, each stamped so that no two grains are equal.
        state, left = number * 2654435761 + 1, length
        while left > 0:
            block = bytearray()
            while len(block) < min(left, MIB):
                state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
                start = (state >> 33) % (len(pool) - 8192)
                block += struct.pack("<QQ", state, state ^ 0x5DEECE66D) + pool[start : start + 4080]
            yield bytes(block[:left])
            left -= len(block)

    return chunks


def complete(tree: Tree, spec: Spec) -> None:
    """Add everything of this file to a tree that already has the bulk of System32."""
    for path in _FOLDERS:
        tree.directory(path)
    _disk_drivers(tree)
    _component_store(tree)
    if "unprepared" in spec.variants:
        tree.file("Windows/Setup/Scripts/kmsdir/kmssetup_done", b"")
        tree.file("Windows/WinSxS/pending.xml", b"<PendingTransaction Version='3.1'/>\r\n")
    else:
        _tools(tree)
    _special(tree, spec)
    _examples(tree)
    for path, content in ballast(spec.ballast):
        tree.file(path, content)
