#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show what an image would be put together from."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layered_image_plan
short_description: Show which layer wins each contested file and key of an image, and who loses
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Reads the file indexes and registry changes of a template's layers, without composing anything, and tells where layers contradict each other.
  - What a layer does to files of layers that were on the machine in which it was made (its prerequisites) was meant and is no conflict.
  - Files that a layer brings although the OS layer has changed them since the version that the layer was made for stand out by themselves.
  - A warning tells of 8.3 names (such as C(STRATA~1)) that several layers give to different files of a folder, because programs may
    use paths in that form. The file of the OS layer or of the lowest layer gets it, the others go without.
options:
  template:
    description: Name of the image template.
    type: str
    required: true
  paths:
    description: Paths on drive C of which to tell which layers say something about them.
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
- name: Refuse an image with contested files
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
  description: How many files the layers bring in the end, and how many conflicts, registry findings, outdated files and 8.3 names that are taken there are.
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
  description: Keys and values on which layers contradict each other, and lists and counters that were joined.
  returned: always
  type: list
  elements: dict
outdated:
  description: >-
    Files of layers that the OS layer has changed since the version that the layer was made for. Conflicts, layers and provenance
    follow what the template's outdated_files makes of them; where that is V(fail), they show the layers' files.
  returned: always
  type: list
  elements: dict
short_names:
  description: The 8.3 names that files do not get because another file of their folder (C(holder)) has them.
  returned: always
  type: list
  elements: dict
  sample:
    - path: Program Files/Strata Writer
      short_name: STRATA~1
      layer: app layer Writer 2.1
      holder: Strata Reader
layers:
  description: The layers in the order in which they are applied, with what each brings and how many of its files win.
  returned: always
  type: list
  elements: dict
provenance:
  description: For each of O(paths), the layers that say something about it. The last one counts.
  returned: always
  type: dict
content_digest:
  description: The digest over everything that decides the image's content.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common.arguments import repository_arguments
from ..module_utils.common.module_runner import run
from ..module_utils.operations.layered_image_plan import layered_image_plan


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            repository_arguments(),
            template={"type": "str", "required": True},
            paths={"type": "list", "elements": "str", "default": []},
        ),
        supports_check_mode=True,
    )
    run(module, lambda: layered_image_plan(module.params))


if __name__ == "__main__":
    main()
