# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hazards that keys and values show, found in the changes of a hive before rules leave out any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ...winregistry.delta import CREATE, REMOVE, Delta, KeyDelta
from ...winregistry.hive_items import Value
from ...winregistry.key_patterns import PatternTree
from ...winregistry.registry_values import decode_multi_string
from ...winregistry.upcase import WINDOWS
from .observed import Observed

_NT = "Microsoft\\Windows NT\\CurrentVersion"
_CURRENT = "Microsoft\\Windows\\CurrentVersion"
_CBS = f"{_CURRENT}\\Component Based Servicing"
_APPX = f"{_CURRENT}\\Appx\\AppxAllUserStore"
_WINSOCK = "ControlSet*\\Services\\WinSock2\\Parameters"
_NETWORK = "ControlSet*\\Control\\Network"
#: Office in Windows' licence store; Windows itself adds keys of its own application ID after an attempt to activate.
_OFFICE = "0ff1ce15-a989-479d-af46-f275c6370663"


@dataclass(frozen=True)
class _Watch:
    """Keys of a hive that show a hazard, and a function that returns what of such a key is shown (nothing: no hazard)."""

    hive: str
    pattern: str
    hazard: str
    shown: Callable[[KeyDelta], Iterable[str]]


def _created(key: KeyDelta) -> Iterable[str]:
    return [key.name] if key.action == CREATE else []


def _winsock_entry(key: KeyDelta) -> Iterable[str]:
    return [f"Winsock entry {key.name}"] if key.action == CREATE else []


def _task(key: KeyDelta) -> Iterable[str]:
    """A key of the tree is a task if it has an Id, else a folder of tasks."""
    return [key.name] if "ID" in key.values and key.action != REMOVE and key.values["ID"].before is None else []


def _package(key: KeyDelta) -> Iterable[str]:
    """A package that was added, or whose state changed: a feature was enabled or disabled."""
    return [key.name] if key.action == CREATE or "CURRENTSTATE" in key.values else []


def _changed_product_key(key: KeyDelta) -> Iterable[str]:
    return ["the product key of Windows"] if "BACKUPPRODUCTKEYDEFAULT" in key.values else []


def _compiled_files(key: KeyDelta) -> Iterable[str]:
    value = key.values.get("AUTORECOVER MOFS")
    if value is None or value.data is None:
        return []
    before = value.before
    old = decode_multi_string(Value("", before.type, before.data)) if before and before.data is not None else []
    known = {WINDOWS.fold(item) for item in old or ()}
    new = decode_multi_string(Value("", value.type, value.data)) or ()
    return [item for item in new if WINDOWS.fold(item) not in known]


def _added_values(key: KeyDelta) -> Iterable[str]:
    return [value.name for value in key.values.values() if value.before is None and value.data is not None]


_WATCHES: tuple[_Watch, ...] = (
    _Watch("SYSTEM", "DriverDatabase\\DriverPackages\\*", "driver_store", _created),
    _Watch("DRIVERS", "DriverDatabase\\DriverPackages\\*", "driver_store", _created),
    _Watch("SOFTWARE", f"{_CBS}\\Packages\\*", "servicing", _package),
    _Watch("SOFTWARE", f"{_NT}\\Schedule\\TaskCache\\Tree\\**", "task_cache", _task),
    _Watch("SOFTWARE", "Microsoft\\WBEM\\CIMOM", "wmi_repository", _compiled_files),
    _Watch("SOFTWARE", "Microsoft\\WBEM\\CIMOM\\*HostProviders", "wmi_repository", _added_values),
    _Watch("SOFTWARE", f"{_NT}\\SoftwareProtectionPlatform\\{_OFFICE}\\*", "activation", _created),
    _Watch("SOFTWARE", f"{_NT}\\SoftwareProtectionPlatform", "activation", _changed_product_key),
    _Watch("SOFTWARE", "Microsoft\\OfficeSoftwareProtectionPlatform\\*", "activation", _created),
    _Watch("SOFTWARE", f"{_APPX}\\Applications\\*", "store_apps", _created),
    _Watch("SOFTWARE", f"{_APPX}\\Staged\\*", "store_apps", _created),
    _Watch("SOFTWARE", f"{_APPX}\\InboxApplications\\*", "store_apps", _created),
    _Watch("SYSTEM", f"{_WINSOCK}\\Protocol_Catalog9\\Catalog_Entries*\\*", "network_protocols", _winsock_entry),
    _Watch("SYSTEM", f"{_WINSOCK}\\NameSpace_Catalog5\\Catalog_Entries*\\*", "network_protocols", _winsock_entry),
    # Clients, services and protocols of the network; adapters are devices.
    _Watch("SYSTEM", f"{_NETWORK}\\{{4d36e973-e325-11ce-bfc1-08002be10318}}\\{{*", "network_protocols", _created),
    _Watch("SYSTEM", f"{_NETWORK}\\{{4d36e974-e325-11ce-bfc1-08002be10318}}\\{{*", "network_protocols", _created),
    _Watch("SYSTEM", f"{_NETWORK}\\{{4d36e975-e325-11ce-bfc1-08002be10318}}\\{{*", "network_protocols", _created),
    _Watch("SOFTWARE", "Microsoft\\SystemCertificates\\MY\\Certificates\\*", "machine_certificates", _created),
)
_COUNTERS = "ControlSet*\\Services\\*\\Performance"
#: Windows registers these counters again by itself.
_OWN_COUNTERS = frozenset(("WMIAPRPL",))


def observe_delta(delta: Delta, observed: Observed) -> None:
    """Add the items that the changes of a hive show; the delta has all changes."""
    tree: PatternTree[_Watch] = PatternTree()
    for watch in _WATCHES:
        if watch.hive == delta.hive:
            tree.add(watch.pattern, watch)
    for path, key in _below(delta.root, tree):
        for watch in tree.find(path):
            for item in watch.shown(key):
                observed.add(watch.hazard, item)
    if delta.hive == "SYSTEM":
        for name in _services_with_new_counters(delta.root):
            observed.add("performance_counters", name)


def _below(root: KeyDelta, tree: PatternTree[_Watch]) -> Iterator[tuple[str, KeyDelta]]:
    """Yield the keys that a pattern may match, with their paths; keys that no pattern leads to are not visited."""
    stack = [("", root, tree.start)]
    while stack:
        path, key, state = stack.pop()
        if path:
            yield path, key
        for folded, below in key.subkeys.items():
            next_state = tree.advance(state, folded)
            if next_state:
                stack.append((f"{path}\\{below.name}" if path else below.name, below, next_state))


def _services_with_new_counters(root: KeyDelta) -> Iterator[str]:
    for folded, control_set in root.subkeys.items():
        services = control_set.subkeys.get("SERVICES") if folded.startswith("CONTROLSET") else None
        for name, service in services.subkeys.items() if services is not None else ():
            counters = service.subkeys.get("PERFORMANCE")
            if counters is not None and counters.action == CREATE and name not in _OWN_COUNTERS:
                yield service.name
