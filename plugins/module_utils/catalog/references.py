# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""References between documents: which image templates use a layer version or a connector."""

from __future__ import annotations

from collections.abc import Callable

from ..common.errors import Conflict
from ..repository.repository import Repository
from . import document_collections
from .template_document import TemplateDocument

_MAX_SHOWN = 5


def templates_using(repository: Repository, uses: Callable[[TemplateDocument], bool]) -> list[str]:
    """Return the names of the image templates for which ``uses`` is true."""
    return [name for name, template in document_collections.templates(repository).all() if uses(template)]


def refuse_in_use(subject: str, templates: list[str]) -> None:
    """Raise Conflict (``catalog.in_use``) if image templates use ``subject``, which is to be deleted."""
    if not templates:
        return
    shown = ", ".join(templates[:_MAX_SHOWN])
    if len(templates) > _MAX_SHOWN:
        shown += f" and {len(templates) - _MAX_SHOWN} more"
    users = f"image template {shown} uses" if len(templates) == 1 else f"image templates {shown} use"
    raise Conflict(
        f"{subject} cannot be deleted: the {users} it.",
        code="catalog.in_use",
        hint="Change or delete those image templates first.",
        templates=templates,
    )
