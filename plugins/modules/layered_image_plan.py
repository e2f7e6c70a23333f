#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plan a layered image and show conflicts between its layers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layered_image_plan
short_description: Plan a layered image and show conflicts between its layers
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Reads the file indexes and the registry changes of a template's layers, without composing the image, and reports the files and registry
    keys on which layers contradict each other.
  - A layer may override files of its prerequisites; this is not reported as a conflict.
  - Files that a layer contains although the OS layer has changed them since the OS layer version for which the layer was built are listed
    separately.
  - A warning reports 8.3 names (such as C(STRATA~1)) that several layers assign to different files of a folder, because programs may use
    such paths. The OS layer or the lowest layer keeps the name; the files of the other layers lose it.
options:
  template:
    description: Name of the image template.
    type: str
    required: true
  paths:
    description: Paths on drive C for which to report the layers that provide, change or remove them.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.attributes.info
seealso:
  - module: strata.layering.image_template
  - module: strata.layering.layered_image_publish
"""

EXAMPLES = r"""
- name: Refuse an image with conflicts or outdated files
  strata.layering.layered_image_plan:
    repository: /srv/layers
    template: office-desktop
    paths:
      - Windows\System32\shared.dll
  register: plan
  failed_when: plan.counts.conflicts or plan.counts.outdated
"""

RETURN = r"""
counts:
  description: The number of files that the layers contribute to the image, of conflicts, registry findings, outdated files and lost 8.3 names.
  returned: always
  type: dict
  sample:
    files: 1200
    conflicts: 1
    registry: 0
    outdated: 0
    short_names: 0
conflicts:
  description: Paths on which layers contradict each other.
  returned: always
  type: list
  elements: dict
  sample:
    - path: Program Files/Common Files/shared.dll
      outcome: brings
      winner: app layer Tool 2.1
      losers:
        - app layer Reader 11.0
registry:
  description: Registry keys and values on which layers contradict each other, and lists and counters that were merged.
  returned: always
  type: list
  elements: dict
outdated:
  description: >-
    Files of layers that the OS layer has changed since the OS layer version for which the layer was built. RV(conflicts), RV(layers) and
    RV(provenance) show the result of the template's option C(outdated_files); with V(fail), they show the files of the layers.
  returned: always
  type: list
  elements: dict
short_names:
  description: The 8.3 names that files lose because a different file of the same folder (C(holder)) has them.
  returned: always
  type: list
  elements: dict
  sample:
    - path: Program Files/Strata Writer
      short_name: STRATA~1
      layer: app layer Writer 2.1
      holder: Strata Reader
layers:
  description: The layers in the order in which they are applied, with the content of each layer and the number of its files that win.
  returned: always
  type: list
  elements: dict
provenance:
  description: For each of O(paths), the layers that provide, change or remove it. The last layer wins.
  returned: always
  type: dict
content_digest:
  description: The digest of all inputs that determine the content of the image.
  returned: always
  type: str
"""

from ..module_utils.common.arguments import repository_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            repository_arguments(),
            template={"type": "str", "required": True},
            paths={"type": "list", "elements": "str", "default": []},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.layered_image_plan import LayeredImagePlanOptions, layered_image_plan

    run(module, lambda: layered_image_plan(LayeredImagePlanOptions.from_params(module.params)))


if __name__ == "__main__":
    main()
