# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A remote that was tampered with: what a policy of required signatures refuses never enters the repository.

The attacker may write to the remote and has copies of all earlier content, but no trusted key.
"""

from __future__ import annotations

import base64
import functools
import json
import shutil

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import document_collections
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionName
from ansible_collections.strata.layering.plugins.module_utils.distribution.backends.folder import Folder
from ansible_collections.strata.layering.plugins.module_utils.distribution.items.details import DETAILS_TYPE
from ansible_collections.strata.layering.plugins.module_utils.distribution.items.names import Naming
from ansible_collections.strata.layering.plugins.module_utils.distribution.sides.local import Local
from ansible_collections.strata.layering.plugins.module_utils.distribution.sides.remote import Remote
from ansible_collections.strata.layering.plugins.module_utils.distribution.signatures.trust import (
    SignatureGuard,
    TrustPolicy,
)
from ansible_collections.strata.layering.plugins.module_utils.distribution.transfers.known import known_templates
from ansible_collections.strata.layering.plugins.module_utils.distribution.transfers.plan import Rules, make_plan
from ansible_collections.strata.layering.plugins.module_utils.distribution.transfers.selection import (
    LayerChoice,
    Selection,
    TemplateChoice,
)
from ansible_collections.strata.layering.plugins.module_utils.distribution.transfers.transfer import Transfer
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import (
    RegistryAddress,
    RegistryConnection,
)
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.registry import Registry
from ansible_collections.strata.layering.plugins.module_utils.repository.blobs import Descriptor
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.shares.local import LocalShare
from ansible_collections.strata.layering.plugins.module_utils.signing.bundle import BUNDLE
from ansible_collections.strata.layering.plugins.module_utils.signing.keys import SigningKey
from ansible_collections.strata.layering.tests.support.memory_backend import MANIFEST, MemoryBackend, digest_of
from ansible_collections.strata.layering.tests.support.registry_fixtures import (  # noqa: F401  pylint: disable=unused-import
    simulated_registry,
    simulated_registry_process,
)
from ansible_collections.strata.layering.tests.support.signing_keys import SIMPLE, key_pair, refusal, simple_payload
from ansible_collections.strata.layering.tests.support.small_layers import (
    add_app_layer,
    add_connector,
    add_os_layer,
    describe_layer,
    put_template,
)

WINDOWS, EDITOR, VIEWER = VersionName("Windows 11", "24H2"), VersionName("Editor", "1.0"), VersionName("Viewer", "1.0")
NEWER = VersionName("Editor", "2.0")
NAMING = Naming("windows")
OS, APP, TEMPLATES = "windows/os/windows-11", "windows/app/editor", "windows/templates/office"
KEY, STRANGER = (SigningKey.load(key_pair().private) for _number in range(2))
TRUSTED = TrustPolicy((KEY.public,), required=True)
EVERYTHING = Selection(everything=True)
#: A registry in memory, a folder, and a server.
KINDS = ("registry", "folder", "server")


class Site:
    """A repository and its remote; ``key`` signs what it pushes, and it pulls only what ``KEY`` signed."""

    def __init__(self, path, backend, key=None):
        self.repository = Repository.open(str(path), create=True)
        self.local = Local(self.repository)
        self.backend = backend
        self.guard = SignatureGuard(TRUSTED if key is None else TrustPolicy(), key)
        if "vdi" not in document_collections.connectors(self.repository).names():
            add_connector(self.repository)

    def push(self, selection=EVERYTHING):
        """Push, and return the changed items."""
        remote = Remote(self.backend, NAMING, self.guard)
        return self._transfer(remote, self.local, remote, selection, pull=False)

    def pull(self, selection=EVERYTHING):
        """Pull, and return the changed items."""
        remote = Remote(self.backend, NAMING, self.guard)
        return self._transfer(remote, remote, self.local, selection, pull=True)

    def _transfer(self, remote, source, target, selection, *, pull):
        known = known_templates(self.repository, remote.identity)
        plan = make_plan(source, target, selection, Rules(pull=pull, known=known))
        Transfer(plan, self.local).apply()
        return [str(step.item) for step in plan.steps if step.changes]

    def digests(self):
        """Return the digests of all layer versions."""
        layers = [layer for documents in self.state()[0].values() for layer in documents.values()]
        return {(layer.name, version): entry.digest for layer in layers for version, entry in layer.versions.items()}

    def state(self):
        """Return everything that modules can see."""
        documents = {
            kind: dict(document_collections.layers(self.repository, kind).all()) for kind in ("os", "app", "platform")
        }
        templates = dict(document_collections.templates(self.repository).all())
        return documents, templates, sorted(self.repository.layout.references()), self.repository.audit.read()


class TamperedFolder(Folder):
    """A folder whose files are changed from outside."""

    def __init__(self, path):
        super().__init__(LocalShare(str(path)), create=True)
        self._path = path

    def tamper(self, _repository, digest, data):
        """Replace what is stored under the digest of a blob or manifest."""
        (self._path / "blobs" / "sha256" / digest[7:]).write_bytes(data)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Folders with the repository of a publisher and its remote, and the same remote as a registry: tests copy them.

    The publisher has signed and pushed an OS layer, two app layers and a template.
    """
    folder, registry = tmp_path_factory.mktemp("published"), MemoryBackend()
    site = Site(folder / "publisher", registry, KEY)
    add_os_layer(site.repository, *tuple_of(WINDOWS))
    for layer in (EDITOR, VIEWER):
        add_app_layer(site.repository, *tuple_of(layer), f"archive of {layer.name}".encode(), os_layer=WINDOWS)
    put_template(site.repository, "office", WINDOWS, (EDITOR, VIEWER))
    site.push()
    site.backend = TamperedFolder(folder / "remote")
    site.push()
    Site(folder / "subscriber", registry)
    return folder, registry


@pytest.fixture
def kind():
    """The kind of remote: a registry, unless the test is parametrized."""
    return "registry"


@pytest.fixture
def backend(kind, published, tmp_path, request):
    """The remote of the publisher."""
    folder, registry = published
    if kind == "registry":
        return registry.copy()
    if kind == "server":
        return connected(registry, request)
    shutil.copytree(folder / "remote", tmp_path / "remote")
    return TamperedFolder(tmp_path / "remote")


@pytest.fixture
def publisher(tmp_path, backend, published):
    """The site that has signed and pushed what the remote has."""
    shutil.copytree(published[0] / "publisher", tmp_path / "publisher")
    return Site(tmp_path / "publisher", backend, KEY)


@pytest.fixture
def subscriber(tmp_path, backend, published):
    """A site that trusts the publisher's key, and has no layers."""
    shutil.copytree(published[0] / "subscriber", tmp_path / "subscriber")
    return Site(tmp_path / "subscriber", backend)


def connected(source, request):
    """Return a client of a server that has everything that ``source`` has."""
    server = request.getfixturevalue("simulated_registry")
    registry = Registry.connect(RegistryConnection(RegistryAddress.parse(server.address), plain_http=True))
    request.addfinalizer(registry.close)
    registry.tamper = functools.partial(tamper_with_server, server)
    for (repository, digest), data in source.blobs.items():
        registry.upload(repository, digest, len(data), data)
    for (repository, digest), (data, media_type) in source.manifests.items():
        registry.put_manifest(repository, digest, data, media_type)
    for (repository, tag), digest in source.tagged.items():
        registry.put_manifest(repository, tag, *source.manifests[repository, digest])
    return registry


def tamper_with_server(server, repository, digest, data):
    """Replace the file of a blob or manifest."""
    path = server.blob_path(repository, digest)
    (path if path.exists() else path.parents[1] / "_manifests" / path.name).write_bytes(data)


def tuple_of(layer):
    return layer.name, layer.version


def refused(code, site, selection=EVERYTHING):
    """Expect that a pull is refused and that nothing has entered the repository; return the error."""
    before = site.state()
    error = refusal(code, site.pull, selection)
    assert site.state() == before
    return error


def manifest_at(backend, repository, reference):
    found = backend.manifest(repository, reference)
    assert found is not None
    return found, json.loads(found.data)


def forge(backend, repository, document, *blobs):
    """Store blobs and a manifest, as an attacker with write access can; return the manifest's digest."""
    for data in blobs:
        backend.upload(repository, digest_of(data), len(data), data)
    data = json.dumps(document).encode()
    backend.put_manifest(repository, digest_of(data), data, MANIFEST)
    return digest_of(data)


def move_tag(backend, repository, tag, digest):
    """Let a tag name a manifest that is stored."""
    found = backend.manifest(repository, digest)
    backend.put_manifest(repository, tag, found.data, found.media_type)


def remove_signatures(backend, repository, digest):
    for referrer in backend.referrers(repository, digest, BUNDLE):
        backend.delete_manifest(repository, referrer.digest)


def editor(version="1.0"):
    return Selection(layers=(LayerChoice("app", "Editor", version),))


@pytest.mark.parametrize("kind", KINDS)
def test_signed_content_is_pulled(publisher, subscriber):
    assert len(subscriber.pull()) == 4
    assert subscriber.pull() == []
    assert subscriber.guard.warnings == []
    assert subscriber.digests() == publisher.digests()


def test_second_push_signs_nothing(publisher):
    backend = publisher.backend
    before = [item.digest for item in backend.referrers(APP, backend.digest_of(APP, "1.0"))]
    assert publisher.push() == []
    assert [item.digest for item in backend.referrers(APP, backend.digest_of(APP, "1.0"))] == before


def relayed(subscriber, tmp_path):
    """Return a registry to which a site without a key has pushed what it pulled."""
    subscriber.pull(editor())
    relay = Site(tmp_path / "subscriber", MemoryBackend())
    relay.guard = SignatureGuard()
    relay.push(editor())
    return relay


def test_signatures_travel_with_layers(publisher, subscriber, tmp_path):
    """The second site has no private key: a third site verifies the publisher's signature."""
    other = relayed(subscriber, tmp_path).backend
    assert TRUSTED.check(other, APP, other.digest_of(APP, "1.0"), "app layer Editor 1.0") is not None


def test_signatures_of_cosign_2_travel_with_layers(publisher, subscriber, backend, tmp_path):
    digest = backend.digest_of(APP, "1.0")
    remove_signatures(backend, APP, digest)
    store_simple_signature(backend, digest)
    other = relayed(subscriber, tmp_path).backend
    assert TRUSTED.check(other, APP, digest, "app layer Editor 1.0").signature == other.digest_of(
        APP, f"sha256-{digest[7:]}.sig"
    )
    assert subscriber.pull(editor()) == []


def store_simple_signature(backend, digest):
    payload = simple_payload(digest)
    signature = base64.b64encode(KEY.sign(payload)).decode()
    blob = {"mediaType": SIMPLE, "digest": digest_of(payload), "size": len(payload)}
    blob["annotations"] = {"dev.cosignproject.cosign/signature": signature}
    backend.upload(APP, blob["digest"], len(payload), payload)
    backend.store(APP, f"sha256-{digest[7:]}.sig", layers=[blob])


def test_new_signatures_travel_alone(publisher, subscriber, backend, tmp_path):
    """After a change of keys, sites that have the layer get its new signature."""
    relay = relayed(subscriber, tmp_path)
    found, _document = manifest_at(backend, APP, "1.0")
    assert SignatureGuard(key=STRANGER).sign(backend, APP, Descriptor(MANIFEST, found.digest, len(found.data)))
    before = subscriber.state()
    assert subscriber.pull(editor()) == ["app layer Editor 1.0"]
    after = subscriber.state()
    assert after[:2] == before[:2]
    assert len(after[2]) == len(before[2]) + 1
    assert subscriber.pull(editor()) == []
    assert relay.push(editor()) == ["app layer Editor 1.0"]
    assert relay.push(editor()) == []
    assert TrustPolicy((STRANGER.public,), True).check(relay.backend, APP, found.digest) is not None


def test_bad_signatures_do_not_keep_a_layer_from_travelling(publisher, subscriber, backend):
    digest = backend.digest_of(APP, "1.0")
    _found, document = manifest_at(backend, APP, backend.referrers(APP, digest, BUNDLE)[0].digest)
    for layers in ([], [{"mediaType": BUNDLE, "digest": digest_of(b"{}"), "size": 2}], "x"):
        data = json.dumps(document | {"layers": layers}).encode()
        backend.manifests[APP, digest_of(data)] = (data, MANIFEST)
    forge(
        backend,
        APP,
        document | {"layers": [document["layers"][0] | {"digest": digest_of(b"lost"), "size": 4}]},
        b"lost",
    )
    del backend.blobs[APP, digest_of(b"lost")]
    assert len(subscriber.pull()) == 4
    assert subscriber.pull() == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", ["archive", "index", "config"])
def test_flipped_byte_in_a_blob_is_refused(publisher, subscriber, backend, role):
    _found, document = manifest_at(backend, APP, "1.0")
    blobs = {blob["annotations"]["strata.layering.role"]: blob for blob in document["layers"]} | {
        "config": document["config"]
    }
    digest, size = blobs[role]["digest"], blobs[role]["size"]
    data = bytearray(backend.read_blob(APP, digest, size))
    data[len(data) // 2] ^= 1
    backend.tamper(APP, digest, bytes(data))
    refused("distribution.layout_blob" if isinstance(backend, Folder) else "oci_registry.blob_digest", subscriber)


@pytest.mark.parametrize("kind", KINDS)
def test_flipped_byte_in_a_manifest_is_refused(publisher, subscriber, backend):
    found, _document = manifest_at(backend, APP, "1.0")
    backend.tamper(APP, found.digest, found.data.replace(b"Editor", b"editor", 1))
    refused("distribution.layout_blob" if isinstance(backend, Folder) else "oci_registry.manifest_digest", subscriber)


def test_unsigned_manifest_under_a_tag_is_refused(publisher, subscriber, backend):
    _found, document = manifest_at(backend, APP, "1.0")
    evil = b"archive of an attacker"
    document["layers"][0] |= {"digest": digest_of(evil), "size": len(evil)}
    move_tag(backend, APP, "1.0", forge(backend, APP, document, evil))
    for selection in (EVERYTHING, editor(), Selection(templates=(TemplateChoice("office"),))):
        error = refused("distribution.unsigned", subscriber, selection)
        assert error.details["digest"] == backend.digest_of(APP, "1.0")


def test_copied_signature_is_refused(publisher, subscriber, backend):
    """The signature of the right layer is attached to the forged one."""
    found, document = manifest_at(backend, APP, "1.0")
    evil = b"archive of an attacker"
    document["layers"][0] |= {"digest": digest_of(evil), "size": len(evil)}
    forged = forge(backend, APP, document, evil)
    _signature, copied = manifest_at(backend, APP, backend.referrers(APP, found.digest, BUNDLE)[0].digest)
    copied["subject"]["digest"] = forged
    forge(backend, APP, copied)
    move_tag(backend, APP, "1.0", forged)
    error = refused("distribution.signature_invalid", subscriber)
    assert error.details["reason"] == "signing.subject"


def test_other_signed_layer_under_a_tag_is_refused(publisher, subscriber, backend):
    for item in ("app/viewer", "os/windows-11"):
        tag = "24H2" if item.startswith("os") else "1.0"
        copy(backend, f"windows/{item}", tag, APP, "1.0")
        refused("distribution.other_title" if tag == "1.0" else "distribution.other_item", subscriber, editor())


def copy(backend, source, tag, target, new_tag):
    """Copy a manifest with its blobs and referrers, and set a tag, as oras does."""
    found, document = manifest_at(backend, source, tag)
    for blob in (document["config"], *document["layers"]):
        data = backend.read_blob(source, blob["digest"], blob["size"])
        backend.upload(target, blob["digest"], len(data), data)
    backend.put_manifest(target, new_tag, found.data, MANIFEST)
    for referrer in backend.referrers(source, found.digest):
        copy(backend, source, referrer.digest, target, referrer.digest)


def test_older_version_under_a_newer_tag_is_refused(publisher, subscriber, backend):
    subscriber.pull()
    add_app_layer(publisher.repository, *tuple_of(NEWER), b"archive of 2.0", os_layer=WINDOWS)
    put_template(publisher.repository, "office", WINDOWS, (NEWER, VIEWER))
    publisher.push()
    move_tag(backend, APP, "2.0", backend.digest_of(APP, "1.0"))
    for selection in (editor("2.0"), Selection(templates=(TemplateChoice("office"),))):
        error = refused("distribution.other_item", subscriber, selection)
        assert (error.details["expected"], error.details["found"]) == ("app layer Editor 2.0", "app layer Editor 1.0")


def test_signature_by_an_unknown_key_is_refused(publisher, subscriber):
    publisher.backend = subscriber.backend = MemoryBackend()
    publisher.guard = SignatureGuard(key=STRANGER)
    publisher.push()
    assert refused("distribution.signature_unknown", subscriber).details["key_hint"] == STRANGER.public.hint


@pytest.mark.parametrize("kind", KINDS)
def test_removed_signature_is_refused(publisher, subscriber, backend):
    found, _document = manifest_at(backend, APP, "1.0")
    remove_signatures(backend, APP, found.digest)
    refused("distribution.unsigned", subscriber)
    assert publisher.guard.sign(backend, APP, Descriptor(MANIFEST, found.digest, len(found.data)))
    assert len(subscriber.pull()) == 4


@pytest.mark.parametrize("which", ["layer", "details", "template"])
def test_each_kind_of_manifest_needs_its_signature(publisher, subscriber, backend, which):
    layer = backend.digest_of(APP, "1.0")
    repository, digest = {
        "layer": (APP, layer),
        "details": (APP, backend.referrers(APP, layer, DETAILS_TYPE)[0].digest),
        "template": (TEMPLATES, backend.digest_of(TEMPLATES, "current")),
    }[which]
    remove_signatures(backend, repository, digest)
    refused("distribution.unsigned", subscriber)


def test_forged_details_are_refused(publisher, subscriber, backend):
    layer = backend.digest_of(APP, "1.0")
    _found, document = manifest_at(backend, APP, backend.referrers(APP, layer, DETAILS_TYPE)[0].digest)
    config = json.loads(backend.read_blob(APP, document["config"]["digest"], 1 << 20))
    config["updated"] = document["annotations"]["org.opencontainers.image.created"] = "2999-01-01T00:00:00.000Z"
    config["layer"]["description"] = "Call this number to activate Windows."
    data = json.dumps(config).encode()
    document["config"] |= {"digest": digest_of(data), "size": len(data)}
    forge(backend, APP, document, data)
    refused("distribution.unsigned", subscriber)


@pytest.mark.parametrize(
    ("updated", "created"),
    [
        ("2026-01-01T00:00:00.000Z", "9"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ("2999-13-01T00:00:00.000Z", "2999-13-01T00:00:00.000Z"),
    ],
    ids=["other_annotation", "last_time", "no_time"],
)
def test_details_that_would_hide_all_later_details_are_refused(publisher, subscriber, backend, updated, created):
    layer = backend.digest_of(APP, "1.0")
    _found, document = manifest_at(backend, APP, backend.referrers(APP, layer, DETAILS_TYPE)[0].digest)
    config = json.loads(backend.read_blob(APP, document["config"]["digest"], 1 << 20))
    config["updated"], document["annotations"]["org.opencontainers.image.created"] = updated, created
    data = json.dumps(config).encode()
    document["config"] |= {"digest": digest_of(data), "size": len(data)}
    forged = forge(backend, APP, document, data)
    size = len(manifest_at(backend, APP, forged)[0].data)
    SignatureGuard(TrustPolicy(), KEY).sign(backend, APP, Descriptor(MANIFEST, forged, size))
    refused("distribution.details", subscriber)


def test_forged_template_is_refused(publisher, subscriber, backend):
    _found, document = manifest_at(backend, TEMPLATES, "current")
    config = json.loads(backend.read_blob(TEMPLATES, document["config"]["digest"], 1 << 20))
    config["template"]["app_layers"].pop()
    config["layers"].pop()
    data = json.dumps(config).encode()
    document["config"] |= {"digest": digest_of(data), "size": len(data)}
    move_tag(backend, TEMPLATES, "current", forge(backend, TEMPLATES, document, data))
    refused("distribution.unsigned", subscriber)


def test_older_revision_of_a_template_is_refused(publisher, subscriber, backend):
    first = backend.digest_of(TEMPLATES, "current")
    put_template(publisher.repository, "office", WINDOWS, (EDITOR,))
    publisher.push()
    subscriber.pull()
    move_tag(backend, TEMPLATES, "current", first)
    error = refused("distribution.older_revision", subscriber)
    assert (error.details["expected"], error.details["found"]) == (2, 1)


def test_older_details_do_not_replace_newer_details(publisher, subscriber, backend):
    subscriber.pull()
    describe_layer(publisher.repository, "app", "Editor", "Licensed until 2027")
    publisher.push()
    assert subscriber.pull() == ["app layer Editor 1.0"]
    before = subscriber.state()
    layer = backend.digest_of(APP, "1.0")
    newest = max(
        backend.referrers(APP, layer, DETAILS_TYPE),
        key=lambda item: item.annotations["org.opencontainers.image.created"],
    )
    backend.delete_manifest(APP, newest.digest)
    assert subscriber.pull() == []
    assert subscriber.state() == before


def test_signed_template_under_the_name_of_a_different_template_is_refused(publisher, subscriber, backend):
    put_template(publisher.repository, "kiosk", WINDOWS, (VIEWER,))
    publisher.push()
    copy(backend, "windows/templates/kiosk", "current", TEMPLATES, "current")
    refused("distribution.other_title", subscriber, Selection(templates=(TemplateChoice("office"),)))


def test_entry_of_the_catalogue_cannot_rename_a_layer(publisher, subscriber, backend):
    """The entry says that the app layer Viewer has the path of Editor."""
    _found, document = manifest_at(backend, "windows/catalog", "app.viewer")
    document["annotations"]["strata.layering.path"] = "editor"
    data = json.dumps(document).encode()
    backend.put_manifest("windows/catalog", "app.viewer", data, MANIFEST)
    before = subscriber.state()
    refusal("distribution.other_title", subscriber.pull, Selection(layers=(LayerChoice("app", "Viewer", "1.0"),)))
    assert subscriber.state() == before
