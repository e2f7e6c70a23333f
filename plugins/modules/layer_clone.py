#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clone layer versions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layer_clone
short_description: Clone layer versions
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Creates a version of a layer with the content of another version of the same kind. The layer is created if it does not exist.
  - The clone shares all data with its source, so that it needs almost no space. It has a manifest and a digest of its own, keeps the script
    and the layers that its source was built for and on, and remains if the source is deleted.
  - An app or platform layer can be used only with the OS layer that it was built for, not with a clone of that OS layer.
options:
  kind:
    description: The kind of layer.
    type: str
    choices: [os, app, platform]
    required: true
  name:
    description: Name of the layer that gets the clone. It may be the name of the source, if O(version) differs.
    type: str
    required: true
  version:
    description: Version of the clone.
    type: str
    required: true
  clone_from:
    description: The source of the clone. If the clone exists, the source is compared with what was cloned.
    type: dict
    required: true
    suboptions:
      name:
        description: Name of the layer.
        type: str
        required: true
      version:
        description: Version of the layer. The newest deployable version if not given, or if V(latest).
        type: str
  description:
    description: Purpose of the layer. A new layer gets the description of its source if not given.
    type: str
  version_description:
    description: What distinguishes this version. That of the source if not given.
    type: str
  priority:
    description: Priority of an app layer. A new layer gets the priority of its source if not given.
    type: int
  icon:
    description: A PNG or JPEG file on the composer. A new layer gets the icon of its source if not given.
    type: path
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.attributes
seealso:
  - module: strata.layering.layer_metadata
  - module: strata.layering.layer_cleanup
  - module: strata.layering.app_layer
"""

EXAMPLES = r"""
- name: Clone an app layer, to try other settings
  strata.layering.layer_clone:
    repository: /srv/layers
    kind: app
    name: Tool for tests
    version: "2.1"
    clone_from:
      name: Tool
      version: "2.1"
    description: Copy of Tool with other settings
"""

RETURN = r"""
layer:
  description: The layer with the clone.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the layer.
      type: str
    kind:
      description: The kind of layer, V(os), V(app) or V(platform).
      type: str
    version:
      description: Name of the version.
      type: str
    description:
      description: Purpose of the layer.
      type: str
    version_description:
      description: What distinguishes this version.
      type: str
    digest:
      description: Digest of the version, null in check mode if the clone does not exist.
      type: str
    size:
      description: The number of bytes that the clone adds to the repository.
      type: int
    cloned_from:
      description: The source of the clone.
      type: dict
      contains:
        kind:
          description: The kind of layer.
          type: str
        name:
          description: Name of the layer.
          type: str
        version:
          description: Name of the version.
          type: str
        digest:
          description: Digest of the version.
          type: str
  sample:
    name: Tool for tests
    kind: app
    version: "2.1"
    description: Copy of Tool with other settings
    version_description: ""
    digest: sha256:77aa0d12
    size: 1893
    cloned_from:
      kind: app
      name: Tool
      version: "2.1"
      digest: sha256:9a6b01cc
"""

from ..module_utils.common.arguments import layer_clone_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(argument_spec=layer_clone_arguments(), supports_check_mode=True)
    from ..module_utils.operations.layer_clone import LayerCloneOptions, ensure_layer_clone

    run(module, lambda: ensure_layer_clone(LayerCloneOptions.from_params(module.params), check_mode=module.check_mode))


if __name__ == "__main__":
    main()
