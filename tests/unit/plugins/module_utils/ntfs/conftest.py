# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes for the tests of the ntfs package."""

from __future__ import annotations

import gzip
import shutil

import pytest

from ansible_collections.strata.layering.plugins.module_utils.common.security_descriptors import sid
from ansible_collections.strata.layering.plugins.module_utils.disk.block_device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs import file_security
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.ntfs_images import (
    TIMES,
    Independent,
    require_tool,
    run,
    verify_volume,
)
from ansible_collections.strata.layering.tests.support.pypi_samples import sample_file


@pytest.fixture(scope="session")
def blank(tmp_path_factory):
    """Return a function that makes a copy of a freshly formatted image."""
    require_tool("mkntfs")
    kept = {}

    def make(path, megabytes=64, cluster=4096):
        key = megabytes, cluster
        if key not in kept:
            kept[key] = tmp_path_factory.mktemp("blank") / "image"
            with open(kept[key], "wb") as out:
                out.truncate(megabytes << 20)
            run("mkntfs", "-q", "-Q", "-F", "-c", cluster, "-L", "Test", kept[key])
        run("cp", "--sparse=always", kept[key], path)
        return path

    return make


@pytest.fixture
def image(blank, tmp_path):
    """The path of a fresh 64 MiB volume."""
    return blank(tmp_path / "image")


@pytest.fixture
def volume(image):
    """A fresh volume, mounted for writing and verified at the end."""
    with FileDevice(str(image), writable=True) as device:
        with Volume.mount(device, writable=True) as mounted:
            yield mounted
    verify_volume(image)


@pytest.fixture(name="times", scope="session")
def _times():
    return TIMES


@pytest.fixture
def independent():
    """Return a function that opens an image with dissect.ntfs."""
    opened = []

    def open_image(path):
        opened.append(Independent(path))
        return opened[-1]

    yield open_image
    for volume in opened:
        volume.close()


@pytest.fixture(scope="session")
def windows_image(tmp_path_factory):
    """Return a function that copies a volume that Windows formatted and filled."""
    kept = tmp_path_factory.mktemp("windows") / "image"
    with gzip.open(sample_file("dissect.ntfs", "3.16", "tests/_data/ntfs.bin.gz")) as packed, open(kept, "wb") as out:
        shutil.copyfileobj(packed, out)

    def copy(path):
        shutil.copyfile(kept, path)
        return path

    return copy


@pytest.fixture(scope="session")
def descriptor():
    """Return a function that builds a security descriptor with read access for a user with this number."""

    def make(number):
        user = sid(f"S-1-5-21-1-2-3-{number}")
        return file_security.default(False, owner=user, readers=(user,))

    return make
