# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which disks count as having come from the image that was given out: close relatives of it do not."""

from __future__ import annotations

import io
import shutil

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import preview
from ansible_collections.strata.layering.plugins.module_utils.catalog import layer_store
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.encode import encode
from ansible_collections.strata.layering.plugins.module_utils.disk.flat import open_disk
from ansible_collections.strata.layering.plugins.module_utils.images import compose
from ansible_collections.strata.layering.plugins.module_utils.images.compose import Composition
from ansible_collections.strata.layering.plugins.module_utils.images.lineage_marker import read_mark
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerReference, LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.captured import Packaging, make_machine


@pytest.fixture(name="packaging", scope="module")
def _packaging(tmp_path_factory):
    folder = tmp_path_factory.mktemp("descent")
    make_machine(str(folder / "raw"))
    return Packaging(str(folder), str(folder / "raw"))


def layer(packaging, name: str, content: bytes) -> LayerVersion:
    """An app layer of one small file."""
    found = stored_layers.find_version(packaging.repository, "app", name, "1")
    entry = Entry(f"{name}.txt", "file", 0x20, 1, 2, 3, 4, size=len(content))
    return found or layer_store.put_files(
        packaging.repository, LayerVersion("app", name, "1"), [(entry, lambda stream: io.BytesIO(content))]
    )


def work(volume) -> None:
    with volume.root as root:
        root.create_file("installed.txt", b"installed").close()


def refusal(given, device) -> str:
    with pytest.raises(Conflict) as caught:
        preview(given, lambda: device)
    assert caught.value.code == "capture.other_base"
    assert "prerequisites" in caught.value.hint
    return str(caught.value)


def test_images_of_other_layers_are_told_apart(packaging):
    one, two = (packaging.compose([layer(packaging, name, b"text")]) for name in ("One", "Two"))
    images = {"one": one, "two": two, "none": packaging.given}
    for name, image in images.items():
        for other, given in images.items():
            with packaging.changed(work, image) as device:
                if name == other:
                    assert preview(given, lambda: device).changes["files"]["added"] == 1
                else:
                    assert "it was made from" in refusal(given, device)


def test_the_image_of_a_template_is_another_one_than_that_of_a_packaging_machine(packaging):
    """It holds the plan of its scripts."""
    one = packaging.compose([layer(packaging, "One", b"text")])
    os_layer = LayerReference("os", "Windows", "7", packaging.base.digest)
    config = one.config | {"content_digest": "sha256:" + "e" * 64, "os_layer": os_layer.to_dict(), "scripts": []}
    stacked = tuple(
        compose.stacked_layer(packaging.repository, LayerReference.from_dict(reference))
        for reference in config["layers"]
    )
    template = compose.compose(
        packaging.repository, Composition(packaging.base, packaging.partition.number, stacked, None, config)
    )
    with packaging.changed(work, template) as device:
        assert "it was made as the image of a template, from os layer Windows 7, app layer One 1." in refusal(
            one, device
        )


def test_a_vmdk_without_any_description_tells_too(packaging, tmp_path):
    one, two = (packaging.compose([layer(packaging, name, b"text")]) for name in ("One", "Two"))
    path = str(tmp_path / "packaged.vmdk")
    with packaging.changed(work, one) as device, open(path, "wb") as out:
        encode(device, out)
    with open_disk(path) as disk:
        assert preview(one, lambda: disk).changes["files"]["added"] == 1
    with open_disk(path) as disk:
        refusal(two, disk)


def test_the_disk_of_the_os_machine_itself_is_as_good_as_the_image_of_its_layer_alone(packaging, tmp_path):
    raw = str(tmp_path / "raw")
    shutil.copy(f"{packaging.scratch}/../raw", raw)
    with FileDevice(raw, writable=True) as device:
        assert read_mark(device) is None
        with Volume.mount(packaging.partition.window(device), writable=True) as volume:
            work(volume)
    with FileDevice(raw) as device:
        assert preview(packaging.given, lambda: device).changes["files"]["added"] == 1
    with FileDevice(raw) as device:
        assert "lacks the mark" in refusal(packaging.compose([layer(packaging, "One", b"text")]), device)


def test_an_image_that_was_composed_again_upon_another_one(packaging):
    """Its files have other file records, although its content is the same."""
    layers = [layer(packaging, "Three", b"three" * 900), layer(packaging, "Four", b"four" * 900)]
    first = packaging.compose(layers)
    with packaging.changed(work, first) as device:
        packaging.repository.layout.remove_reference(f"image/{first.content_digest.partition(':')[2]}")
        packaging.compose([layers[1]])
        again = packaging.compose(layers)
        assert again.content_digest == first.content_digest
        assert again.manifest != first.manifest
        assert "composed upon another one" in refusal(again, device)
