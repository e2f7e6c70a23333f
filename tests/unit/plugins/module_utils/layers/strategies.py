# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random entries, as strategies for hypothesis."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.layers import entry as model
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import (
    Entry,
    component_problem,
    stream_problem,
)
from ansible_collections.strata.layering.plugins.module_utils.layers.entry_headers import normal_attributes
from ansible_collections.strata.layering.plugins.module_utils.layers.extended_attributes import pack_eas
from ansible_collections.strata.layering.plugins.module_utils.layers.reparse import encode_link

# Lone surrogates, whiteout prefixes, long and non-ASCII names need special care in tar.
CHARACTERS = st.characters(exclude_characters="/\\:\0")
NAMES = st.one_of(
    st.text(CHARACTERS, min_size=1, max_size=12),
    st.sampled_from(
        [
            ".wh.real",
            ".wh..wh..opq",
            ".wh.",
            "\ud800x",
            "a\udfff",
            "\U0001f600" * 127,
            "n" * 255,
            "B\u00fcro \u2713",
            "x.wh.y",
            "STRATA~0",
            "=",
            "a\nb",
            "%s",
        ]
    ),
).filter(lambda name: component_problem(name) is None)
STREAMS = st.one_of(
    st.text(CHARACTERS, min_size=1, max_size=8), st.sampled_from(["Zone.Identifier", "\ud800", ".wh.s", "s" * 255])
).filter(lambda name: stream_problem(name) is None and not name.upper().endswith(":$DATA"))
TIMES = st.one_of(
    st.none(),
    st.integers(0, (1 << 63) - 1),
    st.sampled_from([0, 1, 116444736000000000, 116444735999999999, 132223104000000001]),
)
CONTENT = st.one_of(
    st.just(b""), st.binary(max_size=2000), st.binary(min_size=511, max_size=513), st.just(bytes(300000))
)
REPARSE = st.one_of(
    st.builds(
        lambda target, mount: encode_link(target, mount_point=mount),
        st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=30),
        st.booleans(),
    ),
    st.builds(
        lambda tag, body: struct.pack("<IHH", tag, len(body), 0) + body,
        st.integers(0, (1 << 32) - 1),
        st.binary(max_size=40),
    ),
)
EAS = st.lists(
    st.tuples(
        st.one_of(st.binary(min_size=1, max_size=5).filter(lambda name: b"\0" not in name), st.just(b"LXUID")),
        st.integers(0, 255),
        st.binary(max_size=9),
    ),
    min_size=1,
    max_size=3,
).map(pack_eas)


@st.composite
def sparse_content(draw):
    """Return (content, runs)."""
    runs, position, pieces = [], 0, []
    for hole, data in draw(st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=700)), max_size=3)):
        pieces += [bytes(hole), data]
        runs.append((position + hole, len(data)))
        position += hole + len(data)
    tail = draw(st.integers(0, 2000))
    merged = []
    for offset, length in runs:
        if merged and sum(merged[-1]) == offset:
            merged[-1] = (merged[-1][0], merged[-1][1] + length)
        else:
            merged.append((offset, length))
    return b"".join(pieces) + bytes(tail), merged


@st.composite
def trees(draw, max_size=8):
    """Return a list of (entry, content, stream contents) with parents before children and links after their files."""
    found, directories, files, taken = [], [""], [], set()
    for _number in range(draw(st.integers(0, max_size))):
        folder = draw(st.sampled_from(directories))
        path = folder + draw(NAMES)
        if path in taken:
            continue
        taken.add(path)
        kind = draw(st.sampled_from([model.FILE, model.FILE, model.DIRECTORY, model.LINK, model.WHITEOUT]))
        if kind == model.WHITEOUT or (kind == model.LINK and not files):
            found.append((Entry(path, model.WHITEOUT), b"", []))
            continue
        entry = Entry(path, kind, draw(st.integers(0, (1 << 32) - 1)), *(draw(TIMES) for _time in range(4)))
        entry.security = draw(st.one_of(st.none(), st.binary(min_size=1, max_size=60)))
        entry.short_name = draw(st.one_of(st.none(), st.sampled_from(["PROGRA~1", "A.B", "\u00c4~1.TXT"])))
        content, streams = b"", []
        if kind == model.LINK:
            entry.link_target = draw(st.sampled_from(files))
        else:
            entry.object_id = draw(
                st.one_of(st.none(), st.binary(min_size=16, max_size=16), st.binary(min_size=64, max_size=64))
            )
            entry.eas = draw(st.one_of(st.none(), EAS))
            entry.reparse = draw(st.one_of(st.none(), REPARSE))
            for name in draw(st.lists(STREAMS, max_size=3, unique=True)):
                streams.append(draw(CONTENT))
                entry.streams.append((name, len(streams[-1])))
        if kind == model.FILE:
            files.append(path)
            if draw(st.booleans()):
                content = draw(CONTENT)
            else:
                content, entry.sparse = draw(sparse_content())
            entry.size = len(content)
            if not entry.size and entry.reparse:
                entry.sparse = None
        elif kind == model.DIRECTORY:
            directories.append(path + "/")
            entry.implied = draw(st.booleans())
        entry.attributes = normal_attributes(entry)
        found.append((entry, content, streams))
    return found
