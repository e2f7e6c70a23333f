# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters of modules become options once."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.layer_document import LayerDocument
from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionRequest
from ansible_collections.strata.layering.plugins.module_utils.common.errors import InternalError, InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import APP, OS, PLATFORM
from ansible_collections.strata.layering.plugins.module_utils.operations.app_layer import AppLayerOptions
from ansible_collections.strata.layering.plugins.module_utils.operations.connector import ConnectorOptions
from ansible_collections.strata.layering.plugins.module_utils.operations.file_share import FileShareOptions
from ansible_collections.strata.layering.plugins.module_utils.operations.info import InfoOptions
from ansible_collections.strata.layering.plugins.module_utils.operations.options import ConnectionOptions
from ansible_collections.strata.layering.plugins.module_utils.operations.os_layer import OsLayerOptions
from ansible_collections.strata.layering.plugins.module_utils.operations.ovf_export import OvfExportOptions
from ansible_collections.strata.layering.plugins.module_utils.operations.platform_layer import PlatformLayerOptions
from ansible_collections.strata.layering.plugins.module_utils.vsphere.session import Session
from ansible_collections.strata.layering.tests.support.expectations import raises
from ansible_collections.strata.layering.tests.support.layer_documents import os_entry, software_entry

REPOSITORY = {"repository": "/srv/repository", "comment": "CHG-7"}
SHARE = {"file_share_username": "u", "file_share_password": "secret", "file_share_encrypt": True}
CONNECTION = {
    "hostname": "vcenter.example.com",
    "username": "u",
    "password": "secret",
    "validate_certs": True,
    "port": 443,
    "ca_path": "/etc/ca.pem",
    "proxy_host": None,
    "proxy_port": None,
}
LAYER = {
    "name": "Tool",
    "version": "1",
    "description": "A tool",
    "version_description": None,
    "script": None,
    "icon": None,
    "state": "present",
}
SOFTWARE = {
    "os_layer": {"name": "Windows", "version": None},
    "prerequisites": [{"name": "Base", "version": "2"}],
    "files": None,
    "registry": [],
    "delete": [],
    "file_times": "fixed",
    "packaged_disk": None,
    "exclusions": [],
    "finalize": "enforce",
    "noise_profile": "auto",
    "office_activation": True,
}
CONNECTOR = {
    "name": "vdi",
    "type": "vsphere",
    "description": "",
    "datacenter": "DC0",
    "cluster": "C0",
    "esxi_host": None,
    "resource_pool": None,
    "datastore": "ds",
    "folder": "",
    "network": None,
    "vm_template": "windows",
    "script": None,
    "storage_policy": "",
    "vtpm": "refuse",
    "custom_attributes": {"Layers": 7},
    "test": False,
    "state": "present",
}


def app_options(**changes):
    return AppLayerOptions.from_params(REPOSITORY | SHARE | LAYER | SOFTWARE | {"priority": None} | changes)


@pytest.mark.parametrize("option", ["prerequisites", "exclusions", "registry", "delete"])
def test_null_list_of_a_layer_is_empty(option):
    options = app_options(**{"files": "/srv/files", "packaged_disk": "/srv/disk.vmdk", option: None})
    assert options.prerequisites == (() if option == "prerequisites" else (VersionRequest("Base", "2"),))
    assert options.packaged.exclusions == ()
    assert (options.files.delete, options.files.registry) == ((), ())


def test_null_confirmations_are_empty():
    params = REPOSITORY | SHARE | LAYER | SOFTWARE | {"confirmed_for": None}
    assert PlatformLayerOptions.from_params(params).confirmed_for == ()


def test_passwords_do_not_appear_in_representations():
    assert "secret" not in repr(ConnectionOptions.from_params(CONNECTION))
    assert "secret" not in repr(app_options(files="/srv/files"))


def test_connection_is_optional_without_a_host_name():
    assert ConnectionOptions.optional(CONNECTION | {"hostname": None}) is None
    assert ConnectionOptions.optional(CONNECTION).ca_file == "/etc/ca.pem"


def test_app_layer_options_name_repository_layer_and_base():
    options = app_options(files="/srv/files", priority=300)
    assert (options.repository.path, options.repository.comment) == ("/srv/repository", "CHG-7")
    assert options.os_layer == VersionRequest("Windows", None)
    assert options.prerequisites == (VersionRequest("Base", "2"),)
    assert options.subject == "app layer Tool 1"
    assert options.metadata().priority == 300


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({"files": "/srv/files"}, "files '/srv/files'"),
        ({"delete": ["Windows/x"]}, "the options registry and delete"),
        ({"registry": ["/srv/x.reg"]}, "the options registry and delete"),
        ({"packaged_disk": "/srv/x.vmdk"}, "packaged_disk '/srv/x.vmdk'"),
    ],
)
def test_layer_source_is_named_by_its_option(changes, label):
    assert app_options(**changes).source().label == label


def test_layer_without_a_source_has_none():
    assert app_options().source() is None
    assert app_options(files="", packaged_disk="").source() is None


@pytest.mark.parametrize("other", [{"files": "/srv/files"}, {"delete": ["x"]}, {"registry": ["/srv/x.reg"]}])
def test_layer_with_two_sources_is_refused(other):
    with raises(InvalidInput, "operations.layer_two_sources"):
        app_options(packaged_disk="/srv/x.vmdk", **other).source()


def test_present_layer_without_a_version_is_an_internal_error():
    options = app_options(version=None, state="absent")
    assert options.absent
    with raises(InternalError, "operations.layer_version"):
        assert options.present_version


def test_app_layer_options_change_description_and_priority():
    layer = LayerDocument.new(APP, "Tool").with_version("1", software_entry())
    changed = app_options(priority=300, version_description="first").apply(layer)
    assert (changed.description, changed.priority) == ("A tool", 300)
    assert changed.versions["1"].version_description == "first"


def test_platform_layer_options_add_confirmed_versions():
    layer = LayerDocument.new(PLATFORM, "Tool").with_version("1", software_entry(confirmed_for=("2.0",)))
    params = REPOSITORY | SHARE | LAYER | SOFTWARE
    options = PlatformLayerOptions.from_params(params | {"confirmed_for": ["3.0", "1.0", "2.0"]})
    assert options.apply(layer).software_version("1").confirmed_for == ("1.0", "2.0", "3.0")
    options = PlatformLayerOptions.from_params(params | {"confirmed_for": []})
    assert options.apply(layer).software_version("1").confirmed_for == ("2.0",)


def test_os_layer_options_name_the_package():
    own = {"max_layer_size_gb": 60, "connector": "vdi", "readiness": "warn", "noise_profile": None}
    params = REPOSITORY | SHARE | LAYER | own
    package = {"file_share": "//server/share", "ovf_package": "gold/gold.ovf"}
    options = OsLayerOptions.from_params(params | package)
    assert (options.package.file_share, options.package.path) == ("//server/share", "gold/gold.ovf")
    assert options.package.credentials.username == "u"
    layer = LayerDocument.new(OS, "Tool").with_version("1", os_entry())
    assert options.apply(layer).connector == "vdi"
    assert OsLayerOptions.from_params(params | {"file_share": None, "ovf_package": None}).package is None


def test_os_layer_options_name_the_noise_profile():
    own = {"max_layer_size_gb": None, "connector": None, "readiness": "warn", "file_share": None, "ovf_package": None}
    profile = {"packaged_disk": "/srv/noise.ovf", "state": "present"}
    options = OsLayerOptions.from_params(REPOSITORY | SHARE | LAYER | own | {"noise_profile": profile})
    assert (options.noise_profile.packaged_disk, options.noise_profile.absent) == ("/srv/noise.ovf", False)
    profile = {"packaged_disk": None, "state": "absent"}
    options = OsLayerOptions.from_params(REPOSITORY | SHARE | LAYER | own | {"noise_profile": profile})
    assert options.noise_profile.absent


def test_connector_options_become_a_document():
    options = ConnectorOptions.from_params(REPOSITORY | CONNECTOR | CONNECTION)
    assert options.document.custom_attributes == {"Layers": "7"}
    assert options.document.cluster == "C0"
    assert options.connection is None


def test_connector_options_have_a_connection_for_a_test_only():
    assert ConnectorOptions.from_params(REPOSITORY | CONNECTOR | CONNECTION | {"test": True}).connection
    absent = ConnectorOptions.from_params(REPOSITORY | CONNECTOR | CONNECTION | {"test": True, "state": "absent"})
    assert absent.document is None
    assert absent.connection is None


@pytest.mark.parametrize("option", ["datacenter", "datastore", "vm_template", "cluster"])
def test_connector_with_an_empty_option_is_refused(option):
    with raises(InvalidInput, "operations.connector_incomplete") as caught:
        ConnectorOptions.from_params(REPOSITORY | CONNECTOR | CONNECTION | {option: ""})
    assert option in caught.value.message


@pytest.mark.parametrize("name", ["", "x" * 81])
def test_custom_attribute_with_an_impossible_name_is_refused(name):
    with raises(InvalidInput, "operations.connector_attribute"):
        ConnectorOptions.from_params(REPOSITORY | CONNECTOR | CONNECTION | {"custom_attributes": {name: "x"}})


def test_info_options_have_defaults_for_filters_that_a_module_lacks():
    options = InfoOptions.from_params({"repository": "/srv/repository", "status": ["Failed"], "limit": -3})
    assert (options.name, options.status, options.limit) == (None, ("Failed",), 0)


@pytest.mark.parametrize("repository", [None, ""])
def test_repository_is_optional_for_shares_and_exports(repository):
    share = SHARE | {"repository": repository, "comment": None, "file_share": "/srv/share"}
    own = {"folders": ["a", "b", "a"], "minimum_free_gb": None, "state": "present", "create": False}
    options = FileShareOptions.from_params(share | own)
    assert (options.repository, options.folders, options.minimum_free_gb) == (None, ("a", "b"), 0)
    own = {"name": "gold", "datacenter": None, "folder": None, "snapshot": None, "package": None}
    options = OvfExportOptions.from_params(share | CONNECTION | own)
    assert (options.repository, options.package) == (None, "gold")


@pytest.mark.parametrize(("given", "stall"), [({}, 900), ({"stall_timeout": 1200}, 1200)])
def test_stall_timeout_becomes_the_patience_of_the_session(monkeypatch, given, stall):
    patience = []
    monkeypatch.setattr(Session, "connect", lambda *_unused, **options: patience.append(options["patience"]))
    ConnectionOptions.from_params(CONNECTION | given).connect()
    assert [entry.stall for entry in patience] == [stall]


def test_stall_timeout_of_zero_is_refused():
    with raises(InvalidInput, "operations.stall_timeout"):
        ConnectionOptions.from_params(CONNECTION | {"stall_timeout": 0})
