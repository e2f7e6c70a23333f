# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Composing: an OS layer's disk with layers put on it becomes a thin image in the repository.

The work runs in a child process, because libntfs-3g runs inside it; a crash of the
library becomes an error here. The base is never written: changes go to a copy-on-write
device, and only the grains that differ in the end are compressed.
"""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import BinaryIO

from ..catalog import layer_store, scripts
from ..catalog.resolved_template import label
from ..common.errors import Conflict, Corrupt, InvalidInput, NotFound
from ..common.optional_imports import np
from ..common.progress import Progress, silent
from ..disk.encode import encode_grains
from ..disk.grains import GrainIndex
from ..disk.overlay import CopyOnWriteDevice
from ..layers.archive import ArchiveReader
from ..layers.entry import leads_elsewhere
from ..layers.file_index import Record, load_index
from ..layers.layer_version import ROLE_ARCHIVE, ROLE_INDEX, LayerReference
from ..ntfs.volume import Volume
from ..ntfs.volume_process import run_on_volume
from ..repository.blobs import Descriptor
from ..repository.repository import Repository
from ..windows.partition import windows_partition, windows_window
from . import thin_image
from .apply import Applier
from .free_grains import free_grains
from .grain_map import GrainMap, zero_digests
from .image_hives import apply_registry, read_stacked_deltas
from .incremental import FOLDER, OTHER, Stack, difference
from .lineage_marker import write_mark
from .os_disk import OsDisk
from .stack_merge import MergedTree, merge
from .stale_files import LAYER, Outdated, choose, find_outdated
from .thin_disk import ThinDisk
from .thin_image import ThinImage


@dataclass(frozen=True)
class StackedLayer:
    """One layer to be applied: how messages name it, its version's digest, its archive and its file index (blobs, or their bytes).

    ``knew`` are the labels of the layers that were on the machine in which it was made, ``made_for`` the digest of
    the OS layer version that it was made for.
    """

    label: str
    digest: str
    archive: Descriptor | bytes
    index: Descriptor | bytes
    knew: tuple[str, ...] = ()
    made_for: str | None = None


@dataclass(frozen=True)
class Composition:
    """What to compose. ``partition`` is the number of Windows' partition, ``disk_size`` the image's
    size in bytes or None for the base's; ``config`` is kept with the image and holds content_digest,
    os_layer, layers (as references), disk_size_gb and, where there is a plan of scripts, scripts. ``ancestor`` is the image, of the lowest of the layers,
    from which the volume has to descend: only what is above is put on it, whatever else there is."""

    base: OsDisk
    partition: int
    layers: tuple[StackedLayer, ...]
    disk_size: int | None
    config: dict
    ancestor: ThinImage | None = None


def compose(repository: Repository, composition: Composition, *, progress: Progress = silent) -> ThinImage:
    """Return the thin image of a composition, composing it unless it is in the repository already.

    An image of the same OS layer that shares layers with it is taken as a start where
    possible. Raises what applying raises, Corrupt for a damaged base, NoSpace when the image
    or the repository's disk is too small. Nothing that is half made can be seen afterwards.
    """
    digest = composition.config["content_digest"]
    with (
        repository.locks.hold(f"compose/{digest}", timeout=3600, purpose="compose an image"),
        repository.pin(purpose="compose an image") as pin,
    ):
        found = thin_image.load(repository, digest)
        if found is None:
            start = composition.ancestor or find_start(repository, composition)
            if start is not None:
                pin.add([start.manifest.digest])
            run_on_volume(_compose, repository, composition, start, subject="the image's disk", progress=progress)
            found = thin_image.load(repository, digest)
    return found


def find_start(repository: Repository, composition: Composition) -> ThinImage | None:
    """The thin image of the same OS layer and size that has the most layers in common with a composition, None without any."""
    wanted = {layer.digest for layer in composition.layers}
    best, most = None, 0
    for content_digest in thin_image.stored(repository):
        try:
            config = thin_image.read_config(repository, content_digest)
            same_disk = (config["os_layer"]["digest"], config["disk_size_gb"]) == (
                composition.base.digest,
                composition.config["disk_size_gb"],
            )
            common = len(wanted & {layer["digest"] for layer in config["layers"]})
            # An image that grew upon another may hold what merging its layers would not give.
            if same_disk and common > most and not config.get("ancestor"):
                image = thin_image.load(repository, content_digest)
                if len(image.blobs) < thin_image.MAX_GRAIN_BLOBS and not config["statistics"]["dropped"]:
                    best, most = image, common
        except (Corrupt, NotFound, KeyError, TypeError):
            continue  # A damaged image is no start; verifying the repository tells about it.
    return best


def read_stack(repository: Repository, layers: Sequence[StackedLayer]) -> list[list[Record]]:
    """The file indexes of a stack, lowest first."""
    records = []
    for layer in layers:
        with _open(repository, layer.index) as stream:
            records.append(load_index(stream, layer.label))
    return records


def _compose(
    repository: Repository, composition: Composition, start: ThinImage | None, *, progress: Progress = silent
) -> None:
    records = read_stack(repository, composition.layers)
    if composition.ancestor is None and start is not None:
        try:
            if _compose_on(repository, composition, records, start, progress):
                return
        except (Conflict, Corrupt, NotFound):
            pass  # What is wrong with the older image, or gone of its layers, does not concern the new one.
    _compose_on(repository, composition, records, composition.ancestor, progress)


def _compose_on(
    repository: Repository,
    composition: Composition,
    records: list[list[Record]],
    start: ThinImage | None,
    progress: Progress,
) -> bool:
    """Compose on the base, or on the image ``start``; False when that one cannot lead to the new image."""
    scratch = os.path.join(repository.path, "tmp")
    base_index = composition.base.load_index(repository)
    with ExitStack() as stack:
        base = stack.enter_context(composition.base.open(repository))
        size = composition.disk_size or base.size
        if size < base.size:
            raise InvalidInput(
                f"The image's disk cannot have {size >> 30} GiB, because the OS layer's has {base.size / (1 << 30):g} GiB.",
                code="images.disk_size",
                hint="Raise disk_size_gb of the template or leave it out.",
            )
        below = stack.enter_context(start.open_disk()) if start else base
        device = stack.enter_context(CopyOnWriteDevice(below, scratch, size=size))
        window = windows_partition(device, composition.partition, size > below.size)
        with Volume.mount(window, writable=True) as volume:
            original = stack.enter_context(_mount_original(base, composition.partition))
            skip = _skipped(repository, composition, records, original, stack)
            tree = _merge(composition.layers, records, volume, skip)
            whole, below_count = tree, 0
            if composition.ancestor is not None:
                below_count = len(composition.ancestor.config["layers"])
                tree = _merge(composition.layers[below_count:], records[below_count:], volume)
            elif start is not None:
                tree = _difference(repository, start, volume, original, tree, records)
                if tree is None:
                    return False
            archives = [
                lambda layer=layer: open_archive(repository, layer, stack, ahead=True)
                for layer in composition.layers[below_count:]
            ]
            applied = Applier(volume, tree).run(archives, progress)
            if start is not None and composition.ancestor is None and applied.dropped:
                return False  # Which file gives way depends on the order of writing: the base decides.
            deltas = read_stacked_deltas(
                [
                    (layer.label, lambda layer=layer: open_archive(repository, layer, stack, hives=True))
                    for layer in composition.layers
                ]
            )
            before = start.config.get("registry", {}).get("hives", {}) if start else {}
            knew = {layer.label: layer.knew for layer in composition.layers}
            registry = apply_registry(
                volume, original, whole, deltas, before, knew, composition.config.get("registry_lists", ())
            )
            bitmap, cluster_size, cluster_count = volume.allocated_clusters(), volume.cluster_size, volume.cluster_count
        if composition.ancestor is None:
            write_mark(device, composition.config["content_digest"], composition.base.digest)
        free = free_grains(bitmap, cluster_size, cluster_count, window.offset, size)
        _store_changes(
            repository,
            composition,
            device,
            base_index,
            start,
            free,
            asdict(applied),
            asdict(registry),
            sorted(skip),
            progress,
        )
    return True


def _merge(
    layers: Sequence[StackedLayer], records: list[list[Record]], volume: Volume, skip: Collection[tuple[int, int]] = ()
) -> MergedTree:
    return merge(
        [(layer.label, [record.entry for record in found]) for layer, found in zip(layers, records)],
        volume.upcase,
        skip,
    )


def _skipped(
    repository: Repository, composition: Composition, records: list[list[Record]], original: Volume, stack: ExitStack
) -> set[tuple[int, int]]:
    """The entries that the composition's policy for outdated files keeps out."""
    policy = composition.config.get("outdated_files", LAYER)
    if policy == LAYER:
        return set()
    outdated = outdated_files(repository, composition.layers, records, composition.base.digest, original, stack)
    openers = [lambda layer=layer: open_archive(repository, layer, stack) for layer in composition.layers]
    return choose(policy, outdated, [layer.label for layer in composition.layers], openers, original)


def outdated_files(
    repository: Repository,
    layers: Sequence[StackedLayer],
    records: list[list[Record]],
    os_digest: str,
    now: Volume,
    stack: ExitStack,
) -> list[Outdated]:
    """What layers bring although the OS layer ``os_digest``, whose volume is ``now``, has changed it since they were made."""
    found: list[Outdated] = []
    volumes: dict[str, Volume] = {}
    for number, (layer, layer_records) in enumerate(zip(layers, records)):
        if layer.made_for in (None, os_digest):
            continue
        if layer.made_for not in volumes:
            disk = stack.enter_context(OsDisk.of(repository, layer.made_for).open(repository))
            partition = layer_store.load_version(repository, layer.made_for).facts["disk"]["partition"]
            volumes[layer.made_for] = stack.enter_context(Volume.mount(windows_window(disk, partition)))
        found += find_outdated(number, layer_records, volumes[layer.made_for], now)
    return found


def _mount_original(base: ThinDisk, partition: int) -> Volume:
    """The OS layer's own volume, for reading."""
    return Volume.mount(windows_window(base, partition))


def _difference(
    repository: Repository,
    start: ThinImage,
    volume: Volume,
    original: Volume,
    tree: MergedTree,
    records: list[list[Record]],
) -> MergedTree | None:
    """What turns the image ``start`` into the composition."""
    old_layers = [stacked_layer(repository, LayerReference.from_dict(layer)) for layer in start.config["layers"]]
    if "scripts" in start.config:
        placed = [scripts.PlacedScript.from_dict(script) for script in start.config["scripts"]]
        old_layers.append(placing_layer(start.content_digest, placed, b""))
    old_records = read_stack(repository, old_layers)
    skipped = set(map(tuple, start.config.get("skipped", ())))
    old = Stack(_merge(old_layers, old_records, volume, skipped), old_records)
    return difference(old, Stack(tree, records), lambda path: _kind(original, path))


def _kind(volume: Volume, path: str) -> str | None:
    """What the OS layer has at a path, in the words of ``difference``."""
    node = volume.find(path)
    if node is None:
        return None
    with node:
        return FOLDER if node.is_directory and not leads_elsewhere(node.reparse) else OTHER


def stacked_layer(repository: Repository, reference: LayerReference) -> StackedLayer:
    """A layer version as composing needs it."""
    layer = layer_store.load_version(repository, reference.digest)
    archive, index = layer_store.role_blob(layer, ROLE_ARCHIVE), layer_store.role_blob(layer, ROLE_INDEX)
    knew = tuple(label(one) for one in layer.prerequisites)
    return StackedLayer(
        label(reference),
        reference.digest,
        Descriptor(*archive),
        Descriptor(*index),
        knew,
        layer.os_layer.digest if layer.os_layer else None,
    )


def placing_layer(content_digest: str, placed: Sequence[scripts.PlacedScript], archive: bytes) -> StackedLayer:
    """What places the scripts of the image ``content_digest``, as the topmost layer; ``archive`` may be empty where it is only compared."""
    index = scripts.pack_index(content_digest, placed)
    return StackedLayer("the image's scripts", content_digest, archive, index)


def open_archive(
    repository: Repository, layer: StackedLayer, stack: ExitStack, *, hives: bool = False, ahead: bool = False
) -> ArchiveReader:
    """Open the archive of a layer, with its registry deltas on demand; it is closed with ``stack``. ``ahead`` unpacks in a thread."""
    reader = ArchiveReader(stack.enter_context(_open(repository, layer.archive)), layer.label, hives=hives, ahead=ahead)
    stack.callback(reader.close)
    return reader


def _open(repository: Repository, blob: Descriptor | bytes) -> BinaryIO:
    return io.BytesIO(blob) if isinstance(blob, bytes) else repository.layout.open_blob(blob)


def _store_changes(
    repository: Repository,
    composition: Composition,
    device: CopyOnWriteDevice,
    base_index: GrainIndex,
    start: ThinImage | None,
    free,
    applied: dict,
    registry: dict,
    skipped: list[tuple[int, int]],
    progress: Progress,
) -> None:
    """Compress what differs from the base, or from the image ``start``, and store the thin image."""
    older = start.map if start else GrainMap.empty(device.size)
    blobs = start.blobs if start else ()
    changed = device.changed_grains()
    with repository.layout.blob_writer(thin_image.GRAINS_TYPE) as blob:
        written = encode_grains(device, changed[~free[changed]], blob, progress=progress)
    # Grains of zeros, and those in which nothing is used any more, hide what stands below.
    below, hidden = np.zeros_like(free), free.copy()
    below[base_index.numbers] = below[older.numbers] = hidden[changed] = True
    hidden[written.numbers] = False
    gone = np.flatnonzero(below & hidden).astype(np.uint32)
    numbers = np.concatenate((written.numbers, gone))
    order = np.argsort(numbers, kind="stable")
    none = np.zeros(len(gone), dtype=np.uint32)
    blob_number = np.where(np.arange(len(numbers)) < len(written), len(blobs), 0)
    mapping = GrainMap(
        device.size,
        len(blobs) + 1,
        numbers[order],
        blob_number[order],
        np.concatenate((written.sectors, none))[order],
        np.concatenate((written.sizes, none))[order],
        np.concatenate((written.digests, zero_digests(len(gone))))[order],
    )
    statistics = dict(
        applied,
        grains=len(written),
        plain_bytes=len(written) << 16,
        compressed_bytes=int(written.sizes.sum()),
        incremental=start is not None,
    )
    config = dict(composition.config, statistics=statistics, registry=registry, skipped=skipped)
    thin_image.save(repository, composition.base, mapping.over(older), [*blobs, blob.descriptor], config)
