# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sample VM in the vSphere simulator."""

from __future__ import annotations

from dissect.hypervisor.disk.vmdk import VMDK
from dissect.util.stream import RangeStream

from ansible_collections.strata.layering.tests.sample import reread
from ansible_collections.strata.layering.tests.sample.package import make_package
from ansible_collections.strata.layering.tests.sample.plan import Spec
from ansible_collections.strata.layering.tests.sample.seed import seed
from ansible_collections.strata.layering.tests.support.simulator_fixtures import shared_simulator  # noqa: F401  # pylint: disable=unused-import


def test_os_machine_is_imported_completely(shared_simulator, tmp_path):  # noqa: F811
    package = make_package(str(tmp_path), Spec(), name="sample-seeded", cached=False)
    deployed = seed(shared_simulator, "sample-seeded", package=package)
    assert deployed.verified
    machine = shared_simulator.machines("sample-seeded")[0]
    assert (machine["power"], machine["snapshots"], machine["moid"]) == ("poweredOff", [], deployed.moid)
    disk = shared_simulator.disks("sample-seeded")[0]
    assert disk["virtual_size"] == package.manifest.disk_size
    partition = package.manifest.partition()
    with open(disk["path"], "rb") as stream:
        found = reread.read_stream(RangeStream(VMDK([stream]), partition["offset"], partition["size"]))
    assert not reread.differences(package.manifest.files, found)
