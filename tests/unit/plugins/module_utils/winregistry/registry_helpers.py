# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Helpers of the registry tests: dumps of trees, random hives, a real hive."""

from __future__ import annotations

import functools

from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Hive, Key
from ansible_collections.strata.layering.tests.support.pypi_samples import sample_bytes
from ansible_collections.strata.layering.tests.support.registry_data import hive_content


@functools.cache
def real_system() -> bytes:
    """The SYSTEM hive of a Windows 10 VM that was shut down properly."""
    return sample_bytes("dissect.regf", "3.14", "tests/_data/SYSTEM.gz")


# Names of many scripts, with case pairs inside and outside ASCII, characters beyond the basic plane and lone surrogates.
names = st.one_of(
    st.sampled_from(
        [
            "Software",
            "SOFTWARE",
            "a",
            "\u00e9t\u00e9",
            "\u00c9T\u00c9",
            "\u0131",
            "\u017f",
            "\u0436\u0438\u0440",
            "\u0416",
            "\u65e5\u672c",
            "\U0001f600",
            "\U00010428",
            "\uffff",
            "\ud800",
            "a\0b",
            "a/b",
            " ",
            "{0000}",
            "x" * 256,
        ]
    ),
    st.text(st.characters(blacklist_characters="\\"), min_size=1, max_size=40),
)
contents = st.one_of(
    st.binary(max_size=9),
    st.integers(0, 70000).map(lambda size: bytes([size % 251]) * size),
    st.sampled_from([16343, 16344, 16345, 32688, 32689, 1_500_000]).map(lambda size: b"\xa5" * size),
)
times = st.integers(0, 2**64 - 1)


@st.composite
def hives(draw, minors=cell_layout.MINOR_VERSIONS, data=contents, text=names, tombstones=True) -> Hive:
    """Draw a hive with a random tree, without names that case folding makes equal."""
    hive = Hive.new(
        draw(st.sampled_from(["", "SYSTEM", "\\SystemRoot\\System32\\Config\\SOFTWARE"])),
        minor=draw(st.sampled_from(minors)),
        last_written=draw(times),
    )
    keys = [hive.root]
    for _key in range(draw(st.integers(0, 20))):
        parent = draw(st.sampled_from(keys))
        name = draw(text)
        if name in parent.subkeys:
            continue
        key = Key(
            name,
            security=draw(st.sampled_from([b"", b"abc", b"d" * 100])) or parent.security,
            last_written=draw(times),
            class_name=draw(st.sampled_from([None, None, "class", "\u00e9\U0001f600"])),
            context=parent.context,
            flags=draw(
                st.sampled_from([cell_layout.KEY_COMP_NAME, 0, cell_layout.KEY_COMP_NAME | cell_layout.KEY_SYM_LINK])
            ),
        )
        key.access = draw(st.sampled_from([0, 3, 0x8002, 0x0301]))
        key.control = draw(st.sampled_from([0, 0x12]))
        parent.add(key)
        keys.append(key)
    for _value in range(draw(st.integers(0, 20))):
        value = draw(st.sampled_from(keys)).set_value(
            draw(st.one_of(st.just(""), text)), draw(st.integers(0, 2**32 - 1)), draw(data)
        )
        # In other hives the bit of a deleted value is undefined.
        if tombstones and hive.is_differencing and draw(st.integers(0, 9)) == 0:
            value.type, value.data, value.tombstone = 0, b"", True
    return hive


def normalized(root: Key) -> dict:
    """Return the content with the flag of compressed names as the writer must set it."""
    result = {}
    for path, (flags, *rest) in hive_content(root).items():
        name = path.rpartition("\\")[2]
        if cell_layout.encode_name(name)[1] is False:
            flags &= ~cell_layout.KEY_COMP_NAME
        result[path] = (flags, *rest)
    return result
