# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two composers change one registry of record at random, interleaved at each request; a model checks every step.

No update is lost: a description or a template is replaced only with knowledge of what it replaces. No reference
dangles: what a layer or a template names exists, here and in the registry, at every moment. STRATA_SEEDS in the environment is
the number of seeds; the slow job sets it.
"""

from __future__ import annotations

import json
import os
import random

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_removal import remove_versions
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName
from ansible_collections.strata.layering.plugins.module_utils.common.errors import Conflict
from ansible_collections.strata.layering.plugins.module_utils.distribution.items.details import DETAILS_TYPE
from ansible_collections.strata.layering.plugins.module_utils.distribution.record import survey
from ansible_collections.strata.layering.plugins.module_utils.distribution.sides import claims
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import APP, ARTIFACT_TYPE, OS
from ansible_collections.strata.layering.tests.support.composers import Composer
from ansible_collections.strata.layering.tests.support.interleaving import Interleaving
from ansible_collections.strata.layering.tests.support.shared_registry import SharedRegistry, parsed
from ansible_collections.strata.layering.tests.support.small_layers import (
    add_app_layer,
    add_connector,
    add_os_layer,
    delete_template,
    describe_layer,
    put_template,
)

OPERATIONS = 200
#: The errors that an operation may end with: each asks for a synchronization, another name or another try.
EXPECTED = {
    "catalog.in_use",
    "catalog.layer_needed",
    "distribution.base_missing",
    "distribution.other_content",
    "distribution.changed_meanwhile",
    "distribution.changed_during_run",
    "distribution.upstream_behind",
    "distribution.upstream_changed",
    "distribution.upstream_version",
}


class Model:
    """What must hold in the registry, checked after each change of a tag or of details."""

    def __init__(self, registry: SharedRegistry) -> None:
        self.registry = registry
        self.replaces: dict[str, str] = {}
        self.descriptions: dict[str, str] = {}
        self.templates: dict[str, str | None] = {}
        self.versions: dict[str, str] = {}
        self.deleting: set[str] = set()
        self.changes = 0

    def intend(self, token: str, before: str) -> str:
        """Note that an operation replaces ``before`` by ``token``."""
        self.replaces[token] = before
        return token

    def check(self) -> None:
        """Compare the registry with the state before."""
        self.changes += 1
        versions = self._versions()
        present = set(versions.values())
        for tagged, digest in versions.items():
            assert self.versions.get(tagged, digest) == digest, f"{tagged} has other content"
            for base in self._bases(tagged, digest):
                assert base in present, f"{tagged} was built on {base}, which does not exist"
        self.versions = versions
        self._check_descriptions(versions)
        self._check_templates(present)

    def _versions(self) -> dict[str, str]:
        found = {}
        for repository, content in self.registry.repositories.items():
            for tag, digest in content.tags.items():
                if parsed(content.manifests[digest]).get("artifactType") == ARTIFACT_TYPE:
                    found[f"{repository}:{tag}"] = digest
        return found

    def _config(self, repository: str, manifest: dict) -> dict:
        return parsed(self.registry.repositories[repository].blobs[manifest["config"]["digest"]])

    def _bases(self, tagged: str, digest: str) -> list[str]:
        repository = tagged.rpartition(":")[0]
        config = self._config(repository, parsed(self.registry.repositories[repository].manifests[digest]))
        listed = [config.get("os_layer"), *(config.get("prerequisites") or ())]
        return [item["digest"] for item in listed if item]

    def _check_descriptions(self, versions: dict[str, str]) -> None:
        found: dict[str, tuple[str, str]] = {}
        present = {(tagged.rpartition(":")[0], digest) for tagged, digest in versions.items()}
        for repository, content in self.registry.repositories.items():
            for data in content.manifests.values():
                manifest = parsed(data)
                if (
                    manifest.get("artifactType") == DETAILS_TYPE
                    and (repository, manifest["subject"]["digest"]) in present
                ):
                    config = self._config(repository, manifest)
                    described = (config["updated"], config["layer"]["description"])
                    found[repository] = max(found.get(repository, ("", "")), described)
        for repository, (_updated, description) in found.items():
            before = self.descriptions.get(repository)
            if before is not None and description != before:
                assert self.replaces[description] == before, f"{repository}: {description} replaced {before}"
        self.descriptions = {repository: description for repository, (_updated, description) in found.items()}

    def _check_templates(self, present: set[str]) -> None:
        for repository, content in self.registry.repositories.items():
            if not repository.startswith("windows/templates/"):
                continue
            digest = content.tags.get("current")
            token = None
            if digest is not None:
                config = self._config(repository, parsed(content.manifests[digest]))
                token = config["template"]["description"]
                for layer in config["layers"]:
                    assert layer["digest"] in present, f"{repository} names {layer}, which does not exist"
            before = self.templates.get(repository)
            if token != before:
                expected = self.replaces[token] if token is not None else self.replaces[f"delete {before}"]
                assert expected == (before or ""), f"{repository}: {token} replaced {before}"
            self.templates[repository] = token


class Actor:
    """A composer that acts at random."""

    def __init__(self, composer: Composer, model: Model, seed: str, used: list[int]) -> None:
        self.composer = composer
        self.model = model
        self.random = random.Random(seed)
        self.name = os.path.basename(composer.path)
        self.used = used
        self.deleted: set[str] = set()
        self.count = 0
        self.outcomes: dict[str, int] = {}

    def run(self) -> None:
        """Act a number of times."""
        add_connector(self.composer.repository)
        for self.count in range(OPERATIONS):
            action = self.random.choices(
                [self.add_os, self.add_app, self.describe, self.template, self.drop_template, self.remove, self.sync],
                [3, 20, 16, 20, 12, 24, 24],
            )[0]
            try:
                action()
                outcome = "done"
            except Conflict as error:
                assert error.code in EXPECTED, error
                outcome = error.code
            key = f"{action.__name__} {outcome}"
            self.outcomes[key] = self.outcomes.get(key, 0) + 1
            self.check()

    # --- what it does -----------------------------------------------------------------------

    def _number(self) -> str:
        """Return a number for a version: a new number, or that which the other composer may use, too."""
        if self.random.random() < 0.6:
            self.used[0] += 1
        return str(self.used[0])

    def _layers(self, kind: str) -> list[VersionName]:
        found = document_collections.layers(self.composer.repository, kind).all()
        return [VersionName(name, version) for name, layer in found for version in layer.versions]

    def add_os(self) -> None:
        """Build a version of the OS layer."""
        number = self._number()
        if f"Windows {number}" not in self.deleted and VersionName("Windows", number) not in self._layers(OS):
            add_os_layer(self.composer.repository, "Windows", number, self.random.choice((b"a", b"b")))

    def add_app(self) -> None:
        """Build a version of an app layer."""
        bases, others = self._layers(OS), self._layers(APP)
        if not bases:
            return
        name, number = self.random.choice(("Editor", "Browser")), self._number()
        if f"{name} {number}" in self.deleted or VersionName(name, number) in others:
            return
        others = [item for item in others if item.name != name]
        prerequisites = (self.random.choice(others),) if others and self.random.random() < 0.5 else ()
        archive = self.random.choice((b"a", b"b"))
        os_layer = self.random.choice(bases)
        add_app_layer(self.composer.repository, name, number, archive, os_layer=os_layer, prerequisites=prerequisites)

    def describe(self) -> None:
        """Change the description of a layer."""
        kind = self.random.choice((OS, APP))
        found = document_collections.layers(self.composer.repository, kind).all()
        if found:
            name, layer = self.random.choice(found)
            token = self.model.intend(f"{self.name} {self.count}", layer.description)
            describe_layer(self.composer.repository, kind, name, token)

    def template(self) -> None:
        """Create or change a template."""
        bases = self._layers(OS)
        if not bases:
            return
        name = self.random.choice(("office", "kiosk"))
        before = document_collections.templates(self.composer.repository).get(name)
        token = self.model.intend(f"{self.name} {self.count}", before.description if before else "")
        apps = {item.name: item for item in self.random.sample(self._layers(APP), min(2, len(self._layers(APP))))}
        put_template(self.composer.repository, name, self.random.choice(bases), tuple(apps.values()), token)

    def drop_template(self) -> None:
        """Delete a template."""
        found = document_collections.templates(self.composer.repository).all()
        if found:
            name, template = self.random.choice(found)
            self.model.intend(f"delete {template.description}", template.description)
            delete_template(self.composer.repository, name)

    def remove(self) -> None:
        """Delete a version."""
        kind = self.random.choice((OS, APP, APP))
        versions = self._layers(kind)
        if versions:
            item = self.random.choice(versions)
            remove_versions(self.composer.repository, kind, item.name, item.version, comment=None, check_mode=False)
            self.deleted.add(f"{item.name} {item.version}")

    def sync(self) -> None:
        """Synchronize."""
        result = self.composer.sync(full=self.random.random() < 0.2)
        assert result.online
        assert not result.conflicts
        assert not result.warnings

    # --- what holds in its repository ---------------------------------------------------------

    def check(self) -> None:
        """Check that nothing in the repository dangles."""
        repository = self.composer.repository
        digests, names = set(), set()
        layers = [item for kind in (OS, APP) for item in document_collections.layers(repository, kind).all()]
        for name, layer in layers:
            for version, entry in layer.versions.items():
                names.add((layer.kind, name, version))
                digests.add(entry.digest)
        for _name, layer in layers:
            for _version, entry in layer.versions.items():
                config = json.loads(
                    repository.layout.blobs.read(repository.layout.manifest(entry.digest)["config"]["digest"], 1 << 20)
                )
                for base in (config.get("os_layer"), *(config.get("prerequisites") or ())):
                    assert base is None or base["digest"] in digests
        for _name, template in document_collections.templates(repository).all():
            assert (OS, template.os_layer.name, template.os_layer.version) in names
            assert all((APP, app.name, app.version) in names for app in template.app_layers)
        found = {item.digest for name, item in repository.layout.references().items() if name.startswith("layers/")}
        assert found == digests


def documents(composer):
    """Return the documents without the times of transfers."""
    found = composer.documents()
    for layers in (found["os_layer"], found["app_layer"]):
        for layer in layers.values():
            layer["versions"] = {
                version: {key: value for key, value in sorted(entry.items()) if key != "updated"}
                for version, entry in sorted(layer["versions"].items())
            }
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(int(os.environ.get("STRATA_SEEDS", "1"))))
def test_two_composers_lose_no_update_and_leave_no_dangling_reference(seed, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    registry, interleaving = SharedRegistry(), Interleaving(seed)
    monkeypatch.setattr(claims.time, "sleep", interleaving.sleep)
    monkeypatch.setattr(survey, "_PAUSE", 0)
    model, used = Model(registry), [0]
    changing = {"put_manifest", "delete_manifest", "delete_tag"}
    pending = [False]

    def before_request(method, repository):
        # The change that the previous request has made.
        if pending[0]:
            model.check()
        interleaving.pause()
        pending[0] = method in changing

    actors = []
    for name in ("first", "second"):
        composer = Composer(str(tmp_path / name), registry, before_request)
        actors.append(Actor(composer, model, f"{seed} {name}", used))
    interleaving.run([actor.run for actor in actors])
    pending[0] = False
    model.check()
    for _round in range(2):
        for actor in actors:
            actor.sync()
            actor.check()
    assert documents(actors[0].composer) == documents(actors[1].composer)
    assert not actors[0].composer.sync(full=True).changes
    outcomes = {key for actor in actors for key in actor.outcomes}
    assert {"add_app done", "describe done", "template done", "remove done", "sync done"} <= outcomes, outcomes
    assert len([key for key in outcomes if "distribution." in key]) >= 3, outcomes
