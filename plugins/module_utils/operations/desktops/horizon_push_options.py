# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of horizon_image_push, checked as far as that is possible without Horizon."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...common.errors import InvalidInput
from ...horizon.inventory.targets import check_compute_profile
from ...horizon.model import FORCE_LOGOFF, WAIT_FOR_LOGOFF, ComputeProfile
from ...horizon.pushing.decision import DesiredState, Wish
from ...horizon.pushing.push_results import PushOptions
from ..options import RepositoryOptions
from .horizon_image_choice import ImageChoice
from .horizon_options import HorizonOptions

_DAY = datetime.timedelta(days=1)
_MINIMA = {
    "canary": 0,
    "max_sessions": 0,
    "wait_timeout": 0,
    "wait_sleep": 1,
    "operation_timeout": 0,
    "retries": 0,
    "retry_pause": 0,
}


@dataclass(frozen=True, kw_only=True)
class HorizonImagePushOptions:
    """The options of the module.

    ``wish`` has no image; ``choice`` names it, None only with the state canceled. ``machines`` are the names of the machines that a
    staged image is applied to; None: ``canary`` machines.
    """

    connection: HorizonOptions
    repository: RepositoryOptions | None
    pools: tuple[str, ...]
    farms: tuple[str, ...]
    choice: ImageChoice | None
    wish: Wish
    machines: tuple[str, ...] | None
    canary: int
    waiting: PushOptions

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> HorizonImagePushOptions:
        """Read the parameters of the module.

        Raises:
            InvalidInput: ``operations.push_option``, ``operations.push_target``, ``operations.push_image_option``,
                ``operations.push_start_time``, ``horizon.compute_profile``; those of the connection.
        """
        for name, minimum in _MINIMA.items():
            if params[name] is not None and params[name] < minimum:
                raise InvalidInput(
                    f"The option {name} is {params[name]}; it must be at least {minimum}.",
                    code="operations.push_option",
                    hint=f"Set {name} to {minimum} or more.",
                )
        pools, farms = _names(params["pools"]), _names(params["farms"])
        if not pools and not farms:
            raise InvalidInput(
                "The options pools and farms are not set.",
                code="operations.push_target",
                hint="Set pools, farms or both to the names of the desktop pools and farms.",
            )
        _check_combinations(params, pools, farms)
        choice = ImageChoice.from_params(params)
        if choice is None and params["state"] != DesiredState.CANCELED.value:
            raise InvalidInput(
                "The image is not set.",
                code="operations.push_image_option",
                hint="Set template, or vm and snapshot.",
            )
        return cls(
            connection=HorizonOptions.from_params(params),
            repository=RepositoryOptions.optional(params),
            pools=pools,
            farms=farms,
            choice=choice,
            wish=_wish(params),
            machines=_names(params["machines"]) or None,
            canary=params["canary"] or 0,
            waiting=PushOptions(
                wait=params["wait"],
                for_machines=params["wait_for"] == "machines",
                timeout=params["wait_timeout"],
                interval=params["wait_sleep"],
                operation_timeout=params["operation_timeout"],
                retries=params["retries"],
                retry_pause=params["retry_pause"],
            ),
        )


def _wish(params: Mapping[str, Any]) -> Wish:
    return Wish(
        state=DesiredState(params["state"]),
        logoff_policy=FORCE_LOGOFF if params["logoff_policy"] == "force_logoff" else WAIT_FOR_LOGOFF,
        max_sessions=params["max_sessions"],
        start_time=None if params["start_time"] is None else parse_start_time(params["start_time"]),
        stop_on_first_error=params["stop_on_first_error"],
        add_virtual_tpm=params["add_virtual_tpm"],
        compute_profile=_compute_profile(params["compute_profile"]),
        replace=params["replace"],
        change_source=params["image_source"] == "change",
        enable_provisioning=params["provisioning"] == "enabled",
        allow_disabled=params["allow_disabled"],
    )


def _names(values: list[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values or ()))


def _check_combinations(params: Mapping[str, Any], pools: tuple[str, ...], farms: tuple[str, ...]) -> None:
    if params["state"] != DesiredState.STAGED.value:
        for name in ("machines", "canary"):
            if params[name]:
                raise InvalidInput(
                    f"The option {name} needs the state staged; the state is {params['state']}.",
                    code="operations.push_option",
                    hint=f"Set state to staged, or remove {name}.",
                )
    if params["machines"] and params["canary"] is not None:
        raise InvalidInput(
            "The option machines excludes canary.", code="operations.push_option", hint="Set machines or canary."
        )
    if params["machines"] and len(pools) + len(farms) > 1:
        raise InvalidInput(
            f"The option machines needs exactly one pool or farm; {len(pools) + len(farms)} are named.",
            code="operations.push_option",
            hint="Set canary, or use a task for each pool and farm.",
        )
    if farms and params["add_virtual_tpm"] is not None:
        raise InvalidInput(
            "Farms do not support the option add_virtual_tpm.",
            code="operations.push_option",
            hint="Use a task for the farms without add_virtual_tpm: the image decides whether they have a virtual TPM.",
        )


def _compute_profile(value: Mapping[str, Any] | None) -> ComputeProfile | None:
    if value is None:
        return None
    profile = ComputeProfile(value["cpus"], value["cores_per_socket"], value["ram_mb"])
    check_compute_profile(profile)
    return profile


def parse_start_time(text: str) -> int:
    """Return a time in ISO 8601 format in milliseconds since 1970.

    Raises:
        InvalidInput: ``operations.push_start_time``: it is not a time, or has no offset.
    """
    try:
        moment = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        raise _not_a_time(text, "it is not a time in ISO 8601 format") from None
    if moment.tzinfo is None:
        raise _not_a_time(text, "it has no offset from UTC")
    try:
        # Horizon's time is shown in UTC, and retention waits some time after it.
        return round((moment.astimezone(datetime.UTC) + _DAY - _DAY).timestamp() * 1000)
    except OverflowError:
        raise _not_a_time(text, "it is too far in the past or future") from None


def _not_a_time(text: str, cause: str) -> InvalidInput:
    return InvalidInput(
        f"The option start_time is {text[:40]!r}: {cause}.",
        code="operations.push_start_time",
        hint='Set start_time to a time with an offset, such as "2026-12-01T22:00:00+01:00".',
        found=text[:40],
    )
