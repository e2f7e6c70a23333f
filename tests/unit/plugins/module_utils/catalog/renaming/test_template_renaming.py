# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renaming image templates: images and tasks follow, whenever the run ends."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.catalog.kinds import RENAME
from ansible_collections.strata.layering.plugins.module_utils.catalog.renaming.interrupted import complete_renames
from ansible_collections.strata.layering.plugins.module_utils.catalog.renaming.template_renaming import (
    rename_template,
    template_locks,
)
from ansible_collections.strata.layering.plugins.module_utils.publish.retiring.ownership import image_change
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.catalogs import (
    digests,
    documents,
    image_of,
    store_connector,
    store_images,
    store_layer,
    store_task,
    store_template,
)
from ansible_collections.strata.layering.tests.support.killing import kill_before_each_write
from ansible_collections.strata.layering.tests.support.published_vms import published_vm


@pytest.fixture
def repository(tmp_path):
    repository = Repository.open(str(tmp_path / "repository"), create=True)
    store_connector(repository)
    windows = store_layer(repository, "os", "Windows", "1")
    store_template(repository, "office", windows)
    store_images(repository, "office")
    store_task(repository, "1", "office")
    store_task(repository, "2", "other")
    return repository


def rename(repository):
    with template_locks(repository, "office", "desk"):
        rename_template(repository, "office", "desk", None)


def test_rename_that_is_killed_is_completed_by_the_next_run(repository, tmp_path, monkeypatch):
    original = tmp_path / "original"
    shutil.copytree(repository.path, original)
    expected = digests(repository)["office"]
    rename(repository)
    done = documents(repository)
    completed = 0

    def restore():
        shutil.rmtree(repository.path)
        shutil.copytree(original, repository.path)

    for _survived in kill_before_each_write(monkeypatch, restore, lambda: rename(repository)):
        assert set(digests(repository).values()) == {expected}
        complete_renames(repository)
        assert not repository.catalog.names(RENAME)
        if repository.audit.read():
            assert documents(repository) == done
            assert len(repository.audit.read()) == 1
            completed += 1
    assert completed > 5


def test_rename_that_another_run_carries_out_is_left_to_it(repository):
    with template_locks(repository, "office", "desk"):
        record = document_collections.renames(repository)
        rename_template(repository, "office", "desk", None)
        assert record.names() == []


def test_vm_of_an_image_keeps_the_former_name_in_its_settings(repository):
    rename(repository)
    image = dataclasses.replace(
        image_of(repository, "desk"),
        template="desk",
        former_templates=("office",),
        image_digest="sha256:1",
        vm=dataclasses.replace(image_of(repository, "desk").vm, name="office-1"),
    )
    vm = published_vm()
    assert image_change(vm, image) is None
    assert image_change(vm, dataclasses.replace(image, former_templates=())) is not None
