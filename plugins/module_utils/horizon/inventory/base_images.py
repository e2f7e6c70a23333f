# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vCenters, base VMs and snapshots that Horizon knows, and the reasons for which Horizon refuses them."""

from __future__ import annotations

import re
import time
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from ...common.errors import Conflict, NotFound, Unsupported
from ..rest.answers import Answer, records_of
from ..rest.client import HorizonClient
from .similar_names import SHOWN, similar_names

#: Seconds between two reads while a new VM or snapshot is waited for.
_PAUSE = 5.0

_UUID = re.compile(r"[0-9a-f]{8}(?:-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")
#: Horizon's reasons that rule out a VM or a snapshot, with the text and the hint of the error.
_VM_REASONS = {
    "INSTANT_INTERNAL": ("it is an internal VM of instant clones", "Name the VM that was published."),
    "VIEW_COMPOSER_REPLICA": ("it is a replica of linked clones", "Name the VM that was published."),
    "NO_SNAPSHOTS": ("it has no snapshot", "Publish the image again, or create a snapshot of the powered-off VM."),
}
_IN_USE = ("it is itself a machine of a desktop pool", "Name the VM that was published.")
_SYSTEM_REASONS = {
    "pool": {"UNSUPPORTED_OS": ("its operating system is not supported for desktops", "Publish a desktop image.")},
    "farm": {"UNSUPPORTED_OS_FOR_FARM": ("its operating system is not supported for farms", "Publish a server image.")},
}
_SNAPSHOT_REASONS = {
    "POWERED_ON": ("the VM was powered on", "Shut down the VM, and create a snapshot of the powered-off VM."),
    "INCOMPATIBLE_HARDWARE_VERSION": (
        "its hardware version is too old",
        "Upgrade the VM to hardware version 11 or newer, and create a snapshot.",
    ),
}


@dataclass(frozen=True, slots=True)
class VirtualCenter:
    """A vCenter of the pod. ``id`` is Horizon's ID; ``instance_uuid`` is vCenter's own, in lower case."""

    id: str
    server_name: str
    instance_uuid: str | None


@dataclass(frozen=True, slots=True)
class BaseVm:
    """A VM with its managed object ID; ``reasons`` are Horizon's reasons for which it may be incompatible."""

    id: str
    name: str
    path: str | None
    datacenter_id: str | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot with its managed object ID; ``created`` is in milliseconds since 1970."""

    id: str
    name: str
    path: str | None
    created: int | None
    reasons: tuple[str, ...]


_Image = TypeVar("_Image", BaseVm, Snapshot)


class BaseImages:
    """The vCenters, base VMs and snapshots of a pod; each answer is read once per object.

    Methods that read raise as every request of the client, and Corrupt (``horizon.answer``).
    """

    def __init__(self, client: HorizonClient, *, pause: float = _PAUSE) -> None:
        """Prepare the reads; nothing is sent. ``pause`` is the time in seconds between two reads while a VM is waited for."""
        self._client = client
        self._pause = pause
        self._vcenters: tuple[VirtualCenter, ...] | None = None
        self._vms: dict[str, tuple[BaseVm, ...]] = {}
        self._snapshots: dict[tuple[str, str], tuple[Snapshot, ...]] = {}

    def vcenters(self) -> tuple[VirtualCenter, ...]:
        """Return the vCenters of the pod."""
        if self._vcenters is None:
            answer = self._client.get("/config/v2/virtual-centers")
            self._vcenters = tuple(
                VirtualCenter(
                    id=record.text("id"),
                    server_name=record.text_or_none("server_name") or "",
                    instance_uuid=(record.text_or_none("instance_uuid") or "").lower() or None,
                )
                for record in records_of(answer, "the vCenters of Horizon")
            )
        return self._vcenters

    def find_vcenter(self, name_or_uuid: str) -> VirtualCenter:
        """Return the vCenter with this instance UUID, else with exactly this server name, which may be given as a URL.

        Raises:
            NotFound: ``horizon.vcenter_missing``.
            Conflict: ``horizon.vcenter_ambiguous`` if several vCenters have the name.
        """
        lowered = name_or_uuid.strip().lower()
        known = self.vcenters()
        if _UUID.fullmatch(lowered):
            found = [vcenter for vcenter in known if _plain(vcenter.instance_uuid or "") == _plain(lowered)]
        else:
            host = _host(lowered)
            found = [vcenter for vcenter in known if vcenter.server_name and _host(vcenter.server_name) == host]
        names = [f"{vcenter.server_name} (instance UUID {vcenter.instance_uuid})" for vcenter in (found or known)]
        if not found:
            raise NotFound(
                f"The vCenter {name_or_uuid!r} is not a vCenter of Horizon's pod.",
                code="horizon.vcenter_missing",
                hint=f"Set vcenter to the server name or instance UUID of a vCenter of the pod: {_listed(names)}.",
                vcenter=name_or_uuid,
                vcenters=names[:SHOWN],
            )
        if len(found) > 1:
            raise Conflict(
                f"The name {name_or_uuid!r} belongs to several vCenters of Horizon's pod: {_listed(names)}.",
                code="horizon.vcenter_ambiguous",
                hint="Set vcenter to the instance UUID of the vCenter.",
                vcenter=name_or_uuid,
                vcenters=names[:SHOWN],
            )
        return found[0]

    def vms(self, vcenter_id: str) -> tuple[BaseVm, ...]:
        """Return all VMs of a vCenter."""
        found = self._vms.get(vcenter_id)
        if found is None:
            answer = self._client.get("/external/v1/base-vms", vcenter_id=vcenter_id)
            records = records_of(answer, "the base VMs of Horizon")
            found = self._vms[vcenter_id] = tuple(
                BaseVm(*_identity(record), record.text_or_none("datacenter_id"), _reasons(record)) for record in records
            )
        return found

    def vm(self, vcenter_id: str, name: str, *, timeout: float = 0) -> BaseVm:
        """Return the VM with this managed object ID, path or name; wait up to ``timeout`` seconds until Horizon lists it.

        Names and paths are compared whole: they may contain slashes.

        Raises:
            NotFound: ``horizon.vm_missing``.
            Conflict: ``horizon.vm_ambiguous`` if several VMs match.
        """

        def read() -> tuple[BaseVm, ...]:
            return self.vms(vcenter_id)

        def forget() -> None:
            self._vms.pop(vcenter_id, None)

        found = self._matches(read, forget, name, timeout)
        if not found:
            raise NotFound(
                f"The VM {name!r} is not known to Horizon{_after(timeout)}.",
                code="horizon.vm_missing",
                hint=f"Set vm to the name, path or managed object ID of a VM of the pool's vCenter{_similar(name, read())}.",
                vm=name,
            )
        if len(found) > 1:
            raise Conflict(
                f"Several VMs match {name!r}: {_listed(_labels(found))}.",
                code="horizon.vm_ambiguous",
                hint="Set vm to the path of the VM.",
                vm=name,
                paths=_labels(found)[:SHOWN],
            )
        return found[0]

    def snapshots(self, vcenter_id: str, vm_id: str) -> tuple[Snapshot, ...]:
        """Return all snapshots of a VM."""
        found = self._snapshots.get((vcenter_id, vm_id))
        if found is None:
            answer = self._client.get("/external/v1/base-snapshots", vcenter_id=vcenter_id, base_vm_id=vm_id)
            records = records_of(answer, f"the snapshots of the VM {vm_id} in Horizon")
            found = self._snapshots[vcenter_id, vm_id] = tuple(
                Snapshot(*_identity(record), record.number_or_none("created_timestamp"), _reasons(record))
                for record in records
            )
        return found

    def snapshot(self, vcenter_id: str, vm: BaseVm, name: str, *, timeout: float = 0) -> Snapshot:
        """Return the snapshot with this managed object ID, path or name; wait up to ``timeout`` seconds until Horizon lists it.

        Names and paths are compared whole: they may contain slashes.

        Raises:
            NotFound: ``horizon.snapshot_missing``.
            Conflict: ``horizon.snapshot_ambiguous`` if several snapshots match.
        """

        def read() -> tuple[Snapshot, ...]:
            return self.snapshots(vcenter_id, vm.id)

        def forget() -> None:
            self._snapshots.pop((vcenter_id, vm.id), None)

        found = self._matches(read, forget, name, timeout)
        if not found:
            raise NotFound(
                f"The snapshot {name!r} of the VM {vm.path or vm.name} is not known to Horizon{_after(timeout)}.",
                code="horizon.snapshot_missing",
                hint=f"Set snapshot to the name, path or managed object ID of a snapshot of the VM: {_listed(_labels(read()))}.",
                vm=vm.path or vm.name,
                snapshot=name,
            )
        if len(found) > 1:
            raise Conflict(
                f"Several snapshots of the VM {vm.path or vm.name} match {name!r}: {_listed(_labels(found))}.",
                code="horizon.snapshot_ambiguous",
                hint="Set snapshot to the path or the managed object ID of the snapshot.",
                vm=vm.path or vm.name,
                snapshot=name,
                paths=_labels(found)[:SHOWN],
            )
        return found[0]

    def check(self, vm: BaseVm, snapshot: Snapshot | None, kind: Literal["pool", "farm"]) -> tuple[str, ...]:
        """Raise if Horizon refuses the VM or the snapshot for this kind of target; return warnings for unknown reasons.

        Raises:
            Unsupported: ``horizon.vm_incompatible`` or ``horizon.snapshot_incompatible``.
        """
        label = vm.path or vm.name
        known = _VM_REASONS | _SYSTEM_REASONS[kind]
        for reason in vm.reasons:
            text, hint = _IN_USE if reason.startswith("IN_USE_") else known.get(reason, ("", ""))
            if text:
                raise Unsupported(
                    f"Horizon refuses the VM {label} for a {kind}: {text} ({reason}).",
                    code="horizon.vm_incompatible",
                    hint=hint,
                    vm=label,
                    reason=reason,
                )
        reasons = snapshot.reasons if snapshot else ()
        for reason in reasons:
            text, hint = _SNAPSHOT_REASONS.get(reason, ("", ""))
            if text:
                raise Unsupported(
                    f"Horizon refuses the snapshot {snapshot and snapshot.name} of the VM {label}: {text} ({reason}).",
                    code="horizon.snapshot_incompatible",
                    hint=hint,
                    vm=label,
                    reason=reason,
                )
        # The system of a desktop image is never supported for farms, and the other way round: these reasons say nothing.
        irrelevant = {reason for reasons in _SYSTEM_REASONS.values() for reason in reasons}
        return tuple(
            f"Horizon reports {reason} for the image {label}; this version of the collection does not know the reason."
            for reason in (*(reason for reason in vm.reasons if reason not in irrelevant), *reasons)
        )

    def _matches(
        self, read: Callable[[], Sequence[_Image]], forget: Callable[[], None], name: str, timeout: float
    ) -> list[_Image]:
        """Return the VMs or snapshots that ``name`` identifies; read them again until there is a match, or the time is over."""
        deadline = time.monotonic() + timeout
        while True:
            found = [image for image in read() if name in (image.id, image.path, image.name)]
            if found or time.monotonic() + self._pause > deadline:
                return found
            time.sleep(self._pause)
            forget()


def _identity(record: Answer) -> tuple[str, str, str | None]:
    return record.text("id"), record.text_or_none("name") or "", record.text_or_none("path")


def _reasons(record: Answer) -> tuple[str, ...]:
    return tuple(record.texts("incompatible_reasons"))


def _plain(uuid: str) -> str:
    return uuid.replace("-", "")


def _host(name: str) -> str:
    """Return the host of a server name, which may be a URL, in lower case."""
    text = name.strip().lower()
    if "//" not in text:
        return text.rstrip("/")
    try:
        return urllib.parse.urlsplit(text).hostname or text
    except ValueError:
        return text


def _labels(images: Iterable[BaseVm | Snapshot]) -> list[str]:
    return [f"{image.path or image.name} ({image.id})" for image in images]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "there are none") + more


def _after(timeout: float) -> str:
    return f" after {timeout:g} s" if timeout else ""


def _similar(name: str, vms: Sequence[BaseVm]) -> str:
    """Return the paths of VMs with a similar name, for the end of a hint."""
    names = similar_names(name.rpartition("/")[2], [vm.name for vm in vms])
    paths = [vm.path or vm.name for vm in vms if vm.name in names]
    return f", such as {_listed(paths[:3])}" if paths else ""
