# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example docs/examples/horizon_rollout.yml on both simulators: a new image reaches all pools, or none keeps it."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator

import pytest
import yaml

from ansible_collections.strata.layering.tests.support.horizon_fixtures import check_contract
from ansible_collections.strata.layering.tests.support.horizon_simulator import HorizonSimulator
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template
from ansible_collections.strata.layering.tests.support.modules import run
from ansible_collections.strata.layering.tests.support.playbooks import run_plays

_EXAMPLE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "examples" / "horizon_rollout.yml"
_POOLS = ("canary", "sales", "finance")


@pytest.fixture(name="pod")
def _pod(simulator) -> Iterator[HorizonSimulator]:
    with HorizonSimulator([simulator]) as running:
        running.settings(pending_seconds=0, publish_seconds=0, rebuild_seconds=0)
        yield running
        check_contract(running)


def images(pod: HorizonSimulator) -> dict[str, str]:
    """Return the managed object ID of the VM that is the current image of each pool."""
    return {name: pod.pool(name)["vm"] for name in _POOLS}


def test_rollout_reaches_all_pools_or_is_taken_back(workspace, vcenter, simulator, pod, monkeypatch):
    def publish(**options) -> dict:
        return run("layered_image_publish", **workspace.options, **vcenter, templates=["office"], **options)["tasks"][0]

    def roll_out(smoke_test: str, *flags: str):
        values = {
            "rollout_repository": str(workspace.path),
            "rollout_template": "office",
            "rollout_canary": "canary",
            "rollout_production": ["sales", "finance"],
            "rollout_smoke_test": [smoke_test],
        }
        plays = yaml.safe_load(_EXAMPLE.read_text(encoding="utf-8"))
        plays = [play | {"hosts": "localhost"} for play in plays]
        return run_plays(workspace.tmp_path, plays, {}, "-e", json.dumps(values), *flags)

    for name, value in (simulator.environment() | {"VMWARE_CA_PATH": simulator.ca_file} | pod.environment()).items():
        monkeypatch.setenv(name, value)

    def add_version(version: str) -> None:
        add_app(workspace, version=version)
        add_template(workspace, apps=(("Tool", version),))

    add_version("1.0")
    first = publish()
    for name in _POOLS:
        pod.add_pool(name, first["vm"]["moid"], first["snapshot"])

    add_version("1.1")
    done = roll_out("true", "--check")
    assert done.code == 0, done.output
    assert images(pod) == dict.fromkeys(_POOLS, first["vm"]["moid"])
    done = roll_out("true")
    assert done.code == 0, done.output
    second = publish(check=True)["vm"]["moid"]
    assert second != first["vm"]["moid"]
    assert images(pod) == dict.fromkeys(_POOLS, second)

    add_version("1.2")
    pod.clear_journal()
    done = roll_out("false")
    assert done.code != 0
    assert "Run the smoke test" in done.output.split("TASK [")[-1]
    assert publish(check=True)["vm"]["moid"] not in (first["vm"]["moid"], second)
    assert images(pod) == dict.fromkeys(_POOLS, second)
    pushed = [entry["path"].split("/")[4] for entry in pod.journal("POST", "schedule-push-image")]
    assert pushed == [pod.pool("canary")["id"]] * 2

    # A push that does not end as it should says why.
    pod.change_pool("canary", enable_provisioning=False)
    done = roll_out("true")
    assert done.code != 0
    assert pod.pool("canary")["vm"] == second
    assert "provisioning" in done.output.split("TASK [")[-1]
