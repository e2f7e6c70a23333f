#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage the repository of layers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: repository
short_description: Manage the repository of layers
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - The repository is a folder that contains layers, templates and images, as an OCI image layout with a catalog.
options:
  state:
    description:
      - V(present) creates the repository if it does not exist.
      - V(verified) reads every blob and compares it with its digest. Damage is an error that lists the damaged blobs.
      - V(collected) removes blobs that no layer and no image uses, and leftovers of killed processes, if they are older than 24 hours.
      - V(adopted) adds layer versions to the catalog that other tools (C(skopeo), C(oras), C(regctl), C(crane)) copied into the folder of the
        repository, under any reference name. Each is verified first and must fit what the repository has. RV(left) lists the layer versions
        that are not adopted, with the reason. O(verify_keys) and O(signatures) apply.
      - Other tools do not know the locks of the repository. Do not run them on its folder while a composer changes the repository.
    type: str
    choices: [present, verified, collected, adopted]
    default: present
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.repository.changes
  - strata.layering.registry.verification
  - strata.layering.attributes
seealso:
  - name: Administration
    description: Size, permissions, backup and upgrade of a repository.
    link: https://github.com/strata/layering/blob/main/docs/administration.md
"""

EXAMPLES = r"""
- name: Create the repository
  strata.layering.repository:
    repository: /srv/layers

- name: Verify all data of the repository
  strata.layering.repository:
    repository: /srv/layers
    state: verified

- name: Remove unused data
  strata.layering.repository:
    repository: /srv/layers
    state: collected

- name: Copy a layer version with skopeo
  ansible.builtin.command:
    cmd: skopeo copy docker://registry.example.com/windows/app/editor:1.0 oci:/srv/layers:editor-1.0

- name: Add it to the catalog
  strata.layering.repository:
    repository: /srv/layers
    state: adopted
    verify_keys: /etc/strata/vendor.pub
"""

RETURN = r"""
freed:
  description: The number of bytes that were freed, or in check mode would be freed.
  returned: when O(state=collected)
  type: int
kept_young:
  description:
    - The number of unused blobs that are kept because they are younger than 24 hours.
    - Another run may be about to use them, such as a run that builds a layer at the same time.
  returned: when O(state=collected)
  type: int
kept_young_bytes:
  description: The size of these blobs in bytes.
  returned: when O(state=collected)
  type: int
adopted:
  description: The layer versions that were added to the catalog, or in check mode would be added.
  returned: when O(state=adopted)
  type: list
  elements: dict
  contains:
    kind:
      description: V(os), V(app) or V(platform).
      type: str
    name:
      description: The name of the layer.
      type: str
    version:
      description: The version.
      type: str
    digest:
      description: The digest of the manifest, which is that of the source.
      type: str
    size:
      description: The size of the blobs in bytes.
      type: int
    references:
      description: The reference names that the other tools gave it, or its digest if it had none. They are removed.
      type: list
      elements: str
    signer:
      description: The fingerprint of the key that signed it, if O(verify_keys) is set.
      type: str
    has_details:
      description: Whether its details were copied, too. Otherwise its description, priority and icon are those with which it was built.
      type: bool
left:
  description: The layer versions that are not adopted. They remain as they are.
  returned: when O(state=adopted)
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of layer, null if it cannot be read.
      type: str
    name:
      description: The name of the layer, null if it cannot be read.
      type: str
    version:
      description: The version, null if it cannot be read.
      type: str
    digest:
      description: The digest of the manifest.
      type: str
    references:
      description: The reference names that the other tools gave it.
      type: list
      elements: str
    code:
      description:
        - The code of the reason, such as V(distribution.other_content) if the version exists with other content, V(distribution.base_missing)
          or V(distribution.other_base) if its OS layer or a prerequisite is missing or differs, V(distribution.unsigned), or
          V(repository.blob_corrupt) if it is damaged.
      type: str
    message:
      description: The reason.
      type: str
    hint:
      description: What to do.
      type: str
removed_references:
  description: Reference names of copies that the catalog had already. They are removed, the layer versions remain.
  returned: when O(state=adopted)
  type: list
  elements: str
message:
  description: A sentence about the unused data that is kept and about copies of other tools, or about the adopted layer versions.
  returned: when O(state=collected) or O(state=adopted)
  type: str
  sample: 2 unused blobs (1514 bytes) are kept, because they are younger than 24 hours and another run may be about to use them. A later call removes them.
damaged:
  description: The blobs that are missing or do not match their digests. Empty if the module succeeds.
  returned: when O(state=verified)
  type: list
  elements: dict
  contains:
    problem:
      description: V(missing), V(digest), V(size), V(manifest) or V(document).
      type: str
    what:
      description: Digest of the blob, or the kind of document.
      type: str
    message:
      description: A sentence about the damage.
      type: str
    needed_by:
      description: The layers and documents that need the blob.
      type: list
      elements: str
blobs:
  description: The number of blobs that were read.
  returned: when O(state=verified)
  type: int
"""

from ..module_utils.common.arguments import change_arguments, verification_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            change_arguments(),
            **verification_arguments(),
            state={"type": "str", "choices": ["present", "verified", "collected", "adopted"], "default": "present"},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.repository import ensure_repository
    from ..module_utils.operations.repository_states.repository_module_options import RepositoryModuleOptions

    run(
        module,
        lambda: ensure_repository(RepositoryModuleOptions.from_params(module.params), check_mode=module.check_mode),
    )


if __name__ == "__main__":
    main()
