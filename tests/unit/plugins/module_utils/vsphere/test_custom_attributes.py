# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Custom attributes of VMs."""

from __future__ import annotations

from ansible_collections.strata.layering.plugins.module_utils.vsphere import custom_attributes
from ansible_collections.strata.layering.plugins.module_utils.vsphere.custom_attributes import set_attributes


def values(session, machine) -> dict[str, str]:
    names = {field.key: field.name for field in session.content.customFieldsManager.field}
    return {names[entry.key]: entry.value for entry in machine.customValue}


def test_set_attributes_defines_and_sets_once(simulator, session, machine):
    assert set_attributes(session, machine, {"Image": "office", "Owner": "VDI"}) is True
    assert values(session, machine) == {"Image": "office", "Owner": "VDI"}
    simulator.clear_journal()
    assert set_attributes(session, machine, {"Image": "office", "Owner": "VDI"}) is False
    assert not {"AddCustomFieldDef", "SetField"} & {entry["method"] for entry in simulator.journal(kind="soap")}
    assert set_attributes(session, machine, {"Image": "kiosk"}) is True
    assert values(session, machine) == {
        "Image": "kiosk",
        "Owner": "VDI",
    }
    assert set_attributes(session, machine, {}) is False


def test_set_attributes_defined_by_another_client(simulator, session, machine, monkeypatch):
    """The attribute does not exist at the first look-up, and exists when it is to be created."""
    assert set_attributes(session, machine, {"Image": "office"}) is True
    real, looks = custom_attributes.read, []

    def read(session, item, *paths, **named):
        looks.append(paths)
        return {} if looks == [("field",)] else real(session, item, *paths, **named)

    monkeypatch.setattr(custom_attributes, "read", read)
    assert set_attributes(session, machine, {"Image": "kiosk"}) is True
    assert values(session, machine) == {"Image": "kiosk"}
