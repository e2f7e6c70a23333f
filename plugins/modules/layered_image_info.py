#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List published images and their locations."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layered_image_info
short_description: List published images and their locations
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Lists the published images, sorted by template, newest first.
  - The module reads the repository only. It does not show later changes of the VMs in vSphere.
options:
  template:
    description: List only images of this template.
    type: str
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.attributes.info
seealso:
  - module: strata.layering.layered_image_publish
"""

EXAMPLES = r"""
- name: List the images of a template
  strata.layering.layered_image_info:
    repository: /srv/layers
    template: office-desktop
"""

RETURN = r"""
images:
  description: The images.
  returned: always
  type: list
  elements: dict
  sample:
    - template: office-desktop
      image_digest: sha256:1f0c22a1
      vcenter:
        hostname: vcenter.example.com
        instance_uuid: 7f3b1c52-4c7e-4b7c-9a55-0d1f6d9b3c10
      vm:
        name: office-desktop-1f0c22a1
      snapshot: strata-1f0c22a1
      checks:
        - name: vmxnet3
          passed: true
          found: vmxnet3
          advice: null
      script:
        path: /etc/layering/push-to-pool
        done: true
        output: pushed
"""

from ..module_utils.common.arguments import repository_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            repository_arguments(),
            template={"type": "str"},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.info import InfoOptions, layered_image_info

    run(module, lambda: layered_image_info(InfoOptions.from_params(module.params)))


if __name__ == "__main__":
    main()
