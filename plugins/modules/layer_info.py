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
  contains:
    name:
      description: Name of the layer.
      type: str
      sample: Windows 11
    kind:
      description: The kind of layer, V(os), V(app) or V(platform).
      type: str
      sample: os
    description:
      description: Description of the layer.
      type: str
    sort_name:
      description: The first name of a renamed layer. App layers of equal priority are applied in the order of these names.
      returned: if the layer was renamed
      type: str
    icon:
      description: Digest of the icon, null without an icon.
      type: str
    priority:
      description: The priority of an app layer.
      type: int
      sample: 500
    connector:
      description: The default connector of an OS layer, null without a connector.
      type: str
    versions:
      description: The versions, oldest first.
      type: list
      elements: dict
      contains:
        version:
          description: Name of the version.
          type: str
          sample: 23H2-2026.11
        version_description:
          description: Description of the version.
          type: str
        digest:
          description: Digest of the version.
          type: str
          sample: sha256:6cc4d9a1c2
        content_digest:
          description: Digest of the content of an app or platform layer, without file times unless they are kept.
          type: str
        status:
          description: V(Deployable) if image templates can use the version.
          type: str
          sample: Deployable
        size:
          description: Size of the version in the repository in bytes.
          type: int
          sample: 9663676416
        size_gb:
          description: Size of the disk of an OS layer in GiB.
          type: int
        created:
          description: Time when the version was created (UTC).
          type: str
          sample: "2026-11-29T23:37:11.956Z"
        source:
          description: The source of the version, such as the folder and registry files, the packaged disk, or the OVF package.
          type: dict
        cloned_from:
          description: The version of which this version is a clone.
          returned: if the version is a clone
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
        script:
          description: The script of the version, null without a script.
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
        windows:
          description: The Windows installation of an OS layer. See M(strata.layering.os_layer).
          type: dict
        noise_profile:
          description: The noise profile of an OS layer version, null without a profile. See M(strata.layering.os_layer).
          type: dict
          contains:
            digest:
              description: Digest of the content of the profile.
              type: str
            size:
              description: Size of the profile in bytes.
              type: int
            source:
              description: The disk of the untouched packaging machine.
              type: dict
            changes:
              description: The numbers of C(paths), C(keys) and C(values) that Windows changes by itself.
              type: dict
            created:
              description: Time when the profile was stored (UTC).
              type: str
        os_layer:
          description: The OS layer version for which an app or platform layer was built.
          type: dict
          contains:
            name:
              description: Name of the OS layer.
              type: str
            version:
              description: Name of the version.
              type: str
        prerequisites:
          description: The app layer versions that the version was built on.
          type: list
          elements: dict
          contains:
            name:
              description: Name of the app layer.
              type: str
            version:
              description: Name of the version.
              type: str
        changes:
          description:
            - What an app or platform layer contains.
            - The numbers of C(files), C(directories), C(removed) paths, C(bytes) in files, and of registry C(keys) and C(values).
          type: dict
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
