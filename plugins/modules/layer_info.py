#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List layers and their versions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layer_info
short_description: List layers and their versions
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Lists the OS, app and platform layers of a repository. The versions of each layer are sorted, oldest first.
options:
  name:
    description: List only the layers with this name.
    type: str
  kind:
    description: List only layers of this kind. V(app) and V(app_layer) are the same, and so are the names of the other kinds.
    type: str
    choices: [os, app, platform, os_layer, app_layer, platform_layer]
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.attributes.info
seealso:
  - module: strata.layering.os_layer
  - module: strata.layering.app_layer
  - module: strata.layering.platform_layer
"""

EXAMPLES = r"""
- name: List the versions of an OS layer
  strata.layering.layer_info:
    repository: /srv/layers
    name: Windows 11
    kind: os
"""

RETURN = r"""
layers:
  description: The layers, sorted by kind and name. The C(size) of a version is in bytes.
  returned: always
  type: list
  elements: dict
  sample:
    - name: Windows 11
      kind: os
      description: Windows 11 Enterprise for all desktops
      versions:
        - version: 23H2-2026.11
          digest: sha256:6cc4d9a1
          status: Deployable
          size: 9663676416
"""

from ..module_utils.common.arguments import repository_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            repository_arguments(),
            name={"type": "str"},
            kind={"type": "str", "choices": ["os", "app", "platform", "os_layer", "app_layer", "platform_layer"]},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.info import InfoOptions, layer_info

    run(module, lambda: layer_info(InfoOptions.from_params(module.params)))


if __name__ == "__main__":
    main()
