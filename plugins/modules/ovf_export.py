#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Export a VM as an OVF package."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ovf_export
short_description: Export a VM as an OVF package
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Writes the disks of the VM, an OVF descriptor and a SHA-256 manifest to a folder of the share.
  - A VM that has not changed since its last export is not exported again. An interrupted export resumes after the last complete disk.
  - The VM counts as unchanged if its configuration is the same and its disks are proven unchanged. The proof is the content ID of each disk, and that vCenter
    has no newer power-on of the VM. For a disk without a content ID it is the last power-on and the sizes of the files. Without a proof, for example if
    vCenter has removed its events, the VM is exported again.
  - A record next to the package (C(<package>.export.json)) contains the VM. The package of a different VM, and files without such a record,
    are never replaced. A VM that was deleted and created again under the same name replaces the package of the deleted VM.
options:
  name:
    description: Name, instance UUID or managed object ID of the VM. The VM must be powered off.
    type: str
    required: true
  datacenter:
    description: Name of the datacenter, if the name of the VM is not unique.
    type: str
  folder:
    description: VM folder, relative to the VM folder of the datacenter, if the name of the VM is not unique.
    type: str
  snapshot:
    description: Name of a snapshot to export instead of the current state of the VM.
    type: str
  file_share:
    description:
      - The folder in which the folder of the package is created. Either a folder on the composer, or C(//server/share/path) to connect to
        the server over SMB without a mount.
      - Slashes and backslashes are equivalent. C(//server:port/share) selects a port other than 445.
    type: path
    required: true
  package:
    description: Name of the package and of its folder. The name of the VM if not given.
    type: str
  repository:
    description:
      - A repository whose audit history records the export.
      - If not set, the environment variable E(STRATA_REPOSITORY) is used. Without either, the export is not recorded.
    type: path
  comment:
    description: The reason for the export. It is stored in the audit history of the repository.
    type: str
extends_documentation_fragment:
  - strata.layering.vsphere
  - strata.layering.vsphere.connection
  - strata.layering.vsphere.transfer
  - strata.layering.file_share
  - strata.layering.attributes
seealso:
  - module: strata.layering.os_layer
  - name: File shares
    description: Mounted shares, SMB servers, credentials and permissions.
    link: https://github.com/strata/layering/blob/main/docs/file-shares.md
"""

EXAMPLES = r"""
- name: Export the OS machine
  strata.layering.ovf_export:
    name: win11-os
    file_share: /mnt/layers
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
  register: exported

- name: Export a snapshot of the OS machine to an SMB share
  strata.layering.ovf_export:
    name: win11-os
    snapshot: ready
    package: win11-os-2026.11
    file_share: //files.example.com/layers/horizon
    file_share_username: EXAMPLE\layering
    file_share_password: "{{ vault_file_share_password }}"
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"

- name: Import the exported OS machine
  strata.layering.os_layer:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.11
    file_share: /mnt/layers
    ovf_package: "{{ exported.ovf_package }}"
"""

RETURN = r"""
ovf_package:
  description: The OVF file, relative to O(file_share), as a value for the option O(strata.layering.os_layer#module:ovf_package).
  returned: success
  type: str
  sample: win11-os/win11-os.ovf
packaging_disk:
  description: The same value as RV(ovf_package).
  returned: success
  type: str
  sample: win11-os/win11-os.ovf
files:
  description: The files of the package, without the manifest.
  returned: when not in check mode, or when the package exists
  type: list
  elements: dict
  contains:
    name:
      description: Name of the file.
      type: str
      sample: win11-os-disk1.vmdk
    size:
      description: Size of the file in bytes.
      type: int
      sample: 9663676416
    sha256:
      description: SHA-256 digest of the file in hexadecimal digits.
      type: str
      sample: 6c2e3b6ee4f73ee1eeb3ec77b701517e787feed499c7b8bc81f48bd0d91e6308
"""

from ..module_utils.common.arguments import (
    change_arguments,
    share_arguments,
    transfer_arguments,
    vsphere_arguments,
)
from ..module_utils.common.module_runner import LayeringModule, run_watched


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            vsphere_arguments(),
            **change_arguments(required=False),
            **share_arguments(),
            **transfer_arguments(),
            name={"type": "str", "required": True},
            datacenter={"type": "str"},
            folder={"type": "str"},
            snapshot={"type": "str"},
            file_share={"type": "path", "required": True},
            package={"type": "str"},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.ovf_export import OvfExportOptions, ensure_ovf_package

    run_watched(
        module,
        lambda progress: ensure_ovf_package(
            OvfExportOptions.from_params(module.params), check_mode=module.check_mode, progress=progress
        ),
    )


if __name__ == "__main__":
    main()
