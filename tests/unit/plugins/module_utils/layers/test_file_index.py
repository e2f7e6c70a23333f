# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file index of a layer."""

from __future__ import annotations

import hashlib
import io
import json

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, Unsupported
from ansible_collections.strata.layering.plugins.module_utils.layers import entry as model
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.layers.file_index import IndexWriter, Record, load_index
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors, raises
from ansible_collections.strata.layering.tests.unit.plugins.module_utils.layers.strategies import trees

LABEL = "app layer Tool 2.1"


def digest_of(data):
    return hashlib.sha256(data).digest()


def records_of(items):
    return [
        Record(entry, digest_of(content) if entry.kind == model.FILE else None, [digest_of(data) for data in streams])
        for entry, content, streams in items
    ]


def write(records):
    out = io.BytesIO()
    with IndexWriter(out) as writer:
        for record in records:
            writer.add(record.entry, record.digest, record.stream_digests)
    return out.getvalue(), writer.content_digest


def lines_of(data):
    return zstandard.ZstdDecompressor().stream_reader(data).read()


def pack(lines):
    return zstandard.ZstdCompressor().compress(lines)


@given(trees(max_size=12))
@settings(max_examples=100, deadline=None)
def test_round_trip(items):
    records = records_of(items)
    data, digest = write(records)
    assert load_index(io.BytesIO(data), LABEL) == records
    assert digest == "sha256:" + hashlib.sha256(lines_of(data)).hexdigest()
    with IndexWriter(None) as dry:
        for record in records:
            dry.add(record.entry, record.digest, record.stream_digests)
    assert dry.content_digest == digest


def test_index_lines():
    entry = Entry("a/\ud800", "file", 32, 1, 2, 3, None, b"SD", "A~1", 3, streams=[("s", 1)])
    data, _digest = write([Record(entry, b"\1" * 32, [b"\2" * 32]), Record(Entry("b", "whiteout"))])
    assert [json.loads(line) for line in lines_of(data).splitlines()] == [
        {"format": "strata.index", "version": 1},
        ["", "U0Q="],
        ["a/\ud800", 0, 32, 3, 1, 2, 3, None, 0, "01" * 32, {"n": "A~1", "s": [["s", 1, "02" * 32]]}],
        ["b", 3, 0, 0, None, None, None, None, -1, None, 0],
        {"entries": 2},
    ]


def test_equal_security_descriptors_are_stored_once():
    records = [
        Record(Entry(f"d/{number}", "file", security=b"S" * (1 + number % 3)), bytes(32)) for number in range(5000)
    ]
    data, _digest = write(records)
    assert lines_of(data).count(b'["",') == 3
    assert load_index(io.BytesIO(data), LABEL) == records


GOOD = lines_of(
    write(
        [
            Record(
                Entry(
                    "d",
                    "directory",
                    16,
                    implied=True,
                    eas=b"\x0c\0\0\0\0\1\2\0A\0xy",
                    object_id=bytes(16),
                    reparse=bytes(8),
                )
            ),
            Record(
                Entry("d/f", "file", 32, 1, 2, 3, 4, b"SD", "F~1", 9, sparse=[(2, 3)], streams=[("s", 1)]),
                bytes(32),
                [bytes(32)],
            ),
            Record(Entry("d/l", "link", 32, link_target="d/f")),
            Record(Entry("w", "whiteout")),
        ]
    )[0]
)


@pytest.mark.parametrize(
    "old, new",
    [
        (b'"entries":4', b'"entries":5'),
        (b'["w",3', b'["../w",3'),
        (b'["w",3', b'["",3'),
        (b'["w",3', b'["w",9'),
        (b'["w",3', b'["w",true'),
        (b'["w",3', b"[1,3"),
        (b'"l":"d/f"', b'"l":"/"'),
        (b'"l":"d/f"', b'"x":1'),
        (b'["d/l",2', b'["d/l",0'),
        (b'"SD"', b"1"),
        (b"[[2,3]]", b"[[8,3]]"),
        (b"[[2,3]]", b"[[2]]"),
        (b"[[2,3]]", b"7"),
        (b",9,1,2,3,4", b",-9,1,2,3,4"),
        (b",9,1,2,3,4", b",9,1.5,2,3,4"),
        (b",9,1,2,3,4", b",9,1,2,3"),
        (b'"U0Q="', b'"!"'),
        (b'"U0Q="', b"5"),
        (b"0" * 64, b"0" * 62),
        (b"0" * 64, b"z" * 64),
        (b'"version":1', b'"version":"1"'),
        (b'{"format"', b'{"fromat"'),
        (b'"n":"F~1"', b'"n":""'),
        (b'"s":[["s",1', b'"s":[["",1'),
        (b'{"entries":4}\n', b""),
        (b'{"entries":4}\n', b'{"entries":4}\n{"entries":4}\n'),
        (b'{"entries":4}\n', b'{"entries":4}\nnull\n'),
        (b'{"entries":4}\n', b'{"entries":4}'),
        (b'"e":"', b'"e":"AAAA'),
    ],
)
def test_invalid_index_is_corrupt(old, new):
    if old == b'"SD"':
        old, new = b",4,0,", b",4,1,"
    assert old in GOOD
    with pytest.raises(Corrupt) as caught:
        load_index(io.BytesIO(pack(GOOD.replace(old, new, 1))), LABEL)
    assert caught.value.code in ("layers.index_corrupt", "layers.index_truncated")
    assert caught.value.hint
    assert caught.value.details["layer"] == LABEL


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (b'["w",3', b'["../w",3', "path of entry 4"),
        (b'["w",3', b'["w",true', "kind of entry 4"),
        (b",9,1,2,3,4", b",-9,1,2,3,4", "size of entry 2"),
        (b",9,1,2,3,4", b",9,1,2.5,3,4", "written of entry 2"),
        (b'"n":"F~1"', b'"n":""', "short_name of entry 2"),
        (b"[[2,3]]", b"[[8,3]]", "sparse of entry 2"),
        (b'"l":"d/f"', b'"l":"/"', "link_target of entry 3"),
        (b'"e":"', b'"e":"AAAA', "eas of entry 1"),
    ],
)
def test_index_errors_name_layer_entry_and_field(old, new, field):
    assert old in GOOD
    with pytest.raises(Corrupt) as caught:
        load_index(io.BytesIO(pack(GOOD.replace(old, new, 1))), LABEL)
    assert caught.value.message == f"The file index of {LABEL} is damaged: the field {field} is invalid."


def test_newer_index_version_is_unsupported():
    with raises(Unsupported, "layers.index_version"):
        load_index(io.BytesIO(pack(GOOD.replace(b'"version":1', b'"version":2'))), LABEL)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        pack(b""),
        pack(b"[" * 100000 + b"\n"),
        pack(b"1" * 100000 + b"\n"),
        pack(b"x" * (17 << 20)),
        pack(GOOD)[:-3],
    ],
)
def test_data_that_is_not_an_index_is_corrupt(data):
    with pytest.raises(Corrupt):
        load_index(io.BytesIO(data), LABEL)


@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.binary(min_size=1, max_size=6)), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_mutated_index_raises_only_our_errors(changes):
    data = bytearray(GOOD)
    for position, piece in changes:
        data[position : position + len(piece)] = piece
    with only_our_errors():
        load_index(io.BytesIO(pack(bytes(data))), LABEL)


@given(st.integers(0, 1 << 12), st.binary(min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_mutated_compressed_index_raises_only_our_errors(position, piece):
    data = bytearray(pack(GOOD))
    position %= len(data)
    data[position : position + len(piece)] = piece
    with only_our_errors():
        load_index(io.BytesIO(bytes(data)), LABEL)
