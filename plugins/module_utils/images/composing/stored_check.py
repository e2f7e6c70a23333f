# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a thin image that was composed before composing checked whether Windows can start from it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from ...ntfs.volume import Volume
from ...repository.repository import Repository
from ...windows.installation import load_hive
from ...windows.partition import windows_window
from ...winregistry.hive_names import HIVES
from ...winregistry.required_keys import HiveState
from ..stack.layer_stack import StackedLayer, archive_openers, merge_stack, read_indexes
from ..stored.thin_image import ThinImage
from .image_hives import decode_deltas, read_stacked_deltas
from .startup_check import check_files, check_merged_hive


def check_stored_image(
    repository: Repository, image: ThinImage, layers: Sequence[StackedLayer], partition: int
) -> None:
    """Check an image as composing checks it; ``partition`` is the number of its Windows partition.

    Raises:
        Conflict images.unbootable: layers remove or replace what Windows needs to start.
    """
    with ExitStack() as stack:
        base = stack.enter_context(image.base.open(repository))
        original = stack.enter_context(Volume.mount(windows_window(base, partition)))
        disk = stack.enter_context(image.open_disk())
        volume = stack.enter_context(Volume.mount(windows_window(disk, partition)))
        records = read_indexes(repository, layers)
        tree = merge_stack(layers, records, volume.upcase, frozenset(image.config.skipped))
        openers = archive_openers(repository, layers, stack, hives=True)
        system = None
        for name, stacked in read_stacked_deltas([layer.label for layer in layers], openers).items():
            hive = HIVES[name]
            merged = load_hive(volume, hive.path)
            before = HiveState.of(name, load_hive(original, hive.path))
            check_merged_hive(before, merged, decode_deltas(original, hive, stacked))
            system = merged if name == "SYSTEM" else system
        check_files(volume, original, tree, system)
