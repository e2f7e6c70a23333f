# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hardware versions and guest IDs that a cluster or an ESXi host offers for virtual machines.

The guest IDs depend on the hardware version and on the ESXi version of a host: vCenter refuses a VM with a guest ID that
its hardware version lacks. A VM of a cluster must be able to run on every host, so that a version or an ID counts as
offered only if all hosts have it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ...common.optional_imports import pyvmomi
from ..faults import explained
from ..properties import collect, read
from ..session import Session
from .names import plain_name

_SUBJECT = "Reading the guest IDs and hardware versions"


@dataclass(frozen=True, slots=True)
class HardwareVersion:
    """A hardware version such as 20. ``hosts`` are the names of the hosts that offer it, ``all_hosts`` whether all do."""

    number: int
    hosts: tuple[str, ...]
    all_hosts: bool
    default: bool


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest ID with vCenter's name for it. ``recommended``: vCenter offers it for new virtual machines."""

    id: str
    name: str
    family: str
    recommended: bool


class GuestOffers:
    """What a compute resource, or one ``host`` of it, offers. Each answer of vCenter is kept for the life of the object."""

    def __init__(self, session: Session, compute: Any, host: Any = None) -> None:
        self._session = session
        values = read(session, compute, "environmentBrowser", "host", subject=_SUBJECT)
        self._browser: Any = values.get("environmentBrowser")
        hosts = values.get("host", []) if host is None else [host]
        paths = ("name", "summary.config.product", "runtime.connectionState")
        found = collect(session, hosts, paths, subject=_SUBJECT)
        # A host without a connection does not answer, and takes no virtual machines.
        usable = {
            item: values for item, values in found.items() if values.get("runtime.connectionState") == "connected"
        }
        self._hosts = usable or found
        self._versions: tuple[HardwareVersion, ...] | None = None
        self._guests: dict[tuple[int, tuple[str, ...]], tuple[Guest, ...]] = {}

    @property
    def versions(self) -> tuple[HardwareVersion, ...]:
        """The hardware versions for new virtual machines, newest first; empty if vCenter does not report them."""
        if self._versions is None:
            with explained(_SUBJECT):
                descriptors = [] if self._browser is None else self._browser.QueryConfigOptionDescriptor()
            found = [self._version(descriptor) for descriptor in descriptors or [] if descriptor.createSupported]
            self._versions = tuple(sorted((item for item in found if item.hosts), key=lambda item: -item.number))
        return self._versions

    @property
    def newest(self) -> int | None:
        """The newest hardware version that all hosts offer, None if there is none."""
        return next((version.number for version in self.versions if version.all_hosts), None)

    def has_version(self, number: int) -> bool:
        """Return whether all hosts offer the hardware version."""
        return any(version.number == number and version.all_hosts for version in self.versions)

    def guests(self, number: int, only: Iterable[str] = ()) -> tuple[Guest, ...]:
        """Return the guests that all hosts with the hardware version offer for it, sorted by ID.

        ``only`` keeps the answer of vCenter small: of these IDs the result has those that are offered.
        """
        asked = tuple(dict.fromkeys(only))
        if (number, asked) not in self._guests:
            self._guests[number, asked] = self._read_guests(number, asked)
        return self._guests[number, asked]

    def _version(self, descriptor: Any) -> HardwareVersion:
        # An ESXi host that is asked without vCenter need not name itself.
        hosts = [item for item in descriptor.host or self._hosts if item in self._hosts]
        return HardwareVersion(
            number=hardware_number(descriptor.key),
            hosts=tuple(sorted(plain_name(self._hosts[item].get("name", "")) for item in hosts)),
            all_hosts=len(hosts) == len(self._hosts),
            default=bool(descriptor.defaultConfigOption),
        )

    def _read_guests(self, number: int, asked: tuple[str, ...]) -> tuple[Guest, ...]:
        if self._browser is None:
            return ()
        offers = [self._ask(number, host, asked) for host in self._different_hosts(number)]
        common = set.intersection(*(set(offer) for offer in offers)) if offers else set()
        return tuple(offers[0][guest_id] for guest_id in sorted(common))

    def _different_hosts(self, number: int) -> list[Any]:
        """Return a host of each ESXi version that has the hardware version: hosts of one ESXi version offer the same."""
        chosen: dict[str, Any] = {}
        names = {name for version in self.versions if version.number == number for name in version.hosts}
        for host, values in self._hosts.items():
            if plain_name(values.get("name", "")) not in names:
                continue
            product = values.get("summary.config.product")
            chosen.setdefault(product.version if product is not None else host._GetMoId(), host)
        return list(chosen.values())

    def _ask(self, number: int, host: Any, asked: tuple[str, ...]) -> dict[str, Guest]:
        spec = pyvmomi.vim.EnvironmentBrowser.ConfigOptionQuerySpec(
            key=hardware_name(number), host=host, guestId=list(asked)
        )
        with explained(_SUBJECT):
            option = self._browser.QueryConfigOptionEx(spec)
        # Without a match for the asked IDs, vCenter returns all.
        return {
            guest.id: Guest(guest.id, guest.fullName, guest.family, bool(guest.supportedForCreate))
            for guest in (option.guestOSDescriptor if option is not None else None) or []
            if not asked or guest.id in asked
        }


def hardware_number(version: str) -> int:
    """Return 20 for ``vmx-20``, 0 for a text of a different form."""
    digits = version.removeprefix("vmx-")
    return int(digits) if digits.isdecimal() and digits != version else 0


def hardware_name(number: int) -> str:
    """Return ``vmx-20`` for 20; versions below 10 have a leading zero."""
    return f"vmx-{number:02d}"
