# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A user of the simulator who has exactly the privileges that the collection documents, or all except one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ansible_collections.strata.layering.plugins.module_utils.vsphere.privileges import PRIVILEGES, Privilege, Scope
from ansible_collections.strata.layering.tests.support.simulator import Simulator

USERNAME = "layering@vsphere.local"

#: The objects of the tests' connector, and the folder of the simulator's OS machines.
OBJECTS: Mapping[Scope, tuple[str, ...]] = {
    Scope.ROOT: ("/",),
    Scope.PARENT: ("/DC0/vm",),
    Scope.FOLDER: ("/DC0/vm",),
    Scope.MACHINE: ("/DC0/vm",),
    Scope.COMPUTE: ("/DC0/host/DC0_C0", "/DC0/host/DC0_H0"),
    Scope.DATASTORE: ("/DC0/datastore/LocalDS_0",),
    Scope.NETWORK: ("/DC0/network/VM Network", "/DC0/network/DC0_DVPG0"),
}


def permissions(
    privileges: Collection[Privilege] = PRIVILEGES, objects: Mapping[Scope, tuple[str, ...]] | None = None
) -> list[dict[str, object]]:
    """Return the permissions that grant ``privileges``; each propagates."""
    roles: dict[str, set[str]] = {}
    for privilege in privileges:
        for entity in (objects or OBJECTS)[privilege.scope]:
            roles.setdefault(entity, set()).add(privilege.id)
    return [{"entity": entity, "privileges": sorted(held), "propagate": True} for entity, held in roles.items()]


def restrict(simulator: Simulator, privileges: Collection[Privilege] = PRIVILEGES) -> None:
    """Let clients log in as a user with ``privileges`` only."""
    simulator.login = (USERNAME, simulator.user(USERNAME, permissions(privileges)))
