# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module image_template: store which layer versions an image consists of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog import document_collections, scripts
from ..catalog.icons import read_icon, store_icon
from ..catalog.kinds import LOCK
from ..catalog.layers import find_layer, find_version
from ..catalog.template_document import TemplateDocument
from ..catalog.templates import describe, resolve
from ..catalog.version_name import VersionName, VersionRequest
from ..common.errors import Conflict, InternalError, InvalidInput, NotFound
from ..common.outcome import Outcome
from ..common.timestamps import now
from ..layers.layer_version import APP, OS, PLATFORM, check_description, check_layer_name
from ..repository.repository import Repository
from .options import RepositoryOptions, version_request, version_requests

#: vSphere allows 80 characters, of which the image's digest takes nine.
MAX_VM_NAME = 71
MAX_DISK_SIZE_GB = 62 * 1024
_NOT_IN_VM_NAMES = frozenset("/\\%@\"'`<>|:*?&;$#^,")


@dataclass(frozen=True, kw_only=True)
class TemplateOptions:
    """The content of an image template: the options that its document stores."""

    description: str
    os_layer: VersionRequest
    app_layers: tuple[VersionRequest, ...]
    platform_layer: VersionRequest | None
    connector: str
    disk_size_gb: int | None
    vm_name: str
    outdated_files: str
    registry_lists: tuple[dict[str, Any], ...]
    publish_mode: str


@dataclass(frozen=True, kw_only=True)
class ImageTemplateOptions:
    """Options of the module image_template. ``template`` is None for state absent."""

    repository: RepositoryOptions
    name: str
    template: TemplateOptions | None
    script: str | None
    icon: str | None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> ImageTemplateOptions:
        """Read the parameters of the module."""
        return cls(
            repository=RepositoryOptions.from_params(params),
            name=params["name"],
            template=None if params["state"] == "absent" else _template_options(params),
            script=params["script"],
            icon=params["icon"],
        )

    @classmethod
    def from_entry(cls, repository: RepositoryOptions, params: Mapping[str, Any]) -> ImageTemplateOptions:
        """Read the options of the module from an element of an option that lists templates."""
        return cls.from_params({**params, "repository": repository.path})


def _template_options(params: Mapping[str, Any]) -> TemplateOptions:
    os_layer = version_request(params["os_layer"])
    if os_layer is None:
        raise InternalError(
            f"The image template {params['name']} was to be present without an OS layer.",
            code="operations.template_os_layer",
        )
    return TemplateOptions(
        description=params["description"],
        os_layer=os_layer,
        app_layers=version_requests(params["app_layers"]),
        platform_layer=version_request(params["platform_layer"]),
        connector=params["connector"],
        disk_size_gb=params["disk_size_gb"],
        vm_name=params["vm_name"] or params["name"],
        outdated_files=params["outdated_files"],
        registry_lists=tuple(params["registry_lists"] or ()),
        publish_mode=params["publish_mode"],
    )


def ensure_image_template(options: ImageTemplateOptions, *, check_mode: bool, diff_mode: bool = False) -> Outcome:
    """Bring the image template into its state; in diff mode the difference lists what layers contest.

    Raises:
        InvalidInput: names, files or rules that cannot be used; ``operations.template_vm_name``,
            ``operations.template_disk_size``.
        NotFound: the repository, a layer version or the connector does not exist.
        Conflict: the layer versions do not fit together, as ``resolve``; ``catalog.other_spelling``.
        Corrupt: ``catalog.field`` if a document is damaged.
    """
    name = check_layer_name(options.name, "name of an image template")
    repository = options.repository.open(check_mode=check_mode)
    templates = document_collections.templates(repository)
    with repository.locks.hold(LOCK, shared=check_mode, purpose=f"change the image template {name}"):
        before = templates.get(name)
        desired = desired_template(repository, options, before)
        if desired is None:
            if before is not None and not check_mode:
                templates.delete(name, comment=options.repository.comment)
            warnings = templates.absent_warnings(name) if before is None else remaining_vms(repository, name)
            return Outcome(before is not None, before.to_dict() if before else None, None, warnings=warnings)
        after = desired.document
        resolved = resolve(repository, after)
        changed = after != before
        if changed and not check_mode:
            desired.store_files(repository)
            templates.put(name, after, before=before, comment=options.repository.comment)
        with_conflicts = diff_mode and changed
        shown = (_shown(repository, before, with_conflicts), _shown(repository, after, with_conflicts))
    return Outcome(changed, shown[0], shown[1], {"template": describe(after, resolved)}, desired.warnings)


@dataclass(frozen=True)
class DesiredTemplate:
    """A template as its options describe it, and its files on the composer; ``script`` is None if it is stored already."""

    document: TemplateDocument
    script: scripts.Script | None
    icon: bytes | None

    @property
    def warnings(self) -> list[str]:
        """Return what may be wrong with a script that would be stored."""
        return scripts.warnings_of(self.script, f"image template {self.document.name}")

    def store_files(self, repository: Repository) -> None:
        """Store the script and the icon."""
        if self.script is not None:
            scripts.store_script(repository, self.script)
        if self.icon is not None:
            store_icon(repository, self.icon, check_mode=False)


def desired_template(
    repository: Repository, options: ImageTemplateOptions, before: TemplateDocument | None
) -> DesiredTemplate | None:
    """Return the template that the options describe, None for state absent. ``before`` is the stored template.

    Raises:
        InvalidInput, NotFound, Conflict, Corrupt: as ``ensure_image_template``, except the errors of ``resolve``.
    """
    name = check_layer_name(options.name, "name of an image template")
    icon, script = read_icon(options.icon), scripts.read_script(options.script)
    if options.template is None:
        return None
    if before is None:
        document_collections.templates(repository).refuse_other_spelling(name)
    document = _document(repository, name, options.template, before)
    is_kept = script is not None and before is not None and script.is_recorded(before.script)
    document = dataclasses.replace(document, script=before.script if before and is_kept else scripts.describe(script))
    if icon is not None:
        document = dataclasses.replace(document, icon=store_icon(repository, icon, check_mode=True))
    return DesiredTemplate(document, None if is_kept else script, icon)


def remaining_vms(repository: Repository, name: str) -> list[str]:
    """Return a warning that names the published VMs of the deleted template ``name``, if there are any."""
    document = document_collections.images(repository).get(name)
    if document is None or not document.images:
        return []
    vms = ", ".join(image.vm.name for image in document.images)
    subject = "The VM" if len(document.images) == 1 else "The VMs"
    return [
        f"{subject} {vms} of the image template {name} {'is' if len(document.images) == 1 else 'are'} not deleted. "
        f"To delete published VMs, run layered_image_publish with templates: {name} and state: absent, "
        "before or after you delete the template."
    ]


def _shown(repository: Repository, template: TemplateDocument | None, with_conflicts: bool) -> dict[str, Any] | None:
    """Return a template as the difference shows it; a template that cannot be resolved any more contests nothing."""
    if template is None:
        return None
    if not with_conflicts:
        return template.to_dict()
    from ..images.planning.plan import contested

    try:
        return template.to_dict() | {"contested": contested(repository, resolve(repository, template))}
    except (NotFound, Conflict):
        return template.to_dict() | {"contested": []}


def _version(repository: Repository, kind: str, requested: VersionRequest) -> VersionName:
    """Return the layer version that an option names; ``latest`` is replaced by the version that it means now."""
    layer = find_version(repository, kind, requested.name, requested.version)
    return VersionName(layer.name, layer.version)


def _document(
    repository: Repository, name: str, options: TemplateOptions, before: TemplateDocument | None
) -> TemplateDocument:
    vm_name = options.vm_name
    if len(vm_name) > MAX_VM_NAME or not vm_name.isprintable() or _NOT_IN_VM_NAMES & set(vm_name):
        raise InvalidInput(
            f"{vm_name[:80]!r} cannot be the beginning of a VM name.",
            code="operations.template_vm_name",
            hint=f"Set vm_name to at most {MAX_VM_NAME} letters, digits, spaces, dots, dashes and underscores.",
        )
    if options.registry_lists:
        from ..winregistry.merge_rules import compile_rules

        compile_rules(options.registry_lists)
    os_layer = _version(repository, OS, options.os_layer)
    _check_disk_size(repository, name, options.disk_size_gb, os_layer)
    app_layers = [_version(repository, APP, layer) for layer in options.app_layers]
    platform = options.platform_layer
    return TemplateDocument(
        name=name,
        description=check_description(options.description),
        os_layer=os_layer,
        app_layers=tuple(sorted(app_layers, key=lambda layer: (layer.name.casefold(), layer.name))),
        platform_layer=_version(repository, PLATFORM, platform) if platform else None,
        outdated_files=options.outdated_files,
        registry_lists=options.registry_lists,
        connector=options.connector,
        disk_size_gb=options.disk_size_gb,
        vm_name=vm_name,
        publish_mode=options.publish_mode,
        icon=before.icon if before else None,
        created=before.created if before else now(),
    )


def _check_disk_size(repository: Repository, name: str, size: int | None, os_layer: VersionName) -> None:
    if size is None:
        return
    if not 1 <= size <= MAX_DISK_SIZE_GB:
        raise InvalidInput(
            f"The image template {name} cannot have a disk of {size} GiB.",
            code="operations.template_disk_size",
            hint=f"Set disk_size_gb between 1 and {MAX_DISK_SIZE_GB}.",
        )
    layer = find_layer(repository, OS, os_layer.name)
    minimum = layer.os_version(os_layer.version).size_gb if layer else 0
    if size < minimum:
        raise InvalidInput(
            f"The image template {name} cannot have a disk of {size} GiB: "
            f"the disk of its OS layer {os_layer} has {minimum} GiB.",
            code="operations.template_disk_size",
            hint=f"Set disk_size_gb to at least {minimum}, or leave it out.",
        )
