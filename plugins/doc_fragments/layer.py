# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that keep layers have in common."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description: Name of the layer.
    type: str
    required: true
  version:
    description:
      - Name of the version, in quotes where it looks like a number, because YAML takes C(1.10) for the number 1.1.
      - Required when O(state=present). With O(state=absent) all versions are removed if not given.
    type: str
  description:
    description: What the layer is. An existing layer keeps its own if not given.
    type: str
  version_description:
    description: What is new in this version.
    type: str
  script:
    description:
      - A script on the composer (C(.cmd), C(.bat) or C(.ps1), at most 1 MiB) that runs once, as SYSTEM, when an image with the layer starts for the first time.
      - Scripts run in the order of the layers. It is part of the version; another script needs a new version. An existing version keeps its own if not given.
    type: path
  icon:
    description: A PNG or JPEG file on the composer.
    type: path
"""

    SOFTWARE = r"""
options:
  os_layer:
    description:
      - The OS layer that the layer was made for.
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
  files:
    description:
      - A folder on the composer whose tree is that of drive C, such as C(Program Files/Tool/tool.exe).
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
      - The disk of a packaging machine in which something was installed, an OVF file or a disk image on the composer,
        or C(//server/share/path) of one on a file share.
      - The machine must have been made from O(os_layer) and O(prerequisites). What was changed in it becomes the layer.
    type: path
  exclusions:
    description:
      - What is left out of a captured layer, or taken in after all, beyond what the collection leaves out by itself.
      - Each entry has C(path), or C(key) and perhaps C(value), patterns with C(*) and C(**); C(action), V(exclude) or V(include); and a C(reason).
      - A path begins below the drive, a key with its hive; variables are not replaced. The last rule that holds decides.
      - They count when a version is captured; a version that is there does not change.
    type: list
    elements: dict
    default: []
  finalize:
    description:
      - What to do when the packaging machine was not left in a state that makes a good layer, for instance with a restart pending, or when nothing
        was installed in it.
      - V(enforce) refuses it, V(warn) captures it with warnings, V(ignore) captures it in silence.
    type: str
    choices: [enforce, warn, ignore]
    default: enforce
  state:
    description: Whether the version exists. A version that an image template uses cannot be removed.
    type: str
    choices: [present, absent]
    default: present
"""

    PREREQUISITES = r"""
options:
  prerequisites:
    description:
      - App layer versions that are on the packaging machine beside the OS layer, put on each other in the order in which an image template applies them.
      - They do not become part of the layer.
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
"""
