#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Export a layered image to a file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layered_image_export
short_description: Export a layered image to a file
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Composes the layers of a template, unless the image is already composed, and writes the disk to a file.
  - A file that already contains the image is not written again. A record of the written image is stored next to the file, with the same
    name and the suffix C(.strata.json).
  - Only files that this module wrote for the same template are replaced. A file without a record, a file that was changed after its export,
    and a file with the image of another template are errors; delete such a file if it is no longer needed.
options:
  template:
    description: Name of the image template.
    type: str
    required: true
  path:
    description:
      - The file to write. Either a path on the composer, or C(//server/share/path) of a file on an SMB share.
      - Without a mount, V(raw), V(qcow2) and V(vhd_fixed) cannot be written to an SMB share.
    type: path
    required: true
  format:
    description:
      - V(vmdk) is a stream-optimized VMDK, which vSphere can import; V(ova) is an OVA package that contains such a VMDK.
      - V(vhdx) is a VHDX with dynamic size, for Hyper-V and Azure Local.
      - V(vhd) is a VHD with dynamic size and V(vhd_fixed) a VHD with fixed size; a VHD has at most 2040 GiB. Azure accepts only
        V(vhd_fixed), and only disks whose size is a whole number of MiB.
      - V(raw) is a sparse raw disk. V(qcow2) needs C(qemu-img) on the composer.
      - If not given, the ending of the file name selects the format; C(.vhd) selects V(vhd). Required for file names with other endings.
    type: str
    choices: [vmdk, ova, vhd, vhd_fixed, vhdx, raw, qcow2]
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

- name: Export the disk of the image to an SMB share
  strata.layering.layered_image_export:
    repository: /srv/layers
    template: office-desktop
    path: //files.example.com/images/office-desktop.vmdk
    file_share_username: EXAMPLE\layering
    file_share_password: "{{ vault_file_share_password }}"

- name: Export the disk of the image for Azure
  strata.layering.layered_image_export:
    repository: /srv/layers
    template: office-desktop
    path: /srv/export/office-desktop.vhd
    format: vhd_fixed

- name: Export a raw disk to a file whose ending is not the name of a format
  strata.layering.layered_image_export:
    repository: /srv/layers
    template: office-desktop
    path: /srv/export/office-desktop.img
    format: raw
"""

RETURN = r"""
file:
  description: The file, as in O(path).
  returned: success
  type: str
  sample: /srv/export/office-desktop.ova
image_digest:
  description: The image digest of the template, which covers the layers and the settings of its VM, as in M(strata.layering.layered_image_publish).
  returned: success
  type: str
  sample: sha256:2b97be22c1
content_digest:
  description: The content digest of the image, which covers all its layers.
  returned: success
  type: str
  sample: sha256:af10160a9d
digest:
  description: The same value as RV(content_digest). Deprecated; use RV(content_digest).
  returned: success
  type: str
  sample: sha256:af10160a9d
bytes:
  description: Size of the file in bytes.
  returned: when the file exists and, in check mode, would not change
  type: int
  sample: 318767104
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
            format={"type": "str", "choices": ["vmdk", "ova", "vhd", "vhd_fixed", "vhdx", "raw", "qcow2"]},
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
