#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage OS layers and import their versions from OVF packages."""

from __future__ import annotations

DOCUMENTATION = r"""
module: os_layer
short_description: Manage OS layers and import their versions from OVF packages
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Imports an OS machine that was exported as an OVF package (see M(strata.layering.ovf_export)) as a version of an OS layer.
  - The import verifies the manifest of the package, checks the Windows installation on the disk, extends its file system to
    O(max_layer_size_gb), and leaves out the free space of the file system.
options:
  max_layer_size_gb:
    description: Size of the Windows disk in GiB. The file system is extended to this size. It cannot be smaller than the exported disk.
    type: int
    default: 100
  connector:
    description: Name of the connector that is used by default for VMs with this layer.
    type: str
  file_share:
    description:
      - The folder of the OVF packages. Either a folder on the composer, or C(//server/share/path) to connect to the server over SMB.
      - Required with O(packaging_disk).
    type: path
  packaging_disk:
    description:
      - The OVF file, relative to O(file_share).
      - Required when O(state=present) and the version does not exist.
    type: str
  readiness:
    description:
      - The result of failed readiness checks, for a valid Windows disk that is not in a suitable state for a layer.
      - V(enforce) refuses the disk, V(warn) imports it with warnings, V(ignore) imports it without warnings.
    type: str
    choices: [enforce, warn, ignore]
    default: warn
  state:
    description: Whether the version exists. A version that image templates use or that app layers depend on cannot be removed.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - strata.layering.layer
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.file_share
  - strata.layering.attributes
seealso:
  - module: strata.layering.ovf_export
  - module: strata.layering.layer_info
"""

EXAMPLES = r"""
- name: Import the exported OS machine
  strata.layering.os_layer:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.11
    description: Windows 11 Enterprise for all desktops
    max_layer_size_gb: 100
    file_share: /mnt/layers
    packaging_disk: win11-os/win11-os.ovf
    comment: November updates
"""

RETURN = r"""
layer:
  description: The layer version. Its C(size) is in bytes.
  returned: when O(state=present)
  type: dict
  sample:
    name: Windows 11
    version: 23H2-2026.11
    kind: os
    digest: sha256:6cc4d9a1
    status: Deployable
    size: 9663676416
readiness:
  description: The readiness checks of the Windows installation, each with its name, its result, the value found and the recommended action.
  returned: when the version exists or was imported
  type: list
  elements: dict
  sample:
    - name: vmxnet3
      result: pass
      found: the driver service vmxnet3ndis6 is installed
      action: ''
"""

from ..module_utils.common.arguments import change_arguments, layer_arguments, share_arguments
from ..module_utils.common.module_runner import LayeringModule, run_watched


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            change_arguments(),
            **share_arguments(),
            **layer_arguments(),
            max_layer_size_gb={"type": "int", "default": 100},
            connector={"type": "str"},
            file_share={"type": "path"},
            packaging_disk={"type": "str"},
            readiness={"type": "str", "choices": ["enforce", "warn", "ignore"], "default": "warn"},
        ),
        required_if=[("state", "present", ("version",))],
        required_by={"packaging_disk": ("file_share",)},
        supports_check_mode=True,
    )
    from ..module_utils.operations.os_layer import OsLayerOptions, ensure_os_layer

    run_watched(
        module,
        lambda progress: ensure_os_layer(
            OsLayerOptions.from_params(module.params), check_mode=module.check_mode, progress=progress
        ),
    )


if __name__ == "__main__":
    main()
