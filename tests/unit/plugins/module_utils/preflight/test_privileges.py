# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of privileges: a user with exactly the documented privileges, and with all except one."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import StrataError
from ansible_collections.strata.layering.plugins.module_utils.common.findings import FAIL, PASS, WARN
from ansible_collections.strata.layering.plugins.module_utils.preflight import privileges
from ansible_collections.strata.layering.plugins.module_utils.vsphere import authorization
from ansible_collections.strata.layering.plugins.module_utils.vsphere.privileges import (
    PRIVILEGES,
    Need,
    Task,
    privileges_for,
)
from ansible_collections.strata.layering.tests.support.least_privilege import OBJECTS, USERNAME, restrict

from .conftest import IMAGE, log_in, subject_on

#: A connector for which every privilege is needed.
OPTIONS = {"folder": "Images", "custom_attributes": {"Image": "$digest"}}
#: Cases that the tests' connector and VM template do not have.
_OTHER_CASES = (Need.STORAGE_POLICY, Need.SWAP_PLACEMENT)
PUBLISH = [privilege for privilege in privileges_for(Task.PUBLISH) if privilege.need not in _OTHER_CASES]


def checked(simulator, check=privileges.check, *, image=None, packaging=False, **options):
    with log_in(simulator) as session:
        subject = subject_on(session, image=image, **OPTIONS | options)
        return check(dataclasses.replace(subject, packaging=packaging))


def test_privileges_of_the_documentation_pass(simulator):
    restrict(simulator)
    assert checked(simulator)[0] == PASS
    assert checked(simulator, image=IMAGE)[0] == PASS


@pytest.mark.parametrize(
    "left_out",
    [privilege for privilege in PUBLISH if privilege.id != authorization.READ],
    ids=lambda privilege: f"{privilege.id} {privilege.scope.name}",
)
def test_privileges_without_one_name_it_and_its_object(simulator, left_out):
    restrict(simulator, [privilege for privilege in privileges_for(Task.PUBLISH) if privilege is not left_out])
    result, found, action = checked(simulator, image=IMAGE)
    assert (result, left_out.id in found) == (FAIL, True)
    assert any(path in found for path in OBJECTS[left_out.scope])
    assert action


@pytest.mark.parametrize("image", [None, IMAGE])
def test_privileges_on_the_root_folder_alone_are_a_warning(simulator, monkeypatch, image):
    """vCenter shows the objects below to a user who may not read the root folder itself."""
    monkeypatch.setattr(
        privileges, "missing_privileges", lambda session, _needed: {session.content.rootFolder: [authorization.READ]}
    )
    result, found, action = checked(simulator, image=image)
    assert (result, authorization.READ in found) == (WARN, True)
    assert action


@pytest.mark.parametrize(
    ("packaging", "image", "result"), [(True, IMAGE, FAIL), (False, IMAGE, PASS), (False, None, WARN)]
)
def test_privileges_of_packaging_machines_are_required_only_for_them(simulator, packaging, image, result):
    restrict(simulator, [item for item in PRIVILEGES if item.id != "VApp.Export"])
    found = checked(simulator, image=image, packaging=packaging)
    assert (found[0], "VApp.Export" in found[1]) == (result, result != PASS)


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({}, {"Folder.Create", "Global.SetCustomField", "Global.ManageCustomFields"}),
        ({"custom_attributes": {}}, {"Folder.Create"}),
        ({"folder": "", "custom_attributes": {}}, set()),
    ],
)
def test_privileges_are_needed_only_in_their_case(simulator, options, needed):
    cases = {"Folder.Create", "Global.SetCustomField", "Global.ManageCustomFields"}
    restrict(simulator, [item for item in PRIVILEGES if item.id not in cases])
    result, found, _action = checked(simulator, image=IMAGE, **options)
    assert {name for name in cases if name in found} == needed
    assert result == (FAIL if needed else PASS)


@pytest.mark.parametrize(("location", "result"), [("inherit", PASS), ("hostLocal", FAIL)])
def test_location_of_the_swap_file_needs_its_privilege(simulator, location, result):
    restrict(simulator, [item for item in PRIVILEGES if item.id != "VirtualMachine.Config.SwapPlacement"])
    with log_in(simulator) as session:
        subject = subject_on(session, image=IMAGE, **OPTIONS)
        subject.hardware.settings["swapPlacement"] = location
        assert privileges.check(subject)[0] == result


@pytest.mark.parametrize(("folder", "named"), [("Imagse", True), ("", False)])
def test_privileges_on_the_folder_above_a_missing_folder_name_that_folder(simulator, folder, named):
    restrict(simulator, [item for item in PRIVILEGES if item.id != "VirtualMachine.Inventory.Create"])
    result, found, _action = checked(simulator, image=IMAGE, folder=folder)
    assert (result, "Imagse" in found) == (FAIL, named)


def test_privileges_are_read_in_one_call(simulator):
    restrict(simulator)
    with log_in(simulator) as session:
        subject = subject_on(session, image=IMAGE, **OPTIONS)
        simulator.clear_journal()
        privileges.check(subject)
    assert len(simulator.journal(method="HasUserPrivilegeOnEntities")) == 1


def test_privileges_fall_back_to_the_session(simulator):
    restrict(simulator, [item for item in PRIVILEGES if item.id != "Network.Assign"])
    simulator.rules.add("HasUserPrivilegeOnEntities", fault="NotSupported", count=None)
    result, found, _action = checked(simulator)
    assert (result, "Network.Assign" in found) == (FAIL, True)


@pytest.mark.parametrize(
    ("grants", "result"),
    [
        ([{"entity": "/", "privileges": [], "propagate": True}], PASS),
        (
            [
                {"entity": "/", "privileges": [], "propagate": False},
                {"entity": "/DC0", "privileges": [], "propagate": True},
            ],
            WARN,
        ),
    ],
)
def test_visibility_warns_when_vms_may_be_hidden(simulator, grants, result):
    simulator.login = (USERNAME, simulator.user(USERNAME, grants))
    assert checked(simulator, privileges.check_visibility)[0] == result
    assert checked(simulator, privileges.check_visibility, image=IMAGE)[0] == PASS


def test_storage_policy_needs_the_privilege_to_find_it(simulator):
    policy = {"storage_policy": "vSAN Default Storage Policy"}
    restrict(simulator)
    assert checked(simulator, image=IMAGE, **policy)[0] == PASS
    restrict(simulator, [item for item in PRIVILEGES if item.id != "StorageProfile.View"])
    assert checked(simulator, image=IMAGE)[0] == PASS
    with pytest.raises(StrataError) as caught:
        checked(simulator, image=IMAGE, **policy)
    assert caught.value.code == "vsphere.permission"
    assert "StorageProfile.View" in caught.value.message
