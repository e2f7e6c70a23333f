#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage app layers and their versions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_layer
short_description: Manage app layers and their versions
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - An app layer contains the files and registry changes of an application. Image templates apply app layers on top of an OS layer.
options:
  priority:
    description:
      - If layers contradict each other, the layer with the higher priority wins.
      - Among layers with the same priority, a layer wins over its prerequisites; otherwise layers are applied in the order of their names.
      - The priority belongs to the layer, not to a version. It is a number from 0 to 999999.
      - A new layer has the priority 500 if not given; an existing layer keeps its priority.
    type: int
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
- name: Create an app layer from a folder
  strata.layering.app_layer:
    repository: /srv/layers
    name: Tool
    version: "2.1"
    os_layer:
      name: Windows 11
    files: /srv/packages/tool-2.1
    delete:
      - Program Files\Tool\legacy.dll
    icon: /srv/packages/tool.png
    priority: 200
    comment: CHG-1042

- name: Create an app layer that only changes settings
  strata.layering.app_layer:
    repository: /srv/layers
    name: Browser policy
    version: "3"
    os_layer:
      name: Windows 11
    registry:
      - /srv/packages/browser-policy.reg

- name: Create an app layer that removes a program file and runs a script at the first start of an image
  strata.layering.app_layer:
    repository: /srv/layers
    name: Cleanup
    version: "1"
    os_layer:
      name: Windows 11
    delete:
      - Windows\System32\oldtool.exe
    script: /srv/packages/cleanup.ps1

- name: Create an app layer whose files keep the times of an archive
  strata.layering.app_layer:
    repository: /srv/layers
    name: Compiler
    version: "9.2"
    os_layer:
      name: Windows 11
    files: /srv/packages/compiler-9.2
    file_times: keep

- name: Capture an app layer from the disk of a packaging machine
  strata.layering.app_layer:
    repository: /srv/layers
    name: Reader
    version: "11.0"
    os_layer:
      name: Windows 11
      version: 23H2-2026.11
    packaged_disk: /mnt/layers/Reader-11.0-packaging/Reader-11.0-packaging.ovf

- name: Capture an app layer that was installed on top of a runtime, from an SMB share
  strata.layering.app_layer:
    repository: /srv/layers
    name: CAD
    version: "2026"
    os_layer:
      name: Windows 11
      version: 23H2-2026.11
    prerequisites:
      - name: Runtime
        version: "8.0"
    packaged_disk: //files.example.com/layers/CAD-2026-packaging/CAD-2026-packaging.ovf
    file_share_username: EXAMPLE\composer
    file_share_password: "{{ vault_file_share_password }}"
    exclusions:
      - path: ProgramData\CAD\License\**
        reason: each VM gets its own license
      - key: SOFTWARE\CAD
        value: MachineId
        reason: identifies the packaging machine

- name: Delete a version that no image template uses
  strata.layering.app_layer:
    repository: /srv/layers
    name: Tool
    version: "1.9"
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
      description: The kind of layer, always V(app).
      type: str
    description:
      description: Description of the layer.
      type: str
    icon:
      description: Digest of the icon, null without an icon.
      type: str
    priority:
      description: The priority of the layer. The layer with the higher priority wins.
      type: int
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
    name: Tool
    version: "2.1"
    kind: app
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

from ..module_utils.common.arguments import app_layer_arguments
from ..module_utils.common.module_runner import LayeringModule, run_watched


def main() -> None:
    module = LayeringModule(
        argument_spec=app_layer_arguments(),
        required_if=[("state", "present", ("version",))],
        supports_check_mode=True,
    )
    from ..module_utils.operations.app_layer import AppLayerOptions, ensure_app_layer

    run_watched(
        module,
        lambda progress: ensure_app_layer(
            AppLayerOptions.from_params(module.params), check_mode=module.check_mode, progress=progress
        ),
    )


if __name__ == "__main__":
    main()
