# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which VMs are the unfinished work of a publish; only those are removed without being asked for."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.publish.machine import machine_state, vm_metadata
from ansible_collections.strata.layering.plugins.module_utils.publish.retiring.ownership import (
    UNFINISHED_STATES,
    is_released,
    work_change,
)
from ansible_collections.strata.layering.tests.support.published_vms import published_vm

SETTINGS = published_vm().extra_config


def unfinished(state: str = vm_metadata.STATE_STARTED, **changes):
    """Return the facts of an unfinished VM."""
    return published_vm(**{"extra_config": SETTINGS | {vm_metadata.KEY_STATE: state}, "snapshots": ()} | changes)


@pytest.mark.parametrize("state", UNFINISHED_STATES)
def test_work_change_of_unfinished_work_is_none(state):
    assert work_change(unfinished(state), "office", "sha256:1", ()) is None


@pytest.mark.parametrize(
    "facts",
    [
        published_vm(),
        unfinished(vm_metadata.STATE_COMPLETE),
        unfinished("kept"),
        unfinished(""),
        unfinished(template=True),
        unfinished(instance_uuid="recorded"),
        unfinished(extra_config=SETTINGS | {vm_metadata.KEY_STATE: "started", vm_metadata.KEY_IMAGE: "sha256:2"}),
        unfinished(extra_config=SETTINGS | {vm_metadata.KEY_STATE: "started", vm_metadata.KEY_TEMPLATE: "kiosk"}),
        unfinished(accessible=False),
        unfinished(extra_config={}),
    ],
)
def test_work_change_of_other_vms_is_reported(facts):
    assert work_change(facts, "office", "sha256:1", {"recorded"})


def test_released_vm_has_no_settings_but_a_configuration():
    facts = published_vm(extra_config={vm_metadata.KEY_STATE: "", "other": "1"})
    assert is_released(facts)
    assert not is_released(dataclasses.replace(facts, accessible=False))
    assert not is_released(published_vm(extra_config={vm_metadata.KEY_TEMPLATE: "office"}))


@pytest.mark.parametrize(
    ("facts", "change", "clones", "removed"),
    [
        (unfinished("uploading"), None, ["clone"], True),
        (unfinished(), None, [], True),
        (unfinished(), None, ["clone"], False),
        (unfinished(), "it was converted to a template", [], False),
    ],
)
def test_remove_work_keeps_what_is_not_only_its_own(monkeypatch, facts, change, clones, removed):
    seen = []
    known = SimpleNamespace(reason_to_keep=lambda _facts: "a clone depends on its disk" if clones else None)
    monkeypatch.setattr(machine_state, "Clones", lambda _session: known)
    monkeypatch.setattr(machine_state, "remove_machine", lambda _session, found, _tick: seen.append(found))
    kept = machine_state.remove_work(None, facts, change)
    assert (seen == [facts]) is removed
    assert (kept is None) is removed
