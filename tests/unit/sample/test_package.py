# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample as an OVF package, and the command line."""

from __future__ import annotations

import os
import subprocess

from dissect.hypervisor.disk.vmdk import VMDK
from dissect.util.stream import RangeStream

from ansible_collections.strata.layering.plugins.module_utils.ovf.descriptor import parse_descriptor
from ansible_collections.strata.layering.tests.sample import build, reread
from ansible_collections.strata.layering.tests.sample.package import make_package
from ansible_collections.strata.layering.tests.sample.plan import MIB, Spec


def test_package_is_complete(tmp_path):
    package = make_package(str(tmp_path), Spec(), name="gold", cached=False)
    assert sorted(os.listdir(tmp_path)) == ["gold-disk1.vmdk", "gold.mf", "gold.ovf"]
    subprocess.run(["qemu-img", "check", package.vmdk], check=True, stdout=subprocess.DEVNULL)
    with open(package.mf, encoding="ascii") as stream:
        for line in stream:
            name, digest = line.strip().removeprefix("SHA256(").split(")= ")
            assert (
                subprocess.run(
                    ["sha256sum", tmp_path / name], check=True, capture_output=True, text=True
                ).stdout.split()[0]
                == digest
            )
    with open(package.ovf, "rb") as stream:
        descriptor = parse_descriptor(stream.read())
    assert descriptor.systems[0].firmware == "efi"
    assert [disk.capacity for disk in descriptor.disks] == [512 * MIB]
    partition = package.manifest.partition()
    with open(package.vmdk, "rb") as stream:
        found = reread.read_stream(RangeStream(VMDK([stream]), partition["offset"], partition["size"]))
    assert not reread.differences(package.manifest.files, found)


def test_command_line_writes_a_package(tmp_path, capsys):
    assert build.main(["--output", str(tmp_path), "--variant", "mbr", "--virtual-size-gb", "0.25"]) == 0
    assert sorted(os.listdir(tmp_path)) == ["gold-w11.json", "gold-w11.raw"]
    assert os.stat(tmp_path / "gold-w11.raw").st_size == 256 * MIB
    assert str(tmp_path / "gold-w11.raw") in capsys.readouterr().out
