# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/vsphere-permissions.md and the table of privileges that it is generated from."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

from ansible_collections.strata.layering.plugins.module_utils.vsphere.privileges import PRIVILEGES, Scope
from ansible_collections.strata.layering.tests.support import simulator_fixtures

shared_simulator = simulator_fixtures.shared_simulator

_CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
_PAGE = _CHECKOUT / "docs" / "vsphere-permissions.md"


def test_page_is_up_to_date():
    tool = [sys.executable, str(_CHECKOUT / "tests" / "tools" / "permissions.py")]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_commands_of_the_page_create_roles_with_all_privileges():
    commands = _PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    roles = re.findall(r"govc role\.create (\S+) (.*)", commands)
    granted = [set(privileges.split()) for _role, privileges in roles]
    assert set().union(*granted) == {privilege.id for privilege in PRIVILEGES}
    assert len(roles) == len(Scope) - 1
    assert all(
        re.search(rf"permissions\.set .*-role {re.escape(role)} -propagate=true /", commands)
        for role, _privileges in roles
    )
    assert all(f"New-VIRole -Name {role} " in commands for role, _privileges in roles)


def test_privileges_exist_in_vcenter(shared_simulator):
    roles = shared_simulator.connect().RetrieveContent().authorizationManager.roleList
    known = {privilege for role in roles if role.name == "Admin" for privilege in role.privilege}
    assert {privilege.id for privilege in PRIVILEGES} <= known


def test_privileges_are_listed_once():
    places = [(privilege.id, privilege.scope, task) for privilege in PRIVILEGES for task in privilege.tasks]
    assert len(places) == len(set(places))
