#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Push and pull layers and templates."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layer_transfer
short_description: Push and pull layers and templates
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Transfers layer versions and image templates between the repository and a remote. A remote is an OCI registry, a file share, a different
    repository or an archive file. Set exactly one of O(registry), O(file_share), O(other_repository) and O(file).
  - The state is desired state. What the target has already is not transferred again, and a second run changes nothing. Content that
    different layers share is transferred once.
  - A layer version with the same name and other content is a conflict. All conflicts are found and listed before the first byte is transferred, and
    no option overwrites a layer version.
  - An interrupted run leaves nothing that is incomplete in the catalog of the target. The next run resumes it.
  - Connectors, tasks, published VMs, packaging machines and the audit history belong to a site and are never transferred.
options:
  state:
    description:
      - V(pushed) transfers from O(repository) to the remote.
      - V(pulled) transfers from the remote to O(repository).
      - V(absent) deletes the versions and templates at the remote, with their signatures. A version that a template or a layer at the remote still
        needs is refused. O(repository) is not changed.
    type: str
    choices: [pushed, pulled, absent]
    required: true
  layers:
    description: Layer versions, with the OS layer versions and prerequisites for which they were built.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: The kind of layer.
        type: str
        choices: [os, app, platform]
        required: true
      name:
        description: Name of the layer.
        type: str
        required: true
      version:
        description:
          - Name of the version, or V(latest) for the newest version. Write it in quotes, because YAML reads V(1.10) as a number.
          - All versions if not given.
        type: str
      path:
        description:
          - The path of the layer in the remote, below the folder of its kind. V(editors/notepad) of an app layer means C(PREFIX/app/editors/notepad).
          - By default, it is the path that the catalog of the remote has. A new layer gets a path that is derived from its name.
            Set it if two names yield the same path.
        type: str
  templates:
    description:
      - Image templates, with all layer versions, scripts and icons that they need.
      - An element is a name, or a mapping with the keys C(name) and C(path) with its path in the remote, below C(PREFIX/templates).
    type: list
    elements: raw
    default: []
  everything:
    description: Whether to transfer all layers and templates. Not allowed with O(state=absent).
    type: bool
    default: false
  images:
    description:
      - Whether to transfer the composed thin images of the templates as well, as far as they exist.
      - Without them, the target composes the images itself, with the same result.
    type: bool
    default: false
  connectors:
    description:
      - With O(state=pulled), the names of connectors in O(repository) by the names that the templates have at the remote.
      - A connector that is not listed keeps its name. If O(repository) does not have the connector, the pull of the template is refused.
    type: dict
    default: {}
  force:
    description:
      - Whether to replace templates that were changed on both sides. Layer versions are never replaced.
    type: bool
    default: false
extends_documentation_fragment:
  - strata.layering.registry
  - strata.layering.registry.remote
  - strata.layering.registry.verification
  - strata.layering.registry.signing
  - strata.layering.file_share
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.attributes
seealso:
  - module: strata.layering.remote_layer_info
  - module: strata.layering.layer_info
  - module: strata.layering.repository
  - name: Distribution
    description: One site and many sites, air gap, trust, retention, and settings of registries.
    link: https://github.com/strata/layering/blob/main/docs/distribution.md
"""

EXAMPLES = r"""
- name: Push a template with all its layers, and sign them
  strata.layering.layer_transfer:
    repository: /srv/layers
    state: pushed
    registry: registry.example.com/windows
    registry_username: robot$composer
    registry_password: "{{ vault_registry_password }}"
    templates: [office-desktop]
    sign_key: /etc/strata/sign.key
    sign_key_passphrase: "{{ vault_sign_key_passphrase }}"
    comment: CHG-1042

- name: Pull the template at a different site, and accept only signed content
  strata.layering.layer_transfer:
    repository: /srv/layers
    state: pulled
    registry: registry.example.com/windows
    templates: [office-desktop]
    connectors:
      berlin: madrid
    verify_keys: [/etc/strata/sign.pub]

- name: Push the newest version of an app layer and all versions of an OS layer
  strata.layering.layer_transfer:
    repository: /srv/layers
    state: pushed
    registry: registry.example.com/windows
    layers:
      - kind: app
        name: Editor
        version: latest
      - kind: os
        name: Windows 11

- name: Write a layer version to an archive for a site without a network connection
  strata.layering.layer_transfer:
    repository: /srv/layers
    state: pushed
    file: /media/usb/editor-1.10.tar
    layers:
      - kind: app
        name: Editor
        version: "1.10"

- name: Copy all layers and templates of the test repository from a file share
  strata.layering.layer_transfer:
    repository: /srv/layers
    state: pulled
    file_share: //files.example.com/layers/registry
    file_share_username: EXAMPLE\layering
    file_share_password: "{{ vault_file_share_password }}"
    everything: true

- name: Delete a version from the registry
  strata.layering.layer_transfer:
    repository: /srv/layers
    state: absent
    registry: registry.example.com/windows
    layers:
      - kind: app
        name: Editor
        version: "1.0"
"""

RETURN = r"""
remote:
  description: The remote.
  returned: success
  type: str
  sample: the registry registry.example.com/windows
transfers:
  description:
    - What happened to each layer version, template and image, or in check mode would happen. Layers come first.
    - If there are conflicts, the module fails and C(details.conflicts) lists them.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: V(os), V(app), V(platform), V(template) or V(image).
      type: str
    name:
      description: Name of the layer or template.
      type: str
    version:
      description: Name of the version, null for a template.
      type: str
    action:
      description:
        - V(copied) if the target did not have it.
        - V(updated) if the target had it, and its metadata, such as the description or the icon, or signatures were transferred.
        - V(kept) if there was nothing to do.
        - V(same_content) if the target has a version with the same content and a different digest, which is kept.
        - V(deleted) with O(state=absent).
      type: str
    changes:
      description:
        - With V(updated), the names of the fields that changed, and V(signatures) for new signatures.
        - V(catalog_entry) if only the entry in the catalogue of the remote was missing or damaged, and was stored again.
      type: list
      elements: str
    reason:
      description: V(target_is_newer) if the item is kept because only the target was changed since the last transfer, otherwise empty.
      type: str
    digest:
      description: Digest of the manifest at the source, with O(state=absent) at the remote.
      type: str
    target_digest:
      description: Digest of the manifest that the target had before, null if it had none.
      type: str
    path:
      description: Name in the remote, below the prefix.
      type: str
    bytes:
      description: Sizes in bytes.
      type: dict
      contains: &bytes
        moved:
          description: Bytes that were transferred. In check mode, the bytes that the target does not have.
          type: int
        mounted:
          description: Bytes that the registry linked from a different repository.
          type: int
        skipped:
          description: Bytes that the target had already.
          type: int
    signed_by:
      description: The fingerprint of the key of O(verify_keys) whose signature was verified, null if none was verified.
      type: str
bytes:
  description: The sums of all transfers, in bytes.
  returned: success
  type: dict
  contains: *bytes
signed:
  description: The number of layer versions and templates that were signed with O(sign_key).
  returned: success
  type: int
"""

from ..module_utils.common.arguments import change_arguments
from ..module_utils.common.module_runner import LayeringModule, run_watched
from ..module_utils.common.remote_arguments import remote_arguments, signing_arguments, verification_arguments


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            change_arguments(),
            **remote_arguments(),
            **verification_arguments(),
            **signing_arguments(),
            state={"type": "str", "choices": ["pushed", "pulled", "absent"], "required": True},
            layers={
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "kind": {"type": "str", "choices": ["os", "app", "platform"], "required": True},
                    "name": {"type": "str", "required": True},
                    "version": {"type": "str"},
                    "path": {"type": "str"},
                },
            },
            templates={"type": "list", "elements": "raw", "default": []},
            everything={"type": "bool", "default": False},
            images={"type": "bool", "default": False},
            connectors={"type": "dict", "default": {}},
            force={"type": "bool", "default": False},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.distribution.layer_transfer import ensure_transferred
    from ..module_utils.operations.distribution.transfer_options import LayerTransferOptions

    run_watched(
        module,
        lambda progress: ensure_transferred(
            LayerTransferOptions.from_params(module.params), check_mode=module.check_mode, progress=progress
        ),
    )


if __name__ == "__main__":
    main()
