# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about the composer and the site that help with a defect report: versions, kinds and sizes, with placeholders for names.

Only listed properties are read. A property that the user may not read, or that the server does not have, is missing from the facts.
"""

from __future__ import annotations

import importlib.metadata
import platform
import ssl
from collections.abc import Callable
from typing import Any

from ..common.collection_version import VERSION
from ..common.errors import StrataError
from ..common.optional_imports import pyvmomi
from ..publish.machine.placement import Target
from ..vsphere.hardware.hardware import Hardware
from ..vsphere.inventory.names import plain_name
from ..vsphere.properties import collect, collect_below, read
from ..vsphere.session import Session
from .redaction import Redactor

_LIBRARIES = ("pyvmomi", "isal", "numpy")
_GIB = 1 << 30
#: Kinds in placeholders, by types of managed objects; the first type that fits counts.
_KINDS = (
    ("VirtualMachine", "vm"),
    ("HostSystem", "host"),
    ("ClusterComputeResource", "cluster"),
    ("ComputeResource", "host"),
    ("Datastore", "datastore"),
    ("Network", "network"),
    ("DistributedVirtualSwitch", "switch"),
    ("VirtualApp", "vapp"),
    ("ResourcePool", "pool"),
    ("StoragePod", "datastore-cluster"),
    ("Datacenter", "datacenter"),
    ("Folder", "folder"),
)
#: vCenter returns these values alone, while ``configurationEx`` has every rule, group and override of the cluster.
_CLUSTER = (
    "configuration.drsConfig.enabled",
    "configuration.drsConfig.defaultVmBehavior",
    "configuration.dasConfig.enabled",
    "summary",
)
_HOST = (
    "name",
    "summary.config.product",
    "summary.hardware",
    "runtime.connectionState",
    "runtime.inMaintenanceMode",
)


def composer_facts(ansible_version: str) -> dict[str, str]:
    """Return the versions of the software on the composer."""
    facts = {
        "strata.layering": VERSION,
        "ansible-core": ansible_version or "unknown",
        "Python": platform.python_version(),
        "OpenSSL": ssl.OPENSSL_VERSION,
    }
    for library in _LIBRARIES:
        try:
            facts[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            facts[library] = "unknown"
    try:
        facts["operating system"] = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    except OSError:
        facts["operating system"] = platform.system()
    facts["architecture"] = platform.machine()
    return facts


def register_inventory(session: Session, redactor: Redactor) -> int:
    """Register the names and IDs of all objects that the user can see; return their number."""
    found = collect_below(session, session.content.rootFolder, "ManagedEntity", ["name"])
    for item, values in found.items():
        name = plain_name(values.get("name", ""))
        # The name of a host in messages may lack its domain.
        short = name.partition(".")[0] if _kind(item) == "host" and not name[:1].isdecimal() else None
        redactor.add(_kind(item), name, values.get("name"), item._GetMoId(), short)
    return len(found)


def vcenter_facts(session: Session) -> dict[str, Any]:
    """Return product, version and build of the vCenter."""
    about = session.content.about
    names = ("name", "version", "build", "patchLevel", "apiType", "apiVersion", "osType", "productLineId")
    return {name: str(value) for name in names if (value := getattr(about, name, None))}


def site_facts(session: Session, target: Target, redactor: Redactor) -> dict[str, Any]:
    """Return the facts about the objects that the connector names."""
    placement = target.placement
    parts: dict[str, Callable[[], Any]] = {
        "cluster": lambda: _cluster(session, placement.pool),
        "hosts": lambda: _hosts(session, placement, redactor),
        "datastore": lambda: _datastore(session, placement, redactor),
        "networks": lambda: _networks(target, redactor),
        "hardware": lambda: _hardware(target.hardware, target.template.nic_types),
    }
    return {name: _optional(part) for name, part in parts.items()}


def _optional(part: Callable[[], Any]) -> Any:
    try:
        return part()
    except StrataError as error:
        return {"not_read": error.code}


def _kind(item: Any) -> str:
    return next((kind for name, kind in _KINDS if isinstance(item, getattr(pyvmomi.vim, name))), "object")


def _cluster(session: Session, pool: Any) -> dict[str, Any]:
    owner = read(session, pool, "owner").get("owner")
    if not isinstance(owner, pyvmomi.vim.ClusterComputeResource):
        return {"kind": "host without a cluster"}
    values = read(session, owner, *_CLUSTER)
    behavior = values.get("configuration.drsConfig.defaultVmBehavior")
    return {
        "kind": "cluster",
        "drs": _flag(values.get("configuration.drsConfig.enabled")),
        "drs_behavior": "unknown" if behavior is None else str(behavior),
        "ha": _flag(values.get("configuration.dasConfig.enabled")),
        "evc": str(getattr(values.get("summary"), "currentEVCModeKey", None) or "none"),
    }


def _flag(value: Any) -> bool | str:
    return "unknown" if value is None else bool(value)


def _hosts(session: Session, placement: Any, redactor: Redactor) -> list[dict[str, Any]]:
    if placement.host is not None:
        hosts = [placement.host]
    else:
        owner = read(session, placement.pool, "owner").get("owner")
        hosts = read(session, owner, "host").get("host", [])
    rows = []
    for values in collect(session, hosts, _HOST).values():
        product, hardware = values.get("summary.config.product"), values.get("summary.hardware")
        rows.append(
            {
                "host": redactor.add("host", plain_name(values.get("name", "unknown"))),
                "version": getattr(product, "version", "unknown"),
                "build": getattr(product, "build", "unknown"),
                "model": f"{getattr(hardware, 'vendor', '') or ''} {getattr(hardware, 'model', '') or ''}".strip(),
                "state": str(values.get("runtime.connectionState", "unknown")),
                "maintenance": bool(values.get("runtime.inMaintenanceMode")),
            }
        )
    return sorted(rows, key=lambda row: (len(row["host"]), row["host"]))


def _datastore(session: Session, placement: Any, redactor: Redactor) -> dict[str, Any]:
    values = read(session, placement.datastore, "summary", "info", "host")
    summary, info = values.get("summary"), values.get("info")
    return {
        "datastore": redactor.add("datastore", placement.datastore_name),
        "type": getattr(summary, "type", None) or "unknown",
        "vmfs_version": str(getattr(getattr(info, "vmfs", None), "version", None) or "none"),
        "capacity_gib": round((getattr(summary, "capacity", None) or 0) / _GIB),
        "free_gib": round((getattr(summary, "freeSpace", None) or 0) / _GIB),
        "hosts": len(values.get("host", [])),
        "shared": bool(getattr(summary, "multipleHostAccess", None)),
    }


def _networks(target: Target, redactor: Redactor) -> list[dict[str, str]]:
    placement, hardware = target.placement, target.hardware
    networks = [(placement.network_name, placement.network)] if placement.network is not None else hardware.networks
    kinds = {"DistributedVirtualPortgroup": "distributed port group", "OpaqueNetwork": "opaque network"}
    return [
        {
            "network": redactor.add("network", name),
            "kind": kinds.get(type(item).__name__.rpartition(".")[2], "standard port group"),
        }
        for name, item in networks
    ]


def _hardware(hardware: Hardware, adapters: tuple[str, ...]) -> dict[str, Any]:
    return {
        "version": hardware.version,
        "guest_id": hardware.guest_id,
        "processors": hardware.cpus,
        "memory_mib": hardware.memory_mib,
        "firmware": hardware.firmware,
        "secure_boot": hardware.secure_boot,
        "disk_controller": hardware.disk_controller or "none",
        "network_adapters": ", ".join(adapters) or "none",
        "copied_devices": len(hardware.devices),
    }
