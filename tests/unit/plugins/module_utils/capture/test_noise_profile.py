# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Windows changes by itself is subtracted from a capture; what an installer changes is never lost silently."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.noise.noise_profile import NoiseProfile
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt
from ansible_collections.strata.layering.tests.support import windows_start
from ansible_collections.strata.layering.tests.support.captured import capture_change, left_out, record_noise
from ansible_collections.strata.layering.tests.support.volume_changes import edit_hive, existing, put
from ansible_collections.strata.layering.tests.support.windows_start import CONFIG, combined

DATA = "ProgramData/Microsoft/App/state.dat"


def text(value: str) -> bytes:
    return f"{value}\0".encode("utf-16-le")


def number(value: int) -> bytes:
    return struct.pack("<I", value)


def file(path: str, content: bytes):
    return lambda volume: put(volume, path, content)


def value(key: str, name: str, kind: int, data: bytes, hive: str = "SOFTWARE"):
    def change(volume):
        edit_hive(volume, f"{CONFIG}/{hive}", lambda root: root.create(key).set_value(name, kind, data))

    return change


def values_of(deltas, hive, key):
    found = deltas[hive].key(key) if hive in deltas else None
    return {} if found is None else {item.name: item.data for item in found.values.values()}


def run(number):
    """Return what a start and shutdown of Windows changes, in known and in unknown places."""
    return combined(windows_start.start(number), windows_start.unlisted(number))


@pytest.fixture(name="profile", scope="module")
def _profile(started):
    """The noise profile of a start of Windows."""
    return record_noise(started, run(1))


def capture(packaging, noise_change, *changes):
    """Capture ``changes``, with the noise profile of a VM that ``noise_change`` changed."""
    return capture_change(packaging, combined(*changes), noise=record_noise(packaging, noise_change))


def test_started_machine_with_profile_gives_an_empty_capture(started, profile):
    result, entries, deltas = capture_change(started, run(2), noise=profile)
    assert (entries, deltas) == ({}, {})
    assert result.hazards == []


def test_same_start_with_profile_gives_an_empty_capture(started, profile):
    result, entries, deltas = capture_change(started, run(1), noise=profile)
    assert (entries, deltas) == ({}, {})
    assert "ProgramData/Microsoft/Unlisted/state.dat" in left_out(result, "file")["noise_profile"]


def test_started_machine_without_profile_gives_the_unlisted_changes(started):
    _result, entries, deltas = capture_change(started, run(2))
    assert "ProgramData/Microsoft/Unlisted/state.dat" in entries
    assert values_of(deltas, "SOFTWARE", "Microsoft\\Unlisted").keys() == {"Handle", "Seen", "Session", "When"}


def test_installer_in_started_machine_gives_only_its_changes(started, profile):
    install = combined(
        file("Program Files/App/app.exe", b"MZ program"),
        file("ProgramData/App/settings.ini", b"[a]"),
        value("App", "Version", 4, number(3)),
        value("ControlSet001\\Services\\App", "ImagePath", 2, text("app.exe"), "SYSTEM"),
    )
    result, entries, deltas = capture_change(started, combined(run(2), install), noise=profile)
    assert sorted(entries) == [
        "Program Files/App",
        "Program Files/App/app.exe",
        "ProgramData/App",
        "ProgramData/App/settings.ini",
    ]
    assert [path for path, key in deltas["SOFTWARE"].walk() if key.values] == ["App"]
    assert [path for path, key in deltas["SYSTEM"].walk() if key.values] == ["ControlSet001\\Services\\App"]
    assert result.hazards == []


def test_file_that_the_profile_only_touched_and_an_installer_replaced_is_taken(packaging):
    def touch(volume):
        with existing(volume, "Program Files/Alpha/file number 1.dat") as node:
            node.set_attributes(node.attributes | 2)

    path = "Program Files/Alpha/file number 1.dat"
    result, entries, _deltas = capture(packaging, touch, touch, file(path, b"of the installer"))
    assert path in entries
    result, entries, _deltas = capture(packaging, touch, touch)
    assert entries == {}
    assert left_out(result, "file")["noise_profile"] == [path]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("Windows/System32/tool.dll", b"MZ of the installer"),
        ("Windows/System32/tool.dat", b"MZ a program by content"),
        ("ProgramData/App/app.config", b"<a b='c'/>"),
        ("Windows/INF/oem7.inf", b"[Version] of the installer"),
    ],
)
def test_program_or_settings_that_differ_from_the_profile_are_taken(packaging, path, content):
    _result, entries, _deltas = capture(packaging, file(path, b"of Windows"), file(path, content))
    assert path in entries


def test_data_that_differs_from_the_profile_is_left_out(packaging):
    result, entries, _deltas = capture(packaging, file(DATA, b"\1\0" * 900), file(DATA, b"\2\0" * 900))
    assert entries == {}
    assert DATA in left_out(result, "file")["noise_profile"]
    assert result.hazards == []


def test_data_next_to_files_of_the_installer_is_a_hazard(packaging):
    install = combined(file(DATA, b"\2\0"), file("ProgramData/Microsoft/App/new.dat", b"\3\0"))
    result, entries, _deltas = capture(packaging, file(DATA, b"\1\0"), install)
    assert DATA not in entries
    (hazard,) = result.hazards
    assert hazard["name"] == "noise_profile"
    assert DATA in hazard["found"]


def test_folder_with_a_generated_name_is_taken_if_an_installer_put_a_program_there(packaging):
    def add(number, content):
        return file(f"ProgramData/Microsoft/App/{{0378D977-BE68-6ECB-AEAC-{number:012}}}/a.bin", content)

    folder = "ProgramData/Microsoft/App/{0378D977-BE68-6ECB-AEAC-000000000002}"
    _result, entries, _deltas = capture(packaging, add(1, b"\1\0"), add(2, b"\2\0"))
    assert entries == {}
    _result, entries, _deltas = capture(packaging, add(1, b"\1\0"), add(2, b"MZ"))
    assert {folder, f"{folder}/a.bin"} <= entries.keys()


def remove(*paths):
    def change(volume):
        for path in paths:
            with existing(volume, path) as node:
                node.delete()

    return change


def link(path, new):
    """Return a change that gives the file at ``path`` another name."""

    def change(volume):
        folder, _slash, name = new.rpartition("/")
        with existing(volume, folder) as target, existing(volume, path) as node:
            target.link(node, name).close()

    return change


ONE, TWO, THREE = (f"Program Files/Alpha/file number {number}.dat" for number in (1, 2, 3))


def test_removal_of_the_profile_is_left_out(packaging):
    result, entries, _deltas = capture(packaging, remove(ONE), remove(ONE, TWO))
    assert entries == {TWO: "whiteout"}
    assert left_out(result, "removal") == {"noise_profile": [ONE]}
    assert result.changes["files"]["removed"] == 1


def test_file_that_windows_removed_and_an_installer_changed_is_taken(packaging):
    _result, entries, _deltas = capture(packaging, remove(ONE), file(ONE, b"of the installer"))
    assert entries == {ONE: "file"}


def test_file_that_windows_changed_and_an_installer_removed_is_removed(packaging):
    _result, entries, _deltas = capture(packaging, file(ONE, b"of Windows"), remove(ONE))
    assert entries == {ONE: "whiteout"}


def test_file_with_hard_links_is_taken_with_all_names_or_not_at_all(packaging):
    """The file has two more names in the folder Data."""
    _result, entries, _deltas = capture(packaging, file(THREE, b"\1\0"), file(THREE, b"\2\0"))
    assert entries == {}
    new = "Data/one/of the installer.dat"
    install = combined(file(THREE, b"\2\0"), link(THREE, new))
    _result, entries, _deltas = capture(packaging, file(THREE, b"\1\0"), install)
    assert entries.keys() == {THREE, "Data/linked once.dat", "Data/linked twice.dat", new}


def test_users_rule_overrides_the_profile(packaging):
    noise = record_noise(packaging, combined(file(DATA, b"\1\0"), value("App", "Stamp", 3, b"\1" * 8)))
    change = combined(file(DATA, b"\1\0"), value("App", "Stamp", 3, b"\1" * 8))
    rules = [
        {"path": "ProgramData\\Microsoft\\App", "action": "include"},
        {"key": "SOFTWARE\\App", "action": "include"},
    ]
    _result, entries, deltas = capture_change(packaging, change, *rules, noise=noise)
    assert DATA in entries
    assert values_of(deltas, "SOFTWARE", "App") == {"Stamp": b"\1" * 8}
    _result, entries, deltas = capture_change(packaging, change, noise=noise)
    assert (entries, deltas) == ({}, {})


def test_database_of_the_layer_is_left_out_only_as_a_whole(started):
    """Every layer takes the COM+ catalog."""
    catalog, key = "Windows/Registration/R000000000001.clb", "Microsoft\\COM3"

    def com(number):
        return combined(file(catalog, bytes((number,)) * 900), value(key, "REGDBVersion", 3, bytes((number,)) * 8))

    noise = record_noise(started, com(1))
    _result, entries, deltas = capture_change(started, com(2), noise=noise)
    assert (entries, deltas) == ({}, {})
    install = combined(com(2), value(key + "\\App", "Name", 1, text("App")))
    _result, entries, deltas = capture_change(started, install, noise=noise)
    assert catalog in entries
    assert values_of(deltas, "SOFTWARE", key) == {"REGDBVersion": b"\2" * 8}


def test_damaged_profile_is_refused():
    for stored in (b"", b"no frame", NoiseProfile().encode()[:-4], NoiseProfile().encode()[:20] + b"\0" * 20):
        with pytest.raises(Corrupt) as caught:
            NoiseProfile.decode(stored)
        assert caught.value.code == "capture.noise_profile"


def test_stored_profile_equals_the_recorded_profile(profile):
    assert NoiseProfile.decode(profile.encode()).encode() == profile.encode()
    assert profile.counts()["paths"] > 50


@pytest.mark.parametrize("written", [DATA, f"{DATA}-wal"])
def test_database_of_which_windows_changes_a_file_is_captured_whole(packaging, written):
    """A start writes to one of the files of a database, an installer to both."""
    files = {DATA, f"{DATA}-wal"}
    start = file(written, b"start" * 500)
    install = [file(path, b"installer" * 500) for path in files - {written}]
    _result, entries, _deltas = capture(packaging, start, start, *install)
    assert files <= entries.keys()
