# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operation of the module packaging_machine: the packaging machine of a layer version is present, finalized or absent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog.kinds import NOISE
from ..catalog.layers import check_names
from ..catalog.version_name import VersionRequest
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..packaging.context import PackagingContext
from ..packaging.create import ensure_present
from ..packaging.decision import Goal
from ..packaging.finalize import ensure_finalized
from ..packaging.remove import ensure_absent
from ..packaging.request import MINIMUM_RUN, NOISE_MINIMUM_RUN, PackagingRequest
from .options import ConnectionOptions, RepositoryOptions, share_credentials, version_requests

_ENSURE = {Goal.PRESENT: ensure_present, Goal.FINALIZED: ensure_finalized, Goal.ABSENT: ensure_absent}


@dataclass(frozen=True)
class PackagingMachineOptions:
    """The options of the module."""

    repository: RepositoryOptions
    connection: ConnectionOptions
    goal: Goal
    request: PackagingRequest

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> PackagingMachineOptions:
        """Read the module's parameters.

        Raises:
            InvalidInput: for a name that no layer or version can have; as ``PackagingRequest.check``.
        """
        check_names(params["name"], params["version"])
        os_layer, minimum_run = params["os_layer"], params["minimum_run"]
        if minimum_run is None:
            minimum_run = NOISE_MINIMUM_RUN if params["kind"] == NOISE else MINIMUM_RUN
        request = PackagingRequest(
            kind=params["kind"],
            name=params["name"],
            version=params["version"],
            connector=params["connector"],
            os_layer=VersionRequest(os_layer["name"], os_layer["version"]) if os_layer else None,
            prerequisites=version_requests(params["prerequisites"]),
            start_from=params["start_from"],
            power_on=params["power_on"],
            wait_for_address=params["wait_for_address"],
            minimum_run=minimum_run,
            idle_timeout=params["idle_timeout"],
            shutdown=params["shutdown"],
            shutdown_timeout=params["shutdown_timeout"],
            file_share=params["file_share"],
            credentials=share_credentials(params),
            package=params["package"],
            remove_package=params["remove_package"],
            comment=params["comment"],
        )
        request.check()
        return cls(
            RepositoryOptions.from_params(params), ConnectionOptions.from_params(params), Goal(params["state"]), request
        )


def ensure_packaging_machine(
    options: PackagingMachineOptions, *, check_mode: bool, progress: Progress = silent
) -> Outcome:
    """Bring the packaging machine of a layer version into the requested state.

    Raises:
        Conflict: ``repository.lock_held`` if another process works on the packaging machine.
        StrataError: as ``ensure_present``, ``ensure_finalized`` and ``ensure_absent``.
    """
    repository = options.repository.open(check_mode=check_mode)
    key = options.request.key
    with (
        repository.locks.hold(
            f"packaging/{key}",
            shared=check_mode,
            timeout=0,
            purpose=f"package {key}",
            subject=f"The packaging machine of the {options.request.layer_label} is in use already",
        ),
        options.connection.connect() as session,
    ):
        context = PackagingContext(repository, session, options.request, check_mode=check_mode, progress=progress)
        return _ENSURE[options.goal](context)
