#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the machine in which a layer version is packaged."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packaging_machine
short_description: Keep the machine in which an application is installed to become a layer
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - A packaging machine is made from an OS layer version and prerequisites. An application is installed in it, by hand or unattended,
    and what changed on its disk is then captured by M(strata.layering.app_layer) or M(strata.layering.platform_layer).
  - With O(state=present) the machine is created and powered on. One that exists is left as it is.
  - With O(state=finalized) it is shut down and its disk exported as an OVF package.
  - With O(state=absent) it is deleted. Only a machine that carries the mark of this layer version is ever touched.
  - When the layer version exists already, no machine is made.
  - Where Windows is prepared to shut itself down at the first start of an image, it can tell a packaging machine by the value V(packaging) of
    C(guestinfo.strata.layering.purpose), which VMware Tools read.
options:
  name:
    description: Name of the layer that is packaged.
    type: str
    required: true
  version:
    description: Name of the version that is packaged.
    type: str
    required: true
  kind:
    description: What kind of layer it is.
    type: str
    choices: [app, platform]
    default: app
  os_layer:
    description:
      - The OS layer that the machine is made from.
      - Required when O(state=present).
    type: dict
    suboptions:
      name:
        description: Name of the OS layer.
        type: str
        required: true
      version:
        description:
          - Version of the OS layer. If not given, a machine that exists keeps the one it has, and a new one gets the newest deployable one.
          - RV(os_layer) says which one it was. Capture the layer with that one.
        type: str
  start_from:
    description:
      - An earlier version of the same layer that is put on the machine too, V(latest) for the newest one.
      - The new version will hold all of the earlier one that is still there when the machine is finalized. It is captured with the same
        O(os_layer) and O(prerequisites), without the earlier version among them.
    type: str
  connector:
    description:
      - Name of the connector through which the machine is created.
      - Required when O(state=present). Otherwise that with which it was created if not given.
    type: str
  wait_for_address:
    description:
      - How long to wait until VMware Tools run in the machine and report an IP address, in seconds. It is not waited for if V(0).
      - Only used when O(state=present) and the machine is on.
    type: int
    default: 0
  power_on:
    description:
      - Whether a machine that was switched off before O(state=finalized) was asked for is powered on again, because the work in it is not done.
      - Only used when O(state=present).
    type: bool
    default: false
  minimum_run:
    description:
      - For how long a machine must have been on in all until one that is switched off counts as finished, in seconds.
      - Windows cannot be started, be worked in and be shut down in less; rather it shut itself down, or somebody switched it off.
      - Only used when O(state=present), and only where vCenter remembers when the machine was on.
    type: int
    default: 120
  shutdown:
    description:
      - Whether the guest is asked to shut down when the machine is on and VMware Tools run in it.
      - Otherwise a machine that is on is an error that says what is to be done.
      - Only used when O(state=finalized).
    type: bool
    default: true
  shutdown_timeout:
    description: How long the guest may take to shut down, in seconds.
    type: int
    default: 600
  file_share:
    description:
      - The folder in which the package's folder is made, as the composer sees it, or C(//server/share/path) to speak to the server directly.
      - Required when O(state=finalized).
    type: path
  package:
    description: Name of the package and of its folder. The machine's name if not given.
    type: str
  remove_package:
    description:
      - Whether the exported package is removed together with the machine.
      - Which one it is, is known from when it was exported, or from O(file_share) and O(package).
      - Only used when O(state=absent).
    type: bool
    default: false
  state:
    description: What is wanted of the machine.
    type: str
    choices: [present, finalized, absent]
    default: present
extends_documentation_fragment:
  - strata.layering.layer.prerequisites
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.vsphere
  - strata.layering.vsphere.connection
  - strata.layering.file_share
  - strata.layering.attributes
seealso:
  - module: strata.layering.app_layer
  - module: strata.layering.platform_layer
  - module: strata.layering.connector
"""

EXAMPLES = r"""
- name: Make a packaging machine
  strata.layering.packaging_machine:
    repository: /srv/layers
    name: Tool
    version: "3.0"
    os_layer:
      name: Windows 11
    prerequisites:
      - name: Runtime
        version: "8"
    start_from: latest
    connector: desktops
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
  register: machine

- name: Say where it is and what to do
  ansible.builtin.debug:
    msg: "{{ machine.description }}"

# Later, when the application is installed and the machine shut down:

- name: Export its disk
  strata.layering.packaging_machine:
    repository: /srv/layers
    name: Tool
    version: "3.0"
    file_share: /mnt/layers
    state: finalized
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
  register: finalized

- name: Capture the layer
  strata.layering.app_layer:
    repository: /srv/layers
    name: Tool
    version: "3.0"
    os_layer: "{{ finalized.os_layer }}"
    prerequisites:
      - name: Runtime
        version: "8"
    packaged_disk: "{{ finalized.packaged_disk }}"

- name: Delete the machine and the package
  strata.layering.packaging_machine:
    repository: /srv/layers
    name: Tool
    version: "3.0"
    remove_package: true
    state: absent
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
"""

RETURN = r"""
status:
  description:
    - V(ActionRequired) when somebody has to work in the machine or to shut it down; V(Pending) when it is switched off and can be finalized;
      V(Complete) when it is finalized, or when the layer version exists.
  returned: when O(state) is not V(absent)
  type: str
  sample: ActionRequired
description:
  description: A sentence that says where the machine is and what to do.
  returned: when O(state) is not V(absent)
  type: str
  sample: >-
    The packaging machine Tool-3.0-packaging-1f0c22a1 of the app layer Tool 3.0 runs in the folder /Berlin/vm/Images of the datacenter Berlin.
    Install what the layer is to hold, restart Windows until nothing is pending, shut it down, and run the role again, or the module with state finalized.
machine:
  description: The machine, if there is one.
  returned: when O(state) is not V(absent)
  type: dict
  sample:
    name: Tool-3.0-packaging-1f0c22a1
    moid: vm-1042
    instance_uuid: 502c0b1f-53d8-4a3c-9d0a-0f8d7b1e2c11
    path: /Berlin/vm/Images/Tool-3.0-packaging-1f0c22a1
    folder: /Berlin/vm/Images
    datacenter: Berlin
    power_state: poweredOn
    ip_address: 192.0.2.17
os_layer:
  description: Name and version of the OS layer that the machine was made from.
  returned: when there is a machine
  type: dict
  sample:
    name: Windows 11
    version: 23H2-2026.11
packaged_disk:
  description: The OVF file on the composer, as M(strata.layering.app_layer) takes it.
  returned: when O(state=finalized)
  type: str
  sample: /mnt/layers/Tool-3.0-packaging-1f0c22a1/Tool-3.0-packaging-1f0c22a1.ovf
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common.arguments import (
    change_arguments,
    connection_of,
    packaging_arguments,
    share_arguments,
    vsphere_arguments,
)
from ..module_utils.common.module_runner import run_watched
from ..module_utils.operations.packaging_machine import ensure_packaging_machine


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            change_arguments(),
            **vsphere_arguments(),
            **share_arguments(),
            **packaging_arguments(),
            name={"type": "str", "required": True},
            version={"type": "str", "required": True},
            kind={"type": "str", "choices": ["app", "platform"], "default": "app"},
            start_from={"type": "str"},
            connector={"type": "str"},
            wait_for_address={"type": "int", "default": 0},
            power_on={"type": "bool", "default": False},
            minimum_run={"type": "int", "default": 120},
            shutdown={"type": "bool", "default": True},
            shutdown_timeout={"type": "int", "default": 600},
            file_share={"type": "path"},
            package={"type": "str"},
            remove_package={"type": "bool", "default": False},
            state={"type": "str", "choices": ["present", "finalized", "absent"], "default": "present"},
        ),
        required_if=[("state", "present", ("os_layer", "connector")), ("state", "finalized", ("file_share",))],
        supports_check_mode=True,
    )
    run_watched(
        module,
        lambda progress: ensure_packaging_machine(
            module.params, connection=connection_of(module.params), check_mode=module.check_mode, progress=progress
        ),
    )


if __name__ == "__main__":
    main()
