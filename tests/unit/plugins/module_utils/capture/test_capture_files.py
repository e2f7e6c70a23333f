# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capture single files: rules, names that differ only in case, moved clusters."""

from __future__ import annotations

import time

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.ntfs.times import Times
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.captured import (
    INCLUDE_EVERYTHING,
    Packaging,
    capture_change,
    left_out,
    make_windows_disk,
)
from ansible_collections.strata.layering.tests.support.volume_changes import (
    FIRST_TIME,
    edit_hive,
    put,
    rename,
)


def test_capture_rules_exclude_and_include(packaging):
    def change(volume):
        for path in (
            "Windows/Temp/x.tmp",
            "Windows/Temp/kept/y.txt",
            "App/cache/z.bin",
            "App/app.exe",
            "Users/Installer/desktop.txt",
            "pagefile.sys",
        ):
            put(volume, path)
        edit_hive(
            volume, "Windows/System32/config/SOFTWARE", lambda root: root.create("App\\Secret").set_value("Key", 1, b"")
        )

    rules = (
        {"path": "C:\\App\\cache\\*", "reason": "unused"},
        {"path": "Windows\\Temp\\kept", "action": "include"},
        {"key": "HKLM\\SOFTWARE\\App\\Secret"},
    )
    result, entries, deltas = capture_change(packaging, change, *rules)
    assert entries == {
        "App": "directory",
        "App/cache": "directory",
        "App/app.exe": "file",
        "Windows/Temp/kept": "directory",
        "Windows/Temp/kept/y.txt": "file",
    }
    assert deltas["SOFTWARE"].key("App\\Secret") is None
    assert deltas["SOFTWARE"].key("App") is not None
    assert left_out(result, "file") == {
        "unused": ["App/cache/z.bin"],
        "paging": ["pagefile.sys"],
        "temporary": ["Windows/Temp/x.tmp"],
        "user_profile": ["Users/Installer", "Users/Installer/desktop.txt"],
    }
    assert [finding["name"] for finding in result.hazards] == ["user_profiles"]
    everything = capture_change(packaging, change, *INCLUDE_EVERYTHING)[1]
    assert everything.keys() >= {"pagefile.sys", "Users/Installer/desktop.txt", "Windows/Temp/x.tmp"}


def test_capture_names_that_differ_only_in_case(packaging):
    def change(volume):
        with volume.find("Program Files/Alpha") as folder:
            for name in ("twice.txt", "third.txt"):
                folder.create_file(name, b"lower").close()
        # Windows allows this in folders that are marked for WSL.
        for path, name in (
            ("Program Files/Alpha/third.txt", "TWICE.TXT"),
            ("Data/linked once.dat", "FILE NUMBER 1.DAT"),
        ):
            rename(volume, path, "Program Files/Alpha", name)
        rename(volume, "Program Files/Beta and more", "Program Files", "BETA and MORE")

    result, entries, _deltas = capture_change(packaging, change)
    reported = "\n".join(left_out(result, "file")["case"])
    assert "twice.txt differs only in case from Program Files/Alpha/TWICE.TXT" in reported
    assert "FILE NUMBER 1.DAT differs only in case from Program Files/Alpha/file number 1.dat" in reported
    assert left_out(result, "file")["spelling"] == ["Program Files/BETA and MORE"]
    assert "Program Files/Alpha/TWICE.TXT" in entries
    assert "Program Files/Alpha/FILE NUMBER 1.DAT" not in entries
    assert {finding["name"] for finding in result.hazards} == {"names_in_case", "spelling"}


def test_capture_file_moved_to_other_clusters_is_not_a_change(packaging):
    def change(volume):
        with volume.find("Program Files/Alpha/file number 5.dat") as node:
            data, times = node.read(), node.times
            node.truncate(0)
            put(volume, "gap", bytes(2_000_000))
            node.write(data)
            node.set_times(times)
        with volume.find("gap") as node:
            node.delete()

    result, entries, _deltas = capture_change(packaging, change)
    assert entries == {}
    assert result.statistics["files_different"] == 1


def test_capture_huge_sparse_file_reads_only_its_data(tmp_path):
    """Only allocated data is read: reading every byte of 8 TiB would take an hour."""

    def write(volume, node):
        with node.open_stream() as stream:
            stream.truncate(8 << 40)
            stream.pwrite(b"island" * 20_000, 5 << 40)
        node.set_times(Times(*(FIRST_TIME + number for number in range(4))))

    make_windows_disk(str(tmp_path / "raw"))
    with FileDevice(str(tmp_path / "raw"), writable=True) as device:
        window = max(read_partitions(device).partitions, key=lambda partition: partition.size).window(device)
        with (
            Volume.mount(window, writable=True) as volume,
            volume.find("Data") as folder,
            folder.create_file("huge", attributes=0x220) as node,
        ):
            write(volume, node)
    packaging = Packaging(str(tmp_path), str(tmp_path / "raw"))

    def change(volume):
        with volume.find("Data/huge") as node:
            node.truncate(0)
            put(volume, "gap", bytes(2_000_000))
            write(volume, node)
        with volume.find("gap") as node:
            node.delete()

    started = time.monotonic()
    result, entries, _deltas = capture_change(packaging, change)
    assert entries == {}
    assert result.statistics["files_different"] == 1
    assert time.monotonic() - started < 60
