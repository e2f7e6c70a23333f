# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A publish whose preflight fails composes nothing and changes nothing in vSphere; check mode foresees it."""

from __future__ import annotations

from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template, connector
from ansible_collections.strata.layering.tests.support.modules import fails, run
from ansible_collections.strata.layering.tests.support.vcenter import machines

_CHANGES = {"CreateFolder", "ImportVApp", "AddCustomFieldDef", "ReconfigVM_Task", "PowerOnMultiVM_Task"}


def test_unreachable_host_fails_before_anything_is_composed(workspace, vcenter, simulator):
    add_app(workspace)
    add_template(workspace)
    run("connector", **workspace.options, **connector(custom_attributes={"Image": "$template"}))
    simulator.set_host_address(name="esx-7.invalid")
    simulator.clear_journal()
    for check in (True, False):
        failed = fails(
            "layered_image_publish",
            "preflight.failed",
            **workspace.options,
            **vcenter,
            templates=["office"],
            check=check,
        )
        assert "esx-7.invalid" in failed["msg"]
    task = failed["tasks"][0]
    assert task["status"] == "Failed"
    assert {check["name"]: check["result"] for check in task["preflight"]}["hosts"] == "fail"
    assert "compose" not in task["timings"]
    assert not _CHANGES & {entry["method"] for entry in simulator.journal()}
    assert set(machines(simulator)) == {"windows-template"}
    simulator.set_host_address(name="127.0.0.1")
    done = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    assert done["status"] == "Complete"
    assert "fail" not in {check["result"] for check in done["preflight"]}


def test_connector_test_returns_checks_and_refuses(workspace, vcenter, simulator):
    options = {**workspace.options, **connector(), **vcenter, "test": True}
    tested = run("connector", **options)
    assert {check["name"] for check in tested["checks"]} >= {"hosts", "free_space", "import_specification"}
    simulator.set_host_address(name="esx-7.invalid")
    failed = fails("connector", "preflight.failed", **options)
    assert "esx-7.invalid" in failed["msg"]
