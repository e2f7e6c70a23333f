# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer with files of Windows on the next version of the OS layer, in which servicing has patched these files."""

from __future__ import annotations

import dataclasses
import os
import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture
from ansible_collections.strata.layering.plugins.module_utils.capture.rule import Rule
from ansible_collections.strata.layering.plugins.module_utils.catalog.resolved_template import canonical_digest
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import read_partitions
from ansible_collections.strata.layering.plugins.module_utils.images.stack import layer_stack
from ansible_collections.strata.layering.plugins.module_utils.images.stored.compose_config import ComposeConfig
from ansible_collections.strata.layering.plugins.module_utils.layers.extended_attributes import pack_eas
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerReference, LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.captured import Packaging, make_windows_disk
from ansible_collections.strata.layering.tests.support.volume_changes import existing, put

FIRST = "Windows/WinSxS/amd64_microsoft-windows-ntdll_31bf3856ad364e35_10.0.22631.3007_none_a1"
SECOND = "Windows/WinSxS/amd64_microsoft-windows-ntdll_31bf3856ad364e35_10.0.22631.4890_none_b2"
NAMES = ("ntdll.dll", "win32u.dll", "wallpaper.jpg")


def program(text: bytes, *version: int) -> bytes:
    numbers = struct.pack("<4I", 0xFEEF04BD, 0x10000, version[0] << 16, version[1])
    return b"MZ" + text.ljust(100, b"\0") + numbers


def make_packaging(folder: str, component: str, text: bytes, build: int) -> Packaging:
    """Return a repository whose OS layer has files of Windows in a version of their component."""
    os.makedirs(folder, exist_ok=True)
    raw = os.path.join(folder, f"raw{build}")
    make_windows_disk(raw, 64)
    with FileDevice(raw, writable=True) as device:
        window = max(read_partitions(device).partitions, key=lambda partition: partition.size).window(device)
        with Volume.mount(window, writable=True) as volume:
            for name in NAMES:
                put(volume, f"{component}/{name}", text if name.endswith("jpg") else program(text, 10, build))
                with existing(volume, f"{component}/{name}") as node, existing(volume, "Windows/System32") as system32:
                    system32.link(node, name).close()
            put(volume, "Windows/unlinked.dll", program(text, 10, build))
    packaging = Packaging(folder, raw)
    packaging.base = dataclasses.replace(packaging.base, digest=canonical_digest({"build": build}))
    packaging.os_layer = LayerReference("os", "Windows", str(build), packaging.base.digest)
    packaging.base_image = packaging.compose([])
    return packaging


def content(volume: Volume, path: str) -> bytes | None:
    node = volume.find(path)
    if node is None:
        return None
    with node:
        return b"" if node.is_directory else node.read(20).strip(b"MZ\0")


@pytest.fixture(name="composed")
def _composed(tmp_path, monkeypatch):
    """Return a function that composes a layer of the first OS layer version on the second."""
    first = make_packaging(str(tmp_path), FIRST, b"first", 3007)
    second = make_packaging(str(tmp_path), SECOND, b"patched", 4890)

    def mount_first(repository, digest, stack):
        assert digest == first.base.digest
        disk = stack.enter_context(first.base.open(repository))
        return stack.enter_context(Volume.mount(first.partition.window(disk)))

    monkeypatch.setattr(layer_stack, "mount_os_layer", mount_first)

    def compose(change, policy, paths):
        include = Rule("**", "", include=True)  # As earlier releases did.
        version = LayerVersion("app", "App", "1", os_layer=first.os_layer)
        with first.changed(change) as device:
            layer = capture(first.repository, first.base_image, lambda: device, version, [include]).layer
        config = ComposeConfig(
            content_digest=canonical_digest({"policy": policy}),
            os_layer=second.os_layer,
            layers=(layer.reference(),),
            outdated_files=policy,
        )
        with (
            second.compose_config(config).open_disk() as disk,
            Volume.mount(second.partition.window(disk)) as volume,
        ):
            return {path: content(volume, path) for path in paths}

    return compose


def take(volume, name: str, data: bytes) -> None:
    """Make a file of Windows part of the layer with all its names, as metadata did in earlier releases."""
    for folder in (FIRST, "Windows/System32"):
        existing(volume, f"{folder}/{name}").delete()
    put(volume, f"{FIRST}/{name}", data)
    with existing(volume, f"{FIRST}/{name}") as node, existing(volume, "Windows/System32") as system32:
        node.set_eas(pack_eas([(b"$KERNEL.PURGE.ESBCACHE", 0, b"level")]))
        system32.link(node, name).close()


PATHS = (
    *(f"Windows/System32/{name}" for name in NAMES),
    f"{SECOND}/ntdll.dll",
    FIRST,
    "Windows/unlinked.dll",
    "Program Files/App/app.exe",
)


def earlier_layer(volume) -> None:
    """The layer has one file without a change, one with its own higher version, one without a version."""
    take(volume, "ntdll.dll", program(b"first", 10, 3007))
    take(volume, "win32u.dll", program(b"own", 11, 1))
    take(volume, "wallpaper.jpg", b"own")
    existing(volume, "Windows/unlinked.dll").delete()
    put(volume, "Windows/unlinked.dll", program(b"first", 10, 3007))
    put(volume, "Program Files/App/app.exe", b"app")


def test_layer_of_an_earlier_release_on_a_patched_os_layer_keeps_the_patched_file(composed):
    assert composed(earlier_layer, "newest_system", PATHS) == {
        "Windows/System32/ntdll.dll": b"patched",
        "Windows/System32/win32u.dll": b"own",
        "Windows/System32/wallpaper.jpg": b"own",
        f"{SECOND}/ntdll.dll": b"patched",
        FIRST: None,
        "Windows/unlinked.dll": b"patched",
        "Program Files/App/app.exe": b"app",
    }


def test_older_version_of_a_layer_does_not_replace_a_patched_system_file(composed):
    def change(volume):
        take(volume, "ntdll.dll", program(b"between", 10, 4000))

    paths = ["Windows/System32/ntdll.dll", FIRST]
    assert composed(change, "newest_system", paths) == {"Windows/System32/ntdll.dll": b"patched", FIRST: None}


def test_stored_policy_layer_composes_as_in_earlier_releases(composed):
    found = composed(earlier_layer, "layer", PATHS)
    assert found["Windows/System32/ntdll.dll"] == b"first"
    assert found["Windows/unlinked.dll"] == b"first"
    assert found[FIRST] == b""


def test_files_that_a_running_windows_marked_are_the_patched_files(composed):
    """Even the policy of earlier releases has nothing to decide: the layer does not contain these files."""

    def change(volume):
        with existing(volume, "Windows/System32/ntdll.dll") as node:
            node.set_eas(pack_eas([(b"$KERNEL.PURGE.ESBCACHE", 0, b"level")]))
        with existing(volume, "Windows/System32/win32u.dll") as node:
            node.set_object_id(bytes(range(64)))
        put(volume, "Program Files/App/app.exe", b"app")

    assert composed(change, "layer", PATHS) == {
        **dict.fromkeys(PATHS, b"patched"),
        FIRST: None,
        "Program Files/App/app.exe": b"app",
    }
