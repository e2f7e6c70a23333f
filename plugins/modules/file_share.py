#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a file share and keep its folders."""

from __future__ import annotations

DOCUMENTATION = r"""
module: file_share
short_description: Check a file share and keep its folders
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Makes sure that the share on which OVF packages and packaged disks are kept can be reached and written to, has room, and has its folders.
  - It never mounts anything. A share that is given as C(//server/share/path) is spoken to directly; everything else is a folder that must be there.
options:
  file_share:
    description:
      - The share, a folder as the composer sees it, such as a mounted SMB or NFS share, or C(//server/share/path) to speak to the server directly.
      - Slashes and backslashes are the same. C(//server:port/share) names another port than 445.
      - Symbolic links on the server and DFS namespaces are not followed.
    type: path
    required: true
  folders:
    description: Folders of the share, relative to it. Those above them are made where they are missing.
    type: list
    elements: str
    default: []
  minimum_free_gb:
    description: How much room the share must have, in GiB. Less is an error. Only used when O(state=present).
    type: int
  repository:
    description:
      - A repository in whose audit history changes are noted.
      - If not set, the environment variable E(STRATA_REPOSITORY) is used. Without either nothing is noted.
    type: path
  comment:
    description: Why this change is made. It is kept in the repository's audit history.
    type: str
  state:
    description: Whether O(folders) exist. Only empty folders are removed; the share itself never is.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - strata.layering.file_share
  - strata.layering.attributes
seealso:
  - module: strata.layering.ovf_export
  - module: strata.layering.os_layer
"""

EXAMPLES = r"""
- name: The share of OVF packages is ready for an export
  strata.layering.file_share:
    file_share: //files.example.com/layers/horizon
    file_share_username: EXAMPLE\layering
    file_share_password: "{{ vault_file_share_password }}"
    folders: [packages, icons]
    minimum_free_gb: 200
"""

RETURN = r"""
file_share:
  description:
    - The share, its bytes free for this user and in all, and for one that is spoken to directly the SMB dialect and whether messages are encrypted.
  returned: success
  type: dict
  sample:
    location: //files.example.com/layers/horizon
    free_bytes: 549755813888
    total_bytes: 1099511627776
    dialect: 3.1.1
    encrypted: true
folders:
  description: The folders that exist, or in check mode would exist, of those that were named.
  returned: success
  type: list
  elements: str
  sample: [//files.example.com/layers/horizon/packages, //files.example.com/layers/horizon/icons]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common.arguments import change_arguments, share_arguments
from ..module_utils.common.module_runner import run
from ..module_utils.operations.file_share import ensure_file_share


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            change_arguments(required=False),
            **share_arguments(),
            file_share={"type": "path", "required": True},
            folders={"type": "list", "elements": "str", "default": []},
            minimum_free_gb={"type": "int"},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        ),
        supports_check_mode=True,
    )
    run(module, lambda: ensure_file_share(module.params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
