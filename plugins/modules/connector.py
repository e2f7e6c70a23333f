#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage connectors to vSphere."""

from __future__ import annotations

DOCUMENTATION = r"""
module: connector
short_description: Manage connectors to vSphere
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - A connector names the datacenter, the cluster or host, the datastore, the folder, the network and the VM template of published VMs.
  - Objects can also be named by their managed object IDs, such as V(dvportgroup-3588), which distinguish objects of one name. An object whose
    name has the form of an ID is found by its name.
  - A connector never contains the host name of a vCenter, a user or a password. These are options of the modules that use the connector.
options:
  name:
    description: Name of the connector.
    type: str
    required: true
  type:
    description: Type of the target platform.
    type: str
    choices: [vsphere]
    default: vsphere
  description:
    description: Purpose of the connector.
    type: str
    default: ''
  datacenter:
    description:
      - Name of the datacenter.
      - Required when O(state=present).
    type: str
  cluster:
    description: Name of the cluster. Set O(cluster) or O(esxi_host), or both if the cluster has no DRS.
    type: str
  esxi_host:
    description: Name of the ESXi host, to create VMs on this host, in or outside a cluster.
    type: str
    aliases: [esxi_hostname]
  resource_pool:
    description: Name of the resource pool. The root resource pool of the cluster or host if not given.
    type: str
  datastore:
    description:
      - Name of the datastore or of a datastore cluster. In a datastore cluster, Storage DRS recommends the datastore of each new VM if it is
        enabled; otherwise the accessible datastore with the most free space is used. VMs that exist are not moved.
      - Required when O(state=present).
    type: str
  folder:
    description:
      - VM folder, relative to the VM folder of the datacenter, such as V(Images/Windows 11). It is created if it does not exist.
      - Write a slash in the name of a folder as V(%2f).
    type: str
    default: ''
  network:
    description:
      - Name of the network or distributed port group. The network of the VM template if not given.
      - Of several networks of the name, those of the cluster or host are considered, and of an NSX segment its distributed port group.
    type: str
  storage_policy:
    description:
      - Name or identifier of the storage policy of the files and the disk of published VMs. The datastore's default policy if not given.
      - The user needs the privilege C(StorageProfile.View) on the root folder of vCenter.
    type: str
  vtpm:
    description:
      - What happens when a published VM has a virtual TPM. Images are created without a TPM, so that an administrator has added it;
        the published VM is checked by every publish.
      - V(refuse) fails. A pool can add a TPM to each of its clones, also without one in the golden image.
      - V(warn) and V(allow) accept it. Horizon 2212 and later support golden images with a virtual TPM only if all hosts of the cluster
        run ESXi 7.0 Update 3f or later; the module does not check the version of Horizon.
      - A VM with a virtual TPM is encrypted. It cannot be exported, so that it cannot become an OS layer or a packaging machine.
      - This option does not change the image digest.
    type: str
    choices: [refuse, warn, allow]
    default: refuse
  vm_template:
    description:
      - Name of the VM template whose hardware published VMs get.
      - It must have no disks, and a disk controller from which Windows can start.
      - Required when O(state=present).
    type: str
  script:
    description:
      - A program on the composer that runs after an image was published through this connector, as the user that runs the module.
      - Its environment contains C(STRATA_CONNECTOR), C(STRATA_IMAGE) (the digest of the image), C(STRATA_TEMPLATE), C(STRATA_VCENTER),
        C(STRATA_VM_NAME), C(STRATA_VM_MOID), C(STRATA_VM_UUID), C(STRATA_SNAPSHOT) and C(STRATA_SNAPSHOT_MOID),
        but no password.
      - If it exits with a code other than 0, the publish task fails. The image is kept, and later runs only run the script again, until it
        succeeds.
    type: path
  custom_attributes:
    description:
      - Custom attributes of published VMs, by name. Attributes that do not exist in vCenter are created.
      - In the values, C($template), C($digest) and C($layers) are replaced with the name of the template, the digest of the image and the
        layers of the image.
      - This setting is not part of the image digest; changing it does not republish the image.
    type: dict
    default: {}
  test:
    description:
      - Whether to log in to vSphere, look up every object that the connector names, make the checks that precede every publish, and check on
        the composer that O(script) can be executed.
      - Requires O(hostname), O(username) and O(password).
    type: bool
    default: false
  state:
    description: Whether the connector exists. A connector that image templates use cannot be removed.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.vsphere.optional
  - strata.layering.vsphere.connection
  - strata.layering.attributes
seealso:
  - module: strata.layering.connector_info
  - module: strata.layering.image_template
"""

EXAMPLES = r"""
- name: Create a connector for the cluster Desktops and test it
  strata.layering.connector:
    repository: /srv/layers
    name: desktops
    datacenter: Berlin
    cluster: Desktops
    datastore: vsan
    folder: Images/Windows 11
    network: VDI
    vm_template: golden-hardware
    custom_attributes:
      Image: "$template: $layers"
    test: true
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
"""

RETURN = r"""
connector:
  description: The connector.
  returned: when O(state=present)
  type: dict
  contains:
    name:
      description: Name of the connector.
      type: str
    type:
      description: Type of the target platform.
      type: str
    description:
      description: Purpose of the connector.
      type: str
    datacenter:
      description: Name of the datacenter.
      type: str
    cluster:
      description: Name of the cluster, null if not given.
      type: str
    esxi_host:
      description: Name of the ESXi host, null if not given.
      type: str
    esxi_hostname:
      description: The same value as C(esxi_host).
      type: str
    resource_pool:
      description: Name of the resource pool, null if not given.
      type: str
    datastore:
      description: Name of the datastore.
      type: str
    folder:
      description: VM folder, relative to the VM folder of the datacenter.
      type: str
    network:
      description: Name of the network, null if not given.
      type: str
    storage_policy:
      description: Name or identifier of the storage policy, null if not given.
      type: str
    vtpm:
      description: What happens when a published VM has a virtual TPM.
      type: str
    vm_template:
      description: Name of the VM template.
      type: str
    script:
      description: Path of the program that runs after an image was published, null if not given.
      type: str
    custom_attributes:
      description: Custom attributes of published VMs, by name.
      type: dict
  sample:
    name: desktops
    type: vsphere
    datacenter: Berlin
    cluster: Desktops
    datastore: vsan
    folder: Images/Windows 11
    network: VDI
    vm_template: golden-hardware
tested:
  description: The objects that O(test) looked up in vSphere.
  returned: when O(test=true)
  type: dict
  contains:
    datacenter:
      description: Name of the datacenter.
      type: str
    datastore:
      description: Name of the datastore, with the datastore cluster that it was chosen from.
      type: str
    storage_policy:
      description: Name of the storage policy, null if the connector names none.
      type: str
    folder:
      description: Inventory path of the folder, or its name if it will be created.
      type: str
    network:
      description: Name of the network, or the networks of the VM template.
      type: str
    vm_template:
      description: Inventory path of the VM template.
      type: str
    hardware:
      description: Hardware version, processors, memory and firmware of the VM template.
      type: str
    ids:
      description: The managed object IDs, which can be used instead of the names.
      type: dict
      contains:
        datacenter:
          description: ID of the datacenter.
          type: str
        cluster:
          description: ID of the cluster, null if the connector names an ESXi host.
          type: str
        esxi_host:
          description: ID of the ESXi host, null if the connector names none.
          type: str
        resource_pool:
          description: ID of the resource pool.
          type: str
        datastore:
          description: ID of the datastore.
          type: str
        folder:
          description: ID of the folder, or of its parent if it will be created.
          type: str
        network:
          description: ID of the network, or of the networks of the VM template.
          type: str
        vm_template:
          description: ID of the VM template.
          type: str
        storage_policy:
          description: Identifier of the storage policy, null if the connector names none.
          type: str
checks:
  description: The checks of whether the connector can publish an image. A check that failed ends the test with an error.
  returned: when O(test=true)
  type: list
  elements: dict
  contains:
    name:
      description: Name of the check.
      type: str
    result:
      description: V(pass) or V(warn).
      type: str
    found:
      description: What was found.
      type: str
    action:
      description: What to do, empty if the check passed.
      type: str
  sample:
    - name: hosts
      result: pass
      found: "reached: esx1.example.com, esx2.example.com"
      action: ""
"""

from ..module_utils.common.arguments import (
    CONNECTOR_REQUIRED_IF,
    change_arguments,
    connector_arguments,
    vsphere_arguments,
)
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            change_arguments(),
            **vsphere_arguments(required=False),
            **connector_arguments(),
        ),
        required_if=[*CONNECTOR_REQUIRED_IF, ("test", True, ("hostname", "username", "password"))],
        supports_check_mode=True,
    )
    from ..module_utils.operations.connector import ConnectorOptions, ensure_connector

    run(
        module,
        lambda: ensure_connector(ConnectorOptions.from_params(module.params), check_mode=module.check_mode),
    )


if __name__ == "__main__":
    main()
