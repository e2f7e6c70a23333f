# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module layered_image_plan: report what would be published and why, and where layers contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..catalog.future import LayerAction, PendingLayer
from ..catalog.templates import require_resolved
from ..catalog.version_name import VersionName, VersionRequest
from ..common.errors import InvalidInput, MissingLibrary, NotFound
from ..common.outcome import Outcome
from ..images.planning.plan import plan_template
from ..layers.layer_version import check_kind, check_layer_name
from ..publish.retiring.retention import RetentionRule
from ..repository.repository import Repository
from .desktops.horizon_servers import RememberedUse
from .options import ConnectionOptions, RepositoryOptions
from .plan_summary import summary_lines
from .planner import Entry, ImagePlanner, Plan, PlanRequest

_MAX_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class LayeredImagePlanOptions:
    """Options of the module layered_image_plan. ``connection`` is None if none is set, or if ``vsphere`` is false."""

    repository: RepositoryOptions
    template: str | None
    paths: tuple[str, ...]
    request: PlanRequest
    connection: ConnectionOptions | None
    vsphere: bool

    @classmethod
    def from_params(cls, params: Mapping[str, Any], *, diff_mode: bool = False) -> LayeredImagePlanOptions:
        """Read the parameters of the module. The elements of ``templates`` and ``connectors`` have ``params`` and ``problem``.

        Raises:
            InvalidInput: ``operations.plan_connection`` if only a part of the connection to vCenter is set.
        """
        templates, publish = params["templates"], params["publish"]
        template = params["template"]
        return cls(
            repository=RepositoryOptions.from_params(params),
            template=template,
            paths=tuple(params["paths"] or ()),
            request=PlanRequest(
                templates=None if templates is None else tuple(map(Entry.from_checked, templates)),
                connectors=tuple(map(Entry.from_checked, params["connectors"] or ())),
                pending_layers=_pending_layers(params["pending_layers"]),
                publish=frozenset([template]) if template else None if publish is None else frozenset(publish),
                retention=RetentionRule(params["keep"], RememberedUse.optional(params)),
                test=params["test"],
                with_conflicts=diff_mode,
                composing=template is None,
            ),
            connection=_connection(params) if params["vsphere"] else None,
            vsphere=params["vsphere"],
        )


def _connection(params: Mapping[str, Any]) -> ConnectionOptions | None:
    """Return the connection to vCenter, None if none is set."""
    needed = ("hostname", "username", "password")
    missing = [option for option in needed if not params[option]]
    if missing == list(needed):
        return None
    if missing:
        raise InvalidInput(
            f"The connection to vCenter lacks {' and '.join(missing)}.",
            code="operations.plan_connection",
            hint=f"Set {' and '.join(missing)}, or VMWARE_HOST, VMWARE_USER and VMWARE_PASSWORD on the composer.",
        )
    return ConnectionOptions.from_params(params)


def _pending_layers(values: Sequence[Mapping[str, Any]] | None) -> tuple[PendingLayer, ...]:
    """Read the option ``pending_layers``; entries with another action are not changes."""
    return tuple(_pending_layer(value) for value in values or () if value.get("action", "create") in set(LayerAction))


def _pending_layer(value: Mapping[str, Any]) -> PendingLayer:
    version, priority, confirmed = (value.get(key) for key in ("version", "priority", "confirmed_for"))
    return PendingLayer(
        kind=check_kind(str(value.get("kind"))),
        name=check_layer_name(str(value.get("name") or "")),
        version=None if version in (None, "") else str(version),
        action=LayerAction(value.get("action", "create")),
        os_layer=next(_version_names([value.get("os_layer")]), None),
        prerequisites=tuple(
            VersionName(layer.name, layer.version)
            for layer in _version_names(value.get("prerequisites") or ())
            if layer.version
        ),
        priority=int(str(priority)) if str(priority).isdecimal() else None,
        confirmed_for=None if confirmed is None else tuple(map(str, confirmed)),
        unknown=value.get("unknown") or None,
    )


def _version_names(values: Sequence[Any]) -> Iterator[VersionRequest]:
    """Yield the layer versions among the values of a variable; other values name none."""
    for value in values:
        if isinstance(value, Mapping) and value.get("name"):
            version = value.get("version")
            yield VersionRequest(str(value["name"]), str(version) if version else None)


def layered_image_plan(options: LayeredImagePlanOptions, *, check_mode: bool = False) -> Outcome:
    """Return what a run would publish and why; with a template, also where its layers contradict each other.

    In check mode, a repository that does not exist counts as an empty repository, which the run would create.

    Raises:
        NotFound: the repository does not exist; with a template, also a layer version or the connector.
        Conflict: the layer versions of the template do not fit together, as ``resolve``.
        Corrupt: a document or a layer is damaged.
        Unavailable, TimedOut, InvalidInput: as ``Session.connect``.
    """
    repository, exists = _open(options, check_mode)
    conflicts, warnings = _conflicts(repository, options.template, options.paths) if options.template else ({}, [])
    plan, problem = _plan(repository, options, check_mode)
    lines = summary_lines(plan.layers, plan.connectors, plan.images)
    if options.vsphere and problem:
        lines.append(f"Not compared with vSphere: {problem}")
    result = conflicts | {
        "images": [image.to_dict() for image in plan.images],
        "connectors": [connector.to_dict() for connector in plan.connectors],
        "summary": lines,
        "problems": plan.problems(),
        "would_change": plan.changed,
        "new_repository": not exists,
        "compared_with_vsphere": plan.compared,
    }
    if conflicts:
        [image] = result["images"]
        result |= {key: image[key] for key in ("publish", "reasons", "current", "planned")}
    return Outcome(False, plan.before, plan.after, result, warnings + plan.warnings)


def _plan(repository: Repository, options: LayeredImagePlanOptions, check_mode: bool) -> tuple[Plan, str | None]:
    """Return the plan, and why it is not compared with vSphere."""
    if options.connection is None:
        return ImagePlanner(repository, options.request, None).plan(), "no connection to vCenter is set."
    try:
        session = options.connection.connect()
    except MissingLibrary as error:
        # In check mode, the role composer has not installed it.
        if not check_mode:
            raise
        return ImagePlanner(repository, options.request, None).plan(), error.message
    with session:
        return ImagePlanner(repository, options.request, session).plan(), None


def _open(options: LayeredImagePlanOptions, check_mode: bool) -> tuple[Repository, bool]:
    """Return the repository, and whether it exists."""
    try:
        return options.repository.open(), True
    except NotFound:
        if not check_mode:
            raise
        return Repository.planned(options.repository.path), False


def _conflicts(repository: Repository, name: str, paths: tuple[str, ...]) -> tuple[dict[str, Any], list[str]]:
    """Return the part of the result that is about one stored template, and warnings."""
    template = require_resolved(repository, name)
    plan = plan_template(repository, template, list(paths))
    counts = {
        "files": sum(layer["files_that_win"] for layer in plan.layers),
        "conflicts": len(plan.conflicts),
        "registry": len(plan.registry),
        "outdated": len(plan.outdated),
        "short_names": len(plan.short_names),
        "refused": len(plan.refused),
    }
    result = asdict(plan) | {"counts": counts, "content_digest": template.content_digest}
    return result, [*_refused(plan.refused), *_warnings(plan.short_names)]


def _refused(refused: list[dict[str, Any]]) -> list[str]:
    shown = [f"The image cannot be composed: {item['message']} {item['hint']}" for item in refused[:_MAX_SHOWN]]
    if len(refused) > _MAX_SHOWN:
        shown.append(f"The image cannot be composed for {len(refused) - _MAX_SHOWN} more reasons; see refused.")
    return shown


def _warnings(short_names: list[dict[str, Any]]) -> list[str]:
    if not short_names:
        return []
    shown = ", ".join(
        f"{name['path']} ({name['layer']}) loses {name['short_name']} to {name['holder']}"
        for name in short_names[:_MAX_SHOWN]
    )
    more = f" and {len(short_names) - _MAX_SHOWN} more" if len(short_names) > _MAX_SHOWN else ""
    return [
        f"Files lose the 8.3 name that their layer gives them: {shown}{more}. "
        "Paths in short form may lead to another file."
    ]
