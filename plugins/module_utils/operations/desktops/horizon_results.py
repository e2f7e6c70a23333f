# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of results that several modules for Horizon return."""

from __future__ import annotations

from typing import Any

from ...horizon.inventory.base_images import VirtualCenter
from ...horizon.model import SessionCounts
from ...horizon.rest.client import Environment


def vcenter_result(vcenter: VirtualCenter | None) -> dict[str, Any] | None:
    """Return a vCenter as results have it."""
    if vcenter is None:
        return None
    return {"hostname": vcenter.server_name, "instance_uuid": vcenter.instance_uuid}


def sessions_result(sessions: SessionCounts) -> dict[str, int]:
    """Return the sessions of a pool or farm as results have them."""
    return {"connected": sessions.connected, "disconnected": sessions.disconnected}


def pod_result(environment: Environment) -> dict[str, str]:
    """Return the pod of a Connection Server, and its version, as results have them."""
    return {"version": environment.version, "build": environment.build, "pod": environment.pod}
