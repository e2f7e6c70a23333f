#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Export a virtual machine as an OVF package."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ovf_export
short_description: Export a virtual machine as an OVF package to a file share
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Writes the machine's disks, an OVF descriptor and a SHA-256 manifest into a folder of the share.
  - A machine that has not changed since it was exported is not exported again. An export that was cut off goes on after the last disk that is whole.
options:
  name:
    description: Name, instance UUID or managed object ID of the machine, which must be powered off.
    type: str
    required: true
  datacenter:
    description: Name of the datacenter, where the machine's name is not unique.
    type: str
  folder:
    description: VM folder, relative to the datacenter's VM folder, where the machine's name is not unique.
    type: str
  snapshot:
    description: Name of a snapshot to export instead of the machine's present state.
    type: str
  file_share:
    description:
      - The folder in which the package's folder is made, as the composer sees it.
      - C(//server/share/path), with slashes or backslashes, is spoken to directly over SMB and needs no mount. C(//server:port/share) names another port.
    type: path
    required: true
  package:
    description: Name of the package and of its folder. The machine's name if not given.
    type: str
  repository:
    description:
      - A repository in whose audit history the export is noted.
      - If not set, the environment variable E(STRATA_REPOSITORY) is used. Without either nothing is noted.
    type: path
  comment:
    description: Why the machine is exported. It is kept in the repository's audit history.
    type: str
extends_documentation_fragment:
  - strata.layering.vsphere
  - strata.layering.vsphere.connection
  - strata.layering.file_share
  - strata.layering.attributes
seealso:
  - module: strata.layering.os_layer
"""

EXAMPLES = r"""
- name: Export the OS machine
  strata.layering.ovf_export:
    name: win11-os
    file_share: /mnt/layers
    hostname: vcenter.example.com
    username: layering@vsphere.local
    password: "{{ vault_vcenter_password }}"
"""

RETURN = r"""
packaging_disk:
  description: The OVF file, relative to O(file_share), as M(strata.layering.os_layer) takes it.
  returned: always
  type: str
  sample: win11-os/win11-os.ovf
files:
  description: The package's files with their sizes in bytes and SHA-256 digests.
  returned: when not in check mode, or when the package exists
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common.arguments import change_arguments, connection_of, share_arguments, vsphere_arguments
from ..module_utils.common.module_runner import run_watched
from ..module_utils.operations.ovf_export import ensure_ovf_package


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            vsphere_arguments(),
            **change_arguments(required=False),
            **share_arguments(),
            name={"type": "str", "required": True},
            datacenter={"type": "str"},
            folder={"type": "str"},
            snapshot={"type": "str"},
            file_share={"type": "path", "required": True},
            package={"type": "str"},
        ),
        supports_check_mode=True,
    )
    run_watched(
        module,
        lambda progress: ensure_ovf_package(
            module.params, connection=connection_of(module.params), check_mode=module.check_mode, progress=progress
        ),
    )


if __name__ == "__main__":
    main()
