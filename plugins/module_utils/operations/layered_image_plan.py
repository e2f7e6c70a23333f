# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of templates, for modules that only look."""

from __future__ import annotations

from dataclasses import asdict

from ..catalog.documents import TEMPLATE
from ..catalog.templates import resolve
from ..common.outcome import Outcome
from ..images.plan import plan_template
from .repository import open_repository


def layered_image_plan(params: dict) -> Outcome:
    """What publishing the template would put together, and what contradicts what."""
    repository = open_repository(params)
    template = resolve(repository, repository.catalog.require(TEMPLATE, params["template"]))
    plan = plan_template(repository, template, params["paths"])
    counts = {
        "files": sum(layer["files_that_win"] for layer in plan.layers),
        "conflicts": len(plan.conflicts),
        "registry": len(plan.registry),
        "outdated": len(plan.outdated),
        "short_names": len(plan.short_names),
    }
    warnings = []
    if plan.short_names:
        shown = ", ".join(
            f"{one['short_name']} of {one['path']} ({one['layer']}; {one['holder']} has it)"
            for one in plan.short_names[:3]
        )
        more = f" and {len(plan.short_names) - 3} more" if len(plan.short_names) > 3 else ""
        warnings.append(
            f"Files will be without the 8.3 name that their layer gives them: {shown}{more}. Paths in short form may lead to another file."
        )
    return Outcome(
        False, result=asdict(plan) | {"counts": counts, "content_digest": template.content_digest}, warnings=warnings
    )
