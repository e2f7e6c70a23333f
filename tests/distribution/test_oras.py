# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""oras copies between distribution 3, the registry of tests/registry and folders."""

from __future__ import annotations

import hashlib
import json
import pathlib

from ansible_collections.strata.layering.tests.support.registries import DistributionRegistry, SimulatedRegistry
from ansible_collections.strata.layering.tests.support.registry_clients import Oras

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def _layout(folder: pathlib.Path, *layers: bytes) -> str:
    """Write an OCI image layout with the tag 1.0; return the digest of its manifest."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def store(data: bytes, media_type: str) -> dict:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/vnd.example",
        "config": store(b"{}", "application/vnd.oci.empty.v1+json"),
        "layers": [store(layer, "application/octet-stream") for layer in layers],
    }
    entry = store(json.dumps(document).encode(), MANIFEST)
    entry["annotations"] = {"org.opencontainers.image.ref.name": "1.0"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return entry["digest"]


def test_oras_copies_through_both_registries(
    distribution3: DistributionRegistry,
    simulated_tls_registry: SimulatedRegistry,
    tmp_path: pathlib.Path,
):
    simulated_tls_registry.configure(auth="bearer", redirects=True)
    digest = _layout(tmp_path / "source", bytes(100_000), b"small", bytes(range(256)) * 50_000)
    first, second = distribution3.login, simulated_tls_registry.login
    oras = Oras(tmp_path, first, second)
    oras.copy(f"oci:{tmp_path}/source:1.0", f"{first.address}/windows/app:1.0")
    oras.copy(f"{first.address}/windows/app:1.0", f"{second.address}/windows/app:1.0")
    oras.copy(f"{second.address}/windows/app:1.0", f"oci:{tmp_path}/target:1.0")
    assert simulated_tls_registry.tags() == {"windows/app": {"1.0": digest}}
    name = digest.partition(":")[2]
    expected = (tmp_path / "source/blobs/sha256" / name).read_bytes()
    assert (tmp_path / "target/blobs/sha256" / name).read_bytes() == expected
