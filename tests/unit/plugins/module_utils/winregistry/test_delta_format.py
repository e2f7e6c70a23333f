# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, Unsupported
from ansible_collections.strata.layering.plugins.module_utils.winregistry import delta as deltas
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta import (
    Before,
    Delta,
    KeyDelta,
    ValueDelta,
)
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_apply import apply_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_format import read_delta, write_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors

from .delta_helpers import described


def sample() -> Delta:
    delta = Delta("SYSTEM")
    root = delta.root
    root.last_written = 7
    for name, action in (
        ("add", deltas.CREATE),
        ("gone", deltas.REMOVE),
        ("keep", deltas.KEEP),
        ("new", deltas.REPLACE),
    ):
        root.subkeys[name.upper()] = KeyDelta(name, action)
    add, keep = delta.key("add"), delta.key("keep")
    add.security, add.class_data, add.flags, add.last_written = b"descriptor", b"c\0", (0x20, 0, 0), 2**64 - 1
    delta.key("new").security = b"descriptor"
    keep.order = ("b", "a")
    keep.renamed = True
    keep.values["A"] = ValueDelta("a", 1, b"new", Before(2, 3, b"old", None), renamed=True, wide=True)
    keep.values["B"] = ValueDelta("b", 0, None, Before(3, 70000, None, bytes(range(16))))
    keep.values[""] = ValueDelta("", 0xFFFF0012, b"")
    return delta


def sealed(body: bytes, version: int = 1, reserved: int = 0) -> bytes:
    return b"STRATARD" + struct.pack("<HHI", version, reserved, zlib.crc32(body)) + body


def name(text: str) -> bytes:
    return struct.pack("<H", len(text) * 2) + text.encode("utf-16-le")


def key(
    depth: int, text: str, action: int = 0, fields: int = 0, more: bytes = b"", values: bytes = b"", count: int = 0
) -> bytes:
    return struct.pack("<HBB", depth, action, fields) + name(text) + more + struct.pack("<I", count) + values


def body(*keys: bytes, descriptors: bytes = struct.pack("<I", 0), count: int | None = None) -> bytes:
    return name("SYSTEM") + descriptors + struct.pack("<I", len(keys) if count is None else count) + b"".join(keys)


def test_write_delta_bytes_of_a_small_delta():
    delta = Delta("SYSTEM")
    below = delta.root.subkeys["K"] = KeyDelta("k", deltas.KEEP)
    below.security, below.flags, below.last_written = b"sd", (1 << 4, 2, 3), 4
    below.values["V"] = ValueDelta("v", 4, b"dw", Before(1, 1, b"x", None))
    expected = body(
        key(0, ""),
        key(
            1,
            "k",
            0,
            0x1A,
            struct.pack("<IHHIQ", 0, 16, 2, 3, 4),
            b"\x03" + name("v") + struct.pack("<II", 4, 2) + b"dw" + struct.pack("<II", 1, 1) + b"x",
            1,
        ),
        descriptors=struct.pack("<II", 1, 2) + b"sd",
    )
    assert write_delta(delta) == sealed(expected)


def test_write_then_read_delta_keeps_everything():
    delta = sample()
    data = write_delta(delta)
    assert described(read_delta(data)) == described(delta)
    assert write_delta(read_delta(data)) == data
    assert read_delta(data).hive == "SYSTEM"


def test_write_delta_siblings_are_in_one_order():
    first, two = sample(), sample()
    two.root.subkeys = dict(reversed(two.root.subkeys.items()))
    assert write_delta(first) == write_delta(two)


VALUE = b"\x01" + name("v") + struct.pack("<II", 1, 0)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        body(),
        body(count=1),
        body(key(0, "x")),
        body(key(0, "", 1)),
        body(key(1, "")),
        body(key(0, ""), key(2, "x")),
        body(key(0, ""), key(0, "")),
        body(key(0, ""), key(1, "")),
        body(key(0, ""), key(1, "a\\b")),
        body(key(0, ""), key(1, "b"), key(1, "a")),
        body(key(0, ""), key(1, "a"), key(1, "A")),
        body(key(0, ""), key(1, "a", 4)),
        body(key(0, ""), key(1, "a", 2), key(2, "b")),
        body(key(0, ""), key(1, "a", 2, 0x10, bytes(8))),
        body(key(0, ""), key(1, "a", 1, 0x01)),
        body(key(0, ""), key(1, "a", 0, 0x40)),
        body(key(0, ""), key(1, "a", 0, 2, bytes(4))),
        body(key(0, ""), key(1, "a", 2, 0, b"", VALUE, 1)),
        body(key(0, "", 0, 0, b"", VALUE + VALUE, 2)),
        body(key(0, "", 0, 0, b"", VALUE, 2**32 - 1)),
        body(key(0, "")) + b"\0",
        body(key(0, ""), count=2**32 - 1),
        body(key(0, "", 0, 0x20, bytes(4))),
        body(key(0, "", 0, 8, struct.pack("<HHI", 4, 0, 0))),
        body(key(0, "", 0, 0, b"", b"\x20" + name("v"), 1)),
        body(key(0, "", 0, 0, b"", b"\x04" + name("v"), 1)),
        body(key(0, "", 0, 0, b"", b"\x10" + name("v"), 1)),
        body(key(0, "", 0, 0, b"", b"\x01" + name("v") + struct.pack("<II", 1, 2**31), 1)),
        body(key(0, "", 0, 0, b"", b"\x02" + name("v") + struct.pack("<II", 1, 70000) + bytes(70000), 1)),
        body(key(0, "", 0, 0, b"", b"\x06" + name("v") + struct.pack("<II", 1, 5) + bytes(16), 1)),
        body(key(0, ""), descriptors=struct.pack("<II", 1, 2) + b"sd"),
        body(key(0, ""), descriptors=struct.pack("<IIHIH", 2, 2, 0, 2, 0)),
        b"\x01\0a" + body(key(0, ""))[2:],
        body(key(0, ""), key(1, "x" * 257)),
    ],
)
def test_read_delta_invalid_content_is_corrupt(content):
    with pytest.raises(Corrupt) as caught:
        read_delta(sealed(content))
    assert caught.value.code == "winregistry.delta"
    assert caught.value.hint


def test_read_delta_header_is_checked():
    data = sealed(body(key(0, "")))
    assert read_delta(data).is_empty
    with pytest.raises(Unsupported) as caught:
        read_delta(sealed(body(key(0, "")), version=2))
    assert caught.value.code == "winregistry.delta_version"
    for broken in (b"", data[:10], data[:-1], data + b"\0", sealed(body(key(0, "")), reserved=1), b"X" + data[1:]):
        with pytest.raises(Corrupt) as caught:
            read_delta(broken)
        assert caught.value.code == "winregistry.delta"


def test_read_delta_too_deep_keys_are_corrupt():
    keys = [key(0, "")] + [key(depth, "k") for depth in range(1, 513)]
    assert read_delta(sealed(body(*keys))).key("\\".join("k" * 512)) is not None
    with pytest.raises(Corrupt) as caught:
        read_delta(sealed(body(*keys, key(513, "k"))))
    assert caught.value.code == "winregistry.delta"


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_read_delta_mutated_bytes_raise_only_our_errors(data):
    mutated = bytearray(write_delta(sample())[16:])
    for _byte in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(
            st.sampled_from([0, 1, 2, 4, 0x10, 0x80, 0xFF])
        )
    del mutated[data.draw(st.integers(len(mutated) // 2, len(mutated))) :]
    with only_our_errors():
        delta = read_delta(sealed(bytes(mutated)))
        assert write_delta(delta) == sealed(bytes(mutated))
        apply_delta(Hive.new(), delta)
