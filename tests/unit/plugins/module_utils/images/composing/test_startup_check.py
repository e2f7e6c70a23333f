# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers that make an image unable to start are found before the image is stored."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import layer_store
from ansible_collections.strata.layering.plugins.module_utils.catalog.resolved_template import canonical_digest
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict
from ansible_collections.strata.layering.plugins.module_utils.images.composing import compose as composing
from ansible_collections.strata.layering.plugins.module_utils.images.composing import image_hives
from ansible_collections.strata.layering.plugins.module_utils.images.composing.compose import Composition
from ansible_collections.strata.layering.plugins.module_utils.images.composing.startup_check import (
    check_files,
    check_merged_hive,
    check_planned_files,
)
from ansible_collections.strata.layering.plugins.module_utils.images.stack.layer_stack import stacked_layer
from ansible_collections.strata.layering.plugins.module_utils.images.stored import thin_image
from ansible_collections.strata.layering.plugins.module_utils.images.stored.compose_config import ComposeConfig
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerReference, LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_apply import apply_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_builder import DeltaBuilder
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_format import write_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import (
    REG_DWORD,
    REG_SZ,
    encode_string,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.required_keys import HiveState, is_suspicious
from ansible_collections.strata.layering.tests.sample import hives as sample_hives
from ansible_collections.strata.layering.tests.sample.tree import Tree, junction
from ansible_collections.strata.layering.tests.support import wof
from ansible_collections.strata.layering.tests.support.layer_stacks import changed, stacked
from ansible_collections.strata.layering.tests.support.registry_data import encode_dword
from ansible_collections.strata.layering.tests.support.tree_model import Item

from ..conftest import SmallSystem, format_disk

PROGRAM = b"MZ" + bytes(2000)
CONFIG = "Windows/System32/config"


def system_hive() -> Hive:
    hive = sample_hives.small_system()
    services = hive.key("ControlSet001\\Services")
    for name, image, start in (("disk", "", 0), ("late", "System32\\drivers\\late.sys", 3)):
        key = services.create(name)
        key.set_value("Start", REG_DWORD, encode_dword(start))
        if image:
            key.set_value("ImagePath", REG_SZ, encode_string(image))
    return hive


def folder(path, **more):
    return Item(Entry(path, "directory", 0x10, 10, 20, 30, 40, **more))


def file(path, data=b""):
    return Item(Entry(path, "file", 0x20, 10, 20, 30, 40, size=len(data)), data)


def compressed(path, data=PROGRAM, *, provider=2):
    """Return a file as CompactOS stores it."""
    stream = wof.pack(data)
    entry = Entry(path, "file", 0x620, 10, 20, 30, 40, size=len(data), reparse=wof.reparse_point(provider=provider))
    entry.sparse, entry.streams = [], [("WofCompressedData", len(stream))]
    return Item(entry, bytes(len(data)), {"WofCompressedData": stream})


def gone(path):
    return Item(Entry(path, "whiteout"))


def windows() -> list[Item]:
    """Return a small Windows: programs, drivers, hives."""
    folders = ["Windows", "Windows/System32", CONFIG, "Windows/System32/drivers", "Users", "Users/Default", "Boot"]
    files = {
        "bootmgr": b"boot manager",
        "Boot/BCD": write_hive(Hive.new("BCD")),
        "Windows/System32/ntoskrnl.exe": PROGRAM,
        "Windows/System32/winload.efi": PROGRAM,
        "Windows/System32/l_intl.nls": b"text table",
        "Windows/System32/drivers/disk.sys": PROGRAM,
        "Windows/System32/drivers/late.sys": PROGRAM,
        "Windows/System32/drivers/pvscsi.sys": PROGRAM,
        f"{CONFIG}/SYSTEM": write_hive(system_hive()),
        f"{CONFIG}/SOFTWARE": write_hive(sample_hives.software()),
        f"{CONFIG}/SAM": write_hive(sample_hives.sam()),
        "Users/Default/NTUSER.DAT": write_hive(Hive.new("NTUSER.DAT")),
        "Windows/System32/other.dll": PROGRAM,
    }
    return [folder(path) for path in folders] + [file(path, data) for path, data in files.items()]


@pytest.fixture(scope="module")
def base(blank):
    """Yield (device, scratch folder) of a small Windows."""
    with changed(blank, [windows()]) as (device, _applied):
        yield device, blank[1]


def check(base, *stack, system: Hive | None = None) -> None:
    """Apply a stack to the base and check the result; check that a plan finds the same unless the content of a file decides."""
    with ExitStack() as opened:
        original = opened.enter_context(Volume.mount(base[0]))
        device, _applied = opened.enter_context(changed(base, list(stack)))
        volume = opened.enter_context(Volume.mount(device))
        tree, _archives, _records = stacked(list(stack), volume.upcase)
        planned: Conflict | None = None
        try:
            check_planned_files(original, tree, system)
        except Conflict as error:
            planned = error
        try:
            check_files(volume, original, tree, system)
        except Conflict as error:
            if planned is None:
                content_decides = tree.provides_file(error.details["path"])
                assert content_decides
            else:
                assert planned.details == error.details
            raise
        assert planned is None


@pytest.mark.parametrize(
    "layer, path",
    [
        ([gone("Windows")], f"{CONFIG}/SYSTEM"),
        ([gone("WINDOWS/system32/NTOSKRNL.exe")], "Windows/System32/ntoskrnl.exe"),
        ([gone("Windows/System32/drivers")], "Windows/System32/drivers/disk.sys"),
        ([gone("Windows/System32/drivers/pvscsi.sys")], "Windows/System32/drivers/pvscsi.sys"),
        ([file("Windows/System32/winload.efi")], "Windows/System32/winload.efi"),
        ([file("Windows/System32/winload.efi", b"junk")], "Windows/System32/winload.efi"),
        ([compressed("Windows/System32/winload.efi", b"junk" * 100)], "Windows/System32/winload.efi"),
        ([file("Windows/System32/drivers/pvscsi.sys", b"junk")], "Windows/System32/drivers/pvscsi.sys"),
        ([gone("Boot/BCD")], "Boot/BCD"),
        ([gone("bootmgr")], "bootmgr"),
        ([file(f"{CONFIG}/SOFTWARE", b"junk\n")], f"{CONFIG}/SOFTWARE"),
        ([file(f"{CONFIG}/SAM", b"regf" + bytes(8188))], f"{CONFIG}/SAM"),
        ([compressed(f"{CONFIG}/SAM", b"regf" + bytes(8188))], f"{CONFIG}/SAM"),
        ([file(f"{CONFIG}/SYSTEM", write_hive(Hive.new("SYSTEM")))], f"{CONFIG}/SYSTEM"),
        ([gone("Users/Default/NTUSER.DAT")], "Users/Default/NTUSER.DAT"),
        ([gone("Windows/System32"), folder("Windows/System32")], f"{CONFIG}/SYSTEM"),
        (
            [folder("Windows/System32/config", reparse=junction("C:\\elsewhere"))],
            f"{CONFIG}/SYSTEM",
        ),
    ],
)
def test_layer_without_which_windows_starts_is_refused_with_its_name(base, layer, path):
    harmless = [folder("Windows/System32/drivers/etc"), file("Windows/System32/other.dll", b"x")]
    with pytest.raises(Conflict) as caught:
        check(base, harmless, layer, [file("Windows/System32/more.dll", PROGRAM)])
    assert caught.value.code == "images.unbootable"
    assert caught.value.details == {"path": path, "layer": "layer 1"}


@pytest.mark.parametrize(
    "layer",
    [
        [],
        [file("Windows/System32/ntoskrnl.exe", PROGRAM + b"newer")],
        [compressed("Windows/System32/ntoskrnl.exe")],
        # Windows reads the data of a file of provider WIM from elsewhere.
        [compressed("Windows/System32/ntoskrnl.exe", b"junk" * 100, provider=1)],
        [compressed(f"{CONFIG}/SOFTWARE", write_hive(sample_hives.software()))],
        [file("Windows/System32/l_intl.nls", b"newer text table")],
        [gone("Windows/System32/drivers/late.sys")],
        [gone("Windows/System32/other.dll")],
        [gone("Windows/System32/hal.dll")],
        [file(f"{CONFIG}/SOFTWARE", write_hive(sample_hives.software()))],
        [gone("Windows/System32/winload.efi"), file("Windows/System32/winload.efi", PROGRAM)],
        [file("Windows/System32/drivers/vendor.sys", PROGRAM)],
    ],
)
def test_layer_with_which_windows_starts_is_accepted(base, layer):
    check(base, layer)


def test_driver_that_is_removed_with_its_service_is_not_required(base):
    system = system_hive()
    system.key("ControlSet001\\Services").delete("pvscsi")
    check(base, [gone("Windows/System32/drivers/pvscsi.sys")], system=system)
    moved = system_hive()
    moved.key("ControlSet001\\Services\\pvscsi").set_value("ImagePath", REG_SZ, encode_string("\\SystemRoot\\new.sys"))
    check(base, [gone("Windows/System32/drivers/pvscsi.sys")], system=moved)


def test_later_layer_that_repairs_the_image_is_accepted(base):
    check(base, [gone("Windows/System32/ntoskrnl.exe")], [file("Windows/System32/ntoskrnl.exe", PROGRAM)])


@pytest.mark.parametrize(
    "change, key",
    [
        (lambda builder: builder.delete_key("ControlSet001\\Services"), "SYSTEM\\ControlSet001\\Services"),
        (lambda builder: builder.delete_key("Select"), "SYSTEM\\Select"),
        (lambda builder: builder.set_value("Select", "Current", REG_DWORD, encode_dword(7)), None),
        (
            lambda builder: builder.set_value("ControlSet001\\Services\\disk", "Start", REG_DWORD, encode_dword(4)),
            "SYSTEM\\ControlSet001\\Services\\disk",
        ),
        (lambda builder: builder.delete_key("ControlSet001\\Services\\pvscsi"), None),
    ],
)
def test_merged_hive_that_lost_a_required_key_names_the_layer(change, key):
    hive = system_hive()
    harmless, harmful = DeltaBuilder("SYSTEM", hive), DeltaBuilder("SYSTEM", hive)
    harmless.set_value("ControlSet001\\Control", "New", REG_DWORD, encode_dword(2))
    change(harmful)
    deltas = [
        ("app layer A 1", harmless.finish()),
        ("app layer B 2", harmful.finish()),
        ("app layer C 1", harmless.finish()),
    ]
    before = HiveState.of("SYSTEM", hive)
    assert not is_suspicious("SYSTEM", deltas[0][1])
    assert is_suspicious("SYSTEM", deltas[1][1]) or key is None
    for _label, delta in deltas:
        apply_delta(hive, delta)
    if key is None:
        # The default control set still exists, and Windows starts without this driver on other hardware.
        check_merged_hive(before, hive, deltas)
        return
    with pytest.raises(Conflict) as caught:
        check_merged_hive(before, hive, deltas)
    assert caught.value.code == "images.unbootable"
    assert caught.value.details == {"path": key, "layer": "app layer B 2"}


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    """Return a SmallSystem with a small Windows."""
    folder = tmp_path_factory.mktemp("installation")
    tree = Tree()
    for item in windows():
        if item.entry.kind == "file":
            tree.file(item.entry.path, item.data)
    return SmallSystem(folder / "repository", format_disk(str(folder / "raw"), tree))


def test_compose_refused_image_is_not_stored(installation):
    installation.start_over()
    with pytest.raises(Conflict) as caught:
        installation.compose([[file("App.exe", PROGRAM)], [gone("Windows/System32/ntoskrnl.exe")]])
    assert caught.value.code == "images.unbootable"
    assert caught.value.details == {"path": "Windows/System32/ntoskrnl.exe", "layer": "app layer App 2.0"}
    assert not list(thin_image.stored(installation.repository))
    image = installation.compose([[file("Other.exe", PROGRAM)]])
    assert image.config.startup_checked
    with pytest.raises(Conflict):
        installation.compose([[file("Other.exe", PROGRAM)], [gone("Windows/System32/ntoskrnl.exe")]])


def test_image_of_an_earlier_release_is_checked_when_it_is_used(installation, monkeypatch):
    installation.start_over()
    saved = thin_image.save
    harmless, harmful = [file("Old.exe", PROGRAM)], [file(f"{CONFIG}/SOFTWARE", b"junk\n")]

    def save(repository, base, mapping, blobs, config):
        return saved(repository, base, mapping, blobs, dataclasses.replace(config, startup_checked=False))

    with monkeypatch.context() as patched:
        patched.setattr(composing, "check_files", lambda *_arguments: None)
        patched.setattr(thin_image, "save", save)
        older = installation.compose([harmless])
        installation.compose([harmless, harmful])
    assert not older.config.startup_checked
    assert installation.compose([harmless]).manifest == older.manifest
    with pytest.raises(Conflict) as caught:
        installation.compose([harmless, harmful])
    assert caught.value.code == "images.unbootable"
    assert caught.value.details["path"] == f"{CONFIG}/SOFTWARE"


def test_hive_of_an_image_of_an_earlier_release_is_checked_with_its_deltas(installation, monkeypatch):
    installation.start_over()
    repository = installation.repository
    saved = thin_image.save
    layers = {}
    for name in ("Harmless", "Harmful"):
        builder = DeltaBuilder("SYSTEM", system_hive())
        builder.set_value("ControlSet001\\Services\\new", "Start", REG_DWORD, encode_dword(3))
        if name == "Harmful":
            builder.delete_key("ControlSet001\\Control")
        version = LayerVersion("app", name, "1")
        hives = [("SYSTEM", write_delta(builder.finish()))]
        layers[name] = layer_store.put_files(repository, version, [], hives=hives).reference()

    def compose(name):
        config = ComposeConfig(
            content_digest=canonical_digest({"layers": [name]}),
            os_layer=LayerReference("os", "Windows", "7", installation.base.digest),
            layers=(layers[name],),
        )
        stack = (stacked_layer(repository, layers[name]),)
        return composing.compose(repository, Composition(installation.base, 2, stack, None, config))

    def save(repository, base, mapping, blobs, config):
        return saved(repository, base, mapping, blobs, dataclasses.replace(config, startup_checked=False))

    with monkeypatch.context() as patched:
        patched.setattr(image_hives, "check_merged_hive", lambda *_arguments: None)
        patched.setattr(composing, "check_files", lambda *_arguments: None)
        patched.setattr(thin_image, "save", save)
        older = compose("Harmless")
        compose("Harmful")
    assert compose("Harmless").manifest == older.manifest
    with pytest.raises(Conflict) as caught:
        compose("Harmful")
    assert caught.value.code == "images.unbootable"
    assert caught.value.details == {"path": "SYSTEM\\ControlSet001\\Control", "layer": "app layer Harmful 1"}
