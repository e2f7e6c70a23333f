# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage policies of vCenter (PBM): find one by its name, compare it with datastores, and request it for a new VM."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from ...common.errors import NotFound, Unavailable
from ...common.optional_imports import pyvmomi
from ..faults import explained, fault_text
from ..session import Session
from .names import existing_text

_PATH = "/pbm"
#: The version of vCenter 6.7, which later versions support. pyVmomi cannot decode the faults of vSphere in answers of much older versions.
_VERSION = "pbm.version.version12"
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class StoragePolicy:
    """A storage policy; ``id`` is its identifier in PBM, a UUID."""

    id: str
    name: str


def find_storage_policy(session: Session, name: str) -> StoragePolicy:
    """Return the storage policy for VMs with this name, or with this identifier.

    Raises:
        NotFound: ``vsphere.not_found``, with the names of the existing policies.
        StrataError: as ``fault_error``, ``vsphere.permission`` without the privilege StorageProfile.View.
    """
    policies = _call(session, f"Finding the storage policy {name}", _policies)
    for policy in policies:
        if name == policy.name:
            return policy
    for policy in policies:
        if name.lower() == policy.id.lower():
            return policy
    raise NotFound(
        f"The storage policy {name} does not exist in {session.label}.",
        code="vsphere.not_found",
        hint=existing_text((policy.name for policy in policies), "storage policies"),
    )


def incompatible_datastores(session: Session, policy: StoragePolicy, datastores: Iterable[Any]) -> dict[Any, str]:
    """Return those of ``datastores`` that do not satisfy the policy, with vCenter's reason."""
    stores = {item._GetMoId(): item for item in datastores}
    if not stores:
        return {}

    def check(content: Any) -> list[Any]:
        pbm = pyvmomi.pbm
        hubs = [pbm.placement.PlacementHub(hubType="Datastore", hubId=moid) for moid in stores]
        profile = pbm.profile.ProfileId(uniqueId=policy.id)
        return list(content.placementSolver.CheckCompatibility(hubs, profile) or [])

    results = _call(session, f"Comparing the storage policy {policy.name} with the datastores", check)
    reasons = dict.fromkeys(stores, "vCenter does not report it as compatible")
    for result in results:
        if result.hub.hubId in reasons:
            if result.error:
                reasons[result.hub.hubId] = "; ".join(fault_text(fault) for fault in result.error)
            else:
                del reasons[result.hub.hubId]
    return {stores[moid]: reason for moid, reason in reasons.items()}


def request_policy(policy: StoragePolicy, config: Any) -> None:
    """Request the policy for the VM home and the new disks of a ConfigSpec."""
    kinds = pyvmomi.vim.vm
    config.vmProfile = [kinds.DefinedProfileSpec(profileId=policy.id)]
    for change in config.deviceChange or []:
        if isinstance(change.device, kinds.device.VirtualDisk):
            change.profile = [kinds.DefinedProfileSpec(profileId=policy.id)]


def _policies(content: Any) -> list[StoragePolicy]:
    profile = pyvmomi.pbm.profile
    kind = profile.ResourceType(resourceType=profile.ResourceTypeEnum.STORAGE)
    manager = content.profileManager
    ids = list(manager.QueryProfile(kind, "REQUIREMENT") or [])
    found = manager.RetrieveContent(ids) if ids else []
    return [StoragePolicy(item.profileId.uniqueId, item.name) for item in found]


def _call(session: Session, subject: str, action: Callable[[Any], _Result]) -> _Result:
    """Call ``action`` with the content of PBM; once more after a login, because PBM does not renew the session."""
    logins = session.logins
    with explained(subject):
        try:
            return _call_once(session, action)
        except pyvmomi.vmodl.fault.SecurityError:
            session.renew(logins)
        except Unavailable as error:
            # pyVmomi cannot decode each fault of PBM.
            if error.code != "vsphere.protocol":
                raise
            session.renew(logins)
        return _call_once(session, action)


def _call_once(session: Session, action: Callable[[Any], _Result]) -> _Result:
    with session.other_service(_PATH, _VERSION) as stub:
        return action(pyvmomi.pbm.ServiceInstance("ServiceInstance", stub).RetrieveContent())
