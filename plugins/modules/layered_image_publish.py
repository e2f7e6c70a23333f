#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publish layered images to vSphere."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layered_image_publish
short_description: Publish layered images to vSphere
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Composes the layers of each template offline and creates a VM with the composed disk and the hardware of the connector's VM template.
  - Before anything is composed, it checks whether the connector can receive the image (see RV(tasks[].preflight)).
  - Before anything is uploaded, it checks that the registry hives are valid and that the files and keys that Windows needs to start exist.
  - Powers the VM on, waits until its scripts have ended and Windows has shut down by itself, and takes a snapshot.
  - Checks that Horizon can use the snapshot, runs the script of the connector, and returns the location of the image.
  - An image that is already published with the same layers through the same connector, and still exists in vSphere, is not published again.
  - A later run resumes an interrupted run. If manual action is needed, the status of the task is C(ActionRequired) and its description
    says what to do and where; this is a result, not a failure.
options:
  templates:
    description: Names of the image templates.
    type: list
    elements: str
    required: true
    aliases: [template]
  state:
    description:
      - V(present) publishes the templates.
      - V(canceled) cancels publish tasks of the templates and removes their VMs. This includes tasks that run on a different composer with
        the same repository, and tasks that wait for manual action. Finished images are kept.
      - V(absent) cancels publish tasks as V(canceled) does. Then it deletes the VMs of all images of the templates in this vCenter, and the
        records of these images. The image templates may be deleted already. The module fails and deletes no VM if a VM is powered on, a
        linked clone depends on its disk or may be hidden from the user, or it was converted to a template, renamed, moved to a different
        folder or changed otherwise since it was published. With O(horizon), it also fails if Horizon uses a VM.
        Without O(horizon), check that no Horizon pool uses the images.
    type: str
    choices: [present, canceled, absent]
    default: present
  script_timeout:
    description:
      - Maximum time in seconds for a script in the image. After that, the status of the task is C(ActionRequired).
    type: int
    default: 3600
  shutdown_timeout:
    description:
      - Maximum time in seconds until Windows has shut down by itself. After that, the status of the task is C(ActionRequired).
      - The time starts at the end of the last script, or at power-on if Windows does not report any scripts.
    type: int
    default: 3600
  timeouts:
    description: Maximum times in seconds for other steps.
    type: dict
    default: {}
    suboptions:
      compose:
        description: Composing the layers.
        type: int
        default: 3600
      upload:
        description: Uploading the disk.
        type: int
        default: 14400
      power_on:
        description: Powering on the VM.
        type: int
        default: 300
      snapshot:
        description: Taking the snapshot.
        type: int
        default: 1800
      connector_script:
        description: Running the script of the connector.
        type: int
        default: 3600
      cancel:
        description: Waiting until a publish task that is running has noticed the cancellation and removed its VM.
        type: int
        default: 600
  retries:
    description: Maximum number of retries of a step after a temporary failure of vSphere or the network.
    type: int
    default: 2
  retry_pause:
    description: Pause in seconds before a retry.
    type: int
    default: 10
  parallel:
    description: Maximum number of templates that are published in parallel. Each template uses a separate process on the composer.
    type: int
    default: 4
  keep:
    description:
      - Number of older VMs of a template to keep in addition to the new VM. Older VMs are deleted, unless a clone of their snapshot exists.
      - A VM is also kept, with a warning, if clones may be hidden from the user. To delete VMs, the user needs System.Read on the root folder
        of vCenter, with propagation.
      - With O(horizon), a VM is also kept, with a warning, if Horizon uses it.
      - A VM is also kept for 30 minutes after M(strata.layering.horizon_image_push) replaced it in a pool or farm.
      - All VMs are kept if not given.
    type: int
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.vsphere
  - strata.layering.vsphere.connection
  - strata.layering.vsphere.transfer
  - strata.layering.horizon_servers
  - strata.layering.attributes
seealso:
  - module: strata.layering.image_template
  - module: strata.layering.layered_image_info
  - name: Publishing
    description: Steps, task states, manual actions and the removal of images.
    link: https://github.com/strata/layering/blob/main/docs/publishing.md
  - name: Scripts
    description: Scripts in an image.
    link: https://github.com/strata/layering/blob/main/docs/scripts.md
"""

EXAMPLES = r"""
- name: Publish an image
  strata.layering.layered_image_publish:
    repository: /srv/layers
    templates: office-desktop
    keep: 2
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
  register: published

- name: Publish an image and keep the older VMs that Horizon uses
  strata.layering.layered_image_publish:
    repository: /srv/layers
    templates: office-desktop
    keep: 2
    horizon:
      - hostname: cs01.example.com
        username: svc-images
        domain: EXAMPLE
        password: "{{ vault_horizon_password }}"
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"

- name: Show the location of the image
  ansible.builtin.debug:
    msg: "{{ published.tasks[0].description }}"

- name: Publish several templates and fail if one needs manual action
  strata.layering.layered_image_publish:
    repository: /srv/layers
    templates: [office-desktop, kiosk, developer]
    parallel: 3
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
  register: all_published
  failed_when: all_published is failed or all_published.tasks | rejectattr('status', 'equalto', 'Complete') | length > 0

- name: Cancel a publish task
  strata.layering.layered_image_publish:
    repository: /srv/layers
    templates: office-desktop
    state: canceled
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"

- name: Delete the published VMs of an image template
  strata.layering.layered_image_publish:
    repository: /srv/layers
    templates: kiosk
    state: absent
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
"""

RETURN = r"""
tasks:
  description:
    - The publish task of each template. If a template fails, the module fails, and the tasks are also in C(details.tasks).
    - With O(state=absent), only C(template), C(changed), C(status) and C(description) are set.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Identifier of the task, null if the task is not stored.
      type: str
    template:
      description: Name of the template.
      type: str
    changed:
      description: Whether something was changed for this template.
      type: bool
    digest:
      description: The same value as C(image_digest).
      type: str
    image_digest:
      description: Digest of everything that determines the published VM.
      type: str
    content_digest:
      description: Digest of everything that determines the content of the disk.
      type: str
    connector:
      description: Name of the connector.
      type: str
    publish_mode:
      description: V(automatic) or V(manual).
      type: str
    status:
      description:
        - C(NotStarted) in check mode and with O(state=absent), C(ActionRequired), C(Complete), C(Canceled) or C(Failed).
        - See M(strata.layering.task_info) for their meaning.
      type: str
    step:
      description:
        - The current step, or the step at which the task waits for manual action; null after the last step.
        - One of C(compose), C(create), C(upload), C(power_on), C(scripts), C(shut_down), C(snapshot), C(verify), C(connector_script) and
          C(retire_old).
      type: str
    description:
      description: The location of the image, the manual action that is needed, or the error.
      type: str
    created:
      description: Time at which the task was created, in UTC.
      type: str
    updated:
      description: Time of the last change of the task, in UTC.
      type: str
    vcenter:
      description: The vCenter of the published or planned VM.
      type: dict
      contains:
        hostname:
          description: Host name as the option C(hostname) gave it.
          type: str
        instance_uuid:
          description: Identifier of the vCenter.
          type: str
    vm:
      description: The VM. A VM that does not exist yet has only a name.
      type: dict
      contains:
        name:
          description: Name of the VM.
          type: str
        moid:
          description: Managed object ID of the VM.
          type: str
        instance_uuid:
          description: Instance UUID of the VM, which it keeps under any name and in any folder.
          type: str
        path:
          description: Inventory path of the VM.
          type: str
        datacenter:
          description: Datacenter of the VM.
          type: str
    snapshot:
      description: Name of the snapshot.
      type: str
    snapshot_moid:
      description: Managed object ID of the snapshot, null as long as it is not known.
      type: str
    datastore_path:
      description: Path of the configuration file of the VM.
      type: str
    timings:
      description: Duration in seconds of each step, by the name of the step.
      type: dict
    bytes:
      description: Sizes in bytes - C(compressed), C(uploaded) and C(disk).
      type: dict
    progress:
      description: Progress of the current step, null if no step runs. Values that cannot be estimated are null.
      type: dict
      contains:
        step:
          description: Name of the part of the step that runs.
          type: str
        unit:
          description: Unit of C(done) and C(total) - V(bytes), V(seconds), V(percent) or V(keys).
          type: str
        done:
          description: Amount that is done.
          type: int
        total:
          description: Total amount. For V(seconds), the time limit.
          type: int
        percent:
          description: Percentage that is done.
          type: int
        rate:
          description: Units per second.
          type: float
        seconds_left:
          description: Estimated remaining time in seconds.
          type: int
    scripts:
      description: The last report of the scripts in the image, null if there is none.
      type: dict
      contains:
        state:
          description: V(running), V(failed) or V(finished).
          type: str
        current:
          description:
            - Number and origin of the current or last script, such as V(2/3 app layer Editor 1.0).
            - V(activation runato.cmd) during activation, V(wait network) during a wait.
          type: str
        code:
          description: Exit code of the script or activation that failed, V(interrupted), or V(timeout) of a wait.
          type: str
        output:
          description: Last line of the output of the script that failed.
          type: str
        results:
          description: Exit codes by the number of the script; V(activation) is that of activation, if the tools in the image report it.
          type: dict
        waits:
          description:
            - What the image waited for before activation and scripts, and the outcome. Missing if the tools in the image do not report it.
            - V(ready), V(timeout), V(absent) (there is no network adapter) or V(unknown).
          type: dict
          contains:
            setup:
              description: The wait until Windows Setup has ended.
              type: str
            servicing:
              description: The wait until no update is being installed.
              type: str
            devices:
              description: The wait until no device is being installed.
              type: str
            network:
              description: The wait until the network is usable.
              type: str
    preflight:
      description:
        - The checks before the image was composed, of whether the connector can receive it.
        - If a check failed, nothing was composed or created, and the task has the status C(Failed).
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
          description: What was found.
          type: str
        action:
          description: What to do, empty if the check passed.
          type: str
    checks:
      description: The checks of the requirements of Horizon.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the check.
          type: str
        passed:
          description: Whether the VM meets the requirement.
          type: bool
        found:
          description: The value that was found.
          type: str
        advice:
          description: How to meet the requirement, null if it is met.
          type: str
    connector_script:
      description: The script of the connector, null if there is none or it was not reached.
      type: dict
      contains:
        path:
          description: Path of the script on the composer.
          type: str
        done:
          description: Whether the script has succeeded.
          type: bool
        output:
          description: Last lines of its output.
          type: str
    script:
      description: The same value as C(connector_script).
      type: dict
    warnings:
      description: Warnings of the task.
      type: list
      elements: str
    error:
      description: The error with C(code), C(message) and C(hint), null if there is none.
      type: dict
  sample:
    - template: office-desktop
      status: Complete
      description: The image is the snapshot strata-1f0c22a1 of the VM office-desktop-1f0c22a1 in Berlin/vm/Images, [vsan] office-desktop-1f0c22a1.
      digest: sha256:1f0c22a1
      image_digest: sha256:1f0c22a1
      vcenter:
        hostname: vcenter.example.com
        instance_uuid: 7f3b1c52-4c7e-4b7c-9a55-0d1f6d9b3c10
      vm:
        name: office-desktop-1f0c22a1
        moid: vm-1042
      snapshot: strata-1f0c22a1
      snapshot_moid: snapshot-1043
      datastore_path: "[vsan] office-desktop-1f0c22a1/office-desktop-1f0c22a1.vmx"
      timings:
        compose: 3.1
        upload: 12.4
      bytes:
        compressed: 1048576
        uploaded: 9663676416
      checks:
        - name: vmxnet3
          passed: true
          found: vmxnet3
          advice: null
images:
  description: The current image of each template that is published. See M(strata.layering.layered_image_info) for its fields.
  returned: success
  type: list
  elements: dict
removed:
  description: The VMs that were deleted with O(state=absent), or would be deleted in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    template:
      description: Name of the image template.
      type: str
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
    datacenter:
      description: Datacenter of the VM.
      type: str
"""

from ..module_utils.common.arguments import (
    change_arguments,
    horizon_servers_arguments,
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
            templates={"type": "list", "elements": "str", "required": True, "aliases": ["template"]},
            state={"type": "str", "choices": ["present", "canceled", "absent"], "default": "present"},
            script_timeout={"type": "int", "default": 3600},
            shutdown_timeout={"type": "int", "default": 3600},
            timeouts={
                "type": "dict",
                "default": {},
                "options": {
                    "compose": {"type": "int", "default": 3600},
                    "upload": {"type": "int", "default": 14400},
                    "power_on": {"type": "int", "default": 300},
                    "snapshot": {"type": "int", "default": 1800},
                    "connector_script": {"type": "int", "default": 3600},
                    "cancel": {"type": "int", "default": 600},
                },
            },
            retries={"type": "int", "default": 2},
            retry_pause={"type": "int", "default": 10},
            parallel={"type": "int", "default": 4},
            keep={"type": "int"},
            **horizon_servers_arguments(),
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.layered_image_publish import LayeredImagePublishOptions, publish_templates

    run_watched(
        module,
        lambda progress: publish_templates(
            LayeredImagePublishOptions.from_params(module.params),
            check_mode=module.check_mode,
            diff_mode=module._diff,
            progress=progress,
        ),
    )


if __name__ == "__main__":
    main()
