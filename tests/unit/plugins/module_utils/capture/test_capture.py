# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing a changed disk and composing the layer again gives the changed disk; what cannot be captured is refused or named."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture, check_packaged, preview
from ansible_collections.strata.layering.plugins.module_utils.capture.rules import parse_rules
from ansible_collections.strata.layering.plugins.module_utils.catalog import layer_store
from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.encode import encode
from ansible_collections.strata.layering.plugins.module_utils.disk.flat import open_disk
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import leads_elsewhere
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs.times import Times
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_format import read_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.tests.sample import ntfs_bytes
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.captured import (
    Packaging,
    make_machine,
    rename,
    tree_differences,
)
from ansible_collections.strata.layering.tests.support.ntfs_changes import delete_stream
from ansible_collections.strata.layering.tests.support.transaction_logs import (
    entry,
    new_log,
    stamped,
)
from ansible_collections.strata.layering.tests.unit.plugins.module_utils.winregistry.registry_helpers import dump

NAMES = [
    "a",
    "New file.text",
    "\u00e4\u00d6\u00fc and more.dat",
    "x" * 180,
    "file number 3.dat",
    "FILE NUMBER 2.DAT",
    "Sub",
    "sub folder with a long name",
    "data.bin",
]
SIZES = [0, 10, 600, 3000, 65_536, 200_000, 1_500_000]
_BASE = 132_000_000_000_000_000
KINDS = (
    "create",
    "create",
    "folder",
    "write",
    "append",
    "overwrite",
    "truncate",
    "delete",
    "rename",
    "move",
    "swap",
    "link",
    "unlink",
    "stream",
    "unstream",
    "times",
    "attributes",
    "security",
    "reparse",
    "eas",
    "object_id",
    "short_name",
    "case",
    "replace",
    "become",
    "cloud",
    "sparse",
    "compressed",
)


@pytest.fixture(name="packaging", scope="module")
def _packaging(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packaging")
    make_machine(str(folder / "raw"))
    return Packaging(str(folder), str(folder / "raw"))


class Worker:
    """Does random things to a volume, deterministically."""

    #: How often a folder is worked on instead of a file.
    folders = 0.25

    def __init__(self, volume, seed: int) -> None:
        self.volume, self.random = volume, random.Random(seed)
        self.clock = 0
        self.done: list[str] = []

    def tick(self) -> Times:
        self.clock += 10
        return Times(*(_BASE + self.clock + number for number in range(4)))

    def everything(self):
        """(path, is a folder) of all that may be touched."""
        found, waiting = [], ["Program Files", "Data"]
        while waiting:
            path = waiting.pop()
            found.append((path, True))
            with self.volume.find(path) as node:
                children = sorted(node.children())
            for child in children:
                below = f"{path}/{child.name}"
                if child.is_directory:
                    waiting.append(below)
                else:
                    found.append((below, False))
        return found

    def pick(self, folders: bool):
        chosen = [path for path, is_folder in sorted(self.everything()) if is_folder == folders]
        return self.random.choice(chosen) if chosen else None

    def free_name(self, folder: str) -> str | None:
        names = [name for name in NAMES if (node := self.volume.find(f"{folder}/{name}")) is None or node.close()]
        return self.random.choice(names) if names else None

    def data(self) -> bytes:
        return self.random.randbytes(self.random.choice(SIZES))

    def step(self, kind: str) -> None:
        path = self.pick(
            folders=kind in ("create", "folder", "sparse", "compressed") or self.random.random() < self.folders
        )
        folder = path if path else "Data"
        node = self.volume.find(path) if path else None
        if node is None:
            return
        with node:
            if leads_elsewhere(node.reparse) and kind not in ("delete", "times"):
                return
            self.done.append(f"{kind} {path}")
            getattr(self, kind)(node, path, folder)

    # each gets the node of a path that exists

    def create(self, node, _path, folder):
        name = self.free_name(folder)
        if node.is_directory and name:
            short = (
                f"S{self.random.randrange(10**5)}~1.T" if self.random.random() < 0.5 and not name.isascii() else None
            )
            node.create_file(name, self.data(), times=self.tick(), security=node.security, short_name=short).close()

    def replace(self, node, path, _folder):
        if node.is_directory:
            return
        parent, _slash, name = path.rpartition("/")
        node.delete()
        with self.volume.find(parent) as above:
            above.create_file(name, self.data(), times=self.tick(), security=above.security).close()

    def become(self, node, path, _folder):
        """A folder becomes a file, a file a folder."""
        parent, _slash, name = path.rpartition("/")
        was_directory = node.is_directory
        if not parent:
            return
        node.delete()
        with self.volume.find(parent) as above:
            if was_directory:
                above.create_file(name, self.data(), times=self.tick(), security=above.security).close()
            else:
                with above.create_directory(name, times=self.tick(), security=above.security) as made:
                    made.create_file("inside", self.data(), times=self.tick(), security=made.security).close()

    def cloud(self, node, path, _folder):
        """A folder gets a reparse point of the kind that leaves its files where they are."""
        if node.is_directory and "/" in path:
            node.set_reparse(b"\x1a\x60\x00\x90\x08\x00\x00\x00cloudy!!")

    def sparse(self, node, _path, folder):
        name = self.free_name(folder)
        if node.is_directory and name:
            with (
                node.create_file(name, attributes=0x220, times=self.tick(), security=node.security) as made,
                made.open_stream() as stream,
            ):
                stream.truncate(900_000)
                stream.pwrite(b"island" * 1000, 400_000)

    def compressed(self, node, _path, folder):
        name = self.free_name(folder)
        if node.is_directory and name:
            with node.create_file(name, attributes=0x820, times=self.tick(), security=node.security) as made:
                made.write(b"compress me " * self.random.randrange(1, 30_000))

    def folder(self, node, _path, folder):
        name = self.free_name(folder)
        if node.is_directory and name:
            with node.create_directory(name, times=self.tick(), security=node.security) as made:
                for number in range(self.random.randrange(4)):
                    made.create_file(f"inside {number}", self.data(), times=self.tick(), security=node.security).close()

    def write(self, node, _path, _folder):
        if not node.is_directory and node.size:
            node.write(self.random.randbytes(50), self.random.randrange(node.size))
            node.set_times(self.tick())

    def overwrite(self, node, _path, _folder):
        """In place, without a trace in the file's record."""
        if not node.is_directory and node.size > 2000:
            node.write(self.random.randbytes(100), self.random.randrange(node.size - 100))

    def append(self, node, _path, _folder):
        if not node.is_directory:
            node.write(self.data() or b"x", node.size)
            node.set_times(self.tick())

    def truncate(self, node, _path, _folder):
        if not node.is_directory:
            node.truncate(node.size // 2)

    def delete(self, node, path, _folder):
        if path.count("/") > 0:
            node.delete()

    def unlink(self, node, path, _folder):
        if not node.is_directory and node.link_count > 1:
            node.delete()

    def link(self, node, _path, _folder):
        other = self.pick(folders=True)
        name = self.free_name(other)
        with self.volume.find(other) as target:
            if not node.is_directory and name and not leads_elsewhere(target.reparse):
                target.link(node, name).close()

    def rename(self, node, path, _folder):
        parent = path.rpartition("/")[0]
        name = self.free_name(parent) if parent else None
        node.close()
        if name:
            rename(self.volume, path, parent, name)

    def swap(self, node, path, _folder):
        """Two folders or files change their names."""
        other = self.pick(folders=node.is_directory)
        node.close()
        if (
            other
            and min(path.count("/"), other.count("/")) > 0
            and not (other + "/").startswith(path + "/")
            and not (path + "/").startswith(other + "/")
        ):
            rename(self.volume, path, "Data", "between")
            rename(self.volume, other, *path.rpartition("/")[::2])
            rename(self.volume, "Data/between", *other.rpartition("/")[::2])

    def move(self, node, path, _folder):
        target = self.pick(folders=True)
        name = self.free_name(target)
        with self.volume.find(target) as found:
            plain = not leads_elsewhere(found.reparse)
        node.close()
        if name and plain and path.count("/") > 0 and not (target + "/").startswith(path + "/"):
            rename(self.volume, path, target, name)

    def case(self, node, path, _folder):
        parent, _slash, name = path.rpartition("/")
        is_directory = node.is_directory
        node.close()
        if not is_directory and name.isascii():
            rename(self.volume, path, parent, name.swapcase())

    def stream(self, node, _path, _folder):
        node.write(self.random.randbytes(self.random.choice((5, 900, 5000))), 0, f"stream{self.random.randrange(3)}")

    def unstream(self, node, _path, _folder):
        if node.streams and not node.is_directory:
            delete_stream(node, node.streams[0][0])

    def times(self, node, _path, _folder):
        node.set_times(self.tick())

    def attributes(self, node, _path, _folder):
        node.set_attributes(node.attributes ^ 0x3)

    def security(self, node, _path, _folder):
        with self.volume.find("Windows/System32/config/SAM") as other:
            node.set_security(other.security)

    def reparse(self, node, _path, _folder):
        if not node.is_directory and not node.size and not node.streams:
            node.set_reparse(b"\x1a\x70\x00\x90\x08\x00\x00\x00cloudy!!")

    def eas(self, node, _path, _folder):
        if not node.is_directory:
            node.set_eas(b"\x10\0\0\0\0\4\2\0NAME\0ok\0" if self.random.random() < 0.8 else None)

    def object_id(self, node, _path, _folder):
        node.set_object_id(self.random.randbytes(16))

    def short_name(self, node, _path, _folder):
        if node.link_count == 1 and len(node.name) > 12:
            node.set_short_name(f"S{self.random.randrange(10**5)}~1")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=25), st.integers(0, 1 << 32))
def test_composing_what_was_captured_gives_the_changed_disk(packaging, kinds, seed):
    def change(volume):
        worker = Worker(volume, seed)
        for kind in kinds:
            worker.step(kind)

    with packaging.changed(change) as device:
        result = capture(packaging.repository, packaging.given, lambda: device, LayerVersion("app", "App", "1"))
        expected = packaging.tree(device)
    with packaging.given.open_disk() as disk:
        base = packaging.tree(disk)
    image = packaging.compose([result.layer])
    with image.open_disk() as disk:
        assert tree_differences(expected, packaging.tree(disk), base) == []
    assert result.left_out == []


def test_partition_that_begins_within_a_grain(tmp_path):
    """As Windows XP and its like made them: at sector 63 of an MBR disk."""
    make_machine(str(tmp_path / "raw"), first_sector=63)
    packaging = Packaging(str(tmp_path), str(tmp_path / "raw"))

    def change(volume):
        worker = Worker(volume, 11)
        for kind in (*KINDS, "overwrite", "overwrite", "overwrite"):
            worker.step(kind)

    with packaging.changed(change) as device:
        result = capture(packaging.repository, packaging.given, lambda: device, LayerVersion("app", "App", "1"))
        expected = packaging.tree(device)
    with packaging.given.open_disk() as disk:
        base = packaging.tree(disk)
    with packaging.compose([result.layer]).open_disk() as disk:
        assert tree_differences(expected, packaging.tree(disk), base) == []


def test_removal_of_what_another_image_does_not_have(packaging):
    with packaging.changed(lambda volume: put(volume, "Below/one.txt")) as device:
        below = capture(packaging.repository, packaging.given, lambda: device, LayerVersion("app", "Below", "1")).layer
    image = packaging.compose([below])

    def change(volume):
        with volume.find("Below/one.txt") as node:
            node.delete()
        put(volume, "Upper/two.txt")

    with packaging.changed(change, image) as device:
        upper = capture(packaging.repository, image, lambda: device, LayerVersion("app", "Upper", "1")).layer
    with packaging.compose([upper]).open_disk() as disk:
        tree = packaging.tree(disk)
    assert "Upper/two.txt" in tree
    assert "Below" not in tree


def test_unchanged_disk_gives_an_empty_layer(packaging):
    with packaging.changed(lambda volume: None) as device:
        result = capture(packaging.repository, packaging.given, lambda: device, LayerVersion("app", "Nothing", "1"))
    assert stored_layers.records(packaging.repository, result.layer) == []
    assert result.statistics["files_different"] == 0
    assert not result.left_out
    assert not result.hazards
    assert all(not any(counts.values()) for counts in result.changes.values())


def put(volume, path: str, data: bytes = b"content") -> None:
    """Write a file, with the folders on the way to it."""
    node = volume.root
    *folders, name = path.split("/")
    for folder in folders:
        below = node.child(folder) or node.create_directory(folder)
        node.close()
        node = below
    with node:
        old = node.child(name)
        if old is None:
            node.create_file(name, data).close()
            return
        with old:
            old.truncate(0)
            old.write(data)


def edit(volume, path: str, change) -> None:
    """Change a hive of the volume."""
    with volume.find(path) as node:
        hive = read_hive(node.read())
        change(hive.root)
        data = write_hive(hive)
    put(volume, path, data)


def take(packaging, change, *rules, **options):
    """Capture what ``change`` does to the volume; the result, the paths of the layer and its deltas."""
    with packaging.changed(change) as device:
        result = capture(
            packaging.repository,
            packaging.given,
            lambda: device,
            LayerVersion("app", "App", "1"),
            parse_rules(rules),
            **options,
        )
    entries = {
        record.entry.path: record.entry.kind
        for record in stored_layers.records(packaging.repository, result.layer)
        if not record.entry.implied
    }
    with stored_layers.open_archive(packaging.repository, result.layer, hives=True) as archive:
        deltas = {
            entry.path: read_delta(next(iter(contents))[2].read())
            for entry, contents in archive
            if entry.kind == "hive"
        }
    return result, entries, {name.removesuffix(layer_store.DELTA_SUFFIX): delta for name, delta in deltas.items()}


def left_out(result, kind: str) -> dict[str, list[str]]:
    return {entry["reason"]: entry["examples"] for entry in result.left_out if entry["kind"] == kind}


def test_hives_become_deltas_without_what_belongs_to_the_machine(packaging):
    def system(root):
        root.create("ControlSet001\\Services\\AppService").set_value("ImagePath", 2, "app.exe\0".encode("utf-16-le"))
        root.create("ControlSet001\\Enum\\PCI\\VEN_15AD")
        root.create("MountedDevices").set_value("\\DosDevices\\D:", 3, b"disk")
        root.create("ControlSet002\\Services\\AppService")

    def software(root):
        root.create("App").set_value("Version", 4, b"\1\0\0\0")
        root.create("Microsoft\\Cryptography").set_value("MachineGuid", 1, "x\0".encode("utf-16-le"))
        root.create("Microsoft\\Cryptography").set_value("Other", 1, "x\0".encode("utf-16-le"))

    def change(volume):
        edit(volume, "Windows/System32/config/SYSTEM", system)
        edit(volume, "Windows/System32/config/SOFTWARE", software)
        edit(volume, "Windows/System32/config/SAM", lambda root: root.create("SAM\\Domains\\Account\\Users\\000003E9"))
        edit(volume, "Users/Default/NTUSER.DAT", lambda root: root.create("Software\\App"))
        put(volume, "Windows/System32/config/SOFTWARE.LOG1", b"log")
        put(volume, "Users/Default/NTUSER.DAT.LOG2", b"log")

    result, entries, deltas = take(packaging, change)
    assert entries == {}
    assert sorted(deltas) == ["NTUSER.DAT", "SOFTWARE", "SYSTEM"]
    assert deltas["SYSTEM"].key("ControlSet001\\Services\\AppService").values["IMAGEPATH"].data == "app.exe\0".encode(
        "utf-16-le"
    )
    assert [path for path, key in deltas["SYSTEM"].walk() if not key.subkeys] == ["ControlSet001\\Services\\AppService"]
    assert deltas["SOFTWARE"].key("Microsoft\\Cryptography").values.keys() == {"OTHER"}
    assert deltas["SOFTWARE"].key("App")
    assert deltas["NTUSER.DAT"].key("Software\\App")
    assert "SOFTWARE\\Microsoft\\Cryptography\\MachineGuid" in left_out(result, "value")["machine_identity"]
    assert left_out(result, "file") == {"account_database": ["Windows/System32/config/SAM"]}
    assert [finding["name"] for finding in result.hazards] == ["accounts"]
    assert result.changes["keys"]["added"] >= 3
    assert result.changes["values"]["added"] == 3


def test_composed_hives_are_those_of_the_machine(packaging):
    """What the rules leave out apart, the composed hive is the packaging machine's, key by key."""

    def software(root):
        root.create("App\\Deep\\Key").set_value("\u00e4", 7, "a\0b\0\0".encode("utf-16-le"))
        root.delete("Microsoft\\Windows NT\\CurrentVersion\\ProfileList")
        for value in list(root.key("Microsoft\\Windows NT\\CurrentVersion").values)[:3]:
            root.key("Microsoft\\Windows NT\\CurrentVersion").set_value(value, 1, b"changed")

    with packaging.changed(lambda volume: edit(volume, "Windows/System32/config/SOFTWARE", software)) as device:
        layer = capture(
            packaging.repository, packaging.given, lambda: device, LayerVersion("app", "App", "1"), defaults=False
        ).layer
        expected = read_software(packaging, device)
    with packaging.compose([layer]).open_disk() as disk:
        assert read_software(packaging, disk) == expected


def read_software(packaging, device) -> dict:
    with (
        Volume.mount(packaging.partition.window(device)) as volume,
        volume.find("Windows/System32/config/SOFTWARE") as node,
    ):
        return dump(read_hive(node.read()).root)


def test_hive_whose_change_is_still_in_its_log(packaging):
    def change(volume):
        with volume.find("Windows/System32/config/SOFTWARE") as node:
            old = node.read()
        hive = read_hive(old)
        hive.root.create("FromTheLog")
        put(volume, "Windows/System32/config/SOFTWARE", stamped(old, 8, 7))
        put(volume, "Windows/System32/config/SOFTWARE.LOG1", new_log(old, 7, entry(7, old, write_hive(hive))))

    _result, _entries, deltas = take(packaging, change)
    assert [path for path, key in deltas["SOFTWARE"].walk() if not key.subkeys] == ["FromTheLog"]


@pytest.mark.parametrize("hive", ["SOFTWARE", "DEFAULT"])
@pytest.mark.parametrize("broken", ["log", "no log"])
def test_hive_whose_log_is_broken(packaging, hive, broken):
    path = f"Windows/System32/config/{hive}"

    def change(volume):
        with volume.find(path) as node:
            old = node.read()
        changed = read_hive(old)
        changed.root.create("FromTheLog")
        put(volume, path, stamped(old, 8, 7))
        if broken == "log":
            log = bytearray(new_log(old, 7, entry(7, old, write_hive(changed))))
            log[600] ^= 1
            put(volume, path + ".LOG1", bytes(log))

    with packaging.changed(change) as device, pytest.raises(StrataError) as caught:
        capture(packaging.repository, packaging.given, lambda: device, LayerVersion("app", "Broken", "1"))
    assert caught.value.code == "capture.hive_log"
    assert hive in str(caught.value)
    assert "packaged disk" in str(caught.value)
    assert stored_layers.find_version(packaging.repository, "app", "Broken", "1") is None


def test_rules_leave_out_and_take_in(packaging):
    def change(volume):
        for path in (
            "Windows/Temp/x.tmp",
            "Windows/Temp/wanted/y.txt",
            "App/cache/z.bin",
            "App/app.exe",
            "Users/Installer/desktop.txt",
            "pagefile.sys",
        ):
            put(volume, path)
        edit(
            volume, "Windows/System32/config/SOFTWARE", lambda root: root.create("App\\Secret").set_value("Key", 1, b"")
        )

    rules = (
        {"path": "C:\\App\\cache\\*", "reason": "of no use"},
        {"path": "Windows\\Temp\\wanted", "action": "include"},
        {"key": "HKLM\\SOFTWARE\\App\\Secret"},
    )
    result, entries, deltas = take(packaging, change, *rules)
    assert entries == {
        "App": "directory",
        "App/cache": "directory",
        "App/app.exe": "file",
        "Windows/Temp/wanted": "directory",
        "Windows/Temp/wanted/y.txt": "file",
    }
    assert deltas["SOFTWARE"].key("App\\Secret") is None
    assert deltas["SOFTWARE"].key("App") is not None
    assert left_out(result, "file") == {
        "of no use": ["App/cache/z.bin"],
        "paging": ["pagefile.sys"],
        "temporary": ["Windows/Temp/x.tmp"],
        "user_profile": ["Users/Installer", "Users/Installer/desktop.txt"],
    }
    assert [finding["name"] for finding in result.hazards] == ["user_profiles"]
    everything = take(packaging, change, defaults=False)[1]
    assert everything.keys() >= {"pagefile.sys", "Users/Installer/desktop.txt", "Windows/Temp/x.tmp"}


def test_removals(packaging):
    def change(volume):
        for path in ("Data/one", "Data/linked once.dat", "Program Files/Alpha/file number 1.dat"):
            with volume.find(path) as node:
                node.delete()

    result, entries, _deltas = take(packaging, change)
    assert entries == dict.fromkeys(
        ("Data/one", "Data/linked once.dat", "Program Files/Alpha/file number 1.dat"), "whiteout"
    )
    assert result.changes["files"]["removed"] == 8
    assert result.changes["removals"]["paths"] == 3


def test_names_that_differ_only_in_case(packaging):
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

    result, entries, _deltas = take(packaging, change)
    named = "\n".join(left_out(result, "file")["case"])
    assert "twice.txt differs only in case from Program Files/Alpha/TWICE.TXT" in named
    assert "FILE NUMBER 1.DAT differs only in case from Program Files/Alpha/file number 1.dat" in named
    assert left_out(result, "file")["spelling"] == ["Program Files/BETA and MORE"]
    assert "Program Files/Alpha/TWICE.TXT" in entries
    assert "Program Files/Alpha/FILE NUMBER 1.DAT" not in entries
    assert {finding["name"] for finding in result.hazards} == {"names_in_case", "spelling"}


def test_a_file_that_only_moved_to_other_clusters_is_no_change(packaging):
    def change(volume):
        with volume.find("Program Files/Alpha/file number 5.dat") as node:
            data, times = node.read(), node.times
            node.truncate(0)
            put(volume, "gap", bytes(2_000_000))
            node.write(data)
            node.set_times(times)
        with volume.find("gap") as node:
            node.delete()

    result, entries, _deltas = take(packaging, change)
    assert entries == {}
    assert result.statistics["files_different"] == 1


def test_a_huge_file_of_holes_that_only_moved(tmp_path):
    """Only what takes space is read: every byte of 8 TiB would take an hour."""

    def write(volume, node):
        with node.open_stream() as stream:
            stream.truncate(8 << 40)
            stream.pwrite(b"island" * 20_000, 5 << 40)
        node.set_times(Times(*(_BASE + number for number in range(4))))

    make_machine(str(tmp_path / "raw"))
    with FileDevice(str(tmp_path / "raw"), writable=True) as device:
        window = max(read_partitions(device).partitions, key=lambda one: one.size).window(device)
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
    result, entries, _deltas = take(packaging, change)
    assert entries == {}
    assert result.statistics["files_different"] == 1
    assert time.monotonic() - started < 60


def test_thousands_of_files(packaging):
    def change(volume):
        with volume.root as root, root.create_directory("Many") as folder:
            for number in range(3000):
                folder.create_file(f"file {number:04}.txt", b"%d" % number * (number % 50)).close()

    result, entries, _deltas = take(packaging, change)
    assert len(entries) == 3001
    assert result.changes["files"]["added"] == 3000
    assert not result.statistics["whole_table_read"]


def test_the_same_change_gives_the_same_layer(packaging):
    def change(volume):
        worker = Worker(volume, 7)
        for kind in KINDS:
            worker.step(kind)

    assert take(packaging, change)[0].layer.digest == take(packaging, change)[0].layer.digest


def test_changes_upon_a_layer(packaging):
    """A later version of a layer starts from its last one: only what is new is taken."""
    with packaging.changed(lambda volume: put(volume, "App/one.txt")) as device:
        first = capture(
            packaging.repository, packaging.given, lambda: device, LayerVersion("app", "Stacked", "1")
        ).layer
    image = packaging.compose([first])
    with packaging.changed(lambda volume: put(volume, "App/two.txt"), image) as device:
        second = capture(packaging.repository, image, lambda: device, LayerVersion("app", "Stacked", "2")).layer
    assert [
        record.entry.path for record in stored_layers.records(packaging.repository, second) if not record.entry.implied
    ] == ["App/two.txt"]
    # The disk of one image does not come from the other.
    with packaging.changed(lambda volume: [put(volume, f"App/other {number}") for number in range(40)]) as device:
        third = capture(packaging.repository, packaging.given, lambda: device, LayerVersion("app", "Other", "1")).layer
    foreign = packaging.compose([third])
    with (
        packaging.changed(lambda volume: [put(volume, f"App/foreign {number}") for number in range(40)]) as device,
        pytest.raises(StrataError) as caught,
    ):
        capture(packaging.repository, foreign, lambda: device, LayerVersion("app", "Foreign", "1"))
    assert caught.value.code == "capture.other_base"


@pytest.mark.parametrize(
    ("spoil", "code"), [("dirty", "ntfs.dirty"), ("fast_startup", "ntfs.hibernated"), ("hibernated", "ntfs.hibernated")]
)
def test_disk_of_a_machine_that_was_not_shut_down(packaging, tmp_path, spoil, code):
    def change(volume):
        if spoil == "hibernated":
            put(volume, "hiberfil.sys", b"HIBR" + bytes(5000))

    raw = str(tmp_path / "raw")
    with packaging.changed(change) as device:
        with open(raw, "wb") as out:
            for offset in range(0, device.size, 1 << 20):
                out.write(device.pread(min(1 << 20, device.size - offset), offset))
    with open(raw, "r+b") as stream:
        if spoil == "dirty":
            ntfs_bytes.set_dirty(stream, packaging.offset)
        elif spoil == "fast_startup":
            ntfs_bytes.write_log(stream, packaging.offset, 2, 0)
    with pytest.raises(StrataError) as caught:
        capture(packaging.repository, packaging.given, lambda: FileDevice(raw), LayerVersion("app", "App", "1"))
    assert caught.value.code == code


def test_truncated_export(packaging, tmp_path):
    path = str(tmp_path / "packaged.vmdk")
    with packaging.changed(lambda volume: put(volume, "App/one.txt")) as device, open(path, "wb") as out:
        encode(device, out)
    whole = open(path, "rb").read()
    captured = capture(
        packaging.repository, packaging.given, lambda: open_disk(path), LayerVersion("app", "Whole", "1")
    )
    assert captured.changes["files"]["added"] == 1
    for length in (len(whole) - 512, len(whole) // 2, 70_000):
        with open(path, "wb") as out:
            out.write(whole[:length])
        with pytest.raises(StrataError) as caught:
            capture(packaging.repository, packaging.given, lambda: open_disk(path), LayerVersion("app", "Cut", "1"))
        assert caught.value.code.startswith("disk."), caught.value


def test_nothing_is_stored_of_a_failed_capture(packaging):
    def change(volume):
        put(volume, "App/one.txt")
        with volume.find("App/one.txt") as node:
            node.inode.fields.flags |= 0x4000
            node.inode.mark_dirty()

    with packaging.changed(change) as device, pytest.raises(StrataError) as caught:
        capture(packaging.repository, packaging.given, lambda: device, LayerVersion("app", "Secret", "1"))
    assert caught.value.code == "capture.encrypted"
    assert stored_layers.find_version(packaging.repository, "app", "Secret", "1") is None


def test_preview_finds_the_same_and_stores_nothing(packaging):
    with packaging.changed(lambda volume: put(volume, "App/one.txt")) as device:
        before = packaging.repository.layout.references()
        result = preview(packaging.given, lambda: device)
    assert result.layer is None
    assert result.changes["files"]["added"] == 1
    assert packaging.repository.layout.references() == before


def test_gate_alone(packaging):
    def change(volume):
        edit(
            volume,
            "Windows/System32/config/SOFTWARE",
            lambda root: root.create("Microsoft\\Windows\\CurrentVersion\\RunOnce").set_value(
                "!Setup", 1, "x\0".encode("utf-16-le")
            ),
        )

    with packaging.changed(change) as device:
        found = {finding["name"]: finding["result"] for finding in check_packaged(packaging.given, lambda: device)}
    assert found["run_once"] == "fail"
    assert found["reboot"] == "pass"


def test_another_base_is_refused(packaging, tmp_path):
    make_machine(str(tmp_path / "other"), disk_guid="00000000-0f0a-4e57-9b7e-2f1c9a5d7e10")
    other = Packaging(str(tmp_path), str(tmp_path / "other"))
    with other.changed(lambda volume: None) as device, pytest.raises(StrataError) as caught:
        capture(packaging.repository, packaging.given, lambda: device, LayerVersion("app", "Other", "1"))
    assert caught.value.code == "capture.other_base"
