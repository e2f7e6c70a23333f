#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a layered image's disk to a file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layered_image_export
short_description: Write the disk of a layered image to a file
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Composes the layers of a template when that has not been done yet, and writes the disk as a file.
  - A file that holds the image already is not written again. What was written is recorded beside it, in a file of the same name that ends in C(.strata.json).
options:
  template:
    description: Name of the image template.
    type: str
    required: true
  path:
    description:
      - The file to write, on the composer, or C(//server/share/path) of a file on a file share.
      - Without a mount V(vmdk) and V(ova) can be written to a share.
    type: path
    required: true
  format:
    description:
      - V(vmdk) is a stream-optimized VMDK, as vSphere imports it; V(ova) an OVA package with it.
      - V(raw) is a sparse raw disk; V(qcow2) needs C(qemu-img) on the composer.
      - Without it V(ova), V(raw) or V(qcow2) when the name of the file ends in that, else V(vmdk).
    type: str
    choices: [vmdk, ova, raw, qcow2]
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.file_share
  - strata.layering.attributes
"""

EXAMPLES = r"""
- name: Write the image as an OVA
  strata.layering.layered_image_export:
    repository: /srv/layers
    template: office-desktop
    path: /srv/export/office-desktop.ova
"""

RETURN = r"""
path:
  description: The file.
  returned: always
  type: str
digest:
  description: The image's content digest, over all its layers.
  returned: always
  type: str
bytes:
  description: Size of the file. In check mode, of the disk that would be written, where it is known.
  returned: when known
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common.arguments import change_arguments, share_arguments
from ..module_utils.common.module_runner import run_watched
from ..module_utils.operations.layered_image_export import ensure_image_file


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            change_arguments(),
            **share_arguments(),
            template={"type": "str", "required": True},
            path={"type": "path", "required": True},
            format={"type": "str", "choices": ["vmdk", "ova", "raw", "qcow2"]},
        ),
        supports_check_mode=True,
    )
    run_watched(
        module, lambda progress: ensure_image_file(module.params, check_mode=module.check_mode, progress=progress)
    )


if __name__ == "__main__":
    main()
