# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the properties of an offline Windows installation: version, edition, drivers, services, state of Setup.

Sources: the registry keys that libguestfs and dissect.target read, and Microsoft's
documentation of ImageState and of Control\\ProductOptions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..common.errors import Corrupt, Unsupported
from ..ntfs.volume import Volume
from ..winregistry.hive_model import Hive, Key
from ..winregistry.hive_reader import read_hive
from ..winregistry.registry_values import current_control_set, decode_integer, decode_string

CONFIG = "Windows/System32/config"
#: The largest hive in bytes that is read. Windows does not load hives above 2 GiB; real hives are far smaller.
MAX_HIVE = 512 << 20

_MACHINES = {0x014C: "x86", 0x8664: "x64", 0xAA64: "arm64"}
#: Programs that every edition of Windows has. CompactOS may have stored some of them in a way that cannot be read.
_PROGRAMS = tuple(f"Windows/System32/{name}" for name in ("cmd.exe", "ntdll.dll", "kernel32.dll", "ntoskrnl.exe"))
#: The headers of a program are at its beginning.
_MAX_HEADER = 64 << 10
_ENVIRONMENT = {"X86": "x86", "AMD64": "x64", "ARM64": "arm64"}
FIRST_WINDOWS_11_BUILD = 22000


def is_windows(volume: Volume) -> bool:
    """Return whether the volume contains a Windows installation."""
    return exists(volume, f"{CONFIG}/SYSTEM") and exists(volume, f"{CONFIG}/SOFTWARE")


def exists(volume: Volume, path: str) -> bool:
    """Return whether the volume has a file or folder at ``path``, in any case."""
    node = volume.find(path)
    if node is None:
        return False
    node.close()
    return True


def read_file(volume: Volume, path: str, limit: int) -> bytes | None:
    """Return the content of a file, None if it does not exist.

    Raises:
        Corrupt windows.file_size: the file is larger than ``limit`` bytes.
        Corrupt ntfs.compact_os_damaged: the file is compressed by CompactOS, and its data contradicts itself.
        Unsupported windows.compact_os: the file is compressed by CompactOS in a way that cannot be read.
    """
    node = volume.find(path)
    if node is None:
        return None
    with node:
        if node.is_directory:
            return None
        if node.size > limit:
            raise Corrupt(
                f"The file {path} on the Windows disk has {node.size} bytes; the limit is {limit} bytes.",
                code="windows.file_size",
                hint="Check the file in the VM that the disk comes from, and export the disk again.",
                path=path,
            )
        try:
            return node.read_content()
        except Unsupported as error:
            if error.code != "ntfs.compact_os_provider":
                raise
            windows_path = path.replace("/", "\\")
            raise Unsupported(
                f"The file {path} on the Windows disk is compressed by CompactOS in a way that the collection cannot read.",
                code="windows.compact_os",
                hint=f"Run 'compact /u /exe \"C:\\{windows_path}\"' in the VM that the disk comes from, shut it down and export it again.",
                path=path,
            ) from error


def load_hive(volume: Volume, path: str) -> Hive:
    """Read a hive with its transaction logs applied.

    Raises:
        Corrupt: the hive is missing or damaged.
        Unsupported: the hive is compressed in a way that cannot be read.
    """
    data = read_file(volume, path, MAX_HIVE)
    if data is None:
        raise Corrupt(
            f"The registry hive {path} is missing on the Windows disk.",
            code="windows.no_hive",
            hint="Start the OS machine once, shut it down, and export it again.",
        )
    return _completed(volume, path, data)


def find_hive(volume: Volume, path: str) -> Hive | None:
    """Return a hive as ``load_hive`` reads it, None if the file does not exist or is empty.

    Raises:
        Corrupt: the hive is damaged.
        Unsupported: the hive is compressed in a way that cannot be read.
    """
    data = read_file(volume, path, MAX_HIVE)
    return _completed(volume, path, data) if data else None


def ansi_code_page(volume: Volume) -> int | None:
    """Return the number of the ANSI code page of the installation on ``volume``, None if it is not set.

    Raises:
        Corrupt: the hive SYSTEM is missing or damaged.
    """
    system = load_hive(volume, f"{CONFIG}/SYSTEM")
    key = current_control_set(system).key("Control\\Nls\\CodePage")
    return _number(decode_string(key.value("ACP"))) if key is not None else None


def _completed(volume: Volume, path: str, data: bytes) -> Hive:
    logs = [log for log in (read_file(volume, path + suffix, MAX_HIVE) for suffix in (".LOG1", ".LOG2", ".LOG")) if log]
    return read_hive(data, logs=logs, name=f"{path} on the Windows disk")


@dataclass
class WindowsInstallation:
    """The volume of a Windows installation and the hives that describe it. ``control`` is the current control set's key."""

    volume: Volume
    system: Hive
    software: Hive
    control: Key

    @classmethod
    def open(cls, volume: Volume) -> WindowsInstallation:
        """Read the hives of the installation on ``volume``.

        Raises:
            Corrupt: a hive is missing or damaged.
        """
        system = load_hive(volume, f"{CONFIG}/SYSTEM")
        software = load_hive(volume, f"{CONFIG}/SOFTWARE")
        return cls(volume, system, software, current_control_set(system))

    def setting(self, key: Key | None, name: str) -> str | int | None:
        """Return a value as text or number, None if the value or its key does not exist."""
        value = key.value(name) if key is not None else None
        if value is None:
            return None
        return decode_integer(value) if value.type in (4, 5, 11) else decode_string(value)

    def in_system(self, path: str, name: str) -> str | int | None:
        """Return a value below the current control set."""
        return self.setting(self.control.key(path), name)

    def in_software(self, path: str, name: str) -> str | int | None:
        """Return a value below HKEY_LOCAL_MACHINE\\SOFTWARE."""
        return self.setting(self.software.root.key(path), name)

    def service(self, name: str) -> tuple[int | None, str | None]:
        """Return start type and image path of a service; both are None if it is not installed."""
        key = self.control.key(f"Services\\{name}")
        start, image = self.setting(key, "Start"), self.setting(key, "ImagePath")
        return (start if isinstance(start, int) else None), (image if isinstance(image, str) else None)

    def facts(self) -> dict[str, Any]:
        """Return version, edition and architecture as a flat JSON-compatible dictionary; unknown facts are None."""
        version = "Microsoft\\Windows NT\\CurrentVersion"
        build = _number(self.in_software(version, "CurrentBuildNumber"))
        product = self.in_software(version, "ProductName")
        if isinstance(product, str) and build is not None and build >= FIRST_WINDOWS_11_BUILD:
            # Windows 11 still has the name Windows 10 in this value.
            product = product.replace("Windows 10", "Windows 11")
        major, minor = (
            self.in_software(version, "CurrentMajorVersionNumber"),
            self.in_software(version, "CurrentMinorVersionNumber"),
        )
        return {
            "product_name": product,
            "edition": self.in_software(version, "EditionID"),
            "installation_type": self.in_software(version, "InstallationType"),
            "version": f"{major}.{minor or 0}"
            if isinstance(major, int)
            else self.in_software(version, "CurrentVersion"),
            "build": build,
            "revision": self.in_software(version, "UBR"),
            "display_version": self.in_software(version, "DisplayVersion") or self.in_software(version, "ReleaseId"),
            "product_type": self.in_system("Control\\ProductOptions", "ProductType"),
            "architecture": self._architecture(),
            "computer_name": self.in_system("Control\\ComputerName\\ComputerName", "ComputerName"),
            "domain": self.in_system("Services\\Tcpip\\Parameters", "Domain") or None,
            "image_state": self.in_software("Microsoft\\Windows\\CurrentVersion\\Setup\\State", "ImageState"),
            "vmware_tools": self.service("VMTools")[1],
        }

    def _architecture(self) -> str | None:
        """Return the architecture from a program of Windows, else from the environment that Windows gives to programs."""
        for path in _PROGRAMS:
            architecture = _machine(self.volume, path)
            if architecture is not None:
                return architecture
        name = self.in_system("Control\\Session Manager\\Environment", "PROCESSOR_ARCHITECTURE")
        return _ENVIRONMENT.get(name.upper()) if isinstance(name, str) else None


def _machine(volume: Volume, path: str) -> str | None:
    """Return the architecture of a program, None if there is no program or its content is not readable."""
    node = volume.find(path)
    if node is None:
        return None
    with node:
        if node.is_directory:
            return None
        try:
            data = node.read_content(_MAX_HEADER)
        except (Corrupt, Unsupported):
            return None  # Another program, or the registry, has the architecture as well.
    if len(data) < 64 or data[:2] != b"MZ":
        return None
    header = int.from_bytes(data[60:64], "little")
    if data[header : header + 4] != b"PE\0\0":
        return None
    return _MACHINES.get(int.from_bytes(data[header + 4 : header + 6], "little"))


def _number(value: str | int | None) -> int | None:
    if isinstance(value, int):
        return value
    return int(value) if value and value.isdecimal() and len(value) < 10 else None
