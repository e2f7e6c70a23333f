# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""horizon_image_push stages images for some machines, promotes and discards them."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.tests.support.horizon_push_site import MODULE
from ansible_collections.strata.layering.tests.support.modules import converges, fails, run


def test_canary_gets_the_image_before_the_other_machines(site):
    site.add_pool()
    staged = converges(MODULE, site.state, **site.options, pools=["sales"], state="staged", canary=1)
    task = staged["tasks"][0]
    assert (task["status"], task["pending_state"]) == ("Staged", "READY_HELD")
    assert (task["machines"]["total"], task["machines"]["on_image"]) == (1, 1)
    assert sorted(site.machines().values()) == ["office-1", "office-1", "office-3"]
    assert site.vm_of() == "office-1"


def test_larger_canary_applies_the_image_to_more_machines(site):
    site.add_pool()
    site.push(pools=["sales"], state="staged", canary=1)
    first = site.machines()
    converges(MODULE, site.state, **site.options, pools=["sales"], state="staged", canary=2)
    assert list(site.machines().values()).count("office-3") == 2
    assert [name for name, vm in first.items() if vm == "office-3" != site.machines()[name]] == []


def test_canary_of_named_machines(site):
    site.add_pool()
    site.push(pools=["sales"], state="staged", machines=["sales-3"])
    assert site.machines() == {"sales-1": "office-1", "sales-2": "office-1", "sales-3": "office-3"}


def test_unknown_machine_of_a_canary_changes_nothing(site):
    site.add_pool()
    before = site.state()
    result = fails(MODULE, "horizon.no_such_machine", **site.options, pools=["sales"], state="staged", machines=["x"])
    assert result["tasks"][0]["status"] == "Failed"
    assert site.state() == before


def test_staged_image_is_promoted(site):
    site.add_pool()
    site.push(pools=["sales"], state="staged", canary=1)
    result = converges(MODULE, site.state, **site.options, pools=["sales"])
    assert result["tasks"][0]["status"] == "Complete"
    assert set(site.machines().values()) == {"office-3"}
    assert [path for path, _body in site.requests()] == ["schedule-push-image", "promote-pending-image"]
    assert [entry["action"] for entry in site.audit()] == ["stage", "promote"]


def test_staged_image_is_discarded(site):
    site.add_pool()
    site.push(pools=["sales"], state="staged")
    options = {**site.options, "template": None, "state": "canceled"}
    result = converges(MODULE, site.state, **options, pools=["sales"])
    assert result["tasks"][0]["status"] == "Canceled"
    assert site.vm_of() == "office-1"
    assert site.horizon.pool("sales")["pending_state"] is None
    assert [entry["action"] for entry in site.audit()] == ["stage", "cancel"]


def test_other_staged_image_needs_replace(site):
    site.add_pool()
    site.push(pools=["sales"], state="staged", image="previous")
    site.horizon.clear_journal()
    found = site.push(pools=["sales"])
    assert (found["status"], found["changed"], site.requests()) == ("ActionRequired", False, [])
    assert "office-2" in found["description"]
    assert site.push(pools=["sales"], replace=True)["status"] == "Complete"
    assert site.vm_of() == "office-3"


def test_image_is_staged_and_promoted_in_a_farm(site):
    site.horizon.add_farm("apps", "office-1", "strata")
    options = {**site.options, "farms": ["apps"]}
    staged = converges(MODULE, site.state, **options, state="staged", canary=1)
    assert (staged["tasks"][0]["status"], staged["tasks"][0]["target"]["kind"]) == ("Staged", "farm")
    assert sorted(site.machines("apps", "farms").values()) == ["office-1", "office-3"]
    converges(MODULE, site.state, **options)
    assert set(site.machines("apps", "farms").values()) == {"office-3"}


@pytest.mark.parametrize(("seconds", "status"), [(600, "Canceled"), (0, "ActionRequired")])
def test_push_to_a_farm_is_canceled_unless_the_image_is_published(site, seconds, status):
    site.horizon.settings(publish_seconds=seconds)
    site.horizon.add_farm("apps", "office-1", "strata")
    options = {**site.options, "farms": ["apps"]}
    run(MODULE, **options, start_time=site.in_hours(5), wait=False)
    result = run(MODULE, **options, state="canceled")
    assert (result["tasks"][0]["status"], result["changed"]) == (status, status == "Canceled")
    assert site.vm_of("farms", "apps") == "office-1"


@pytest.mark.parametrize("kind", ["pools", "farms"])
def test_image_that_was_staged_with_a_forced_logoff_is_not_promoted_without(site, kind):
    """Horizon does not report the logoff policy of a staged image: the audit history has it."""
    if kind == "pools":
        site.add_pool("desks")
    else:
        site.horizon.add_farm("desks", "office-1", "strata")
    site.push(**{kind: ["desks"]}, state="staged", logoff_policy="force_logoff")
    site.horizon.clear_journal()
    for state in ({}, {"state": "staged", "canary": 1}):
        found = site.push(**{kind: ["desks"]}, **state)
        assert (found["status"], found["changed"], site.requests()) == ("ActionRequired", False, [])
    assert site.push(**{kind: ["desks"]}, logoff_policy="force_logoff")["status"] == "Complete"
