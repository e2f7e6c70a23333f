#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List desktop pools and their images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: horizon_pool_info
short_description: List Horizon pools and their images
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Lists desktop pools of Horizon with their current and pending images, through the REST API of a Connection Server.
  - With O(repository), the images are compared with the images that M(strata.layering.layered_image_publish) has recorded.
  - The module needs Horizon 2206 or later.
options:
  names:
    description:
      - Names of the pools to list (not their display names). The module fails if one does not exist.
      - All pools that the user may see are listed if not given.
    type: list
    elements: str
    aliases: [name]
  template:
    description: List only pools whose current or pending image was published from this image template. Needs O(repository).
    type: str
  machines:
    description: Whether to count machines and sessions, which takes additional requests for each pool.
    type: bool
    default: false
  repository:
    description:
      - The folder of the repository with the records of published images. Without it, images have no template and no digest.
      - If not set, the environment variable E(STRATA_REPOSITORY) is used.
    type: path
extends_documentation_fragment:
  - strata.layering.horizon
  - strata.layering.attributes.info
seealso:
  - module: strata.layering.horizon_image_info
  - module: strata.layering.horizon_image_push
"""

EXAMPLES = r"""
- name: List the pools whose image is outdated
  strata.layering.horizon_pool_info:
    repository: /srv/layers
    hostname: cs01.example.com
    username: svc-images
    domain: EXAMPLE
    password: "{{ vault_horizon_password }}"
  register: horizon

- name: Show their names
  ansible.builtin.debug:
    msg: "{{ horizon.pools | selectattr('outdated') | map(attribute='name') }}"

- name: Count the machines of a pool that run its image
  strata.layering.horizon_pool_info:
    names: sales
    machines: true
    hostname: cs01.example.com
    username: svc-images
    domain: EXAMPLE
    password: "{{ vault_horizon_password }}"
"""

RETURN = r"""
pools:
  description: The pools, by name, or in the order of O(names).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the pool.
      type: str
    id:
      description: Identifier of the pool in Horizon.
      type: str
    display_name:
      description: Name that users see, empty if there is none.
      type: str
    type:
      description: The type in Horizon, such as V(AUTOMATED).
      type: str
    source:
      description: The source of the machines, such as V(INSTANT_CLONE). Images can be pushed to instant clones only.
      type: str
    enabled:
      description: Whether the pool is enabled.
      type: bool
    provisioning:
      description: Whether provisioning is enabled, null if Horizon does not report it.
      type: bool
    delete_in_progress:
      description: Whether Horizon is deleting the pool.
      type: bool
    vcenter:
      description: The vCenter of the pool, null if there is none.
      type: dict
      contains:
        hostname:
          description: Server name of the vCenter in Horizon.
          type: str
        instance_uuid:
          description: Identifier of the vCenter.
          type: str
    image:
      description: The current image, null if there is none.
      type: dict
      contains: &image
        vm:
          description: Name of the VM, null if Horizon does not list it.
          type: str
        vm_path:
          description: Inventory path of the VM.
          type: str
        moid:
          description: Managed object ID of the VM.
          type: str
        snapshot:
          description: Name of the snapshot, null if Horizon does not list it.
          type: str
        snapshot_moid:
          description: Managed object ID of the snapshot.
          type: str
        image_digest:
          description: Digest of the image in O(repository), null if the image is not recorded there.
          type: str
        template:
          description: Name of the image template in O(repository), null if the image is not recorded there.
          type: str
    image_state:
      description: State of the current image, such as C(READY).
      type: str
    outdated:
      description: Whether a newer image of the same template was published in this vCenter. Null if the current image is not recorded.
      type: bool
    newest:
      description: The newest published image of the same template in this vCenter. Null if the current image is not recorded.
      type: dict
      contains:
        image_digest:
          description: Digest of the image.
          type: str
        vm:
          description: Name of the VM.
          type: str
        moid:
          description: Managed object ID of the VM.
          type: str
        snapshot:
          description: Name of the snapshot.
          type: str
        snapshot_moid:
          description: Managed object ID of the snapshot, null as long as it is not known.
          type: str
        published:
          description: Time at which the image was published, in UTC.
          type: str
    operation:
      description: What Horizon is doing with images, such as C(NONE) or C(SCHEDULE_PUSH_IMAGE). C(UNKNOWN) for values of later versions.
      type: str
    pending:
      description: The image that is to become the current image, null if there is none.
      type: dict
      contains:
        state:
          description: C(PENDING_PUBLISH), C(PUBLISHING), C(READY), C(READY_HELD) (staged), C(FAILED), C(UNPUBLISHING) or C(UNKNOWN).
          type: str
        progress:
          description: Percentage of the publishing of the image.
          type: int
        image:
          description: The image, null if Horizon does not report it.
          type: dict
          contains: *image
        error:
          description: The error that Horizon reports, null if there is none.
          type: str
        start_time:
          description: Time from which machines are replaced, in UTC, null if it is not scheduled.
          type: str
        logoff_policy:
          description: V(wait_for_logoff) or V(force_logoff), null if Horizon does not report it.
          type: str
        stop_on_first_error:
          description: Whether Horizon stops to replace machines at the first error, null if Horizon does not report it.
          type: bool
    add_virtual_tpm:
      description: Whether machines have a virtual TPM, null if Horizon does not report it.
      type: bool
    compute_profile:
      description: Processors and memory of the machines, null if they are as in the image.
      type: dict
      contains:
        cpus:
          description: Number of virtual processors.
          type: int
        cores_per_socket:
          description: Number of cores of each socket.
          type: int
        ram_mb:
          description: Memory in MiB.
          type: int
    image_stream:
      description: Whether the image comes from the image catalog of Horizon.
      type: bool
    error:
      description: The error of the pending image, else the last error of provisioning. Null if there is none.
      type: str
    status:
      description: The status fields as Horizon reports them.
      type: dict
    machines:
      description: Counts of machines, null unless O(machines=true).
      type: dict
      contains:
        total:
          description: Number of machines.
          type: int
        on_image:
          description: Number of machines that run the current image.
          type: int
        on_pending_image:
          description: Number of machines that run the pending image, such as a canary.
          type: int
        pending:
          description: Number of machines that run a different image than the current image.
          type: int
        halted:
          description: Number of machines that do not get an image because Horizon stopped at an error.
          type: int
        not_ready:
          description: Number of machines that run the current image and to which users cannot log in at the moment, for example because they start.
          type: int
        failed:
          description: Machines that failed.
          type: list
          elements: dict
          contains:
            name:
              description: Name of the machine.
              type: str
            error:
              description: The error, as Horizon reports it.
              type: str
    sessions:
      description: Counts of sessions, null unless O(machines=true).
      type: dict
      contains:
        connected:
          description: Number of connected sessions.
          type: int
        disconnected:
          description: Number of disconnected sessions, which still occupy their machines.
          type: int
  sample:
    - name: sales
      display_name: ""
      source: INSTANT_CLONE
      enabled: true
      vcenter:
        hostname: vcenter.example.com
        instance_uuid: 7f3b1c52-4c7e-4b7c-9a55-0d1f6d9b3c10
      image:
        vm: office-desktop-1f0c22a1
        vm_path: /Berlin/vm/Images/office-desktop-1f0c22a1
        moid: vm-1042
        snapshot: strata-1f0c22a1
        snapshot_moid: snapshot-1043
        image_digest: sha256:1f0c22a1
        template: office-desktop
      outdated: false
      operation: NONE
      pending: null
horizon:
  description: The Connection Server.
  returned: success
  type: dict
  contains:
    version:
      description: Version, such as V(8.12.0).
      type: str
    build:
      description: Build number.
      type: str
    pod:
      description: Name of the pod.
      type: str
"""

from ..module_utils.common.arguments import horizon_arguments, repository_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            repository_arguments(required=False),
            **horizon_arguments(),
            names={"type": "list", "elements": "str", "aliases": ["name"]},
            template={"type": "str"},
            machines={"type": "bool", "default": False},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.desktops.horizon_target_info import HorizonTargetInfoOptions, horizon_pool_info

    run(module, lambda: horizon_pool_info(HorizonTargetInfoOptions.from_params(module.params)))


if __name__ == "__main__":
    main()
