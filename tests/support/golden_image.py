# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A golden image that an administrator built by hand: a VM with a snapshot that this collection did not publish."""

from __future__ import annotations

from pyVim.task import WaitForTask
from pyVmomi import vim

from .simulator import Simulator
from .vcenter import machine_of, machines

SNAPSHOT = "built by hand"


def create_golden_image(simulator: Simulator, name: str = "golden-desktop", template: str = "windows-template") -> None:
    """Clone a VM template of the simulator to the VM ``name``, and take the snapshot ``SNAPSHOT``."""
    session = simulator.connect()
    content = session.content
    clusters = content.viewManager.CreateContainerView(content.rootFolder, [vim.ClusterComputeResource], True).view
    source = machine_of(session, machines(simulator)[template]["moid"])
    location = vim.vm.RelocateSpec(pool=clusters[0].resourcePool)
    WaitForTask(source.CloneVM_Task(source.parent, name, vim.vm.CloneSpec(location=location, template=False)))
    clone = machine_of(session, machines(simulator)[name]["moid"])
    WaitForTask(clone.CreateSnapshot_Task(SNAPSHOT, "", False, False))
