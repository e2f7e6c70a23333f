# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The full sample: a wine prefix and a real SYSTEM hive."""

from __future__ import annotations

import io
import shutil

import phantom_trace
import pytest
from dissect.ntfs import NTFS
from dissect.regf import RegistryHive
from dissect.util.stream import RangeStream

from ansible_collections.strata.layering.tests.sample import reread
from ansible_collections.strata.layering.tests.sample.cache import cached_disk, fingerprint
from ansible_collections.strata.layering.tests.sample.plan import GIB, Spec

pytestmark = pytest.mark.skipif(shutil.which("wine") is None, reason="needs Debian's wine64")


@pytest.fixture(scope="module")
def full():
    return cached_disk(Spec(size="full"))


def test_full_disk_files_equal_the_plan(full):
    path, manifest = full
    partition = manifest.partition()
    found = reread.read_volume(path, partition["offset"], partition["size"])
    assert not reread.differences(manifest.files, found)
    programs = [
        name
        for name, entry in found.items()
        if name.lower().endswith((".dll", ".exe", ".sys")) and entry.kind == "file"
    ]
    assert len(programs) > 850
    assert sum(entry.size for entry in manifest.files.values() if entry.kind == "file") > 600 << 20
    assert manifest.disk_size == 20 * GIB


def test_full_disk_passes_phantom_trace(full):
    assert phantom_trace.main([full[0], "--quiet", "--offset", str(full[1].partition()["offset"])]) == 0


def test_system_hive_extends_the_real_hive(full):
    path, manifest = full
    partition = manifest.partition()
    with open(path, "rb") as stream:
        volume = NTFS(RangeStream(stream, partition["offset"], partition["size"]))
        system = RegistryHive(io.BytesIO(volume.mft.get("Windows/System32/config/SYSTEM").open().read()))
        software = RegistryHive(io.BytesIO(volume.mft.get("Windows/System32/config/SOFTWARE").open().read()))
        driver = volume.mft.get("Windows/System32/drivers/vmxnet3.sys").open().read(2)
    assert len(list(system.open("DriverDatabase\\DriverPackages").subkeys())) > 200
    assert system.open("ControlSet001\\Services\\vmxnet3ndis6").value("Start").value == 3
    assert len(list(software.open("Classes").subkeys())) > 100
    assert driver == b"MZ"


def test_disk_is_generated_once():
    path = cached_disk(Spec())[0]
    assert cached_disk(Spec())[0] == path
    assert fingerprint(Spec()) != fingerprint(Spec(variants=("mbr",)))
