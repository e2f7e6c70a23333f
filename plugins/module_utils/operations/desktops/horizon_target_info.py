# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of the modules horizon_pool_info and horizon_farm_info: pools and farms with their images, without changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...catalog.image_record import ImageRecord
from ...catalog.spelling import lookup_warnings
from ...common.errors import InvalidInput
from ...common.outcome import Outcome
from ...horizon.inventory.base_images import BaseImages, VirtualCenter
from ...horizon.inventory.farms import Farms
from ...horizon.inventory.machines import count_machines, runs_image
from ...horizon.inventory.pools import Pools
from ...horizon.inventory.targets import TargetApi
from ...horizon.model import ImageRef, Machine, PendingImage, Target
from ...horizon.pushing.push_texts import time_text
from ...horizon.rest.client import HorizonClient
from ..options import RepositoryOptions
from .horizon_image_choice import Images, RecordedImages
from .horizon_options import HorizonOptions
from .horizon_results import pod_result, sessions_result, vcenter_result


@dataclass(frozen=True, kw_only=True)
class HorizonTargetInfoOptions:
    """Options of horizon_pool_info and horizon_farm_info.

    ``names`` empty selects all pools or farms. ``template`` selects those whose current or pending image was published from it.
    ``machines``: read machines and sessions, too.
    """

    connection: HorizonOptions
    repository: RepositoryOptions | None
    names: tuple[str, ...] = ()
    template: str | None = None
    machines: bool = False

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> HorizonTargetInfoOptions:
        """Read the parameters of the module.

        Raises:
            InvalidInput: ``operations.horizon_template`` if ``template`` is set without ``repository``.
        """
        require_repository(params)
        return cls(
            connection=HorizonOptions.from_params(params),
            repository=RepositoryOptions.optional(params),
            names=tuple(params["names"] or ()),
            template=params["template"],
            machines=params["machines"],
        )


def require_repository(params: Mapping[str, Any]) -> None:
    """Raise InvalidInput (operations.horizon_template) if ``template`` is set without ``repository``."""
    if params["template"] is not None and params["repository"] is None:
        raise InvalidInput(
            "The option template needs a repository.",
            code="operations.horizon_template",
            hint="Set repository, or STRATA_REPOSITORY in the environment, to the repository from which the images were published.",
        )


def horizon_pool_info(options: HorizonTargetInfoOptions) -> Outcome:
    """Return desktop pools with their images.

    Raises:
        NotFound: ``horizon.no_such_target``; ``repository.missing``.
        StrataError: as ``HorizonClient.connect`` and ``TargetApi.find``.
    """
    with options.connection.connect() as client:
        return _info(client, Pools(client), "pools", options)


def horizon_farm_info(options: HorizonTargetInfoOptions) -> Outcome:
    """Return farms with their images; raise as ``horizon_pool_info``."""
    with options.connection.connect() as client:
        return _info(client, Farms(client), "farms", options)


def _info(client: HorizonClient, api: TargetApi, key: str, options: HorizonTargetInfoOptions) -> Outcome:
    recorded = RecordedImages(options.repository.open() if options.repository else None)
    info = _Info(api, Images(BaseImages(client), recorded), recorded, options)
    targets = api.find(options.names) if options.names else api.all()
    described = [found for found in map(info.describe, targets) if found is not None]
    warnings = lookup_warnings("image template", options.template, recorded.templates())
    return Outcome(False, result={key: described, "horizon": pod_result(client.environment)}, warnings=warnings)


@dataclass(frozen=True)
class _Info:
    """Describes pools or farms."""

    api: TargetApi
    images: Images
    recorded: RecordedImages
    options: HorizonTargetInfoOptions

    def describe(self, target: Target) -> dict[str, Any] | None:
        """Return a pool or farm as the module returns it, None if the options do not select it."""
        vcenter = self.images.find_vcenter(target)
        pending = target.pending
        current_image = self.images.describe(vcenter, target.current)
        pending_image = self.images.describe(vcenter, pending.image if pending else None)
        templates = [image["template"] for image in (current_image, pending_image) if image is not None]
        if self.options.template is not None and self.options.template not in templates:
            return None
        newest = self._newest(vcenter, current_image)
        return {
            "name": target.name,
            "id": target.id,
            "display_name": target.display_name,
            "type": target.type,
            "source": target.source,
            "enabled": target.enabled,
            "provisioning": target.provisioning,
            "delete_in_progress": target.delete_in_progress,
            "vcenter": vcenter_result(vcenter),
            "image": current_image,
            "image_state": target.current_state.value,
            "outdated": None if newest is None or current_image is None else _is_outdated(newest, current_image),
            "newest": None if newest is None else _newest_result(newest),
            "operation": target.operation.value,
            "pending": _pending_result(pending, pending_image),
            "add_virtual_tpm": target.add_virtual_tpm,
            "compute_profile": profile_result(target),
            "image_stream": target.image_stream,
            "error": (pending.error if pending else None) or target.error,
            "status": dict(target.raw),
            **self._machines_and_sessions(target),
        }

    def _newest(self, vcenter: VirtualCenter | None, image: dict[str, Any] | None) -> ImageRecord | None:
        """Return the newest recorded image of the template of ``image`` in its vCenter, None if the image is not recorded."""
        if vcenter is None or image is None or image["template"] is None:
            return None
        return self.recorded.of_template(image["template"], vcenter)[0]

    def _machines_and_sessions(self, target: Target) -> dict[str, Any]:
        if not self.options.machines:
            return {"machines": None, "sessions": None}
        return {
            "machines": _machines_result(self.api.machines(target), target.current, target.pending),
            "sessions": sessions_result(self.api.sessions(target)),
        }


def profile_result(target: Target) -> dict[str, Any] | None:
    """Return the compute profile of a target with the names of the options of horizon_image_push."""
    profile = target.compute_profile
    if profile is None:
        return None
    return {"cpus": profile.num_cpus, "cores_per_socket": profile.num_cores_per_socket, "ram_mb": profile.ram_mb}


def _is_outdated(newest: ImageRecord, image: Mapping[str, Any]) -> bool:
    return bool(newest.image_digest != image["image_digest"])


def _newest_result(newest: ImageRecord) -> dict[str, Any]:
    return {
        "image_digest": newest.image_digest,
        "vm": newest.vm.name,
        "moid": newest.vm.moid,
        "snapshot": newest.snapshot,
        "snapshot_moid": newest.snapshot_moid,
        "published": newest.published,
    }


def _pending_result(pending: PendingImage | None, image: dict[str, Any] | None) -> dict[str, Any] | None:
    if pending is None:
        return None
    settings = pending.settings
    return {
        "state": pending.state.value,
        "progress": pending.progress,
        "image": image,
        "error": pending.error,
        "start_time": None if settings.start_time is None else time_text(settings.start_time),
        "logoff_policy": settings.logoff_policy.lower() if settings.logoff_policy else None,
        "stop_on_first_error": settings.stop_on_first_error,
    }


def _machines_result(
    machines: tuple[Machine, ...], current: ImageRef | None, pending: PendingImage | None
) -> dict[str, Any]:
    """Return counts of machines: those on the current image, on the pending image, and the others."""
    counts = asdict(count_machines(machines, current if current is not None else ImageRef("", "")))
    staged = pending.image if pending else None
    on_pending = 0 if staged is None or staged == current else sum(runs_image(machine, staged) for machine in machines)
    failed = [{"name": name, "error": error} for name, error in counts["failed"]]
    return counts | {"on_pending_image": on_pending, "failed": failed}
