# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventories of docs/examples/two_sites: one site pushes and signs, the other verifies, pulls and publishes."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import pytest
import yaml

from ansible_collections.strata.layering.tests.support.module_options import connector
from ansible_collections.strata.layering.tests.support.modules import run, state_of
from ansible_collections.strata.layering.tests.support.playbooks import keep_variables, run_plays
from ansible_collections.strata.layering.tests.support.signing_keys import key_pair
from ansible_collections.strata.layering.tests.support.simulator_fixtures import simulator  # noqa: F401  pylint: disable=unused-import
from ansible_collections.strata.layering.tests.support.sites import TEMPLATE
from ansible_collections.strata.layering.tests.support.vcenter import machines, options_of
from ansible_collections.strata.layering.tests.support.webhooks import WebServer, served

_EXAMPLE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "examples" / "two_sites"
#: The names that the first site of the tests has in the place of those of the example.
_NAMES = {"office-desktop": TEMPLATE, "test-cluster": "desktops"}


def _variables(name: str) -> dict[str, Any]:
    text = (_EXAMPLE / f"inventory.{name}.yml").read_text(encoding="utf-8")
    for theirs, ours in _NAMES.items():
        text = text.replace(theirs, ours)
    return yaml.safe_load(text)["composer"]["vars"]


@pytest.fixture(name="web")
def _web():
    with served(WebServer()) as server:
        yield server


@pytest.fixture(name="play")
def _play(tmp_path, simulated_registry, web):
    """Runs playbooks with the variables of a site of the example, adapted to the tests."""
    pair = key_pair("secret")
    files = {"sign.key": pair.private, "sign.pub": pair.public}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    common = {
        "layering_registry": f"{simulated_registry.address}/windows",
        "layering_registry_plain_http": True,
        "notifications_webhooks": [web.hook("chat")],
    }
    without = ("layering_registry_username", "layering_registry_password")

    def play(site: str, *names: str, **more: Any) -> Any:
        variables = {name: value for name, value in _variables(site).items() if name not in without} | common | more
        for name, value in variables.items():
            if name == "layering_sign_key":
                variables[name] = os.fspath(tmp_path / "sign.key")
            elif name == "layering_verify_keys":
                variables[name] = [os.fspath(tmp_path / pathlib.Path(path).name) for path in value]
        keep = keep_variables(tmp_path / "variables.json", "distribution_transfers")
        plays = [
            *({"ansible.builtin.import_playbook": f"strata.layering.{name}"} for name in names),
            {"hosts": "localhost", "gather_facts": False, "tasks": [keep]},
        ]
        done = run_plays(tmp_path, plays, variables | {"layering_hosts": "localhost"})
        assert done.code == 0, done.output
        return done

    return play


def test_second_site_publishes_what_first_site_signed(berlin, tmp_path, play, web, simulator):  # noqa: F811
    play("test", "distribute", layering_repository=os.fspath(berlin.path), layering_sign_key_passphrase="secret")

    simulator.guest("true")
    path = tmp_path / "madrid" / "repository"
    madrid = {"repository": os.fspath(path)}
    run("repository", **madrid)
    assert [item["name"] for item in _variables("production")["layered_image_connectors"]] == ["production-cluster"]
    production = {f"layering_{name}": value for name, value in options_of(simulator).items()} | {
        "layering_repository": os.fspath(path),
        "layered_image_connectors": [connector(name="production-cluster")],
    }
    done = play("production", "distribute", "layered_image", **production)
    transfers = done.variables["distribution_transfers"]
    assert {item["action"] for item in transfers} == {"copied"}
    assert all(item["signed_by"] for item in transfers)
    [ours], [theirs] = (
        run("image_template_info", **site)["templates"] for site in (madrid, {"repository": os.fspath(berlin.path)})
    )
    assert ours["content_digest"] == theirs["content_digest"]
    assert ours["connector"] == "production-cluster"
    assert [name for name in machines(simulator) if name.startswith(f"{TEMPLATE}-")]
    kinds = [[kind for kind, _subject in events] for events in web.events("chat")]
    assert kinds == [["transfer_finished"], ["transfer_finished"], ["image_published"]]

    before = state_of(path)
    again = play("production", "distribute", "layered_image", **production)
    assert {item["action"] for item in again.variables["distribution_transfers"]} == {"kept"}
    assert state_of(path) == before
    assert len(web.events("chat")) == 3
