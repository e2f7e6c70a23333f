# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample's hives, read by dissect.regf."""

from __future__ import annotations

import io

import pytest
from dissect.regf import RegistryHive

from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.tests.sample import hives
from ansible_collections.strata.layering.tests.support.pypi_samples import sample_bytes

MAKERS = {
    "SYSTEM": hives.small_system,
    "SOFTWARE": hives.software,
    "DEFAULT": lambda: hives.default_user("DEFAULT"),
    "SAM": hives.sam,
    "SECURITY": hives.security,
    "BCD": hives.boot_store,
}


def _opened(hive):
    return RegistryHive(io.BytesIO(write_hive(hive)))


def _walk(key, path=""):
    yield path, {"" if value.name == "(Default)" else value.name: value.data for value in key.values()}
    for below in key.subkeys():
        yield from _walk(below, f"{path}\\{below.name}" if path else below.name)


@pytest.mark.parametrize("name", MAKERS)
def test_independent_reader_finds_every_key_and_value(name):
    hive = MAKERS[name]()
    expected = {path: {value.name: value.data for value in key.values.values()} for path, key in hive.root.walk()}
    assert dict(_walk(_opened(hive).root())) == expected


@pytest.mark.parametrize("name", MAKERS)
def test_hive_generated_twice_has_the_same_bytes(name):
    assert write_hive(MAKERS[name]()) == write_hive(MAKERS[name]())


def test_software_hive_has_the_windows_version():
    version = _opened(hives.software()).open("Microsoft\\Windows NT\\CurrentVersion")
    found = {value.name: value.value for value in version.values()}
    assert (
        found["CurrentBuildNumber"],
        found["EditionID"],
        found["DisplayVersion"],
        found["CurrentMajorVersionNumber"],
    ) == ("22631", "Enterprise", "23H2", 10)


def test_services_are_added_to_the_real_system_hive():
    hive = read_hive(sample_bytes("dissect.regf", "3.14", "tests/_data/SYSTEM.gz"))
    before = sum(1 for _key in hive.root.walk())
    hives.prepare_system(hive.root)
    opened = _opened(hive)
    service = {value.name: value.value for value in opened.open("ControlSet001\\Services\\vmxnet3ndis6").values()}
    assert service["Start"] == 3 and service["ImagePath"].endswith("vmxnet3.sys")
    assert {value.name: value.value for value in opened.open("ControlSet001\\Services\\wuauserv").values()}[
        "Start"
    ] == 4
    assert before <= sum(1 for _key in hive.root.walk()) < before + 10


def test_wine_registry_text_is_read():
    text = (
        "WINE REGISTRY Version 2\n;; All keys relative to REGISTRY\\\\Machine\n\n#arch=win64\n\n"
        '[Software\\\\Acme\\\\Tool] 1795247149\n#time=1dd798c53c73f3e\n@="standard"\n"Path \\"x\\""=str(2):"%A%\\\\b"\n"List"=str(7):"one\\0two\\0"\n'
        '"Number"=dword:0000002a\n"Bytes"=hex:01,02,\\\n  03\n"Odd"=hex(ffff0007):0a\n"Umlaut"="\\xfc"\n\n[System\\\\Other] 1\n"no"="no"\n'
    )
    assert list(hives.wine_keys(text, "Software\\")) == [
        (
            "Acme\\Tool",
            {
                "": "standard",
                'Path "x"': (2, "%A%\\b"),
                "List": ["one", "two"],
                "Number": 42,
                "Bytes": (3, b"\x01\x02\x03"),
                "Odd": (0xFFFF0007, b"\x0a"),
                "Umlaut": "\u00fc",
            },
        )
    ]


def test_wine_keys_do_not_replace_keys_of_windows():
    text = '[Software\\\\Microsoft\\\\Windows NT\\\\CurrentVersion] 1\n"CurrentBuildNumber"="7601"\n\n[Software\\\\Acme] 1\n"x"="y"\n'
    root = hives.software(text).root
    assert root.key("Microsoft\\Windows NT\\CurrentVersion").value("CurrentBuildNumber").data == "22631\0".encode(
        "utf-16-le"
    )
    assert root.key("Acme").value("x").data == "y\0".encode("utf-16-le")
