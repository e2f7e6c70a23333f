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
      - V(synced) takes over what other composers changed in the upstream of the repository, and limits the cache of disks and archives.
      - V(verified) reads every blob and compares it with its digest. Damage is an error that lists the damaged blobs.
        The upstream is asked for blobs that are only there.
      - V(collected) removes blobs that no layer and no image uses, and leftovers of killed processes, if they are older than 24 hours.
      - V(adopted) adds layer versions to the catalog that other tools (C(skopeo), C(oras), C(regctl), C(crane)) copied into the folder of the
        repository, under any reference name. Each is verified first and must fit what the repository has. RV(left) lists the layer versions
        that are not adopted, with the reason. O(verify_keys) and O(signatures) apply; without keys, those of the upstream.
      - Other tools do not know the locks of the repository. Do not run them on its folder while a composer changes the repository.
    type: str
    choices: [present, synced, verified, collected, adopted]
    default: present
  upstream:
    description:
      - The registry, folder or share that many composers use as their repository. It is stored in the repository, for all modules and users.
      - New versions and changes of layers and image templates are sent there first. If another composer has changed the same thing, the module
        fails, and nothing is stored. Connectors, images, tasks and packaging machines stay local.
      - Disks and archives of layers are fetched when they are first used. All other data is transferred by O(state=synced).
      - If the option is not set, the upstream stays as it is. An empty dictionary removes it.
      - No secret is stored. User name, password and passphrase come from the environment of each task that needs the upstream. The variables are
        E(REGISTRY_USERNAME), E(REGISTRY_PASSWORD), E(STRATA_FILE_SHARE_USERNAME), E(STRATA_FILE_SHARE_PASSWORD) and E(STRATA_SIGN_KEY_PASSPHRASE).
      - Earlier versions of the collection refuse a repository with an upstream.
    type: dict
    suboptions:
      registry:
        description: The OCI registry, as C(HOST[:PORT]/PREFIX), such as V(registry.example.com/windows).
        type: str
      file_share:
        description: A folder of the composer, or C(//server/share/path), which is used instead of a registry.
        type: path
      flat:
        description: Whether all layers and templates are tags of a single repository in the registry. All composers need the same value.
        type: bool
        default: false
      registry_auth_file:
        description:
          - A file with credentials in the format of podman and docker.
          - If not set, the files of podman and docker of the user who runs the module are used.
        type: path
      validate_certs:
        description: Whether to check the certificate of the registry.
        type: bool
        default: true
      ca_path:
        description: A file of trusted certificates in PEM format, in addition to the certificates of the system.
        type: path
      plain_http:
        description: Whether to connect without TLS.
        type: bool
        default: false
      proxy:
        description: The URL of an HTTP proxy, without credentials.
        type: str
      verify_keys:
        description:
          - Public keys in PEM format. Each element is a file on the composer or the text of a key.
          - Required unless O(upstream.signatures=optional).
        type: list
        elements: str
      signatures:
        description:
          - With V(required), layer versions and templates without a valid signature by one of O(upstream.verify_keys) are refused.
          - With V(optional), they are accepted.
        type: str
        choices: [required, optional]
        default: required
      sign_key:
        description:
          - A file with the private key that signs what this composer sends. Without it, E(STRATA_SIGN_KEY) in the environment is used.
          - A composer without a key cannot change layers or templates if signatures are required.
        type: path
      cache_size_gb:
        description:
          - The size in GiB to which O(state=synced) and O(state=collected) limit the disks and archives in the repository.
          - The least recently used data is removed first, and only data that the upstream has. Data that was used within the last hour stays.
        type: float
      cache_days:
        description: The number of days after their last use after which O(state=synced) and O(state=collected) remove disks and archives.
        type: float
  full:
    description:
      - With O(state=synced), whether to compare everything with the upstream, even if no composer has changed it since the last time.
      - Everything is compared at least once a day, because other tools may have changed the registry.
    type: bool
    default: false
  offline:
    description: With O(state=synced), whether an upstream that cannot be reached is a warning (V(warn)) or an error (V(fail)).
    type: str
    choices: [warn, fail]
    default: warn
  task_max_age_days:
    description:
      - With O(state=collected), publish tasks that ended more than this number of days ago are removed. No task is removed if not set.
      - The tasks of the image that was published last from each template in each vCenter stay, and so do tasks that may have left an
        unfinished VM.
    type: int
  audit_max_age_days:
    description:
      - With O(state=collected), older records of the audit history are moved from C(audit.jsonl) to one compressed file for each month,
        C(audit/YYYY-MM.jsonl.zst). Records of the month of that day and of later months stay.
      - No record is deleted. M(strata.layering.audit_info) lists the records of all files.
    type: int
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

- name: Share the layers of a registry with other composers
  strata.layering.repository:
    repository: /srv/layers
    upstream:
      registry: registry.example.com/windows
      verify_keys: [/etc/strata/layers.pub]
      sign_key: /etc/strata/layers.key
      cache_size_gb: 200
      cache_days: 60

- name: Take over what other composers have changed
  strata.layering.repository:
    repository: /srv/layers
    state: synced

- name: Use the repository without an upstream again
  strata.layering.repository:
    repository: /srv/layers
    upstream: {}

- name: Remove unused data
  strata.layering.repository:
    repository: /srv/layers
    state: collected

- name: Remove unused data and tasks of the last year, and compress the audit history of past months
  strata.layering.repository:
    repository: /srv/layers
    state: collected
    task_max_age_days: 365
    audit_max_age_days: 0

- name: Copy a layer version and its signatures with oras
  ansible.builtin.command:
    cmd: oras cp -r registry.example.com/windows/app/editor:1.0 --to-oci-layout /srv/layers:editor-1.0

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
signatures_added:
  description: The digests of signatures of versions in the catalog, which are kept with them now.
  returned: when O(state=adopted)
  type: list
  elements: str
removed_references:
  description: Reference names, or digests, of copies that the catalog had already. They are removed, the layer versions remain.
  returned: when O(state=adopted)
  type: list
  elements: str
message:
  description: A sentence about the unused data that is kept and about copies of other tools, or about the adopted layer versions.
  returned: when O(state=collected) or O(state=adopted)
  type: str
  sample: 2 unused blobs (1514 bytes) are kept, because they are younger than 24 hours and another run may be about to use them. A later call removes them.
removed_tasks:
  description: The identifiers of the publish tasks that were removed, or in check mode would be removed.
  returned: when O(state=collected)
  type: list
  elements: str
moved_audit_records:
  description: The number of records of the audit history that were moved to compressed files, or in check mode would be moved.
  returned: when O(state=collected)
  type: int
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
upstream_blobs:
  description: The number of blobs that are only in the upstream, which has confirmed that it has them.
  returned: when O(state=verified)
  type: int
online:
  description: Whether the upstream could be reached.
  returned: when O(state=synced)
  type: bool
upstream:
  description: The name of the upstream in messages.
  returned: when O(state=synced)
  type: str
  sample: the registry registry.example.com
changes:
  description: The layer versions and image templates that were created, updated or deleted here, or in check mode would be.
  returned: when O(state=synced)
  type: list
  elements: dict
  contains:
    action:
      description: V(create), V(update) or V(delete).
      type: str
    kind:
      description: V(os), V(app), V(platform) or V(template).
      type: str
    name:
      description: The name of the layer or image template.
      type: str
    version:
      description: The version of the layer, null for an image template.
      type: str
conflicts:
  description: Sentences about what differs between the repository and the upstream and is kept as it is here. They are also warnings.
  returned: when O(state=synced)
  type: list
  elements: str
evicted:
  description: The digests of disks and archives that were removed from the cache, or in check mode would be removed.
  returned: when O(state=synced) or O(state=collected)
  type: list
  elements: str
evicted_bytes:
  description: The size of these disks and archives in bytes.
  returned: when O(state=synced) or O(state=collected)
  type: int
cached_bytes:
  description: The size in bytes of the disks and archives that stay in the cache, 0 if the cache has no limits.
  returned: when O(state=synced) or O(state=collected)
  type: int
"""

from ..module_utils.common.arguments import change_arguments
from ..module_utils.common.module_runner import LayeringModule, run_watched
from ..module_utils.common.remote_arguments import upstream_arguments, verification_arguments


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            change_arguments(),
            **verification_arguments(),
            state={
                "type": "str",
                "choices": ["present", "synced", "verified", "collected", "adopted"],
                "default": "present",
            },
            upstream={"type": "dict", "options": upstream_arguments()},
            full={"type": "bool", "default": False},
            offline={"type": "str", "choices": ["warn", "fail"], "default": "warn"},
            task_max_age_days={"type": "int"},
            audit_max_age_days={"type": "int"},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.repository import ensure_repository
    from ..module_utils.operations.repository_states.repository_module_options import RepositoryModuleOptions

    run_watched(
        module,
        lambda progress: ensure_repository(
            RepositoryModuleOptions.from_params(module.params), check_mode=module.check_mode, progress=progress
        ),
    )


if __name__ == "__main__":
    main()
