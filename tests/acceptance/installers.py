# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The installers of the tests: MSI packages by wixl and msibuild, others by NSIS, each with its own programs.

Together they make the changes that are hard to layer: append to the same list, count references to a shared
library of which each installs its own version, add a service, remove files of another application, register a
side-by-side assembly, and install a device that exists only in software.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from .programs import Call, Environment, Registry, Statement, Text, library, program
from .wine import Prefix

SHARED = "windows/system32/strata-shared.dll"
_SHARED_DLL = "strata-shared.dll"
_NAMESPACE = uuid.UUID("6a0d7f1e-2f7d-4d0e-9f55-6c1d6f0c2a11")
#: A folder name outside ASCII, in three scripts, and one as long as the host's file systems allow.
UNICODE = "\u00dcberblick \u0645\u0631\u062d\u0628\u0627 \u65e5\u672c\u8a9e"
LONG = "long file name " * 11 + "end"


@dataclass(frozen=True)
class Application:
    """An installer and its content.

    ``build`` writes it into a folder and returns its path; ``needs`` names applications that it
    is installed on; ``prints`` says, for the program at a path on C:, what it writes in an image
    that has all applications; ``left_out`` are folders on C: that a layer does not contain, ``hazards``
    the warnings of its capture.
    """

    name: str
    version: str
    build: Callable[[str], str]
    needs: tuple[str, ...] = ()
    prints: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()
    hazards: tuple[str, ...] = ()

    def install(self, prefix: Prefix, installer: str) -> None:
        """Install it into a prefix that has been started."""
        if installer.endswith(".msi"):
            prefix.run("msiexec", "/i", installer, "/qn")
        else:
            prefix.run(installer, "/S")


def _shared(version: str) -> bytes:
    return library(_SHARED_DLL, {"shared_version": f"shared {version}"}, version, "Strata shared library")


def _write(folder: str, name: str, data: bytes) -> str:
    path = os.path.join(folder, name)
    with open(path, "wb") as stream:
        stream.write(data)
    return path


def _tool(*command: str, cwd: str) -> None:
    result = subprocess.run(
        command,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    if result.returncode:
        raise RuntimeError(f"{command[0]} ended with {result.returncode}: {result.stdout.decode('utf-8', 'replace')}")


# -- MSI


def _guid(text: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, text)).upper()


def _msi(
    folder: str, name: str, version: str, components: str, system: str = "", statements: tuple[str, ...] = ()
) -> str:
    """Build a 64-bit package; ``components`` go to its own folder below Program Files, ``system`` to System32.

    ``statements`` are SQL for the package's database, for what wixl has no words for.
    """
    document = f"""<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
 <Product Id="{_guid(name + version)}" Name={quoteattr(name)} Version="{version}" Language="1033" Manufacturer="Strata" UpgradeCode="{_guid(name)}">
  <Package InstallerVersion="300" Compressed="yes" InstallScope="perMachine" Description={quoteattr(name)} Manufacturer="Strata"/>
  <Media Id="1" Cabinet="files.cab" EmbedCab="yes"/>
  <Directory Id="TARGETDIR" Name="SourceDir">
   <Directory Id="ProgramFiles64Folder"><Directory Id="INSTALLDIR" Name={quoteattr(name)}>{components}</Directory></Directory>
   <Directory Id="System64Folder">{system}</Directory>
  </Directory>
  <Feature Id="Main" Level="1">{"".join(f'<ComponentRef Id="{part}"/>' for part in _component_ids(components + system))}</Feature>
 </Product>
</Wix>
"""
    source = _write(folder, f"{name}.wxs", document.encode())
    path = os.path.join(folder, f"{name}.msi")
    _tool("wixl", "-a", "x64", "-o", path, source, cwd=folder)
    for statement in statements:
        _tool("msibuild", path, "-q", statement, cwd=folder)
    return path


def _component_ids(xml: str) -> list[str]:
    return [part.split('"')[1] for part in xml.split("<Component ")[1:]]


def _component(name: str, content: str) -> str:
    return f'<Component Id="{name}" Guid="{_guid(name)}" Win64="yes">{content}</Component>'


def _file(name: str, key: str | None = None) -> str:
    return f'<File Id="{key or name.replace("-", "_")}" Name={quoteattr(name)} Source={quoteattr(name)} KeyPath="yes"/>'


_SHARED_PARTS = _component("Shared", _file(_SHARED_DLL))
_ENVIRONMENT_TABLE = (
    "CREATE TABLE `Environment` (`Environment` CHAR(72) NOT NULL, `Name` CHAR(255) NOT NULL LOCALIZABLE, `Value` CHAR(255) LOCALIZABLE, "
    "`Component_` CHAR(72) NOT NULL PRIMARY KEY `Environment`)"
)


def _environment(rows: dict[str, str], component: str) -> list[str]:
    """Rows of the Environment table: "=-*" sets a system variable and removes it at uninstallation."""
    sequence = "INSERT INTO `InstallExecuteSequence` (`Action`, `Sequence`) VALUES ('{}', {})"
    return [
        _ENVIRONMENT_TABLE,
        sequence.format("RemoveEnvironmentStrings", 3300),
        sequence.format("WriteEnvironmentStrings", 5200),
        *(
            f"INSERT INTO `Environment` (`Environment`, `Name`, `Value`, `Component_`) VALUES ('{name}', '=-*{name}', '{value}', '{component}')"
            for name, value in rows.items()
        ),
    ]


def _counted(version: str) -> list[str]:
    # 256: 64-bit; 8: counted in SharedDLLs.
    return [
        "UPDATE `Component` SET `Attributes` = 264 WHERE `Component` = 'Shared'",
        f"UPDATE `File` SET `Version` = '{version}' WHERE `File` = '{_SHARED_DLL.replace('-', '_')}'",
    ]


# -- NSIS


def _nsis(folder: str, name: str, body: str) -> str:
    """Build a 64-bit installer that runs ``body`` with $INSTDIR below Program Files."""
    script = f"""Unicode true
Name "{name}"
OutFile "{name}.exe"
RequestExecutionLevel admin
SetCompressor zlib
InstallDir "$PROGRAMFILES64\\{name}"
!include x64.nsh
!define LIBRARY_X64
!include Library.nsh
Section
SetRegView 64
SetShellVarContext all
${{DisableX64FSRedirection}}
{body}
SectionEnd
Section Uninstall
RMDir /r $INSTDIR
SectionEnd
"""
    # makensis recognizes UTF-8 only with a byte order mark.
    source = _write(folder, f"{name}.nsi", b"\xef\xbb\xbf" + script.encode())
    _tool("makensis", "-V2", "-NOCD", "-XTarget amd64-unicode", source, cwd=folder)
    return os.path.join(folder, f"{name}.exe")


_CONTROL = "System\\CurrentControlSet\\Control"
_ENVIRONMENT_KEY = f"{_CONTROL}\\Session Manager\\Environment"
_CLASSES = f"{_CONTROL}\\Class"
#: The root-enumerated device of Strata Writer: Windows would not find it again.
DEVICE_KEY = "System\\CurrentControlSet\\Enum\\ROOT\\STRATAPRINTER\\0000"
DEVICE_CLASS = "{5F1D3AD2-7B8E-4C6B-9D8F-0F8A6D2C4E11}"
#: The key below SideBySide\\Winners of an assembly of which two applications install versions.
ASSEMBLY = "amd64_strata.shared_5f0a1b2c3d4e5f60_none_0123456789abcdef"
WINNERS = "Software\\Microsoft\\Windows\\CurrentVersion\\SideBySide\\Winners"
_INTERFACE = f"##?#ROOT#STRATAPRINTER#0000#{DEVICE_CLASS}"


def _assembly(version: str, source: str) -> str:
    """Return statements that install a version of the side-by-side assembly, with ``source`` as its library."""
    folder = ASSEMBLY.replace("_none_", f"_{version}_none_")
    key = f"{WINNERS}\\{ASSEMBLY}"
    return f"""
SetOutPath "$WINDIR\\winsxs\\{folder}"
File /oname=strata.dll {source}
WriteRegStr HKLM "{key}" "" "1.0"
WriteRegStr HKLM "{key}\\1.0" "" "{version}"
WriteRegBin HKLM "{key}\\1.0" "{version}" 01
"""


# -- the applications


def _reader(folder: str) -> str:
    statements: list[Statement] = [
        Text("reader"),
        Call(_SHARED_DLL, "shared_version"),
        Registry("HKLM", "Software\\Strata\\Reader", "Greeting"),
    ]
    _write(folder, "reader.exe", program(statements, "1.0.0.0", "Strata Reader"))
    _write(folder, "reader.ini", b"[reader]\r\nzoom=100\r\n")
    _write(folder, "manual.txt", b"How to read.\r\n" * 400)
    _write(folder, _SHARED_DLL, _shared("1.2.0.0"))
    values = (
        '<RegistryValue Root="HKLM" Key="Software\\Strata\\Reader" Name="Greeting" Type="string" Value="good morning"/>'
        '<RegistryValue Root="HKLM" Key="Software\\Strata\\Reader" Name="Count" Type="integer" Value="7"/>'
        '<RegistryValue Root="HKLM" Key="Software\\Strata\\Reader\\Plugins" Name="Old" Type="string" Value="to be removed"/>'
    )
    components = (
        _component("Program", _file("reader.exe") + values)
        + _component("Settings", _file("reader.ini"))
        + _component("Manual", _file("manual.txt"))
    )
    return _msi(
        folder,
        "Strata Reader",
        "1.0.0",
        components,
        _SHARED_PARTS,
        (*_counted("1.2.0.0"), *_environment({"Path": "[~];[INSTALLDIR]"}, "Program")),
    )


def _writer(folder: str) -> str:
    statements: list[Statement] = [
        Text("writer"),
        Call(_SHARED_DLL, "shared_version"),
        Registry("HKLM", "Software\\Strata\\Writer", "Template"),
        Environment("STRATA_HOME"),
    ]
    _write(folder, "writer.exe", program(statements, "2.0.0.0", "Strata Writer"))
    _write(folder, _SHARED_DLL, _shared("2.0.0.0"))
    return _nsis(
        folder,
        "Strata Writer",
        f"""
SetOutPath $INSTDIR
File writer.exe
!insertmacro InstallLib DLL $R9 NOREBOOT_NOTPROTECTED {_SHARED_DLL} $SYSDIR\\{_SHARED_DLL} $SYSDIR
WriteRegStr HKLM "Software\\Strata\\Writer" "Template" "blank page"
WriteRegStr HKLM "{_ENVIRONMENT_KEY}" "STRATA_HOME" "$INSTDIR"
ReadRegStr $0 HKLM "{_ENVIRONMENT_KEY}" "Path"
WriteRegExpandStr HKLM "{_ENVIRONMENT_KEY}" "Path" "$INSTDIR;$0"
WriteRegStr HKLM "{DEVICE_KEY}" "Driver" "{DEVICE_CLASS}\\0000"
WriteRegStr HKLM "{DEVICE_KEY}" "ClassGUID" "{DEVICE_CLASS}"
WriteRegStr HKLM "{DEVICE_KEY}" "Class" "StrataPrinters"
WriteRegStr HKLM "{_CLASSES}\\{DEVICE_CLASS}" "Class" "StrataPrinters"
WriteRegStr HKLM "{_CLASSES}\\{DEVICE_CLASS}\\0000" "DriverDesc" "Strata Virtual Printer"
WriteRegStr HKLM "{_CONTROL}\\DeviceClasses\\{DEVICE_CLASS}\\{_INTERFACE}" "DeviceInstance" "ROOT\\STRATAPRINTER\\0000"
WriteUninstaller $INSTDIR\\uninstall.exe
WriteRegStr HKLM "Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\Strata Writer" "DisplayName" "Strata Writer"
WriteRegStr HKLM "Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall\\Strata Writer" "UninstallString" "$INSTDIR\\uninstall.exe"
{_assembly("1.0.9.0", "writer.exe")}
""",
    )


def _agent(folder: str) -> str:
    service = "System\\CurrentControlSet\\Services\\StrataAgent"
    statements: list[Statement] = [
        Text("agent"),
        Registry("HKLM", service, "ImagePath"),
        Registry("HKLM", service, "ObjectName"),
    ]
    _write(folder, "agent.exe", program(statements, "3.1.0.0", "Strata Agent"))
    install = (
        '<ServiceInstall Id="Agent" Name="StrataAgent" DisplayName="Strata Agent" Description="Does what agents do." Type="ownProcess" Start="demand" '
        'ErrorControl="normal" Account="LocalSystem"/>'
    )
    statements_sql = _environment({"PATHEXT": "[~];.STA", "Path": "[~];[INSTALLDIR]"}, "Service")
    return _msi(
        folder,
        "Strata Agent",
        "3.1.0",
        _component("Service", _file("agent.exe") + install),
        statements=tuple(statements_sql),
    )


def _viewer(folder: str) -> str:
    statements: list[Statement] = [
        Text("viewer"),
        Registry("HKCU", "Software\\Strata\\Viewer", "Theme"),
        Registry("HKCR", ".strata", ""),
        Registry("HKCR", "Strata.Document\\shell\\open\\command", ""),
    ]
    _write(folder, "viewer.exe", program(statements, "4.0.0.0", "Strata Viewer"))
    return _nsis(
        folder,
        "Strata Viewer",
        """
SetOutPath $INSTDIR
File viewer.exe
WriteRegStr HKCU "Software\\Strata\\Viewer" "Theme" "dark"
WriteRegDWORD HKCU "Software\\Strata\\Viewer" "FirstRun" 1
WriteRegBin HKCU "Control Panel\\Strata" "Layout" 0102030405
WriteRegStr HKLM "Software\\Classes\\.strata" "" "Strata.Document"
WriteRegStr HKLM "Software\\Classes\\.txt\\OpenWithProgids" "Strata.Document" ""
WriteRegStr HKLM "Software\\Classes\\Strata.Document" "" "Strata document"
WriteRegStr HKLM "Software\\Classes\\Strata.Document\\DefaultIcon" "" "$INSTDIR\\viewer.exe,0"
WriteRegStr HKLM "Software\\Classes\\Strata.Document\\shell\\open\\command" "" '"$INSTDIR\\viewer.exe" "%1"'
WriteRegStr HKLM "Software\\Microsoft\\Windows\\CurrentVersion\\App Paths\\viewer.exe" "" "$INSTDIR\\viewer.exe"
SetShellVarContext current
SetOutPath $APPDATA\\Strata
FileOpen $0 $APPDATA\\Strata\\viewer.cfg w
FileWrite $0 "theme=dark$\\r$\\n"
FileClose $0
"""
        + _assembly("1.0.10.0", "viewer.exe"),
    )


def _cleaner(folder: str) -> str:
    _write(
        folder,
        "cleaner.exe",
        program(
            [Text("cleaner"), Registry("HKLM", "Software\\Strata\\Reader", "Greeting")], "5.0.0.0", "Strata Cleaner"
        ),
    )
    return _nsis(
        folder,
        "Strata Cleaner",
        """
SetOutPath $INSTDIR
File cleaner.exe
Delete "$PROGRAMFILES64\\Strata Reader\\reader.ini"
Delete "$WINDIR\\hh.exe"
DeleteRegKey HKLM "Software\\Strata\\Reader\\Plugins"
DeleteRegValue HKLM "Software\\Strata\\Reader" "Count"
WriteRegStr HKLM "Software\\Strata\\Reader" "Greeting" "good evening"
DeleteRegKey HKLM "Software\\Classes\\.wri"
""",
    )


def _overview(folder: str) -> str:
    key = f"Software\\Strata\\{UNICODE}"
    _write(
        folder,
        "overview.exe",
        program([Text(UNICODE), Registry("HKLM", "Software\\Strata\\Overview", "Plain")], "6.0.0.0", "Strata Overview"),
    )
    _write(folder, "page.txt", "\ufeffGr\u00fc\u00dfe\r\n".encode("utf-16-le"))
    return _nsis(
        folder,
        "Strata Overview",
        f"""
SetOutPath "$INSTDIR\\{UNICODE}"
File overview.exe
File /oname=\u00fcbersicht.exe overview.exe
File "/oname={LONG}.txt" page.txt
SetOutPath "$INSTDIR\\{UNICODE}\\\u65e5\u672c\\\U0001f4c4 emoji"
File "/oname=\u0416.txt" page.txt
WriteRegStr HKLM "{key}" "\u00e9t\u00e9" "\u590f"
WriteRegStr HKLM "{key}\\[brackets] = $\\"quotes$\\"" "a=b" "line$\\r$\\nline"
WriteRegStr HKLM "Software\\Strata\\Overview" "Plain" "plain"
""",
    )


#: Names of what Strata Connector installs.
ASSEMBLY = "amd64_strata.runtime_1234567890abcdef_1.0.21.0_none_0123456789abcdef"
WINNER = (
    "Software\\Microsoft\\Windows\\CurrentVersion\\SideBySide\\Winners\\"
    "amd64_strata.runtime_1234567890abcdef_none_0123456789abcdef"
)
#: The numbers that a layer gives to this driver and this device, so that the image equals what was installed.
PUBLISHED, CLASS_NUMBER = "oem17608.inf", "4959"
DRIVER_PACKAGE = "stratahub.inf_amd64_0123456789abcdef"
DEVICE = "System\\CurrentControlSet\\Enum\\ROOT\\STRATAHUB\\0000"
SERVICE_PROFILE = "Software\\Microsoft\\Windows NT\\CurrentVersion\\ProfileList\\S-1-5-80-2412011216-1711230814-1411230814-2211230814-3311230814"
_SERVICES = "System\\CurrentControlSet\\Services"
_CLASS_GUID = "{4d36e97d-e325-11ce-bfc1-08002be10318}"
_DEVICE_CLASS = f"System\\CurrentControlSet\\Control\\Class\\{_CLASS_GUID}"


def _connector(folder: str) -> str:
    """Build an installer like that of a broker's agent.

    It installs a side-by-side assembly, a service with a profile of its own and a root-enumerated device with its driver.
    """
    _write(folder, "runtime.dll", library("strata-runtime.dll", {"runtime": "runtime"}, "1.0.21.0", "Strata runtime"))
    _write(folder, "hub.sys", library("stratahub.sys", {"hub": "hub"}, "1.0.0.0", "Strata virtual hub"))
    _write(folder, "hub.inf", b"[Version]\r\nSignature=$WINDOWS NT$\r\nClass=System\r\n")
    statements: list[Statement] = [
        Text("connector"),
        Registry("HKLM", f"{DEVICE}", "Service"),
        Registry("HKLM", f"{WINNER}\\1.0", ""),
    ]
    _write(folder, "connector.exe", program(statements, "7.0.0.0", "Strata Connector"))
    _write(
        folder,
        "runtime.manifest",
        b'<assembly xmlns="urn:schemas-microsoft-com:asm.v1" manifestVersion="1.0"><assemblyIdentity type="win32" name="Strata.Runtime" '
        b'version="1.0.21.0" processorArchitecture="amd64" publicKeyToken="1234567890abcdef"/><file name="strata-runtime.dll"/></assembly>',
    )
    driver = f"$WINDIR\\system32\\DriverStore\\FileRepository\\{DRIVER_PACKAGE}"
    return _nsis(
        folder,
        "Strata Connector",
        f"""
SetOutPath $INSTDIR
File connector.exe
SetOutPath "$WINDIR\\winsxs\\{ASSEMBLY}"
File /oname=strata-runtime.dll runtime.dll
SetOutPath "$WINDIR\\winsxs\\manifests"
File "/oname={ASSEMBLY}.manifest" runtime.manifest
WriteRegStr HKLM "{WINNER}" "" "1.0"
WriteRegStr HKLM "{WINNER}\\1.0" "" "1.0.21.0"
WriteRegBin HKLM "{WINNER}\\1.0" "1.0.21.0" 01
SetOutPath "{driver}"
File /oname=stratahub.inf hub.inf
File /oname=stratahub.sys hub.sys
SetOutPath "$WINDIR\\system32\\drivers"
File /oname=stratahub.sys hub.sys
SetOutPath "$WINDIR\\inf"
File /oname={PUBLISHED} hub.inf
WriteRegStr HKLM "{_SERVICES}\\stratahub" "ImagePath" "\\SystemRoot\\System32\\drivers\\stratahub.sys"
WriteRegDWORD HKLM "{_SERVICES}\\stratahub" "Start" 3
WriteRegDWORD HKLM "{_SERVICES}\\stratahub" "Type" 1
WriteRegStr HKLM "System\\DriverDatabase\\DriverPackages\\{DRIVER_PACKAGE}" "" "{PUBLISHED}"
WriteRegStr HKLM "System\\DriverDatabase\\DriverInfFiles\\{PUBLISHED}" "Active" "{DRIVER_PACKAGE}"
WriteRegStr HKLM "{_DEVICE_CLASS}\\{CLASS_NUMBER}" "DriverDesc" "Strata virtual hub"
WriteRegStr HKLM "{_DEVICE_CLASS}\\{CLASS_NUMBER}" "InfPath" "{PUBLISHED}"
WriteRegStr HKLM "{DEVICE}" "ClassGUID" "{_CLASS_GUID}"
WriteRegStr HKLM "{DEVICE}" "Driver" "{_CLASS_GUID}\\{CLASS_NUMBER}"
WriteRegStr HKLM "{DEVICE}" "Service" "stratahub"
WriteRegDWORD HKLM "{DEVICE}" "ConfigFlags" 0
WriteRegStr HKLM "{_SERVICES}\\StrataConnector" "ImagePath" "$INSTDIR\\connector.exe"
WriteRegStr HKLM "{_SERVICES}\\StrataConnector" "ObjectName" "NT SERVICE\\StrataConnector"
WriteRegDWORD HKLM "{_SERVICES}\\StrataConnector" "Start" 3
WriteRegDWORD HKLM "{_SERVICES}\\StrataConnector" "Type" 16
WriteRegExpandStr HKLM "{SERVICE_PROFILE}" "ProfileImagePath" "C:\\Users\\StrataConnector"
CreateDirectory "C:\\users\\StrataConnector"
FileOpen $0 "C:\\users\\StrataConnector\\state.txt" w
FileWrite $0 "state$\\r$\\n"
FileClose $0
""",
    )


_PROGRAMS = "Program Files/"

APPLICATIONS: tuple[Application, ...] = (
    Application(
        "Strata Reader",
        "1.0",
        _reader,
        prints=((_PROGRAMS + "Strata Reader/reader.exe", "reader\nshared 2.0.0.0\ngood evening\n"),),
    ),
    Application(
        "Strata Writer",
        "2.0",
        _writer,
        prints=(
            (
                _PROGRAMS + "Strata Writer/writer.exe",
                "writer\nshared 2.0.0.0\nblank page\nC:\\Program Files\\Strata Writer\n",
            ),
        ),
    ),
    Application(
        "Strata Agent",
        "3.1",
        _agent,
        prints=(
            (_PROGRAMS + "Strata Agent/agent.exe", "agent\nC:\\Program Files\\Strata Agent\\agent.exe\nLocalSystem\n"),
        ),
    ),
    Application(
        "Strata Viewer",
        "4.0",
        _viewer,
        prints=(
            (
                _PROGRAMS + "Strata Viewer/viewer.exe",
                'viewer\ndark\nStrata.Document\n"C:\\Program Files\\Strata Viewer\\viewer.exe" "%1"\n',
            ),
        ),
    ),
    Application(
        "Strata Cleaner",
        "5.0",
        _cleaner,
        needs=("Strata Reader",),
        prints=((_PROGRAMS + "Strata Cleaner/cleaner.exe", "cleaner\ngood evening\n"),),
    ),
    Application(
        "Strata Overview",
        "6.0",
        _overview,
        prints=((f"{_PROGRAMS}Strata Overview/{UNICODE}/\u00fcbersicht.exe", f"{UNICODE}\nplain\n"),),
    ),
    Application(
        "Strata Connector",
        "7.0",
        _connector,
        prints=((_PROGRAMS + "Strata Connector/connector.exe", "connector\nstratahub\n1.0.21.0\n"),),
        left_out=("users/StrataConnector",),
        hazards=("driver_store", "user_profiles"),
    ),
)
