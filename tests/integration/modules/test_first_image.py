# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook "Your first image" of the README runs on the vSphere simulator."""

from __future__ import annotations

import os
import pathlib
import re

import pytest
import yaml

from ansible_collections.strata.layering.tests.sample.plan import Spec
from ansible_collections.strata.layering.tests.sample.seed import seed
from ansible_collections.strata.layering.tests.support.modules import run

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_COLLECTION = "strata.layering."


def _playbook(names: dict[str, str]) -> dict:
    """Return the play of the README with the names of the simulator in place of those of the example."""
    readme = (_ROOT / "README.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```yaml\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    for example, name in names.items():
        assert example in block
        block = block.replace(example, name)
    [play] = yaml.safe_load(block)
    return play


def _module_options(play: dict, connection: dict) -> list[tuple[str, dict]]:
    """Return module and options of each task, with the defaults of the action groups."""
    groups = yaml.safe_load((_ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]
    tasks = []
    for task in play["tasks"]:
        for action, options in task.items():
            if not action.startswith(_COLLECTION):
                continue
            module = action.removeprefix(_COLLECTION)
            defaults = {}
            for group, values in play["module_defaults"].items():
                if module in groups[group.removeprefix(f"group/{_COLLECTION}")]:
                    defaults |= values
            if "hostname" in defaults:
                defaults |= connection
            tasks.append((module, defaults | options))
    return tasks


@pytest.fixture
def tasks(vcenter, simulator, tmp_path) -> list[tuple[str, dict]]:
    seed(simulator, "win11-os", spec=Spec("small"))
    program = tmp_path / "packages" / "tool" / "Program Files" / "Tool" / "tool.exe"
    program.parent.mkdir(parents=True)
    program.write_bytes(b"MZ tool")
    (tmp_path / "share").mkdir()
    repository = os.fspath(tmp_path / "layers")
    run("repository", repository=repository)
    names = {
        "/srv/layers": repository,
        "/srv/packages": os.fspath(tmp_path / "packages"),
        "/mnt/share": os.fspath(tmp_path / "share"),
        "Berlin": "DC0",
        "cluster: VDI": "cluster: DC0_C0",
        "vsan": "LocalDS_0",
        "golden-hardware": "windows-template",
    }
    return _module_options(_playbook(names), vcenter)


def test_readme_playbook_publishes_an_image_and_is_idempotent(tasks):
    modules = [module for module, _options in tasks]
    results = [run(module, **options) for module, options in tasks]
    assert modules[-1] == "layered_image_publish"
    assert results[-1]["tasks"][0]["status"] == "Complete"
    assert [result["changed"] for result in results] == [True] * len(tasks)
    again = [run(module, **options)["changed"] for module, options in tasks]
    assert again == [False] * len(tasks)
