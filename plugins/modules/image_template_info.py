#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List image templates."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_template_info
short_description: List image templates
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Lists the image templates of a repository.
options:
  name:
    description: List only the template with this name.
    type: str
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.attributes.info
seealso:
  - module: strata.layering.image_template
"""

EXAMPLES = r"""
- name: List all templates
  strata.layering.image_template_info:
    repository: /srv/layers
"""

RETURN = r"""
templates:
  description: The templates, sorted by name.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the template.
      type: str
    description:
      description: Purpose of the image.
      type: str
    layers:
      description: The layer versions in the order in which they are applied.
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
    os_layer:
      description: The OS layer version.
      type: dict
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
    app_layers:
      description: The app layer versions in the order in which they are applied.
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
    platform_layer:
      description: The platform layer version, null if there is none.
      type: dict
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
    connector:
      description: Name of the connector.
      type: str
    disk_size_gb:
      description: Size of the disk in GiB, null for the size of the OS layer.
      type: int
    vm_name:
      description: Prefix of the names of published VMs.
      type: str
    publish_mode:
      description: V(automatic) or V(manual).
      type: str
    outdated_files:
      description: The file that wins if the OS layer has changed a file of a layer.
      type: str
    registry_lists:
      description: Registry values that several layers change, and how to merge them.
      type: list
      elements: dict
      contains:
        hive:
          description: The hive, such as C(SOFTWARE).
          type: str
        key:
          description: Pattern of registry keys.
          type: str
        value:
          description: Pattern of the names of registry values.
          type: str
        kind:
          description: The kind of list, which says how the lists of the layers are merged.
          type: str
        separator:
          description: The separator of a list in a string.
          type: str
        advice:
          description: The recommended action if the layers contradict each other.
          type: str
    icon:
      description: The digest of the icon, null if there is none.
      type: str
    script:
      description: The script with C(name), C(digest) and C(size), null if there is none.
      type: dict
      contains:
        name:
          description: Name of the file.
          type: str
        digest:
          description: Digest of the content.
          type: str
        size:
          description: Size in bytes.
          type: int
    created:
      description: When the template was created.
      type: str
    former_names:
      description: The names that the template had.
      returned: if the template was renamed
      type: list
      elements: str
    content_digest:
      description: The digest of all inputs that determine the content of the image.
      type: str
    image_digest:
      description: The digest of all inputs that determine the published VM. The name of the VM ends with a part of it.
      type: str
    problem:
      description: Why the layers or the connector cannot be found, null if they can. If it is set, digests and C(layers) are missing.
      type: str
"""

from ..module_utils.common.arguments import repository_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            repository_arguments(),
            name={"type": "str"},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.info import InfoOptions, image_template_info

    run(module, lambda: image_template_info(InfoOptions.from_params(module.params)))


if __name__ == "__main__":
    main()
