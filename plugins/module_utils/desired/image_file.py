# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files with an image's disk as a playbook wants them."""

from __future__ import annotations

import json
import os

from ..catalog.documents import TEMPLATE
from ..catalog.templates import resolve
from ..common.errors import NotFound
from ..common.files import atomic_write
from ..common.module import Outcome
from ..common.progress import Progress, silent
from ..images import export
from ..images.layered_image import compose_template, os_layer_facts
from .repository import open_repository

_MAX_RECORD = 65536


def ensure_image_file(params: dict, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Write the image unless the file holds it already."""
    repository = open_repository(params, check_mode=check_mode)
    template = resolve(repository, repository.catalog.require(TEMPLATE, params["template"]))
    path, form = params["path"], params["format"]
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise NotFound(f"The folder {folder} does not exist.", code="export.folder", hint="Create it first.")
    before = _recorded(path)
    wanted = {"path": path, "format": form, "digest": template.content_digest}
    result: dict = {"path": path, "digest": template.content_digest}
    warnings: list[str] = []
    if before is not None and {key: before[key] for key in wanted} == wanted:
        return Outcome(False, wanted, wanted, dict(result, bytes=before["bytes"]))
    if not check_mode:
        image = compose_template(repository, template, progress=progress)
        dropped = image.config["statistics"]["dropped"]
        if dropped:
            warnings.append(f"{template.name}: left out because another file has it already: {'; '.join(dropped[:5])} ({len(dropped)} in all).")
        firmware = os_layer_facts(repository, template).get("firmware") or "bios"
        result["bytes"] = export.export(image, path, form, name=template.name, firmware=firmware, progress=progress)
        status = os.stat(path)
        record = dict(wanted, bytes=result["bytes"], mtime_ns=status.st_mtime_ns)
        atomic_write(_sidecar(path), (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
        repository.audit.append("export", "layered_image", template.name, comment=params["comment"], details={"path": path, "format": form})
    return Outcome(True, before and {key: before[key] for key in wanted}, wanted, result, warnings)


def _sidecar(path: str) -> str:
    return f"{path}.strata.json"


def _recorded(path: str) -> dict | None:
    """What the file at ``path`` was written from, None when there is none or it has been changed since."""
    try:
        status = os.stat(path)
        with open(_sidecar(path), "rb") as stream:
            record = json.loads(stream.read(_MAX_RECORD))
        known = (record["bytes"], record["mtime_ns"]) == (status.st_size, status.st_mtime_ns)
        return record if known and {"path", "format", "digest"} <= record.keys() else None
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
