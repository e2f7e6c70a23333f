# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compose an OS layer's disk and layers into a thin image in the repository.

The work runs in a child process, because libntfs-3g runs inside it; a crash of the library becomes
an error. The base is never written: changes go to a copy-on-write device, and only the grains that
differ in the end are compressed.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from ...catalog.resolved_template import StaleFilePolicy
from ...common.arrays import U32, Mask
from ...common.errors import Conflict, Corrupt, NotFound
from ...common.optional_imports import np
from ...common.progress import Progress, silent
from ...disk.encode import encode_grains
from ...disk.grains import GRAIN_SHIFT, GrainIndex
from ...disk.overlay import CopyOnWriteDevice
from ...layers.file_index import Record
from ...ntfs.volume import Volume
from ...ntfs.volume_process import run_on_volume
from ...repository.blobs import Descriptor
from ...repository.repository import Repository
from ...windows.partition import windows_partition, windows_window
from ...winregistry.hive_model import Hive
from ...winregistry.hive_names import HIVES
from ..stack.layer_stack import StackedLayer, archive_openers, find_stale_in_stack, merge_stack, read_indexes
from ..stack.stack_merge import MergedTree
from ..stack.stale_files import select_skipped
from ..stored import thin_image
from ..stored.compose_config import ComposeConfig, ComposeStatistics, RegistrySummary
from ..stored.grain_map import GrainMap, zero_digests
from ..stored.lineage_marker import write_marker
from ..stored.os_disk import OsDisk, disk_size, stored_descriptor
from ..stored.thin_image import ThinImage
from .apply import Applier
from .boot_drivers import volume_controllers
from .compose_modes import ComposeMode, FullCompose, GrowCompose, IncrementalCompose, StackState
from .file_writer import Applied
from .free_grains import free_grains
from .image_hives import MergedRegistry, RegistryChanges, apply_registry, read_stacked_deltas
from .incremental import FullComposeNeeded
from .startup_check import changes_drivers, check_files
from .stored_check import check_stored_image

#: Seconds to wait for another run that composes the same image.
_LOCK_TIMEOUT = 3600


@dataclass(frozen=True)
class Composition:
    """An image to be composed.

    ``partition`` is the number of the Windows partition, ``disk_size`` the size of the image in bytes or
    None for the size of the base. ``config`` is stored with the image, completed with the results. The
    volume of the image descends from that of ``ancestor``, an image of the lowest layers, if it is set:
    only the layers above are applied to it. ``boot_controllers`` are the disk controllers from which the
    base can start, None if they are not known.
    """

    base: OsDisk
    partition: int
    layers: tuple[StackedLayer, ...]
    disk_size: int | None
    config: ComposeConfig
    ancestor: ThinImage | None = None
    boot_controllers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ComposeResult:
    """The outcome of applying a stack to a device.

    ``free`` (a bool per grain of the disk) is true for grains that hold only free space; ``skipped`` are
    the (layer, position) pairs of entries that were left out. ``boot_controllers`` are as in ComposeConfig.
    """

    applied: Applied
    registry: RegistrySummary
    skipped: frozenset[tuple[int, int]]
    free: Mask
    boot_controllers: tuple[str, ...] | None


def compose(repository: Repository, composition: Composition, *, progress: Progress = silent) -> ThinImage:
    """Return the thin image of a composition; compose it if the repository does not contain it.

    If an image of the same OS layer shares layers with it, composing starts from that image where
    possible. Other processes never see a partial image.

    Raises:
        Conflict images.layer_*, images.outdated_files: layers contradict each other or the OS layer.
        Conflict images.unbootable: layers remove or replace what Windows needs to start.
        Conflict images.removed: another process removed the image after it was composed.
        Corrupt: the base, a layer or a hive is damaged.
        InvalidInput images.disk_size: the disk of the image would be smaller than that of the OS layer.
        NoSpace: the volume of the image or the disk of the repository is full.
    """
    digest = composition.config.content_digest
    with (
        repository.locks.hold(f"compose/{digest}", timeout=_LOCK_TIMEOUT, purpose="compose an image"),
        repository.pin(purpose="compose an image") as pin,
    ):
        image = thin_image.load(repository, digest)
        # Here, because the child process and an upload to vSphere must not wait for a registry of record.
        repository.layout.obtain([composition.base.vmdk], progress)
        if image is not None:
            if not image.config.startup_checked:
                # An earlier version of the collection composed it.
                run_on_volume(
                    check_stored_image,
                    repository,
                    image,
                    composition.layers,
                    composition.partition,
                    subject="the image's disk",
                )
            return image
        older = composition.ancestor or find_start_image(repository, composition)
        if older is not None:
            pin.add([older.manifest.digest])
        stacked = (blob for layer in composition.layers for blob in (layer.index, layer.archive))
        repository.layout.obtain([blob for blob in stacked if isinstance(blob, Descriptor)], progress)
        run_on_volume(_compose, repository, composition, older, subject="the image's disk", progress=progress)
        image = thin_image.load(repository, digest)
    if image is None:
        raise Conflict(
            f"The thin image {digest[:19]} was removed by another process after it was composed.",
            code="images.removed",
            hint="Run again, and do not run strata.layering.repository with state collected at the same time.",
        )
    return image


def find_start_image(repository: Repository, composition: Composition) -> ThinImage | None:
    """Return the thin image of the same OS layer and size that shares most layers with a composition, or None."""
    digests = {layer.digest for layer in composition.layers}
    best, most = None, 0
    for content_digest in thin_image.stored(repository):
        try:
            config = thin_image.read_config(repository, content_digest)
            shared = len(digests & {layer.digest for layer in config.layers})
            is_same_disk = (config.os_layer.digest, config.disk_size_gb) == (
                composition.base.digest,
                composition.config.disk_size_gb,
            )
            # A grown image can contain files that merging its layers would not give, and an image of an earlier version of
            # the collection journals of replaced files.
            is_merged = config.ancestor is None and config.journals_removed
            if not is_same_disk or shared <= most or not is_merged or config.statistics.dropped:
                continue
            image = thin_image.load(repository, content_digest)
        except (Corrupt, NotFound):
            continue  # A damaged image is not a start; verifying the repository reports it.
        if image is not None and len(image.blobs) < thin_image.MAX_GRAIN_BLOBS:
            best, most = image, shared
    return best


def _compose(
    repository: Repository, composition: Composition, older: ThinImage | None, *, progress: Progress = silent
) -> None:
    records = read_indexes(repository, composition.layers)
    if composition.ancestor is not None:
        run(GrowCompose(composition.ancestor), repository, composition, records, progress)
        return
    if older is not None:
        try:
            run(IncrementalCompose(older), repository, composition, records, progress)
            return
        except (FullComposeNeeded, Conflict, Corrupt, NotFound):
            pass  # Defects of the older image, and layers of it that were deleted, do not concern the new image.
    run(FullCompose(), repository, composition, records, progress)


def run(
    mode: ComposeMode,
    repository: Repository,
    composition: Composition,
    records: list[list[Record]],
    progress: Progress,
) -> None:
    """Compose in one mode and store the image; ``records`` are the file indexes of the layers.

    1. Put a copy-on-write device on the disk that the mode chooses, and grow its partition if needed.
    2. Merge the file indexes into a tree: a path has one final state, whichever layers have it.
    3. Let the mode derive the tree to apply, and apply it: each archive is read once, in order.
    4. Merge the registry deltas of all layers into the hives of the OS layer.
    5. Check that Windows can start from the image.
    6. Compress and store the grains that were written, without those that hold only free space.
    """
    with ExitStack() as stack:
        base = stack.enter_context(composition.base.open(repository))
        size = disk_size(composition.disk_size, base.size, composition.config.os_layer.label)
        below = mode.open_below(base)
        if below is not base:
            stack.enter_context(below)
        scratch = os.path.join(repository.path, "tmp")
        device = stack.enter_context(CopyOnWriteDevice(below, scratch, size=size))
        window = windows_partition(device, composition.partition, size > below.size)
        with Volume.mount(window, writable=True) as volume:
            original = stack.enter_context(Volume.mount(windows_window(base, composition.partition)))
            skipped = _skipped_entries(repository, composition, records, original, stack)
            merged = merge_stack(composition.layers, records, volume.upcase, skipped)
            state = StackState(repository, composition.layers, records, merged, volume, original)
            tree = mode.tree_to_apply(state)
            archives = archive_openers(repository, composition.layers[mode.first_layer :], stack, ahead=True)
            applied = Applier(volume, tree).run(archives, progress)
            mode.check_applied(applied)
            registry = _merge_registry(composition.config, mode, state, stack)
            check_files(volume, original, merged, registry.system)
            controllers = _boot_controllers(composition, volume, merged, registry.system)
            bitmap, cluster_size, clusters = volume.allocated_clusters(), volume.cluster_size, volume.cluster_count
        if mode.writes_marker:
            write_marker(device, composition.config.content_digest, composition.base.digest)
        free = free_grains(bitmap, cluster_size, clusters, window.offset, size)
        result = ComposeResult(applied, registry.summary, skipped, free, controllers)
        _store(repository, composition, mode, device, result, progress)


def _skipped_entries(
    repository: Repository,
    composition: Composition,
    records: Sequence[Sequence[Record]],
    original: Volume,
    stack: ExitStack,
) -> frozenset[tuple[int, int]]:
    """Return the entries that the policy for outdated files leaves out."""
    policy = StaleFilePolicy(composition.config.outdated_files or StaleFilePolicy.LAYER)
    if policy is StaleFilePolicy.LAYER:
        return frozenset()
    layers = composition.layers
    stale = find_stale_in_stack(repository, layers, records, composition.base.digest, original, stack)
    openers = archive_openers(repository, layers, stack)
    return select_skipped(policy, stale, [layer.label for layer in layers], openers, original)


def _boot_controllers(
    composition: Composition, volume: Volume, merged: MergedTree, system: Hive | None
) -> tuple[str, ...] | None:
    """Return the disk controllers from which the composed ``volume`` can start.

    They are those of the OS layer unless layers change the hive SYSTEM (``system`` is the merged hive) or driver files.
    """
    is_changed = system is not None or changes_drivers(merged) or merged.changes(HIVES["SYSTEM"].path)
    if not is_changed and composition.boot_controllers is not None:
        return composition.boot_controllers
    return volume_controllers(volume, system)


def _merge_registry(config: ComposeConfig, mode: ComposeMode, state: StackState, stack: ExitStack) -> MergedRegistry:
    openers = archive_openers(state.repository, state.layers, stack, hives=True)
    changes = RegistryChanges(
        read_stacked_deltas([layer.label for layer in state.layers], openers),
        merged=mode.older.config.registry.hives if mode.older is not None else {},
        built_on={layer.label: layer.built_on for layer in state.layers},
        extra_rules=config.registry_lists or (),
    )
    return apply_registry(state.volume, state.original, state.tree, changes)


def _store(
    repository: Repository,
    composition: Composition,
    mode: ComposeMode,
    device: CopyOnWriteDevice,
    result: ComposeResult,
    progress: Progress,
) -> None:
    """Compress the grains that differ from the disk below, and store the thin image."""
    older = mode.older
    index = composition.base.load_index(repository)
    older_map = older.map if older is not None else GrainMap.empty(device.size, index.algorithm)
    blobs = older.blobs if older is not None else ()
    changed = device.changed_grains()
    with repository.layout.blob_writer(thin_image.GRAINS_TYPE) as blob:
        written = encode_grains(device, changed[~result.free[changed]], blob.write, index.algorithm, progress=progress)
    # Grains of zeros, and grains that hold only free space now, hide the grains below.
    below, hidden = np.zeros_like(result.free), result.free.copy()
    below[index.numbers] = below[older_map.numbers] = hidden[changed] = True
    hidden[written.numbers] = False
    removed = np.flatnonzero(below & hidden).astype(np.uint32)
    mapping = _grain_map(device.size, len(blobs), written, removed).over(older_map)
    applied = result.applied
    statistics = ComposeStatistics(
        files=applied.files,
        links=applied.links,
        directories=applied.directories,
        removed=applied.removed,
        bytes=applied.bytes,
        dropped=tuple(applied.dropped),
        grains=len(written),
        plain_bytes=len(written) << GRAIN_SHIFT,
        compressed_bytes=int(written.sizes.sum()),
        incremental=older is not None,
    )
    config = dataclasses.replace(
        composition.config,
        statistics=statistics,
        registry=result.registry,
        skipped=tuple(sorted(result.skipped)),
        startup_checked=True,
        journals_removed=True,
        boot_controllers=result.boot_controllers,
    )
    thin_image.save(repository, composition.base, mapping, [*blobs, stored_descriptor(blob)], config)


def _grain_map(capacity: int, blob: int, written: GrainIndex, removed: U32) -> GrainMap:
    """Return the map of the grains ``written`` to the blob number ``blob``, and of the grains that become zeros."""
    numbers = np.concatenate((written.numbers, removed))
    order = np.argsort(numbers, kind="stable")
    zeros = np.zeros(len(removed), dtype=np.uint32)
    blobs = np.where(np.arange(len(numbers)) < len(written), blob, 0)
    return GrainMap(
        capacity,
        blob + 1,
        numbers[order],
        blobs[order],
        np.concatenate((written.sectors, zeros))[order],
        np.concatenate((written.sizes, zeros))[order],
        np.concatenate((written.digests, zero_digests(len(removed), written.algorithm)))[order],
        written.algorithm,
    )
