# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Custom attributes of virtual machines, as vCenter shows them beside the notes."""

from __future__ import annotations

from ..common.errors import Conflict
from ..common.libraries import pyvmomi
from .faults import explained
from .properties import read
from .session import Session


def set_attributes(session: Session, vm, attributes: dict[str, str]) -> bool:
    """Set custom attributes of a machine, defining those that vCenter does not know; whether anything changed."""
    if not attributes:
        return False
    manager = session.content.customFieldsManager
    if manager is None:
        raise Conflict(f"{session.place} keeps no custom attributes.", code="vsphere.attributes", hint="Remove custom_attributes, or use a vCenter.")
    what = "Setting custom attributes"
    machine = pyvmomi.vim.VirtualMachine
    fields = {field.name: field for field in read(session, manager, "field", what=what).get("field", []) if field.managedObjectType in (None, machine)}
    present = {entry.key: entry.value for entry in read(session, vm, "customValue", what=what).get("customValue", [])}
    changed = False
    for name, value in attributes.items():
        with explained(f"{what} ({name})"):
            field = fields.get(name) or manager.AddCustomFieldDef(name, machine, None, None)
            if present.get(field.key) != value:
                manager.SetField(vm, field.key, value)
                changed = True
    return changed
