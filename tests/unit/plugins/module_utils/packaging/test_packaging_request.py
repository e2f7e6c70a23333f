# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a packaging machine that depend on its kind."""

from __future__ import annotations

import pytest

from ansible_collections.strata.layering.plugins.module_utils.catalog.version_name import VersionRequest
from ansible_collections.strata.layering.plugins.module_utils.common.errors import InvalidInput
from ansible_collections.strata.layering.plugins.module_utils.packaging.request import PackagingRequest

BASE = (VersionRequest("Base", "1.0"),)


def request(kind: str, **options) -> PackagingRequest:
    """Return a request for version 2.0 of Windows 11."""
    return PackagingRequest(kind=kind, name="Windows 11", version="2.0", **options)


@pytest.mark.parametrize("kind", ["os", "noise"])
@pytest.mark.parametrize("options", [{"prerequisites": BASE}, {"start_from": "1.0"}])
def test_os_layer_with_other_layers_is_refused(kind, options):
    with pytest.raises(InvalidInput) as raised:
        request(kind, **options).check()
    assert raised.value.code == "packaging.other_layers"


@pytest.mark.parametrize("base", [("Windows 11", "1.0"), ("Windows 11", None), ("Windows 10", "2.0")])
def test_noise_profile_of_a_different_version_is_refused(base):
    with pytest.raises(InvalidInput) as raised:
        request("noise", os_layer=VersionRequest(*base)).check()
    assert raised.value.code == "packaging.noise_os_layer"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("os", {"os_layer": VersionRequest("Windows 11", "1.0")}),
        ("os", {}),
        ("noise", {"os_layer": VersionRequest("Windows 11", "2.0")}),
        ("noise", {}),
        ("app", {"prerequisites": BASE, "start_from": "1.0"}),
    ],
)
def test_options_of_a_kind_are_accepted(kind, options):
    request(kind, **options).check()


def test_labels_name_the_layer_and_its_version():
    assert request("os").layer_label == "OS layer Windows 11 2.0"
    assert request("app").layer_label == "app layer Windows 11 2.0"
    assert request("noise").layer_label == "noise profile of the OS layer Windows 11 2.0"
