# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The request of a playbook for one packaging machine."""

from __future__ import annotations

from dataclasses import dataclass

from ..catalog.kinds import NOISE, layer_label
from ..catalog.version_name import NamedVersion
from ..common.errors import InvalidInput
from ..layers.layer_version import OS
from ..shares.open import ShareCredentials

#: Seconds that a VM has run before it counts as complete. Windows starts much of its maintenance only when it is idle for minutes.
MINIMUM_RUN, NOISE_MINIMUM_RUN = 120, 1800


@dataclass(frozen=True, kw_only=True)
class PackagingRequest:
    """The packaging machine of one layer version, or of the noise profile of an OS layer version (kind ``noise``).

    ``os_layer``, of which version None is the newest, and ``connector`` are required to create the VM. ``power_on``: power on a VM
    again that was powered off before its work was done. ``wait_for_address``, ``minimum_run``, ``idle_timeout`` and ``shutdown_timeout`` are seconds.
    ``package`` is the name of the export's folder on ``file_share``.
    """

    kind: str
    name: str
    version: str
    connector: str | None = None
    os_layer: NamedVersion | None = None
    prerequisites: tuple[NamedVersion, ...] = ()
    start_from: str | None = None
    power_on: bool = False
    wait_for_address: float = 0
    minimum_run: float = MINIMUM_RUN
    idle_timeout: float = 1800
    shutdown: bool = True
    shutdown_timeout: float = 600
    file_share: str | None = None
    credentials: ShareCredentials = ShareCredentials()
    package: str | None = None
    remove_package: bool = False
    comment: str | None = None

    @property
    def key(self) -> str:
        """The name of the layer version on the VM and in the catalog: ``<kind>/<layer>/<version>``."""
        return f"{self.kind}/{self.name}/{self.version}"

    @property
    def layer_label(self) -> str:
        """The name of the layer version in messages."""
        if self.kind == NOISE:
            return f"noise profile of the OS layer {self.name} {self.version}"
        return f"{layer_label(self.kind)} {self.name} {self.version}"

    @property
    def on_os_layer_alone(self) -> bool:
        """Whether the VM has an OS layer version and no other layer."""
        return self.kind in (OS, NOISE)

    def check(self) -> None:
        """Check the options that depend on the kind.

        Raises:
            InvalidInput: ``packaging.other_layers`` if an OS layer or a noise profile is requested with app layers;
                ``packaging.noise_os_layer`` if a noise profile is requested for a version and made on another.
        """
        if self.on_os_layer_alone and (self.prerequisites or self.start_from):
            option = "prerequisites" if self.prerequisites else "start_from"
            raise InvalidInput(
                f"The packaging machine of the {self.layer_label} cannot have {option}: it has an OS layer version and no other layer.",
                code="packaging.other_layers",
                hint=f"Remove {option}. Set os_layer to the version of the OS layer to start from."
                if self.kind == OS
                else f"Remove {option}.",
            )
        base = self.os_layer
        if self.kind == NOISE and base is not None and (base.name, base.version) != (self.name, self.version):
            raise InvalidInput(
                f"The packaging machine of the {self.layer_label} cannot start from {base.name} {base.version or '(newest version)'}.",
                code="packaging.noise_os_layer",
                hint="Remove os_layer, or set name and version to that OS layer version.",
                expected=f"{self.name} {self.version}",
                found=f"{base.name} {base.version or ''}".rstrip(),
            )
