# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small sample disks, valid and damaged, checked by readers that share no code with the engine."""

from __future__ import annotations

import io
import os
import subprocess

import phantom_trace
import pytest
from dissect.ntfs import NTFS
from dissect.regf import RegistryHive
from dissect.util.stream import RangeStream

from ansible_collections.strata.layering.tests.sample import reread
from ansible_collections.strata.layering.tests.sample.disk import make_disk
from ansible_collections.strata.layering.tests.sample.plan import (
    COMPRESSED,
    HIDDEN,
    MIB,
    REPARSE,
    SPARSE,
    SYSTEM,
    VARIANTS,
    Manifest,
    Spec,
    digest,
)

FILLED = [variant for variant in VARIANTS if variant not in ("bitlocker", "no_ntfs")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Generates the disk of a variant ("" is the valid disk) once: (path, manifest)."""
    folder = tmp_path_factory.mktemp("disks")
    disks = {}

    def make(variant):
        if variant not in disks:
            path = str(folder / f"{variant or 'sound'}.raw")
            disks[variant] = path, make_disk(path, Spec(variants=(variant,) if variant else ()))
        return disks[variant]

    return make


@pytest.fixture(scope="module")
def small(made):
    return made("")


def _volume(path, partition, tmp_path):
    """Return the partition as a separate file, for tools without an offset."""
    target = str(tmp_path / "volume")
    position, end = partition["offset"], partition["offset"] + partition["size"]
    with open(path, "rb") as source, open(target, "wb") as out:
        out.truncate(partition["size"])
        while position < end:
            try:
                start = os.lseek(source.fileno(), position, os.SEEK_DATA)
            except OSError:
                break
            position = min(os.lseek(source.fileno(), start, os.SEEK_HOLE), end)
            if start < end:
                source.seek(start)
                out.seek(start - partition["offset"])
                out.write(source.read(position - start))
    return target


def _run(*command):
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
    )
    return result.returncode, result.stdout + result.stderr


def _check_volume(path, partition, tmp_path):
    code, text = _run("ntfsfix", "-n", _volume(path, partition, tmp_path))
    assert code == 0 and "processed successfully" in text, text
    assert phantom_trace.main([path, "--quiet", "--offset", str(partition["offset"])]) == 0


def test_disk_files_equal_the_plan(small):
    path, manifest = small
    partition = manifest.partition()
    assert not reread.differences(manifest.files, reread.read_volume(path, partition["offset"], partition["size"]))


def test_comparison_reports_a_change(small):
    path, manifest = small
    partition = manifest.partition()
    found = reread.read_volume(path, partition["offset"], partition["size"])
    found["Windows/System32/cmd.exe"].accessed += 1
    found["Windows/win.ini"].streams = {"x": "0"}
    del found["Windows/Fonts"]
    lines = reread.differences(manifest.files, found)
    assert [line.split(":")[0] for line in lines] == ["Windows/Fonts", "Windows/System32/cmd.exe", "Windows/win.ini"]


def test_disk_has_every_kind_of_file(small):
    files = small[1].files
    assert files["Documents and Settings"].attributes & (REPARSE | HIDDEN | SYSTEM) == REPARSE | HIDDEN | SYSTEM
    assert files["Users/All Users"].reparse.startswith("0c0000a0")
    assert files["Program Files"].short_name == "PROGRA~1"
    assert files["pagefile.sys"].attributes & SPARSE and "hiberfil.sys" not in files
    assert files["Windows/Logs/CBS/CBS.log"].attributes & COMPRESSED
    assert sum(entry.kind == "link" for entry in files.values()) > 15
    assert any("Zone.Identifier" in entry.streams for entry in files.values())
    assert any(entry.object_id for entry in files.values()) and any(entry.eas for entry in files.values())
    assert len({entry.security for entry in files.values()}) > 20
    assert 300 < len(files) < 1000


def test_compressed_and_sparse_files_occupy_less_space(small):
    path, manifest = small
    partition = manifest.partition()
    with open(path, "rb") as stream:
        volume = NTFS(RangeStream(stream, partition["offset"], partition["size"]))
        log = volume.mft.get("Windows/Logs/CBS/CBS.log")
        assert sum(count for cluster, count in log.dataruns() if cluster is not None) * 4096 < log.size() // 2
        index = volume.mft.get("Windows/System32/wbem/Repository/INDEX.BTR")
        assert sum(count for cluster, count in index.dataruns() if cluster is not None) * 4096 < MIB
        assert index.size() == 6 * MIB


def test_volume_has_hives_of_the_machine(small):
    path, manifest = small
    partition = manifest.partition()
    with open(path, "rb") as stream:
        volume = NTFS(RangeStream(stream, partition["offset"], partition["size"]))

        def hive(name):
            return RegistryHive(io.BytesIO(volume.mft.get(name).open().read()))

        config = "Windows/System32/config/"
        current = {value.name: value.value for value in hive(config + "SYSTEM").open("Select").values()}["Current"]
        assert current == 1
        assert (
            hive(config + "SOFTWARE").open("Microsoft\\Windows NT\\CurrentVersion").value("CurrentBuildNumber").value
            == "22631"
        )
        for name in ("DEFAULT", "SAM", "SECURITY"):
            assert list(hive(config + name).root().subkeys())
        assert hive("Users/Default/NTUSER.DAT").open("Environment").value("TEMP").value.endswith("Temp")
        mounted = hive(config + "SYSTEM").open("MountedDevices").value("\\DosDevices\\C:").value
        stream.seek(1024 + 2 * 128 + 16)
        assert mounted == b"DMIO:ID:" + stream.read(16)


def test_esp_has_boot_files(small):
    path, manifest = small
    esp = f"{path}@@{manifest.partition('esp')['offset']}"
    code, text = _run("mdir", "-b", "-/", "-i", esp, "::/")
    assert code == 0
    assert {line[3:] for line in text.splitlines() if not line.endswith("/")} == set(manifest.esp)
    for name, expected in manifest.esp.items():
        data = subprocess.run(["mcopy", "-i", esp, "::/" + name, "-"], capture_output=True, check=True).stdout
        assert digest(data) == expected
    store = subprocess.run(
        ["mcopy", "-i", esp, "::/EFI/Microsoft/Boot/BCD", "-"], capture_output=True, check=True
    ).stdout
    assert [key.name for key in RegistryHive(io.BytesIO(store)).root().subkeys()] == ["Description", "Objects"]


def test_partition_table_is_valid(small):
    path, manifest = small
    assert 'PTTYPE="gpt"' in _run("blkid", "-p", path)[1]
    code, text = _run("partx", "-g", "-r", "-o", "NR,START,SECTORS,TYPE,UUID", path)
    assert code == 0
    assert [line.split() for line in text.splitlines()] == [
        [str(part["number"]), str(part["offset"] // 512), str(part["size"] // 512), part["type"], part["guid"]]
        for part in manifest.partitions
    ]


def test_checkers_report_no_problem(small, tmp_path):
    path, manifest = small
    _check_volume(path, manifest.partition(), tmp_path)
    code, text = _run("fsck.vfat", "-n", _volume(path, manifest.partition("esp"), tmp_path))
    assert code == 0, text


def test_disk_generated_twice_has_the_same_bytes(tmp_path):
    spec = Spec(virtual_size=192 * MIB)
    once, again = str(tmp_path / "once.raw"), str(tmp_path / "again.raw")
    assert make_disk(once, spec) == make_disk(again, spec)
    assert _run("cmp", once, again) == (0, "")


def test_manifest_written_as_json_is_read_unchanged(small):
    assert Manifest.from_json(small[1].to_json()) == small[1]


def test_ballast_is_in_use_and_unique(tmp_path):
    path = str(tmp_path / "disk.raw")
    manifest = make_disk(path, Spec(ballast=40 * MIB))
    files = {
        name: entry
        for name, entry in manifest.files.items()
        if name.startswith("ProgramData/Ballast/") and entry.kind == "file"
    }
    assert sum(entry.size for entry in files.values()) == 40 * MIB
    assert len({entry.sha256 for entry in files.values()}) == len(files) > 5
    partition = manifest.partition()
    assert not reread.differences(manifest.files, reread.read_volume(path, partition["offset"], partition["size"]))


@pytest.mark.parametrize("variant", FILLED)
def test_variants_have_their_content(variant, made, tmp_path):
    path, manifest = made(variant)
    partition = manifest.partition()
    assert not reread.differences(manifest.files, reread.read_volume(path, partition["offset"], partition["size"]))
    assert ("Windows" in manifest.files) == (variant != "no_windows")
    if variant in ("mbr", "recovery", "two_windows", "no_windows", "unprepared"):
        for partition in manifest.partitions:
            if partition["role"] not in ("esp", "msr"):
                _check_volume(path, partition, tmp_path)


def test_variant_hibernated_is_recognized(made, tmp_path):
    path, manifest = made("hibernated")
    volume = _volume(path, manifest.partition(), tmp_path)
    code, text = _run("ntfs-3g.probe", "--readwrite", volume)
    assert code == 14, text


def test_variant_fast_startup_is_recognized(made, tmp_path):
    path, manifest = made("fast_startup")
    volume = _volume(path, manifest.partition(), tmp_path)
    code, text = _run("ntfs-3g.probe", "--readwrite", volume)
    assert code == 14, text
    with open(volume, "rb") as stream:
        page = NTFS(stream).mft.get(2).open().read(32)
    assert page[:4] == b"RSTR" and page[26:30] == b"\0\0\2\0"


def test_variant_dirty_is_recognized(made, tmp_path):
    path, manifest = made("dirty")
    volume = _volume(path, manifest.partition(), tmp_path)
    assert "Volume Flags: 0x0001" in _run("ntfsinfo", "-m", "-f", volume)[1]


def test_clean_volume_can_be_written(small, tmp_path):
    code, text = _run("ntfs-3g.probe", "--readwrite", _volume(small[0], small[1].partition(), tmp_path))
    assert code == 0, text


@pytest.mark.parametrize(("variant", "kind"), [("bitlocker", "BitLocker"), ("no_ntfs", "vfat")])
def test_variants_without_ntfs_are_recognized(variant, kind, made):
    path, manifest = made(variant)
    assert not manifest.files
    assert f'TYPE="{kind}"' in _run("blkid", "-p", "-O", str(manifest.partition()["offset"]), path)[1]


def test_variant_bios_has_an_mbr(made):
    path, manifest = made("mbr")
    assert [(partition["role"], partition["type"]) for partition in manifest.partitions] == [
        ("reserved", 7),
        ("windows", 7),
    ]
    assert 'PTTYPE="dos"' in _run("blkid", "-p", path)[1]
    assert _run("partx", "-g", "-r", "-o", "TYPE,FLAGS", path)[1].split() == ["0x7", "0x80", "0x7", "0x0"]
    partition = manifest.partition("reserved")
    assert {"bootmgr", "Boot/BCD"} < set(reread.read_volume(path, partition["offset"], partition["size"]))


def test_unknown_specification_is_rejected():
    for wrong in ({"size": "huge"}, {"variants": ("haunted",)}):
        with pytest.raises(ValueError, match="unknown"):
            Spec(**wrong)
