# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the Connection Servers of one or several pods which pools and farms use the VMs of images."""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...common.errors import StrataError, Unavailable
from ...horizon.rest.connection import Patience
from ...publish.retiring.horizon_use import HorizonUser
from .horizon_options import HorizonOptions

if TYPE_CHECKING:
    from ...horizon.inventory.usage import ImageUse, UsedImage
    from ...horizon.rest.client import HorizonClient


#: Seconds for which the calls of a Connection Server that does not answer are repeated. The VMs of older images are then kept.
_PATIENCE = Patience(calls=30)


def _shared_flags() -> mmap.mmap:
    """Return a page of zeros that processes share which are forked later."""
    return mmap.mmap(-1, mmap.PAGESIZE)


@dataclass(frozen=True)
class HorizonServers:
    """The Connection Servers of the option ``horizon``, one for each pod.

    ``rejected`` has a byte for each server that is 1 after it has rejected the login: each template is published by a process of its
    own, and several rejected logins lock the account. Processes that log in at the same moment do not know of each other.
    """

    servers: tuple[HorizonOptions, ...]
    rejected: mmap.mmap = field(default_factory=_shared_flags, compare=False, repr=False)

    @classmethod
    def optional(cls, params: Mapping[str, Any]) -> HorizonServers | None:
        """Read the option ``horizon``, None if it is empty.

        Raises:
            InvalidInput: ``operations.horizon_account`` if the user of a Connection Server or its domain cannot be used.
        """
        servers = [HorizonOptions.from_params(server) for server in params["horizon"] or ()]
        patient = tuple(HorizonOptions(replace(server.connection, patience=_PATIENCE)) for server in servers)
        return cls(patient) if patient else None

    def users(self, vcenter: str, moids: Collection[str]) -> Mapping[str, tuple[HorizonUser, ...]]:
        """Return who uses VMs, as ``HorizonUse.users``; each Connection Server is asked.

        Raises:
            StrataError: as ``HorizonClient.connect`` and ``images_in_use``.
        """
        return _users(self.read(), vcenter, moids)

    def read(self) -> list[tuple[str, Mapping[UsedImage, list[ImageUse]]]]:
        """Return the host name of each Connection Server and the images that its pod uses. Raises StrataError like ``users``."""
        from ...horizon.inventory.usage import images_in_use

        found = []
        for number, server in enumerate(self.servers):
            with self._connect(number % mmap.PAGESIZE, server) as client:
                found.append((server.connection.hostname, images_in_use(client)))
        return found

    def _connect(self, number: int, server: HorizonOptions) -> HorizonClient:
        """Log in to a Connection Server, unless it has rejected the login of this run before."""
        if self.rejected[number]:
            raise Unavailable(
                f"The Connection Server {server.connection.hostname} rejected the login of the user {server.connection.username} before.",
                code="operations.horizon_login_rejected",
                hint="Correct username, domain and password of the option horizon.",
            )
        try:
            return server.connect()
        except StrataError as error:
            if error.code == "horizon.login":
                self.rejected[number] = 1
            raise


class RememberedUse:
    """The answers of Connection Servers, which are asked once: a plan describes one moment."""

    def __init__(self, servers: HorizonServers) -> None:
        self._servers = servers
        self._images: list[tuple[str, Mapping[UsedImage, list[ImageUse]]]] | None = None
        self._error: StrataError | None = None

    @classmethod
    def optional(cls, params: Mapping[str, Any]) -> RememberedUse | None:
        """Read the option ``horizon``, as ``HorizonServers.optional``."""
        servers = HorizonServers.optional(params)
        return None if servers is None else cls(servers)

    def users(self, vcenter: str, moids: Collection[str]) -> Mapping[str, tuple[HorizonUser, ...]]:
        """Return who uses VMs, as ``HorizonServers.users``."""
        if self._error is not None:
            raise self._error
        try:
            self._images = self._servers.read() if self._images is None else self._images
        except StrataError as error:
            self._error = error
            raise
        return _users(self._images, vcenter, moids)


def _users(
    images: Iterable[tuple[str, Mapping[UsedImage, list[ImageUse]]]], vcenter: str, moids: Collection[str]
) -> dict[str, tuple[HorizonUser, ...]]:
    """Return who uses the VMs ``moids``, from what ``HorizonServers.read`` returned."""
    users: dict[str, list[HorizonUser]] = {moid: [] for moid in moids}
    for server, used in images:
        certain = vcenter.lower() in {image.vcenter for image in used}
        for moid, found in users.items():
            found += [
                HorizonUser(server, use.target_kind, use.target_name, use.role, use.machines, certain, use.named)
                for use in _uses(used, vcenter, moid, certain)
            ]
    return {moid: tuple(found) for moid, found in users.items()}


def _uses(images: Mapping[UsedImage, list[ImageUse]], vcenter: str, moid: str, certain: bool) -> Iterable[ImageUse]:
    """Return the uses of a VM in a pod.

    If the pod uses no image in this vCenter, an equal managed object ID counts, although managed object IDs of different vCenters can
    be equal: a VM that is kept without need costs less than the image of a pool.
    """
    from ...horizon.inventory.usage import uses_of

    if certain:
        return uses_of(images, vcenter, moid)
    return sorted({use for used, uses in images.items() if used.image.vm == moid for use in uses})
