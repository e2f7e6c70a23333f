#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage platform layers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_layer
short_description: Manage platform layers
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - A platform layer contains software that depends on the platform on which an image runs, such as the agents of a connection broker.
  - A platform layer is always applied last and wins over all other layers.
  - A version belongs to one version of an OS layer. For a different version of the OS layer, create a new version or confirm the existing
    version with O(confirmed_for).
options:
  confirmed_for:
    description: Additional versions of the OS layer for which this version was tested and confirmed.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - strata.layering.layer
  - strata.layering.layer.software
  - strata.layering.layer.prerequisites
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.file_share
  - strata.layering.attributes
seealso:
  - module: strata.layering.image_template
  - module: strata.layering.layer_info
  - module: strata.layering.packaging_machine
  - name: Capture
    description: How the changes of an installer become a layer.
    link: https://github.com/strata/layering/blob/main/docs/capture.md
"""

EXAMPLES = r"""
- name: Create a platform layer from a folder
  strata.layering.platform_layer:
    repository: /srv/layers
    name: Horizon Agent
    version: "2.1"
    os_layer:
      name: Windows 11
    files: /srv/packages/agent
    delete:
      - Program Files\Agent\legacy.dll
    comment: CHG-1042

- name: Capture a platform layer from the disk of a packaging machine
  strata.layering.platform_layer:
    repository: /srv/layers
    name: Horizon Agent
    version: "2412"
    os_layer:
      name: Windows 11
      version: 23H2-2026.11
    packaged_disk: /mnt/layers/Horizon-Agent-2412-packaging/Horizon-Agent-2412-packaging.ovf
    script: /srv/packages/agent-first-start.cmd

- name: Confirm a version for a newer version of the OS layer
  strata.layering.platform_layer:
    repository: /srv/layers
    name: Horizon Agent
    version: "2412"
    confirmed_for:
      - 23H2-2026.12

- name: Create a platform layer that only changes settings
  strata.layering.platform_layer:
    repository: /srv/layers
    name: Agent settings
    version: "1"
    os_layer:
      name: Windows 11
    registry:
      - /srv/packages/agent.reg

- name: Delete all versions of a platform layer
  strata.layering.platform_layer:
    repository: /srv/layers
    name: Old agent
    state: absent
"""

RETURN = r"""
layer:
  description: The layer version.
  returned: when O(state=present)
  type: dict
  contains:
    name:
      description: Name of the layer.
      type: str
    kind:
      description: The kind of layer, always V(platform).
      type: str
    description:
      description: Description of the layer.
      type: str
    icon:
      description: Digest of the icon, null without an icon.
      type: str
    version:
      description: Name of the version.
      type: str
    version_description:
      description: Description of the version.
      type: str
    digest:
      description: Digest of the version. In check mode, null for a version that would be created.
      type: str
    content_digest:
      description: Digest of the content, without file times unless they are kept.
      type: str
    status:
      description: V(Deployable) if image templates can use the version.
      type: str
    size:
      description: Size of the version in the repository in bytes.
      type: int
    created:
      description: Time when the version was created (UTC).
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
    os_layer:
      description: The OS layer version for which the version was built.
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
      description: The same value as RV(changes).
      type: dict
  sample:
    name: Horizon Agent
    version: "2.1"
    kind: platform
    digest: sha256:6cc4d9a1
    status: Deployable
    size: 73400320
changes:
  description:
    - The number of files and folders that the version contains, of the paths that it removes, of the bytes in its files, and of the
      registry keys and values that it changes.
  returned: when O(state=present)
  type: dict
  sample:
    files: 12
    directories: 3
    removed: 1
    bytes: 73400320
    keys: 4
    values: 11
detail:
  description: For a captured layer, the number of files, folders, keys and values that were added, changed and removed.
  returned: when a version was captured
  type: dict
gate:
  description: The checks of the packaging machine, each with its result, the value found and the recommended action.
  returned: when a version was captured
  type: list
  elements: dict
  contains:
    name:
      description: Name of the check.
      type: str
    result:
      description: V(pass), V(warn) or V(fail).
      type: str
    found:
      description: The value that was found.
      type: str
    action:
      description: The recommended action, empty if the check passed.
      type: str
hazards:
  description: Content of the captured layer that may not work in a layer, with the recommended action.
  returned: when a version was captured
  type: list
  elements: dict
  contains:
    name:
      description: Name of the check.
      type: str
    result:
      description: V(pass), V(warn) or V(fail).
      type: str
    found:
      description: The value that was found.
      type: str
    action:
      description: The recommended action, empty if the check passed.
      type: str
left_out:
  description: Changes that were left out of the captured layer, with the reason and examples.
  returned: when a version was captured
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of change, such as V(file), V(removal), V(metadata), V(key) or V(value).
      type: str
    reason:
      description: The reason, such as the C(reason) of an exclusion.
      type: str
    count:
      description: Number of changes.
      type: int
    examples:
      description: Paths of some of the changes.
      type: list
      elements: str
    rules:
      description: The patterns of the exclusions.
      type: list
      elements: str
noise_profile:
  description: Digest of the noise profile that the capture used, null if it used none.
  returned: when a version was captured
  type: str
"""

from ..module_utils.common.arguments import platform_layer_arguments
from ..module_utils.common.module_runner import LayeringModule, run_watched


def main() -> None:
    module = LayeringModule(
        argument_spec=platform_layer_arguments(),
        required_if=[("state", "present", ("version",))],
        supports_check_mode=True,
    )
    from ..module_utils.operations.platform_layer import PlatformLayerOptions, ensure_platform_layer

    run_watched(
        module,
        lambda progress: ensure_platform_layer(
            PlatformLayerOptions.from_params(module.params), check_mode=module.check_mode, progress=progress
        ),
    )


if __name__ == "__main__":
    main()
