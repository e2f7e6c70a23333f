# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer versions: names, order, documents and icons."""

from __future__ import annotations

import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Corrupt,
    InvalidInput,
    Unsupported,
)
from ansible_collections.strata.layering.plugins.module_utils.layers.icon import icon_media_type
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import (
    ARTIFACT_TYPE,
    CONFIG_MEDIA_TYPE,
    Blob,
    LayerReference,
    LayerVersion,
    version_key,
)
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors, raises

DIGEST = "sha256:" + "a" * 64
ORDERED = [
    "1",
    "1.0-dev",
    "1.0-alpha",
    "1.0-beta",
    "1.0-beta2",
    "1.0-rc1",
    "1.0-RC2",
    "1.0",
    "1.0a",
    "1.0.1",
    "v1.1",
    "1.9",
    "1.10",
    "2",
    "10",
    "2024-01",
    "2024-02",
    "2024-11",
    "2024-11-30",
]


def test_versions_sort_in_natural_order():
    shuffled = ORDERED[:]
    random.Random(1).shuffle(shuffled)
    assert sorted(shuffled, key=version_key) == ORDERED


@given(st.lists(st.text(max_size=12), unique=True, max_size=8))
@settings(max_examples=200)
def test_version_order_is_total(versions):
    assert len({version_key(version) for version in versions}) == len(versions)
    backwards = list(reversed(versions))
    assert sorted(versions, key=version_key) == sorted(backwards, key=version_key)


def documents(layer):
    manifest = {
        "artifactType": ARTIFACT_TYPE,
        "config": {"mediaType": CONFIG_MEDIA_TYPE},
        "digest": layer.digest,
        "layers": [
            {
                "mediaType": blob.media_type,
                "digest": blob.digest,
                "size": blob.size,
                "annotations": {"strata.layering.role": role},
            }
            for role, blob in layer.blobs.items()
        ],
    }
    return manifest, layer.config()


def full_layer():
    reference = LayerReference("os", "Windows 11", "24H2", DIGEST)
    return LayerVersion(
        "app",
        "7-Zip",
        "24.09",
        "An archiver\nfor all",
        "first",
        reference,
        [reference],
        5,
        "run.cmd",
        None,
        DIGEST,
        {"files": 3},
        {"a": [1]},
        {"archive": Blob("a/b", DIGEST, 3)},
        DIGEST,
    )


def test_round_trip():
    layer = full_layer()
    assert LayerVersion.from_documents(*documents(layer)) == layer
    assert layer.reference() == LayerReference("app", "7-Zip", "24.09", DIGEST)
    assert layer.annotations()["org.opencontainers.image.base.digest"] == DIGEST


@pytest.mark.parametrize(
    "key, value",
    [
        ("kind", "user"),
        ("kind", None),
        ("name", ""),
        ("name", 5),
        ("name", "a/b"),
        ("version", "Latest"),
        ("description", 5),
        ("description", "\x1b"),
        ("os_layer", {}),
        ("os_layer", 1),
        ("os_layer", {"kind": "os", "name": "x", "version": "1", "digest": "y"}),
        ("prerequisites", [1]),
        ("prerequisites", 1),
        ("priority", -1),
        ("priority", True),
        ("priority", "1"),
        ("script", 5),
        ("size_gb", "x"),
        ("content_digest", 7),
        ("statistics", []),
        ("statistics", {"a": "b"}),
        ("facts", 1),
        ("schema_version", "1"),
    ],
)
def test_config_with_invalid_field_is_corrupt(key, value):
    manifest, config = documents(full_layer())
    config[key] = value
    with raises(Corrupt, "layers.corrupt"):
        LayerVersion.from_documents(manifest, config)
    del config[key]
    with raises(Corrupt, "layers.corrupt"):
        LayerVersion.from_documents(manifest, config)


def test_other_artifact_or_newer_schema_is_unsupported():
    manifest, config = documents(full_layer())
    with raises(Unsupported, "layers.schema"):
        LayerVersion.from_documents(manifest, {**config, "schema_version": 2})
    with raises(Unsupported, "layers.artifact_type"):
        LayerVersion.from_documents({**manifest, "artifactType": "x/y"}, config)
    manifest["layers"] *= 2
    with pytest.raises(Corrupt):
        LayerVersion.from_documents(manifest, config)
    manifest["layers"] = [{"mediaType": "a/b"}]
    with pytest.raises(Corrupt):
        LayerVersion.from_documents(manifest, config)


@pytest.mark.parametrize(
    "arguments",
    [
        ("user", "x", "1"),
        ("app", "", "1"),
        ("app", "x" * 101, "1"),
        ("app", " x", "1"),
        ("app", "a\\b", "1"),
        ("app", "x", ""),
        ("app", "x", "latest"),
        ("app", "x", "1" * 51),
        ("app", "x", "1", "d" * 4001),
        ("app", "x", "1", "\0"),
    ],
)
def test_invalid_name_is_refused(arguments):
    with pytest.raises(InvalidInput):
        LayerVersion(*arguments)


def png(width=16, height=16):
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    )


def jpeg(width=16, height=16):
    return (
        b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc0\x00\x0b\x08"
        + struct.pack(">HH", height, width)
        + b"\x01\x01\x11\x00\xff\xd9"
    )


def test_icon_media_type_is_detected():
    assert icon_media_type(png()) == "image/png"
    assert icon_media_type(jpeg()) == "image/jpeg"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a",
        b"<svg/>",
        png()[:20],
        png(0),
        png(5000),
        png(16, 1 << 31),
        jpeg()[:9],
        jpeg(0),
        jpeg(16, 9000),
        b"\xff\xd8\xff\xd9",
        bytes(2 << 20),
        b"\xff\xd8\xff" + b"\xff" * 1000000,
    ],
)
def test_invalid_icon_is_refused(data):
    with pytest.raises(InvalidInput) as caught:
        icon_media_type(data)
    assert caught.value.code in ("layers.icon_format", "layers.icon_size")
    assert caught.value.hint


@given(st.binary(max_size=60), st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b""]))
@settings(max_examples=200)
def test_random_icon_raises_only_our_errors(data, head):
    with only_our_errors():
        icon_media_type(head + data)
