#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rename layers and edit their metadata."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layer_metadata
short_description: Rename layers and edit metadata
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Renames a layer or a version of it, and edits descriptions, icon, priority and connector. It needs neither a package nor the source of the layer.
  - The content of a version and its digest do not change. No image changes, and nothing is published again.
  - A rename changes everything in the repository that names the layer - image templates, image records, other layer versions, records of
    packaging machines and noise profiles. If it is interrupted, the next run of a module that changes the repository completes it.
  - Change the inventory at the same time. A playbook with the former name creates a layer with this name again.
options:
  kind:
    description: The kind of layer.
    type: str
    choices: [os, app, platform]
    required: true
  name:
    description: Name of the layer. With O(rename_from.name), the new name.
    type: str
    required: true
  version:
    description:
      - Version of the layer. With O(rename_from.version), the new name of the version.
      - Required with O(version_description) and O(rename_from.version).
    type: str
  rename_from:
    description:
      - The former names. If only the object with the former name exists, it is renamed. If only the object with the new name exists, it was
        renamed before. It is an error if both exist.
    type: dict
    suboptions:
      name:
        description: Former name of the layer.
        type: str
      version:
        description: Former name of the version.
        type: str
  description:
    description: Purpose of the layer. An empty text removes it.
    type: str
  version_description:
    description: What distinguishes this version. An empty text removes it.
    type: str
  priority:
    description: Priority of an app layer, a number from 0 to 999999. Changing it may change images.
    type: int
  connector:
    description: The connector that an OS layer remembers.
    type: str
  icon:
    description: A PNG or JPEG file on the composer.
    type: path
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.attributes
seealso:
  - module: strata.layering.layer_clone
  - module: strata.layering.layer_info
  - module: strata.layering.image_template
"""

EXAMPLES = r"""
- name: Rename an app layer
  strata.layering.layer_metadata:
    repository: /srv/layers
    kind: app
    name: Acrobat Reader
    rename_from:
      name: Reader

- name: Correct the name of a version
  strata.layering.layer_metadata:
    repository: /srv/layers
    kind: app
    name: Acrobat Reader
    version: "11.0.23"
    rename_from:
      version: "11.0.32"

- name: Describe a version
  strata.layering.layer_metadata:
    repository: /srv/layers
    kind: os
    name: Windows 11
    version: 23H2-2026.11
    version_description: Updates of November 2026
    comment: CHG-1042
"""

RETURN = r"""
layer:
  description: The layer, with the version if O(version) is set, else with the list of its versions.
  returned: success
  type: dict
  contains:
    name:
      description: Name of the layer.
      type: str
    kind:
      description: The kind of layer, V(os), V(app) or V(platform).
      type: str
    description:
      description: Purpose of the layer.
      type: str
    sort_name:
      description: The first name of a renamed layer. Layers of equal priority are applied in the order of these names.
      returned: if the layer was renamed
      type: str
    icon:
      description: The digest of the icon, null if there is none.
      type: str
    version:
      description: Name of the version.
      returned: when O(version) is set
      type: str
    version_description:
      description: What distinguishes this version.
      returned: when O(version) is set
      type: str
    digest:
      description: Digest of the version, which a rename does not change.
      returned: when O(version) is set
      type: str
    versions:
      description: The names of the versions, oldest first.
      returned: when O(version) is not set
      type: list
      elements: str
  sample:
    name: Acrobat Reader
    kind: app
    description: PDF viewer
    sort_name: Reader
    icon:
    versions: ["11.0.23"]
renamed_in:
  description: The documents in which a rename changed the name, or in check mode would change it. Empty without a rename.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of document, such as V(image_template).
      type: str
    name:
      description: The name of the document.
      type: str
"""

from ..module_utils.common.arguments import layer_metadata_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(argument_spec=layer_metadata_arguments(), supports_check_mode=True)
    from ..module_utils.operations.layer_metadata import LayerMetadataOptions, ensure_layer_metadata

    run(
        module,
        lambda: ensure_layer_metadata(LayerMetadataOptions.from_params(module.params), check_mode=module.check_mode),
    )


if __name__ == "__main__":
    main()
