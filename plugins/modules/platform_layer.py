#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep versions of a platform layer."""

from __future__ import annotations

DOCUMENTATION = r"""
module: platform_layer
short_description: Keep a platform layer and its versions
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - A platform layer holds what belongs to the place where an image runs, such as the agents of a broker. It is always applied last and wins.
  - It is made for one version of an OS layer. For another one it has to be made again, or confirmed with O(confirmed_for).
  - A version is immutable. Making it again from the same source changes nothing; from another source it is an error that asks for a new version.
options:
  name:
    description: Name of the layer.
    type: str
    required: true
  version:
    description:
      - Name of the version.
      - Required when O(state=present). With O(state=absent) all versions are removed if not given.
    type: str
  description:
    description: What the layer is. An existing layer keeps its own if not given.
    type: str
  version_description:
    description: What is new in this version.
    type: str
  os_layer:
    description:
      - The OS layer that it was made for.
      - Required when the version does not exist.
    type: dict
    suboptions:
      name:
        description: Name of the OS layer.
        type: str
        required: true
      version:
        description: Version of the OS layer. The newest deployable one if not given.
        type: str
  confirmed_for:
    description: Further versions of the OS layer for which this version was tried and is good.
    type: list
    elements: str
    default: []
  files:
    description:
      - A folder on the composer whose tree is that of drive C, such as C(Program Files/Agent/agent.exe).
      - Files get the security of the folder they end up in.
    type: path
  registry:
    description:
      - Registry editor files (C(.reg)) on the composer, applied one after the other.
      - Keys of HKEY_LOCAL_MACHINE\\SYSTEM and \\SOFTWARE, HKEY_CLASSES_ROOT, HKEY_USERS\\.DEFAULT, and HKEY_CURRENT_USER for new users.
    type: list
    elements: path
    default: []
  delete:
    description: Paths on drive C that the layer removes, such as V(Windows\\System32\\old.dll). What is not there is passed over.
    type: list
    elements: str
    default: []
  packaged_disk:
    description:
      - The disk of a packaging machine in which it was installed, an OVF file or a disk image on the composer,
        or C(//server/share/path) of one on a file share.
      - The machine must have been made from O(os_layer) and O(prerequisites). What was changed in it becomes the layer.
    type: path
  prerequisites:
    description: App layer versions that were on the packaging machine beside the OS layer. They do not become part of the layer.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the app layer.
        type: str
        required: true
      version:
        description: Version of the app layer.
        type: str
        required: true
  exclusions:
    description:
      - What is left out of a captured layer, or taken in after all, beyond what the collection leaves out by itself.
      - Each entry has C(path), or C(key) and perhaps C(value), patterns with C(*) and C(**); C(action), V(exclude) or V(include); and a C(reason).
    type: list
    elements: dict
    default: []
  finalize:
    description:
      - What to do when the packaging machine was not left in a state that makes a good layer, for instance with a restart pending.
      - V(enforce) refuses it, V(warn) captures it with warnings, V(ignore) captures it in silence.
    type: str
    choices: [enforce, warn, ignore]
    default: enforce
  script:
    description:
      - A script on the composer (C(.cmd), C(.bat) or C(.ps1), at most 1 MiB) that runs once, as SYSTEM, when an image with the layer starts for the first time.
      - Scripts run in the order of the layers. It is part of the version; another script needs a new version. An existing version keeps its own if not given.
    type: path
  icon:
    description: A PNG or JPEG file on the composer.
    type: path
  state:
    description: Whether the version exists. A version that an image template uses cannot be removed.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.file_share
  - strata.layering.attributes
seealso:
  - module: strata.layering.image_template
  - module: strata.layering.layer_info
"""

EXAMPLES = r"""
- name: Make a platform layer from a folder
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
"""

RETURN = r"""
layer:
  description: The layer version.
  returned: when O(state=present)
  type: dict
  sample:
    name: Horizon Agent
    version: "2.1"
    kind: platform
    digest: sha256:6cc4d9a1
    status: Deployable
    size: 73400320
changes:
  description: How many files and folders the version brings, how many paths it removes, and how many keys and values it touches.
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
  description: For a captured layer, how many files, folders, keys and values were added, changed and removed.
  returned: when a version was captured
  type: dict
gate:
  description: The checks of the packaging machine, each with its result, what was found and what to do.
  returned: when a version was captured
  type: list
  elements: dict
hazards:
  description: What the captured layer holds that layers cannot carry well, and what to do.
  returned: when a version was captured
  type: list
  elements: dict
left_out:
  description: What was left out of the captured layer and why, with examples.
  returned: when a version was captured
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.common.arguments import change_arguments, share_arguments
from ..module_utils.common.module import run_watched
from ..module_utils.desired.software_layer import ensure_platform_layer


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            change_arguments(),
            **share_arguments(),
            name={"type": "str", "required": True},
            version={"type": "str"},
            description={"type": "str"},
            version_description={"type": "str"},
            os_layer={"type": "dict", "options": {"name": {"type": "str", "required": True}, "version": {"type": "str"}}},
            confirmed_for={"type": "list", "elements": "str", "default": []},
            files={"type": "path"},
            registry={"type": "list", "elements": "path", "default": []},
            delete={"type": "list", "elements": "str", "default": []},
            packaged_disk={"type": "path"},
            prerequisites={
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"name": {"type": "str", "required": True}, "version": {"type": "str", "required": True}},
            },
            exclusions={"type": "list", "elements": "dict", "default": []},
            finalize={"type": "str", "choices": ["enforce", "warn", "ignore"], "default": "enforce"},
            script={"type": "path"},
            icon={"type": "path"},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        ),
        required_if=[("state", "present", ("version",))],
        supports_check_mode=True,
    )
    run_watched(module, lambda progress: ensure_platform_layer(module.params, check_mode=module.check_mode, progress=progress))


if __name__ == "__main__":
    main()
