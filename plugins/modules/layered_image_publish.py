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
    powers it on, waits until the guest has shut itself down, takes a snapshot, and tells where the image is.
  - An image that is published already, with the same layers through the same connector, and still stands in vSphere, is not published again.
options:
  templates:
    description: Names of the image templates. They are published one after the other.
    type: list
    elements: str
    required: true
    aliases: [template]
  shutdown_timeout:
    description: How long the guest may run until it has shut itself down, in seconds.
    type: int
    default: 3600
  keep:
    description:
      - How many older machines of a template are kept beside the new one. Older ones are deleted, unless a clone was made of their snapshot.
      - All are kept if not given.
    type: int
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.vsphere
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

- name: Say where it is
  ansible.builtin.debug:
    msg: "{{ published.tasks[0].description }}"
"""

RETURN = r"""
tasks:
  description: The publish task of each template.
  returned: always
  type: list
  elements: dict
  sample:
    - template: office-desktop
      status: Complete
      description: The image is the snapshot strata-1f0c22a1 of the machine office-desktop-1f0c22a1 in Berlin/vm/Images, [vsan] office-desktop-1f0c22a1.
      digest: sha256:1f0c22a1
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
images:
  description: The image that now is the current one of each template.
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common.arguments import change_arguments, connection_of, vsphere_arguments
from ..module_utils.common.module import run
from ..module_utils.publish.publish import publish_templates


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            change_arguments(),
            **vsphere_arguments(),
            templates={"type": "list", "elements": "str", "required": True, "aliases": ["template"]},
            shutdown_timeout={"type": "int", "default": 3600},
            keep={"type": "int"},
        ),
        supports_check_mode=True,
    )
    run(module, lambda: publish_templates(module.params, connection=connection_of(module.params), check_mode=module.check_mode, diff_mode=module._diff))


if __name__ == "__main__":
    main()
