#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage image templates."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_template
short_description: Manage image templates
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - An image template combines an OS layer version with app layer versions and names the connector through which the image is published.
  - Changing a template does not publish the image; use M(strata.layering.layered_image_publish) to publish it.
options:
  name:
    description: Name of the template.
    type: str
    required: true
  clone_from:
    description:
      - The template to clone, if O(name) does not exist. Options that are not set are copied, also O(script) and O(icon), except O(vm_name).
      - If O(name) exists, options that are not set keep their values; the source is not compared again.
      - With this option, O(os_layer) and O(connector) are not required.
    type: str
  rename_from:
    description:
      - The former name of the template. If only the template with the former name exists, it is renamed, with its image records and tasks.
      - The digests of its images do not change, and nothing is published again. If O(vm_name) is not set, the template keeps the former
        prefix of its VM names. VMs in vSphere are not changed.
      - It is an error if both templates exist. A template with a publish task that has not ended cannot be renamed.
    type: str
  description:
    description: Purpose of the image. Empty if not given.
    type: str
  os_layer:
    description:
      - The OS layer version.
      - Required when O(state=present), except with O(clone_from).
    type: dict
    suboptions: &layer_version
      name:
        description: Name of the layer.
        type: str
        required: true
      version:
        description:
          - Version of the layer.
          - V(latest) selects the newest deployable version when the module runs. The template stores the number of that version.
        type: str
        required: true
  app_layers:
    description: The app layer versions, none if not given. The order of this list has no effect; the priorities of the layers decide.
    type: list
    elements: dict
    suboptions: *layer_version
  platform_layer:
    description:
      - The platform layer version, which always wins. It must have been built or confirmed for this version of the OS layer.
    type: dict
    suboptions: *layer_version
  connector:
    description:
      - Name of the connector through which the image is published.
      - Required when O(state=present), except with O(clone_from).
    type: str
  disk_size_gb:
    description: Size of the image's disk in GiB. The size of the OS layer if not given; it cannot be smaller than the OS layer.
    type: int
  vm_name:
    description:
      - Prefix of the names of published VMs. The name of the template if not given, or the prefix of a template that was renamed.
      - The name of a published VM ends with a part of the image digest.
    type: str
  outdated_files:
    description:
      - The file that wins if a layer contains a file that the OS layer has changed since the OS layer version for which the layer was built.
      - V(newest_system), the default, protects files of Windows. For a file below the folder of Windows, the file of the OS layer wins if the layer has it
        without changes, or if Windows servicing owns it and its file version is higher. For all other files, the file of the layer wins.
      - V(layer) selects the file of the layer, V(os) the file of the OS layer, V(newest) the file with the higher file version. V(fail)
        refuses to compose the image.
      - The default was V(layer) in earlier releases. A stored template keeps its value until this module runs for it again. The new default
        changes an image only if one of its layers was built for another version of the OS layer.
      - With V(newest), the file of the OS layer wins if one of the two files is compressed by CompactOS, because its version cannot be read.
    type: str
    choices: [newest_system, layer, os, newest, fail]
  registry_lists:
    description:
      - Registry values that several layers change, in addition to those that the collection knows, and how to merge them.
      - Each entry has C(hive), C(key), C(value) and C(kind), and optionally C(separator) and C(advice), as described in
        C(docs/registry-deltas.md).
    type: list
    elements: dict
  publish_mode:
    description:
      - V(automatic), the default, powers the VM on, waits until Windows has shut down by itself, and takes the snapshot.
      - V(manual) powers the VM on and sets the status of the task to C(ActionRequired). Do your manual work in the VM and shut Windows down.
        The next run of M(strata.layering.layered_image_publish) takes the snapshot.
      - This setting is not part of the image digest; changing it does not republish the image.
    type: str
    choices: [automatic, manual]
  script:
    description:
      - A script on the composer (C(.cmd), C(.bat) or C(.ps1), at most 1 MiB) that runs once, as SYSTEM, when an image starts for the first time.
      - It runs after the scripts of the layers. The script is part of the image digest; a changed script results in a new image.
    type: path
  icon:
    description: A PNG or JPEG file on the composer.
    type: path
  state:
    description:
      - Whether the template exists.
      - Removing a template does not delete its published VMs. A warning names them. To delete them, use
        M(strata.layering.layered_image_publish) with O(strata.layering.layered_image_publish#module:state=absent), before or after.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.attributes
seealso:
  - module: strata.layering.layered_image_publish
  - module: strata.layering.image_template_info
  - name: Registry changes
    description: How registry values that several layers change are merged.
    link: https://github.com/strata/layering/blob/main/docs/registry-deltas.md
"""

EXAMPLES = r"""
- name: Combine Windows with two applications
  strata.layering.image_template:
    repository: /srv/layers
    name: office-desktop
    os_layer:
      name: Windows 11
      version: 23H2-2026.11
    app_layers:
      - name: Tool
        version: "2.1"
      - name: Reader
        version: "11.0"
    connector: desktops

- name: Clone the template for a test of the next version of Windows
  strata.layering.image_template:
    repository: /srv/layers
    name: office-next
    clone_from: office-desktop
    os_layer:
      name: Windows 11
      version: 24H2-2026.12
"""

RETURN = r"""
template:
  description: The template, with the digests of its layer versions.
  returned: when O(state=present)
  type: dict
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
  sample:
    name: office-desktop
    connector: desktops
    vm_name: office-desktop
    image_digest: sha256:1f0c22a1
    layers:
      - kind: os
        name: Windows 11
        version: 23H2-2026.11
        digest: sha256:5d0f8e11
      - kind: app
        name: Tool
        version: "2.1"
        digest: sha256:9a6b01cc
"""

from ..module_utils.common.arguments import image_template_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=image_template_arguments(),
        required_if=[
            ("state", "present", ("os_layer", "clone_from"), True),
            ("state", "present", ("connector", "clone_from"), True),
        ],
        mutually_exclusive=[("clone_from", "rename_from")],
        supports_check_mode=True,
    )
    from ..module_utils.operations.image_template import ImageTemplateOptions, ensure_image_template

    run(
        module,
        lambda: ensure_image_template(
            ImageTemplateOptions.from_params(module.params), check_mode=module.check_mode, diff_mode=module._diff
        ),
    )


if __name__ == "__main__":
    main()
