#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the layers and templates of a remote."""

from __future__ import annotations

DOCUMENTATION = r"""
module: remote_layer_info
short_description: List layers of a registry or share
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Lists the layer versions and image templates that a remote has. A remote is an OCI registry, a file share, a different repository or an archive
    file. Set exactly one of O(registry), O(file_share), O(other_repository) and O(file).
  - With O(repository), the module compares them with the repository.
options:
  kind:
    description: List only layers of this kind, or only templates.
    type: str
    choices: [os, app, platform, template]
  name:
    description: List only layers and templates with this name.
    type: str
  repository:
    description:
      - The folder of the repository to compare with.
      - If not set, the environment variable E(STRATA_REPOSITORY) is used. Without either, nothing is compared.
    type: path
extends_documentation_fragment:
  - strata.layering.registry
  - strata.layering.registry.remote
  - strata.layering.registry.verification
  - strata.layering.file_share
  - strata.layering.attributes.info
seealso:
  - module: strata.layering.layer_transfer
  - module: strata.layering.layer_info
requirements:
  - python >= 3.11
"""

EXAMPLES = r"""
- name: List what a registry offers
  strata.layering.remote_layer_info:
    registry: registry.example.com/windows
    repository: /srv/layers
  register: offered

- name: Show the layer versions that the repository does not have
  ansible.builtin.debug:
    msg: "{{ item.name }} {{ item.versions | selectattr('local', 'equalto', 'missing') | map(attribute='version') | join(', ') }}"
  loop: "{{ offered.layers }}"
"""

RETURN = r"""
remote:
  description: The remote.
  returned: success
  type: str
  sample: the registry registry.example.com/windows
layers:
  description: The layers, sorted by kind and name.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of layer, V(os), V(app) or V(platform).
      type: str
    name:
      description: Name of the layer.
      type: str
    path:
      description: Name in the remote, below the prefix.
      type: str
    versions:
      description: The versions, oldest first.
      type: list
      elements: dict
      contains:
        version:
          description: Name of the version.
          type: str
        digest:
          description: Digest of the manifest.
          type: str
        size:
          description: Size of the version in bytes.
          type: int
        created:
          description: Time when the version was created (UTC), null if it is unknown.
          type: str
        local:
          description:
            - V(missing) if the repository does not have the version, V(same) if it has the same version, V(different) if it has a version with the
              same name and a different digest. Null without O(repository).
          type: str
        signed_by:
          description: The fingerprint of the key of O(verify_keys) that signed the version, null if there is none.
          type: str
        problem:
          description: Why the version cannot be pulled, null if nothing is known.
          type: str
    problem:
      description: Why the versions cannot be listed, null if they can.
      type: str
    newer:
      description: Whether the newest version is newer than all versions in the repository. Null without O(repository).
      type: bool
templates:
  description: The image templates, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the template.
      type: str
    path:
      description: Name in the remote, below the prefix.
      type: str
    digest:
      description: Digest of the manifest.
      type: str
    revision:
      description: Number of the revision.
      type: int
    layers:
      description: The layer versions of the template.
      type: list
      elements: dict
    local:
      description: As for versions of layers.
      type: str
    signed_by:
      description: The fingerprint of the key of O(verify_keys) that signed the template, null if there is none.
      type: str
    problem:
      description: Why the template cannot be pulled, null if nothing is known.
      type: str
"""

from ..module_utils.common.arguments import repository_arguments
from ..module_utils.common.module_runner import LayeringModule, run
from ..module_utils.common.remote_arguments import remote_arguments, verification_arguments


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            repository_arguments(required=False),
            **remote_arguments(),
            **verification_arguments(),
            kind={"type": "str", "choices": ["os", "app", "platform", "template"]},
            name={"type": "str"},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.distribution.remote_layer_info import RemoteLayerInfoOptions, remote_layer_info

    run(module, lambda: remote_layer_info(RemoteLayerInfoOptions.from_params(module.params)))


if __name__ == "__main__":
    main()
