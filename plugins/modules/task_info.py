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
    description:
      - List only tasks with one of these states.
      - V(Running) - a run is in progress. RV(tasks[].alive) says whether its process runs.
      - V(ActionRequired) - an administrator has to act; the next run resumes the task.
      - V(Complete) - the image is published.
      - V(Canceled) - the task was canceled, or the template changed before the image was finished.
      - V(Failed) - an error ended the task.
      - V(NotStarted) and V(Pending) are accepted, but no stored task has these states.
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
  - name: Publishing
    description: Steps, task states and manual actions.
    link: https://github.com/strata/layering/blob/main/docs/publishing.md
"""

EXAMPLES = r"""
- name: List publish tasks that failed or need manual action
  strata.layering.task_info:
    repository: /srv/layers
    status: [Failed, ActionRequired]
"""

RETURN = r"""
tasks:
  description: The tasks, newest first.
  returned: always
  type: list
  elements: dict
  contains:
    alive:
      description:
        - Whether the process that works on the task runs, on any composer with this repository. The lock of the template shows this.
        - A task with the status C(Running) that is not alive was interrupted; the next publish of the template resumes it.
      type: bool
    id:
      description: Identifier of the task, null if the task is not stored.
      type: str
    template:
      description: Name of the template.
      type: str
    digest:
      description: The same value as C(image_digest).
      type: str
    image_digest:
      description: Digest of everything that determines the published VM.
      type: str
    content_digest:
      description: Digest of everything that determines the content of the disk.
      type: str
    connector:
      description: Name of the connector.
      type: str
    publish_mode:
      description: V(automatic) or V(manual).
      type: str
    status:
      description:
        - C(Running), C(ActionRequired), C(Complete), C(Canceled) or C(Failed). See O(status).
      type: str
    step:
      description:
        - The current step, or the step at which the task waits for manual action; null after the last step.
        - One of C(compose), C(create), C(upload), C(power_on), C(scripts), C(shut_down), C(snapshot), C(verify), C(connector_script) and
          C(retire_old).
      type: str
    description:
      description: The location of the image, the manual action that is needed, or the error.
      type: str
    created:
      description: Time at which the task was created, in UTC.
      type: str
    updated:
      description: Time of the last change of the task, in UTC.
      type: str
    vcenter:
      description: The vCenter of the published or planned VM.
      type: dict
      contains:
        hostname:
          description: Host name as the option C(hostname) gave it.
          type: str
        instance_uuid:
          description: Identifier of the vCenter.
          type: str
    vm:
      description: The VM. A VM that does not exist yet has only a name.
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
      description: Managed object ID of the snapshot, null as long as it is not known.
      type: str
    datastore_path:
      description: Path of the configuration file of the VM.
      type: str
    timings:
      description: Duration in seconds of each step, by the name of the step.
      type: dict
    bytes:
      description: Sizes in bytes - C(compressed), C(uploaded) and C(disk).
      type: dict
    upload:
      description:
        - The upload of the disk of C(vm), null until an ESXi host has received the whole disk.
        - A VM whose upload is recorded as complete is never uploaded again.
      type: dict
      contains:
        moid:
          description: Managed object ID of the VM.
          type: str
        instance_uuid:
          description: Instance UUID of the VM.
          type: str
        size:
          description: Size of the upload in bytes.
          type: int
        sha1:
          description: SHA-1 digest of the upload.
          type: str
        confirmed_by:
          description: The digest by which the ESXi host has confirmed the upload, such as C(SHA-1); null if it reported no digest.
          type: str
        completed:
          description: Whether vCenter has completed the lease of the upload.
          type: bool
    progress:
      description: Progress of the current step, null if no step runs. Values that cannot be estimated are null.
      type: dict
      contains:
        step:
          description: Name of the part of the step that runs.
          type: str
        unit:
          description: Unit of C(done) and C(total) - V(bytes), V(seconds), V(percent) or V(keys).
          type: str
        done:
          description: Amount that is done.
          type: int
        total:
          description: Total amount. For V(seconds), the time limit.
          type: int
        percent:
          description: Percentage that is done.
          type: int
        rate:
          description: Units per second.
          type: float
        seconds_left:
          description: Estimated remaining time in seconds.
          type: int
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
    preflight:
      description:
        - The checks before the image was composed, of whether the connector can receive it.
        - If a check failed, nothing was composed or created, and the task has the status C(Failed).
      type: list
      elements: dict
      contains:
        name:
          description: Name of the check.
          type: str
        result:
          description: V(pass), V(warn) or V(fail).
          type: str
        found:
          description: What was found.
          type: str
        action:
          description: What to do, empty if the check passed.
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
      description: The script of the connector, null if there is none or it was not reached.
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
    warnings:
      description: Warnings of the task.
      type: list
      elements: str
    error:
      description: The error with C(code), C(message) and C(hint), null if there is none.
      type: dict
  sample:
    - id: 20261121T091500Z-1f0c22a1
      template: office-desktop
      status: ActionRequired
      alive: false
      step: scripts
      description: Script 2 of 3 (app layer Editor 1.0) failed with exit code 5, in the VM office-desktop-1f0c22a1.
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
