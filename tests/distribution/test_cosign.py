# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cosign verifies the signatures of this collection, and this collection verifies those of cosign.

On a registry with a referrers API, and on one without. cosign is built by ``make test-distribution COSIGN=1``; another program is used if it
is on the path, or if STRATA_COSIGN names it.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import uuid
from collections.abc import Iterator

import pytest

from ansible_collections.strata.layering.plugins.module_utils.distribution.signatures.trust import (
    TrustPolicy,
    sign,
)
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import (
    RegistryAddress,
    RegistryConnection,
)
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.registry import Registry
from ansible_collections.strata.layering.plugins.module_utils.repository.blobs import Descriptor
from ansible_collections.strata.layering.plugins.module_utils.signing.keys import SigningKey, VerifyKey
from ansible_collections.strata.layering.tests.support.registries import Login
from ansible_collections.strata.layering.tests.support.registry_clients import ClientError, Cosign
from ansible_collections.strata.layering.tests.support.signing_keys import KeyPair, key_pair, refusal

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
#: Sign and verify without services on the internet.
OFFLINE_SIGN = ("sign", "-y", "--tlog-upload=false", "--use-signing-config=false")
OFFLINE_VERIFY = ("verify", "--insecure-ignore-tlog=true")
OLD_FORM = "--new-bundle-format=false"


class Site:
    """A registry with a client, cosign, and a layer of its own."""

    def __init__(self, registry: Registry, login: Login, folder: pathlib.Path) -> None:
        self.registry = registry
        self.repository = f"windows/app/{uuid.uuid4().hex}"
        self.layer = self._store_layer()
        self.name = f"{login.address}/{self.repository}"
        self.cosign = Cosign(folder, login)
        self.pair = key_pair()
        self.key = SigningKey.load(self.pair.private)
        self.write("ours", self.pair)

    def _store_layer(self) -> Descriptor:
        archive = self.repository.encode()
        blobs = [
            Descriptor(media_type, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))
            for media_type, data in (("application/vnd.oci.empty.v1+json", b"{}"), ("application/zip", archive))
        ]
        for blob, data in zip(blobs, (b"{}", archive), strict=True):
            self.registry.upload(self.repository, blob.digest, blob.size, data)
        config, layer = (blob.to_json() for blob in blobs)
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
        data = json.dumps(document | {"artifactType": "application/vnd.strata.layer.v1+json"}).encode()
        self.registry.put_manifest(self.repository, "1.0", data, MANIFEST)
        return Descriptor(MANIFEST, f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))

    def write(self, name: str, pair: KeyPair) -> None:
        """Write a key pair where cosign finds it."""
        (self.cosign.folder / f"{name}.pem").write_text(pair.private)
        (self.cosign.folder / f"{name}.pub").write_text(pair.public)

    def generate(self) -> VerifyKey:
        """Let cosign generate the key pair "theirs"."""
        self.cosign.run("generate-key-pair", "--output-key-prefix", "theirs")
        return VerifyKey.load(str(self.cosign.folder / "theirs.pub"))

    def sign_with_cosign(self, key: str, *options: str) -> None:
        """Sign the layer with a private key of cosign."""
        flags = self.cosign.flags(self.name)
        self.cosign.run(*OFFLINE_SIGN, *options, "--key", f"{key}.key", *flags, f"{self.name}@{self.layer.digest}")

    def verify_with_cosign(self, key: str) -> str:
        """Verify the layer by its tag; return what cosign writes."""
        return self.cosign.run(
            *OFFLINE_VERIFY, "--key", f"{key}.pub", *self.cosign.flags(self.name), f"{self.name}:1.0"
        )

    def check(self, *keys: VerifyKey) -> VerifyKey:
        """Return the key by which the layer is trusted."""
        verified = TrustPolicy(keys, required=True).check(self.registry, self.repository, self.layer.digest)
        assert verified is not None
        return verified.key


@pytest.fixture(params=["simulated_registry", "debian_registry"], ids=["referrers", "no_referrers"])
def site(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Site]:
    """A site on a registry with a referrers API, and on one without."""
    server = request.getfixturevalue(request.param)
    connection = RegistryConnection(RegistryAddress.parse(server.address), plain_http=True)
    with Registry.connect(connection) as registry:
        yield Site(registry, Login(server.address), tmp_path)


def test_cosign_verifies_own_signatures(site: Site):
    assert sign(site.registry, site.repository, site.layer, site.key)
    assert site.layer.digest in site.verify_with_cosign("ours")
    site.write("others", key_pair())
    with pytest.raises(ClientError):
        site.verify_with_cosign("others")


@pytest.mark.parametrize("options", [(), (OLD_FORM,)], ids=["bundle", "simple"])
def test_signatures_of_cosign_are_verified(site: Site, options: tuple[str, ...]):
    theirs = site.generate()
    site.sign_with_cosign("theirs", *options)
    assert site.check(site.key.public, theirs) == theirs
    refusal("distribution.signature_unknown", site.check, site.key.public)


def test_both_sign_the_same_layer(site: Site):
    theirs = site.generate()
    sign(site.registry, site.repository, site.layer, site.key)
    site.sign_with_cosign("theirs")
    assert site.check(theirs) == theirs
    assert site.check(site.key.public) == site.key.public
    site.verify_with_cosign("ours")
    site.verify_with_cosign("theirs")


def test_signature_of_cosign_with_the_same_key_is_not_made_again(site: Site):
    site.cosign.run("import-key-pair", "--key", "ours.pem", "--output-key-prefix", "imported")
    site.sign_with_cosign("imported")
    assert sign(site.registry, site.repository, site.layer, site.key) is False


def test_private_key_of_cosign_is_refused(site: Site):
    site.generate()
    refusal("signing.key_cosign", SigningKey.load, str(site.cosign.folder / "theirs.key"))
