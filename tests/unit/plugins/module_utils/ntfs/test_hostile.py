# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged and hostile volumes: readers raise only StrataErrors, and the library crashes only a child process."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.child_process import run_in_child
from ansible_collections.strata.layering.plugins.module_utils.common.errors import InternalError, StrataError
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs import attribute_records, volume_state
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support import ntfs_check
from ansible_collections.strata.layering.tests.support.expectations import only_our_errors
from ansible_collections.strata.layering.tests.support.ntfs_images import touch_everything


@pytest.fixture(scope="module")
def filled(blank, tmp_path_factory, descriptor):
    """The bytes of a small volume with all kinds of metadata, and the ranges (start, length) of its metadata."""
    path = blank(tmp_path_factory.mktemp("filled") / "image", 8)
    with FileDevice(str(path), writable=True) as device:
        with Volume.mount(device, writable=True) as volume, volume.root as root:
            for number in range(12):
                with root.create_directory(
                    f"directory {number}", short_name=f"DIR~{number}", security=descriptor(number)
                ) as folder:
                    for inner in range(6):
                        with folder.create_file(f"file {inner} of directory {number}", b"q" * inner * 300) as node:
                            node.write(b"s" * 2000, 0, "stream")
                            if inner == 1:
                                node.set_reparse(b"\x1a\x70\x00\x90\x04\0\0\0data")
                            if inner == 2:
                                node.set_object_id(bytes([number]) * 16)
        with Volume.mount(device) as volume:
            bitmap = volume.allocated_clusters()
        table = ntfs_check.RecordTable(device)
        areas = [(first * 4096, length * 4096) for length, first in table.raw.mft_runs]
        for record in table.records():
            for attribute in record.attributes:
                is_index = attribute.type == attribute_records.INDEX_ALLOCATION
                if attribute.value is None and (is_index or record.number == 9):
                    areas += [
                        (first * 4096, length * 4096)
                        for length, first in attribute_records.decode_runs(attribute.runs, "")
                        if first is not None
                    ]
    assert bitmap.any()
    return path.read_bytes(), areas


DAMAGE = st.lists(
    st.tuples(st.integers(0, 1 << 30), st.integers(0, 1 << 30), st.binary(min_size=1, max_size=6)),
    min_size=1,
    max_size=30,
)


def damaged_copy(filled, folder, patches):
    data, areas = filled
    data = bytearray(data)
    for area, offset, patch in patches:
        start, length = areas[area % len(areas)]
        # Damage at the end of a sector would only break the fixups, and the library would not read the record.
        where = start + offset % length
        where -= max(where % 512 + len(patch) - 510, 0)
        data[where : where + len(patch)] = patch
    path = folder / "image"
    path.write_bytes(data)
    return str(path)


@settings(max_examples=120, deadline=None)
@given(DAMAGE)
def test_damaged_volume_raises_only_our_errors(tmp_path_factory, filled, patches):
    path = damaged_copy(filled, tmp_path_factory.mktemp("damaged"), patches)
    with FileDevice(path) as device:
        for reader in (volume_state.read_state, ntfs_check.check):
            with only_our_errors():
                reader(device)


@pytest.mark.parametrize("writable", [False, True])
@settings(max_examples=60, deadline=None)
@given(patches=DAMAGE)
def test_damaged_volume_crashes_only_the_child(tmp_path_factory, filled, writable, patches):
    path = damaged_copy(filled, tmp_path_factory.mktemp("damaged"), patches)
    try:
        run_in_child(touch_everything, path, writable, timeout=30)
    except StrataError as error:
        assert not isinstance(error, InternalError), error.details


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 511), st.binary(min_size=1, max_size=8))
def test_damaged_boot_sector_raises_only_our_errors(tmp_path_factory, filled, offset, patch):
    data = bytearray(filled[0])
    data[offset : offset + len(patch)] = patch
    path = tmp_path_factory.mktemp("boot") / "image"
    path.write_bytes(data)
    with FileDevice(str(path)) as device:
        with only_our_errors():
            volume_state.read_state(device)
    path.unlink()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64))
def test_random_packed_runs_are_decoded_or_raise_our_errors(packed):
    with only_our_errors():
        runs = attribute_records.decode_runs(packed, "")
        assert attribute_records.decode_runs(attribute_records.encode_runs(runs), "") == runs


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 1 << 40), st.one_of(st.none(), st.integers(0, 1 << 40)))))
def test_encoded_runs_are_decoded_to_the_same_runs(runs):
    assert attribute_records.decode_runs(attribute_records.encode_runs(runs), "") == runs
