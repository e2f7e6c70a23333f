#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a vSphere site with a test VM."""

from __future__ import annotations

DOCUMENTATION = r"""
module: vsphere_selftest
short_description: Check a vSphere site with a test VM
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Does what publishing and exporting do, with a test VM that has a small disk and no Windows installation.
  - Runs the checks that precede a publish, imports a test disk, verifies its digest, powers the VM on and off, takes a snapshot, exports the
    snapshot, compares it with the test disk, and removes the VM.
  - The test VM has the hardware of O(vm_template). It starts its firmware setup, so that it boots neither from its disk nor from the network.
  - The VM is removed at the end of every run, also after a failure or an interruption by a signal. If a run is killed, the next run finds its
    VM by a mark in the settings of the VM and removes it. VMs without this mark are never changed.
  - Writes a report with versions, durations and the result of every step and check. In the report, placeholders replace all names,
    addresses and users, so that the report can be attached to a public issue.
options:
  repository:
    description:
      - The repository with O(connector).
      - If not set, the environment variable E(STRATA_REPOSITORY) is used.
    type: path
  connector:
    description: Name of a connector in O(repository). Without it, the options from O(datacenter) to O(vm_template) describe the location.
    type: str
  datacenter:
    description: Name of the datacenter.
    type: str
  cluster:
    description: Name of the cluster. Set O(cluster) or O(esxi_host), or both if the cluster has no DRS.
    type: str
  esxi_host:
    description: Name of the ESXi host, to create the VM on this host, in or outside a cluster.
    type: str
    aliases: [esxi_hostname]
  resource_pool:
    description: Name of the resource pool. The root resource pool of the cluster or host if not given.
    type: str
  datastore:
    description: Name of the datastore or of a datastore cluster.
    type: str
  folder:
    description:
      - VM folder, relative to the VM folder of the datacenter.
      - If it does not exist, the VM is created in the nearest folder above it. The folder is not created.
    type: str
    default: ''
  network:
    description: Name of the network or distributed port group. The network of the VM template if not given.
    type: str
  storage_policy:
    description: Name or identifier of the storage policy. The datastore's default policy if not given.
    type: str
  vm_template:
    description: Name of the VM template without disks that defines the hardware.
    type: str
  report:
    description:
      - Path of the report on the composer. The suffixes C(.md) and C(.json) are added. The folder must exist.
      - An existing report is replaced. In check mode, no report is written.
    type: path
    default: ~/strata-layering-selftest
  size_mb:
    description:
      - Size of the test data in MiB, which cannot be compressed. The disk of the VM is four times as large, and at least 256 MiB.
      - The composer needs twice this space in the temporary folder of Ansible (C(remote_tmp)).
    type: int
    default: 64
  keep_vm_on_failure:
    description: Whether to keep the test VM if a step fails, to examine it. The next run removes it.
    type: bool
    default: false
  timeout:
    description:
      - Time limit in seconds for all steps. It is checked before each step and during transfers.
      - Removing the VM afterwards has limits of its own.
    type: int
    default: 3600
extends_documentation_fragment:
  - strata.layering.vsphere
  - strata.layering.vsphere.connection
  - strata.layering.vsphere.transfer
  - strata.layering.attributes
attributes:
  check_mode:
    support: full
    description: In check mode, the module only looks up the objects and runs the checks, and creates nothing.
  diff_mode:
    support: none
    description: The module leaves nothing in vSphere, so it returns no difference.
notes:
  - The module is an action that runs every time. It returns RV(ignore:changed=false), because nothing remains in vSphere, unless it removed
    test VMs of earlier runs. The report is not part of the state that the module manages.
seealso:
  - module: strata.layering.connector
  - module: strata.layering.layered_image_publish
  - name: Self-test
    description: What the self-test does and what its report contains.
    link: https://github.com/strata/layering/blob/main/docs/selftest.md
"""

EXAMPLES = r"""
- name: Test the site before the first publish
  strata.layering.vsphere_selftest:
    datacenter: Berlin
    cluster: Desktops
    datastore: vsan
    folder: Images/Windows 11
    network: VDI
    vm_template: golden-hardware
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
  register: tested

- name: Test a connector of the repository with more data
  strata.layering.vsphere_selftest:
    repository: /srv/layers
    connector: desktops
    size_mb: 1024
    report: /srv/reports/desktops
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
"""

RETURN = r"""
usable:
  description: Whether all steps succeeded. If a step fails, the module fails.
  returned: success
  type: bool
headline:
  description: The result in one sentence.
  returned: success
  type: str
  sample: The site can be used.
report:
  description: The report, with placeholders for names. The JSON file has the same content.
  returned: success
  type: dict
  contains:
    usable:
      description: Whether all steps succeeded.
      type: bool
    headline:
      description: The result in one sentence.
      type: str
    composer:
      description: Versions of the software on the composer, by name.
      type: dict
    site:
      description: Facts about vCenter, cluster, hosts, datastore, networks and hardware.
      type: dict
    steps:
      description: The steps, with C(name), C(result), C(seconds), C(bytes), C(bytes_per_second) and C(found).
      type: list
      elements: dict
    checks:
      description: The checks of the preflight, with C(name), C(result), C(found) and C(action).
      type: list
      elements: dict
    warnings:
      description: The warnings.
      type: list
      elements: str
report_text:
  description: The report as Markdown.
  returned: success
  type: str
report_files:
  description: The files that were written. If a step fails, the error has them in RV(ignore:details).
  returned: success
  type: list
  elements: str
  sample: [/root/strata-layering-selftest.md, /root/strata-layering-selftest.json]
checks:
  description: The checks of the preflight, with the names of the site.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the check.
      type: str
    result:
      description: V(pass), V(warn) or V(fail).
      type: str
    found:
      description: What the check found.
      type: str
    action:
      description: What to do if the check did not pass.
      type: str
removed:
  description: Inventory paths of test VMs of earlier runs that were removed, or in check mode would be removed.
  returned: success
  type: list
  elements: str
"""

from ..module_utils.common.arguments import (
    SELFTEST_PLACEMENT,
    selftest_arguments,
    transfer_arguments,
    vsphere_arguments,
)
from ..module_utils.common.module_runner import LayeringModule, run_watched


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(vsphere_arguments(), **transfer_arguments(), **selftest_arguments()),
        mutually_exclusive=[("connector", name) for name in SELFTEST_PLACEMENT if name != "folder"],
        supports_check_mode=True,
    )
    from ..module_utils.operations.vsphere_selftest import SelfTestOptions, test_site

    run_watched(
        module,
        lambda progress: test_site(
            SelfTestOptions.from_params(module.params),
            folder=module.tmpdir,
            ansible_version=module.ansible_version,
            check_mode=module.check_mode,
            progress=progress,
        ),
    )


if __name__ == "__main__":
    main()
