#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep versions of an OS layer, made from exported OS machines."""

from __future__ import annotations

DOCUMENTATION = r"""
module: os_layer
short_description: Keep an OS layer and its versions, made from an OVF package
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Imports an OS machine that was exported as an OVF package (see M(strata.layering.ovf_export)) as a version of an OS layer.
  - The package's manifest is checked, the Windows disk is examined, its file system is grown to O(max_layer_size_gb), and what Windows has free is left out.
  - A version is immutable. Importing it again from the same package changes nothing; from another package it is an error.
options:
  max_layer_size_gb:
    description: Size of the Windows disk in GiB. The file system is grown to it; it cannot be shrunk.
    type: int
    default: 100
  connector:
    description: Name of the connector through which the layer's machines are created by default.
    type: str
  file_share:
    description:
      - The folder below which OVF packages are, as the composer sees it, or C(//server/share/path) to speak to the server directly.
      - Required with O(packaging_disk).
    type: path
  packaging_disk:
    description:
      - The OVF file, relative to O(file_share).
      - Required when O(state=present) and the version does not exist.
    type: str
  readiness:
    description:
      - What to do when the disk is a sound Windows disk but not in a state that makes a good layer.
      - V(enforce) refuses it, V(warn) imports it with warnings, V(ignore) imports it in silence.
    type: str
    choices: [enforce, warn, ignore]
    default: warn
  state:
    description: Whether the version exists. A version that an image template uses or that app layers need cannot be removed.
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
  description: The layer version.
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
  description: Named checks of the Windows on the disk, each with its result, what was found and what to do.
  returned: when the version exists or was imported
  type: list
  elements: dict
  sample:
    - name: vmxnet3
      result: pass
      found: the driver service vmxnet3ndis6 is installed
      action: ''
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common.arguments import change_arguments, layer_arguments, share_arguments
from ..module_utils.common.module_runner import run_watched
from ..module_utils.operations.os_layer import ensure_os_layer


def main() -> None:
    module = AnsibleModule(
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
    run_watched(
        module, lambda progress: ensure_os_layer(module.params, check_mode=module.check_mode, progress=progress)
    )


if __name__ == "__main__":
    main()
