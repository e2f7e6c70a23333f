# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The request of a playbook for one packaging machine."""

from __future__ import annotations

from dataclasses import dataclass

from ..catalog.version_name import NamedVersion
from ..shares.open import ShareCredentials


@dataclass(frozen=True, kw_only=True)
class PackagingRequest:
    """The packaging machine of one layer version.

    ``os_layer`` and ``connector`` are required to create the VM. ``power_on``: power on a VM again that was powered off before
    its work was done. ``wait_for_address``, ``minimum_run`` and ``shutdown_timeout`` are seconds. ``package`` is the name of the
    export's folder on ``file_share``.
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
    minimum_run: float = 120
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
        return f"{self.kind} layer {self.name} {self.version}"
