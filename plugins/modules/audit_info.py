#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List the changes of a repository."""

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_info
short_description: List the changes of a repository
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Lists the changes of a repository with the user, the time and the comment of each change, newest first.
  - Records that M(strata.layering.repository) has moved to compressed files are listed, too.
options:
  kind:
    description:
      - List only changes of this kind of object. V(app) and V(app_layer) are the same, and so are the names of the other layers.
      - V(pool) and V(farm) are the desktop pools and farms of Horizon to which images were pushed.
      - V(packaging) is the same as V(packaging_machine), and V(image) the same as V(layered_image).
    type: str
    choices:
      - os
      - app
      - platform
      - os_layer
      - app_layer
      - platform_layer
      - connector
      - image_template
      - layered_image
      - image
      - packaging_machine
      - packaging
      - ovf_package
      - file_share
      - noise_profile
      - pool
      - farm
      - repository
  name:
    description: List only changes of the object with this name. The rename of an object is listed for both names.
    type: str
  since:
    description: List only changes since this time, in RFC 3339 format, such as V(2026-11-01T00:00:00Z).
    type: str
  limit:
    description: Maximum number of changes to list.
    type: int
    default: 100
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.attributes.info
"""

EXAMPLES = r"""
- name: List the changes of an image template
  strata.layering.audit_info:
    repository: /srv/layers
    kind: image_template
    name: office-desktop
"""

RETURN = r"""
records:
  description: The changes, newest first.
  returned: always
  type: list
  elements: dict
  contains:
    time:
      description: Time of the change (UTC).
      type: str
    user:
      description: The user that ran the module on the composer.
      type: str
    host:
      description: Name of the composer.
      type: str
    action:
      description:
        - What was done, such as V(create), V(update), V(delete), V(publish), V(cancel), V(export), V(finalize), V(collect), V(push) or
          V(rename).
      type: str
    kind:
      description: The kind of object, such as V(app_layer).
      type: str
    name:
      description: Name of the object.
      type: str
    version:
      description: The version of a layer that was created, changed or deleted, null otherwise.
      type: str
    comment:
      description: The comment of the change, null without a comment.
      type: str
    details:
      description: Facts about the change, depending on RV(records[].action), such as the fields that changed or the published VM.
      type: dict
  sample:
    - time: "2026-11-21T08:00:00Z"
      user: awx
      action: update
      kind: image_template
      name: office-desktop
      comment: CHG-1042
"""

from ..module_utils.common.arguments import repository_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            repository_arguments(),
            kind={
                "type": "str",
                "choices": [
                    "os",
                    "app",
                    "platform",
                    "os_layer",
                    "app_layer",
                    "platform_layer",
                    "connector",
                    "image_template",
                    "layered_image",
                    "image",
                    "packaging_machine",
                    "packaging",
                    "ovf_package",
                    "file_share",
                    "noise_profile",
                    "pool",
                    "farm",
                    "repository",
                ],
            },
            name={"type": "str"},
            since={"type": "str"},
            limit={"type": "int", "default": 100},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.info import InfoOptions, audit_info

    run(module, lambda: audit_info(InfoOptions.from_params(module.params)))


if __name__ == "__main__":
    main()
