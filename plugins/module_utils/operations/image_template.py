# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image templates as a playbook wants them."""

from __future__ import annotations

from ..catalog import scripts
from ..catalog.documents import LOCK, TEMPLATE, delete_document, now, put_document, read_icon, store_icon
from ..catalog.layers import find_version, layer_document
from ..catalog.templates import describe, resolve
from ..common.errors import Conflict, InvalidInput, NotFound
from ..common.outcome import Outcome
from ..images.plan import contested
from ..layers.layer_version import APP, OS, PLATFORM, check_description, check_layer_name
from ..repository.repository import Repository
from ..winregistry.merge_rules import compile_rules
from .repository import open_repository

#: vSphere allows 80 characters, of which the image's digest takes nine.
MAX_VM_NAME = 71
_NOT_IN_VM_NAMES = frozenset("/\\%@\"'`<>|:*?&;$#^,")


def ensure_image_template(params: dict, *, check_mode: bool, diff_mode: bool = False) -> Outcome:
    """Bring the image template into ``state``; in diff mode the difference shows what layers contest."""
    name = check_layer_name(params["name"], "name of an image template")
    repository = open_repository(params, check_mode=check_mode)
    icon, script = read_icon(params["icon"]), scripts.read_script(params["script"])
    with repository.locks.hold(LOCK, shared=check_mode, purpose=f"change the image template {name}"):
        before = repository.catalog.get(TEMPLATE, name)
        if params["state"] == "absent":
            if before is not None and not check_mode:
                delete_document(repository, TEMPLATE, name, params["comment"])
            return Outcome(before is not None, before, None)
        after = _document(repository, params, before) | {"script": scripts.describe(script)}
        if icon is not None:
            after["icon"] = store_icon(repository, icon, check_mode=check_mode)
        resolved = resolve(repository, after)
        if after != before and not check_mode:
            if script is not None:
                scripts.store_script(repository, script)
            put_document(repository, TEMPLATE, name, after, before, params["comment"])
        shown = (
            [_with_conflicts(repository, document) for document in (before, after)]
            if diff_mode and after != before
            else [before, after]
        )
    return Outcome(after != before, *shown, {"template": describe(after, resolved)})


def _with_conflicts(repository: Repository, document: dict | None) -> dict | None:
    """A template's document as diff mode shows it; what cannot be resolved any more contests nothing."""
    if document is None:
        return None
    try:
        return document | {"contested": contested(repository, resolve(repository, document))}
    except (NotFound, Conflict):
        return document | {"contested": []}


def _named(repository: Repository, kind: str, wanted: dict) -> dict:
    """Name and version of a layer version; ``latest`` becomes the version that it means now, so that a template says what it makes."""
    layer = find_version(repository, kind, wanted["name"], wanted["version"])
    return {"name": layer.name, "version": layer.version}


def _document(repository: Repository, params: dict, before: dict | None) -> dict:
    vm_name = params["vm_name"] or params["name"]
    if len(vm_name) > MAX_VM_NAME or not vm_name.isprintable() or _NOT_IN_VM_NAMES & set(vm_name):
        raise InvalidInput(
            f"{vm_name[:80]!r} cannot be the beginning of a machine's name.",
            code="operations.template_vm_name",
            hint=f"Set vm_name to at most {MAX_VM_NAME} letters, digits, spaces, dots, dashes and underscores.",
        )
    compile_rules(params["registry_lists"])  # names the entry that is none
    size = params["disk_size_gb"]
    if size is not None and not 1 <= size <= 62 * 1024:
        raise InvalidInput(
            f"A disk cannot have {size} GiB.",
            code="operations.template_disk_size",
            hint="Set disk_size_gb between 1 and 63488.",
        )
    os_layer = _named(repository, OS, params["os_layer"])
    least = layer_document(repository, OS, os_layer["name"])["versions"][os_layer["version"]]["size_gb"]
    if size is not None and size < least:
        raise InvalidInput(
            f"The disk of the image template {params['name']} cannot have {size} GiB, because that of its OS layer has {least} GiB.",
            code="operations.template_disk_size",
            hint="Raise disk_size_gb or leave it out.",
        )
    return {
        "name": params["name"],
        "description": check_description(params["description"]),
        "os_layer": os_layer,
        "app_layers": sorted(
            (_named(repository, APP, layer) for layer in params["app_layers"]),
            key=lambda layer: (layer["name"].casefold(), layer["name"]),
        ),
        "platform_layer": _named(repository, PLATFORM, params["platform_layer"]) if params["platform_layer"] else None,
        "outdated_files": params["outdated_files"],
        "registry_lists": params["registry_lists"],
        "connector": params["connector"],
        "disk_size_gb": size,
        "vm_name": vm_name,
        "publish_mode": params["publish_mode"],
        "icon": before["icon"] if before else None,
        "created": before["created"] if before else now(),
    }
