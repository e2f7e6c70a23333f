# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of a Connection Server as Python objects, and a client that returns them and records its requests."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any

POOLS, FARMS = "/inventory/v6/desktop-pools", "/inventory/v4/farms"
MACHINES, RDS_SERVERS = "/inventory/v3/machines", "/inventory/v1/rds-servers"
SESSIONS, VCENTERS = "/inventory/v1/sessions", "/config/v2/virtual-centers"


class RecordedClient:
    """A ``HorizonClient`` without a connection: ``lists`` are the answers by path; ``answers`` are those of POST requests.

    An answer that is an exception is raised. ``requests`` has the method, path, filter or body, and query of each request.
    """

    label = "the Connection Server cs01.example.com (port 443)"

    def __init__(
        self, lists: Mapping[str, list[dict[str, Any]]] | None = None, answers: Mapping[str, Any] | None = None
    ) -> None:
        self.lists, self.answers = dict(lists or {}), dict(answers or {})
        self.requests: list[tuple[str, str, Any, dict[str, Any]]] = []
        self.environment = types.SimpleNamespace(
            version="8.6.0", build="1", pod="pod", cluster_guid="1", release=(8, 6)
        )

    def get(self, path: str, **query: Any) -> Any:
        """Return the list of a path, or the object of a list by its ID."""
        self.requests.append(("GET", path, None, query))
        if path in self.lists:
            return self.lists[path]
        collection, item_id = path.rsplit("/", 1)
        return next(item for item in self.lists[collection] if item["id"] == item_id)

    def pages(self, path: str, filter: Mapping[str, Any] | None = None, **query: Any) -> Iterator[dict[str, Any]]:
        """Yield the objects of a list whose fields have the values of the filter."""
        self.requests.append(("GET", path, filter, query))
        for item in self.lists.get(path, []):
            if all(item.get(key) == value for key, value in (filter or {}).items()):
                yield item

    def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """Return the answer for a path."""
        self.requests.append(("POST", path, body, query))
        answer = self.answers.get(path)
        if isinstance(answer, Exception):
            raise answer
        return answer


def pool_answer(name: str = "sales", **changes: Any) -> dict[str, Any]:
    """Return a pool of instant clones without a pending image; ``status`` and ``settings`` add fields to its records."""
    status = {"instant_clone_current_image_state": "READY", "instant_clone_operation": "NONE"}
    settings = {
        "parent_vm_id": "vm-1",
        "base_snapshot_id": "snapshot-1",
        "datacenter_id": "datacenter-2",
        "add_virtual_tpm": True,
    }
    return {
        "id": f"id-{name}",
        "name": name,
        "display_name": name.title(),
        "type": "AUTOMATED",
        "source": "INSTANT_CLONE",
        "enabled": True,
        "enable_provisioning": True,
        "delete_in_progress": False,
        "vcenter_id": "vc-1",
        "image_source": "VIRTUAL_CENTER",
        "provisioning_settings": settings | changes.pop("settings", {}),
        "provisioning_status_data": status | changes.pop("status", {}),
        **changes,
    }


def farm_answer(name: str = "apps", **changes: Any) -> dict[str, Any]:
    """Return an automated farm without a pending image; ``status`` and ``settings`` add fields to its records."""
    status = {"instant_clone_current_image_state": "READY", "instant_clone_operation": "NONE"}
    settings = {"parent_vm_id": "vm-1", "base_snapshot_id": "snapshot-1", "datacenter_id": "datacenter-2"}
    automated = {
        "enable_provisioning": True,
        "vcenter_id": "vc-1",
        "image_source": "VIRTUAL_CENTER",
        "provisioning_settings": settings | changes.pop("settings", {}),
        "provisioning_status_data": status | changes.pop("status", {}),
    }
    return {
        "id": f"id-{name}",
        "name": name,
        "display_name": name.title(),
        "type": "AUTOMATED",
        "enabled": True,
        "delete_in_progress": False,
        "automated_farm_settings": automated,
        **changes,
    }


def machine_answer(name: str, pool: str = "id-sales", **changes: Any) -> dict[str, Any]:
    """Return a machine of a pool on the image vm-1, snapshot-1; ``managed`` adds fields to its record."""
    managed = {"base_vm_id": "vm-1", "base_vm_snapshot_id": "snapshot-1", "virtual_center_id": "vc-1"}
    return {
        "id": f"id-{name}",
        "name": name,
        "desktop_pool_id": pool,
        "state": "AVAILABLE",
        "type": "MANAGED_MACHINE",
        "held_machine": False,
        "managed_machine_data": managed | changes.pop("managed", {}),
        **changes,
    }


def server_answer(name: str, farm: str = "id-apps", **changes: Any) -> dict[str, Any]:
    """Return an RDS server of a farm on the image vm-1, snapshot-1."""
    return {
        "id": f"id-{name}",
        "name": name,
        "farm_id": farm,
        "state": "AVAILABLE",
        "session_count": 0,
        "base_vm_id": "vm-1",
        "base_vm_snapshot_id": "snapshot-1",
        **changes,
    }
