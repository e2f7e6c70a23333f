# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module layered_image_plan."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.future import LayerAction, PendingLayer
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName, VersionRequest
from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput, NotFound
from ansible_collections.strata.layering.plugins.module_utils.operations.layered_image_plan import (
    LayeredImagePlanOptions,
    layered_image_plan,
)
from ansible_collections.strata.layering.tests.support.expectations import raises

PARAMS: dict[str, Any] = {
    "repository": "/nowhere",
    "template": None,
    "paths": [],
    "templates": None,
    "connectors": None,
    "pending_layers": None,
    "publish": None,
    "keep": None,
    "horizon": [],
    "test": False,
    "vsphere": True,
    "hostname": None,
    "username": None,
    "password": None,
    "validate_certs": True,
    "port": 443,
    "ca_path": None,
    "proxy_host": None,
    "proxy_port": None,
}


def pending(*values: dict) -> tuple[PendingLayer, ...]:
    return LayeredImagePlanOptions.from_params(PARAMS | {"pending_layers": list(values)}).request.pending_layers


def test_pending_layer_with_all_keys_and_others():
    value = {
        "kind": "app",
        "name": "Tool",
        "version": "2",
        "action": "create",
        "os_layer": {"name": "Windows"},
        "prerequisites": [{"name": "Base", "version": "1"}],
        "priority": 600,
        "unknown": "is captured first",
        "message": "would create it",
    }
    assert pending(value) == (
        PendingLayer(
            kind="app",
            name="Tool",
            version="2",
            action=LayerAction.CREATE,
            os_layer=VersionRequest("Windows", None),
            prerequisites=(VersionName("Base", "1"),),
            priority=600,
            unknown="is captured first",
        ),
    )


def test_pending_layer_without_values_and_entries_that_change_nothing():
    empty = {"kind": "os", "name": "Windows", "version": "", "os_layer": "", "prerequisites": None, "priority": None}
    assert pending(empty, {"kind": "app", "name": "Tool", "version": "1", "action": "none"}) == (
        PendingLayer(kind="os", name="Windows", version=None, action=LayerAction.CREATE),
    )


@pytest.mark.parametrize("value", [{"kind": "disk", "name": "x"}, {"kind": "app"}], ids=["kind", "name"])
def test_pending_layer_that_names_no_layer_is_refused(value):
    with pytest.raises(InvalidInput):
        pending(value)


def test_connection_is_complete_or_not_set():
    assert LayeredImagePlanOptions.from_params(PARAMS).connection is None
    with raises(InvalidInput, "operations.plan_connection"):
        LayeredImagePlanOptions.from_params(PARAMS | {"hostname": "vcenter"})
    assert LayeredImagePlanOptions.from_params(PARAMS | {"hostname": "vcenter", "vsphere": False}).connection is None


def test_missing_repository_is_empty_only_in_check_mode(tmp_path):
    options = LayeredImagePlanOptions.from_params(PARAMS | {"repository": str(tmp_path / "new")})
    with raises(NotFound, "repository.missing"):
        layered_image_plan(options)
    result = layered_image_plan(options, check_mode=True).result
    assert (result["new_repository"], result["compared_with_vsphere"], result["images"]) == (True, False, [])
