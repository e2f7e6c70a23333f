# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""App layers as a playbook wants them."""

from __future__ import annotations

import hashlib

from ..catalog.documents import LOCK, now, put_document, read_icon, store_icon
from ..catalog.layers import catalog_kind, check_names, describe_version, find_version, layer_document, new_document, remove_versions, with_words
from ..common.errors import Conflict, InvalidInput
from ..common.module import Outcome
from ..common.progress import Progress, silent
from ..images import store
from ..layers.folder import entries_from_folder, source_fingerprint
from ..layers.model import APP, DEPLOYABLE, OS, ROLE_ARCHIVE, LayerVersion
from ..repository.repository import Repository
from .repository import open_repository


def ensure_app_layer(params: dict, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Bring the app layer version into ``state``."""
    check_names(params)
    repository = open_repository(params, check_mode=check_mode)
    if params["state"] == "absent":
        return remove_versions(repository, APP, params, check_mode=check_mode)
    icon = read_icon(params["icon"])
    name, version = params["name"], params["version"]
    with repository.locks.hold(f"layer/{APP}/{name}", shared=check_mode, timeout=3600, purpose=f"make the app layer {name} {version}"):
        before = layer_document(repository, APP, name)
        document = before or new_document(APP, name)
        if version in document["versions"]:
            _check_same_source(repository, document, params)
        else:
            document = dict(document, versions=dict(document["versions"], **{version: _make(repository, params, check_mode, progress)}))
        after = with_words(document, params)
        if icon is not None:
            after["icon"] = f"sha256:{hashlib.sha256(icon).hexdigest()}" if check_mode else store_icon(repository, icon)
        changed = after != before
        if changed and not check_mode:
            with repository.locks.hold(LOCK, purpose=f"change the app layer {name}"):
                put_document(repository, catalog_kind(APP), name, after, before, params["comment"], version=version)
    described = describe_version(after, version)
    return Outcome(changed, before, after, {"layer": described, "changes": described["changes"]})


def _entries(params: dict) -> list:
    if not params["files"] and not params["delete"]:
        raise InvalidInput(
            f"Version {params['version']} of the app layer {params['name']} has no source.",
            code="app.no_source",
            hint="Give files, a folder on the composer, or paths to delete.",
        )
    return entries_from_folder(params["files"], delete=params["delete"])


def _check_same_source(repository: Repository, document: dict, params: dict) -> None:
    """Raise Conflict when an existing version was made from other files, or for another OS layer."""
    entry = document["versions"][params["version"]]
    what = f"Version {params['version']} of the app layer {params['name']}"
    wanted = params["os_layer"]
    if wanted and (wanted["name"] != entry["os_layer"]["name"] or wanted["version"] not in (None, entry["os_layer"]["version"])):
        raise Conflict(
            f"{what} was made for the OS layer {entry['os_layer']['name']} {entry['os_layer']['version']}.",
            code="app.other_os_layer",
            hint="A version never changes; give a new version.",
        )
    if (params["files"] or params["delete"]) and source_fingerprint(_entries(params)) != entry["content_digest"]:
        raise Conflict(
            f"{what} holds other files than {params['files'] or 'the paths to delete'} now.",
            code="app.other_files",
            hint="A version never changes; give a new version.",
        )


def _make(repository: Repository, params: dict, check_mode: bool, progress: Progress) -> dict:
    if not params["os_layer"]:
        raise InvalidInput(
            f"The OS layer of version {params['version']} of the app layer {params['name']} is not given.",
            code="app.no_os_layer",
            hint="Give os_layer with the name of the OS layer that the application was made for.",
        )
    os_layer = find_version(repository, OS, params["os_layer"]["name"], params["os_layer"]["version"])
    entries = _entries(params)
    layer = LayerVersion(
        APP,
        params["name"],
        params["version"],
        description=params["description"] or "",
        version_description=params["version_description"] or "",
        os_layer=os_layer,
    )
    changes = {
        "files": sum(entry.kind in ("file", "link") for entry, _opener in entries),
        "directories": sum(entry.kind == "directory" for entry, _opener in entries),
        "removed": sum(entry.kind == "whiteout" for entry, _opener in entries),
        "bytes": sum(entry.size for entry, _opener in entries),
    }
    if check_mode:
        layer.content_digest = source_fingerprint(entries)
    else:
        layer = store.put_files(repository, layer, entries, progress=progress)
    return {
        "digest": layer.digest,
        "status": DEPLOYABLE,
        "size": layer.blobs[ROLE_ARCHIVE].size if layer.digest else 0,
        "version_description": layer.version_description,
        "created": now(),
        "source": {"files": params["files"]},
        "content_digest": layer.content_digest,
        "os_layer": {"name": os_layer.name, "version": os_layer.version},
        "changes": changes,
    }
