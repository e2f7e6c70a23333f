#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List published images."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layered_image_info
short_description: List published images
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Lists the published images, sorted by template, newest first.
  - The module reads the repository only. It does not show later changes of the VMs in vSphere.
options:
  template:
    description: List only images of this template.
    type: str
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.attributes.info
seealso:
  - module: strata.layering.layered_image_publish
"""

EXAMPLES = r"""
- name: List the images of a template
  strata.layering.layered_image_info:
    repository: /srv/layers
    template: office-desktop
"""

RETURN = r"""
images:
  description: The images.
  returned: always
  type: list
  elements: dict
  contains:
    template:
      description: Name of the image template.
      type: str
    image_digest:
      description: Digest of everything that determines the published VM.
      type: str
    content_digest:
      description: Digest of everything that determines the content of the disk.
      type: str
    layer_versions:
      description: The layer versions of the image.
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
    layers:
      description: Versions of the layers, by kind and name, such as C(app/Editor).
      type: dict
    connector:
      description: Name of the connector.
      type: str
    vcenter:
      description: The vCenter of the VM.
      type: dict
      contains:
        hostname:
          description: Host name that the publish used.
          type: str
        instance_uuid:
          description: Identifier of the vCenter.
          type: str
    vm:
      description: The VM when it was published.
      type: dict
      contains:
        name:
          description: Name of the VM.
          type: str
        moid:
          description: Managed object ID of the VM.
          type: str
        instance_uuid:
          description: Instance UUID of the VM, which it keeps under any name and in any folder.
          type: str
        path:
          description: Inventory path of the VM.
          type: str
        datacenter:
          description: Datacenter of the VM.
          type: str
    snapshot:
      description: Name of the snapshot.
      type: str
    snapshot_moid:
      description:
        - Managed object ID of the snapshot. Null if an earlier version of the collection published the image.
        - M(strata.layering.layered_image_publish) returns it for these images, too.
      type: str
    last_used:
      description: Time at which M(strata.layering.horizon_image_push) last replaced the image in a pool or farm, in UTC; null if never.
      type: str
    former_templates:
      description: Former names of the template. The settings of the VM have one of them if the image was published before a rename.
      returned: if the template was renamed
      type: list
      elements: str
    datastore_path:
      description: Path of the configuration file of the VM when it was published.
      type: str
    published:
      description: Time at which the image was published, in UTC.
      type: str
    scripts:
      description: The last report of the scripts in the image, null if there is none.
      type: dict
      contains:
        state:
          description: V(running), V(failed) or V(finished).
          type: str
        current:
          description: The current or last script, such as V(2/3 app layer Editor 1.0), V(activation runato.cmd) or V(wait network).
          type: str
        code:
          description: Exit code of the script or activation that failed, V(interrupted), or V(timeout) of a wait.
          type: str
        output:
          description: Last line of the output of the script that failed.
          type: str
        results:
          description: Exit codes by the number of the script; V(activation) is that of activation, if the tools in the image report it.
          type: dict
        waits:
          description:
            - What the image waited for before activation and scripts, and the outcome. Missing if the tools in the image do not report it.
            - V(ready), V(timeout), V(absent) (there is no network adapter) or V(unknown).
          type: dict
          contains:
            setup:
              description: The wait until Windows Setup has ended.
              type: str
            servicing:
              description: The wait until no update is being installed.
              type: str
            devices:
              description: The wait until no device is being installed.
              type: str
            network:
              description: The wait until the network is usable.
              type: str
    checks:
      description: The checks of the requirements of Horizon.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the check.
          type: str
        passed:
          description: Whether the VM meets the requirement.
          type: bool
        found:
          description: The value that was found.
          type: str
        advice:
          description: How to meet the requirement, null if it is met.
          type: str
    connector_script:
      description: The script of the connector, null if there is none.
      type: dict
      contains:
        path:
          description: Path of the script on the composer.
          type: str
        done:
          description: Whether the script has succeeded.
          type: bool
        output:
          description: Last lines of its output.
          type: str
    script:
      description: The same value as C(connector_script).
      type: dict
  sample:
    - template: office-desktop
      image_digest: sha256:1f0c22a1
      vcenter:
        hostname: vcenter.example.com
        instance_uuid: 7f3b1c52-4c7e-4b7c-9a55-0d1f6d9b3c10
      vm:
        name: office-desktop-1f0c22a1
      snapshot: strata-1f0c22a1
      snapshot_moid: snapshot-1043
      checks:
        - name: vmxnet3
          passed: true
          found: vmxnet3
          advice: null
      connector_script:
        path: /etc/layering/push-to-pool
        done: true
        output: pushed
"""

from ..module_utils.common.arguments import repository_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            repository_arguments(),
            template={"type": "str"},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.info import InfoOptions, layered_image_info

    run(module, lambda: layered_image_info(InfoOptions.from_params(module.params)))


if __name__ == "__main__":
    main()
