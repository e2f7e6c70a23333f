# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes and small OS layers for the tests of composing."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
import subprocess
import sys

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import layer_store
from ansible_collections.strata.layering.plugins.module_utils.catalog.resolved_template import canonical_digest
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.encode import encode
from ansible_collections.strata.layering.plugins.module_utils.disk.partitions import (
    TYPE_MICROSOFT_RESERVED,
    read_partitions,
)
from ansible_collections.strata.layering.plugins.module_utils.images.composing import compose
from ansible_collections.strata.layering.plugins.module_utils.images.composing.compose import Composition
from ansible_collections.strata.layering.plugins.module_utils.images.image_files import export
from ansible_collections.strata.layering.plugins.module_utils.images.stack.layer_stack import (
    StackedLayer,
    stacked_layer,
)
from ansible_collections.strata.layering.plugins.module_utils.images.stored import thin_image
from ansible_collections.strata.layering.plugins.module_utils.images.stored.compose_config import ComposeConfig
from ansible_collections.strata.layering.plugins.module_utils.images.stored.os_disk import INDEX_TYPE, VMDK_TYPE, OsDisk
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerReference, LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs.times import Times
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.sample import pe
from ansible_collections.strata.layering.tests.sample.disk import make_ntfs
from ansible_collections.strata.layering.tests.sample.tree import Tree
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.gpt_disk import PartitionSpec, format_gpt
from ansible_collections.strata.layering.tests.support.layer_stacks import SECURITIES
from ansible_collections.strata.layering.tests.support.ntfs_check import check
from ansible_collections.strata.layering.tests.support.ntfs_tree import read_fold, read_tree


@pytest.fixture(scope="session")
def blank(tmp_path_factory):
    """Yield a new NTFS volume as a read-only device, and a folder for the changes."""
    path = tmp_path_factory.mktemp("blank") / "image"
    with open(path, "wb") as out:
        out.truncate(64 << 20)
    subprocess.run(
        ["/usr/sbin/mkntfs", "-q", "-Q", "-F", "-T", "-L", "Test", str(path)], check=True, capture_output=True
    )
    with (
        FileDevice(str(path), writable=True) as device,
        Volume.mount(device, writable=True) as volume,
        volume.root as root,
    ):
        root.set_security(SECURITIES[0])
        root.set_times(Times(1, 2, 3, 4))
    with FileDevice(str(path)) as device:
        yield device, str(path.parent)


class SmallSystem:
    """A repository with the disk of a small OS machine as an OS layer, and helpers to compose on it."""

    def __init__(self, path, image) -> None:
        self.repository = Repository.open(str(path), create=True)
        raw, self.offset, self.size, self.tree, self.fold = image
        self.capacity = os.stat(raw).st_size
        layout = self.repository.layout
        with FileDevice(raw) as device, layout.blob_writer(VMDK_TYPE) as vmdk:
            index = encode(device, vmdk)
        self.base = OsDisk("sha256:" + "0" * 64, vmdk.descriptor, layout.put_blob(index.to_bytes(), INDEX_TYPE))
        self._layers: dict[int, tuple[list, StackedLayer, LayerReference]] = {}

    def layer(self, items) -> StackedLayer:
        """Return the layer of these items; store it if it is new."""
        return self._stored(items)[1]

    def forget(self) -> None:
        """Store every layer again when it is needed."""
        self._layers.clear()

    def start_over(self) -> None:
        """Remove all images."""
        for digest in thin_image.stored(self.repository):
            self.repository.layout.remove_reference(thin_image.reference_of(digest))

    def _stored(self, items):
        if id(items) not in self._layers:

            def opener(item):
                return lambda name: io.BytesIO(item.streams[name] if name else item.data)

            version = f"{len(stored_layers.versions(self.repository)) + 1}.0"
            layer = layer_store.put_files(
                self.repository, LayerVersion("app", "App", version), [(item.entry, opener(item)) for item in items]
            )
            reference = LayerReference("app", "App", version, layer.digest)
            stacked = dataclasses.replace(stacked_layer(self.repository, reference), digest=layer.content_digest)
            self._layers[id(items)] = items, stacked, reference
        return self._layers[id(items)]

    def compose(self, stack, disk_size=None, **options):
        """Return the thin image of a stack; layers of equal content count as equal."""
        stored = [self._stored(items) for items in stack]
        references = tuple(reference for _items, _layer, reference in stored)
        content = {"layers": [reference.to_dict() for reference in references], "size": disk_size}
        config = ComposeConfig(
            content_digest=canonical_digest(content),
            os_layer=LayerReference("os", "Windows", "7", self.base.digest),
            layers=references,
            disk_size_gb=disk_size,
        )
        layers = tuple(dataclasses.replace(layer, digest=reference.digest) for _items, layer, reference in stored)
        return compose.compose(self.repository, Composition(self.base, 2, layers, disk_size, config), **options)

    def judge(self, image, folder, capacity=None) -> None:
        """Check that ntfsfix and phantom-trace find no defects on the volume of the exported image."""
        raw, volume = str(folder / "judged.raw"), str(folder / "judged.ntfs")
        export(image, raw, "raw", name="x", firmware="efi")
        with FileDevice(raw) as device:
            partition = read_partitions(device).partitions[1]
            assert check(partition.window(device), entries_follow=True) == []
        subprocess.run(
            [
                "dd",
                f"if={raw}",
                f"of={volume}",
                "bs=1M",
                f"skip={partition.offset}",
                f"count={partition.size}",
                "iflag=skip_bytes,count_bytes",
                "conv=sparse",
            ],
            check=True,
            capture_output=True,
        )
        done = subprocess.run(["ntfsfix", "-n", volume], check=True, capture_output=True, text=True)
        assert "processed successfully" in done.stdout
        done = subprocess.run(
            [str(pathlib.Path(sys.executable).with_name("phantom-trace")), volume, "--json"],
            check=True,
            capture_output=True,
            text=True,
        )
        assert json.loads(done.stdout)["findings"] == []


def format_disk(path, tree):
    """Format a GPT disk of 128 MiB with a boot partition and an NTFS volume; return (path, offset, size, tree, fold)."""
    with open(path, "wb") as out:
        out.truncate(128 << 20)
    with FileDevice(path, writable=True) as device:
        specs = [
            PartitionSpec(TYPE_MICROSOFT_RESERVED, 16 << 20, "Reserved"),
            PartitionSpec("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", None, "Windows"),
        ]
        partition = format_gpt(device, specs, disk_guid="6b1d5c1e-0f0a-4e57-9b7e-2f1c9a5d7e10").partitions[1]
    make_ntfs(path, {"offset": partition.offset, "size": partition.size}, tree.finish(), "Windows")
    with FileDevice(path) as device:
        return (
            path,
            partition.offset,
            partition.size,
            read_tree(device, partition.offset, partition.size),
            read_fold(device, partition.offset, partition.size),
        )


@pytest.fixture(scope="session")
def small_image(tmp_path_factory):
    """Return ``format_disk`` of a volume with all kinds of files."""
    tree = Tree()
    for name in ("a", "b", "A long name.text", "Another file", "c.txt"):
        tree.file(f"{name}/file", pe.filler(name, 30_000))
        tree.file(f"{name}/a", b"small")
    tree.file("\u00e9t\u00e9", pe.filler("big", 3 << 20))
    tree.file("kept/file 0", b"older")
    tree.link("kept/again", "kept/file 0")
    return format_disk(str(tmp_path_factory.mktemp("small") / "raw"), tree)


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def small(small_image, tmp_path):
    """Return a SmallSystem of the test."""
    return SmallSystem(tmp_path / "repository", small_image)


@pytest.fixture(scope="module")
def small_once(small_image, tmp_path_factory):
    """Return a SmallSystem that many examples share."""
    return SmallSystem(tmp_path_factory.mktemp("once") / "repository", small_image)
