#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publish layered images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layered_image_publish
short_description: Publish layered images as virtual machines with a snapshot
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Composes the layers of each template offline, creates a machine with the hardware of the connector's VM template and the composed disk,
    powers it on, waits until its scripts are done and the guest has shut itself down, takes a snapshot, checks that Horizon can use it,
    runs the connector's script, and tells where the image is.
  - An image that is published already, with the same layers through the same connector, and still stands in vSphere, is not published again.
  - Whatever ended a run, the next one goes on from what stands in vSphere. Where a person has to act, the task's status is C(ActionRequired) and its
    description says what to do and where; that is a result, not a failure.
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
      - V(canceled) ends publishings that run, on whatever composer with this repository, or that wait for a person, and removes their machines.
        A finished image stays.
    type: str
    choices: [present, canceled]
    default: present
  script_timeout:
    description: How long one script in the image may run, in seconds, before a person is asked to look at it.
    type: int
    default: 3600
  shutdown_timeout:
    description:
      - How long the guest may take to shut itself down, in seconds, before a person is asked to look at it.
      - It counts from the end of the last script, or from the start of the machine when the guest reports nothing about scripts.
    type: int
    default: 3600
  timeouts:
    description: How long other steps may take, in seconds.
    type: dict
    default: {}
    suboptions:
      compose:
        description: Putting the layers together.
        type: int
        default: 3600
      upload:
        description: Uploading the disk.
        type: int
        default: 14400
      power_on:
        description: Powering the machine on.
        type: int
        default: 300
      snapshot:
        description: Taking the snapshot.
        type: int
        default: 1800
      connector_script:
        description: The connector's script.
        type: int
        default: 3600
      cancel:
        description: Until a publishing that runs notices that it is canceled, and has removed its machine.
        type: int
        default: 600
  retries:
    description: How often a step is tried again when vSphere or the network failed in a way that may pass by itself.
    type: int
    default: 2
  retry_pause:
    description: How long to wait before a step is tried again, in seconds.
    type: int
    default: 10
  parallel:
    description: How many templates are published side by side at the most. Each has a process of its own on the composer.
    type: int
    default: 4
  keep:
    description:
      - How many older machines of a template are kept beside the new one. Older ones are deleted, unless a clone was made of their snapshot.
      - All are kept if not given.
    type: int
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.vsphere
  - strata.layering.vsphere.connection
  - strata.layering.attributes
seealso:
  - module: strata.layering.image_template
  - module: strata.layering.layered_image_info
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

- name: Publish all, and wait for nobody who has to act by hand
  strata.layering.layered_image_publish:
    repository: /srv/layers
    templates: [office-desktop, kiosk, developer]
    parallel: 3
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
  register: all_published
  failed_when: all_published is failed or all_published.tasks | rejectattr('status', 'equalto', 'Complete') | length > 0

- name: Give up what is being published
  strata.layering.layered_image_publish:
    repository: /srv/layers
    templates: office-desktop
    state: canceled
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"

- name: Say where it is
  ansible.builtin.debug:
    msg: "{{ published.tasks[0].description }}"
"""

RETURN = r"""
tasks:
  description:
    - The publish task of each template. Its status is C(Complete), C(ActionRequired) or C(Canceled); when one is C(Failed), the module fails
      and returns the tasks in C(details.tasks).
  returned: always
  type: list
  elements: dict
  contains:
    template:
      description: Name of the template.
      type: str
    status:
      description: C(NotStarted) in check mode, C(Running), C(ActionRequired), C(Complete), C(Canceled) or C(Failed).
      type: str
    step:
      description: The step under way, or at which the task waits.
      type: str
    description:
      description: A sentence that says where the image is, or what has to be done.
      type: str
    vcenter:
      description: The vCenter that it is or would be published in - the C(hostname) that was given, and its C(instance_uuid).
      type: dict
    scripts:
      description: What the scripts in the image reported last - C(state), C(current), C(code), C(output) and the exit codes in C(results) by number.
      type: dict
    checks:
      description: What Horizon needs, as results with C(name), C(passed), C(found) and C(advice).
      type: list
      elements: dict
    script:
      description: The connector's script - C(path), C(done) and the last lines of its C(output).
      type: dict
  sample:
    - template: office-desktop
      status: Complete
      description: The image is the snapshot strata-1f0c22a1 of the machine office-desktop-1f0c22a1 in Berlin/vm/Images, [vsan] office-desktop-1f0c22a1.
      digest: sha256:1f0c22a1
      vcenter:
        hostname: vcenter.example.com
        instance_uuid: 7f3b1c52-4c7e-4b7c-9a55-0d1f6d9b3c10
      vm:
        name: office-desktop-1f0c22a1
        moid: vm-1042
      snapshot: strata-1f0c22a1
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
  description: The image that now is the current one of each template.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common.arguments import change_arguments, vsphere_arguments
from ..module_utils.common.module_runner import run_watched
from ..module_utils.operations.layered_image_publish import LayeredImagePublishOptions, publish_templates


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            change_arguments(),
            **vsphere_arguments(),
            templates={"type": "list", "elements": "str", "required": True, "aliases": ["template"]},
            state={"type": "str", "choices": ["present", "canceled"], "default": "present"},
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
        ),
        supports_check_mode=True,
    )
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
