# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk controller of a VM template, compared with the boot drivers of the layers, and of the composed image."""

from __future__ import annotations

from collections.abc import Sequence

from ...common.errors import Conflict
from ...images.composing.boot_drivers import layers_that_change, missing_driver, os_layer_controllers
from ...images.stored.thin_image import ThinImage
from ...layers.layer_version import LayerReference
from ...preflight.boot_controller import boot_advice
from ...preflight.subject import BootDrivers
from ...repository.repository import Repository
from ...vsphere.hardware.disk_controllers import controller_title
from .placement import Target


def boot_drivers(
    repository: Repository, os_layer: LayerReference, layers: Sequence[LayerReference], controller: str | None
) -> BootDrivers:
    """Return what is known before composing; layers are read only if the OS layer cannot start from ``controller``."""
    controllers = os_layer_controllers(repository, os_layer.digest)
    if controller is None or controllers is None or controller in controllers:
        return BootDrivers(controllers=controllers)
    return BootDrivers(controllers=controllers, changed_by=tuple(layers_that_change(repository, layers, controller)))


def check_boot_controller(target: Target, image: ThinImage) -> None:
    """Check that a composed image can start from the disk controller of the VM template, before it is uploaded.

    Raises:
        Conflict: ``publish.connector_controller``; ``layer`` in its details took the driver away, None if the OS layer lacks it.
    """
    controller = target.hardware.disk_controller
    missing = None if controller is None else missing_driver(image, controller)
    if controller is None or missing is None:
        return
    title, os_layer = controller_title(controller), image.config.os_layer.label
    able = ", ".join(controller_title(able) for able in missing.controllers) or "no disk controller of vSphere"
    if missing.layer is None:
        cause = f"neither the {os_layer} nor a layer above it loads its driver ({missing.drivers}) at boot"
        hint = boot_advice(able, title)
    else:
        cause = f"the {missing.layer} removes its boot driver ({missing.drivers}), with which the {os_layer} starts"
        hint = (
            f"Build a version of the {missing.layer} that does not change the driver, or set vm_template of the connector to a VM "
            f"template whose disk controller is {able}."
        )
    raise Conflict(
        f"Windows cannot start from the disk controller {title} of the VM template {target.connector.vm_template}: {cause}.",
        code="publish.connector_controller",
        hint=hint,
        controller=controller,
        boot_controllers=list(missing.controllers),
        layer=missing.layer,
    )
