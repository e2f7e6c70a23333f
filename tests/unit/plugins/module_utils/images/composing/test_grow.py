# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grown images: their changed disk is captured against the original image, and composing gives the same tree."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.strata.layering.plugins.module_utils.capture.capture import capture
from ansible_collections.strata.layering.plugins.module_utils.layers.layer_version import LayerVersion
from ansible_collections.strata.layering.tests.support.captured import (
    INCLUDE_EVERYTHING,
    Packaging,
    make_windows_disk,
    read_software,
    tree_differences,
)
from ansible_collections.strata.layering.tests.support.volume_changes import KINDS, VolumeWorker, edit_hive

_SOFTWARE = "Windows/System32/config/SOFTWARE"
WORK = st.tuples(st.lists(st.sampled_from(KINDS), min_size=1, max_size=15), st.integers(0, 1 << 32))


@pytest.fixture(name="packaging", scope="module")
def _packaging(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grown")
    make_windows_disk(str(folder / "raw"))
    return Packaging(str(folder), str(folder / "raw"))


def work(kinds, seed):
    """Return a function that makes random changes to a volume."""

    def change(volume):
        worker = VolumeWorker(volume, seed)
        for kind in kinds:
            worker.step(kind)

    return change


def taken(packaging, given_image, change, name, image=None):
    """The layer that ``change`` of ``image`` makes, captured against ``given_image``, and the tree of the changed disk."""
    with packaging.changed(change, image or given_image) as device:
        layer = capture(
            packaging.repository, given_image, lambda: device, LayerVersion("app", name, "1"), INCLUDE_EVERYTHING
        ).layer
        return layer, packaging.tree(device), read_software(packaging, device)


def tree(packaging, image):
    with image.open_disk() as disk:
        return packaging.tree(disk)


def differences(expected, found, *bases):
    """Return the differences; a file without an 8.3 name may have the 8.3 name of its path in any of ``bases``."""
    return sorted(set.intersection(*(set(tree_differences(expected, found, base)) for base in bases)))


@settings(
    max_examples=6,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(WORK, WORK, WORK)
def test_version_captured_on_grown_image_contains_previous_version(packaging, prerequisite, last, newest):
    below, _tree, _hive = taken(packaging, packaging.base_image, work(*prerequisite), "Below")
    image = packaging.compose([below])
    first, machine, _hive = taken(packaging, image, work(*last), "App")
    grown = packaging.grow(image, [first])
    bases = tree(packaging, image), tree(packaging, packaging.base_image)
    assert differences(machine, tree(packaging, grown), *bases) == []
    second, expected, _hive = taken(packaging, image, work(*newest), "Newer", grown)
    composed = packaging.compose([below, second])
    assert differences(expected, tree(packaging, composed), *bases) == []


def test_version_captured_on_grown_image_contains_previous_registry(packaging):
    def key(name):
        return lambda root: root.create(f"App\\{name}").set_value("v", 1, name.encode("utf-16-le"))

    below, _tree, _hive = taken(
        packaging, packaging.base_image, lambda volume: edit_hive(volume, _SOFTWARE, key("below")), "Below"
    )
    image = packaging.compose([below])
    first, _tree, machine = taken(packaging, image, lambda volume: edit_hive(volume, _SOFTWARE, key("first")), "App")
    grown = packaging.grow(image, [first])
    with grown.open_disk() as disk:
        assert read_software(packaging, disk) == machine

    def update(root):
        key("second")(root)
        root.key("App\\first").set_value("v", 1, b"changed ")

    second, _tree, expected = taken(
        packaging, image, lambda volume: edit_hive(volume, _SOFTWARE, update), "Newer", grown
    )
    with packaging.compose([below, second]).open_disk() as disk:
        assert read_software(packaging, disk) == expected
