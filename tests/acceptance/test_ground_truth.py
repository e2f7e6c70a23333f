# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An image composed of separately captured layers equals a prefix in which everything was installed in order."""

from __future__ import annotations

import glob
import hashlib

import pytest

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.images.os_import import find_windows
from ansible_collections.strata.layering.plugins.module_utils.images.planning.conflicts import StackClaims
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import HIVE, WHITEOUT
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.acceptance import compare, disks, wine
from ansible_collections.strata.layering.tests.acceptance.installers import (
    APPLICATIONS,
    ASSEMBLY,
    DEVICE_CLASS,
    DEVICE_KEY,
    SHARED,
    WINNERS,
)
from ansible_collections.strata.layering.tests.sample.reread import differences, read_volume
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.ntfs_check import check

_ENVIRONMENT = "System\\CurrentControlSet\\Control\\Session Manager\\Environment"


def _system(prefix):
    return compare.wine_registry.read(prefix.read_registry(wine.SYSTEM))


@pytest.mark.parametrize("application", APPLICATIONS, ids=lambda application: application.name)
def test_layer_contains_the_changes_of_its_installer(lab, packaged, application):
    application_layer = packaged[application.name]
    records = [record.entry for record in stored_layers.records(lab.repository, application_layer.layer)]
    held = {entry.path for entry in records if entry.kind != HIVE and not entry.implied}
    touched = [path for path in application_layer.touched if not path.startswith(application.left_out)]
    assert sorted(held) == sorted(touched)
    assert {entry.path for entry in records if entry.kind == WHITEOUT} == {
        "Strata Cleaner": {"Program Files/Strata Reader/reader.ini", "windows/hh.exe"},
    }.get(application.name, set())
    assert [finding["name"] for finding in application_layer.result.hazards] == list(application.hazards)
    assert [
        finding["name"] for finding in application_layer.result.gate if finding["result"] not in ("pass", "warn")
    ] == []


@pytest.mark.parametrize("application", APPLICATIONS, ids=lambda application: application.name)
def test_image_of_a_layer_equals_the_captured_vm(packaged, application, allowed):
    assert "\n".join(map(str, compare.split(packaged[application.name].differences, allowed)[0])) == ""


def test_image_equals_installing_in_order(reference, composed, allowed):
    left, unused = compare.split(compare.compare(reference[0], composed[0]), allowed)
    assert "\n".join(map(str, left)) == ""
    assert [application_layer.path for application_layer in unused] == []


def test_stored_packages_are_equal_under_different_names(reference, composed):
    def packages(prefix):
        found = []
        for path in glob.glob(glob.escape(prefix.host_path("windows/Installer")) + "/*.msi"):
            with open(path, "rb") as stream:
                found.append(hashlib.file_digest(stream, "sha256").hexdigest())
        return sorted(found)

    assert len(packages(composed[0])) == 2
    assert packages(composed[0]) == packages(reference[0])


def test_lists_and_counters_are_merged(composed):
    system = _system(composed[0])
    path = system.key(_ENVIRONMENT).value("Path").data.decode("utf-16-le").rstrip("\0").split(";")
    folders = [f"C:\\Program Files\\Strata {name}" for name in ("Writer", "Reader", "Agent")]
    assert [part.rstrip("\\") for part in path if "Strata" in part] == folders
    assert path[0] == folders[0]
    assert path[-1].rstrip("\\") == folders[2]
    assert system.key(_ENVIRONMENT).value("PATHEXT").data.decode("utf-16-le").rstrip("\0").endswith(";.STA")
    shared = system.key("Software\\Microsoft\\Windows\\CurrentVersion\\SharedDLLs")
    assert shared.value("C:\\windows\\system32\\strata-shared.dll").data == b"\2\0\0\0"


def test_software_device_names_its_class_key(composed):
    """No bus reports a root-enumerated device: without its keys, Windows would not have it any more."""
    system = _system(composed[0])
    driver = system.key(DEVICE_KEY).value("Driver").data.decode("utf-16-le").rstrip("\0")
    settings = system.key(f"System\\CurrentControlSet\\Control\\Class\\{driver}")
    assert settings.value("DriverDesc").data.decode("utf-16-le").rstrip("\0") == "Strata Virtual Printer"
    assert driver.startswith(DEVICE_CLASS)


def test_highest_version_of_an_assembly_is_found(composed):
    series = _system(composed[0]).key(f"{WINNERS}\\{ASSEMBLY}\\1.0")
    values = {value.name: value.data for value in series.values.values()}
    assert values.pop("").decode("utf-16-le").rstrip("\0") == "1.0.10.0"
    assert values == {"1.0.9.0": b"\1", "1.0.10.0": b"\1"}


def test_conflicts_are_reported(lab, packaged, composed):
    layers = [application_layer.layer for application_layer in packaged.values()]
    image = lab.image(layers)
    findings = {
        (
            finding["hive"],
            finding["key"].rpartition("\\")[2],
            finding.get("value", "").rpartition("\\")[2].casefold(),
        ): finding["outcome"]
        for finding in image.config.registry.findings
        if finding.get("value") != "DriverDateData"
    }
    assert findings == {
        ("SOFTWARE", "1.0", ""): "merged",
        ("SOFTWARE", "SharedDLLs", "strata-shared.dll"): "summed",
        ("SYSTEM", "Environment", "path"): "merged",
    }
    with image.open_disk() as disk, Volume.mount(find_windows(disk).window(disk)) as volume:
        plan = StackClaims([stored_layers.records(lab.repository, layer) for layer in layers], volume.upcase)
    conflicts = {
        conflict.path: (layers[conflict.winner].name, [layers[loser].name for loser in conflict.losers])
        for conflict in plan.conflicts()
    }
    # Strata Cleaner knew the file that it removes: this test does not decide whether that is a conflict.
    conflicts.pop("Program Files/Strata Reader/reader.ini", None)
    assert conflicts == {SHARED: ("Strata Writer", ["Strata Reader"])}


def test_metadata_equals_the_captured_vm(reference, composed, tmp_path):
    """Read by dissect.ntfs. Times differ, because both were installed at different moments; 8.3 names, because each
    application was alone when it was captured: if two files have the same short name, the later file has none."""
    volumes = []
    for _prefix, disk in (reference, composed):
        with FileDevice(disk) as device:
            partition = find_windows(device)
            assert check(partition.window(device), entries_follow=True) == []
        volumes.append(read_volume(disk, partition.offset, partition.size))
    random_names = {path for volume in volumes for path in volume if path.endswith(".msi")}
    hives = {hive_place.path for hive_place in disks.HIVES}
    left_out = tuple(folder for application in APPLICATIONS for folder in application.left_out)
    expected, found = [
        {path: facts for path, facts in volume.items() if path not in random_names and not path.startswith(left_out)}
        for volume in volumes
    ]
    for path in hives:
        expected[path].sha256 = found[path].sha256
        expected[path].size = found[path].size
    assert (
        "\n".join(
            differences(expected, found, ignore=("created", "written", "accessed", "changed", "short_name", "record"))
        )
        == ""
    )
    taken = [(path.rpartition("/")[0], facts.short_name) for path, facts in found.items() if facts.short_name]
    assert len(taken) == len(set(taken))


def test_programs_run_and_read_their_settings(composed):
    prefix = composed[0]
    with prefix.started():
        printed = {
            path: prefix.run(prefix.host_path(path))
            for application in APPLICATIONS
            for path, _text in application.prints
        }
    assert printed == {path: text for application in APPLICATIONS for path, text in application.prints}


def test_later_layer_provides_the_newer_library(composed, reference):
    for prefix, _disk in (composed, reference):
        with open(prefix.host_path(SHARED), "rb") as stream:
            assert b"shared 2.0.0.0" in stream.read()


def test_processes_of_wine_have_ended(lab):
    assert wine.running_below(lab.folder) == []
