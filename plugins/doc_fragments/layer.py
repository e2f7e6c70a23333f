# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of options that several layer modules have."""

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
      - Name of the version. Quote a version that looks like a number, because YAML reads C(1.10) as the number 1.1.
      - Numbers with a decimal point, booleans and dates without quotes are refused.
      - Required when O(state=present). With O(state=absent), all versions are removed if not given.
    type: str
  description:
    description: Description of the layer. An existing layer keeps its description if not given.
    type: str
  version_description:
    description: Description of the version, such as its changes.
    type: str
  script:
    description:
      - A script on the composer (C(.cmd), C(.bat) or C(.ps1), at most 1 MiB) that runs once, as SYSTEM, when an image with the layer starts for
        the first time.
      - Scripts run in the order of the layers. The script is part of the version; a changed script needs a new version. An existing version
        keeps its script if not given.
      - The script is stored with the line ends and the encoding that its interpreter reads. A batch file in UTF-16 is refused.
    type: path
  icon:
    description: A PNG or JPEG file on the composer.
    type: path
notes:
  - A version is immutable. Creating it again from the same source changes nothing; creating it from a different source is an error that asks
    for a new version.
"""

    SOFTWARE = r"""
options:
  office_activation:
    description:
      - Whether a new version that contains volume licenses of Office, and for which O(script) is not set, gets the script C(officeactivate.cmd),
        which installs these licenses and activates Office when an image starts for the first time.
      - Windows keeps the licenses in a database that no layer contains, so Office has no license in an image without such a script.
      - The product keys are read from C(C:\Windows\Setup\scripts\kmsdir\officekeys.txt) in the image, one key per line. The file is deleted
        after Office is activated.
      - An existing version keeps its script.
    type: bool
    default: true
  os_layer:
    description:
      - The OS layer for which the layer is built.
      - Required when the version does not exist.
    type: dict
    suboptions:
      name:
        description: Name of the OS layer.
        type: str
        required: true
      version:
        description: Version of the OS layer. The newest deployable version if not given.
        type: str
  files:
    description:
      - A folder on the composer with the tree of drive C, such as C(Program Files/Tool/tool.exe).
      - Files inherit the permissions of the folder in which they are placed.
      - A folder without any file or folder is refused, because that is what a mount point looks like before its share is mounted.
      - Registry hives, page files, boot files and metadata of NTFS are refused; put settings into O(registry).
    type: path
  file_times:
    description:
      - The times of the files in O(files), and of the keys that O(registry) changes.
      - With V(fixed), all of them are 2000-01-01T00:00:00Z. The same content then is the same version, such as on every clone of a git repository,
        because git does not store file times.
      - With V(keep), files get the modification times of O(files), and keys that of the newest file in O(registry). Times then are part of the
        version - the same content with other times is a different source. Use it if the application compares the times of its files.
      - A captured layer always keeps the times of the disk.
    type: str
    choices: [fixed, keep]
    default: fixed
  registry:
    description:
      - Registry editor files (C(.reg)) on the composer. They are applied in the order of the list.
      - Keys of HKEY_LOCAL_MACHINE\\SYSTEM and \\SOFTWARE, HKEY_CLASSES_ROOT, HKEY_USERS\\.DEFAULT (the system account), and HKEY_CURRENT_USER or
        HKEY_USERS\\Default (new users).
      - Text that is not ASCII in a REGEDIT4 file is read in the ANSI code page of the OS layer, as Windows reads it.
      - Changes without which Windows cannot start, such as C([-HKEY_CLASSES_ROOT]), are refused.
    type: list
    elements: path
    default: []
  delete:
    description:
      - Paths on drive C that the layer removes, such as V(Windows\\System32\\old.dll). Paths that do not exist are ignored.
      - Variables and wildcards are not expanded. Registry hives and the files and folders that Windows needs to start are refused.
    type: list
    elements: str
    default: []
  packaged_disk:
    description:
      - The disk of a packaging machine in which the software was installed. Either an OVF file or a disk image on the composer, or
        C(//server/share/path) of such a file on an SMB share.
      - The packaging machine must have been created with O(os_layer) and O(prerequisites). The changes on its disk become the layer.
    type: path
  exclusions:
    description:
      - Rules that leave changes out of a captured layer, or include changes, in addition to the rules of the collection.
      - Each rule has a path, or a key and optionally a value, or a database. Paths, keys and values are patterns with C(*) and C(**).
        The last matching rule decides.
      - Rules apply when a version is captured; an existing version does not change.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Pattern of the paths of files and folders. It starts below the drive; variables are not expanded.
        type: str
      key:
        description: Pattern of registry keys. It starts with the hive.
        type: str
      value:
        description: Pattern of the names of registry values. Whole keys if not given.
        type: str
      database:
        description:
          - Name of a database of Windows, such as V(store_apps). The rule decides about all its files, journals, keys and values.
          - The page about capturing lists the databases.
        type: str
      action:
        description: Whether the rule leaves the changes out or includes them. They are left out if not given.
        type: str
        choices: [exclude, include]
      reason:
        description: The reason, which the result reports for the changes that are left out.
        type: str
  finalize:
    description:
      - The result of failed finalize checks of the packaging machine, for instance if a restart is pending or nothing was installed.
      - V(enforce) refuses the disk, V(warn) captures it with warnings, V(ignore) captures it without warnings.
    type: str
    choices: [enforce, warn, ignore]
    default: enforce
  noise_profile:
    description:
      - The use of the noise profile of the OS layer version when a disk is captured. See M(strata.layering.os_layer).
      - V(auto) leaves out what the profile lists, if the version has a profile. V(ignore) captures without the profile.
      - What the profile leaves out is listed in the result with the reason V(noise_profile). Rules of O(exclusions) override the profile.
    type: str
    choices: [auto, ignore]
    default: auto
  state:
    description: Whether the version exists. A version that an image template, a layer version or a packaging machine uses cannot be removed.
    type: str
    choices: [present, absent]
    default: present
"""

    PREREQUISITES = r"""
options:
  prerequisites:
    description:
      - App layer versions that the packaging machine contains in addition to the OS layer. They are applied in the same order as in an image.
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
