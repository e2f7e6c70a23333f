# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One repository for several vCenters: images in one vCenter do not affect the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import converges, run, state_of
from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.vcenter import machines, options_of


@pytest.fixture
def second_simulator() -> Iterator[Simulator]:
    """A second vCenter that contains the same names."""
    with Simulator(template="windows-template") as running:
        running.guest("true")
        yield running


def names(simulator: Simulator) -> list[str]:
    """Return the names of all VMs except templates."""
    return [machine["name"] for machine in simulator.machines() if not machine["template"]]


def test_publish_in_two_vcenters_keeps_images_separate(workspace, vcenter, simulator, second_simulator):
    add_app(workspace)
    add_template(workspace)
    in_first, in_second = (
        {**workspace.options, **vcenter, "templates": ["office"]},
        {**workspace.options, **options_of(second_simulator), "templates": ["office"]},
    )
    first = run("layered_image_publish", **in_first)

    def look() -> tuple:
        return machines(simulator), machines(second_simulator), state_of(workspace.path)

    second = converges("layered_image_publish", look, **in_second)
    found = [task["vcenter"]["instance_uuid"] for result in (first, second) for task in result["tasks"]]
    assert len(set(found)) == 2
    assert names(simulator) == names(second_simulator)
    assert run("layered_image_publish", **in_first)["changed"] is False
    recorded = run("layered_image_info", **workspace.options)["images"]
    assert sorted(image["vcenter"]["instance_uuid"] for image in recorded) == sorted(found)

    add_app(workspace, version="1.1")
    add_template(workspace, apps=(("Tool", "1.1"),))
    old = names(second_simulator)
    run("layered_image_publish", **in_first, keep=0)
    assert names(second_simulator) == old != names(simulator)
    run("layered_image_publish", **in_second, keep=0)
    assert names(second_simulator) == names(simulator)
    assert len(names(second_simulator)) == 1
    assert len(run("layered_image_info", **workspace.options)["images"]) == 2


def test_cancel_in_the_wrong_vcenter_warns(workspace, vcenter, simulator, second_simulator):
    simulator.guest(mode="hang")
    add_app(workspace)
    add_template(workspace, publish_mode="manual")
    run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])
    before = machines(simulator), state_of(workspace.path)
    in_second = {**workspace.options, **options_of(second_simulator), "templates": ["office"], "state": "canceled"}
    wrong = run("layered_image_publish", **in_second)
    assert wrong["changed"] is False
    assert (machines(simulator), state_of(workspace.path)) == before
    assert f"set hostname to {simulator.host}" in str(wrong["warnings"])
    # A publishing that waits in the first vCenter does not block the second.
    add_template(workspace, publish_mode="automatic")
    assert run("layered_image_publish", **in_second | {"state": "present"})["tasks"][0]["status"] == "Complete"
    assert len(names(simulator)) == 1
    assert (
        run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], state="canceled")["tasks"][
            0
        ]["status"]
        == "Canceled"
    )
    assert names(simulator) == []
    assert len(names(second_simulator)) == 1
