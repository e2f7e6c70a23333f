# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask vCenter which privileges the user of the session has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..common.errors import NotFound, StrataError, Unsupported
from .faults import explained
from .properties import read
from .session import Session

_SUBJECT = "Reading the privileges of the user"
READ = "System.Read"


def missing_privileges(session: Session, needed: Mapping[Any, tuple[str, ...]]) -> dict[Any, list[str]]:
    """Return the privileges of ``needed`` (object -> privileges) that the user lacks, by object; objects without any are absent.

    One call asks for all objects. If vCenter denies a privilege to the user, the session is asked too, and only what both lack is
    missing: vCenter may fail to find all groups of a user by name. vCenter before 6.5 answers only for the session.

    Raises:
        Unavailable: ``vsphere.permission`` if the user may not see one of the objects.
        Unsupported: ``vsphere.not_supported`` if the server has no AuthorizationManager.
    """
    manager = session.content.authorizationManager
    if manager is None:
        raise Unsupported(
            f"The server {session.hostname} does not report privileges.",
            code="vsphere.not_supported",
            hint="Set hostname to a vCenter.",
            fault="NotSupported",
        )
    if not any(needed.values()):
        return {}
    current = read(session, session.content.sessionManager, "currentSession", subject=_SUBJECT).get("currentSession")
    if current is None:
        raise NotFound(
            f"{_SUBJECT} failed: the session has ended.", code="vsphere.gone", hint="Run this playbook again."
        )
    try:
        missing = _missing(manager.HasUserPrivilegeOnEntities, current.userName, needed)
    except Unsupported:
        return _missing(manager.HasPrivilegeOnEntities, current.key, needed)
    if not missing:
        return {}
    try:
        of_session = _missing(manager.HasPrivilegeOnEntities, current.key, {item: needed[item] for item in missing})
    except StrataError as error:
        if "fault" not in error.details:
            raise
        return missing
    both = {item: [name for name in names if name in of_session.get(item, ())] for item, names in missing.items()}
    return {item: names for item, names in both.items() if names}


def _missing(ask: Callable[..., Any], who: str, needed: Mapping[Any, tuple[str, ...]]) -> dict[Any, list[str]]:
    """Return the privileges of ``needed`` that the user or session ``who`` lacks according to a method of AuthorizationManager."""
    names = list(dict.fromkeys(name for privileges in needed.values() for name in privileges))
    with explained(_SUBJECT):
        entries = ask(list(needed), who, names) or []
    missing = {}
    for entry in entries:
        lacking = {item.privId for item in entry.privAvailability if not item.isGranted}
        if found := [name for name in needed[entry.entity] if name in lacking]:
            missing[entry.entity] = found
    return missing


def reads_everything(session: Session) -> bool:
    """Return whether the user may read the root folder, and the permission on it does not end there.

    An inventory that is read with fewer rights may lack VMs. A permission of the user itself precedes those of groups; the
    membership in groups is not known, so that a group whose permission does not propagate counts only if no other does.
    """
    root = session.content.rootFolder
    try:
        if missing_privileges(session, {root: (READ,)}):
            return False
    except Unsupported:
        # A server without permissions, such as an ESXi host for its own user.
        return True
    except StrataError as error:
        if error.code != "vsphere.permission":
            raise
        return False
    return _propagates(session, root)


def _propagates(session: Session, root: Any) -> bool:
    user = read(session, session.content.sessionManager, "currentSession", subject=_SUBJECT)["currentSession"].userName
    try:
        with explained(_SUBJECT):
            permissions = session.content.authorizationManager.RetrieveEntityPermissions(root, False) or []
    except StrataError as error:
        if error.code in ("vsphere.permission", "vsphere.not_supported"):
            return True
        raise
    own = [entry for entry in permissions if not entry.group and _user_part(entry.principal) == _user_part(user)]
    relevant = own or [entry for entry in permissions if entry.group]
    return any(entry.propagate for entry in relevant) or not relevant


def _user_part(principal: str) -> str:
    """Return a user name without its domain, which may be written in several ways: DOMAIN\\user, user@domain."""
    return principal.rpartition("\\")[2].partition("@")[0].casefold()


def hidden_vms(session: Session, moid: str, visible: set[str]) -> int:
    """Return how many VMs vCenter counts on the datastores of a VM that are not among the managed object IDs ``visible``.

    It is not documented whether vCenter counts VMs that it hides: 0 proves nothing.
    """
    subject = "Reading the VMs of a datastore"
    found: set[str] = set()
    for datastore in read(session, session.object("VirtualMachine", moid), "datastore", subject=subject).get(
        "datastore", []
    ):
        try:
            listed = read(session, datastore, "vm", subject=subject).get("vm", [])
        except StrataError as error:
            # The datastore itself may be hidden.
            if error.code not in ("vsphere.permission", "vsphere.gone"):
                raise
            continue
        found |= {vm._GetMoId() for vm in listed}
    return len(found - visible)
