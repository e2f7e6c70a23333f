# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of layers and templates are sent to the registry of record before they are stored."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_removal import remove_versions
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict, InternalError, Unavailable
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.repository.upstream import UpstreamSettings
from ansible_collections.strata.layering.tests.support.expectations import raises
from ansible_collections.strata.layering.tests.support.small_layers import (
    add_app_layer,
    add_connector,
    add_os_layer,
    delete_template,
    describe_layer,
    put_template,
)
from ansible_collections.strata.layering.tests.support.upstreams import UpstreamInMemory

WINDOWS, EDITOR = VersionName("Windows", "1"), VersionName("Editor", "1.0")
REFUSAL = Conflict("Another composer was faster.", code="distribution.upstream_version", hint="Run synced.")


@pytest.fixture
def upstream():
    return UpstreamInMemory()


@pytest.fixture
def shared(tmp_path, upstream):
    path = str(tmp_path / "repository")
    Repository.open(path, create=True).set_upstream(UpstreamSettings(registry="registry.example.com"))
    repository = Repository.open(path)
    repository.attach(upstream)
    return repository


def documents(repository):
    """Return the documents of all kinds."""
    return {kind: dict(repository.catalog.documents(kind)) for kind in repository.catalog.kinds()}


def test_new_version_is_sent_before_it_is_stored(shared, upstream):
    seen = []
    upstream.on_change = lambda: seen.append(documents(shared))
    digest = add_os_layer(shared, "Windows", "1").digest
    assert upstream.calls == [
        ("before_build", "os", "Windows", "1"),
        ("upload", digest),
        ("before_change", "os_layer", "Windows", False, True),
    ]
    assert seen == [{}]
    assert list(documents(shared)["os_layer"]) == ["Windows"]


def test_every_change_of_layers_and_templates_is_sent(shared, upstream):
    add_os_layer(shared, "Windows", "1")
    add_app_layer(shared, "Editor", "1.0", os_layer=WINDOWS)
    add_connector(shared)
    put_template(shared, "office", WINDOWS, (EDITOR,))
    upstream.calls.clear()
    describe_layer(shared, "app", "Editor", "An editor")
    put_template(shared, "office", WINDOWS)
    delete_template(shared, "office")
    remove_versions(shared, "app", "Editor", "1.0", comment=None, check_mode=True)
    remove_versions(shared, "app", "Editor", "1.0", comment=None, check_mode=False)
    assert upstream.calls == [
        ("before_change", "app_layer", "Editor", True, True),
        ("before_change", "image_template", "office", True, True),
        ("before_change", "image_template", "office", True, False),
        ("before_change", "app_layer", "Editor", True, False),
    ]


def test_refused_changes_store_nothing(shared, upstream):
    add_os_layer(shared, "Windows", "1")
    add_app_layer(shared, "Editor", "1.0", os_layer=WINDOWS)
    add_connector(shared)
    put_template(shared, "office", WINDOWS, (EDITOR,))
    before, references = documents(shared), shared.layout.references()
    upstream.refusal = REFUSAL
    for change in (
        lambda: add_app_layer(shared, "Editor", "2.0", b"other", os_layer=WINDOWS),
        lambda: add_os_layer(shared, "Server", "1", b"server"),
        lambda: describe_layer(shared, "app", "Editor", "An editor"),
        lambda: put_template(shared, "office", WINDOWS),
        lambda: delete_template(shared, "office"),
    ):
        with raises(Conflict, "distribution.upstream_version"):
            change()
    assert documents(shared) == before
    assert shared.layout.references() == references


def test_refused_removal_keeps_version_and_noise_profile(shared, upstream):
    add_os_layer(shared, "Windows", "1")
    upstream.refusal = REFUSAL
    shared.catalog.put("noise_profile", "Windows/1", {"kept": True})
    before = documents(shared)
    with raises(Conflict, "distribution.upstream_version"):
        remove_versions(shared, "os", "Windows", None, comment=None, check_mode=False)
    assert documents(shared) == before
    assert list(shared.layout.references()) == ["layers/os/Windows/1"]


def test_version_that_cannot_be_uploaded_is_not_stored(shared, upstream):
    upstream.offline = True
    with raises(Unavailable, "oci_registry.connection"):
        add_os_layer(shared, "Windows", "1")
    assert documents(shared) == {}
    assert not shared.layout.references()


def test_connectors_stay_local(shared, upstream):
    add_connector(shared)
    assert not upstream.calls


def test_change_of_a_repository_without_its_upstream_is_refused(shared):
    detached = Repository.open(shared.path)
    with raises(InternalError, "repository.upstream_detached"):
        add_os_layer(detached, "Windows", "1")
    assert document_collections.layers(detached, "os").names() == []
