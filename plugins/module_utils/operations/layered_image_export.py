# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files with an image's disk as a playbook wants them."""

from __future__ import annotations

import json

from ..catalog.documents import TEMPLATE
from ..catalog.templates import ResolvedTemplate, resolve
from ..common.errors import InvalidInput, NotFound, Unsupported
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..images import image_files
from ..images.layered_image import compose_template, os_layer_facts
from ..images.thin_image import ThinImage
from ..repository.repository import Repository
from ..shares.open import open_file
from ..shares.share import Share, parent_of
from .options import share_credentials
from .repository import open_repository

_MAX_RECORD = 65536


def ensure_image_file(params: dict, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Write the image unless the file holds it already."""
    repository = open_repository(params, check_mode=check_mode)
    template = resolve(repository, repository.catalog.require(TEMPLATE, params["template"]))
    share, file = open_file(params["path"], share_credentials(params))
    with share:
        return _ensure(repository, template, share, file, params, check_mode, progress)


def _ensure(
    repository: Repository,
    template: ResolvedTemplate,
    share: Share,
    file: str,
    params: dict,
    check_mode: bool,
    progress: Progress,
) -> Outcome:
    path, form = params["path"], params["format"] or _form_of(file)
    if not share.is_folder(parent_of(file)):
        raise NotFound(
            f"The folder {share.where(parent_of(file))} does not exist.",
            code="operations.export_folder",
            hint="Create it first.",
        )
    if share.is_folder(file):
        raise InvalidInput(
            f"{path} is a folder.", code="operations.export_kind", hint="Give path the name of the file to write."
        )
    if share.local_path(file) is None and form not in ("vmdk", "ova"):
        raise Unsupported(
            f"An image cannot be written as {form} to a file share without a mount.",
            code="operations.export_share",
            hint="Choose vmdk or ova, or mount the share.",
        )
    before = _recorded(share, file)
    wanted = {"path": path, "format": form, "digest": template.content_digest}
    result: dict = {"path": path, "digest": template.content_digest}
    warnings: list[str] = []
    if before is not None and {key: before[key] for key in wanted} == wanted:
        return Outcome(False, wanted, wanted, dict(result, bytes=before["bytes"]))
    if not check_mode:
        image = compose_template(repository, template, progress=progress)
        dropped = image.config["statistics"]["dropped"]
        if dropped:
            warnings.append(
                f"{template.name}: left out because another file has it already: {'; '.join(dropped[:5])} ({len(dropped)} in all)."
            )
        firmware = os_layer_facts(repository, template).get("firmware") or "bios"
        _write(image, share, file, form, name=template.name, firmware=firmware, progress=progress)
        status = share.stat(file)
        result["bytes"] = status.size
        record = dict(wanted, bytes=status.size, mtime_ns=status.mtime_ns)
        share.write(_sidecar(file), (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
        repository.audit.append(
            "export", "layered_image", template.name, comment=params["comment"], details={"path": path, "format": form}
        )
    return Outcome(True, before and {key: before[key] for key in wanted}, wanted, result, warnings)


def _form_of(file: str) -> str:
    """The format that a file's name ends in."""
    return next((form for form in ("ova", "raw", "qcow2") if file.lower().endswith(f".{form}")), "vmdk")


def _sidecar(path: str) -> str:
    return f"{path}.strata.json"


def _write(image: ThinImage, share: Share, file: str, form: str, **description) -> None:
    path = share.local_path(file)
    if path is not None:
        image_files.export(image, path, form, **description)
        return
    with share.create(file) as out:
        image_files.write(image, out, form, **description)


def _recorded(share: Share, file: str) -> dict | None:
    """What the file was written from, None when there is none or it has been changed since."""
    status = share.stat(file)
    if status is None:
        return None
    try:
        record = json.loads(share.read(_sidecar(file), _MAX_RECORD))
        known = (record["bytes"], record["mtime_ns"]) == (status.size, status.mtime_ns)
        return record if known and {"path", "format", "digest"} <= record.keys() else None
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None
