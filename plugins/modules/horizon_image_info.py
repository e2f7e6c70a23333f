#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List base VMs of Horizon and their use."""

from __future__ import annotations

DOCUMENTATION = r"""
module: horizon_image_info
short_description: List base VMs of Horizon and their use
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Lists VMs with their snapshots as Horizon sees them, the reasons for which Horizon cannot use them, and the pools and farms that use them,
    through the REST API of a Connection Server.
  - M(strata.layering.layered_image_publish) asks the same before it deletes a VM, with its option O(strata.layering.layered_image_publish#module:horizon).
  - The module needs Horizon 2206 or later.
options:
  vms:
    description:
      - Names, inventory paths or managed object IDs of VMs. The module fails if one does not exist.
      - If neither O(vms) nor O(template) is given, the VMs are listed that pools, farms and their machines use.
    type: list
    elements: str
    aliases: [vm]
  template:
    description: List the VMs of the images that were published from this image template. Needs O(repository). It excludes O(vms).
    type: str
  vcenter:
    description: Server name (as in Horizon Console) or instance UUID of the vCenter of the VMs. All vCenters of the pod if not given.
    type: str
  repository:
    description:
      - The folder of the repository with the records of published images. Without it, images have no template and no digest.
      - If not set, the environment variable E(STRATA_REPOSITORY) is used.
    type: path
extends_documentation_fragment:
  - strata.layering.horizon
  - strata.layering.attributes.info
seealso:
  - module: strata.layering.horizon_pool_info
  - module: strata.layering.horizon_farm_info
  - module: strata.layering.layered_image_publish
"""

EXAMPLES = r"""
- name: List the pools and farms that use a VM
  strata.layering.horizon_image_info:
    vms: office-desktop-1f0c22a1
    hostname: cs01.example.com
    username: svc-images
    domain: EXAMPLE
    password: "{{ vault_horizon_password }}"
  register: horizon

- name: Show their names
  ansible.builtin.debug:
    msg: "{{ horizon.images | map(attribute='snapshots') | flatten | map(attribute='used_by') | flatten | map(attribute='name') | unique }}"

- name: List the images of a template
  strata.layering.horizon_image_info:
    repository: /srv/layers
    template: office-desktop
    hostname: cs01.example.com
    username: svc-images
    domain: EXAMPLE
    password: "{{ vault_horizon_password }}"
"""

RETURN = r"""
images:
  description: The VMs, by vCenter and name.
  returned: success
  type: list
  elements: dict
  contains:
    vcenter:
      description: The vCenter of the VM, null if Horizon does not report it.
      type: dict
      contains:
        hostname:
          description: Server name of the vCenter in Horizon.
          type: str
        instance_uuid:
          description: Identifier of the vCenter.
          type: str
    vm:
      description: Name of the VM, null if Horizon does not list it.
      type: str
    vm_path:
      description: Inventory path of the VM.
      type: str
    moid:
      description: Managed object ID of the VM.
      type: str
    incompatible_reasons:
      description:
        - Reasons for which Horizon cannot use the VM, such as C(NO_SNAPSHOTS).
        - C(UNSUPPORTED_OS_FOR_FARM) is normal for the image of a desktop pool.
      type: list
      elements: str
    in_use:
      description: Whether a pool, a farm or a machine uses the VM.
      type: bool
    snapshots:
      description: The snapshots of the VM, and snapshots that Horizon uses although they were removed.
      type: list
      elements: dict
      contains:
        snapshot:
          description: Name of the snapshot, null if Horizon does not list it.
          type: str
        snapshot_path:
          description: Names of the snapshot and of the snapshots above it.
          type: str
        snapshot_moid:
          description: Managed object ID of the snapshot.
          type: str
        created:
          description: Time at which the snapshot was taken, in UTC.
          type: str
        incompatible_reasons:
          description: Reasons for which Horizon cannot use the snapshot, such as C(POWERED_ON).
          type: list
          elements: str
        image_digest:
          description: Digest of the image in O(repository), null if the image is not recorded there.
          type: str
        template:
          description: Name of the image template in O(repository), null if the image is not recorded there.
          type: str
        used_by:
          description: The pools and farms that use the snapshot.
          type: list
          elements: dict
          contains:
            kind:
              description: V(pool) or V(farm).
              type: str
            name:
              description: Name of the pool or farm.
              type: str
            role:
              description: V(current) or V(pending) image of the pool or farm, or V(machines) that use it.
              type: str
            machines:
              description: With C(role=machines), their number, including those that are about to get it. 0 otherwise.
              type: int
  sample:
    - vcenter:
        hostname: vcenter.example.com
        instance_uuid: 7f3b1c52-4c7e-4b7c-9a55-0d1f6d9b3c10
      vm: office-desktop-1f0c22a1
      vm_path: /Berlin/vm/Images/office-desktop-1f0c22a1
      moid: vm-1042
      incompatible_reasons: [UNSUPPORTED_OS_FOR_FARM]
      in_use: true
      snapshots:
        - snapshot: strata-1f0c22a1
          snapshot_path: /strata-1f0c22a1
          snapshot_moid: snapshot-1043
          created: "2026-11-30T12:00:00Z"
          incompatible_reasons: []
          image_digest: sha256:1f0c22a1
          template: office-desktop
          used_by:
            - kind: pool
              name: sales
              role: current
              machines: 0
            - kind: pool
              name: sales
              role: machines
              machines: 118
"""

from ..module_utils.common.arguments import horizon_arguments, repository_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            repository_arguments(required=False),
            **horizon_arguments(),
            vms={"type": "list", "elements": "str", "aliases": ["vm"]},
            template={"type": "str"},
            vcenter={"type": "str"},
        ),
        mutually_exclusive=[("vms", "template")],
        supports_check_mode=True,
    )
    from ..module_utils.operations.desktops.horizon_image_info import HorizonImageInfoOptions, horizon_image_info

    run(module, lambda: horizon_image_info(HorizonImageInfoOptions.from_params(module.params)))


if __name__ == "__main__":
    main()
