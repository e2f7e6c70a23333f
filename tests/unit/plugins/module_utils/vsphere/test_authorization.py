# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about the privileges of the user, on servers that do not answer all of them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pyVmomi import vim

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.vsphere import authorization
from ansible_collections.strata.layering.plugins.module_utils.vsphere.authorization import (
    missing_privileges,
    reads_everything,
)


def test_missing_privileges_of_the_administrator_are_none(session):
    assert missing_privileges(session, {session.content.rootFolder: ("VApp.Import", "System.Read")}) == {}


@pytest.mark.parametrize(
    ("fault", "code"), [("NoPermission", "vsphere.permission"), ("NotSupported", "vsphere.not_supported")]
)
def test_missing_privileges_that_vcenter_refuses_is_an_error_with_its_fault(session, simulator, fault, code):
    simulator.rules.add("Has*PrivilegeOnEntities", fault=fault, count=None)
    with pytest.raises(StrataError) as caught:
        missing_privileges(session, {session.content.rootFolder: ("VApp.Import",)})
    assert (caught.value.code, caught.value.details["fault"]) == (code, fault)


def test_missing_privileges_are_those_that_user_and_session_lack(session, simulator, monkeypatch):
    """vCenter may not find every group of a user by name, whose session has the privileges of all."""

    def denied(_manager, entities, _user, names):
        availability = vim.AuthorizationManager.PrivilegeAvailability
        found = [availability(privId=name, isGranted=False) for name in names]
        return [vim.AuthorizationManager.EntityPrivilege(entity=item, privAvailability=found) for item in entities]

    monkeypatch.setattr(vim.AuthorizationManager, "HasUserPrivilegeOnEntities", denied)
    root = session.content.rootFolder
    assert missing_privileges(session, {root: ("VApp.Import",)}) == {}
    simulator.rules.add("HasPrivilegeOnEntities", fault="NotSupported", count=None)
    assert missing_privileges(session, {root: ("VApp.Import",)}) == {root: ["VApp.Import"]}


@pytest.mark.parametrize(
    ("method", "fault", "everything"),
    [
        ("Has*PrivilegeOnEntities", "NoPermission", False),
        ("Has*PrivilegeOnEntities", "NotSupported", True),
        ("RetrieveEntityPermissions", "NoPermission", True),
        ("RetrieveEntityPermissions", "NotSupported", True),
    ],
)
def test_reads_everything_without_an_answer(session, simulator, method, fault, everything):
    simulator.rules.add(method, fault=fault, count=None)
    assert reads_everything(session) is everything


def permission(principal, *, propagate, group=False):
    return SimpleNamespace(principal=principal, propagate=propagate, group=group)


@pytest.mark.parametrize(
    ("permissions", "everything"),
    [
        ([permission("VSPHERE.LOCAL\\ADMINISTRATOR", propagate=True)], True),
        ([permission("administrator@vsphere.local", propagate=False)], False),
        # A permission of the user itself precedes those of groups.
        (
            [permission("administrator@vsphere.local", propagate=False), permission("all", propagate=True, group=True)],
            False,
        ),
        ([permission("all", propagate=True, group=True), permission("some", propagate=False, group=True)], True),
        ([permission("all", propagate=False, group=True)], False),
        ([permission("other@vsphere.local", propagate=False)], True),
        ([], True),
    ],
)
def test_reads_everything_depends_on_the_permission_that_applies(monkeypatch, permissions, everything):
    manager = SimpleNamespace(RetrieveEntityPermissions=lambda _root, _inherited: permissions)
    session = SimpleNamespace(
        content=SimpleNamespace(authorizationManager=manager, sessionManager=None, rootFolder=None)
    )
    user = SimpleNamespace(userName="VSPHERE.LOCAL\\Administrator")
    monkeypatch.setattr(authorization, "missing_privileges", lambda _session, _needed: {})
    monkeypatch.setattr(authorization, "read", lambda *_arguments, **_options: {"currentSession": user})
    assert reads_everything(session) is everything
