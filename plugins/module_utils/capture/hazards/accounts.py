# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Local accounts of a Windows installation, as the hives SAM and SECURITY store them.

Counters and times in the values F and V change with each logon; names, members and rights do not. Layout: winreg-kb,
"Security Accounts Manager keys" (Names, Members); ReactOS, lsasrv, for ``Policy\\Accounts``.
"""

from __future__ import annotations

import hashlib

from ...common.errors import Corrupt, Unsupported
from ...winregistry.hive_model import Hive, Key
from ..hive_changes import HivePairs
from .observed import Observed

_SAM, _SECURITY = "Windows/System32/config/SAM", "Windows/System32/config/SECURITY"

_DOMAINS = ("Account", "Builtin")
_KINDS = {"Users": "user", "Groups": "group", "Aliases": "local group"}


def observe_accounts(hives: HivePairs, observed: Observed) -> None:
    """Add the accounts that differ between the two disks."""
    try:
        before, after = (accounts_of(hives.get(side, _SAM), hives.get(side, _SECURITY)) for side in ("old", "new"))
    except (Corrupt, Unsupported):
        # The layer does not contain the database, so that its damage does not matter to the layer.
        observed.add("accounts", "the account database cannot be read")
        return
    for account in sorted(before ^ after):
        observed.add("accounts", account)


def accounts_of(sam: Hive | None, security: Hive | None) -> set[str]:
    """Return users, groups, members of local groups and accounts with rights, one text for each."""
    found: set[str] = set()
    if sam is not None:
        for domain in _DOMAINS:
            key = sam.root.key(f"SAM\\Domains\\{domain}")
            if key is not None:
                found.update(_in_domain(key))
    policy = security.root.key("Policy\\Accounts") if security is not None else None
    for account in _below(policy):
        rights = _default(policy, f"{account.name}\\Privilgs") + _default(policy, f"{account.name}\\ActSysAc")
        found.add(f"rights of {account.name} ({_short(rights)})")
    return found


def _in_domain(domain: Key) -> set[str]:
    found = set()
    for folder, kind in _KINDS.items():
        above = domain.key(folder)
        found |= {f"{kind} number {_number(key.name)}" for key in _below(above) if key.name not in ("Names", "Members")}
        names = domain.key(f"{folder}\\Names")
        found |= {f"{kind} {key.name}" for key in _below(names)}
    members = domain.key("Aliases\\Members")
    for domain_of_members in _below(members):
        for member in _below(domain_of_members):
            found.add(
                f"member {domain_of_members.name}-{_number(member.name)} ({_short(_default(domain_of_members, member.name))})"
            )
    return found


def _below(key: Key | None) -> list[Key]:
    return list(key.subkeys.values()) if key is not None else []


def _default(key: Key | None, path: str) -> bytes:
    below = key.key(path) if key is not None else None
    value = below.value("") if below is not None else None
    return value.data if value is not None else b""


def _number(name: str) -> str:
    try:
        return str(int(name, 16))
    except ValueError:
        return name


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]
