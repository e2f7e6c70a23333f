# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk controllers from which an OS layer or an image can start, and the layers that change their drivers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from ...catalog import layer_store
from ...common.errors import Corrupt, NotFound, Unsupported
from ...layers.layer_version import LayerReference
from ...ntfs.volume import Volume
from ...ntfs.volume_process import run_on_volume
from ...repository.repository import Repository
from ...windows.boot_controllers import (
    DRIVERS,
    SERVICE_VALUES,
    START_OVERRIDE,
    boot_controllers,
    driver_names,
    known,
)
from ...windows.installation import exists, find_hive
from ...windows.partition import windows_window
from ...winregistry import upcase
from ...winregistry.delta import REMOVE, REPLACE, Delta, KeyDelta
from ...winregistry.delta_format import read_delta
from ...winregistry.hive_model import Hive
from ...winregistry.hive_names import HIVES
from ...winregistry.required_keys import control_set
from ..stack.layer_stack import StackedLayer, archive_openers, merge_stack, read_indexes, stacked_layers
from ..stored.os_disk import mount_os_layer, windows_partition_number
from ..stored.thin_image import ThinImage
from .image_hives import read_stacked_deltas

#: The key of the controllers in the facts of an OS layer version.
FACT = "boot_controllers"
_SYSTEM = HIVES["SYSTEM"]


@dataclass(frozen=True)
class MissingDriver:
    """Why an image cannot start from a disk controller.

    ``drivers`` names the services of the controller; ``controllers`` are those from which the image can start. ``layer`` is the
    label of the layer that took the driver away, None if the OS layer lacks it.
    """

    drivers: str
    controllers: tuple[str, ...]
    layer: str | None


def os_layer_controllers(repository: Repository, digest: str) -> tuple[str, ...] | None:
    """Return the controllers from which the OS layer version ``digest`` can start, None if they cannot be read.

    Versions that earlier versions of the collection stored lack the fact; their disk is read, which takes about a second.
    """
    stored = stored_controllers(repository, digest)
    if stored is not None:
        return stored
    try:
        found: tuple[str, ...] | None = run_on_volume(_read_os_layer, repository, digest, subject="the OS layer's disk")
    except (Corrupt, NotFound, Unsupported):
        return None  # Composing reports a disk that is damaged.
    return found


def stored_controllers(repository: Repository, digest: str) -> tuple[str, ...] | None:
    """Return the controllers in the facts of the OS layer version ``digest``, None without this fact."""
    fact = layer_store.load_version(repository, digest).facts.get(FACT)
    return known(fact) if isinstance(fact, list) else None


def image_controllers(image: ThinImage) -> tuple[str, ...] | None:
    """Return the controllers from which an image can start, None if they cannot be read.

    The disk of an image that an earlier version of the collection composed is read.
    """
    if image.config.boot_controllers is not None:
        return known(image.config.boot_controllers)
    try:
        found: tuple[str, ...] | None = run_on_volume(_read_image, image, subject="the image's disk")
    except (Corrupt, NotFound, Unsupported):
        return None  # Reading the disk for the upload or export reports the damage.
    return found


def volume_controllers(volume: Volume, system: Hive | None = None) -> tuple[str, ...] | None:
    """Return the controllers from which the Windows installation on a volume can start, None without a readable hive SYSTEM.

    ``system`` is its hive, None to read it from the volume.
    """
    if system is None:
        try:
            system = find_hive(volume, _SYSTEM.path)
        except (Corrupt, Unsupported):
            return None
    control = control_set(system) if system is not None else None
    if control is None:
        return None
    return boot_controllers(control, lambda path: exists(volume, path))


def layers_that_change(repository: Repository, layers: Sequence[LayerReference], controller: str) -> list[str]:
    """Return the labels of the layers whose registry changes concern a driver of ``controller``, lowest layer first."""
    services = DRIVERS[controller]
    stacked = stacked_layers(repository, layers)
    labels = []
    with ExitStack() as stack:
        openers = archive_openers(repository, stacked, stack, hives=True)
        deltas = read_stacked_deltas([layer.label for layer in stacked], openers)
    for delta in deltas.get(_SYSTEM.name, []):
        # A differencing hive can be compared only with the OS layer's hive; it may contain anything.
        if delta.differencing or _changes_service(read_delta(delta.data, name=delta.label), services):
            labels.append(delta.label)
    return labels


def missing_driver(image: ThinImage, controller: str) -> MissingDriver | None:
    """Return why an image cannot start from a disk on ``controller``; None if it can, or if its hive cannot be read."""
    controllers = image_controllers(image)
    if controllers is None or controller in controllers:
        return None
    repository, config = image.repository, image.config
    layer = None
    if controller in (os_layer_controllers(repository, config.os_layer.digest) or ()):
        layer = _responsible_layer(repository, config.layers, controller)
    return MissingDriver(driver_names(controller), controllers, layer)


def _responsible_layer(repository: Repository, layers: Sequence[LayerReference], controller: str) -> str | None:
    """Return the label of the highest layer that changes a driver of ``controller``: its service, or its file."""
    changed = layers_that_change(repository, layers, controller)
    if changed:
        return changed[-1]
    stacked: list[StackedLayer] = stacked_layers(repository, layers)
    tree = merge_stack(stacked, read_indexes(repository, stacked), upcase.WINDOWS.fold)
    paths = [f"Windows/System32/drivers/{service}.sys" for service in DRIVERS[controller]]
    for path in (*paths, _SYSTEM.path):
        found = tree.responsible(path)
        if found is not None:
            return found[0]
    return None


def _read_os_layer(repository: Repository, digest: str) -> tuple[str, ...] | None:
    with ExitStack() as stack:
        return volume_controllers(mount_os_layer(repository, digest, stack))


def _read_image(image: ThinImage) -> tuple[str, ...] | None:
    partition = windows_partition_number(image.repository, image.config.os_layer.digest)
    with image.open_disk() as disk, Volume.mount(windows_window(disk, partition)) as volume:
        return volume_controllers(volume)


def _changes_service(delta: Delta, services: Sequence[str]) -> bool:
    """Return whether ``delta`` changes whether the boot loader loads a service, in any control set."""
    fold = delta.upcase.fold
    for control in delta.root.subkeys.values():
        listed = control.subkeys.get(fold("Services"))
        if control.action in (REMOVE, REPLACE) or (listed is not None and listed.action in (REMOVE, REPLACE)):
            return True
        for service in services:
            key = listed.subkeys.get(fold(service)) if listed is not None else None
            if key is not None and _decides_start(key, fold(START_OVERRIDE)):
                return True
    return False


def _decides_start(key: KeyDelta, override: str) -> bool:
    return (
        key.action in (REMOVE, REPLACE) or override in key.subkeys or any(name in key.values for name in SERVICE_VALUES)
    )
