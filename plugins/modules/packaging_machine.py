#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage packaging machines."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packaging_machine
short_description: Manage VMs that capture applications
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - A packaging machine is a VM with an OS layer version and prerequisites. Install an application in it, manually or unattended. Then
    M(strata.layering.app_layer) or M(strata.layering.platform_layer) captures the changes on its disk as a layer.
  - With O(kind=os), Windows is updated in a VM with an OS layer version alone. Then M(strata.layering.os_layer) imports its disk as the next
    version. The OS machine from which the first version was imported is not needed.
  - With O(kind=noise), Windows is started and left alone. Then M(strata.layering.os_layer) stores what Windows has changed by itself as the noise
    profile of the OS layer version, which captures leave out.
  - O(state=present) creates the packaging machine and powers it on. An existing packaging machine does not change.
  - O(state=finalized) shuts it down and exports its disk as an OVF package.
  - O(state=absent) deletes it. The module only changes VMs that are marked as the packaging machine of this layer version.
  - If the layer version already exists, no packaging machine is created.
  - If Windows is configured to shut down by itself at the first start of an image, it can recognize a packaging machine by the value
    V(packaging) of C(guestinfo.strata.layering.purpose), which VMware Tools can read.
options:
  name:
    description: Name of the layer to package.
    type: str
    required: true
  version:
    description:
      - Version of the layer to package.
      - The new version when O(kind=os). The existing version of the OS layer when O(kind=noise).
    type: str
    required: true
  kind:
    description: Kind of the layer, or V(noise) for the noise profile of an OS layer version.
    type: str
    choices: [app, platform, os, noise]
    default: app
  os_layer:
    description:
      - The OS layer of the packaging machine.
      - Required when O(state=present) and O(kind) is V(app) or V(platform).
      - When O(kind=os), the version to start from; by default the newest deployable version of O(name). When O(kind=noise), only O(name) and
        O(version) are possible.
    type: dict
    suboptions:
      name:
        description: Name of the OS layer.
        type: str
        required: true
      version:
        description:
          - Version of the OS layer. If not given, an existing packaging machine keeps its version, and a new packaging machine gets the newest
            deployable version.
          - RV(os_layer) returns the version that is used. Capture the layer with this version.
        type: str
  start_from:
    description:
      - An earlier version of the same layer to install on the packaging machine, or V(latest) for the newest version.
      - The new version contains everything of the earlier version that still exists when the packaging machine is finalized. Capture it with
        the same O(os_layer) and O(prerequisites); do not add the earlier version to the prerequisites.
      - Not possible when O(kind) is V(os) or V(noise).
    type: str
  connector:
    description:
      - Name of the connector through which the packaging machine is created.
      - Required when O(state=present). For other states, the connector that created the packaging machine if not given.
    type: str
  wait_for_address:
    description:
      - Maximum time in seconds to wait until VMware Tools are running and report an IP address. V(0) does not wait.
      - Only used when O(state=present) and the packaging machine is powered on.
    type: int
    default: 0
  power_on:
    description:
      - Whether to power a packaging machine on again that was powered off before O(state=finalized) was requested, because the installation is
        not complete.
      - Only used when O(state=present).
    type: bool
    default: false
  minimum_run:
    description:
      - Minimum time in seconds that a packaging machine must have been powered on, in total, before a powered-off packaging machine counts as
        complete.
      - A shorter run time means that Windows shut down by itself, or was powered off, before anything was installed.
      - Only used when O(state=present), and only if vCenter has the power history of the VM.
      - When O(kind=noise), the time for which Windows is left alone; O(state=finalized) waits for the rest of it. Windows starts much of its
        maintenance only after some minutes without a user. Set it in both states.
      - V(120) if not given, V(1800) when O(kind=noise).
    type: int
  idle_timeout:
    description:
      - Maximum time in seconds, after O(minimum_run), until Windows is idle, so that it is not shut down in the middle of its maintenance.
      - It is idle when the VM has used less than 10 % of its processors for two minutes. If it is not idle by then, it is shut down with a warning.
      - Only used when O(kind=noise) and O(state=finalized).
    type: int
    default: 1800
  shutdown:
    description:
      - Whether to shut down Windows if the packaging machine is powered on and VMware Tools are running.
      - If V(false), a packaging machine that is powered on is an error that says what to do.
      - Only used when O(state=finalized).
    type: bool
    default: true
  shutdown_timeout:
    description: Maximum time in seconds for the shutdown of Windows.
    type: int
    default: 600
  file_share:
    description:
      - The folder in which the folder of the package is created. Either a folder on the composer, or C(//server/share/path) to connect to
        the server over SMB.
      - Required when O(state=finalized).
    type: path
  package:
    description: Name of the package and of its folder. The name of the VM if not given.
    type: str
  remove_package:
    description:
      - Whether to remove the exported package together with the packaging machine.
      - The package recorded at export is used, otherwise O(file_share) and O(package).
      - Only used when O(state=absent).
    type: bool
    default: false
  state:
    description: The desired state of the packaging machine.
    type: str
    choices: [present, finalized, absent]
    default: present
extends_documentation_fragment:
  - strata.layering.layer.prerequisites
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.vsphere
  - strata.layering.vsphere.connection
  - strata.layering.vsphere.transfer
  - strata.layering.file_share
  - strata.layering.attributes
seealso:
  - module: strata.layering.app_layer
  - module: strata.layering.platform_layer
  - module: strata.layering.os_layer
  - module: strata.layering.connector
  - name: Capture
    description: How the changes of an installer become a layer.
    link: https://github.com/strata/layering/blob/main/docs/capture.md
"""

EXAMPLES = r"""
- name: Create a packaging machine
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
  register: packaging

- name: Show where the packaging machine is and what to do
  ansible.builtin.debug:
    msg: "{{ packaging.description }}"

# Later, after the application was installed and Windows was shut down:

- name: Export the disk of the packaging machine
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

- name: Delete the packaging machine and the package
  strata.layering.packaging_machine:
    repository: /srv/layers
    name: Tool
    version: "3.0"
    remove_package: true
    state: absent
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"

- name: Create a packaging machine for the next version of an OS layer
  strata.layering.packaging_machine:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.12
    kind: os
    connector: desktops
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"

# Later, after Windows was updated in it:

- name: Export the disk of the packaging machine
  strata.layering.packaging_machine:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.12
    kind: os
    file_share: /mnt/layers
    state: finalized
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
  register: finalized

- name: Import the next version
  strata.layering.os_layer:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.12
    max_layer_size_gb: "{{ finalized.max_layer_size_gb }}"
    file_share: /mnt/layers
    ovf_package: "{{ finalized.packaged_disk }}"
    readiness: enforce

- name: Start a packaging machine that is left alone
  strata.layering.packaging_machine:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.12
    kind: noise
    connector: desktops
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"

- name: Wait for half an hour, shut Windows down and export its disk
  strata.layering.packaging_machine:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.12
    kind: noise
    minimum_run: 1800
    file_share: /mnt/layers
    state: finalized
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
  register: untouched

- name: Store what Windows changed by itself
  strata.layering.os_layer:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.12
    noise_profile:
      packaged_disk: "{{ untouched.packaged_disk }}"
"""

RETURN = r"""
status:
  description:
    - V(ActionRequired) if you have to work in the packaging machine or shut it down; V(Pending) if it is powered off and can be finalized, or if
      it is left alone until it is finalized; V(Complete) if it is finalized, or if the layer version exists.
  returned: when O(state) is not V(absent)
  type: str
  sample: ActionRequired
description:
  description: The location of the packaging machine, and what to do.
  returned: when O(state) is not V(absent)
  type: str
  sample: >-
    The packaging machine Tool-3.0-packaging-1f0c22a1 of the app layer Tool 3.0 runs in the folder /Berlin/vm/Images of the datacenter Berlin.
    Install the application, restart Windows until no restart is pending, and shut it down. Then run the role again, or the module with state finalized.
machine:
  description: The VM of the packaging machine, if it exists.
  returned: when O(state) is not V(absent)
  type: dict
  contains:
    name:
      description: Name of the VM.
      type: str
    moid:
      description: Managed object ID of the VM.
      type: str
    instance_uuid:
      description: Instance UUID of the VM.
      type: str
    path:
      description: Inventory path of the VM.
      type: str
    folder:
      description: Inventory path of the folder.
      type: str
    datacenter:
      description: Name of the datacenter.
      type: str
    power_state:
      description: V(poweredOn), V(poweredOff) or V(suspended).
      type: str
    ip_address:
      description: First IPv4 or IPv6 address that VMware Tools report and that is not link-local, null if there is none.
      type: str
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
  description: Name and version of the OS layer of the packaging machine.
  returned: when the packaging machine exists
  type: dict
  contains:
    name:
      description: Name of the OS layer.
      type: str
    version:
      description: Version of the OS layer.
      type: str
  sample:
    name: Windows 11
    version: 23H2-2026.11
max_layer_size_gb:
  description: Size of the OS layer version of the packaging machine in GiB, as a value for the option of M(strata.layering.os_layer).
  returned: when O(kind=os) and the packaging machine exists
  type: int
  sample: 100
packaged_disk:
  description: The OVF file, as a value for the option C(packaged_disk) of M(strata.layering.app_layer) or C(ovf_package) of
    M(strata.layering.os_layer).
  returned: when O(state=finalized)
  type: str
  sample: /mnt/layers/Tool-3.0-packaging-1f0c22a1/Tool-3.0-packaging-1f0c22a1.ovf
"""

from ..module_utils.common.arguments import (
    change_arguments,
    packaging_arguments,
    share_arguments,
    transfer_arguments,
    vsphere_arguments,
)
from ..module_utils.common.module_runner import LayeringModule, run_watched


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            change_arguments(),
            **vsphere_arguments(),
            **transfer_arguments(),
            **share_arguments(),
            **packaging_arguments(),
            name={"type": "str", "required": True},
            version={"type": "str", "required": True},
            kind={"type": "str", "choices": ["app", "platform", "os", "noise"], "default": "app"},
            start_from={"type": "str"},
            connector={"type": "str"},
            wait_for_address={"type": "int", "default": 0},
            power_on={"type": "bool", "default": False},
            minimum_run={"type": "int"},
            idle_timeout={"type": "int", "default": 1800},
            shutdown={"type": "bool", "default": True},
            shutdown_timeout={"type": "int", "default": 600},
            file_share={"type": "path"},
            package={"type": "str"},
            remove_package={"type": "bool", "default": False},
            state={"type": "str", "choices": ["present", "finalized", "absent"], "default": "present"},
        ),
        required_if=[("state", "present", ("connector",)), ("state", "finalized", ("file_share",))],
        supports_check_mode=True,
    )
    from ..module_utils.operations.packaging_machine import PackagingMachineOptions, ensure_packaging_machine

    run_watched(
        module,
        lambda progress: ensure_packaging_machine(
            PackagingMachineOptions.from_params(module.params), check_mode=module.check_mode, progress=progress
        ),
    )


if __name__ == "__main__":
    main()
