# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Import of the sample OS machine into a running vSphere simulator through an NFC lease.

Command line: ``python -m ansible_collections.strata.layering.tests.sample.seed --simulator FILE --name gold-w11``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator

from ...plugins.module_utils.common.progress import Progress, silent
from ...plugins.module_utils.vsphere.hardware.disk_controllers import KINDS
from ...plugins.module_utils.vsphere.hardware.hardware import Hardware
from ...plugins.module_utils.vsphere.inventory.inventory import Inventory
from ...plugins.module_utils.vsphere.session import Session
from ...plugins.module_utils.vsphere.transfer.deploy import Deployed
from ..support.deploying import deploy_vm
from ..support.simulator import Simulator
from .package import Package, make_package
from .plan import VARIANTS, Spec

_BLOCK = 1 << 20


def seed(
    simulator: Simulator,
    name: str = "gold-w11",
    *,
    spec: Spec | None = None,
    package: Package | None = None,
    datacenter: str = "DC0",
    cluster: str = "DC0_C0",
    datastore: str = "LocalDS_0",
    folder: str | None = None,
    network: str = "VM Network",
    progress: Progress = silent,
) -> Deployed:
    """Import the full sample, the sample of ``spec`` or a written ``package`` as a powered-off VM ``name``."""
    if package is None:
        with tempfile.TemporaryDirectory(prefix="strata-sample-") as scratch:
            written = make_package(scratch, spec or Spec(size="full"), name=name)
            return seed(
                simulator,
                name,
                package=written,
                datacenter=datacenter,
                cluster=cluster,
                datastore=datastore,
                folder=folder,
                network=network,
                progress=progress,
            )
    image = package.description
    hardware = Hardware(
        guest_id=image.guest_id,
        version=image.hardware_version,
        cpus=image.cpus,
        cores_per_socket=image.cores_per_socket,
        memory_mib=image.memory_mib,
        firmware=image.firmware,
        secure_boot=image.secure_boot,
        disk_controller=next(kind.name for kind in KINDS if kind.ovf_type == image.controller_type),
    )
    with Session.connect(
        hostname=simulator.host,
        port=simulator.port,
        username=simulator.username,
        password=simulator.password,
        ca_file=simulator.ca_file,
    ) as session:
        placement = Inventory(session).placement(
            datacenter=datacenter,
            cluster=cluster,
            datastore=datastore,
            folder=folder,
            network=network,
            create_folder=True,
        )
        return deploy_vm(
            session,
            placement,
            name=name,
            hardware=hardware,
            capacity=image.capacity,
            blocks=lambda: _blocks(package.vmdk),
            length=image.disk_size,
            annotation=image.annotation,
            progress=progress,
        )


def _blocks(path: str) -> Iterator[bytes]:
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            yield block


def main(arguments: list[str] | None = None) -> int:
    """Seed the simulator whose connection ``Simulator.save`` wrote to a file."""
    parser = argparse.ArgumentParser(
        prog="sample.seed", description="Put the sample OS machine into a running vSphere simulator."
    )
    parser.add_argument("--simulator", metavar="FILE", required=True, help="connection file of the simulator")
    parser.add_argument("--name", default="gold-w11", help="name of the virtual machine")
    parser.add_argument("--size", choices=("small", "full"), default="full")
    parser.add_argument("--variant", choices=VARIANTS, action="append", default=[])
    parser.add_argument("--datacenter", default="DC0")
    parser.add_argument("--cluster", default="DC0_C0")
    parser.add_argument("--datastore", default="LocalDS_0")
    parser.add_argument("--folder")
    options = parser.parse_args(arguments)
    deployed = seed(
        Simulator.load(options.simulator),
        options.name,
        spec=Spec(options.size, variants=tuple(options.variant)),
        datacenter=options.datacenter,
        cluster=options.cluster,
        datastore=options.datastore,
        folder=options.folder,
    )
    sys.stdout.write(f"{options.name} ({deployed.moid}): {deployed.transfer}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
