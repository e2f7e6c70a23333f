#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Push images to Horizon pools and farms."""

from __future__ import annotations

DOCUMENTATION = r"""
module: horizon_image_push
short_description: Push images to Horizon pools and farms
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Makes a snapshot of a VM the image of desktop pools and RDS farms of instant clones, through the REST API of a Connection Server.
  - The image is one that M(strata.layering.layered_image_publish) published, or any VM and snapshot that Horizon accepts.
  - The image is desired state. If a pool has the image, nothing happens. If Horizon is publishing the image, the module waits for it. Setting
    O(image) to V(previous) or to a digest returns to an earlier image in the same way.
  - All pools and farms are read and checked before the first push is requested. If one of them is not acceptable, nothing is changed.
  - The module keeps the virtual TPM and the compute profile of a pool unless options change them.
  - If manual action is needed, the status of the task is C(ActionRequired) and its description says what to do. This is a result, not a
    failure, as with M(strata.layering.layered_image_publish).
  - The module needs Horizon 2206 or later.
options:
  pools:
    description:
      - Names of desktop pools (not their display names). Set O(pools), O(farms) or both.
      - The pushes to all pools and farms are requested first. Then the module waits for all of them.
    type: list
    elements: str
    aliases: [pool]
  farms:
    description: Names of RDS farms.
    type: list
    elements: str
    aliases: [farm]
  template:
    description:
      - Name of the image template whose image is pushed. Each pool or farm gets an image that was published in its vCenter.
      - Needs O(repository). Set O(template), or O(vm) and O(snapshot); with O(state=canceled), the image may be omitted.
    type: str
  image:
    description:
      - Which image of O(template) to push.
      - V(latest) is the image that was published last.
      - V(previous) is the newest image before it that Horizon still lists as a base VM.
      - Otherwise the field C(image_digest) of an image, or at least its first 8 digits. M(strata.layering.layered_image_info) lists them.
        Write digits in quotes, because YAML takes some of them for a number.
      - A digest in the inventory keeps a rollback in force until you change it, although newer images are published.
    type: str
    default: latest
  vm:
    description: Name, inventory path or managed object ID of the VM, instead of O(template).
    type: str
  snapshot:
    description: Name, path or managed object ID of the snapshot of O(vm).
    type: str
  vcenter:
    description:
      - Server name (as in Horizon Console) or instance UUID of the vCenter of the image. Pools and farms of different vCenters are refused.
      - Required with O(vm) if Horizon has several vCenters.
    type: str
  state:
    description:
      - V(present) makes the image the current image of the pools and farms. An image that is staged is promoted.
      - V(staged) publishes the image, applies it to the machines of O(machines) or O(canary) only, and holds it there until it is promoted
        with V(present) or canceled.
      - V(canceled) cancels a push that has not started to replace machines, and discards an image that is staged. If an image is named,
        only a push of this image is canceled. If a farm has published the image of a scheduled push already, Horizon cannot discard it, and
        the status is C(ActionRequired).
    type: str
    choices: [present, staged, canceled]
    default: present
  machines:
    description:
      - With O(state=staged), the names of the machines that get the image. Needs exactly one pool or farm.
    type: list
    elements: str
  canary:
    description:
      - With O(state=staged), the number of machines of each pool or farm that get the image.
      - Machines that have the image are counted first. Then available machines without a session are chosen, by name.
      - With V(0), and with neither O(canary) nor O(machines), the image is published and no machine gets it.
    type: int
  logoff_policy:
    description:
      - What happens to users who are logged on.
      - V(wait_for_logoff) replaces a machine when its user has logged off. A session that is disconnected only still occupies its machine.
      - V(force_logoff) logs users off. Horizon warns them as its global settings say.
    type: str
    choices: [wait_for_logoff, force_logoff]
    default: wait_for_logoff
  max_sessions:
    description:
      - With O(logoff_policy=force_logoff), the maximum number of connected sessions of a pool or farm. If there are more, the status is
        C(ActionRequired) and nothing is requested.
      - No maximum if not given.
    type: int
  start_time:
    description:
      - Time from which machines are replaced, in ISO 8601 format with an offset, such as V(2026-12-01T22:00:00+01:00). The image itself is
        published at once.
      - Machines are replaced as soon as the image is published if not given.
      - A time in the past, by the clock of the Connection Server, is refused unless the pool has the image or the push is in progress.
      - A different time reschedules a push of the same image that has not started. Without a time, a push that is scheduled keeps its time.
    type: str
  stop_on_first_error:
    description:
      - Whether Horizon stops to replace machines at the first error.
      - A later run with O(wait_for=machines) resumes the push to a pool once, and retries the machines that failed.
    type: bool
    default: true
  add_virtual_tpm:
    description:
      - Whether machines get a virtual TPM. As the pool has it if not given.
      - Farms do not support this option.
    type: bool
  compute_profile:
    description: Processors and memory of the machines. As the pool or farm has them if not given.
    type: dict
    suboptions:
      cpus:
        description: Number of virtual processors, a multiple of O(compute_profile.cores_per_socket).
        type: int
        required: true
      cores_per_socket:
        description: Number of cores of each socket.
        type: int
        required: true
      ram_mb:
        description: Memory in MiB, at least 1024.
        type: int
        required: true
  replace:
    description:
      - Whether a push of a different image that is scheduled, running or staged is canceled in favor of this image.
      - If not, the status is C(ActionRequired).
    type: bool
    default: false
  image_source:
    description:
      - Whether to V(change) a pool or farm that takes its image from Horizon's image catalog (an image stream). The VM becomes its image.
      - With V(keep), such a pool or farm is refused.
    type: str
    choices: [keep, change]
    default: keep
  provisioning:
    description:
      - With V(enabled), provisioning is enabled if it is disabled, because Horizon replaces no machines otherwise. Needs Horizon 2309 or later.
      - With V(keep), the status is C(ActionRequired) if provisioning is disabled.
    type: str
    choices: [keep, enabled]
    default: keep
  allow_disabled:
    description: Whether to push to a pool or farm that is disabled. If not, it is refused.
    type: bool
    default: false
  wait:
    description: Whether to wait. If not, the module returns when Horizon has accepted the pushes.
    type: bool
    default: true
  wait_for:
    description:
      - What to wait for.
      - V(image) waits until the image is the current image, or is staged. With a later O(start_time), it waits until the image is published.
      - V(machines) waits until all machines (with O(state=staged), the chosen machines) run the image. If they do not within
        O(wait_timeout), for example because users stay logged on, the status is C(Running) with the counts in RV(tasks[].machines) and
        RV(tasks[].sessions). This is not a failure.
    type: str
    choices: [image, machines]
    default: image
  wait_timeout:
    description:
      - Maximum time in seconds to wait for the image and for machines. If the image is not the current image after that time, the module
        fails; the push continues in Horizon, and the next run continues to wait for it.
    type: int
    default: 7200
  wait_sleep:
    description: Time in seconds between two looks at a pool or farm.
    type: int
    default: 15
  operation_timeout:
    description: Maximum time in seconds to wait until Horizon has finished a different operation of the pool or farm, such as a cancellation.
    type: int
    default: 600
  retries:
    description: Maximum number of retries of a push that failed, unless the error is about credentials.
    type: int
    default: 2
  retry_pause:
    description: Pause in seconds before a retry.
    type: int
    default: 30
  repository:
    description:
      - The folder of the repository with the images of O(template). If it is given, changes are recorded in its audit history.
      - If not set, the environment variable E(STRATA_REPOSITORY) is used.
    type: path
  comment:
    description: The reason for the change. It is stored in the audit history of O(repository).
    type: str
extends_documentation_fragment:
  - strata.layering.horizon
  - strata.layering.attributes
seealso:
  - module: strata.layering.layered_image_publish
  - module: strata.layering.layered_image_info
  - module: strata.layering.horizon_pool_info
  - module: strata.layering.horizon_farm_info
  - module: strata.layering.horizon_image_info
  - name: Horizon
    description: Steps of a push, privileges, and what to do when a push fails.
    link: https://github.com/strata/layering/blob/main/docs/horizon.md
"""

EXAMPLES = r"""
- name: Push the latest image of a template to two pools
  strata.layering.horizon_image_push:
    repository: /srv/layers
    template: office-desktop
    pools: [sales, finance]
    hostname: cs01.example.com
    username: svc-images
    domain: EXAMPLE
    password: "{{ vault_horizon_password }}"

- name: Try the image on two machines first
  strata.layering.horizon_image_push:
    repository: /srv/layers
    template: office-desktop
    pools: sales
    state: staged
    canary: 2
    wait_for: machines
    hostname: cs01.example.com
    username: svc-images
    domain: EXAMPLE
    password: "{{ vault_horizon_password }}"
  register: staged

- name: Promote the image in the evening, and log off at most 5 users
  strata.layering.horizon_image_push:
    repository: /srv/layers
    template: office-desktop
    pools: finance
    start_time: "2026-12-01T22:00:00+01:00"
    logoff_policy: force_logoff
    max_sessions: 5
    hostname: cs01.example.com
    username: svc-images
    domain: EXAMPLE
    password: "{{ vault_horizon_password }}"

- name: Return to the previous image
  strata.layering.horizon_image_push:
    repository: /srv/layers
    template: office-desktop
    image: previous
    pools: sales
    replace: true
    comment: INC-2071
    hostname: cs01.example.com
    username: svc-images
    domain: EXAMPLE
    password: "{{ vault_horizon_password }}"

- name: Push a VM that was not published by this collection to a farm
  strata.layering.horizon_image_push:
    vm: /Berlin/vm/Golden/rds-2022
    snapshot: before-patch-day
    farms: apps
    hostname: cs01.example.com
    username: svc-images
    domain: EXAMPLE
    password: "{{ vault_horizon_password }}"

- name: Discard an image that is staged
  strata.layering.horizon_image_push:
    pools: sales
    state: canceled
    hostname: cs01.example.com
    username: svc-images
    domain: EXAMPLE
    password: "{{ vault_horizon_password }}"
"""

RETURN = r"""
tasks:
  description: The push to each pool and farm. If one fails, the module fails, and the tasks are also in C(details.tasks).
  returned: if all pools and farms were found
  type: list
  elements: dict
  contains:
    target:
      description: The pool or farm.
      type: dict
      contains:
        kind:
          description: V(pool) or V(farm).
          type: str
        name:
          description: Name of the pool or farm.
          type: str
        id:
          description: Identifier of the pool or farm in Horizon.
          type: str
    status:
      description:
        - C(NotStarted) in check mode, if a change would be requested.
        - C(Scheduled) if the push waits for its start time, C(Running) if it is in progress, C(Staged) if the image is staged.
        - C(ActionRequired) if you have to act, as RV(tasks[].description) says.
        - C(Complete) if the image is the current image and, with O(wait_for=machines), all machines run it.
        - C(Canceled), also if there was nothing to cancel.
        - C(Failed) with the reason in RV(tasks[].error).
      type: str
    description:
      description: What was found and done, the manual action that is needed, or the error.
      type: str
    image:
      description: The image that was requested, null with O(state=canceled) without an image.
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
    previous:
      description: The current image of the pool or farm before the module ran.
      type: dict
      contains: *image
    operation:
      description: The operation of the pool or farm in Horizon, such as C(SCHEDULE_PUSH_IMAGE), at the end.
      type: str
    pending_state:
      description: The state of the image that is to become the current image, such as C(PUBLISHING), null if there is none.
      type: str
    progress:
      description: Percentage of the publishing of the image, null if no image is being published.
      type: int
    error:
      description: The error that Horizon or this module reports, null if there is none.
      type: str
    machines:
      description: Counts of machines, null if they were not read.
      type: dict
      contains:
        total:
          description: Number of machines, with O(state=staged) of the chosen machines.
          type: int
        on_image:
          description: Number of machines that run the image.
          type: int
        pending:
          description: Number of machines that wait for the image.
          type: int
        halted:
          description: Number of machines that do not get the image because Horizon stopped at an error.
          type: int
        not_ready:
          description: Number of machines that run the image and to which users cannot log in at the moment, for example because they start.
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
      description: Counts of sessions, null if they were not read.
      type: dict
      contains:
        connected:
          description: Number of connected sessions.
          type: int
        disconnected:
          description: Number of disconnected sessions, which still occupy their machines.
          type: int
    request:
      description: The body of the request that was sent, or would be sent in check mode, null without a request.
      type: dict
    vcenter:
      description: The vCenter of the pool or farm.
      type: dict
      contains:
        hostname:
          description: Server name of the vCenter in Horizon.
          type: str
        instance_uuid:
          description: Identifier of the vCenter.
          type: str
    horizon:
      description: The Connection Server.
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
  sample:
    - target:
        kind: pool
        name: sales
        id: 6f1c3c52-7f0a-4a53-9d8f-2d2c4a6f7b10
      status: Complete
      description: The pool sales has the image strata-1f0c22a1 of the VM office-desktop-1f0c22a1.
      image:
        vm: office-desktop-1f0c22a1
        vm_path: /Berlin/vm/Images/office-desktop-1f0c22a1
        moid: vm-1042
        snapshot: strata-1f0c22a1
        snapshot_moid: snapshot-1043
        image_digest: sha256:1f0c22a1
        template: office-desktop
      machines:
        total: 120
        on_image: 118
        pending: 2
        halted: 0
        not_ready: 0
        failed: []
      sessions:
        connected: 1
        disconnected: 1
"""

from ..module_utils.common.arguments import change_arguments, horizon_arguments
from ..module_utils.common.module_runner import LayeringModule, run_watched


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            change_arguments(required=False),
            **horizon_arguments(),
            pools={"type": "list", "elements": "str", "aliases": ["pool"]},
            farms={"type": "list", "elements": "str", "aliases": ["farm"]},
            template={"type": "str"},
            image={"type": "str", "default": "latest"},
            vm={"type": "str"},
            snapshot={"type": "str"},
            vcenter={"type": "str"},
            state={"type": "str", "choices": ["present", "staged", "canceled"], "default": "present"},
            machines={"type": "list", "elements": "str"},
            canary={"type": "int"},
            logoff_policy={
                "type": "str",
                "choices": ["wait_for_logoff", "force_logoff"],
                "default": "wait_for_logoff",
            },
            max_sessions={"type": "int"},
            start_time={"type": "str"},
            stop_on_first_error={"type": "bool", "default": True},
            add_virtual_tpm={"type": "bool"},
            compute_profile={
                "type": "dict",
                "options": {
                    "cpus": {"type": "int", "required": True},
                    "cores_per_socket": {"type": "int", "required": True},
                    "ram_mb": {"type": "int", "required": True},
                },
            },
            replace={"type": "bool", "default": False},
            image_source={"type": "str", "choices": ["keep", "change"], "default": "keep"},
            provisioning={"type": "str", "choices": ["keep", "enabled"], "default": "keep"},
            allow_disabled={"type": "bool", "default": False},
            wait={"type": "bool", "default": True},
            wait_for={"type": "str", "choices": ["image", "machines"], "default": "image"},
            wait_timeout={"type": "int", "default": 7200},
            wait_sleep={"type": "int", "default": 15},
            operation_timeout={"type": "int", "default": 600},
            retries={"type": "int", "default": 2},
            retry_pause={"type": "int", "default": 30},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.desktops.horizon_image_push import push_images
    from ..module_utils.operations.desktops.horizon_push_options import HorizonImagePushOptions

    run_watched(
        module,
        lambda progress: push_images(
            HorizonImagePushOptions.from_params(module.params), check_mode=module.check_mode, progress=progress
        ),
    )


if __name__ == "__main__":
    main()
