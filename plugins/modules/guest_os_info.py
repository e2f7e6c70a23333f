#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the guest IDs and hardware versions that a cluster or ESXi host offers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: guest_os_info
short_description: List guest IDs and hardware versions
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Asks vCenter which hardware versions and guest IDs a new VM can have. vCenter refuses a VM with a guest ID that its hardware version lacks.
  - In a cluster, a guest ID counts as offered only if all connected hosts offer it.
  - The role P(strata.layering.os_machine#role) uses this module to select the guest ID and the hardware version of a new VM.
options:
  datacenter:
    description: Name of the datacenter.
    type: str
    required: true
  cluster:
    description: Name of the cluster.
    type: str
  esxi_host:
    description: Name of the ESXi host. With O(cluster), only this host of the cluster is asked.
    type: str
  resource_pool:
    description: Name of the resource pool, whose cluster or host is asked.
    type: str
  guest_ids:
    description: Guest IDs in the order of preference. RV(selected) has the first guest ID that is offered.
    type: list
    elements: str
    default: []
  hardware_version:
    description: The hardware version whose guest IDs are listed. The newest hardware version that all hosts offer if not set.
    type: int
extends_documentation_fragment:
  - strata.layering.vsphere
  - strata.layering.vsphere.connection
  - strata.layering.attributes.info
"""

EXAMPLES = r"""
- name: Find the guest ID for Windows 11
  strata.layering.guest_os_info:
    datacenter: Berlin
    cluster: Desktops
    guest_ids: [windows11_64Guest, windows9_64Guest]
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
  register: offer

- name: Show the selected guest ID and hardware version
  ansible.builtin.debug:
    msg: "{{ offer.selected.guest_id }} with hardware version {{ offer.selected.hardware_version }}"

- name: List all guest IDs of a hardware version
  strata.layering.guest_os_info:
    datacenter: Berlin
    esxi_host: esx1.example.com
    hardware_version: 19
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
"""

RETURN = r"""
hardware_versions:
  description: The hardware versions for new VMs, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    hardware_version:
      description: The hardware version.
      type: int
      sample: 21
    hosts:
      description: Names of the hosts that offer the hardware version.
      type: list
      elements: str
      sample: [esx1.example.com, esx2.example.com]
    all_hosts:
      description: Whether all connected hosts offer the hardware version.
      type: bool
      sample: true
    default:
      description: Whether vCenter uses the hardware version for a VM without a hardware version.
      type: bool
      sample: true
newest_hardware_version:
  description: The newest hardware version that all hosts offer, null if there is none.
  returned: success
  type: int
  sample: 21
guests:
  description:
    - The guest IDs that all hosts offer for O(hardware_version), sorted.
    - With O(guest_ids), only those of them that are offered; all guest IDs if none of them is offered.
  returned: success
  type: list
  elements: dict
  contains:
    guest_id:
      description: The guest ID.
      type: str
      sample: windows11_64Guest
    name:
      description: The name that vCenter shows for the guest ID.
      type: str
      sample: Microsoft Windows 11 (64-bit)
    family:
      description: The family of operating systems.
      type: str
      sample: windowsGuest
    recommended:
      description: Whether vCenter offers the guest ID in its user interface for new VMs.
      type: bool
      sample: true
selected:
  description: The first guest ID of O(guest_ids) that is offered, null if none is offered.
  returned: success
  type: dict
  contains:
    guest_id:
      description: The guest ID.
      type: str
      sample: windows11_64Guest
    hardware_version:
      description: The hardware version.
      type: int
      sample: 21
"""

from ..module_utils.common.arguments import vsphere_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            vsphere_arguments(),
            datacenter={"type": "str", "required": True},
            cluster={"type": "str"},
            esxi_host={"type": "str"},
            resource_pool={"type": "str"},
            guest_ids={"type": "list", "elements": "str", "default": []},
            hardware_version={"type": "int"},
        ),
        required_one_of=[("cluster", "esxi_host", "resource_pool")],
        supports_check_mode=True,
    )
    from ..module_utils.operations.guest_os_info import GuestOsOptions, guest_os_info

    run(module, lambda: guest_os_info(GuestOsOptions.from_params(module.params)))


if __name__ == "__main__":
    main()
