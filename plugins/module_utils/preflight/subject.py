# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a preflight is about: the target of a connector in vSphere, and the image that it shall receive."""

from __future__ import annotations

from dataclasses import dataclass

from ..catalog.connector_document import ConnectorDocument
from ..vsphere.hardware.hardware import Hardware
from ..vsphere.inventory.inventory import Placement
from ..vsphere.session import Session
from ..vsphere.vm import VmFacts


@dataclass(frozen=True, kw_only=True)
class BootDrivers:
    """The names of the disk controllers from which the OS layer can start (None: not known).

    ``changed_by`` are the labels of the layers that change the driver of the VM template's controller.
    """

    controllers: tuple[str, ...] | None
    changed_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ImageNeeds:
    """What an image needs, as far as it is known before it is composed.

    ``os_layer`` names the layer and its version. ``firmware`` is None when the OS layer does not show it. ``capacity`` is the size
    of the disk in bytes, ``stored`` the bytes that the disk of the OS layer alone takes on the datastore.
    """

    os_layer: str
    firmware: str | None
    boot: BootDrivers
    capacity: int
    stored: int


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The objects that the checks read. ``folder_missing``: the connector's folder does not exist yet, ``placement`` has the parent's.

    ``image`` is None when only the connector is tested. ``packaging``: the VM is a packaging machine.
    """

    session: Session
    connector: ConnectorDocument
    placement: Placement
    folder_missing: bool
    hardware: Hardware
    template: VmFacts
    image: ImageNeeds | None = None
    packaging: bool = False
