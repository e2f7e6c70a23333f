# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a prefix to a disk and back: no content is lost, and wine accepts the resulting prefix."""

from __future__ import annotations

import os
import shutil

from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.images.os_import import find_windows
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Key
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.tests.acceptance import compare, disks, wine, wine_registry


def _unpack(lab, disk, name):
    with FileDevice(disk) as device:
        return disks.unpack(device, os.path.join(lab.folder, name), lab.home, "0\n")


def test_image_without_layers_equals_its_prefix(lab):
    again = lab.unpack(lab.image([]), "again")
    try:
        assert compare.compare(lab.fresh, again) == []
    finally:
        shutil.rmtree(again.path)


def test_changes_of_a_prefix_are_read_from_the_disk(lab, tmp_path):
    prefix, disk = lab.copies(lab.image([]), "changed")
    before = disks.stamps(prefix)
    with open(prefix.host_path("windows/win.ini"), "ab") as stream:
        stream.write(b"[more]\r\n" * 1000)
    os.unlink(prefix.host_path("windows/notepad.exe"))
    os.rename(prefix.host_path("windows/regedit.exe"), prefix.host_path("windows/moved.exe"))
    shutil.rmtree(prefix.host_path("windows/twain_64"))
    os.makedirs(prefix.host_path("new folder/\u00fc/deep"))
    for name, data in (("new folder/\u00fc/deep/file.text", b"x" * 70_000), ("new folder/empty", b"")):
        with open(prefix.host_path(name), "wb") as stream:
            stream.write(data)
    with open(prefix.host_path("windows/system.ini"), "rb") as stream:
        same = stream.read()
    os.unlink(prefix.host_path("windows/system.ini"))
    with open(prefix.host_path("windows/system.ini"), "wb") as stream:
        stream.write(same)
    registry = wine_registry.read(prefix.read_registry(wine.SYSTEM))
    registry.delete("Software\\Classes\\.wri")
    registry.create("Software\\New\\Deeper").set_value("\u00e9", 7, "a\0b\0\0".encode("utf-16-le"))
    registry.key("Software\\Classes\\.rtf").set_value("Content Type", 0x12345678, b"\0\xff")
    with open(os.path.join(prefix.path, wine.SYSTEM), "w", encoding="ascii") as stream:
        stream.write(wine_registry.write(registry, "Machine"))

    touched = disks.pack(prefix, before, disk)

    assert {
        "windows/win.ini",
        "windows/notepad.exe",
        "windows/regedit.exe",
        "windows/moved.exe",
        "windows/twain_64",
        "new folder/empty",
    } <= set(touched)
    assert not any(path.startswith("windows/system32") for path in touched)
    again = _unpack(lab, disk, "again")
    try:
        assert compare.compare(prefix, again) == []
        with FileDevice(disk) as device, Volume.mount(find_windows(device).window(device)) as volume:
            with volume.find("windows/system32/config/SYSTEM") as node:
                hive = read_hive(node.read())
            with volume.find("new folder") as folder, volume.find("windows/win.ini") as kept, volume.root as root:
                assert folder.short_name == "NEWFOL~1"
                assert folder.security != root.security
                assert kept.times.created < kept.times.written
        assert hive.key("ControlSet001\\Control") is not None
        assert hive.key("CurrentControlSet") is None
        assert disks.pack(again, disks.stamps(again), disk) == []
    finally:
        for folder in (prefix.path, again.path):
            shutil.rmtree(folder)
        os.unlink(disk)


def test_registry_changes_only_are_applied_to_a_different_registry():
    def key(values):
        root = Key("")
        for path, name, data in values:
            root.create(path).set_value(name, 1, data)
        return root

    before = key(
        [
            ("Old\\Gone", "a", b"1"),
            ("Kept", "same", b"1"),
            ("Kept", "other", b"1"),
            ("Kept", "removed", b"1"),
            ("CurrentControlSet\\A", "x", b"1"),
        ]
    )
    after = key(
        [
            ("Kept", "same", b"1"),
            ("Kept", "other", b"2"),
            ("CurrentControlSet\\A", "x", b"2"),
            ("New\\Deeper", "n", b"3"),
        ]
    )
    after.create("Old")
    target = key(
        [
            ("Old\\Gone", "a", b"9"),
            ("Old\\Own", "b", b"9"),
            ("Kept", "same", b"9"),
            ("Kept", "removed", b"9"),
            ("ControlSet001\\A", "y", b"9"),
        ]
    )
    hive_place = disks.HIVES[0]

    assert disks._changes_to_hive(target, before, after, hive_place)
    assert {(path, value.name): value.data for path, found in target.walk() for value in found.values.values()} == {
        ("Old\\Own", "b"): b"9",
        ("Kept", "same"): b"9",
        ("Kept", "other"): b"2",
        ("ControlSet001\\A", "y"): b"9",
        ("ControlSet001\\A", "x"): b"2",
        ("New\\Deeper", "n"): b"3",
    }
    assert target.key("Old\\Gone") is None
    assert target.key("CurrentControlSet") is None
    assert not disks._changes_to_hive(target, after, after, hive_place)


def test_unpacked_prefix_is_accepted_by_wine(lab):
    """Wine loads a registry that was created from hives, and writes it again without a change."""
    prefix = lab.unpack(lab.image([]), "started")
    try:
        with prefix.started():
            assert "Microsoft Windows" in prefix.run("cmd", "/c", "ver")
        left = [
            difference for difference in compare.compare(lab.fresh, prefix) if "DriverDateData" not in difference.path
        ]
        assert left == []
    finally:
        shutil.rmtree(prefix.path)
