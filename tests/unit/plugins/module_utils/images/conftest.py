# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes and small OS layers for the tests of composing."""

from __future__ import annotations

import subprocess

import pytest
from ansible_collections.strata.layering.plugins.module_utils.disk.device import FileDevice
from ansible_collections.strata.layering.plugins.module_utils.ntfs.node import Times
from ansible_collections.strata.layering.plugins.module_utils.ntfs.volume import Volume
from ansible_collections.strata.layering.tests.support.layer_stacks import SECURITIES


@pytest.fixture(scope="session")
def blank(tmp_path_factory):
    """A fresh NTFS volume as a device that is only read, and a folder for what is written over it."""
    path = tmp_path_factory.mktemp("blank") / "image"
    with open(path, "wb") as out:
        out.truncate(64 << 20)
    subprocess.run(["/usr/sbin/mkntfs", "-q", "-Q", "-F", "-T", "-L", "Test", str(path)], check=True, capture_output=True)
    with FileDevice(str(path), writable=True) as device, Volume.mount(device, writable=True) as volume, volume.root as root:
        root.set_security(SECURITIES[0])
        root.set_times(Times(1, 2, 3, 4))
    with FileDevice(str(path)) as device:
        yield device, str(path.parent)
