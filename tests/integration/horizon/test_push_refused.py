# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""horizon_image_push refuses pools and farms before anything is requested."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.strata.layering.tests.support.horizon_push_site import MODULE, PushSite
from ansible_collections.strata.layering.tests.support.modules import fails


def _linked_clones(site: PushSite) -> dict[str, Any]:
    site.add_pool(source="LINKED_CLONE")
    return {}


def _image_stream(site: PushSite) -> dict[str, Any]:
    site.add_pool(im_stream_id="stream-1", im_tag_id="tag-1")
    return {}


def _disabled(site: PushSite) -> dict[str, Any]:
    site.add_pool(enabled=False)
    return {}


def _deleted(site: PushSite) -> dict[str, Any]:
    site.add_pool(delete_in_progress=True)
    return {}


def _other_vcenter(site: PushSite) -> dict[str, Any]:
    site.add_pool(vm="munich-1", vcenter=1)
    return {}


def _other_vcenter_by_name(site: PushSite) -> dict[str, Any]:
    site.add_pool(vm="munich-1", vcenter=1)
    return {"template": None, "vm": "office-3", "snapshot": "strata", "vcenter": "vcenter1.example.com"}


def _unclear_vcenter(site: PushSite) -> dict[str, Any]:
    site.add_pool()
    return {"template": None, "vm": "office-3", "snapshot": "strata"}


def _display_name(site: PushSite) -> dict[str, Any]:
    site.add_pool("sales-1", display_name="sales")
    site.add_pool("sales-2", display_name="sales")
    return {}


def _wrong_name(site: PushSite) -> dict[str, Any]:
    site.add_pool("Sales")
    return {}


def _past_start(site: PushSite) -> dict[str, Any]:
    site.add_pool()
    return {"start_time": "2020-01-01T00:00:00+01:00"}


def _unsuitable_vm(site: PushSite) -> dict[str, Any]:
    site.add_pool()
    site.horizon.set_reasons("office-3", ["INSTANT_INTERNAL"])
    return {}


@pytest.mark.parametrize(
    ("prepare", "code"),
    [
        (_wrong_name, "horizon.no_such_target"),
        (_display_name, "horizon.no_such_target"),
        (_linked_clones, "horizon.not_instant_clones"),
        (_image_stream, "horizon.image_stream"),
        (_disabled, "horizon.target_disabled"),
        (_deleted, "horizon.target_deleted"),
        (_other_vcenter, "operations.push_image_missing"),
        (_other_vcenter_by_name, "operations.push_vcenter"),
        (_unclear_vcenter, "operations.push_image_option"),
        (_past_start, "horizon.start_passed"),
        (_unsuitable_vm, "horizon.vm_incompatible"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_refused_pool_changes_nothing(site, prepare, code, check):
    options = site.options | prepare(site)
    site.add_pool("finance")
    before = site.state()
    result = fails(MODULE, code, **options, pools=["finance", "sales"], check=check)
    assert result["hint"]
    assert site.requests() == []
    assert site.state() == before


def test_refusal_returns_the_tasks_of_all_pools(site):
    site.add_pool("sales", enabled=False)
    site.add_pool("finance")
    result = fails(MODULE, "horizon.target_disabled", **site.options, pools=["finance", "sales"])
    assert [(task["target"]["name"], task["status"]) for task in result["tasks"]] == [
        ("finance", "NotStarted"),
        ("sales", "Failed"),
    ]
    assert result["details"]["tasks"] == result["tasks"]


def test_display_name_of_two_pools_is_explained(site):
    result = fails(MODULE, "horizon.no_such_target", **site.options | _display_name(site), pools=["sales"])
    assert result["details"]["display_names"] == {"sales": ["sales-1", "sales-2"]}


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"enabled": False}, {"allow_disabled": True}),
        ({"im_stream_id": "stream-1", "im_tag_id": "tag-1"}, {"image_source": "change"}),
        ({"enable_provisioning": False}, {"provisioning": "enabled"}),
    ],
)
def test_option_allows_what_is_refused_otherwise(site, fields, options):
    site.add_pool(**fields)
    assert site.push(pools=["sales"], **options)["status"] == "Complete"
    assert site.vm_of() == "office-3"


def test_disabled_provisioning_requires_action(site):
    site.add_pool(enable_provisioning=False)
    before = site.state()
    task = site.push(pools=["sales"])
    assert (task["status"], task["changed"], site.state()) == ("ActionRequired", False, before)


def test_pool_that_cannot_have_an_image_has_nothing_to_cancel(site):
    site.add_pool(source="LINKED_CLONE")
    task = site.push(pools=["sales"], state="canceled")
    assert (task["status"], task["changed"], site.requests()) == ("Canceled", False, [])


def test_names_of_images_are_not_needed_to_cancel(site):
    site.add_pool()
    site.push(pools=["sales"], state="staged")
    site.horizon.rules.add("GET", "/external/v1/base-(vms|snapshots)", status=403, count=None)
    task = site.push(pools=["sales"], template=None, state="canceled")
    assert (task["status"], task["changed"], task["previous"]["vm"]) == ("Canceled", True, None)
