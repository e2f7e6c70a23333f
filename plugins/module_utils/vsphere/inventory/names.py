# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and paths of vCenter's inventory: the escapes of slash, backslash and percent, and lists of names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ...common.errors import InvalidInput

_ESCAPES = {"%2f": "/", "%5c": "\\", "%25": "%"}
_SHOWN = 10


#: The options that name objects, by nouns in messages.
_OPTIONS = {
    "datacenter": "datacenter",
    "cluster": "cluster",
    "ESXi host": "esxi_host",
    "resource pool": "resource_pool",
    "datastore": "datastore",
    "datastore cluster": "datastore",
    "network": "network",
    "VM template": "vm_template",
}
#: Managed object IDs as vCenter assigns them: a kind and a number, such as ``group-v23`` or ``domain-c8``.
_OBJECT_ID = re.compile(r"[a-z]+-[a-z]?\d+")


def is_object_id(text: str) -> bool:
    """Return whether a text has the form of a managed object ID, which a name can have too."""
    return _OBJECT_ID.fullmatch(text) is not None


def option_of(noun: str) -> str:
    """Return the option that names an object of this kind, such as ``esxi_host`` for "ESXi host"."""
    return _OPTIONS.get(noun, "name")


def plain_name(name: str) -> str:
    """Return a stored name as vSphere displays it."""
    return re.sub("%2f|%5c|%25", lambda match: _ESCAPES[match[0].lower()], name, flags=re.IGNORECASE)


def escaped_name(name: str) -> str:
    """Return a displayed name as calls of the API need it."""
    return name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")


def path_name(name: str) -> str:
    """Return a stored name as a part of a path."""
    return plain_name(name).replace("/", "%2f")


def folder_parts(path: str, datacenter: str) -> list[str]:
    """Return the folders of a path below the VM folder of a datacenter. Raises InvalidInput (vsphere.folder) for a path outside it."""
    parts = [part for part in path.split("/") if part]
    if path.startswith("/"):
        # A full path may start with the folders that contain the datacenter.
        for position in range(len(parts) - 1):
            if plain_name(parts[position]) == datacenter and parts[position + 1] == "vm":
                return parts[position + 2 :]
        raise InvalidInput(
            f"The folder {path} is not in the datacenter {datacenter}.",
            code="vsphere.folder",
            hint=f"Set folder to /{datacenter}/vm/..., or to the path below the VM folder without a leading slash.",
        )
    return parts


def existing_text(names: Iterable[str], noun: str) -> str:
    """Return the hint that lists the names that the user sees: vCenter hides objects on which the user has no permission."""
    known = sorted(set(names))
    if not known:
        return (
            f"Check the permissions of the user that the option username names: vCenter shows no {noun} to this user. "
            "docs/vsphere-permissions.md has the roles."
        )
    shown = ", ".join(known[:_SHOWN])
    return f"Existing {noun} that the user may see: {shown}{' and more' if len(known) > _SHOWN else ''}."
