# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role distribution and its playbook."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.strata.layering.tests.support.module_options import connector
from ansible_collections.strata.layering.tests.support.modules import state_of
from ansible_collections.strata.layering.tests.support.playbooks import PlaybookRun, keep_variables, run_plays
from ansible_collections.strata.layering.tests.support.sites import LAYERS, TEMPLATE, add_version
from ansible_collections.strata.layering.tests.support.transfers import EVERYTHING, actions, layer, layers_of, push
from ansible_collections.strata.layering.tests.support.webhooks import WebServer, served

_ROLE = {"name": "strata.layering.distribution"}


def _include(fact: str, **variables: Any) -> list[dict]:
    """Return tasks that run the role with variables, and keep its transfers as the fact ``fact``."""
    return [
        {"name": fact, "ansible.builtin.include_role": _ROLE, "vars": variables},
        {"name": fact, "ansible.builtin.set_fact": {fact: "{{ distribution_transfers | default([]) }}"}},
    ]


def _run(folder, tasks: list[dict], variables: dict, *facts: str, flags: tuple[str, ...] = ()) -> PlaybookRun:
    kept = [keep_variables(folder / "variables.json", *facts)] if facts else []
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [*tasks, *kept]}
    return run_plays(folder, [play], variables, *flags)


def _variables(site, registry: dict) -> dict:
    return {
        "layering_repository": os.fspath(site.path),
        "layering_registry": registry["registry"],
        "layering_registry_plain_http": True,
    }


def test_role_pushes_pulls_and_deletes(berlin, madrid, registry, tmp_path):
    (tmp_path / "share").mkdir()
    share = {
        "name": "share",
        "file_share": os.fspath(tmp_path / "share"),
        "layers": [{"kind": "app", "name": "Runtime"}],
    }
    pushes = [EVERYTHING, share]
    tool = {"layers": [{"kind": "app", "name": "Tool", "version": "1.9"}]}
    tasks = [
        *_include("pushed", distribution_push=pushes),
        *_include("again", distribution_push=pushes),
        *_include(
            "pulled",
            distribution_repository=os.fspath(madrid.path),
            distribution_pull=[EVERYTHING],
            distribution_absent=[tool],
        ),
    ]
    run = _run(tmp_path, tasks, _variables(berlin, registry), "pushed", "again", "pulled")
    assert run.code == 0, run.output
    found = {name: {item["action"] for item in items} for name, items in run.variables.items()}
    assert found == {"pushed": {"copied"}, "again": {"kept"}, "pulled": {"copied", "deleted"}}
    assert set(layers_of(madrid)) == set(LAYERS)


def test_check_mode_of_the_site_knows_what_is_created_first(berlin, madrid, registry, tmp_path):
    push(berlin, registry, **EVERYTHING)
    add_version(berlin, "New", "1")
    before = state_of(berlin.path), state_of(madrid.path)
    variables = _variables(madrid, registry) | {
        "distribution_pull": [EVERYTHING],
        "distribution_push": [{"layers": [{"kind": "app", "name": "Planned"}]}],
        "strata_layering_pending_layers": [{"kind": "app", "name": "Planned", "version": "1", "action": "create"}],
    }
    run = _run(
        tmp_path, _include("transfers"), variables, "transfers", "strata_layering_pending_layers", flags=("--check",)
    )
    assert run.code == 0, run.output
    assert {item["action"] for item in run.variables["transfers"]} == {"copied"}
    pending = {
        (item["kind"], item["name"], item["version"]) for item in run.variables["strata_layering_pending_layers"]
    }
    assert pending == {*LAYERS, ("app", "Planned", "1")}
    assert "would transfer Planned after creating it" in run.output
    assert (state_of(berlin.path), state_of(madrid.path)) == before


def test_check_mode_of_a_pull_knows_the_connectors_that_are_created_first(berlin, madrid, registry, tmp_path):
    push(berlin, registry, **EVERYTHING)
    variables = _variables(madrid, registry) | {
        "distribution_pull": [EVERYTHING | {"connectors": {"desktops": "new"}}],
        "layered_image_connectors": [connector(name="new")],
    }
    checked = _run(tmp_path, _include("transfers"), variables, flags=("--check",))
    assert checked.code == 0, checked.output
    assert "would transfer after creating new" in checked.output
    variables["distribution_pull"] = [EVERYTHING | {"connectors": {"desktops": "unknown"}}]
    assert _run(tmp_path, _include("transfers"), variables, flags=("--check",)).code != 0


def test_failed_entry_does_not_stop_the_others(berlin, registry, tmp_path):
    entries = [{"layers": [layer(name)]} for name in ("Missing", "Runtime")]
    variables = _variables(berlin, registry) | {"distribution_push": entries}
    run = run_plays(tmp_path, [{"ansible.builtin.import_playbook": "strata.layering.distribute"}], variables)
    assert run.code != 0
    assert "does not have the app layer Missing" in run.output
    again = push(berlin, registry, layers=[layer("Runtime")])
    assert set(actions(again).values()) == {"kept"}


def test_playbook_notifies_of_transfers_conflicts_and_failures(berlin, madrid, registry, tmp_path):
    push(berlin, registry, **EVERYTHING)
    variables = _variables(madrid, registry) | {
        "distribution_pull": [
            {"name": "office", "templates": [TEMPLATE], "connectors": {"desktops": "missing"}},
            {"layers": [layer("Runtime")]},
        ],
        "distribution_push": [{"name": "gone", "layers": [layer("Missing")]}],
    }
    with served(WebServer()) as web:
        variables["notifications_webhooks"] = [web.hook("chat")]
        run = run_plays(tmp_path, [{"ansible.builtin.import_playbook": "strata.layering.distribute"}], variables)
        assert run.code != 0
        assert web.events("chat") == [
            [
                ("transfer_conflict", "pull from office"),
                ("transfer_failed", "push to gone"),
                ("transfer_finished", f"pull from {registry['registry']}"),
            ]
        ]
