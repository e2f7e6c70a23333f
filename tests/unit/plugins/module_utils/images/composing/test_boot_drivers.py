# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk controllers of OS layers and composed images, and layers that change their boot drivers."""

from __future__ import annotations

import dataclasses
import tarfile
from types import SimpleNamespace

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog import layer_store
from ansible_collections.strata.layering.plugins.module_utils.disk.flat import open_disk
from ansible_collections.strata.layering.plugins.module_utils.images import image_files, os_import
from ansible_collections.strata.layering.plugins.module_utils.images.composing import boot_drivers
from ansible_collections.strata.layering.plugins.module_utils.images.composing.layered_image import compose_stack
from ansible_collections.strata.layering.plugins.module_utils.images.stored import thin_image
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import (
    ROLE_DISK,
    ROLE_GRAINS,
    Blob,
    LayerVersion,
)
from ansible_collections.strata.layering.plugins.module_utils.repository.repository import Repository
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_builder import DeltaBuilder
from ansible_collections.strata.layering.plugins.module_utils.winregistry.delta_format import write_delta
from ansible_collections.strata.layering.plugins.module_utils.winregistry.registry_values import REG_DWORD
from ansible_collections.strata.layering.tests.sample import hives
from ansible_collections.strata.layering.tests.sample.cache import cached_disk
from ansible_collections.strata.layering.tests.sample.plan import Spec
from ansible_collections.strata.layering.tests.support.registry_data import encode_dword

SERVICES = "ControlSet001\\Services\\"


@pytest.fixture(name="stock", scope="module")
def _stock(tmp_path_factory):
    """A repository with two versions of an OS layer, the second without the fact, and layers that change boot drivers."""
    repository = Repository.open(str(tmp_path_factory.mktemp("boot") / "repository"), create=True)
    path, _manifest = cached_disk(Spec())
    stored = os_import.store_disk(repository, lambda: open_disk(path), "gold", 1)
    blobs = {
        role: Blob(blob.media_type, blob.digest, blob.size)
        for role, blob in ((ROLE_DISK, stored.vmdk), (ROLE_GRAINS, stored.index))
    }
    facts = stored.examination.facts
    older = {name: fact for name, fact in facts.items() if name != "boot_controllers"}
    os_layers = [
        layer_store.put_version(
            repository, LayerVersion("os", "Windows", version, facts=given, blobs=blobs)
        ).reference()
        for version, given in (("1", facts), ("0", older))
    ]

    def layer(name, service, change):
        """Store a layer that sets a value (name, number) of a service, or deletes the service (None)."""
        builder = DeltaBuilder("SYSTEM", hives.small_system())
        if change is None:
            builder.delete_key(SERVICES + service)
        else:
            builder.set_value(SERVICES + service, change[0], REG_DWORD, encode_dword(change[1]))
        deltas = [("SYSTEM", write_delta(builder.finish()))]
        return layer_store.put_files(repository, LayerVersion("app", name, "1"), [], hives=deltas).reference()

    return SimpleNamespace(
        repository=repository,
        facts=facts,
        os_layer=os_layers[0],
        older=os_layers[1],
        plain=layer("Plain", "other", ("Start", 3)),
        enables=layer("LSI", "LSI_SAS\\StartOverride", ("0", 0)),
        deletes=layer("PVSCSI", "pvscsi", None),
        disables=layer("PVSCSI 2", "pvscsi", ("Start", 4)),
    )


def _controllers(stock, *layers, os_layer=None):
    image = compose_stack(stock.repository, os_layer or stock.os_layer, layers)
    return image, boot_drivers.image_controllers(image)


def test_os_layer_has_its_controllers_as_a_fact(stock):
    assert stock.facts["boot_controllers"] == ["pvscsi", "ahci"]
    assert boot_drivers.os_layer_controllers(stock.repository, stock.os_layer.digest) == ("pvscsi", "ahci")


def test_controllers_of_an_os_layer_of_an_earlier_release_are_read_from_its_disk(stock):
    assert boot_drivers.stored_controllers(stock.repository, stock.older.digest) is None
    assert boot_drivers.os_layer_controllers(stock.repository, stock.older.digest) == ("pvscsi", "ahci")
    assert _controllers(stock, stock.plain, os_layer=stock.older)[1] == ("pvscsi", "ahci")


def test_image_keeps_its_controllers(stock):
    image, found = _controllers(stock)
    assert image.config.boot_controllers == found == ("pvscsi", "ahci")


def test_controllers_of_an_image_of_an_earlier_release_are_read_from_its_disk(stock):
    image, _found = _controllers(stock, stock.enables)
    older = dataclasses.replace(image, config=dataclasses.replace(image.config, boot_controllers=None))
    assert boot_drivers.image_controllers(older) == ("pvscsi", "lsi_sas", "ahci")
    assert "boot_controllers" not in older.config.to_dict()
    config = thin_image.read_config(stock.repository, image.content_digest)
    assert config.boot_controllers == ("pvscsi", "lsi_sas", "ahci")


@pytest.mark.parametrize(
    ("layer", "controllers", "controller", "responsible"),
    [
        ("plain", ("pvscsi", "ahci"), "lsi_sas", None),
        ("enables", ("pvscsi", "lsi_sas", "ahci"), "nvme", None),
        ("deletes", ("ahci",), "pvscsi", "app layer PVSCSI 1"),
        ("disables", ("ahci",), "pvscsi", "app layer PVSCSI 2 1"),
    ],
)
def test_layer_that_changes_a_driver_changes_the_controllers(stock, layer, controllers, controller, responsible):
    image, found = _controllers(stock, getattr(stock, layer))
    assert found == controllers
    missing = boot_drivers.missing_driver(image, controller)
    assert (missing.layer, missing.controllers) == (responsible, controllers)


def test_layers_that_change_the_driver_of_a_controller_are_named(stock):
    layers = (stock.plain, stock.enables, stock.deletes)

    def changed(controller):
        return boot_drivers.layers_that_change(stock.repository, layers, controller)

    assert changed("lsi_sas") == ["app layer LSI 1"]
    assert changed("pvscsi") == ["app layer PVSCSI 1"]
    assert changed("nvme") == changed("bus_logic") == []


@pytest.mark.parametrize(
    ("layers", "controller"),
    [((), "VirtualSCSI"), (("enables", "deletes"), "lsilogicsas"), (("deletes",), "vmware.sata.ahci")],
)
def test_exported_ova_has_a_controller_from_which_the_image_starts(stock, tmp_path, layers, controller):
    image, _found = _controllers(stock, *(getattr(stock, layer) for layer in layers))
    path = tmp_path / "image.ova"
    image_files.export(image, str(path), "ova", name="image", firmware="efi")
    with tarfile.open(path) as archive:
        stored = archive.extractfile(next(name for name in archive.getnames() if name.endswith(".ovf")))
        assert stored is not None
        descriptor = stored.read().decode()
    assert f"<rasd:ResourceSubType>{controller}</rasd:ResourceSubType>" in descriptor
