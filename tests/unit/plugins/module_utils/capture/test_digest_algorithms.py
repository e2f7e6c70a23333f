# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repositories whose OS layer was imported by an earlier release, with other digests of grains."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt
from ansible_collections.strata.layering.plugins.module_utils.disk.grains import BLAKE2B, BLAKE3
from ansible_collections.strata.layering.plugins.module_utils.images.stored import thin_image
from ansible_collections.strata.layering.tests.support.captured import Packaging, capture_change, make_windows_disk


def _write(volume):
    with volume.find("Program Files") as folder:
        folder.create_file("new.exe", b"MZ" + bytes(100_000)).close()


@pytest.mark.parametrize("algorithm", [BLAKE2B, BLAKE3], ids=lambda algorithm: algorithm.name)
def test_images_and_captures_keep_the_algorithm_of_their_os_layer(tmp_path, algorithm):
    make_windows_disk(str(tmp_path / "raw"))
    packaging = Packaging(str(tmp_path), str(tmp_path / "raw"), algorithm)
    result, files, _deltas = capture_change(packaging, _write)
    assert [path for path, kind in files.items() if kind == "file"] == ["Program Files/new.exe"]
    image = packaging.compose([result.layer])
    assert image.map.algorithm is image.base_index.algorithm is algorithm
    layers = packaging.repository.layout.manifest(image.manifest.digest)["layers"]
    stored = packaging.repository.layout.blobs.path(layers[2]["digest"])
    with open(stored, "rb") as stream:
        assert struct.unpack_from("<8sI", stream.read(12)) == (b"STRATAGM", algorithm.version)
    grown = packaging.grow(image, [])
    assert grown.map.algorithm is algorithm


def test_image_with_digests_of_another_algorithm_than_its_os_layer_is_damaged(tmp_path, monkeypatch):
    make_windows_disk(str(tmp_path / "raw"))
    packaging = Packaging(str(tmp_path), str(tmp_path / "raw"))
    result, _files, _deltas = capture_change(packaging, _write)
    image = packaging.compose([result.layer])
    original = thin_image.GrainMap.from_bytes

    def other(data, name):
        mapping = original(data, name)
        mapping.algorithm = BLAKE2B
        return mapping

    monkeypatch.setattr(thin_image.GrainMap, "from_bytes", other)
    with pytest.raises(Corrupt) as caught:
        thin_image.load(packaging.repository, image.content_digest)
    assert caught.value.code == "images.corrupt"
