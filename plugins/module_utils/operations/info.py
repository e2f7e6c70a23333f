# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the info modules return."""

from __future__ import annotations

from ..catalog.documents import CONNECTOR, IMAGE, TASK, TEMPLATE
from ..catalog.layers import catalog_kind, sorted_versions
from ..catalog.templates import describe, resolve
from ..common.errors import StrataError
from ..common.outcome import Outcome
from ..layers.layer_version import KINDS
from .repository import open_repository


def layer_info(params: dict) -> Outcome:
    """Layers by kind and name, their versions oldest first."""
    repository = open_repository(params)
    found = []
    for kind in [params["kind"]] if params["kind"] else KINDS:
        for name, document in repository.catalog.documents(catalog_kind(kind)):
            if params["name"] in (None, name):
                versions = [
                    dict(document["versions"][version], version=version) for version in sorted_versions(document)
                ]
                found.append(dict(document, versions=versions))
    return Outcome(False, result={"layers": found})


def image_template_info(params: dict) -> Outcome:
    """Templates with the digests of what they name; one that names something missing says so in ``problem``."""
    repository = open_repository(params)
    found = []
    for name, document in repository.catalog.documents(TEMPLATE):
        if params["name"] in (None, name):
            try:
                found.append(dict(describe(document, resolve(repository, document)), problem=None))
            except StrataError as error:
                found.append(dict(document, problem=str(error)))
    return Outcome(False, result={"templates": found})


def connector_info(params: dict) -> Outcome:
    """Connectors by name."""
    documents = open_repository(params).catalog.documents(CONNECTOR)
    return Outcome(
        False, result={"connectors": [document for name, document in documents if params["name"] in (None, name)]}
    )


def layered_image_info(params: dict) -> Outcome:
    """Published images, the newest of each template first."""
    documents = open_repository(params).catalog.documents(IMAGE)
    return Outcome(
        False,
        result={
            "images": [
                image
                for name, document in documents
                if params["template"] in (None, name)
                for image in document["images"]
            ]
        },
    )


def task_info(params: dict) -> Outcome:
    """Publish tasks, the newest first."""
    tasks = [document for _name, document in open_repository(params).catalog.documents(TASK)]
    wanted = [
        task
        for task in tasks
        if params["template"] in (None, task["template"])
        and (not params["status"] or task["status"] in params["status"])
    ]
    wanted.sort(key=lambda task: (task["created"], task["id"]), reverse=True)
    return Outcome(False, result={"tasks": wanted[: max(params["limit"], 0)]})


def audit_info(params: dict) -> Outcome:
    """Records of the audit history, the newest first."""
    records = open_repository(params).audit.read(
        kind=params["kind"], name=params["name"], since=params["since"], limit=max(params["limit"], 0)
    )
    return Outcome(False, result={"records": records[::-1]})
