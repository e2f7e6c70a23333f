# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streaming planned VMDKs."""

from __future__ import annotations

import io
import random

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Corrupt, InternalError
from ansible_collections.strata.layering.plugins.module_utils.disk.encode import encode, encode_grains
from ansible_collections.strata.layering.plugins.module_utils.disk.grains import BLAKE3, GrainIndex
from ansible_collections.strata.layering.plugins.module_utils.disk.overlay import CopyOnWriteDevice
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_layout import pack_grain, place_grains
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_reader import StreamOptimizedDisk
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_stream import (
    CHUNK,
    GrainSource,
    StreamPlan,
)
from ansible_collections.strata.layering.plugins.module_utils.disk.vmdk_writer import StreamOptimizedWriter

GRAIN = 65536
CAPACITY = 1600 * GRAIN


def plan_of(numbers, sources, positions, sizes):
    return StreamPlan(
        CAPACITY,
        numpy.array(numbers, dtype=numpy.uint32),
        numpy.array(sources, dtype=numpy.uint8),
        numpy.array(positions, dtype=numpy.int64),
        numpy.array(sizes, dtype=numpy.uint32),
    )


def overlay_plan(capacity, base, dirty, changes):
    """Return the plan and the index of a disk that is ``base`` except in the ``dirty`` grains, which are those of ``changes``.

    Source 0 is the base's file, source 1 that of the changes.
    """
    unchanged = ~numpy.isin(base.numbers, dirty)
    numbers = numpy.concatenate((base.numbers[unchanged], changes.numbers))
    order = numpy.argsort(numbers)
    sources = numpy.zeros(len(numbers), dtype=numpy.uint8)
    sources[int(numpy.count_nonzero(unchanged)) :] = 1
    sectors = numpy.concatenate((base.sectors[unchanged], changes.sectors))[order]
    sizes = numpy.concatenate((base.sizes[unchanged], changes.sizes))[order]
    digests = numpy.concatenate((base.digests[unchanged], changes.digests))[order]
    numbers = numbers[order]
    plan = StreamPlan(capacity, numbers, sources[order], sectors.astype(numpy.uint64) * 512, sizes)
    return plan, GrainIndex(
        capacity, numbers, place_grains(capacity, numbers, sizes)[0], sizes, digests, base.algorithm
    )


def collect(chunks):
    out = bytearray()
    for chunk in chunks:
        assert 0 < len(chunk) <= CHUNK
        out += chunk
    return bytes(out)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.dictionaries(
        st.integers(0, 1599),
        st.tuples(st.integers(0, 2), st.sampled_from([1, 499, 500, 501, 20000, 70000, 131072])),
        max_size=60,
    ),
    seed=st.integers(0, 1000),
)
def test_stream_has_the_same_bytes_as_the_writer(tmp_path_factory, rows, seed):
    folder = tmp_path_factory.mktemp("stream")
    rng = random.Random(seed)
    files = [bytearray(512 * index) for index in range(3)]
    numbers = sorted(rows)
    sources, positions, sizes = [], [], []
    out = io.BytesIO()
    writer = StreamOptimizedWriter(out, CAPACITY)
    for number in numbers:
        source, size = rows[number]
        data = rng.randbytes(size)
        if rng.random() < 0.2:
            files[source] += b"gap".ljust(512)
        sources.append(source)
        positions.append(len(files[source]))
        sizes.append(size)
        files[source] += pack_grain(number, data)
        writer.add(number, data)
    writer.finish()
    opened = []
    for index, content in enumerate(files):
        (folder / str(index)).write_bytes(content)
        opened.append(GrainSource(folder / str(index)))
    plan = plan_of(numbers, sources, positions, sizes)
    result = collect(plan.stream(opened))
    for file in opened:
        file.close()
    assert result == out.getvalue()
    assert len(result) == plan.length


@pytest.fixture(name="thin")
def _thin(tmp_path, grain_of, vmdk_of):
    """A base VMDK with its index, a changed disk on top of it, and the changed grains with their index."""
    grains = {number: grain_of(number) for number in (0, 1, 2, 511, 512, 513, 700, 1599)}
    source = StreamOptimizedDisk(io.BytesIO(vmdk_of(CAPACITY, grains)))
    with open(tmp_path / "base.vmdk", "wb") as out:
        index = encode(source, out)
    device = CopyOnWriteDevice(StreamOptimizedDisk(tmp_path / "base.vmdk"), str(tmp_path), size=CAPACITY + 100 * GRAIN)
    device.pwrite(b"changed", 512 * GRAIN)
    device.pwrite(bytes(GRAIN), GRAIN)
    device.pwrite(b"new", 1650 * GRAIN)
    with open(tmp_path / "changes", "wb") as out:
        changes = encode_grains(device, device.dirty_grains(), out, index.algorithm)
    yield tmp_path, index, device, changes
    device.base.close()
    device.close()


def test_stream_of_base_and_changes_equals_the_encoded_disk(thin, qemu_img):
    folder, index, device, changes = thin
    plan, new_index = overlay_plan(device.size, index, device.dirty_grains(), changes)
    with GrainSource(folder / "base.vmdk") as base, GrainSource(folder / "changes") as changed:
        data = collect(plan.stream([base, changed]))
    assert len(data) == plan.length
    whole = io.BytesIO()
    assert encode(device, whole).to_bytes() == new_index.to_bytes()
    assert whole.getvalue() == data
    (folder / "thin.vmdk").write_bytes(data)
    qemu_img("convert", "-O", "raw", folder / "thin.vmdk", folder / "thin.raw")
    assert (folder / "thin.raw").read_bytes() == device.pread(device.size, 0)


@pytest.mark.parametrize("damage", ["cut", "marker", "other"])
def test_damaged_source_is_reported(thin, damage):
    folder, index, device, changes = thin
    plan, _new = overlay_plan(device.size, index, device.dirty_grains(), changes)
    data = bytearray((folder / "base.vmdk").read_bytes())
    if damage == "cut":
        del data[128 * 512 + 1000 :]
    elif damage == "marker":
        data[int(index.sectors[-1]) * 512 + 8] ^= 1
    else:
        data = bytearray(len(data))
    (folder / "base.vmdk").write_bytes(data)
    with GrainSource(folder / "base.vmdk") as base, GrainSource(folder / "changes") as changed:
        with pytest.raises(Corrupt) as caught:
            collect(plan.stream([base, changed]))
    assert caught.value.code == "disk.vmdk_stream"
    assert "base.vmdk" in caught.value.message


@pytest.mark.parametrize(
    "sources, positions", [([0, 1], [0, 512]), ([0, 0], [0, 511]), ([0, 0], [0]), ([0], [0, 512]), ([0, 0], [0, -512])]
)
def test_impossible_plan_is_an_internal_error_before_the_first_byte(tmp_path, sources, positions):
    (tmp_path / "file").write_bytes(bytes(1024))
    with GrainSource(tmp_path / "file") as file, pytest.raises(InternalError) as caught:
        plan_of([0, 1], sources, positions, [10, 10]).stream([file])
    assert caught.value.code == "disk.vmdk_plan"


def test_plan_without_grains_gives_an_empty_disk(vmdk_of):
    nothing = GrainIndex(CAPACITY, [], [], [], [], BLAKE3)
    plan, index = overlay_plan(CAPACITY, nothing, numpy.zeros(0), nothing)
    assert collect(plan.stream([])) == vmdk_of(CAPACITY, {})
    assert len(index) == 0
