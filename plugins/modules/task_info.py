#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List publish tasks."""

from __future__ import annotations

DOCUMENTATION = r"""
module: task_info
short_description: List publish tasks and their states
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Lists the publish tasks of a repository, newest first.
options:
  template:
    description: List only tasks of this template.
    type: str
  status:
    description: List only tasks with one of these states.
    type: list
    elements: str
    choices: [NotStarted, Pending, Running, ActionRequired, Complete, Canceled, Failed]
  limit:
    description: Maximum number of tasks to list.
    type: int
    default: 100
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.attributes.info
seealso:
  - module: strata.layering.layered_image_publish
"""

EXAMPLES = r"""
- name: List publish tasks that failed or need manual action
  strata.layering.task_info:
    repository: /srv/layers
    status: [Failed, ActionRequired]
"""

RETURN = r"""
tasks:
  description:
    - The tasks, newest first.
    - A task that is running has its progress in C(progress), with C(step), C(unit), C(done), C(total), C(percent), C(rate) (units per second)
      and C(seconds_left). Values that cannot be estimated are null.
  returned: always
  type: list
  elements: dict
  sample:
    - id: 20261121T091500Z-1f0c22a1
      template: office-desktop
      status: ActionRequired
      step: scripts
      description: The script 2/3 app layer Editor 1.0 failed with exit code 5 in the VM office-desktop-1f0c22a1.
      vm:
        name: office-desktop-1f0c22a1
      scripts:
        state: failed
        current: 2/3 app layer Editor 1.0
        code: "5"
        output: no license server
        results:
          "1": "0"
          "2": "5"
"""

from ..module_utils.common.arguments import repository_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            repository_arguments(),
            template={"type": "str"},
            status={
                "type": "list",
                "elements": "str",
                "choices": ["NotStarted", "Pending", "Running", "ActionRequired", "Complete", "Canceled", "Failed"],
            },
            limit={"type": "int", "default": 100},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.info import InfoOptions, task_info

    run(module, lambda: task_info(InfoOptions.from_params(module.params)))


if __name__ == "__main__":
    main()
