# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""App and platform layers as a playbook wants them."""

from __future__ import annotations

from ..catalog import scripts
from ..catalog.documents import now, read_icon
from ..catalog.layers import (
    check_names,
    describe_version,
    find_version,
    keep_layer,
    layer_document,
    lock_of,
    new_document,
    refuse_other_script,
    remove_versions,
    with_words,
)
from ..catalog.templates import stack_of
from ..common.errors import Conflict, InvalidInput
from ..common.outcome import Outcome
from ..common.progress import Progress, silent
from ..layers.layer_version import APP, DEPLOYABLE, OS, PLATFORM, LayerVersion
from ..repository.repository import Repository
from ..shares.open import open_file
from .layer_source import FilesSource, PackagedSource, source_of
from .options import share_credentials
from .repository import open_repository


def ensure_app_layer(params: dict, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Bring the app layer version into ``state``."""
    return _ensure(APP, params, check_mode, progress)


def ensure_platform_layer(params: dict, *, check_mode: bool, progress: Progress = silent) -> Outcome:
    """Bring the platform layer version into ``state``."""
    return _ensure(PLATFORM, params, check_mode, progress)


def _ensure(kind: str, params: dict, check_mode: bool, progress: Progress) -> Outcome:
    check_names(params)
    repository = open_repository(params, check_mode=check_mode)
    if params["state"] == "absent":
        return remove_versions(repository, kind, params, check_mode=check_mode)
    icon, script = read_icon(params["icon"]), scripts.read_script(params["script"])
    name, version = params["name"], params["version"]
    warnings: list[str] = []
    findings: dict = {}
    with repository.locks.hold(
        lock_of(kind, name), shared=check_mode, timeout=3600, purpose=f"make the {kind} layer {name} {version}"
    ):
        before = layer_document(repository, kind, name)
        document = before or new_document(kind, name)
        if version in document["versions"]:
            source = source_of(params) if params["packaged_disk"] is None or _disk_is_there(params) else None
            _check_same(repository, kind, document, params, source)
            refuse_other_script(document, params, script)
        else:
            entry, findings, warnings = _make(repository, kind, params, script, check_mode, progress)
            document = dict(document, versions=dict(document["versions"], **{version: entry}))
        after = with_words(document, params)
        if params.get("confirmed_for"):
            entry = after["versions"][version]
            after["versions"][version] = dict(
                entry, confirmed_for=sorted({*entry.get("confirmed_for", []), *params["confirmed_for"]})
            )
        changed = keep_layer(repository, before, after, icon, params, check_mode=check_mode)
    described = describe_version(after, version)
    return Outcome(changed, before, after, dict(findings, layer=described, changes=described["changes"]), warnings)


def _disk_is_there(params: dict) -> bool:
    """Whether the packaged disk can still be compared; it may be removed once it has been captured."""
    share, file = open_file(params["packaged_disk"], share_credentials(params))
    with share:
        return share.is_file(file)


def _check_same(
    repository: Repository, kind: str, document: dict, params: dict, source: FilesSource | PackagedSource | None
) -> None:
    """Raise Conflict when an existing version was made from something else, or for another OS layer."""
    entry = document["versions"][params["version"]]
    what = f"Version {params['version']} of the {kind} layer {params['name']}"
    made_for, wanted = entry["os_layer"], params["os_layer"]
    if wanted and (wanted["name"] != made_for["name"] or wanted["version"] not in (None, made_for["version"])):
        raise Conflict(
            f"{what} was made for the OS layer {made_for['name']} {made_for['version']}.",
            code="operations.layer_other_os_layer",
            hint="A version never changes; give a new version.",
        )
    if source is None:
        return
    digest = find_version(repository, OS, made_for["name"], made_for["version"]).digest
    if not source.is_same(repository, entry, digest):
        raise Conflict(
            f"{what} was made from something else than {params['packaged_disk'] or params['files'] or 'the options say'} is now.",
            code="operations.layer_other_source",
            hint="A version never changes; give a new version.",
        )


def _capital(what: str) -> str:
    return what[0].upper() + what[1:]


def _make(
    repository: Repository, kind: str, params: dict, script: scripts.Script | None, check_mode: bool, progress: Progress
) -> tuple[dict, dict, list[str]]:
    what = f"version {params['version']} of the {kind} layer {params['name']}"
    if not params["os_layer"]:
        raise InvalidInput(
            f"The OS layer of {what} is not given.",
            code="operations.layer_no_os_layer",
            hint="Give os_layer with the name of the OS layer that it is made for.",
        )
    os_layer = find_version(repository, OS, params["os_layer"]["name"], params["os_layer"]["version"])
    prerequisites = stack_of(repository, os_layer.name, params["prerequisites"], what=_capital(what))
    source = source_of(params)
    if source is None:
        raise InvalidInput(
            f"{_capital(what)} has no source.",
            code="operations.layer_no_source",
            hint="Give files, registry or delete, or the packaged_disk of a packaging machine.",
        )
    layer = LayerVersion(
        kind,
        params["name"],
        params["version"],
        description=params["description"] or "",
        version_description=params["version_description"] or "",
        os_layer=os_layer,
        prerequisites=list(prerequisites),
    )
    scripts.add_script(repository, layer, script, check_mode=check_mode)
    made = source.make(repository, layer, check_mode, progress)
    entry = {
        "digest": made.layer.digest,
        "status": DEPLOYABLE,
        "size": made.size,
        "version_description": layer.version_description,
        "created": now(),
        "source": made.source,
        "script": scripts.describe(script),
        "content_digest": made.layer.content_digest,
        "os_layer": {"name": os_layer.name, "version": os_layer.version},
        "prerequisites": [{"name": one.name, "version": one.version} for one in prerequisites],
        "changes": made.changes,
    }
    return entry, made.findings, made.warnings
