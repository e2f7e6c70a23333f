# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One repository for several vCenters: what is published in one is no business of another's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.tests.integration.modules.conftest import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import converges, run, state_of
from ansible_collections.strata.layering.tests.support.simulator import Simulator
from ansible_collections.strata.layering.tests.support.vcenter import machines, options_of


@pytest.fixture
def other() -> Iterator[Simulator]:
    """A second vCenter, with the same names in it."""
    with Simulator(template="windows-template") as running:
        running.guest("true")
        yield running


def names(simulator: Simulator) -> list[str]:
    """All machines that are no templates."""
    return [machine["name"] for machine in simulator.machines() if not machine["template"]]


def test_each_has_its_images_and_keeps_its_own(workspace, vcenter, simulator, other):
    add_app(workspace)
    add_template(workspace)
    here, there = (
        {**workspace.options, **vcenter, "templates": ["office"]},
        {**workspace.options, **options_of(other), "templates": ["office"]},
    )
    first = run("layered_image_publish", **here)

    def look() -> tuple:
        return machines(simulator), machines(other), state_of(workspace.path)

    second = converges("layered_image_publish", look, **there)
    found = [task["vcenter"]["instance_uuid"] for result in (first, second) for task in result["tasks"]]
    assert len(set(found)) == 2 and names(simulator) == names(other)
    assert run("layered_image_publish", **here)["changed"] is False
    recorded = run("layered_image_info", **workspace.options)["images"]
    assert sorted(image["vcenter"]["instance_uuid"] for image in recorded) == sorted(found)

    add_app(workspace, version="1.1")
    add_template(workspace, apps=(("Tool", "1.1"),))
    old = names(other)
    run("layered_image_publish", **here, keep=0)
    assert names(other) == old != names(simulator)
    run("layered_image_publish", **there, keep=0)
    assert names(other) == names(simulator) and len(names(other)) == 1
    assert len(run("layered_image_info", **workspace.options)["images"]) == 2


def test_canceling_in_the_wrong_one_says_where_it_goes_on(workspace, vcenter, simulator, other):
    simulator.guest(mode="hang")
    add_app(workspace)
    add_template(workspace, publish_mode="manual")
    run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])
    before = machines(simulator), state_of(workspace.path)
    there = {**workspace.options, **options_of(other), "templates": ["office"], "state": "canceled"}
    wrong = run("layered_image_publish", **there)
    assert wrong["changed"] is False and (machines(simulator), state_of(workspace.path)) == before
    assert f"but in {simulator.host}: give that as hostname" in str(wrong["warnings"])
    # Nor does what waits there keep it from being published here.
    add_template(workspace, publish_mode="automatic")
    assert run("layered_image_publish", **there | {"state": "present"})["tasks"][0]["status"] == "Complete"
    assert len(names(simulator)) == 1
    assert (
        run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], state="canceled")["tasks"][
            0
        ]["status"]
        == "Canceled"
    )
    assert names(simulator) == [] and len(names(other)) == 1
