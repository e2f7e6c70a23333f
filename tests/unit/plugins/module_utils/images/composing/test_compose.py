# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Composing in a repository: chains of images, the amount of compressed data, and failures."""

from __future__ import annotations

import dataclasses
import errno
import os
import resource
import signal

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.catalog import layer_store
from ansible_collections.strata.layering.plugins.module_utils.common.errors import (
    Conflict,
    Corrupt,
    InvalidInput,
    NoSpace,
)
from ansible_collections.strata.layering.plugins.module_utils.images.composing import compose as composing
from ansible_collections.strata.layering.plugins.module_utils.images.stored import thin_image
from ansible_collections.strata.layering.plugins.module_utils.layers.entry import Entry
from ansible_collections.strata.layering.plugins.module_utils.repository.garbage_collection import collect
from ansible_collections.strata.layering.plugins.module_utils.repository.verification import verify
from ansible_collections.strata.layering.tests.support import stored_layers
from ansible_collections.strata.layering.tests.support.layer_stacks import content, layers
from ansible_collections.strata.layering.tests.support.ntfs_tree import read_tree
from ansible_collections.strata.layering.tests.support.tree_model import Item, Refused, expect


def files(path, count=1, size=20_000, seed=0):
    """Return a layer of a folder with files."""
    items = [Item(Entry(path, "directory", 0x10, 1, 2, 3, 4, implied=True))]
    for number in range(count):
        data = content(2 * (seed + number), size)
        items.append(Item(Entry(f"{path}/file {number}", "file", 0x20, 5, 6, 7, 8, size=size), data))
    return items


def leftovers(repository):
    """Return the temporary files of a repository; blobs without a reference do not count."""
    return [name for name in os.listdir(os.path.join(repository.path, "tmp")) if name.startswith(".strata-tmp-")]


def tree_of(small, image):
    with image.open_disk() as disk:
        return read_tree(
            disk,
            small.offset,
            image.capacity - small.offset - (1 << 20) if image.capacity > small.capacity else small.size,
        )


def check(small, image, stack):
    """Check that the image contains the expected tree."""
    lines = expect(small.tree, stack, small.fold).differences(tree_of(small, image))
    assert not lines, "\n".join(lines)


def test_same_stack_is_composed_once(small):
    stack = [files("a", 30)]
    first = small.compose(stack)
    check(small, first, stack)
    assert small.compose(stack).manifest == first.manifest
    assert verify(small.repository) == []


def test_changed_layer_adds_grains_of_its_size(small):
    large = [files(f"large {number}", 100, seed=number) for number in range(3)]
    small.compose([*large, files("app", 10, seed=50)])
    image = small.compose([*large, files("app", 10, seed=60)])
    check(small, image, [*large, files("app", 10, seed=60)])
    statistics = image.config.statistics
    assert statistics.incremental
    assert statistics.files == 10
    # 200 kB of files, the grains at both ends, $MFT, $Bitmap, indexes.
    assert statistics.plain_bytes < 10 * 20_000 + 14 * 65536


def test_unchanged_stack_compresses_no_grains(small):
    stack = [files("a", 5), files("b", 5, seed=9)]
    small.compose(stack)
    image = small.compose([stack[0], [*stack[1]], []])
    assert image.config.statistics.incremental
    assert image.config.statistics.files == 0
    assert image.config.statistics.grains <= 2
    check(small, image, stack)


def test_image_of_an_earlier_release_is_not_the_base_of_an_image(small, monkeypatch):
    """It may have journals of files that its layers replaced."""
    small.start_over()
    saved = thin_image.save

    def save(repository, base, mapping, blobs, config):
        return saved(repository, base, mapping, blobs, dataclasses.replace(config, journals_removed=False))

    stack = [files(f"folder {number}", 5, seed=10 * number) for number in range(3)]
    with monkeypatch.context() as patched:
        patched.setattr(thin_image, "save", save)
        small.compose(stack[:1])
    image = small.compose(stack[:2])
    assert not image.config.statistics.incremental
    assert image.config.journals_removed
    assert small.compose(stack).config.statistics.incremental


def test_long_chain_of_images_restarts_from_base(small):
    made, kept = [], files("kept", 3)
    for number in range(thin_image.MAX_GRAIN_BLOBS + 2):
        stack = [kept, files("changing", 4 + number % 3, seed=100 * number)]
        image = small.compose(stack)
        made.append(len(image.blobs))
        if number in (1, 15, 17):
            check(small, image, stack)
    # The base is drawn on again only when no image with workspace for one more blob has the layer.
    assert made[:2] == [1, 2]
    assert max(made) <= thin_image.MAX_GRAIN_BLOBS


def test_damaged_older_image_is_ignored(small):
    shared = files("a", 3)
    first = small.compose([shared, files("b", 3, seed=7)])
    with open(small.repository.layout.blobs.path(first.blobs[0].digest), "r+b") as blob:
        blob.seek(5000)
        blob.write(b"damage")
    stack = [shared, files("c", 3, seed=8)]
    image = small.compose(stack)
    assert not image.config.statistics.incremental
    check(small, image, stack)


def test_older_image_with_collected_layers_is_ignored(small):
    shared = files("a", 3)
    small.compose([shared, files("b", 3, seed=7)])
    for layer in stored_layers.versions(small.repository, "app"):
        layer_store.remove_version(small.repository, "app", layer.name, layer.version)
    small.forget()
    collect(small.repository, grace=-60)
    stack = [shared, files("c", 3, seed=8)]
    image = small.compose(stack)
    assert not image.config.statistics.incremental
    check(small, image, stack)


@settings(
    max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(data=st.data())
def test_random_chain_of_images_equals_full_compose(small_once, data):
    small = small_once
    small.start_over()
    pool = [files("kept", 2), *(data.draw(layers()) for _number in range(4))]
    for step in range(3):
        stack = [pool[0], *data.draw(st.lists(st.sampled_from(pool[1:]), max_size=3, unique_by=id))]
        try:
            expected = expect(small.tree, stack, small.fold)
        except Refused as refused:
            with pytest.raises(Conflict) as caught:
                small.compose(stack)
            assert caught.value.code == refused.code
            continue
        image = small.compose(stack)
        event(f"step {step}: {'on an image' if image.config.statistics.incremental else 'on the base'}")
        lines = expected.differences(tree_of(small, image))
        assert not lines, "\n".join(lines)


def test_larger_disk_size_grows_file_system(small, tmp_path):
    stack = [files("a", 3)]
    image = small.compose(stack, disk_size=small.capacity + (64 << 20))
    assert image.capacity == small.capacity + (64 << 20)
    check(small, image, stack)
    small.judge(image, tmp_path, image.capacity)
    with pytest.raises(InvalidInput) as caught:
        small.compose(stack, disk_size=small.capacity - (64 << 20))
    assert caught.value.code == "images.disk_size"
    assert caught.value.hint


@pytest.mark.parametrize("role", ["vmdk", "index"])
def test_damaged_base_is_corrupt(small, role):
    blob = getattr(small.base, role)
    with open(small.repository.layout.blobs.path(blob.digest), "r+b") as stream:
        stream.seek(blob.size // 2)
        stream.write(bytes(64))
    with pytest.raises(Corrupt) as caught:
        small.compose([files("a", 3)])
    assert caught.value.hint
    assert thin_image.stored(small.repository) == []
    assert leftovers(small.repository) == []


@pytest.mark.parametrize("role", ["archive", "index"])
def test_damaged_layer_is_corrupt(small, role):
    stack = [files("a", 3)]
    layer = small.layer(stack[0])
    path = small.repository.layout.blobs.path(getattr(layer, role).digest)
    with open(path, "r+b") as stream:
        stream.seek(os.stat(path).st_size // 2)
        stream.write(b"?" * 16)
    with pytest.raises(Corrupt) as caught:
        small.compose(stack)
    assert caught.value.hint
    assert thin_image.stored(small.repository) == []
    assert leftovers(small.repository) == []


def test_killed_child_leaves_only_temporary_files(small, monkeypatch):
    stack = [files("a", 40, 300_000)]
    before = set(small.repository.layout.blobs.digests())
    store = composing._store

    def dies(*arguments):
        def kill(_step, _done, _total):
            os.kill(os.getpid(), signal.SIGKILL)

        store(*arguments[:-1], kill)

    small.layer(stack[0])
    before = set(small.repository.layout.blobs.digests())
    monkeypatch.setattr(composing, "_store", dies)
    with pytest.raises(Corrupt) as caught:
        small.compose(stack)
    assert caught.value.code == "common.child_crashed"
    assert thin_image.stored(small.repository) == []
    assert set(small.repository.layout.blobs.digests()) == before
    assert len(leftovers(small.repository)) <= 1
    monkeypatch.undo()
    check(small, small.compose(stack), stack)
    assert verify(small.repository) == []
    collect(small.repository, grace=-60)
    assert leftovers(small.repository) == []


def test_killed_parent_ends_its_child(small):
    stack = [files("a", 40, 300_000)]
    small.layer(stack[0])
    child = os.fork()
    if not child:
        small.compose(stack, progress=lambda *_arguments: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert thin_image.stored(small.repository) == []
    check(small, small.compose(stack), stack)


@pytest.mark.parametrize("after", [0, 1, 3])
def test_full_disk_leaves_no_files(small, monkeypatch, after):
    stack = [files("a", 10, 300_000)]
    small.layer(stack[0])
    before = set(small.repository.layout.blobs.digests())
    left = [after]
    pwrite = os.pwrite

    def full(*arguments):
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        return pwrite(*arguments)

    monkeypatch.setattr(composing, "CopyOnWriteDevice", _Tiny)
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(NoSpace) as caught:
        small.compose(stack)
    assert caught.value.hint
    assert set(small.repository.layout.blobs.digests()) == before
    assert thin_image.stored(small.repository) == []
    assert leftovers(small.repository) == []
    monkeypatch.undo()
    check(small, small.compose(stack), stack)


class _Tiny(composing.CopyOnWriteDevice):
    """Caches almost nothing in memory, so that its file is written immediately."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, cache_bytes=1 << 18, **options)


def test_file_size_limit_raises_no_space(small):
    stack = [files("a", 10, 300_000)]
    small.layer(stack[0])
    child = os.fork()
    if not child:
        status = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
            small.compose(stack)
        except (NoSpace, OSError):
            status = 7
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert thin_image.stored(small.repository) == []
    assert leftovers(small.repository) == []
    check(small, small.compose(stack), stack)


def test_memory_of_composing_is_bounded(small, monkeypatch):
    stack = [files("a", 20, 1_000_000)]
    small.layer(stack[0])
    run = composing.run

    def measured(*arguments):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = run(*arguments)
        with open(os.path.join(small.repository.path, "grown"), "w", encoding="ascii") as out:
            out.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
        return result

    monkeypatch.setattr(composing, "run", measured)
    small.compose(stack)
    with open(os.path.join(small.repository.path, "grown"), encoding="ascii") as stream:
        assert int(stream.read()) < 200 << 10
