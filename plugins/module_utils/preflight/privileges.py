# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the privileges of the user on the objects of the connector, in one call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..common.findings import FAIL, PASS, WARN
from ..vsphere.authorization import READ, missing_privileges, reads_everything
from ..vsphere.custom_attributes import missing_definitions
from ..vsphere.inventory.inventory import Inventory
from ..vsphere.privileges import Need, Privilege, Scope, Task, privileges_for
from .subject import Subject

_ADVICE = (
    "Add the privileges to the role of the user that the option username names, on these objects and what is below them; "
    "docs/vsphere-permissions.md has the roles."
)


def check(subject: Subject) -> tuple[str, str, str]:
    """Find the privileges that the user lacks for a publish, or for a packaging machine.

    When only the connector is tested, privileges that only packaging machines need are a warning; so is a root folder that the user
    may not read, because its objects were found.
    """
    task = Task.PACKAGING if subject.packaging else Task.PUBLISH
    required = privileges_for(task)
    optional = () if subject.image else tuple(item for item in privileges_for(Task.PACKAGING) if item not in required)
    needed = _on_objects(subject, (*required, *optional))
    missing = missing_privileges(
        subject.session, {item: tuple(privilege.id for privilege in listed) for item, listed in needed.items()}
    )
    if not missing:
        return PASS, f"the user has all {sum(map(len, needed.values()))} privileges", ""
    path = Inventory(subject.session).path
    found = "; ".join(f"{', '.join(names)} on {path(item)}{_reason(subject, item)}" for item, names in missing.items())
    decisive = any(
        privilege in required and not _is_only_for_sight(privilege)
        for item, names in missing.items()
        for privilege in needed[item]
        if privilege.id in names
    )
    if decisive:
        return FAIL, f"missing: {found}", _ADVICE
    return WARN, f"missing, but not needed to create the VM: {found}", _ADVICE


def _is_only_for_sight(privilege: Privilege) -> bool:
    """Return whether a privilege only lets the user see objects: the objects of the connector were found without it."""
    return privilege.id == READ and privilege.scope is Scope.ROOT


def _reason(subject: Subject, item: Any) -> str:
    """Return why the folder above is named, which is the case for a folder of the connector that is missing or misspelled."""
    if subject.folder_missing and item == subject.placement.folder:
        return f" (the folder {subject.connector.folder} does not exist)"
    return ""


def check_visibility(subject: Subject) -> tuple[str, str, str]:
    """Find out whether VMs may be hidden from the user: then the VMs of older images are not deleted."""
    if subject.image is not None:
        return PASS, "not needed to create the VM; examined when VMs of older images are due", ""
    if reads_everything(subject.session):
        return PASS, "the user may read the whole inventory", ""
    found = "the user may not read the whole inventory: no VM is deleted, because linked clones of it may be hidden"
    return WARN, found, "Give the user the role Read-only on the root folder of vCenter, with propagation to children."


def _on_objects(subject: Subject, privileges: tuple[Privilege, ...]) -> dict[Any, list[Privilege]]:
    """Return the privileges that the connector needs, by object."""
    placement = subject.placement
    networks = [placement.network] if placement.network else [network for _name, network in subject.hardware.networks]
    objects: dict[Scope, list[Any]] = {
        Scope.ROOT: [subject.session.content.rootFolder],
        # A new folder inherits from its parent, which the placement has then.
        Scope.PARENT: [placement.folder],
        Scope.FOLDER: [placement.folder],
        Scope.COMPUTE: [placement.pool],
        Scope.DATASTORE: [placement.datastore],
        Scope.NETWORK: networks,
    }
    cases = _cases(subject)
    needed: dict[Any, list[Privilege]] = {}
    for privilege in privileges:
        if cases[privilege.need]():
            for item in objects.get(privilege.scope, ()):
                needed.setdefault(item, []).append(privilege)
    return needed


def _cases(subject: Subject) -> dict[Need, Callable[[], bool]]:
    """Return for each case whether it applies to the connector."""
    attributes = list(subject.connector.custom_attributes or {})
    return {
        Need.ALWAYS: lambda: True,
        Need.FOLDER_MISSING: lambda: subject.folder_missing,
        Need.ATTRIBUTES: lambda: bool(attributes),
        Need.ATTRIBUTES_UNDEFINED: lambda: bool(attributes and missing_definitions(subject.session, attributes)),
        Need.STORAGE_POLICY: lambda: bool(subject.connector.storage_policy),
        Need.SWAP_PLACEMENT: lambda: subject.hardware.settings.get("swapPlacement", "inherit") != "inherit",
    }
