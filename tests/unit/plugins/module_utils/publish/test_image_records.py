# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the VM of a recorded image."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.vsphere_records import MachineRecord
from ansible_collections.strata.layering.plugins.module_utils.common.errors import NotFound
from ansible_collections.strata.layering.plugins.module_utils.publish import image_records
from ansible_collections.strata.layering.tests.support.published_vms import published_vm

RECORD = MachineRecord("office-1", "vm-office-1", "uuid-office-1")


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (published_vm(extra_config={}, accessible=False, instance_uuid=""), True),
        # The ID belongs to a different VM: vCenter was restored from a backup.
        (published_vm(instance_uuid="other"), False),
        (None, False),
    ],
)
def test_read_machine_that_has_no_configuration_is_found_by_its_id(monkeypatch, facts, found):
    def not_found(*_arguments, **_options):
        raise NotFound("No virtual machine has the instance UUID.", code="vsphere.not_found")

    monkeypatch.setattr(image_records, "Inventory", lambda _session: SimpleNamespace(vm=not_found))
    monkeypatch.setattr(image_records, "read_facts", lambda _session, _vm: facts or not_found())
    session = SimpleNamespace(object=lambda _kind, moid: moid)
    assert (image_records.read_machine(session, RECORD) is not None) is found


def test_read_machine_without_instance_uuid_is_none():
    assert image_records.read_machine(None, MachineRecord("office-1", path="/DC/vm/office-1")) is None
