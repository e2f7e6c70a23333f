# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of the client of OCI registries to the registries of the tests, and content for them."""

from __future__ import annotations

import hashlib
import json
import pathlib
import random
from typing import Any

from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import (
    Patience,
    RegistryAddress,
    RegistryConnection,
)
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.registry import Registry
from ansible_collections.strata.layering.tests.support.registries import DistributionRegistry, SimulatedRegistry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
REPOSITORY = "windows/app/editor"
#: Failures must not make tests slow.
IMPATIENT = Patience(connect=5, read=5, attempts=4, pause=0.01, longest_pause=0.05, throttled=3)
CHUNK = 5 << 20


def connection_to(registry: SimulatedRegistry | DistributionRegistry, **options: Any) -> RegistryConnection:
    """Return the connection to a registry; without a user it uses no credentials of the computer."""
    given: dict[str, Any] = {"chunk_size": CHUNK, "patience": IMPATIENT, "plain_http": registry.ca_file is None}
    given["address"] = RegistryAddress.parse(registry.address)
    given["ca_file"] = str(registry.ca_file) if registry.ca_file else None
    return RegistryConnection(**{**given, **options})


def connect(registry: SimulatedRegistry | DistributionRegistry, **options: Any) -> Registry:
    """Connect to a registry."""
    return Registry.connect(connection_to(registry, **options))


def digest_of(data: bytes) -> str:
    """Return the SHA-256 digest of bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def content(size: int, seed: int = 1) -> bytes:
    """Return bytes that are different at all places."""
    return random.Random(seed).randbytes(size)


def push_blob(registry: Registry, data: bytes, repository: str = REPOSITORY) -> str:
    """Upload bytes and return their digest."""
    registry.upload(repository, digest_of(data), len(data), data)
    return digest_of(data)


def manifest_of(registry: Registry, *, subject: bytes | None = None, title: str = "", kind: str = "test/kind") -> bytes:
    """Return a manifest whose blobs the repository has."""
    config = push_blob(registry, b"{}")
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": kind,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": config, "size": 2},
        "layers": [],
        "annotations": {"org.opencontainers.image.title": title},
    }
    if subject is not None:
        document["subject"] = {"mediaType": MANIFEST, "digest": digest_of(subject), "size": len(subject)}
    return json.dumps(document).encode()


def file_of(folder: pathlib.Path, data: bytes) -> str:
    """Write bytes to a file and return its path."""
    path = folder / digest_of(data).partition(":")[2]
    path.write_bytes(data)
    return str(path)
