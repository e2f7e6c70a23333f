#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage the folders of a file share."""

from __future__ import annotations

DOCUMENTATION = r"""
module: file_share
short_description: Manage the folders of a file share
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Checks that the share for OVF packages and packaged disks is reachable, writable and has enough free space, and creates its folders.
  - The module never mounts a share. It connects to C(//server/share/path) over SMB; any other value is an existing folder on the composer.
options:
  file_share:
    description:
      - The share. Either a folder on the composer, such as a mounted SMB or NFS share, or C(//server/share/path) to connect to the server
        over SMB.
      - Slashes and backslashes are equivalent. C(//server:port/share) selects a port other than 445.
      - Symbolic links on an SMB server and DFS namespaces are not followed.
      - The folder must exist, unless O(create=true).
    type: path
    required: true
  create:
    description:
      - Whether to create the folder in O(file_share) if it does not exist, with missing parent folders. A share of a server is never created.
      - If V(false), a missing folder is an error, because it usually means a missing mount or a misspelled path.
    type: bool
    default: false
  folders:
    description: Folders of the share, relative to it. Missing parent folders are created below the share.
    type: list
    elements: str
    default: []
  minimum_free_gb:
    description: Minimum free space of the share in GiB. Less free space is an error. Only used when O(state=present).
    type: int
  repository:
    description:
      - A repository whose audit history records the changes.
      - If not set, the environment variable E(STRATA_REPOSITORY) is used. Without either, changes are not recorded.
    type: path
  comment:
    description: The reason for the change. It is stored in the audit history of the repository.
    type: str
  state:
    description: Whether O(folders) exist. Only empty folders are removed; the share itself is never removed.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - strata.layering.file_share
  - strata.layering.attributes
seealso:
  - module: strata.layering.ovf_export
  - module: strata.layering.os_layer
  - name: File shares
    description: Mounted shares, SMB servers, credentials and permissions.
    link: https://github.com/strata/layering/blob/main/docs/file-shares.md
"""

EXAMPLES = r"""
- name: Prepare the file share for exports
  strata.layering.file_share:
    file_share: //files.example.com/layers/horizon
    file_share_username: EXAMPLE\layering
    file_share_password: "{{ vault_file_share_password }}"
    folders: [packages, icons]
    minimum_free_gb: 200

- name: Check a mounted share
  strata.layering.file_share:
    file_share: /mnt/layers
    minimum_free_gb: 200

- name: Create the folder of a test environment
  strata.layering.file_share:
    file_share: //files.example.com/layers/test
    create: true

- name: Remove an empty folder of the share
  strata.layering.file_share:
    file_share: /mnt/layers
    folders: [packages]
    state: absent
"""

RETURN = r"""
file_share:
  description: The share.
  returned: success
  type: dict
  contains:
    location:
      description: The location of the share.
      type: str
      sample: //files.example.com/layers/horizon
    free_bytes:
      description: The number of bytes that this user may still write, null if the share does not exist yet.
      type: int
      sample: 549755813888
    total_bytes:
      description: The size of the share in bytes, null if the share does not exist yet.
      type: int
      sample: 1099511627776
    dialect:
      description: The SMB dialect of the connection, null for a folder on the composer.
      type: str
      sample: 3.1.1
    encrypted:
      description: Whether messages of the SMB connection are encrypted, null for a folder on the composer.
      type: bool
      sample: true
folders:
  description: The folders of O(folders) that exist, or in check mode would exist.
  returned: success
  type: list
  elements: str
  sample: [//files.example.com/layers/horizon/packages, //files.example.com/layers/horizon/icons]
"""

from ..module_utils.common.arguments import change_arguments, share_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            change_arguments(required=False),
            **share_arguments(),
            file_share={"type": "path", "required": True},
            create={"type": "bool", "default": False},
            folders={"type": "list", "elements": "str", "default": []},
            minimum_free_gb={"type": "int"},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.file_share import FileShareOptions, ensure_file_share

    run(module, lambda: ensure_file_share(FileShareOptions.from_params(module.params), check_mode=module.check_mode))


if __name__ == "__main__":
    main()
