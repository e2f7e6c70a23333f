# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the packaging machine of a layer version."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.vsphere_records import MachineRecord
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict
from ansible_collections.strata.layering.plugins.module_utils.packaging import machine
from ansible_collections.strata.layering.tests.support.published_vms import published_vm

KEY = "app/Tool/1.0"
RECORD = SimpleNamespace(vm=MachineRecord("tool-packaging-1", "vm-1", "uuid-1"))
SETTINGS = {machine.KEY_LAYER: KEY}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"extra_config": SETTINGS, "template": True}, "packaging.template"),
        ({"extra_config": {}}, "packaging.no_mark"),
        ({"extra_config": {}, "accessible": False}, "packaging.inaccessible"),
    ],
)
def test_find_machine_that_was_changed_is_a_conflict(monkeypatch, changes, code):
    """No state of the module removes such a VM."""
    monkeypatch.setattr(machine, "read_machine", lambda _session, _record: published_vm(**changes))
    with pytest.raises(Conflict) as raised:
        machine.find_machine(None, KEY, RECORD, None, "tool-packaging-")
    assert raised.value.code == code


def test_find_machine_returns_the_recorded_vm(monkeypatch):
    facts = published_vm("renamed", extra_config=SETTINGS)
    monkeypatch.setattr(machine, "read_machine", lambda _session, _record: facts)
    assert machine.find_machine(None, KEY, RECORD, None, "tool-packaging-") is facts
