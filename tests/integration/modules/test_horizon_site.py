# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks layered_image and horizon one after the other, as in site.yml, on both simulators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.strata.layering.tests.support.horizon_fixtures import check_contract
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template, connector
from ansible_collections.strata.layering.tests.support.modules import run, state_of
from ansible_collections.strata.layering.tests.support.playbooks import keep_variables, run_plays
from ansible_collections.strata.layering.tests.support.vcenter import machines

_PLAYBOOKS = ("layered_image", "horizon")


@pytest.fixture(name="pod")
def _pod(simulator) -> Iterator[HorizonSimulator]:
    with HorizonSimulator([simulator]) as running:
        running.settings(pending_seconds=0, publish_seconds=0, rebuild_seconds=0)
        yield running
        check_contract(running)


@pytest.fixture(name="site")
def _site(workspace, vcenter, pod):
    """Runs the playbooks with a version of the app layer, after creating the version; returns the run and its result."""
    keep = keep_variables(workspace.tmp_path / "variables.json", "horizon_pushed", "layered_image_published")
    plays = [
        *({"ansible.builtin.import_playbook": f"strata.layering.{name}"} for name in _PLAYBOOKS),
        {"hosts": "localhost", "gather_facts": False, "tasks": [keep]},
    ]
    values = {f"layering_{name}": value for name, value in vcenter.items()}
    values |= {f"layering_horizon_{name}": value for name, value in pod.options().items()}

    def play(version: str, *flags: str, **more: Any) -> dict:
        template = {
            "name": "office",
            "connector": "desktops",
            "os_layer": {"name": "Windows 11", "version": "1.0"},
            "app_layers": [{"name": "Tool", "version": version}],
        }
        variables = {
            "layering_repository": str(workspace.path),
            "layered_image_connectors": [connector()],
            "layered_image_templates": [template],
            "layered_image_keep": 0,
            "horizon_pools": [{"name": "sales", "template": "office"}],
            "horizon_wait_sleep": 1,
        }
        done = run_plays(workspace.tmp_path, plays, values | variables | more, *flags)
        assert done.code == 0, done.output
        return {"output": done.output} | done.variables

    return play


def test_image_is_published_and_pushed_and_kept_while_horizon_uses_it(workspace, simulator, vcenter, pod, site):
    add_app(workspace)
    planned = site("1.0", "--check")
    assert "would push the image of office to the pool sales" in planned["output"]
    assert planned["horizon_pushed"] == {"changed": True, "tasks": []}
    assert pod.journal() == []

    add_template(workspace)
    first = run("layered_image_publish", **workspace.options, **vcenter, templates=["office"])["tasks"][0]
    for pool in ("sales", "finance"):
        pod.add_pool(pool, first["vm"]["moid"], first["snapshot"])
    add_app(workspace, version="1.1")
    second = site("1.1")
    task = second["horizon_pushed"]["tasks"][0]
    assert (task["status"], task["image"]["moid"]) == ("Complete", pod.pool("sales")["vm"])
    assert task["previous"]["moid"] == first["vm"]["moid"]
    # Without a pool that uses it, keep would have removed the VM of the first image.
    assert first["vm"]["name"] in machines(simulator)
    assert any("finance" in warning for warning in second["layered_image_published"]["tasks"][0]["warnings"])

    state = (state_of(workspace.path), machines(simulator))
    again = site("1.1")
    assert again["horizon_pushed"]["changed"] is False
    assert (state_of(workspace.path), machines(simulator)) == state
