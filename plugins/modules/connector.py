#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep a connector: where published images go."""

from __future__ import annotations

DOCUMENTATION = r"""
module: connector
short_description: Keep a connector, the place in vSphere where layered images are published
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - A connector names the datacenter, the cluster or host, the datastore, the folder, the network and the VM template of the machines that are published.
  - A connector never holds a host name, a user or a password. Those are options of the modules that use it.
options:
  name:
    description: Name of the connector.
    type: str
    required: true
  type:
    description: The kind of place.
    type: str
    choices: [vsphere]
    default: vsphere
  description:
    description: What the connector is for.
    type: str
    default: ''
  datacenter:
    description:
      - Name of the datacenter.
      - Required when O(state=present).
    type: str
  cluster:
    description: Name of the cluster. Give this or O(esxi_hostname), or both when the cluster has no DRS.
    type: str
  esxi_hostname:
    description: Name of the ESXi host, when machines are to be created on one host, in or outside of a cluster.
    type: str
  resource_pool:
    description: Name of the resource pool. The cluster's or host's own pool if not given.
    type: str
  datastore:
    description:
      - Name of the datastore.
      - Required when O(state=present).
    type: str
  folder:
    description:
      - VM folder, relative to the datacenter's VM folder, such as V(Images/Windows 11). It is created when it does not exist.
      - A slash that belongs to a folder's name is written V(%2f).
    type: str
    default: ''
  network:
    description: Name of the network or distributed port group. The VM template's own network if not given.
    type: str
  vm_template:
    description:
      - Name of the VM template that gives processors, memory, firmware, hardware version, video and network card.
      - It must have no disks.
      - Required when O(state=present).
    type: str
  script:
    description:
      - A program on the composer that is run after an image has been published through this connector, as the user who runs the module.
      - It finds C(STRATA_CONNECTOR), C(STRATA_IMAGE) (the image's digest), C(STRATA_TEMPLATE), C(STRATA_VCENTER), C(STRATA_VM_NAME),
        C(STRATA_VM_MOID), C(STRATA_VM_UUID) and C(STRATA_SNAPSHOT) in its environment, and no password.
      - When it ends with another exit code than 0 the publishing has failed. The image stays, and the next run runs only the script again, until
        it has succeeded.
    type: path
  custom_attributes:
    description:
      - Custom attributes of the machines that are published, by name. Those that vCenter does not know are defined.
      - In the values C($template), C($digest) and C($layers) stand for what the image was made of.
      - They are no part of the image; changing them does not have a published image published again.
    type: dict
    default: {}
  test:
    description:
      - Log in to vSphere and look everything up that the connector names.
      - Needs O(hostname), O(username) and O(password).
    type: bool
    default: false
  state:
    description: Whether the connector exists. A connector that an image template uses cannot be removed.
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
- name: Publish to the cluster Desktops
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
  description: What O(test) found, a path or a name for each thing that was looked up.
  returned: when O(test=true)
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common.arguments import change_arguments, connection_of, vsphere_arguments
from ..module_utils.common.module_runner import run
from ..module_utils.operations.connector import ensure_connector


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            change_arguments(),
            **vsphere_arguments(required=False),
            name={"type": "str", "required": True},
            type={"type": "str", "choices": ["vsphere"], "default": "vsphere"},
            description={"type": "str", "default": ""},
            datacenter={"type": "str"},
            cluster={"type": "str"},
            esxi_hostname={"type": "str"},
            resource_pool={"type": "str"},
            datastore={"type": "str"},
            folder={"type": "str", "default": ""},
            network={"type": "str"},
            vm_template={"type": "str"},
            script={"type": "path"},
            custom_attributes={"type": "dict", "default": {}},
            test={"type": "bool", "default": False},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        ),
        required_if=[
            ("state", "present", ("datacenter", "datastore", "vm_template")),
            ("state", "present", ("cluster", "esxi_hostname"), True),
            ("test", True, ("hostname", "username", "password")),
        ],
        supports_check_mode=True,
    )
    run(
        module,
        lambda: ensure_connector(module.params, connection=connection_of(module.params), check_mode=module.check_mode),
    )


if __name__ == "__main__":
    main()
