# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module image_template: store which layer versions an image consists of."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..catalog import document_collections, scripts
from ..catalog.icons import read_icon, store_icon
from ..catalog.kinds import LOCK
from ..catalog.layers import find_layer, find_version
from ..catalog.renaming.template_renaming import (
    refuse_template_rename,
    rename_template,
    renamed_template,
    resume_rename,
    template_locks,
)
from ..catalog.resolved_template import StaleFilePolicy
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
_AUTOMATIC = "automatic"
_NOT_IN_VM_NAMES = frozenset("/\\%@\"'`<>|:*?&;$#^,")


@dataclass(frozen=True, kw_only=True)
class TemplateOptions:
    """The content of an image template: the options that its document stores; ``vm_name`` None selects the default."""

    description: str
    os_layer: VersionRequest
    app_layers: tuple[VersionRequest, ...]
    platform_layer: VersionRequest | None
    connector: str
    disk_size_gb: int | None
    vm_name: str | None
    outdated_files: str
    registry_lists: tuple[dict[str, Any], ...]
    publish_mode: str


@dataclass(frozen=True, kw_only=True)
class CloneOptions:
    """The template ``source`` that is cloned, and the options that differ from it; None keeps a value."""

    source: str
    description: str | None
    os_layer: VersionRequest | None
    app_layers: tuple[VersionRequest, ...] | None
    platform_layer: VersionRequest | None
    connector: str | None
    disk_size_gb: int | None
    vm_name: str | None
    outdated_files: str | None
    registry_lists: tuple[dict[str, Any], ...] | None
    publish_mode: str | None

    def completed(self, base: TemplateDocument) -> TemplateOptions:
        """Return the content of ``base``, a template that exists, with the options that are set."""
        platform = base.platform_layer
        return TemplateOptions(
            description=base.description if self.description is None else self.description,
            os_layer=self.os_layer or VersionRequest(base.os_layer.name, base.os_layer.version),
            app_layers=tuple(VersionRequest(layer.name, layer.version) for layer in base.app_layers)
            if self.app_layers is None
            else self.app_layers,
            platform_layer=self.platform_layer
            or (VersionRequest(platform.name, platform.version) if platform is not None else None),
            connector=self.connector or base.connector,
            disk_size_gb=base.disk_size_gb if self.disk_size_gb is None else self.disk_size_gb,
            vm_name=self.vm_name,
            outdated_files=self.outdated_files or base.outdated_files,
            registry_lists=base.registry_lists if self.registry_lists is None else self.registry_lists,
            publish_mode=self.publish_mode or base.publish_mode,
        )


@dataclass(frozen=True, kw_only=True)
class ImageTemplateOptions:
    """Options of the module image_template.

    ``template`` is the content; with ``clone`` instead of it, the template is a clone. Both are None for state absent.
    ``former_name`` is the name that the template had.
    """

    repository: RepositoryOptions
    name: str
    template: TemplateOptions | None
    script: str | None
    icon: str | None
    clone: CloneOptions | None = None
    former_name: str | None = None

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> ImageTemplateOptions:
        """Read the parameters of the module."""
        absent, cloned = params["state"] == "absent", params.get("clone_from") is not None
        return cls(
            repository=RepositoryOptions.from_params(params),
            name=params["name"],
            template=None if absent or cloned else _template_options(params),
            script=params["script"],
            icon=params["icon"],
            clone=_clone_options(params) if cloned and not absent else None,
            former_name=params.get("rename_from"),
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
        description=params["description"] or "",
        os_layer=os_layer,
        app_layers=version_requests(params["app_layers"]),
        platform_layer=version_request(params["platform_layer"]),
        connector=params["connector"],
        disk_size_gb=params["disk_size_gb"],
        vm_name=params["vm_name"] or None,
        outdated_files=params["outdated_files"] or StaleFilePolicy.NEWEST_SYSTEM.value,
        registry_lists=tuple(params["registry_lists"] or ()),
        publish_mode=params["publish_mode"] or _AUTOMATIC,
    )


def _clone_options(params: Mapping[str, Any]) -> CloneOptions:
    app_layers, registry_lists = params["app_layers"], params["registry_lists"]
    return CloneOptions(
        source=params["clone_from"],
        description=params["description"],
        os_layer=version_request(params["os_layer"]),
        app_layers=None if app_layers is None else version_requests(app_layers),
        platform_layer=version_request(params["platform_layer"]),
        connector=params["connector"],
        disk_size_gb=params["disk_size_gb"],
        vm_name=params["vm_name"] or None,
        outdated_files=params["outdated_files"],
        registry_lists=None if registry_lists is None else tuple(registry_lists),
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
    if options.former_name is not None:
        check_layer_name(options.former_name, "name of an image template")
    repository = options.repository.open(check_mode=check_mode)
    templates = document_collections.templates(repository)
    with _locks(repository, options, check_mode):
        if options.former_name is not None and not check_mode:
            resume_rename(repository, options.former_name)
        before = templates.get(name)
        former = None if options.former_name in (None, name) else templates.get(options.former_name or "")
        stored = before
        if former is not None:
            if before is not None:
                raise _both_exist(former.name, name)
            before, stored = former, _rename(repository, options, former, check_mode)
        desired = desired_template(repository, options, stored)
        if desired is None:
            if stored is not None and not check_mode:
                templates.delete(name, comment=options.repository.comment)
            warnings = templates.absent_warnings(name) if stored is None else remaining_vms(repository, name)
            return Outcome(stored is not None, before.to_dict() if before else None, None, warnings=warnings)
        after = desired.document
        resolved = resolve(repository, after)
        if after != stored and not check_mode:
            desired.store_files(repository)
            templates.put(name, after, before=stored, comment=options.repository.comment)
        changed = after != before
        with_conflicts = diff_mode and changed
        shown = (_shown(repository, before, with_conflicts), _shown(repository, after, with_conflicts))
    return Outcome(changed, shown[0], shown[1], {"template": describe(after, resolved)}, desired.warnings)


def _locks(
    repository: Repository, options: ImageTemplateOptions, check_mode: bool
) -> contextlib.AbstractContextManager[None]:
    """Return the locks for a change of the template; a rename excludes publishing, too."""
    former = options.former_name
    if former in (None, options.name) or document_collections.templates(repository).get(former or "") is None:
        purpose = f"change the image template {options.name}"
        return repository.locks.hold(LOCK, shared=check_mode, purpose=purpose)
    return template_locks(repository, former or "", options.name, shared=check_mode)


def _rename(
    repository: Repository, options: ImageTemplateOptions, former: TemplateDocument, check_mode: bool
) -> TemplateDocument | None:
    """Rename a template, unless in check mode, and return it; for state absent, it is deleted under its new name."""
    refuse_template_rename(repository, former.name, options.name)
    if check_mode:
        return renamed_template(former, options.name)
    rename_template(repository, former.name, options.name, options.repository.comment)
    return document_collections.templates(repository).require(options.name)


def _both_exist(former: str, name: str) -> Conflict:
    return Conflict(
        f"The image templates {former!r} and {name!r} exist both.",
        code="operations.template_both_exist",
        hint="Remove rename_from to change the template with the new name, or delete one of them.",
    )


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
    if options.template is None and options.clone is None:
        return None
    if before is None:
        document_collections.templates(repository).refuse_other_spelling(name)
    document, base = _content(repository, options, name, before)
    is_kept = script is not None and before is not None and script.is_recorded(before.script)
    document = dataclasses.replace(document, script=before.script if before and is_kept else scripts.describe(script))
    if base is not None:
        document = dataclasses.replace(
            document, icon=base.icon, script=document.script if script is not None else base.script
        )
    if before is None:
        _refuse_former_name(repository, document)
    if icon is not None:
        document = dataclasses.replace(document, icon=store_icon(repository, icon, check_mode=True))
    return DesiredTemplate(document, None if is_kept else script, icon)


def _content(
    repository: Repository, options: ImageTemplateOptions, name: str, before: TemplateDocument | None
) -> tuple[TemplateDocument, TemplateDocument | None]:
    """Return the document, and the template that it is completed from: for a clone, the stored template or its source."""
    if options.template is not None:
        return _document(repository, name, options.template, before), None
    if options.clone is None:
        raise InternalError(f"The image template {name} has no content.", code="operations.template_content")
    base = before or document_collections.templates(repository).require(options.clone.source)
    return _document(repository, name, options.clone.completed(base), before), base


def _refuse_former_name(repository: Repository, document: TemplateDocument) -> None:
    """Raise Conflict if VMs of a renamed template could be taken for those of a new template with its former name."""
    for name, template in document_collections.templates(repository).all():
        if document.name in template.former_names and document.vm_name == template.vm_name:
            raise Conflict(
                f"The image template {document.name} cannot be created: {name} was renamed from it, and its VMs have names that begin "
                f"with {template.vm_name}.",
                code="operations.template_former_name",
                hint="Set vm_name to a different text.",
                template=name,
            )


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
    vm_name = options.vm_name or _default_vm_name(name, before)
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
        former_names=before.former_names if before else (),
    )


def _default_vm_name(name: str, before: TemplateDocument | None) -> str:
    """Return the name of the template, or the prefix that a renamed template keeps: another prefix would be another image."""
    if before is not None and before.vm_name in before.former_names:
        return before.vm_name
    return name


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
