# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wine's registry files: written keys are read unchanged, and wine's own files are written as wine does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_model import Key
from ansible_collections.strata.layering.tests.acceptance import wine, wine_registry
from ansible_collections.strata.layering.tests.acceptance.compare import compare_keys

_NAMES = st.text(st.characters(blacklist_characters="\\", blacklist_categories=["Cs"]), min_size=1, max_size=8)
_DATA = st.one_of(
    st.binary(max_size=90), st.text(max_size=20).map(lambda text: (text + "\0").encode("utf-16-le", "surrogatepass"))
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            _NAMES,
            _NAMES,
            st.one_of(st.just(""), _NAMES),
            st.sampled_from([0, 1, 2, 3, 4, 5, 7, 11, 0xFFFF0007]),
            _DATA,
        ),
        max_size=6,
    )
)
def test_written_registry_is_read_unchanged(values):
    root = Key("", last_written=0)
    for first, second, name, kind, data in values:
        key = root.create(f"{first}\\{second}", last_written=0x1DD7995E349C5CE)
        key.set_value(name, kind, data)
        key.class_name = 'class "quoted"' if kind == 3 else None
    text = wine_registry.write(root, "Machine")
    assert text.isascii()
    assert compare_keys(root, wine_registry.read(text), "") == []
    assert wine_registry.write(wine_registry.read(text), "Machine") == text


@pytest.mark.parametrize(
    "line, name, kind, data",
    [
        ('"a"="b\\x20ac\\0"', "a", 1, "b\u20ac\0\0"),
        ('@=str(2):"%x%\\n\\e\\7\\x00dcb"', "", 2, "%x%\n\x1b\x07\u00dcb\0"),
        ('"\\"q\\\\"=str(7):"one\\0two\\0"', '"q\\', 7, "one\0two\0\0"),
        ('"\\xd83d\\xdcc4"=""', "\U0001f4c4", 1, "\0"),
    ],
)
def test_registry_of_wine_is_read(line, name, kind, data):
    root = wine_registry.read(f"WINE REGISTRY Version 2\n\n[A] 1795251256\n#time=1dd7995e349c5ce\n{line}\n")
    value = root.key("A").value(name)
    assert (value.name, value.type, value.data) == (name, kind, data.encode("utf-16-le"))
    assert root.key("A").last_written == 0x1DD7995E349C5CE


def test_registry_is_written_as_by_wine(lab):
    for name in wine.REGISTRY:
        text = lab.fresh.read_registry(name)
        again = wine_registry.write(wine_registry.read(text), "Machine")

        def lines(content):
            # Wine folds long data elsewhere, and orders keys by another rule.
            return sorted(
                line for line in content.replace("\\\n  ", "").split("\n") if line and not line.startswith(";;")
            )

        assert lines(again) == lines(text)


@pytest.mark.parametrize(
    "text", ["", "REGEDIT4\n", 'WINE REGISTRY Version 2\n"a"="b"\n', "WINE REGISTRY Version 2\n[A] 1\nnonsense\n"]
)
def test_invalid_registry_file_is_rejected(text):
    with pytest.raises(ValueError):
        wine_registry.read(text)
