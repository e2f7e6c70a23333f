# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two composers that share a registry as their repository: an upgrade, synchronization, images, conflicts and the cache."""

from __future__ import annotations

import os
import pathlib
from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.errors import Unavailable
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.registry import Registry
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.tests.support.module_options import add_app, add_template, connector
from ansible_collections.strata.layering.tests.support.modules import attempt, converges, fails, run, state_of
from ansible_collections.strata.layering.tests.support.registry_fixtures import (  # noqa: F401  pylint: disable=unused-import
    simulated_registry,
    simulated_registry_process,
)
from ansible_collections.strata.layering.tests.support.signing_keys import key_pair

#: The template that ``add_template`` creates.
TEMPLATE = {
    "name": "office",
    "os_layer": {"name": "Windows 11", "version": "1.0"},
    "connector": "desktops",
    "app_layers": [{"name": "Tool", "version": "1.0"}],
}


@pytest.fixture
def upstream(simulated_registry):  # noqa: F811
    """The option upstream for an empty registry."""
    return {"registry": f"{simulated_registry.address}/windows", "plain_http": True, "signatures": "optional"}


@pytest.fixture
def second(tmp_path, upstream):
    """A second composer with a connector and without layers."""
    path = tmp_path / "second"
    options = {"repository": os.fspath(path)}
    converges("repository", lambda: state_of(path), **options, upstream=upstream)
    run("connector", **options, **connector())
    return SimpleNamespace(path=path, options=options, files=None, tmp_path=tmp_path)


@pytest.fixture
def first(workspace, upstream):
    """A composer whose repository existed before it got an upstream, with an app layer and a template."""
    converges("repository", lambda: state_of(workspace.path), **workspace.options, upstream=upstream)
    remote = {"registry": upstream["registry"], "plain_http": True, "everything": True}
    run("layer_transfer", **workspace.options, **remote, state="pushed")
    add_app(workspace)
    add_template(workspace)
    return workspace


def export(composer, name):
    """Export the image of the template, and return its digests and its bytes."""
    path = composer.tmp_path / name
    result = run("layered_image_export", **composer.options, template="office", path=os.fspath(path), format="vmdk")
    references = Repository.open(os.fspath(composer.path)).layout.references()
    images = {name: item.digest for name, item in references.items() if name.startswith("image/")}
    return (result["image_digest"], result["content_digest"], images), path.read_bytes()


def age(repository: pathlib.Path):
    """Let all blobs be unused for ten days."""
    for folder in (repository / "blobs/sha256", repository / "uses"):
        for path in folder.iterdir():
            moment = path.stat().st_mtime - 10 * 86400
            os.utime(path, (moment, moment))


def test_second_composer_publishes_the_same_image(first, second, simulated_registry, monkeypatch):  # noqa: F811
    result = converges("repository", lambda: state_of(second.path), **second.options, state="synced", comment="CHG-1")
    assert [(change["action"], change["kind"], change["name"]) for change in result["changes"]] == [
        ("create", "os", "Windows 11"),
        ("create", "app", "Tool"),
        ("create", "template", "office"),
    ]
    assert run("audit_info", **second.options)["records"][0]["action"] == "pull"
    with Registry.connect(_connection(simulated_registry)) as registry:
        assert "1.0" in registry.tags("windows/os/windows-11")
    # What needs neither disks nor archives needs no registry.
    simulated_registry.clear_journal()
    assert run("layer_info", **second.options)["layers"]
    assert not run("image_template", check=True, **second.options, **TEMPLATE)["changed"]
    assert not simulated_registry.journal()
    assert run("repository", **second.options, state="verified")["upstream_blobs"] == 2
    made = export(second, "second.vmdk")
    assert made == export(first, "first.vmdk")
    assert run("repository", **second.options, state="verified")["upstream_blobs"] == 0
    # The cache.
    run("repository", **second.options, upstream=_limited(second, cache_days=7))
    age(second.path)
    evicted = converges("repository", lambda: state_of(second.path), **second.options, state="synced")
    assert len(evicted["evicted"]) == 2
    assert evicted["evicted_bytes"] > 0
    assert not run("repository", **second.options, state="collected")["evicted"]
    assert run("repository", **second.options, state="verified")["upstream_blobs"] == 2
    fails("repository", "operations.upstream_needed", **second.options, upstream={})
    # Offline.
    monkeypatch.setattr(Registry, "connect", _unreachable)
    offline = run("repository", **second.options, state="synced")
    assert (offline["online"], offline["changed"], len(offline["warnings"])) == (False, False, 1)
    fails("repository", "oci_registry.connection", **second.options, state="synced", offline="fail")
    assert run("repository", **second.options, state="verified")["warnings"]
    assert not run("image_template", **second.options, **TEMPLATE)["changed"]
    fails("layered_image_plan", "oci_registry.connection", **second.options, template="office")
    failed = fails("image_template", "oci_registry.connection", **second.options, **TEMPLATE | {"description": "new"})
    assert run("image_template_info", **second.options)["templates"][0]["description"] == "", failed


def test_only_changes_need_the_passphrase_of_the_key(first, second):
    pair = key_pair("secret")
    sign_key = second.path / "sign.key"
    sign_key.write_text(pair.private)
    sign_key.chmod(0o600)
    run("repository", **second.options, upstream=_limited(second, sign_key=os.fspath(sign_key)))
    run("repository", **second.options, state="synced")
    export(second, "second.vmdk")
    fails("image_template", "signing.passphrase_missing", **second.options, **TEMPLATE | {"description": "new"})
    assert run("image_template_info", **second.options)["templates"][0]["description"] == ""


def test_version_that_both_composers_make_is_refused_for_one(first, second):
    run("repository", **second.options, state="synced")
    second.files = first.files
    add_app(first, version="2.0", tree={"Program Files/Tool/tool.txt": "mine"})
    folder = first.files("other", {"Program Files/Tool/tool.txt": "yours"})
    options = {"name": "Tool", "version": "2.0", "os_layer": {"name": "Windows 11"}, "files": folder}
    before = state_of(second.path)
    result = attempt("app_layer", **second.options, **options)
    assert (result["failed"], result["code"]) == (True, "distribution.upstream_version")
    assert {name for name in state_of(second.path) if name.startswith("catalog/")} == {
        name for name in before if name.startswith("catalog/")
    }
    run("repository", **second.options, state="synced")
    fails("app_layer", "operations.layer_other_source", **second.options, **options)


@pytest.mark.parametrize(
    ("option", "code"),
    [
        ({"registry": "registry.example.com"}, "operations.upstream_keys"),
        ({"registry": "a.example.com", "file_share": "/srv", "signatures": "optional"}, "operations.upstream_location"),
        ({"verify_keys": ["/etc/key.pub"]}, "operations.upstream_location"),
        ({"file_share": "srv/layers", "signatures": "optional"}, "operations.upstream_path"),
        ({"registry": "user:secret@a.example.com", "signatures": "optional"}, "operations.upstream_secret"),
        (
            {"registry": "a.example.com", "signatures": "optional", "proxy": "http://u:p@proxy:1"},
            "operations.upstream_secret",
        ),
        ({"registry": "a.example.com", "signatures": "optional", "cache_days": -1}, "operations.upstream_cache"),
    ],
)
def test_bad_upstream_is_refused(tmp_path, option, code):
    fails("repository", code, repository=os.fspath(tmp_path / "repository"), upstream=option)
    assert not (tmp_path / "repository").exists()


def test_share_that_is_not_mounted_deletes_nothing(first, tmp_path):
    share = tmp_path / "share"
    run("layer_transfer", **first.options, file_share=os.fspath(share), everything=True, state="pushed")
    options = {"repository": os.fspath(tmp_path / "third")}
    upstream = {"file_share": os.fspath(share), "signatures": "optional"}
    run("repository", **options, upstream=upstream)
    assert len(run("repository", **options, state="synced")["changes"]) == 3
    share.rename(tmp_path / "unmounted")
    for folder_exists in (False, True):
        result = run("repository", **options, state="synced")
        assert (result["online"], result["changes"], len(result["warnings"])) == (False, [], 1)
        fails("repository", "operations.upstream_missing", **options, state="synced", offline="fail")
        if not folder_exists:
            share.mkdir()
    assert len(run("layer_info", **options)["layers"]) == 2
    other = upstream | {"file_share": os.fspath(tmp_path / "other")}
    fails("repository", "operations.upstream_differs", **options, state="synced", upstream=other)
    assert not run("repository", **options, state="synced", upstream=upstream)["online"]


def test_change_that_no_composer_would_trust_is_refused(first, upstream, tmp_path, monkeypatch):
    trusted, stranger = key_pair(), key_pair()
    for name, pair in (("trusted", trusted), ("stranger", stranger)):
        (tmp_path / name).write_text(pair.private)
        (tmp_path / name).chmod(0o600)
    remote = {"registry": upstream["registry"], "plain_http": True, "everything": True}
    run("layer_transfer", **first.options, **remote, state="pushed", sign_key=os.fspath(tmp_path / "trusted"))
    settings = upstream | {"signatures": "required", "verify_keys": [trusted.public]}
    run("repository", **first.options, upstream=settings)
    change = {"name": "Tool", "kind": "app", "description": "A tool"}
    monkeypatch.setenv("STRATA_SIGN_KEY", os.fspath(tmp_path / "stranger"))
    fails("layer_metadata", "operations.upstream_sign_key", **first.options, **change)
    assert run("repository", **first.options, state="synced")["online"]
    monkeypatch.setenv("STRATA_SIGN_KEY", os.fspath(tmp_path / "trusted"))
    run("layer_metadata", **first.options, **change)


def test_repository_without_an_upstream_cannot_be_synchronized(tmp_path):
    options = {"repository": os.fspath(tmp_path / "repository")}
    run("repository", **options)
    fails("repository", "operations.no_upstream", **options, state="synced")
    assert not run("repository", **options, upstream={})["changed"]


def _limited(composer, **limits):
    settings = Repository.open(os.fspath(composer.path)).upstream_settings
    assert settings is not None
    return settings.to_dict() | limits


def _connection(registry):
    from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import (
        RegistryAddress,
        RegistryConnection,
    )

    return RegistryConnection(RegistryAddress.parse(registry.address), plain_http=True)


def _unreachable(connection):
    raise Unavailable(f"{connection.label} cannot be reached.", code="oci_registry.connection", hint="Check it.")
