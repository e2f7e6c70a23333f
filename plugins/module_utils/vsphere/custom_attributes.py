# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Custom attributes of virtual machines, as vCenter shows them beside the notes."""

from __future__ import annotations

from typing import Any

from ..common.errors import Conflict
from ..common.optional_imports import pyvmomi
from .faults import explained
from .properties import read
from .session import Session

_SUBJECT = "Setting custom attributes"


def set_attributes(session: Session, vm, attributes: dict[str, str]) -> bool:
    """Set custom attributes of a machine, defining those that vCenter does not know; whether anything changed."""
    if not attributes:
        return False
    manager = session.content.customFieldsManager
    if manager is None:
        raise Conflict(
            f"{session.hostname} keeps no custom attributes.",
            code="vsphere.attributes",
            hint="Remove custom_attributes, or use a vCenter.",
        )
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


def _fields(session: Session, manager) -> dict[str, Any]:
    """The custom attributes that machines can have, by name."""
    found = read(session, manager, "field", subject=_SUBJECT).get("field", [])
    return {field.name: field for field in found if field.managedObjectType in (None, pyvmomi.vim.VirtualMachine)}


def _define(session: Session, manager, name: str):
    try:
        with explained(f"{_SUBJECT} ({name})"):
            return manager.AddCustomFieldDef(name, pyvmomi.vim.VirtualMachine, None, None)
    except Conflict:
        # Somebody else was faster.
        field = _fields(session, manager).get(name)
        if field is None:
            raise
        return field
