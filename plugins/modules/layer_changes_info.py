#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the changes of a run in advance."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layer_changes_info
short_description: List the changes of a run in advance
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Compares layer versions with the repository in a single process. The roles use it to run M(strata.layering.app_layer) and the other modules
    only for versions that may differ.
  - An existing version is compared with its source. For a version that does not exist, its source is not read.
  - A repository that does not exist is not an error. All versions would be created then.
options:
  kind:
    description: The kind of the layers.
    type: str
    choices: [os, app, platform]
    required: true
  versions:
    description:
      - The layer versions. Each element has the options of M(strata.layering.os_layer), M(strata.layering.app_layer) or
        M(strata.layering.platform_layer), depending on O(kind).
      - The options of this module apply to elements that do not set them.
    type: list
    elements: dict
    required: true
  os_layer:
    description: The OS layer of app and platform layers that do not name an OS layer.
    type: dict
    suboptions:
      name:
        description: Name of the OS layer.
        type: str
        required: true
      version:
        description: Version of the OS layer. The newest deployable version if not given.
        type: str
  pending:
    description: Layer versions that earlier steps of a run in check mode would create, change or delete.
    type: list
    elements: dict
    default: []
    suboptions:
      kind:
        description: The kind of the layer.
        type: str
        choices: [os, app, platform]
        required: true
      name:
        description: Name of the layer.
        type: str
        required: true
      version:
        description: Version of the layer. All versions if not given.
        type: str
      action:
        description: What would be done.
        type: str
        choices: [create, change, delete]
        required: true
      os_layer:
        description: The OS layer that a created version is built for.
        type: dict
        suboptions: &version
          name:
            description: Name of the layer.
            type: str
            required: true
          version:
            description: Version of the layer.
            type: str
      prerequisites:
        description: The prerequisites of a created version.
        type: list
        elements: dict
        suboptions: *version
      priority:
        description: The priority that the app layer would have.
        type: int
      confirmed_for:
        description: Versions of the OS layer for which a version of a platform layer would be confirmed.
        type: list
        elements: str
      unknown:
        description: Why it is not known whether the version will be created.
        type: str
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.file_share
  - strata.layering.attributes.info
seealso:
  - module: strata.layering.layer_info
  - module: strata.layering.app_layer
"""

EXAMPLES = r"""
- name: List the app layer versions that differ from the repository
  strata.layering.layer_changes_info:
    repository: /srv/layers
    kind: app
    os_layer:
      name: Windows 11
    versions:
      - name: Tool
        version: "2.1"
        files: /srv/packages/tool-2.1
      - name: Reader
        state: absent
  register: compared

- name: Show the changes
  ansible.builtin.debug:
    msg: "{{ compared.versions | selectattr('changed') | map(attribute='message') }}"
"""

RETURN = r"""
repository_exists:
  description: Whether the repository exists.
  returned: always
  type: bool
versions:
  description: The elements of O(versions), in the same order.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: The kind of the layer.
      type: str
    name:
      description: Name of the layer.
      type: str
    version:
      description: Name of the version.
      type: str
    action:
      description: V(create), V(change), V(delete), V(none), or V(unknown) if the version has a problem.
      type: str
    changed:
      description: Whether a run would create, change or delete the version.
      type: bool
    process:
      description:
        - Whether the module that manages the version has work to do. In check mode, it has none for a version that waits for other changes.
      type: bool
    waits_for:
      description: What earlier steps of a run would create before the version, such as its OS layer.
      type: list
      elements: str
    problem:
      description: Why the version cannot be compared, such as content that differs from an existing version.
      type: str
    code:
      description: The error code of the problem.
      type: str
    message:
      description: A sentence about the version.
      type: str
    pending:
      description: An element for O(pending) of later calls, if the version would be created, changed or deleted.
      type: dict
"""

from ..module_utils.common.arguments import (
    app_layer_arguments,
    check_entry,
    layer_version_options,
    os_layer_arguments,
    platform_layer_arguments,
    repository_arguments,
    share_arguments,
)
from ..module_utils.common.module_runner import LayeringModule, run

_ARGUMENTS = {"os": os_layer_arguments, "app": app_layer_arguments, "platform": platform_layer_arguments}
#: Options of this module that apply to elements of ``versions``.
_COMMON = ("repository", "os_layer", "file_share_username", "file_share_password", "file_share_encrypt")


def _checked(entry, params):
    """Return an element of ``versions`` with its defaults as ``params``, and the ``problem`` in its options or None."""
    arguments = _ARGUMENTS[params["kind"]]()
    common = {name: params[name] for name in _COMMON if name in arguments and params[name] is not None}
    values = {name: value for name, value in entry.items() if value is not None}
    return check_entry(dict(common, **values), arguments, [("state", "present", ("version",))])


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            repository_arguments(),
            **share_arguments(),
            kind={"type": "str", "choices": ["os", "app", "platform"], "required": True},
            versions={"type": "list", "elements": "dict", "required": True},
            os_layer={"type": "dict", "options": layer_version_options(version_required=False)},
            pending={
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "kind": {"type": "str", "choices": ["os", "app", "platform"], "required": True},
                    "name": {"type": "str", "required": True},
                    "version": {"type": "str"},
                    "action": {"type": "str", "choices": ["create", "change", "delete"], "required": True},
                    "os_layer": {"type": "dict", "options": layer_version_options(version_required=False)},
                    "prerequisites": {
                        "type": "list",
                        "elements": "dict",
                        "options": layer_version_options(version_required=False),
                    },
                    "priority": {"type": "int"},
                    "confirmed_for": {"type": "list", "elements": "str"},
                    "unknown": {"type": "str"},
                },
            },
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.layer_changes import LayerChangesOptions, layer_changes

    entries = [_checked(entry, module.params) for entry in module.params["versions"]]
    options = LayerChangesOptions.from_params(module.params, entries)
    run(module, lambda: layer_changes(options, check_mode=module.check_mode))


if __name__ == "__main__":
    main()
