# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers and templates travel through distribution 3, on disk and on S3, and are copied on from there by other clients."""

from __future__ import annotations

import hashlib
import os
import pathlib
import random

import pytest

from ansible_collections.strata.layering.plugins.module_utils.oci_registry.model import (
    CHUNK_UNIT,
    RegistryAddress,
    RegistryConnection,
    Uploaded,
)
from ansible_collections.strata.layering.plugins.module_utils.oci_registry.registry import Registry
from ansible_collections.strata.layering.tests.support.registries import (
    DistributionRegistry,
    Login,
    SimulatedRegistry,
)
from ansible_collections.strata.layering.tests.support.registry_clients import Oras, Regctl
from ansible_collections.strata.layering.tests.support.sites import build_site, copied_site, new_site
from ansible_collections.strata.layering.tests.support.transfers import EVERYTHING, actions, layers_of, pull, push

NAMES = ("catalog", "os/windows-11", "app/runtime", "app/tool", "templates/office")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The repository of the first site."""
    return build_site(tmp_path_factory.mktemp("built"))


def _options(login: Login, prefix: str) -> dict:
    return {
        "registry": f"{login.address}/{prefix}",
        "ca_path": os.fspath(login.ca_file) if login.ca_file else None,
        "registry_username": login.username,
        "registry_password": login.password,
    }


def _copies(tags: dict[str, list[str]], source: str, target: str) -> list[tuple[str, str]]:
    return [(f"{source}/{name}:{tag}", f"{target}/{name}:{tag}") for name, found in tags.items() for tag in found]


@pytest.mark.parametrize("client", [Oras, Regctl])
def test_layers_arrive_through_two_registries(
    client: type[Oras] | type[Regctl],
    distribution3: DistributionRegistry,
    simulated_tls_registry: SimulatedRegistry,
    built: pathlib.Path,
    tmp_path: pathlib.Path,
) -> None:
    berlin, madrid = copied_site(built, tmp_path / "berlin"), new_site(tmp_path / "madrid")
    prefix = f"transfers/{client.__name__.lower()}"
    first = _options(distribution3.login, prefix)
    assert set(actions(push(berlin, first, **EVERYTHING)).values()) == {"copied"}
    assert not push(berlin, first, **EVERYTHING)["changed"]
    simulated_tls_registry.configure(auth="bearer", redirects=True)
    second = simulated_tls_registry.login
    with Registry.connect(_connection(distribution3.login)) as registry:
        tags = {f"{prefix}/{name}": registry.tags(f"{prefix}/{name}") for name in NAMES}
    copier = client(tmp_path, distribution3.login, second)
    # Details and signatures refer to layers: these clients copy what refers to a manifest on request.
    options = ["--recursive"] if client is Oras else ["--referrers", "--digest-tags"]
    for source, target in _copies(tags, distribution3.address, second.address):
        if ":sha256-" not in source:
            copier.copy(source, target, *options)
    result = pull(madrid, _options(second, prefix), **EVERYTHING)
    assert set(actions(result).values()) == {"copied"}
    assert layers_of(madrid) == layers_of(berlin)
    assert not pull(madrid, _options(second, prefix), **EVERYTHING)["changed"]


def _connection(login: Login, **options: object) -> RegistryConnection:
    return RegistryConnection(
        RegistryAddress.parse(login.address),
        username=login.username,
        password=login.password,
        ca_file=os.fspath(login.ca_file),
        **options,  # type: ignore[arg-type]
    )


def test_blob_of_several_chunks_and_segments(distribution3: DistributionRegistry, tmp_path: pathlib.Path) -> None:
    data = random.Random(1).randbytes(9 * CHUNK_UNIT + 12345)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(data)
    with Registry.connect(_connection(distribution3.login, chunk_size=CHUNK_UNIT)) as registry:
        name, digest = "transfers/chunks", f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert registry.upload(name, digest, len(data), str(source)) is Uploaded.SENT
        assert registry.upload(name, digest, len(data), str(source)) is Uploaded.PRESENT
        assert registry.upload(f"{name}/copy", digest, len(data), str(source), mount_from=[name]) is Uploaded.MOUNTED
        assert registry.blob_size(name, digest) == len(data)
        registry.download(name, digest, len(data), str(target))
    assert target.read_bytes() == data
