# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hives of the sample OS machine: those of a prepared Windows 11 Enterprise 23H2."""

from __future__ import annotations

import re
import struct

from ...plugins.module_utils.winregistry.hive_model import Hive, Key
from . import sddl
from .tree import INSTALLED

SZ, EXPAND_SZ, BINARY, DWORD, MULTI_SZ, QWORD = 1, 2, 3, 4, 7, 11
BUILD = "22631"
REVISION = 3007
COMPUTER = "GOLD-W11-01"
TOOLS_VERSION = "12.3.5.22544099"

_MACHINE = sddl.compile_sddl(
    "O:BAG:SYD:PAI(A;CI;0x20019;;;BU)(A;CI;0xf003f;;;BA)(A;CI;0xf003f;;;SY)(A;CIIO;0xf003f;;;CO)(A;CI;0x20019;;;AC)"
)
_SECRET = sddl.compile_sddl("O:BAG:SYD:PAI(A;CI;0xf003f;;;SY)(A;CI;0x60000;;;BA)")
_USER = sddl.compile_sddl("O:BAG:SYD:P(A;CI;0xf003f;;;SY)(A;CI;0xf003f;;;BA)(A;CI;0x20019;;;BU)(A;CI;0x20019;;;AC)")
_VERSION = "Microsoft\\Windows NT\\CurrentVersion"
_CURRENT = "Microsoft\\Windows\\CurrentVersion"


def put(root: Key, path: str, **values: object) -> Key:
    """Set values of the key ``path``: str REG_SZ, int REG_DWORD, list REG_MULTI_SZ, bytes REG_BINARY, or (type, data)."""
    return put_all(root, path, values)


def put_all(root: Key, path: str, values: dict[str, object]) -> Key:
    """As ``put``, for value names that are not Python names."""
    key = root.create(path)
    for name, value in values.items():
        key.set_value(name, *_encoded(value))
    return key


def _encoded(value: object) -> tuple[int, bytes]:
    if isinstance(value, tuple):
        kind, value = value
        return kind, _encoded(value)[1]
    if isinstance(value, int):
        return DWORD, struct.pack("<I", value)
    if isinstance(value, list):
        return MULTI_SZ, "".join(text + "\0" for text in [*value, ""]).encode("utf-16-le")
    if isinstance(value, bytes):
        return BINARY, value
    return SZ, f"{value}\0".encode("utf-16-le")


def _new(name: str, security: bytes, minor: int = 5) -> Hive:
    return Hive.new(name, minor=minor, last_written=INSTALLED, security=security)


def prepare_system(root: Key) -> None:
    """Change a SYSTEM hive to that of an OS machine: VMXNET3, VMware Tools, updates and fast startup off."""
    services, control = "ControlSet001\\Services\\", "ControlSet001\\Control\\"
    put(
        root,
        services + "vmxnet3ndis6",
        Type=1,
        Start=3,
        ErrorControl=1,
        Tag=23,
        Group="NDIS",
        DisplayName="vmxnet3 NDIS 6 driver",
        ImagePath=(EXPAND_SZ, "\\SystemRoot\\System32\\drivers\\vmxnet3.sys"),
        Owners=["oem3.inf"],
    )
    put_boot_driver(root, "pvscsi", 64, "oem5.inf")
    # The disk of the OS machine is on PVSCSI: Windows does not load its driver for NVMe at boot.
    put_boot_driver(root, "stornvme", 32, "stornvme.inf", loaded=False)
    tools = '"C:\\Program Files\\VMware\\VMware Tools\\'
    put(
        root,
        services + "VMTools",
        Type=16,
        Start=2,
        ErrorControl=1,
        DisplayName="VMware Tools",
        ObjectName="LocalSystem",
        ImagePath=(EXPAND_SZ, tools + 'vmtoolsd.exe"'),
    )
    put(
        root,
        services + "VGAuthService",
        Type=16,
        Start=2,
        ErrorControl=1,
        DisplayName="VMware Alias Manager and Ticket Service",
        ObjectName="LocalSystem",
        ImagePath=(EXPAND_SZ, tools + 'VMware VGAuth\\VGAuthService.exe"'),
    )
    for name in ("wuauserv", "UsoSvc", "WaaSMedicSvc"):
        put(root, services + name, Start=4)
    put(
        root,
        control + "Class\\{4d36e972-e325-11ce-bfc1-08002be10318}\\0010",
        DriverDesc="vmxnet3 Ethernet Adapter",
        ProviderName="VMware, Inc.",
        DriverVersion="1.9.15.0",
        InfPath="oem3.inf",
        InfSection="vmxnet3.ndis6",
        MatchingDeviceId="PCI\\VEN_15AD&DEV_07B0&SUBSYS_07B015AD",
        ComponentId="PCI\\VEN_15AD&DEV_07B0",
        NetCfgInstanceId="{3A6FB7B2-6D2F-4F5E-9B43-3C9D8A1F6B07}",
    )
    put(root, control + "Session Manager\\Power", HiberbootEnabled=0)
    put(root, control + "Power", HibernateEnabled=0)
    put(root, control + "BitLocker", PreventDeviceEncryption=1)
    put(root, control + "ComputerName\\ComputerName", ComputerName=COMPUTER)
    put_all(root, services + "Tcpip\\Parameters", {"Hostname": COMPUTER, "NV Hostname": COMPUTER, "Domain": ""})
    put(root, "Setup", OOBEInProgress=0, SystemSetupInProgress=0, SetupPhase=0, SetupType=0, CmdLine="")


def put_boot_driver(root: Key, name: str, tag: int, inf: str, *, loaded: bool = True) -> None:
    """Add a disk driver as Windows has it; unless ``loaded``, with the key of a driver that the computer did not need."""
    path = f"ControlSet001\\Services\\{name}"
    image = (EXPAND_SZ, f"System32\\drivers\\{name.lower()}.sys")
    group = "SCSI Miniport"
    put(root, path, Type=1, Start=0, ErrorControl=3, Group=group, Tag=tag, ImagePath=image, Owners=[inf])
    if not loaded:
        put_all(root, path + "\\StartOverride", {"0": 3})


def neglect_system(root: Key) -> None:
    """Change a SYSTEM hive to that of an unprepared OS machine: no VMware Tools, LSI Logic SAS, a pending restart, in a domain."""
    services, control = "ControlSet001\\Services\\", "ControlSet001\\Control\\"
    for name in ("vmxnet3ndis6", "pvscsi", "VMTools", "VGAuthService", "LSI_SAS\\StartOverride"):
        if root.key(services + name) is not None:
            root.delete(services + name)
    # A removed driver leaves this key.
    put_all(root, services + "vmxnet3ndis6", {"vwdk.installers": ["MSI"]})
    put_all(root, services + "pvscsi", {"vwdk.installers": ["MSI"]})
    put(root, services + "wuauserv", Start=3)
    put(root, services + "Tcpip\\Parameters", Domain="corp.example.com")
    put(root, control + "Session Manager", PendingFileRenameOperations=["\\??\\C:\\Config.Msi\\3f1a2.rbf", ""])
    put(root, control + "Session Manager\\Power", HiberbootEnabled=1)
    put(root, control + "Power", HibernateEnabled=1)
    put(root, "Setup", SystemSetupInProgress=1, OOBEInProgress=1)


def mount_windows(root: Key, partition_guid: bytes) -> None:
    """Record that C: is the GPT partition with that unique GUID (16 bytes)."""
    put_all(root, "MountedDevices", {"\\DosDevices\\C:": b"DMIO:ID:" + partition_guid})


def small_system() -> Hive:
    """A SYSTEM hive with the keys that offline detection reads, for samples without the real hive."""
    hive = _new("SYSTEM", _MACHINE)
    root = hive.root
    put(root, "Select", Current=1, Default=1, Failed=0, LastKnownGood=1)
    control = "ControlSet001\\Control\\"
    put(root, control + "ProductOptions", ProductType="WinNT", ProductSuite=["Terminal Server"])
    put(root, control + "Session Manager", BootExecute=["autocheck autochk *"], SETUPEXECUTE=[])
    put(
        root,
        control + "Session Manager\\Environment",
        OS="Windows_NT",
        PROCESSOR_ARCHITECTURE="AMD64",
        PATHEXT=".COM;.EXE;.BAT;.CMD",
        Path=(EXPAND_SZ, "%SystemRoot%\\system32;%SystemRoot%;%SystemRoot%\\System32\\Wbem"),
        windir=(EXPAND_SZ, "%SystemRoot%"),
    )
    put(
        root,
        control + "Session Manager\\Memory Management",
        PagingFiles=["?:\\pagefile.sys"],
        ExistingPageFiles=["\\??\\C:\\pagefile.sys"],
    )
    put(
        root,
        control + "BackupRestore\\FilesNotToBackup",
        **{"Memory Page File": ["\\Pagefile.sys"], "Power Management": ["\\hiberfil.sys"]},
    )
    put(root, control + "NetworkProvider\\Order", ProviderOrder="RDPNP,LanmanWorkstation,webclient")
    put(
        root,
        "ControlSet001\\Services\\fvevol",
        Type=1,
        Start=0,
        ErrorControl=3,
        ImagePath=(EXPAND_SZ, "System32\\DRIVERS\\fvevol.sys"),
    )
    put(
        root,
        "ControlSet001\\Services\\Tcpip",
        Type=1,
        Start=0,
        ErrorControl=1,
        ImagePath=(EXPAND_SZ, "System32\\drivers\\tcpip.sys"),
    )
    # As in a real hive: AHCI has the CD drive, and LSI Logic SAS was never there.
    put_boot_driver(root, "storahci", 31, "mshdc.inf")
    put_boot_driver(root, "LSI_SAS", 9, "lsi_sas.inf", loaded=False)
    prepare_system(root)
    return hive


def software(ballast: str = "", prepared: bool = True) -> Hive:
    """Return SOFTWARE; unless ``prepared``, updates are enabled and VMware Tools are missing.

    ``ballast`` is a wine ``system.reg`` whose HKLM\\Software is added where Windows has no keys.
    """
    hive = _new("SOFTWARE", _MACHINE)
    root = hive.root
    put(
        root,
        _VERSION,
        SystemRoot="C:\\Windows",
        ProductName="Windows 10 Enterprise",
        EditionID="Enterprise",
        InstallationType="Client",
        CurrentVersion="6.3",
        CurrentBuild=BUILD,
        CurrentBuildNumber=BUILD,
        CurrentMajorVersionNumber=10,
        CurrentMinorVersionNumber=0,
        UBR=REVISION,
        DisplayVersion="23H2",
        ReleaseId="2009",
        BuildBranch="ni_release",
        BuildLab=f"{BUILD}.ni_release.220506-1250",
        BuildLabEx=f"{BUILD}.1.amd64fre.ni_release.220506-1250",
        CompositionEditionID="Enterprise",
        ProductId="00329-00000-00003-AA000",
        RegisteredOwner="Administrator",
        RegisteredOrganization="",
        InstallDate=1705305600,
        InstallTime=(QWORD, struct.pack("<Q", INSTALLED)),
        SoftwareType="System",
        PathName="C:\\Windows",
        DigitalProductId=bytes(164),
        DigitalProductId4=bytes(1272),
    )
    put(
        root,
        _VERSION + "\\Winlogon",
        Shell="explorer.exe",
        Userinit="C:\\Windows\\system32\\userinit.exe,",
        AutoAdminLogon="0",
    )
    put(
        root,
        _VERSION + "\\Svchost",
        DcomLaunch=["Power", "BrokerInfrastructure", "PlugPlay", "LSM"],
        netsvcs=["wuauserv", "BITS", "UsoSvc", "Schedule"],
    )
    put(root, _VERSION + "\\Windows", AppInit_DLLs="", LoadAppInit_DLLs=0)
    put(
        root,
        _VERSION + "\\ProfileList",
        Default=(EXPAND_SZ, "%SystemDrive%\\Users\\Default"),
        ProfilesDirectory=(EXPAND_SZ, "%SystemDrive%\\Users"),
        ProgramData=(EXPAND_SZ, "%SystemDrive%\\ProgramData"),
        Public=(EXPAND_SZ, "%SystemDrive%\\Users\\Public"),
    )
    put(
        root,
        _VERSION + f"\\ProfileList\\{sddl.MACHINE_SID}-500",
        ProfileImagePath=(EXPAND_SZ, "C:\\Users\\Administrator"),
        Flags=0,
        State=0,
    )
    put(
        root,
        _CURRENT,
        ProgramFilesDir="C:\\Program Files",
        CommonFilesDir="C:\\Program Files\\Common Files",
        DevicePath=(EXPAND_SZ, "%SystemRoot%\\inf"),
        **{"ProgramFilesDir (x86)": "C:\\Program Files (x86)", "ProgramW6432Dir": "C:\\Program Files"},
    )
    put(root, _CURRENT + "\\Setup\\State", ImageState="IMAGE_STATE_COMPLETE")
    put(root, _CURRENT + "\\WindowsUpdate\\Auto Update")
    put(root, _CURRENT + "\\Component Based Servicing", LastScavengeFlags=0)
    put(
        root,
        _CURRENT + "\\Installer\\Folders",
        **{"C:\\Program Files\\VMware\\": "", "C:\\Program Files\\VMware\\VMware Tools\\": ""},
    )
    put(
        root,
        _CURRENT + "\\Run",
        SecurityHealth=(EXPAND_SZ, "%windir%\\system32\\SecurityHealthSystray.exe"),
        **{"VMware User Process": '"C:\\Program Files\\VMware\\VMware Tools\\vmtoolsd.exe" -n vmusr'},
    )
    put(root, _CURRENT + "\\SharedDLLs", **{"C:\\Windows\\System32\\msvcp140.dll": 2})
    for product, name, version, publisher in (
        ("{F3B3A1A5-6F6B-4F0B-A3C4-9B8B5D7F6E21}", "VMware Tools", TOOLS_VERSION, "VMware, Inc."),
        (
            "{8F271F6C-6E7B-3D0A-951B-6E7B694D78BD}",
            "Microsoft Visual C++ 2022 X64 Minimum Runtime - 14.36.32532",
            "14.36.32532",
            "Microsoft Corporation",
        ),
        ("Microsoft Edge", "Microsoft Edge", "120.0.2210.91", "Microsoft Corporation"),
    ):
        put(
            root,
            f"{_CURRENT}\\Uninstall\\{product}",
            DisplayName=name,
            DisplayVersion=version,
            Publisher=publisher,
            InstallDate="20240115",
            EstimatedSize=98304,
            UninstallString=(EXPAND_SZ, f"MsiExec.exe /I{product}"),
        )
    if not prepared:
        root.delete(_CURRENT + "\\Uninstall\\{F3B3A1A5-6F6B-4F0B-A3C4-9B8B5D7F6E21}")
        put(root, _CURRENT + "\\Component Based Servicing\\PackagesPending\\Package_for_KB5034123", Started=1)
        put(root, _CURRENT + "\\Setup\\State", ImageState="IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE")
    else:
        put(
            root,
            "VMware, Inc.\\VMware Tools",
            InstallPath="C:\\Program Files\\VMware\\VMware Tools\\",
            ProductVersion=TOOLS_VERSION,
        )
        put(root, "Policies\\Microsoft\\Windows\\WindowsUpdate\\AU", NoAutoUpdate=1)
        put(root, "Policies\\Microsoft\\WindowsStore", AutoDownload=2)
    put(root, "Microsoft\\Cryptography", MachineGuid="5b1b5f0e-54f0-4d3f-9e39-4d1f0b1a7c55")
    put(root, "Microsoft\\Windows\\Windows Error Reporting", ServiceTimeout=60000)
    put_all(root, "Classes\\.txt", {"": "txtfile", "PerceivedType": "text"})
    put_all(root, "Classes\\\u00e9t\u00e9file", {"": "a key outside ASCII"})
    link = put(
        root,
        "Classes\\CLSID\\{20D04FE0-3AEA-1069-A2D8-08002B30309D}",
        SortOrderIndex=84,
        **{"": (0x20001, b"\1\2\3\4")},
    )
    link.class_name = "Shell"
    # A value of more than one segment, stored as big data.
    put(root, "Microsoft\\Windows\\CurrentVersion\\Appx\\AppxAllUserStore", Bitmap=bytes(range(256)) * 160)
    for path, values in wine_keys(ballast, "Software\\"):
        if root.key(path) is None:
            put_all(root, path, values)
    return hive


def default_user(name: str) -> Hive:
    """NTUSER.DAT of a new user, or DEFAULT of the system profile."""
    hive = _new(name, _USER)
    root = hive.root
    put(root, "Console", FaceName="__DefaultTTFont__", WindowSize=0x1E0078)
    put_all(root, "Control Panel\\Desktop", {"Wallpaper": "", "ScreenSaveActive": "1", "MenuShowDelay": "400"})
    put_all(
        root, "Control Panel\\International", {"Locale": "00000409", "LocaleName": "en-US", "sShortDate": "M/d/yyyy"}
    )
    put(
        root,
        "Environment",
        TEMP=(EXPAND_SZ, "%USERPROFILE%\\AppData\\Local\\Temp"),
        TMP=(EXPAND_SZ, "%USERPROFILE%\\AppData\\Local\\Temp"),
        Path=(EXPAND_SZ, "%USERPROFILE%\\AppData\\Local\\Microsoft\\WindowsApps;"),
    )
    shell = "Software\\Microsoft\\Windows\\CurrentVersion\\Explorer\\"
    put(
        root,
        shell + "User Shell Folders",
        Desktop=(EXPAND_SZ, "%USERPROFILE%\\Desktop"),
        Personal=(EXPAND_SZ, "%USERPROFILE%\\Documents"),
    )
    put(root, shell + "Advanced", HideFileExt=1, TaskbarAl=1)
    put(root, "Keyboard Layout\\Preload", **{"1": "00000409"})
    put(root, "EUDC\\1252", SystemDefaultEUDCFont="EUDC.TTE")
    return hive


def sam() -> Hive:
    """SAM with the built-in accounts; the binary values have the shape of real values and hold no hash."""
    hive = _new("SAM", _SECRET)
    account = "SAM\\Domains\\Account"
    put(
        hive.root,
        account,
        F=struct.pack("<I", 0x10003).ljust(344, b"\0"),
        V=bytes(204) + sddl.sid_bytes(sddl.MACHINE_SID),
    )
    for name, number in (("Administrator", 500), ("Guest", 501), ("DefaultAccount", 503), ("WDAGUtilityAccount", 504)):
        put_all(hive.root, f"{account}\\Users\\Names\\{name}", {"": (number, b"")})
        put(hive.root, f"{account}\\Users\\{number:08X}", F=bytes(80), V=bytes(204) + name.encode("utf-16-le"))
    put(hive.root, "SAM\\Domains\\Builtin\\Aliases\\00000220", C=bytes(120))
    return hive


def security() -> Hive:
    """SECURITY with the machine's policy."""
    hive = _new("SECURITY", _SECRET)
    put_all(hive.root, "Policy\\PolAcDmS", {"": (0, sddl.sid_bytes(sddl.MACHINE_SID))})
    put_all(hive.root, "Policy\\PolAcDmN", {"": (0, struct.pack("<HHI", 22, 24, 8) + COMPUTER.encode("utf-16-le"))})
    put_all(hive.root, "Policy\\PolRevision", {"": (0, b"\x00\x00\x0b\x00")})
    put(hive.root, "Policy\\Secrets")
    return hive


def boot_store(efi: bool = True) -> Hive:
    """BCD with the boot manager and one loader. Element types are those of Microsoft's bcd.h."""
    hive = Hive.new("BCD", minor=3, last_written=INSTALLED, security=_SECRET, root_name="NewStoreRoot")
    manager, loader = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}", "{b2721d73-1db4-4c62-bf78-c548a880142d}"
    current = "{5d1a4d9e-b3a1-11ee-9d3f-005056b2c4a1}"
    put(hive.root, "Description", KeyName="BCD00000000", System=1, TreatAsSystem=1)
    for store_object, kind, elements in (
        (
            manager,
            0x10100002,
            {
                "12000004": "Windows Boot Manager",
                "23000003": current,
                "24000001": [current],
                "25000004": struct.pack("<Q", 30),
                "12000002": "\\EFI\\Microsoft\\Boot\\bootmgfw.efi" if efi else "\\bootmgr",
            },
        ),
        (
            current,
            0x10200003,
            {
                "12000004": "Windows 11",
                "12000002": "\\Windows\\system32\\winload." + ("efi" if efi else "exe"),
                "22000002": "\\Windows",
                "12000005": "en-US",
                "25000020": struct.pack("<Q", 1),
            },
        ),
        (loader, 0x10100001, {"12000004": "Windows Memory Tester"}),
    ):
        put(hive.root, f"Objects\\{store_object}\\Description", Type=kind)
        for element, value in elements.items():
            put(hive.root, f"Objects\\{store_object}\\Elements\\{element}", Element=value)
    return hive


_KEY_LINE = re.compile(r"^\[(.*)\] \d+$")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_VALUE_LINE = re.compile(r'^(?:@|"((?:[^"\\]|\\.)*)")=(.*)$')


def wine_keys(text: str, below: str):
    """Yield (path, values) of the keys under ``below`` in a wine registry file (WINE REGISTRY Version 2)."""
    path: str | None = None
    values: dict[str, object] = {}
    for line in text.replace("\\\n  ", "").splitlines():
        header = _KEY_LINE.match(line)
        if header:
            if path is not None:
                yield path, values
            name = header[1].replace("\\\\", "\\")
            path, values = (name[len(below) :] if name.startswith(below) else None), {}
        elif path is not None and (match := _VALUE_LINE.match(line)):
            value = _wine_value(match[2])
            if value is not None:
                values[_unescape(match[1] or "")] = value
    if path is not None:
        yield path, values


def _unescape(text: str) -> str:
    def plain(match: re.Match) -> str:
        return chr(int(match[1], 16)) if match[1] else _ESCAPES.get(match[2], match[2])

    return re.sub(r"\\(?:x([0-9a-f]{1,4})|(.))", plain, text)


def _wine_value(text: str) -> object:
    if match := re.match(r'^(?:str\((\d+)\):)?"(.*)"$', text):
        value = _unescape(match[2])
        if match[1] == "7":
            return [part for part in value.split("\0") if part]
        return (EXPAND_SZ, value) if match[1] == "2" else value
    if match := re.match(r"^dword:([0-9a-f]{8})$", text):
        return int(match[1], 16)
    if match := re.match(r"^hex(?:\(([0-9a-f]+)\))?:([0-9a-f,]*)$", text):
        return int(match[1], 16) if match[1] else BINARY, bytes.fromhex(match[2].replace(",", ""))
    return None
