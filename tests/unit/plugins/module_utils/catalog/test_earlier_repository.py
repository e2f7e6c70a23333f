# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository that version 0.1.0 wrote, before documents had types: every document is read and written unchanged.

``data/repository-0.1`` holds its documents, without blobs. ``data/info-0.1.json`` is what the info
modules of that version returned for it.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import KINDS
from ansible_collections.strata.layering.plugins.module_utils.operations import info
from ansible_collections.strata.layering.plugins.module_utils.operations.options import RepositoryOptions
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository

DATA = pathlib.Path(__file__).parent / "data"
COLLECTIONS = {
    **{f"{kind}_layer": lambda repository, kind=kind: document_collections.layers(repository, kind) for kind in KINDS},
    "image_template": document_collections.templates,
    "connector": document_collections.connectors,
    "image": document_collections.images,
    "task": document_collections.tasks,
    "packaging": document_collections.packaging_records,
    "cancellation": document_collections.cancellations,
}


@pytest.fixture
def path(tmp_path) -> pathlib.Path:
    """A copy of the repository with the folders that it does not need to read documents."""
    copy = tmp_path / "repository"
    shutil.copytree(DATA / "repository-0.1", copy)
    for folder in ("tmp", "locks", "pins", "blobs/sha256"):
        (copy / folder).mkdir(parents=True)
    return copy


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    """Return the bytes of each file below a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.json")}


def test_repository_has_documents_of_every_kind(path):
    assert sorted(os.listdir(path / "catalog")) == sorted(COLLECTIONS)


@pytest.mark.parametrize("kind", COLLECTIONS)
def test_documents_of_earlier_version_are_written_unchanged(path, kind):
    before = contents(path / "catalog" / kind)
    documents = COLLECTIONS[kind](Repository.open(os.fspath(path)))
    found = documents.all()
    for name, document in found:
        assert documents.require(name) == document
        documents.remove(name)
        documents.store(name, document)
    assert len(found) == len(before)
    assert contents(path / "catalog" / kind) == before


def test_every_document_passes_the_check(path):
    repository = Repository.open(os.fspath(path))
    for kind in repository.catalog.kinds():
        for name, document in repository.catalog.documents(kind):
            document_collections.check_document(kind, name, document)


def with_new_names(value):
    """Return a result of the earlier version with the keys that were added and the names of steps that were changed since."""
    if isinstance(value, list):
        return [with_new_names(item) for item in value]
    if not isinstance(value, dict):
        return value
    added = {"connector_script": value["script"], "snapshot_moid": None} if {"vm", "snapshot"} <= value.keys() else {}
    if "esxi_hostname" in value:
        added |= {"esxi_host": value["esxi_hostname"], "storage_policy": None, "vtpm": "refuse"}
    if "app_layers" in value and "image_digest" in value:
        layers = [value["os_layer"], *value["app_layers"], value["platform_layer"]]
        added["layers"] = [layer for layer in layers if layer]
    if "snapshot" in value and isinstance(value.get("layers"), dict):
        names = sorted(value["layers"], key=lambda key: ("os", "app", "platform").index(key.partition("/")[0]))
        added["last_used"] = None
        added["layer_versions"] = [
            {"kind": key.partition("/")[0], "name": key.partition("/")[2], "version": value["layers"][key]}
            for key in names
        ]
    if "size_gb" in value and "windows" in value:
        added["noise_profile"] = None
    if "timings" in value:
        added |= {
            "image_digest": value["digest"],
            "alive": False,
            "step": value["step"] and value["step"].replace(" ", "_"),
        }
        added["timings"] = {step.replace(" ", "_"): seconds for step, seconds in value["timings"].items()}
    return {key: with_new_names(item) for key, item in value.items()} | added


@pytest.mark.parametrize("module", json.loads((DATA / "info-0.1.json").read_bytes()))
def test_info_modules_return_the_results_of_the_earlier_version(path, module):
    expected = json.loads((DATA / "info-0.1.json").read_bytes())[module]
    options = info.InfoOptions(repository=RepositoryOptions(str(path)))
    assert getattr(info, module)(options).result == with_new_names(expected)
