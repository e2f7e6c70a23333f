# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks that descend from the base image of a packaging machine. Disks of closely related images are rejected."""

from __future__ import annotations

import dataclasses
import io
import shutil

import pytest

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture
from ansible_collections.strata.layering.plugins.module_utils.catalog import layer_store
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.encode import encode
from ansible_collections.strata.layering.plugins.module_utils.disk.flat import open_disk
from ansible_collections.strata.layering.plugins.module_utils.images.stored.lineage_marker import read_marker
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.plugins.module_utils.ntfs import attribute_records
from ansible_collections.strata.layering.plugins.module_utils.ntfs.raw_volume import MFT, RawVolume
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support import stored_layers


def layer(packaging, name: str, content: bytes) -> LayerVersion:
    """Return an app layer with one small file."""
    existing = stored_layers.find_version(packaging.repository, "app", name, "1")
    entry = Entry(f"{name}.txt", "file", 0x20, 1, 2, 3, 4, size=len(content))
    return existing or layer_store.put_files(
        packaging.repository, LayerVersion("app", name, "1"), [(entry, lambda stream: io.BytesIO(content))]
    )


def many_files(packaging) -> LayerVersion:
    """Return an app layer for whose files $MFT has to grow."""
    entries = [Entry("many", "directory", 0x10, 1, 2, 3, 4)]
    entries += [Entry(f"many/file {number}.txt", "file", 0x20, 1, 2, 3, 4, size=4) for number in range(400)]
    return stored_layers.find_version(packaging.repository, "app", "Many", "1") or layer_store.put_files(
        packaging.repository,
        LayerVersion("app", "Many", "1"),
        [(entry, lambda stream: io.BytesIO(b"text")) for entry in entries],
    )


def table_of(packaging, device) -> RawVolume:
    return RawVolume(packaging.partition.window(device))


def creation_of_table(raw: RawVolume) -> int:
    """Return the creation time of $MFT."""
    value = raw.attribute(MFT, attribute_records.STANDARD_INFORMATION)[0].value
    return int.from_bytes(value[:8], "little")


def lose_times(raw: RawVolume) -> None:
    """Zero the times of $MFT, as earlier releases did when $MFT grew."""
    record = raw.record(MFT)
    start = raw.attribute(MFT, attribute_records.STANDARD_INFORMATION)[0].offset + 24
    record[start : start + 32] = bytes(32)
    raw.write_record(MFT, record)


def extend_table(raw: RawVolume) -> None:
    """Make file record 15 an extension record of $MFT, as libntfs-3g does when $MFT has many pieces."""
    record = raw.record(15)
    record[32:40] = (1 << 48).to_bytes(8, "little")
    raw.write_record(15, record)


def work(volume) -> None:
    with volume.root as root:
        root.create_file("installed.txt", b"installed").close()


def added_files(packaging, base_image, device) -> int:
    """Capture a disk on a base image; return the number of added files."""
    version = LayerVersion("app", "App", "1")
    return capture(packaging.repository, base_image, lambda: device, version).changes["files"]["added"]


def rejection(packaging, base_image, device) -> str:
    """Check that a disk is rejected for a base image; return the message."""
    with pytest.raises(Conflict) as caught:
        added_files(packaging, base_image, device)
    assert caught.value.code == "capture.other_base"
    return caught.value.message


def test_disk_of_an_image_with_other_layers_is_rejected(packaging):
    first, second = (packaging.compose([layer(packaging, name, b"text")]) for name in ("One", "Two"))
    images = {"one": first, "two": second, "none": packaging.base_image}
    for name, image in images.items():
        for other, base_image in images.items():
            with packaging.changed(work, image) as device:
                if name == other:
                    assert added_files(packaging, base_image, device) == 1
                else:
                    assert "it started from" in rejection(packaging, base_image, device)


def test_disk_of_a_template_image_is_rejected(packaging):
    """The image of a template contains the plan of its scripts."""
    base_image = packaging.compose([layer(packaging, "One", b"text")])
    config = dataclasses.replace(base_image.config, content_digest="sha256:" + "e" * 64, scripts=())
    template = packaging.compose_config(config)
    with packaging.changed(work, template) as device:
        message = rejection(packaging, base_image, device)
    assert "it started from the image of a template with os layer Windows 7, app layer One 1." in message


@pytest.mark.parametrize("change", [None, lose_times, extend_table])
def test_disk_of_an_earlier_version_for_which_the_table_grew_is_accepted(packaging, change):
    with packaging.base_image.open_disk() as base:
        before = table_of(packaging, base)
        grown = packaging.grow(packaging.base_image, [many_files(packaging)])
        with packaging.changed(work, grown) as device:
            after = table_of(packaging, device)
            assert after.record_count > before.record_count
            assert creation_of_table(after) == creation_of_table(before) != 0
            if change:
                change(after)
            assert added_files(packaging, packaging.base_image, device) == 401


def test_disk_of_a_volume_formatted_later_is_rejected(packaging):
    with packaging.changed(work) as device:
        raw = table_of(packaging, device)
        record = raw.record(MFT)
        start = raw.attribute(MFT, attribute_records.STANDARD_INFORMATION)[0].offset + 24
        record[start] ^= 1
        raw.write_record(MFT, record)
        rejection(packaging, packaging.base_image, device)


def test_disk_in_a_vmdk_without_descriptor_is_recognized(packaging, tmp_path):
    first, second = (packaging.compose([layer(packaging, name, b"text")]) for name in ("One", "Two"))
    path = str(tmp_path / "packaged.vmdk")
    with packaging.changed(work, first) as device, open(path, "wb") as out:
        encode(device, out)
    with open_disk(path) as disk:
        assert added_files(packaging, first, disk) == 1
    with open_disk(path) as disk:
        rejection(packaging, second, disk)


def test_disk_of_the_os_machine_is_accepted_without_prerequisites(packaging, tmp_path):
    raw = str(tmp_path / "raw")
    shutil.copy(f"{packaging.scratch}/../raw", raw)
    with FileDevice(raw, writable=True) as device:
        assert read_marker(device) is None
        with Volume.mount(packaging.partition.window(device), writable=True) as volume:
            work(volume)
    with FileDevice(raw) as device:
        assert added_files(packaging, packaging.base_image, device) == 1
    with FileDevice(raw) as device:
        assert "lineage marker" in rejection(packaging, packaging.compose([layer(packaging, "One", b"text")]), device)


def test_disk_of_an_image_composed_again_from_a_different_image_is_rejected(packaging):
    """The content is the same, but the files have other file records."""
    layers = [layer(packaging, "Three", b"three" * 900), layer(packaging, "Four", b"four" * 900)]
    first = packaging.compose(layers)
    with packaging.changed(work, first) as device:
        packaging.repository.layout.remove_reference(f"image/{first.content_digest.partition(':')[2]}")
        packaging.compose([layers[1]])
        again = packaging.compose(layers)
        assert again.content_digest == first.content_digest
        assert again.manifest != first.manifest
        assert "composed from a different image" in rejection(packaging, again, device)
