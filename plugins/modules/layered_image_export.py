#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Export the disk of a layered image to a file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layered_image_export
short_description: Export the disk of a layered image to a file
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Composes the layers of a template, unless the image is already composed, and writes the disk to a file.
  - A file that already contains the image is not written again. A record of the written image is stored next to the file, with the same
    name and the suffix C(.strata.json).
options:
  template:
    description: Name of the image template.
    type: str
    required: true
  path:
    description:
      - The file to write. Either a path on the composer, or C(//server/share/path) of a file on an SMB share.
      - Without a mount, only V(vmdk) and V(ova) can be written to an SMB share.
    type: path
    required: true
  format:
    description:
      - V(vmdk) is a stream-optimized VMDK, which vSphere can import; V(ova) is an OVA package that contains such a VMDK.
      - V(raw) is a sparse raw disk. V(qcow2) needs C(qemu-img) on the composer.
      - If not given, the suffix of the file name selects V(ova), V(raw) or V(qcow2); any other suffix selects V(vmdk).
    type: str
    choices: [vmdk, ova, raw, qcow2]
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.file_share
  - strata.layering.attributes
"""

EXAMPLES = r"""
- name: Export the image as an OVA
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
  description: The content digest of the image, which covers all its layers.
  returned: always
  type: str
bytes:
  description: Size of the file in bytes. In check mode, the size of the disk that would be written, if it is known.
  returned: when known
  type: int
"""

from ..module_utils.common.arguments import change_arguments, share_arguments
from ..module_utils.common.module_runner import LayeringModule, run_watched


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            change_arguments(),
            **share_arguments(),
            template={"type": "str", "required": True},
            path={"type": "path", "required": True},
            format={"type": "str", "choices": ["vmdk", "ova", "raw", "qcow2"]},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.layered_image_export import LayeredImageExportOptions, ensure_image_file

    run_watched(
        module,
        lambda progress: ensure_image_file(
            LayeredImageExportOptions.from_params(module.params), check_mode=module.check_mode, progress=progress
        ),
    )


if __name__ == "__main__":
    main()
