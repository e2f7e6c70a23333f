#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage OS layers and their versions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: os_layer
short_description: Manage OS layers and their versions
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Imports an OS machine that was exported as an OVF package (see M(strata.layering.ovf_export)) as a version of an OS layer.
  - The import verifies the manifest of the package, checks the Windows installation on the disk, extends its file system to
    O(max_layer_size_gb), and leaves out the free space of the file system.
options:
  max_layer_size_gb:
    description:
      - Size of the Windows disk in GiB. The file system is extended to this size. It cannot be smaller than the exported disk.
      - If not set, the size of a new version is 100 GiB. A larger disk keeps its size, and so does a disk on which a partition follows the Windows
        partition, which Windows Setup creates for the recovery environment (WinRE). The readiness check C(recovery_partition) reports it.
      - If set, a disk on which a partition follows the Windows partition is refused, unless it has this size.
    type: int
  connector:
    description: Name of the connector that is used by default for VMs with this layer.
    type: str
  file_share:
    description:
      - The folder of the OVF packages. Either a folder on the composer, or C(//server/share/path) to connect to the server over SMB.
      - Required with O(ovf_package).
    type: path
  ovf_package:
    description:
      - The package of the OS machine. Either an C(.ovf) or C(.ova) file, or a folder that contains exactly one such file.
      - The path is relative to O(file_share). It can also be a full path below O(file_share), as M(strata.layering.packaging_machine) returns
        it.
      - Required when O(state=present) and the version does not exist.
      - A missing manifest (C(.mf)), a manifest without a digest of the descriptor, and missing files that no disk needs are reported as warnings.
    type: str
    aliases: [packaging_disk]
  readiness:
    description:
      - The result of failed readiness checks, for a valid Windows disk that is not in a suitable state for a layer.
      - V(enforce) refuses the disk, V(warn) imports it with warnings, V(ignore) imports it without warnings.
    type: str
    choices: [enforce, warn, ignore]
    default: warn
  noise_profile:
    description:
      - The noise profile of the version lists what Windows changes by itself when it is started and shut down. Captures of app and platform
        layers for this version leave these changes out.
      - The profile is not part of the version and does not change its digest. It is removed with the version.
    type: dict
    suboptions:
      packaged_disk:
        description:
          - The disk of an untouched packaging machine of the version, see O(strata.layering.packaging_machine#module:kind). Either an OVF file or a
            disk image on the composer, or C(//server/share/path) of such a file on an SMB share.
          - Required when O(noise_profile.state=present) and the version has no noise profile. A different disk replaces the profile. The disk can
            be deleted afterwards.
        type: path
      state:
        description: Whether the version has a noise profile.
        type: str
        choices: [present, absent]
        default: present
  state:
    description:
      - Whether the version exists. A version that image templates use, that app layers depend on, or from which the packaging machine of an app
        layer or a platform layer was created, cannot be removed.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - strata.layering.layer
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.file_share
  - strata.layering.attributes
seealso:
  - module: strata.layering.ovf_export
  - module: strata.layering.packaging_machine
  - module: strata.layering.layer_info
  - name: File shares
    description: Mounted shares, SMB servers, credentials and permissions.
    link: https://github.com/strata/layering/blob/main/docs/file-shares.md
"""

EXAMPLES = r"""
- name: Import an exported OS machine from a mounted share
  strata.layering.os_layer:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.11
    description: Windows 11 Enterprise for all desktops
    file_share: /mnt/layers
    ovf_package: win11-os/win11-os.ovf
    comment: November updates

- name: Import an exported OS machine from an SMB share without a mount
  strata.layering.os_layer:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.11
    file_share: //files.example.com/layers/horizon
    file_share_username: EXAMPLE\layering
    file_share_password: "{{ vault_file_share_password }}"
    ovf_package: win11-os/win11-os.ovf

- name: Import an OVA file
  strata.layering.os_layer:
    repository: /srv/layers
    name: Windows Server 2025
    version: "2026.11"
    max_layer_size_gb: 60
    file_share: /mnt/layers
    ovf_package: server2025.ova

- name: Import only an OS machine that passes all readiness checks
  strata.layering.os_layer:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.12
    file_share: /mnt/layers
    ovf_package: win11-os-2026.12
    readiness: enforce

- name: Set the connector, the description and the icon of an existing version
  strata.layering.os_layer:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.11
    connector: vdi
    description: Windows 11 Enterprise for all desktops
    icon: /srv/icons/windows.png

- name: Record what Windows changes by itself, from the disk of a packaging machine of the kind noise
  strata.layering.os_layer:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.11
    noise_profile:
      packaged_disk: /mnt/layers/windows-11-noise/windows-11-noise.ovf

- name: Remove a version that no image template uses
  strata.layering.os_layer:
    repository: /srv/layers
    name: Windows 11
    version: 23H2-2026.10
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
      sample: Windows 11
    kind:
      description: The kind of layer, always V(os).
      type: str
      sample: os
    description:
      description: Description of the layer.
      type: str
      sample: Windows 11 Enterprise for all desktops
    icon:
      description: Digest of the icon, null without an icon.
      type: str
      sample: sha256:0c98b87fa4
    connector:
      description: Name of the connector that is used by default for VMs with this layer, null without a connector.
      type: str
      sample: vdi
    version:
      description: Name of the version.
      type: str
      sample: 23H2-2026.11
    version_description:
      description: Description of the version.
      type: str
      sample: November updates
    digest:
      description: Digest of the version. In check mode, null for a version that would be created.
      type: str
      sample: sha256:6cc4d9a1c2
    status:
      description: V(Deployable) when image templates can use the version.
      type: str
      sample: Deployable
    size:
      description: Size of the version in the repository in bytes.
      type: int
      sample: 9663676416
    size_gb:
      description: Size of the disk in GiB, rounded up.
      type: int
      sample: 100
    created:
      description: Time of the import (UTC).
      type: str
      sample: '2026-11-29T23:37:11.956Z'
    script:
      description: The script of the version with its C(name), C(digest) and C(size) in bytes, null without a script.
      type: dict
    windows:
      description: The Windows installation.
      type: dict
      contains:
        product_name:
          description: Name of the product, as in the registry.
          type: str
          sample: Windows 10 Enterprise
        display_version:
          description: Name of the Windows release.
          type: str
          sample: 23H2
        build:
          description: Build number.
          type: int
          sample: 22631
        revision:
          description: Revision of the build, which increases with each update.
          type: int
          sample: 4460
        edition:
          description: Edition.
          type: str
          sample: Enterprise
        architecture:
          description: Architecture of the processor.
          type: str
          sample: AMD64
        firmware:
          description: Firmware with which the disk starts, V(bios) or V(efi).
          type: str
          sample: efi
readiness:
  description: The readiness checks of the Windows installation.
  returned: when the version exists or was imported
  type: list
  elements: dict
  contains:
    name:
      description: Name of the check.
      type: str
      sample: vmxnet3
    result:
      description: Result of the check, such as V(pass) or V(fail).
      type: str
      sample: pass
    found:
      description: The value that the check found.
      type: str
      sample: the driver service vmxnet3ndis6 is installed
    action:
      description: The recommended action, empty if the check passed.
      type: str
      sample: ''
noise_profile:
  description:
    - The noise profile of the version, null without a profile.
    - In check mode, C(digest) and C(created) of a profile that would be recorded are null.
  returned: when O(state=present)
  type: dict
  contains:
    digest:
      description: Digest of the content of the profile.
      type: str
      sample: sha256:6cc4d9a1c2
    size:
      description: Size of the profile in the repository in bytes.
      type: int
      sample: 182304
    source:
      description: The disk of the untouched packaging machine.
      type: dict
    changes:
      description: The numbers of C(paths), C(keys) and C(values) that Windows changed.
      type: dict
      sample:
        paths: 1834
        keys: 911
        values: 2756
    created:
      description: Time when the profile was recorded (UTC).
      type: str
      sample: '2026-11-29T23:37:11.956Z'
"""

from ..module_utils.common.arguments import os_layer_arguments
from ..module_utils.common.module_runner import LayeringModule, run_watched


def main() -> None:
    module = LayeringModule(
        argument_spec=os_layer_arguments(),
        required_if=[("state", "present", ("version",))],
        required_by={"ovf_package": ("file_share",)},
        supports_check_mode=True,
    )
    from ..module_utils.operations.os_layer import OsLayerOptions, ensure_os_layer

    run_watched(
        module,
        lambda progress: ensure_os_layer(
            OsLayerOptions.from_params(module.params), check_mode=module.check_mode, progress=progress
        ),
    )


if __name__ == "__main__":
    main()
