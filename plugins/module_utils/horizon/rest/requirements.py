# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request needs: privileges of the user, and a version of Horizon."""

from __future__ import annotations

import re

#: The oldest supported version of a Connection Server, and the name of its release.
OLDEST: tuple[tuple[int, int], str] = ((8, 6), "2206")

#: Paths that a later version than the oldest supported version added.
_LATER = ((re.compile(r"/inventory/v1/desktop-pools/action/(enable|disable)(-provisioning)?"), ((8, 11), "2309")),)

#: Privileges by method and path; the first match counts.
_PRIVILEGES = (
    (re.compile(r"POST /inventory/v\d+/desktop-pools/action/(enable|disable)-provisioning"), "POOL_MANAGEMENT"),
    (re.compile(r"POST /inventory/v\d+/desktop-pools/action/(enable|disable)"), "POOL_ENABLE"),
    (re.compile(r"POST /inventory/v\d+/(desktop-pools|farms)/.*"), "POOL_SVI_IMAGE_MANAGEMENT"),
    (re.compile(r"POST /inventory/v\d+/sessions/.*"), "MACHINE_MANAGE_VDI_SESSION"),
    (re.compile(r"GET /inventory/v\d+/(desktop-pools|farms)(/.*)?"), "POOL_VIEW"),
    (re.compile(r"GET /inventory/v\d+/(machines|sessions|rds-servers)(/.*)?"), "MACHINE_VIEW"),
    (re.compile(r"GET /external/v\d+/.*"), "VC_CONFIG_VIEW"),
    (re.compile(r"GET /config/v\d+/virtual-centers"), "VC_CONFIG_VIEW"),
    (re.compile(r"GET /config/v\d+/.*"), "GLOBAL_CONFIG_VIEW"),
)

#: Privileges that do not depend on access groups.
GLOBAL = ("GLOBAL_CONFIG_VIEW", "VC_CONFIG_VIEW")

#: The names of privileges in Horizon Console.
_CONSOLE_NAMES = {
    "GLOBAL_CONFIG_VIEW": "Manage Global Configuration and Policies (Read only)",
    "MACHINE_MANAGE_VDI_SESSION": "Manage Local Sessions",
    "MACHINE_VIEW": "Manage Machines (Read only)",
    "POOL_ENABLE": "Enable Desktops, Farms, and Applications",
    "POOL_MANAGEMENT": "Manage Desktops, Farms, and Applications",
    "POOL_SVI_IMAGE_MANAGEMENT": "Manage maintenance operations on Automated Desktops & Farms",
    "POOL_VIEW": "Manage Desktops, Farms, and Applications (Read only)",
    "VC_CONFIG_VIEW": "Manage vCenter Configuration (Read only)",
}


def console_name(privilege: str) -> str:
    """Return the name of a privilege in Horizon Console."""
    return _CONSOLE_NAMES[privilege]


def privilege_for(method: str, path: str) -> str | None:
    """Return the privilege that a request needs, None if it is not known."""
    request = f"{method} {path}"
    return next((privilege for pattern, privilege in _PRIVILEGES if pattern.fullmatch(request)), None)


def first_version(path: str) -> tuple[tuple[int, int], str]:
    """Return the version of the Connection Server that added a path, as numbers and as the name of the release."""
    return next((version for pattern, version in _LATER if pattern.fullmatch(path)), OLDEST)


def release_of(version: str) -> tuple[int, int] | None:
    """Return the first two numbers of a version such as "8.12.0", None if there are none."""
    match = re.match(r"(\d{1,4})\.(\d{1,4})(?!\d)", version.strip())
    return (int(match[1]), int(match[2])) if match else None
