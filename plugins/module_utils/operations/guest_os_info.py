# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module guest_os_info: what a cluster or an ESXi host offers for virtual machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..common.outcome import Outcome
from ..vsphere.inventory.guest_offers import GuestOffers
from ..vsphere.inventory.inventory import Inventory
from ..vsphere.properties import read
from .options import ConnectionOptions

if TYPE_CHECKING:
    from ..vsphere.session import Session


@dataclass(frozen=True, kw_only=True)
class GuestOsOptions:
    """Options of the module guest_os_info. ``guest_ids`` are in the order of preference; ``hardware_version`` None: the newest."""

    connection: ConnectionOptions
    datacenter: str
    cluster: str | None
    esxi_host: str | None
    resource_pool: str | None
    guest_ids: tuple[str, ...]
    hardware_version: int | None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> GuestOsOptions:
        """Read the parameters of the module."""
        return cls(
            connection=ConnectionOptions.from_params(params),
            datacenter=params["datacenter"],
            cluster=params["cluster"],
            esxi_host=params["esxi_host"],
            resource_pool=params["resource_pool"],
            guest_ids=tuple(params["guest_ids"]),
            hardware_version=params["hardware_version"],
        )


def guest_os_info(options: GuestOsOptions) -> Outcome:
    """Return the hardware versions, the guest IDs, and the first guest ID of the options that is offered.

    Raises:
        NotFound: ``vsphere.not_found`` if the datacenter, cluster, host or resource pool does not exist.
        Conflict: ``vsphere.ambiguous``.
        Unavailable: as ``ConnectionOptions.connect`` and ``fault_error``.
    """
    with options.connection.connect() as session:
        offers = _offers(session, options)
        number = options.hardware_version or offers.newest
        guests = _guests(offers, number, options.guest_ids)
        offered = {guest.id for guest in guests}
        selected = next((guest_id for guest_id in options.guest_ids if guest_id in offered), None)
        result = {
            "hardware_versions": [_version(version) for version in offers.versions],
            "newest_hardware_version": offers.newest,
            "guests": [{"guest_id": guest["id"]} | _without_id(guest) for guest in map(asdict, guests)],
            "selected": {"guest_id": selected, "hardware_version": number} if selected else None,
        }
    return Outcome(False, result=result)


def _offers(session: Session, options: GuestOsOptions) -> GuestOffers:
    inventory = Inventory(session)
    datacenter = inventory.datacenter(options.datacenter)
    pool = inventory.resource_pool(
        datacenter, cluster=options.cluster, host=options.esxi_host, name=options.resource_pool
    )
    host = inventory.host(datacenter, options.esxi_host) if options.esxi_host else None
    compute = read(session, pool, "owner", subject="Finding the cluster of the resource pool")["owner"]
    return GuestOffers(session, compute, host)


def _guests(offers: GuestOffers, number: int | None, guest_ids: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the guests among ``guest_ids`` that are offered; all guests if none is."""
    if number is None or not offers.has_version(number):
        return ()
    return (guest_ids and offers.guests(number, guest_ids)) or offers.guests(number)


def _version(version: Any) -> dict[str, Any]:
    return {
        "hardware_version": version.number,
        "hosts": list(version.hosts),
        "all_hosts": version.all_hosts,
        "default": version.default,
    }


def _without_id(guest: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in guest.items() if key != "id"}
