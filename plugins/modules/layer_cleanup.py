#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Delete layer versions by rule."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layer_cleanup
short_description: Delete layer versions by rule
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Deletes versions of layers that are not needed any more. A version is deleted if every rule that is set allows it.
  - A version always stays while an image template, a published image, a publish task that has not ended, a packaging machine, or a layer
    version that stays needs it. The newest deployable version of each layer always stays.
  - In check mode, the module reports which versions it would delete, and why each other version stays.
  - The data of deleted versions is removed by M(strata.layering.repository) with O(strata.layering.repository#module:state=collected).
options:
  kinds:
    description: The kinds of layers to which the rules apply.
    type: list
    elements: str
    choices: [os, app, platform]
    default: [os, app, platform]
  names:
    description: Patterns of layer names to which the rules apply, such as V(Office*). Case matters.
    type: list
    elements: str
    default: ["*"]
  exclude:
    description: Patterns of layer names to which the rules do not apply.
    type: list
    elements: str
    default: []
  keep_newest:
    description:
      - The number of the newest deployable versions of each layer that stay, at least 1.
      - If it is the only rule, all other versions are deleted that are not needed.
    type: int
  unused_for_days:
    description:
      - Only versions are deleted that were created and used last at least this number of days ago. V(0) deletes versions of any age.
      - The last use is the latest of these times - an image with the version was published, Horizon stopped using such an image, the image
        was deleted, or an image template was changed to or from the version.
    type: int
  never_used:
    description:
      - Whether only versions are deleted that were never part of a published image.
      - The audit history and the records of images decide. The audit history of earlier versions of this collection does not name the layers
        of images.
      - Not set is the same as V(false), which is not a rule.
    type: bool
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.attributes
seealso:
  - module: strata.layering.repository
  - module: strata.layering.layer_info
"""

EXAMPLES = r"""
- name: Keep the three newest versions of each layer, and versions that were used within 90 days
  strata.layering.layer_cleanup:
    repository: /srv/layers
    keep_newest: 3
    unused_for_days: 90
  register: cleanup

- name: Delete drafts that no image ever contained
  strata.layering.layer_cleanup:
    repository: /srv/layers
    kinds: [app]
    names: ["*-test"]
    unused_for_days: 14
    never_used: true
"""

RETURN = r"""
removed:
  description: The versions that were deleted, or in check mode would be deleted.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of layer, V(os), V(app) or V(platform).
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
    size:
      description: The number of bytes that the version added to the repository.
      type: int
    created:
      description: When the version was created.
      type: str
    last_used:
      description: When the version was used last, null if no use is known.
      type: str
kept:
  description: The versions to which the rules apply and that stay.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of layer, V(os), V(app) or V(platform).
      type: str
    name:
      description: Name of the layer.
      type: str
    version:
      description: Name of the version.
      type: str
    reasons:
      description: Why the version stays.
      type: list
      elements: dict
      contains:
        reason:
          description:
            - V(newest), one of the newest versions; V(in_use), objects need it; V(needed), layer versions that stay were built on it;
              V(recent), it was created or used recently; V(was_used), it was part of an image.
          type: str
        objects:
          description: The objects that need the version.
          type: list
          elements: dict
          contains:
            kind:
              description: The kind of object, such as V(image_template), V(image), V(task), V(packaging) or V(app_layer).
              type: str
            name:
              description: Name of the object.
              type: str
reclaimable:
  description:
    - The number of bytes that M(strata.layering.repository) with O(strata.layering.repository#module:state=collected) frees because of
      this. Data that other versions share is not counted.
  returned: success
  type: int
"""

from ..module_utils.common.arguments import layer_cleanup_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=layer_cleanup_arguments(),
        required_one_of=[("keep_newest", "unused_for_days", "never_used")],
        supports_check_mode=True,
    )
    from ..module_utils.operations.layer_cleanup import LayerCleanupOptions, clean_up_layers

    run(module, lambda: clean_up_layers(LayerCleanupOptions.from_params(module.params), check_mode=module.check_mode))


if __name__ == "__main__":
    main()
