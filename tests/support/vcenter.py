# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of modules for a simulator, and the content of the simulator."""

from __future__ import annotations

import os


def options_of(simulator) -> dict:
    """Return the options of modules for the connection to a simulator."""
    return {
        "hostname": simulator.host,
        "port": simulator.port,
        "username": simulator.username,
        "password": simulator.password,
        "ca_path": os.fspath(simulator.ca_file),
    }


def machines(simulator) -> dict:
    """Return the VMs by name, with everything that a module can change."""
    return {machine["name"]: machine for machine in simulator.machines()}


def machine_of(session, moid: str):
    """Return the virtual machine of a pyVmomi session by its managed object ID."""
    view = session.content.viewManager.CreateContainerView(session.content.rootFolder, None, True).view
    return next(found for found in view if found._GetMoId() == moid)
