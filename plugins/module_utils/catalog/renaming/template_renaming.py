# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out the rename of an image template, with its image records and tasks.

The names and the digests of its images do not change: the template keeps the prefix of its VM names. VMs in vSphere keep the
former name in their settings, so that documents remember former names.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
from collections.abc import Iterator

from ...common.errors import Conflict
from ...common.timestamps import now
from ...repository.repository import Repository
from .. import document_collections
from ..image_record import ImageRecord, ImagesDocument
from ..kinds import LOCK, TEMPLATE
from ..rename_record import RenameRecord
from ..spelling import refuse_other_spelling
from ..template_document import TemplateDocument
from .journal import audit_rename

#: Statuses of tasks that have ended.
_ENDED = ("Complete", "Canceled", "Failed")


@contextlib.contextmanager
def template_locks(
    repository: Repository, name: str, new_name: str, *, shared: bool = False, timeout: float = 60.0
) -> Iterator[None]:
    """Hold the locks that keep both names from being published, and the lock of the catalog."""
    purpose = f"rename the image template {name}"
    with contextlib.ExitStack() as held:
        for lock in (*(f"publish/{template}" for template in sorted((name, new_name))), LOCK):
            held.enter_context(repository.locks.hold(lock, shared=shared, timeout=timeout, purpose=purpose))
        yield


def refuse_template_rename(repository: Repository, name: str, new_name: str) -> None:
    """Raise if the template ``name`` cannot get the name ``new_name``, which no template has.

    Raises:
        Conflict: ``catalog.other_spelling``; ``catalog.name_taken`` if images of a deleted template have the new name;
            ``catalog.rename_open_task`` if a publish task of the template has not ended.
    """
    templates = [template for template in document_collections.templates(repository).names() if template != name]
    refuse_other_spelling("image template", new_name, templates)
    if document_collections.images(repository).get(new_name) is not None:
        raise Conflict(
            f"The image template {name!r} cannot be renamed to {new_name!r}: images of a deleted template have this name.",
            code="catalog.name_taken",
            hint=f"Delete these images with the module layered_image_publish, templates: {new_name} and state: absent, or "
            "choose a different name.",
            name=new_name,
        )
    unfinished = [
        task.id
        for _id, task in document_collections.tasks(repository).all()
        if task.template == name and task.status not in _ENDED
    ]
    if unfinished:
        raise Conflict(
            f"The image template {name} cannot be renamed: its publish task {unfinished[0]} has not ended.",
            code="catalog.rename_open_task",
            hint="Complete the task with the module layered_image_publish, or cancel it with state: canceled.",
            tasks=unfinished,
        )


def renamed_template(template: TemplateDocument, new_name: str) -> TemplateDocument:
    """Return a template with a new name; its former name is remembered."""
    return dataclasses.replace(
        template, name=new_name, former_names=_former(template.former_names, template.name, new_name)
    )


def rename_template(repository: Repository, name: str, new_name: str, comment: str | None) -> None:
    """Rename the template ``name``, under ``template_locks`` and after ``refuse_template_rename``.

    Raises:
        StrataError: as ``Upstream.before_rename``; nothing was renamed.
    """
    upstream = repository.shared_upstream()
    if upstream is not None:
        upstream.before_rename(TEMPLATE, name)
    record = RenameRecord(
        id=secrets.token_hex(8), kind=TEMPLATE, name=name, new_name=new_name, comment=comment, started=now()
    )
    document_collections.renames(repository).store(record.document_name, record)
    carry_out(repository, record)


def resume_rename(repository: Repository, name: str) -> None:
    """Complete an interrupted rename of the template ``name``, under ``template_locks``.

    Raises:
        StrataError: the reason for which the rename cannot be completed.
    """
    renames = document_collections.renames(repository)
    record = next((found for _name, found in renames.all() if (found.kind, found.name) == (TEMPLATE, name)), None)
    if record is not None:
        carry_out(repository, record)


def carry_out(repository: Repository, record: RenameRecord) -> None:
    """Carry out, or complete, the rename of a journal, under ``template_locks``; every step may have been done before."""
    name, new_name = record.name, record.new_name
    templates = document_collections.templates(repository)
    template = templates.get(name)
    if template is not None:
        templates.store(new_name, renamed_template(template, new_name))
    _rename_images(repository, name, new_name)
    tasks = document_collections.tasks(repository)
    for identifier, task in tasks.all():
        if task.template == name:
            former = _former(task.former_templates, name, new_name)
            tasks.store(identifier, dataclasses.replace(task, template=new_name, former_templates=former))
    document_collections.cancellations(repository).remove(name)
    templates.remove(name)
    audit_rename(repository, record, {})
    document_collections.renames(repository).remove(record.document_name)


def _rename_images(repository: Repository, name: str, new_name: str) -> None:
    """Move the image records to the new name; records that a run stored there in the meantime are kept."""
    images = document_collections.images(repository)
    stored = images.get(name)
    if stored is None:
        return
    existing = images.get(new_name) or ImagesDocument(template=new_name)
    moved = tuple(_renamed_image(image, name, new_name) for image in stored.images)
    known = {_identity(image) for image in existing.images}
    merged = (*existing.images, *(image for image in moved if _identity(image) not in known))
    images.store(new_name, dataclasses.replace(stored, template=new_name, images=merged))
    images.remove(name)


def _renamed_image(image: ImageRecord, name: str, new_name: str) -> ImageRecord:
    former = _former(image.former_templates, name, new_name)
    return dataclasses.replace(image, template=new_name, former_templates=former)


def _identity(image: ImageRecord) -> tuple[str, str, str | None]:
    return image.vcenter.instance_uuid, image.image_digest, image.vm.instance_uuid


def _former(known: tuple[str, ...], name: str, new_name: str) -> tuple[str, ...]:
    """Return the former names: those that are known and ``name``, without ``new_name``."""
    return tuple(dict.fromkeys(former for former in (*known, name) if former != new_name))
