# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers in the catalogue: one document a layer, with its versions.

A document has name, kind, description, icon (digest or None), for app layers priority, for
OS layers connector, and ``versions``: version -> digest, status, size (bytes of what the
version brings), version_description, created, source (what it was made from), script (name, digest
and size, or None), and for app layers os_layer. A version's digest never changes; the words around it may.
"""

from __future__ import annotations

from ..common.errors import Conflict, InvalidInput, NotFound
from ..common.outcome import Outcome
from ..layers.layer_version import (
    APP,
    DEPLOYABLE,
    OS,
    PLATFORM,
    LayerReference,
    check_description,
    check_layer_name,
    check_version_name,
    version_key,
)
from ..repository.repository import Repository
from . import layer_store, scripts
from .documents import LOCK, put_document, refuse_in_use, store_icon, templates_using

DEFAULT_PRIORITY = 500
#: Asks for the newest deployable version, in the natural order of versions.
LATEST = "latest"
_SPOKEN = {OS: "OS layer", APP: "app layer", PLATFORM: "platform layer"}


def catalog_kind(kind: str) -> str:
    """The kind of document that a kind of layer has."""
    return f"{kind}_layer"


def lock_of(kind: str, name: str) -> str:
    """The lock that is held by who makes or removes versions of a layer, from reading its document to storing it."""
    return f"layer/{kind}/{name}"


def layer_document(repository: Repository, kind: str, name: str) -> dict | None:
    """A layer's document, None when there is no such layer."""
    return repository.catalog.get(catalog_kind(kind), check_layer_name(name))


def new_document(kind: str, name: str) -> dict:
    """The document of a layer that has nothing yet."""
    own = {APP: {"priority": DEFAULT_PRIORITY}, OS: {"connector": None}}.get(kind, {})
    return {"name": name, "kind": kind, "description": "", "icon": None, "versions": {}, **own}


def sorted_versions(document: dict) -> list[str]:
    """The version names of a layer, oldest first in their natural order."""
    return sorted(document["versions"], key=version_key)


def find_version(repository: Repository, kind: str, name: str, version: str | None) -> LayerReference:
    """A deployable version of a layer, the newest when ``version`` is None or "latest"; NotFound or Conflict with what there is."""
    document = layer_document(repository, kind, name)
    if document is None:
        known = [other for other, _document in repository.catalog.documents(catalog_kind(kind))]
        raise NotFound(
            f"The repository has no {_SPOKEN[kind]} named {name}.",
            code="catalog.layer_missing",
            hint=f"It has: {', '.join(known[:20])}." if known else f"Make one with strata.layering.{kind}_layer.",
        )
    deployable = [one for one in sorted_versions(document) if document["versions"][one]["status"] == DEPLOYABLE]
    if version in (None, LATEST):
        version = deployable[-1] if deployable else None
    if version not in document["versions"]:
        lacking = "that is deployable" if version is None else version or "''"
        raise NotFound(
            f"The {_SPOKEN[kind]} {name} has no version {lacking}.",
            code="catalog.layer_version_missing",
            hint=f"It has: {', '.join(deployable) or 'none'}.",
        )
    entry = document["versions"][version]
    if entry["status"] != DEPLOYABLE:
        raise Conflict(
            f"Version {version} of the {_SPOKEN[kind]} {name} is {entry['status']}.",
            code="catalog.layer_not_deployable",
            hint="Use a version that is Deployable.",
        )
    return LayerReference(kind, name, version, entry["digest"])


def describe_version(document: dict, version: str) -> dict:
    """What modules return about a layer version."""
    entry = document["versions"][version]
    return dict(
        {key: value for key, value in document.items() if key != "versions"},
        version=version,
        **{key: value for key, value in entry.items() if key != "source"},
    )


def with_words(document: dict, params: dict) -> dict:
    """The document with the options that describe the layer as a whole; those not given stay."""
    changed = dict(document, versions=dict(document["versions"]))
    for field in ("description", "priority", "connector"):
        if field in document and params.get(field) is not None:
            changed[field] = check_description(params[field]) if field == "description" else params[field]
    version = params["version"]
    if version in changed["versions"] and params.get("version_description") is not None:
        description = check_description(params["version_description"], "version description")
        changed["versions"][version] = dict(changed["versions"][version], version_description=description)
    return changed


def keep_layer(
    repository: Repository, before: dict | None, after: dict, icon: bytes | None, params: dict, *, check_mode: bool
) -> bool:
    """Store the document ``after``, with another icon if one is given, where it differs from ``before``; whether it does.

    In check mode nothing is stored. NotFound when what a new version stands on was removed while it was made.
    """
    if icon is not None:
        after["icon"] = store_icon(repository, icon, check_mode=check_mode)
    changed = after != before
    if changed and not check_mode:
        kind, name = after["kind"], after["name"]
        with repository.locks.hold(LOCK, purpose=f"change the {_SPOKEN[kind]} {name}"):
            if params["version"] not in (before or {}).get("versions", ()):
                _require_ground(repository, after["versions"][params["version"]])
            put_document(
                repository, catalog_kind(kind), name, after, before, params["comment"], version=params["version"]
            )
    return changed


def _require_ground(repository: Repository, entry: dict) -> None:
    if "os_layer" in entry:
        find_version(repository, OS, entry["os_layer"]["name"], entry["os_layer"]["version"])
        for below in entry["prerequisites"]:
            find_version(repository, APP, below["name"], below["version"])


def refuse_other_script(document: dict, params: dict, script: scripts.Script | None) -> None:
    """Raise Conflict when a version that exists has another script than the one given."""
    if script is not None and scripts.describe(script) != document["versions"][params["version"]].get("script"):
        raise Conflict(
            f"Version {params['version']} of the {document['kind']} layer {params['name']} was made without a script or with another than {params['script']}.",
            code="catalog.layer_other_script",
            hint="A version never changes; give a new version.",
        )


def check_names(params: dict) -> None:
    """Raise InvalidInput for names that no layer or version can have."""
    check_layer_name(params["name"])
    if params["version"] is not None:
        check_version_name(params["version"])
    if params.get("priority") is not None and not 0 <= params["priority"] < 1_000_000:
        raise InvalidInput(
            f"The priority {params['priority']} is not between 0 and 999999.", code="catalog.layer_priority"
        )


def remove_versions(repository: Repository, kind: str, params: dict, *, check_mode: bool) -> Outcome:
    """Remove a version, or the whole layer when no version is given, unless something needs it."""
    name, version = params["name"], params["version"]
    purpose = f"remove the {_SPOKEN[kind]} {name}"
    with (
        repository.locks.hold(lock_of(kind, name), shared=check_mode, purpose=purpose),
        repository.locks.hold(LOCK, shared=check_mode, purpose=purpose),
    ):
        before = layer_document(repository, kind, name)
        going = [] if before is None else [one for one in before["versions"] if version in (None, one)]
        if before is None or not going and version is not None:
            return Outcome(False, before, before)
        for one in going:
            _refuse_needed(repository, kind, name, one)
        after = dict(before, versions={one: entry for one, entry in before["versions"].items() if one not in going})
        gone = not after["versions"]
        if not check_mode:
            _remove(repository, kind, name, going, None if gone else after, params["comment"])
    return Outcome(True, before, None if gone else after)


def _remove(
    repository: Repository, kind: str, name: str, going: list[str], after: dict | None, comment: str | None
) -> None:
    # The document goes first: a version that is named by nothing but its reference is collected, the reverse would be damage.
    if after is None:
        repository.catalog.delete(catalog_kind(kind), name)
    else:
        repository.catalog.put(catalog_kind(kind), name, after)
    for one in going:
        layer_store.remove_version(repository, kind, name, one)
        repository.audit.append("delete", catalog_kind(kind), name, version=one, comment=comment)


def _refuse_needed(repository: Repository, kind: str, name: str, version: str) -> None:
    what = f"Version {version} of the {_SPOKEN[kind]} {name}"
    if kind == OS:
        users = templates_using(
            repository,
            lambda template: (template["os_layer"]["name"], template["os_layer"]["version"]) == (name, version),
        )
    elif kind == APP:
        users = templates_using(
            repository, lambda template: {"name": name, "version": version} in template["app_layers"]
        )
    else:
        users = templates_using(
            repository, lambda template: template["platform_layer"] == {"name": name, "version": version}
        )
    refuse_in_use(what, users)
    needing = [
        f"{other} {number}"
        for other_kind in (APP, PLATFORM)
        for other, document in repository.catalog.documents(catalog_kind(other_kind))
        for number, entry in document["versions"].items()
        if (kind == OS and entry["os_layer"] == {"name": name, "version": version})
        or (kind == APP and {"name": name, "version": version} in entry["prerequisites"])
    ]
    if needing:
        raise Conflict(
            f"{what} cannot be removed because other layers were made on it: {', '.join(needing[:5])}.",
            code="catalog.layer_needed",
            hint="Remove those layer versions first.",
            layers=needing,
        )
