# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The list at the end of ``site --check``, compared with what the run then does."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.strata.layering.tests.support.module_options import connector
from ansible_collections.strata.layering.tests.support.playbooks import keep_variables, run_plays
from ansible_collections.strata.layering.tests.support.vcenter import machines


@pytest.fixture
def site(exported, vcenter, tmp_path):
    """Runs the playbook site with variables; returns the plan of the role layered_image, None without check mode."""
    keep = keep_variables(tmp_path / "variables.json", "layered_image_planned")
    plays = [
        {"ansible.builtin.import_playbook": "strata.layering.site"},
        {"hosts": "localhost", "gather_facts": False, "tasks": [keep]},
    ]
    values = {f"layering_{name}": value for name, value in vcenter.items()} | {
        "layering_repository": str(tmp_path / "repository"),
        "layering_file_share": str(exported),
        "composer_install": False,
        "os_layer_versions": [
            {"name": "Windows 11", "version": "1.0", "max_layer_size_gb": 1, "ovf_package": "gold/gold-w11.ovf"}
        ],
        "app_layer_os_layer": {"name": "Windows 11"},
        "layered_image_connectors": [connector()],
    }

    def run_site(*flags: str, **more: object) -> Any:
        done = run_plays(tmp_path, plays, values | more, *flags)
        assert done.code == 0, done.output
        return done.variables["layered_image_planned"]

    return run_site


def test_check_of_the_site_agrees_with_the_run(site, simulator, tmp_path):
    def version(number: str) -> dict:
        folder = tmp_path / f"Tool-{number}" / "Program Files" / "Tool"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tool.txt").write_text(number)
        return {"name": "Tool", "version": number, "files": str(tmp_path / f"Tool-{number}")}

    def template(name: str, tool: str) -> dict:
        return {
            "name": name,
            "connector": "desktops",
            "os_layer": {"name": "Windows 11", "version": "latest"},
            "app_layers": [{"name": "Tool", "version": tool}],
        }

    templates = {"layered_image_templates": [template("office", "latest"), template("kiosk", "1.9")]}

    # A new repository: nothing exists, and everything is known.
    first = {"app_layer_versions": [version("1.9")]} | templates
    planned = site("--check", **first)
    assert planned["new_repository"]
    assert {image["template"] for image in planned["images"] if image["publish"]} == {"office", "kiosk"}
    assert all(
        [layer["version"] for layer in image["planned"]["layers"]] == ["1.0", "1.9"] for image in planned["images"]
    )
    assert not (tmp_path / "repository").exists()

    before = machines(simulator)
    site(**first)
    created = machines(simulator).keys() - before.keys()
    assert {name.rpartition("-")[0] for name in created} == {"office", "kiosk"}

    # One new version: only the template that asks for the newest version is published.
    second = {"app_layer_versions": [version("1.9"), version("1.10")]} | templates
    planned = site("--check", **second)
    publish = {image["template"]: image for image in planned["images"]}
    assert {name: image["publish"] for name, image in publish.items()} == {"office": True, "kiosk": False}
    assert publish["office"]["changes"] == [
        {"kind": "app", "name": "Tool", "before": "1.9", "after": "1.10", "latest": True}
    ]
