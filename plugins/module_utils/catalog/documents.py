# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents of the catalogue that a module keeps: compare, put, remove, and note it in the history."""

from __future__ import annotations

import datetime
import hashlib

from ..common.errors import Conflict, InvalidInput
from ..layers.icon import icon_media_type
from ..repository.repository import Repository

CONNECTOR, TEMPLATE, TASK, IMAGE, PACKAGING = "connector", "image_template", "task", "image", "packaging"
#: One lock for everything that may change what refers to what.
LOCK = "catalog"
_MAX_ICON = 1 << 20


def put_document(
    repository: Repository,
    kind: str,
    name: str,
    document: dict,
    before: dict | None,
    comment: str | None,
    *,
    version: str | None = None,
) -> None:
    """Store a document and say so in the history."""
    repository.catalog.put(kind, name, document)
    repository.audit.append(
        "update" if before else "create",
        kind,
        name,
        version=version,
        comment=comment,
        details=_difference(before, document),
    )


def delete_document(repository: Repository, kind: str, name: str, comment: str | None) -> None:
    """Remove a document and say so in the history."""
    repository.catalog.delete(kind, name)
    repository.audit.append("delete", kind, name, comment=comment)


def _difference(before: dict | None, after: dict) -> dict:
    if before is None:
        return {}
    changed = sorted(
        key for key in before.keys() | after.keys() if key != "versions" and before.get(key) != after.get(key)
    )
    return {key: {"before": before.get(key), "after": after.get(key)} for key in changed}


def templates_using(repository: Repository, uses) -> list[str]:
    """Names of the image templates for whose document ``uses(document)`` is true."""
    return [name for name, document in repository.catalog.documents(TEMPLATE) if uses(document)]


def refuse_in_use(what: str, templates: list[str]) -> None:
    """Raise Conflict when image templates still name something that is to be removed."""
    if templates:
        shown = ", ".join(templates[:5]) + (f" and {len(templates) - 5} more" if len(templates) > 5 else "")
        raise Conflict(
            f"{what} cannot be removed because the image template{'s' if len(templates) > 1 else ''} {shown} use{'' if len(templates) > 1 else 's'} it.",
            code="catalog.in_use",
            hint="Change or remove those templates first.",
            templates=templates,
        )


def now() -> str:
    """The present in RFC 3339 form, UTC, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def read_icon(path: str | None) -> bytes | None:
    """The bytes of an icon file, found to be a sensible PNG or JPEG."""
    if not path:
        return None
    try:
        with open(path, "rb") as stream:
            data = stream.read(_MAX_ICON + 1)
    except OSError as error:
        raise InvalidInput(
            f"The icon {path} cannot be read: {error.strerror}.",
            code="catalog.icon_unreadable",
            hint="Give a PNG or JPEG file on the composer.",
        ) from error
    icon_media_type(data)
    return data


def store_icon(repository: Repository, data: bytes, *, check_mode: bool) -> str:
    """Keep an icon as a blob, but for check mode; returns its digest."""
    if check_mode:
        return f"sha256:{hashlib.sha256(data).hexdigest()}"
    return repository.layout.put_blob(data, icon_media_type(data)).digest
