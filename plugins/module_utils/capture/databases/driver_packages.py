# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Driver packages: their folder in the driver store, their published INF and catalog, and their keys in the driver databases.

Windows publishes a package as ``oemNN.inf`` with the lowest free number. The databases in the hives SYSTEM and
DRIVERS map this name to the package, whose folder name contains a hash of its content. Sources: Microsoft Learn,
"Driver Store" and "How Windows Selects a Driver"; the hive SYSTEM of a real installation.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from ...ntfs.volume import Volume
from ...windows.installation import WindowsInstallation, find_hive
from ...winregistry.hive_model import Hive
from ...winregistry.hive_names import HIVES
from ...winregistry.registry_values import decode_multi_string, decode_string
from ..rule import Rule
from .compared import Compared

#: The database of packages that no software device uses, such as those of hardware and printers.
NAME = "driver_packages"
_PUBLISHED = re.compile(r"oem\d+\.inf", re.IGNORECASE | re.ASCII)
_STORE = "Windows\\System32\\DriverStore\\FileRepository\\"
_HIVES = ("SYSTEM", "DRIVERS")
_IDS = "DriverDatabase\\DeviceIds"


@dataclass(frozen=True)
class Package:
    """A driver package: the name of its folder in the driver store, and its published INF file in lower case."""

    name: str
    inf: str

    @property
    def catalog(self) -> str:
        """The name of its published catalog, which confirms its signature."""
        return f"{self.inf.removesuffix('.inf')}.cat"


@functools.lru_cache(maxsize=1)
def new_packages(compared: Compared) -> list[Package]:
    """Return the packages that were published in the packaging machine, by INF file."""
    before = _published(compared.before.volume) if compared.before is not None else set()
    return _packages(compared.after, _published(compared.after.volume) - before)


def removed_packages(compared: Compared) -> list[Package]:
    """Return the packages that were published in the image and no longer are, by INF file."""
    before = compared.before
    return (
        _packages(before, _published(before.volume) - _published(compared.after.volume)) if before is not None else []
    )


def _packages(windows: WindowsInstallation, published: set[tuple[str, int]]) -> list[Package]:
    names = sorted({name for name, _reference in published})
    if not names:
        # The driver databases, of which DRIVERS is large, are read only if there is such a package.
        return []
    databases = list(_databases(windows).values())
    packages = ((_package(databases, name), name) for name in names)
    return [Package(package, name) for package, name in packages if package]


def removal_rules(compared: Compared) -> list[Rule]:
    """Return the rules that remove the packages of the image that the packaging machine no longer has."""
    packages = removed_packages(compared)
    rules = [rule for package in packages for rule in package_rules(package, NAME)]
    if packages and compared.before is not None:
        after, infs = _databases(compared.after), {package.inf for package in packages}
        for name, hive in _databases(compared.before).items():
            rules += _removed_ids(name, hive, after.get(name), infs)
    return rules


def _removed_ids(hive: str, before: Hive, after: Hive | None, infs: set[str]) -> Iterator[Rule]:
    """Yield the rules that remove keys of hardware IDs, which are gone with their last package. The topmost such key is named."""
    root = before.key(_IDS)
    if root is None or after is None:
        return
    for path, key in root.walk():
        if after.key(f"{_IDS}\\{path}") is None and any(value.name.lower() in infs for value in key.values.values()):
            names = path.split("\\")
            while len(names) > 1 and after.key("\\".join((_IDS, *names[:-1]))) is None:
                names.pop()
            yield Rule("\\".join((hive, _IDS, *names)), NAME, True, None, True, NAME, literal=True)


def published_names(windows: WindowsInstallation) -> frozenset[str]:
    """Return the names of the published INF files, in lower case."""
    return frozenset(name for name, _reference in _published(windows.volume))


def package_rules(package: Package, database: str) -> list[Rule]:
    """Return the rules that take a package as part of ``database``."""
    files = (f"{_STORE}{package.name}", f"Windows\\INF\\{package.inf}")
    rules = [Rule(path, database, include=True, database=database, literal=True) for path in files]
    rules.append(Rule(f"Windows\\System32\\CatRoot\\*\\{package.catalog}", database, include=True, database=database))
    for hive in _HIVES:
        root = f"{hive}\\DriverDatabase\\"
        rules += [
            Rule(root + key, database, True, None, True, database, literal=True)
            for key in (f"DriverPackages\\{package.name}", f"DriverInfFiles\\{package.inf}")
        ]
        rules.append(Rule(f"{root}DeviceIds\\**", database, True, package.inf, True, database))
    return rules


def _published(volume: Volume) -> set[tuple[str, int]]:
    """Return the published INF files with their file references, which differ if a number was used again."""
    folder = volume.find("Windows/INF")
    if folder is None:
        return set()
    with folder:
        if not folder.is_directory:
            return set()
        return {
            (child.name.lower(), child.reference) for child in folder.children() if _PUBLISHED.fullmatch(child.name)
        }


def _databases(windows: WindowsInstallation) -> dict[str, Hive]:
    """Return the hives with driver databases, by name."""
    hives = {"SYSTEM": windows.system}
    drivers = find_hive(windows.volume, HIVES["DRIVERS"].path)
    return {**hives, "DRIVERS": drivers} if drivers is not None else hives


def _package(databases: list[Hive], inf: str) -> str:
    """Return the name of the package that was published as ``inf``, "" if the driver databases do not know it."""
    for hive in databases:
        key = hive.key(f"DriverDatabase\\DriverInfFiles\\{inf}")
        if key is not None:
            name = decode_string(key.value("Active")) or next(iter(decode_multi_string(key.value("")) or ()), "")
            if name and "\\" not in name and "/" not in name:
                return name
    return ""
