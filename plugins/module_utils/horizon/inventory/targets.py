# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What desktop pools and RDS farms have in common for a push: the interface, finding them by name, and results per machine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from ...common.errors import InternalError, InvalidInput, NotFound, Unavailable
from ..model import ComputeProfile, Machine, MachineResult, PushRequest, SessionCounts, Target
from ..rest.answers import Answer, records_of
from ..rest.client import HorizonClient
from .similar_names import SHOWN, listed, similar_names

#: A start time in milliseconds is above this number; the same time in seconds is far below it.
_FIRST_MILLISECONDS = 10**11
_LEAST_RAM_MB = 1024


class TargetApi(Protocol):
    """Read pools or farms, and request pushes for them. Every method makes one request, or one for each page of a list."""

    kind: str

    def all(self) -> list[Target]:
        """Return all pools or farms that the user may see, by name."""

    def find(self, names: Sequence[str]) -> list[Target]:
        """Return the pools or farms with exactly these names, in this order, each once.

        Raises:
            NotFound: ``horizon.no_such_target``; ``missing`` has the names, ``similar`` the names that are alike, and
                ``display_names`` the targets whose display name was given.
        """

    def read(self, target_id: str) -> Target:
        """Return the pool or farm with this ID as it is now."""

    def request_body(self, target: Target, request: PushRequest) -> dict[str, Any]:
        """Return the body that ``push`` sends.

        Raises:
            InvalidInput: ``horizon.compute_profile``, or ``horizon.farm_tpm`` for a vTPM of a farm.
        """

    def push(self, target: Target, request: PushRequest) -> tuple[MachineResult, ...]:
        """Request a push, or change the start time of a scheduled push, which needs the same settings otherwise.

        Returns:
            A result for each machine of a push to some machines.

        Raises:
            Unavailable: ``horizon.machines_refused`` if Horizon accepted the push but refused machines; ``machines`` has their
                names or IDs and errors. Other codes: the push was not accepted.
        """

    def cancel(self, target: Target) -> None:
        """Cancel the scheduled push, or remove the image that is held.

        Raises:
            Conflict: ``horizon.recurring_maintenance`` if the image belongs to the recurring maintenance of a farm.
        """

    def promote(self, target: Target) -> None:
        """Make the image that is held the current image."""

    def apply(self, target: Target, machine_ids: Sequence[str]) -> tuple[MachineResult, ...]:
        """Apply the image that is held to machines. Raises Unavailable (``horizon.machines_refused``) like ``push``."""

    def enable_provisioning(self, target: Target) -> None:
        """Enable provisioning. Raises Unsupported (``horizon.enable_provisioning``) if this Horizon has no request for it."""

    def resume(self, target: Target, *, stop_on_first_error: bool) -> None:
        """Resume the tasks that are halted, and retry their failed machines; a farm has no tasks."""

    def machines(self, target: Target) -> tuple[Machine, ...]:
        """Return the machines or RDS servers, by name."""

    def sessions(self, target: Target, machine_ids: Collection[str] | None = None) -> SessionCounts:
        """Return the number of sessions of all machines, or of those with these IDs."""


def item_path(collection: str, item_id: str, *parts: str) -> str:
    """Return the path of an object of a collection, and of an action on it. The ID is text that Horizon sent."""
    return "/".join((collection, quote(item_id, safe=""), *parts))


def find_targets(
    client: HorizonClient, path: str, names: Sequence[str], read: Callable[[dict[str, Any]], Target], kind: str
) -> list[Target]:
    """Return the targets with exactly these names, for ``TargetApi.find``.

    A single name is read with a filter; the complete list is read for several names, or to explain a name that is missing.
    """
    names = list(dict.fromkeys(names))
    if not names:
        return []
    if len(names) == 1:
        found = _by_name(map(read, _filtered(client, path, names[0])), names)
        if found:
            return [found[names[0]]]
    existing = [read(entry) for entry in client.pages(path)]
    found = _by_name(existing, names)
    missing = [name for name in names if name not in found]
    if missing:
        raise _not_found(client, kind, missing, existing)
    return [found[name] for name in names]


def _filtered(client: HorizonClient, path: str, name: str) -> list[dict[str, Any]]:
    """Return the targets that Horizon finds by a name, none if it cannot filter by names: that depends on the version."""
    try:
        return list(client.pages(path, filter={"name": name}))
    except Unavailable as error:
        if error.code == "horizon.refused":
            return []
        raise


def _by_name(targets: Iterable[Target], names: Sequence[str]) -> dict[str, Target]:
    # An object can be on two pages if the list changes between the requests for them.
    return {target.name: target for target in targets if target.name in names}


def _not_found(client: HorizonClient, kind: str, missing: list[str], existing: list[Target]) -> NotFound:
    noun = {"pool": "desktop pool", "farm": "farm"}[kind]
    displayed = {name: sorted(target.name for target in existing if target.display_name == name) for name in missing}
    displayed = {name: found for name, found in displayed.items() if found}
    similar = {name: similar_names(name, [target.name for target in existing]) for name in missing}
    hints = [_hint(name, displayed.get(name, []), similar[name]) for name in missing[:SHOWN]]
    return NotFound(
        f"There is no {noun} named {listed(missing)} on {client.label}.",
        code="horizon.no_such_target",
        hint=" ".join(dict.fromkeys(hints)),
        kind=kind,
        missing=missing,
        similar=sorted({name for names in similar.values() for name in names}),
        display_names=displayed,
    )


def _hint(name: str, displayed: list[str], similar: list[str]) -> str:
    # The name comes from the option pools, farms or names, or from an entry of the role.
    if len(displayed) == 1:
        return f"{name!r} is the display name of {displayed[0]!r}: use that name."
    if displayed:
        return f"{name!r} is the display name of {listed(displayed)}: use one of these names."
    if similar:
        return f"Similar names are {listed(similar)}: correct the name."
    return "Use names that Horizon Console lists in the column ID, and check the permissions of the user."


def common_body(target: Target, request: PushRequest) -> dict[str, Any]:
    """Return the fields that a push to a pool and to a farm have in common.

    The compute profile of the target is repeated unless the request has another: Horizon does not document whether it keeps a
    profile that a push leaves out.
    """
    if request.start_time is not None and request.start_time < _FIRST_MILLISECONDS:
        # Horizon would start at once: it takes a time in the past as now.
        raise InternalError("The start time of a push is not in milliseconds.", code="horizon.start_time")
    body: dict[str, Any] = {
        "parent_vm_id": request.image.vm,
        "snapshot_id": request.image.snapshot,
        "logoff_policy": request.logoff_policy,
        "stop_on_first_error": request.stop_on_first_error,
    }
    profile = request.compute_profile or target.compute_profile
    if request.compute_profile is not None:
        check_compute_profile(request.compute_profile)
    if profile is not None:
        body["compute_profile_num_cpus"] = profile.num_cpus
        body["compute_profile_num_cores_per_socket"] = profile.num_cores_per_socket
        body["compute_profile_ram_mb"] = profile.ram_mb
    return body


def check_compute_profile(profile: ComputeProfile) -> None:
    """Raise InvalidInput (``horizon.compute_profile``) unless Horizon accepts the numbers of a compute profile."""
    if profile.num_cpus < 1 or profile.num_cores_per_socket < 1 or profile.num_cpus % profile.num_cores_per_socket:
        raise InvalidInput(
            f"The compute profile has {profile.num_cpus} processors and {profile.num_cores_per_socket} cores per socket; "
            "the processors must be a multiple of the cores.",
            code="horizon.compute_profile",
            hint="Correct cpus or cores_per_socket of the option compute_profile.",
            cpus=profile.num_cpus,
            cores_per_socket=profile.num_cores_per_socket,
        )
    if profile.ram_mb < _LEAST_RAM_MB:
        raise InvalidInput(
            f"The compute profile has {profile.ram_mb} MB of memory; the least is {_LEAST_RAM_MB} MB.",
            code="horizon.compute_profile",
            hint="Correct ram_mb of the option compute_profile.",
            ram_mb=profile.ram_mb,
        )


def machine_results(answer: Any, where: str) -> tuple[MachineResult, ...]:
    """Return the results per machine of an answer, which is empty if no machines were named.

    Horizon describes an error by ``errors`` since version 2203, and by ``error_messages`` before.
    """
    return () if answer is None else tuple(_machine_result(entry) for entry in records_of(answer, where))


def _machine_result(entry: Answer) -> MachineResult:
    status = entry.number_or_none("status_code")
    described = [
        (error.text_or_none("error_message") or "", error.text_or_none("error_key") or "")
        for error in entry.records("errors")
    ]
    texts = [f"{message} ({key})" if message and key else message or key for message, key in described]
    texts = [text for text in texts or entry.texts("error_messages") if text]
    succeeded = status is not None and 200 <= status < 300 and not texts
    error = None if succeeded else "; ".join(texts) or f"Horizon reported the status {status}"
    return MachineResult(entry.text_or_none("id") or entry.text_or_none("key") or "", status or 0, error)


def require_success(
    results: tuple[MachineResult, ...], target: Target, action: str, names: Mapping[str, str]
) -> tuple[MachineResult, ...]:
    """Return ``results`` if all machines succeeded; ``names`` has the names of machines by ID as far as they are known.

    Raises:
        Unavailable: ``horizon.machines_refused`` with the ``machines`` that failed and the number that was ``accepted``.
    """
    failed = [result for result in results if result.error is not None]
    if not failed:
        return results
    machines = [
        {
            "id": result.machine_id,
            "name": names.get(result.machine_id),
            "status_code": result.status_code,
            "error": result.error,
        }
        for result in failed
    ]
    first = "; ".join(
        f"{names.get(result.machine_id) or result.machine_id}: {result.error}" for result in failed[:SHOWN]
    )
    raise Unavailable(
        f"Horizon refused to {action} {len(failed)} of {len(results)} machines of the {target.label}: {first}.",
        code="horizon.machines_refused",
        hint="Correct the option machines, or the state of these machines in Horizon Console, and run the playbook again.",
        target=target.name,
        machines=machines,
        accepted=len(results) - len(failed),
    )
