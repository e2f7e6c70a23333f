# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module layered_image_plan: report what a template combines, and where layers contradict each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..catalog.templates import require_resolved
from ..common.outcome import Outcome
from ..images.plan import plan_template
from .options import RepositoryOptions

_MAX_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class LayeredImagePlanOptions:
    """Options of the module layered_image_plan."""

    repository: RepositoryOptions
    template: str
    paths: tuple[str, ...]

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> LayeredImagePlanOptions:
        """Read the parameters of the module."""
        return cls(
            repository=RepositoryOptions.from_params(params),
            template=params["template"],
            paths=tuple(params["paths"] or ()),
        )


def layered_image_plan(options: LayeredImagePlanOptions) -> Outcome:
    """Return what publishing the template would combine, and where layers contradict each other.

    Raises:
        NotFound: the repository, the template, a layer version or the connector does not exist.
        Conflict: the layer versions do not fit together, as ``resolve``.
        Corrupt: a document or a layer is damaged.
    """
    repository = options.repository.open()
    template = require_resolved(repository, options.template)
    plan = plan_template(repository, template, list(options.paths))
    counts = {
        "files": sum(layer["files_that_win"] for layer in plan.layers),
        "conflicts": len(plan.conflicts),
        "registry": len(plan.registry),
        "outdated": len(plan.outdated),
        "short_names": len(plan.short_names),
    }
    result = asdict(plan) | {"counts": counts, "content_digest": template.content_digest}
    return Outcome(False, result=result, warnings=_warnings(plan.short_names))


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
