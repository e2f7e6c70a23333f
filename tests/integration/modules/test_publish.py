# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of publishing, and what a later run does after each end that a run can have."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.integration.modules.conftest import add_app, add_template
from ansible_collections.strata.layering.tests.integration.modules.test_vsphere_modules import machine_of, machines, vcenter  # noqa: F401
from ansible_collections.strata.layering.tests.support.modules import converges, run, state_of

SCRIPTS = "guestinfo.strata.layering.scripts."


@pytest.fixture
def office(room):
    """The template office: returns its document."""
    add_app(room)
    return add_template(room)["template"]


def reports(template: dict, **values: str) -> str:
    """A shell command by which a guest reports on the scripts of a template's image."""
    values = {"image": template["content_digest"].partition(":")[2][:16]} | values
    return "; ".join(f"echo '{SCRIPTS}{key}={value}'" for key, value in values.items())


def publish(room, vcenter, **options) -> dict:  # noqa: F811
    """Publish the template office; returns its task."""
    return run("layered_image_publish", **room.options, **vcenter, templates=["office"], **options)["tasks"][0]


def test_manual_mode_waits_for_a_person(room, vcenter, simulator):  # noqa: F811
    simulator.guest(mode="hang")
    add_app(room)
    add_template(room, publish_mode="manual")

    def look() -> tuple:
        return machines(simulator), state_of(room.path)

    task = converges("layered_image_publish", look, **room.options, **vcenter, templates=["office"])["tasks"][0]
    assert task["status"] == "ActionRequired" and task["step"] == "power on"
    machine = machines(simulator)[task["vm"]["name"]]
    assert task["vm"]["name"] in task["description"] and "/DC0/vm/Images/Desktops" in task["description"]
    assert machine["power"] == "poweredOn" and not machine["snapshots"]
    machine_of(simulator.connect(), task["vm"]["moid"]).PowerOffVM_Task()
    done = converges("layered_image_publish", look, **room.options, **vcenter, templates=["office"])["tasks"][0]
    assert done["status"] == "Complete" and done["id"] == task["id"] and done["vm"]["moid"] == task["vm"]["moid"]


def test_a_script_that_fails_asks_for_a_person(room, vcenter, simulator, office):  # noqa: F811
    failing = {"state": "failed", "current": "1/2 app layer Tool 1.0", "code": "5", "output": "no license server"}
    simulator.guest(reports(office, **failing) + "; sleep 600")
    task = publish(room, vcenter)
    assert task["status"] == "ActionRequired" and not machines(simulator)[task["vm"]["name"]]["snapshots"]
    for part in ("1/2 app layer Tool 1.0", "exit code 5", "no license server", task["vm"]["name"]):
        assert part in task["description"]
    again = run("layered_image_publish", **room.options, **vcenter, templates=["office"])
    assert again["changed"] is False and again["tasks"][0]["description"] == task["description"]
    # Somebody restarts Windows after having corrected it: the machine is off when the next run looks, and is started again.
    machine_of(simulator.connect(), task["vm"]["moid"]).PowerOffVM_Task()
    simulator.guest(reports(office, state="running", current="1/2 app layer Tool 1.0") + "; sleep 1; " + reports(office, state="finished"))
    done = publish(room, vcenter)
    assert done["status"] == "Complete" and done["scripts"]["state"] == "finished" and done["vm"]["moid"] == task["vm"]["moid"]
    assert len(machines(simulator)[done["vm"]["name"]]["snapshots"]) == 1
