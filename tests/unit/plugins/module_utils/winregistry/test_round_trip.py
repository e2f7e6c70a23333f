# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write hives of Windows and random hives again: the engine's reader and three other readers find the same trees."""

from __future__ import annotations

import io
import pathlib
import re
import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt
from ansible_collections.strata.layering.plugins.module_utils.winregistry import cell_layout
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_reader import read_hive
from ansible_collections.strata.layering.plugins.module_utils.winregistry.hive_writer import write_hive
from ansible_collections.strata.layering.tests.support import hive_samples
from ansible_collections.strata.layering.tests.support.registry_data import hive_content

from .registry_helpers import hives, normalized

#: Published samples of hives that Windows recovered from a hive and its logs have names that begin with this prefix.
_RECOVERED = "RecoveredHive_"
_SAMPLES = [
    pytest.param(hive_samples.windows_10_system, 33_317, id="SYSTEM of Windows 10"),
    pytest.param(hive_samples.user_profile, 1_127, id="NTUSER.DAT"),
    *(pytest.param(path.read_bytes, None, id=str(path)) for path in hive_samples.further()),
]


def by_libregf(data: bytes) -> dict:
    """Times, classes and values of all keys by path; names that collide after decoding are numbered."""
    pyregf = pytest.importorskip("pyregf")
    file = pyregf.file()
    file.open_file_object(io.BytesIO(data))
    assert not file.is_corrupted()
    result: dict = {}
    stack = [((), file.get_root_key())]
    while stack:
        path, key = stack.pop()
        result[path] = (
            key.get_last_written_time_as_integer(),
            key.class_name,
            [(value.name or "", value.type, value.data or b"") for value in key.values],
        )
        stack += [((*path, below.name), below) for below in key.sub_keys]
    file.close()
    return result


def by_dissect(data: bytes) -> dict:
    """Flags, times and values of all keys by path."""
    regf = pytest.importorskip("dissect.regf.regf")
    result: dict = {}
    stack = [((), regf.RegistryHive(io.BytesIO(data)).root())]
    while stack:
        path, key = stack.pop()
        # Microsoft's offline library omits this flag at the root; the writer sets it.
        flags = int(key.cell.Flags) | (0 if path else cell_layout.KEY_HIVE_ENTRY)
        values = [("" if value.cell.NameLength == 0 else value.name, value.type, value.data) for value in key.values()]
        result[path] = (flags, int(key.cell.LastWriteTime), values)
        stack += [((*path, below.name), below) for below in key.subkeys()]
    return result


def by_hivex(data: bytes, folder: pathlib.Path) -> str:
    """The tree as hivexml prints it, without offsets in the file."""
    if shutil.which("hivexml") is None:
        pytest.skip("libhivex-bin is not installed")
    (folder / "hive").write_bytes(data)
    printed = subprocess.run(["hivexml", str(folder / "hive")], capture_output=True, check=True).stdout
    return re.sub(rb"<byte_run[^>]*>", b"", printed).decode()


def sample(fetch) -> bytes:
    try:
        return fetch()
    except hive_samples.Missing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("fetch, keys", _SAMPLES)
def test_round_trip_of_a_hive_that_windows_wrote(fetch, keys, tmp_path):
    data = sample(fetch)
    try:
        hive = read_hive(data)
    except Corrupt as refused:
        # Only for the folder of further samples, which contains damaged hives.
        assert keys is None
        assert refused.code.startswith("winregistry.")
        return
    again = write_hive(hive)
    tree = normalized(read_hive(data).root)
    tree[""] = (tree[""][0] | cell_layout.KEY_HIVE_ENTRY, *tree[""][1:])
    assert hive_content(read_hive(again).root) == tree
    other = by_libregf(again)
    assert other == by_libregf(data)
    if keys is None:
        return  # The other two readers reject some samples that are out of order or incomplete.
    assert len(other) == len(tree) == keys
    assert by_hivex(again, tmp_path) == by_hivex(data, tmp_path)
    if keys < 2_000:
        assert by_dissect(again) == by_dissect(data)


# libregf shows data of fewer than four bytes, which is stored in the value itself, incorrectly.
_plain = st.text(
    st.characters(categories=("L", "N", "P"), max_codepoint=0xFFFF, exclude_characters="\\"), min_size=1, max_size=30
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
# libregf takes big data in hives of version 1.4 for plain data; Windows uses it from that version on.
@given(
    hives(
        minors=(3, 5, 6),
        data=st.sampled_from([b"", b"four", b"\xa5" * 5000, b"\x5a" * 16345, b"\xa5" * 40_000]),
        text=_plain,
        tombstones=False,
    )
)
def test_written_hive_is_read_by_other_readers(hive):
    data = write_hive(hive)
    seen = {tuple(path.split("\\")) if path else (): key for path, key in hive.root.walk()}
    libregf, dissect = by_libregf(data), by_dissect(data)
    assert libregf.keys() == dissect.keys() == seen.keys()
    for path, key in seen.items():
        values = [(value.name, value.type, bytes(value.data)) for value in key.values.values()]
        assert libregf[path] == (key.last_written, key.class_name, values)
        assert dissect[path][1] == key.last_written
        assert [value[0] for value in dissect[path][2]] == [value[0] for value in values]


@pytest.mark.parametrize("recovered", hive_samples.recoveries(_RECOVERED), ids=str)
def test_recovered_hive_equals_windows_recovery(recovered):
    dirty = next(path for path in recovered.parent.iterdir() if path.suffix == "" and path != recovered)
    hive = read_hive(dirty.read_bytes(), logs=[path.read_bytes() for path in sorted(recovered.parent.glob("*.LOG*"))])
    assert hive.recovered
    assert not hive.dirty
    assert hive_content(hive.root) == hive_content(read_hive(recovered.read_bytes()).root)
