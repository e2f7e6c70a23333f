#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep the repository of layers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: repository
short_description: Create, verify or clean up the repository of layers
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - The repository is a folder, an OCI image layout with a catalogue, that holds layers, templates and images.
options:
  state:
    description:
      - V(present) creates the repository when it does not exist.
      - V(verified) reads every blob and compares it with its digest; damage is an error that lists it.
      - V(collected) removes what no layer and no image needs any more, and what killed processes left behind.
    type: str
    choices: [present, verified, collected]
    default: present
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.attributes
"""

EXAMPLES = r"""
- name: Create the repository
  strata.layering.repository:
    repository: /srv/layers

- name: Read everything again
  strata.layering.repository:
    repository: /srv/layers
    state: verified
"""

RETURN = r"""
freed:
  description: Bytes that were freed, or in check mode would be.
  returned: when O(state=collected)
  type: int
damaged:
  description: The blobs that are missing or are not what their digests say. Empty when the module succeeds.
  returned: when O(state=verified)
  type: list
  elements: dict
blobs:
  description: How many blobs were read.
  returned: when O(state=verified)
  type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common.arguments import change_arguments
from ..module_utils.common.module_runner import run
from ..module_utils.operations.repository import ensure_repository


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            change_arguments(),
            state={"type": "str", "choices": ["present", "verified", "collected"], "default": "present"},
        ),
        supports_check_mode=True,
    )
    run(module, lambda: ensure_repository(module.params, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
