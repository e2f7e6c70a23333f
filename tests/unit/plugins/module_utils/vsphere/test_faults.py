# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors for vSphere's faults."""

from __future__ import annotations

import pytest
from pyVmomi import vim, vmodl

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Unavailable
from ansible_collections.strata.layering.plugins.module_utils.vsphere.faults import fault_error, fault_text

SAID = "Permission to perform this operation was denied."
FOLDER, STORE = vim.Folder("group-v3"), vim.Datastore("datastore-12")


def test_fault_error_names_the_privilege_of_older_servers():
    found = fault_error(
        vim.fault.NoPermission(msg=SAID, object=FOLDER, privilegeId="VApp.Import"), "Creating the virtual machine X"
    )
    assert isinstance(found, Unavailable)
    assert found.code == "vsphere.permission"
    assert found.message == (
        "Creating the virtual machine X failed: Permission to perform this operation was denied (privilege VApp.Import on Folder group-v3) (NoPermission)."
    )


def test_fault_error_names_the_privileges_of_newer_servers():
    missing = vim.fault.NoPermission.EntityPrivileges
    fault = vim.fault.NoPermission(
        msg=SAID,
        missingPrivileges=[
            missing(entity=FOLDER, privilegeIds=["VApp.Import", "VirtualMachine.Inventory.Create"]),
            missing(entity=STORE, privilegeIds=["Datastore.AllocateSpace"]),
        ],
    )
    assert (
        "(privileges VApp.Import, VirtualMachine.Inventory.Create on Folder group-v3; privilege Datastore.AllocateSpace on Datastore datastore-12)"
        in (fault_text(fault))
    )


def test_fault_error_without_a_privilege():
    found = fault_error(vim.fault.NoPermission(), "Powering on X")
    assert found.message == "Powering on X failed: permission was denied (NoPermission)."
    assert "that privilege" not in found.hint


@pytest.mark.parametrize("text", ["The object 'vim.HttpNfcLease:{}' has already been deleted", "{}", "gone: {}, {}"])
def test_fault_text_hides_session_identifiers(text):
    secret = "session[52c1aa0e-9a0b-4b0c-fe1d-1d2c3b4a5968]5277ff10-3ea4-0a1b-2c3d-4e5f60718293"
    for shown in (secret, secret.replace("[", "%5b").replace("]", "%5D")):
        text = fault_text(vmodl.fault.ManagedObjectNotFound(msg=text.format(shown, shown)))
        assert "52c1aa0e" not in text
        assert "5277ff10" not in text
        assert "session" in text
