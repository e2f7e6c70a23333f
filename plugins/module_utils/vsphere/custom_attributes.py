# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Custom attributes of virtual machines, which vCenter shows next to the notes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..common.errors import Conflict
from ..common.optional_imports import pyvmomi
from .faults import explained
from .properties import read
from .session import Session

_SUBJECT = "Setting custom attributes"


def set_attributes(session: Session, vm: Any, attributes: dict[str, str]) -> bool:
    """Set custom attributes of a VM, and define those that vCenter does not know; return whether anything changed.

    Raises Conflict (vsphere.attributes) when the server has no custom attributes.
    """
    if not attributes:
        return False
    manager = _manager(session)
    fields = _fields(session, manager)
    present = {
        entry.key: entry.value for entry in read(session, vm, "customValue", subject=_SUBJECT).get("customValue", [])
    }
    changed = False
    for name, value in attributes.items():
        field = fields.get(name) or _define(session, manager, name)
        with explained(f"{_SUBJECT} ({name})"):
            if present.get(field.key) != value:
                manager.SetField(vm, field.key, value)
                changed = True
    return changed


def missing_definitions(session: Session, names: Iterable[str]) -> list[str] | None:
    """Return the custom attributes that vCenter does not know; None when the server does not support custom attributes."""
    manager = session.content.customFieldsManager
    if manager is None:
        return None
    fields = _fields(session, manager)
    return [name for name in names if name not in fields]


def define_attributes(session: Session, names: Iterable[str]) -> bool:
    """Define the custom attributes that vCenter does not know; return whether there were any.

    Raises Conflict (vsphere.attributes) when the server has no custom attributes.
    """
    names = list(names)
    if not names:
        return False
    manager = _manager(session)
    missing = missing_definitions(session, names) or []
    for name in missing:
        _define(session, manager, name)
    return bool(missing)


def _manager(session: Session) -> Any:
    manager = session.content.customFieldsManager
    if manager is None:
        raise Conflict(
            f"The server {session.hostname} does not support custom attributes.",
            code="vsphere.attributes",
            hint="Remove custom_attributes from the connector, or set hostname to a vCenter.",
        )
    return manager


def _fields(session: Session, manager: Any) -> dict[str, Any]:
    """Return the custom attributes that VMs can have, by name."""
    fields = read(session, manager, "field", subject=_SUBJECT).get("field", [])
    return {field.name: field for field in fields if field.managedObjectType in (None, pyvmomi.vim.VirtualMachine)}


def _define(session: Session, manager: Any, name: str) -> Any:
    try:
        with explained(f"{_SUBJECT} ({name})"):
            return manager.AddCustomFieldDef(name, pyvmomi.vim.VirtualMachine, None, None)
    except Conflict:
        # Another client defined it in the meantime.
        field = _fields(session, manager).get(name)
        if field is None:
            raise
        return field
