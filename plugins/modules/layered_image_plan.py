#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show which images would be published and why, and conflicts between the layers of an image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: layered_image_plan
short_description: Plan publishing and list conflicts
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Compares image templates with the published images, without changing anything, and shows which images a run of
    M(strata.layering.layered_image_publish) would publish and why. RV(summary) is a list to read.
  - O(templates), O(connectors) and O(pending_layers) describe changes that are not stored yet. The role P(strata.layering.layered_image#role) uses
    the module in check mode, so that the end of C(ansible-playbook --check) shows what a run would do.
  - If all layers of an image that would be published exist, the plan also reports an error for which composing would be refused.
  - With O(vsphere), the plan also looks up the published VMs. An image whose VM was removed is published again. Without it, the plan
    compares the templates with the records of the repository.
  - With O(template), the module also reads the file indexes and the registry changes of the layers of one stored template, without composing the
    image, and reports the files and registry keys on which layers contradict each other.
  - A layer may override files of its prerequisites; this is not reported as a conflict.
  - Files that a layer contains although the OS layer has changed them since the OS layer version for which the layer was built are listed
    separately.
  - A warning reports 8.3 names (such as C(STRATA~1)) that several layers assign to different files of a folder, because programs may use
    such paths. The OS layer or the lowest layer keeps the name; the files of the other layers lose it.
  - With O(template), lists everything for which composing the image would be refused, such as a folder of a layer whose long name is the 8.3 name of a
    different folder of the OS layer, with the layer and its version. A warning reports the first of these reasons.
options:
  template:
    description: Name of a stored image template whose conflicts are shown, too. It excludes O(templates), O(connectors), O(pending_layers) and O(publish).
    type: str
  paths:
    description: Paths on drive C for which to report the layers that provide, change or remove them. It has an effect only with O(template).
    type: list
    elements: str
    default: []
  templates:
    description:
      - The image templates as they would be stored. Each entry has the options of M(strata.layering.image_template).
      - An entry that is not valid is reported in RV(problems) and does not stop the others.
      - If not given, the stored templates are compared with their images.
    type: list
    elements: dict
  connectors:
    description:
      - The connectors as they would be stored. Each entry has the options of M(strata.layering.connector). Other connectors are those of the repository.
      - With O(vsphere), the objects of a connector with C(test=true) are looked up.
    type: list
    elements: dict
  pending_layers:
    description:
      - Layer versions that would be created, changed or deleted before images are published.
      - Each entry has C(kind) (V(os), V(app) or V(platform)), C(name), C(version) and C(action) (V(create), V(change) or V(delete)).
        An entry with C(action=delete) and without C(version) deletes the layer.
      - For C(action=create), C(os_layer) is the OS layer (C(name) and optionally C(version)) for which an app or platform layer would be built. If not
        given, the layer fits to each template. C(prerequisites) are its prerequisites.
      - For C(action=create) and C(action=change), C(priority) is the new priority of an app layer, and C(confirmed_for) are the OS layer versions
        for which a platform layer is confirmed.
      - C(unknown) says why it is not known whether the version would be created, such as V(its software is installed manually).
      - Entries with another C(action) and other keys are ignored.
    type: list
    elements: dict
  publish:
    description:
      - Names of the templates that would be published. By default, all O(templates), or all stored templates if O(templates) is not given.
      - If O(templates) is not given, only these templates are compared.
    type: list
    elements: str
  keep:
    description: Number of older VMs of a template to keep, as in M(strata.layering.layered_image_publish). All are kept if not set.
    type: int
  test:
    description: Whether to look up the objects of connectors that do not set C(test).
    type: bool
    default: false
  vsphere:
    description:
      - Whether to compare with the published VMs in vSphere, if a connection is set with O(hostname), O(username) and O(password).
      - If no connection is set, RV(compared_with_vsphere) is false.
    type: bool
    default: false
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.vsphere.optional
  - strata.layering.vsphere.connection
  - strata.layering.horizon_servers
  - strata.layering.attributes
attributes:
  check_mode:
    description: The module changes nothing. In check mode, a repository that does not exist counts as an empty repository.
  diff_mode:
    description: The module returns how connectors, templates and images would change.
seealso:
  - module: strata.layering.image_template
  - module: strata.layering.layered_image_publish
  - name: Check mode
    description: How to review a change before it is published.
    link: https://github.com/strata/layering/blob/main/docs/check-mode.md
"""

EXAMPLES = r"""
- name: Refuse an image with conflicts or outdated files, or that cannot be composed
  strata.layering.layered_image_plan:
    repository: /srv/layers
    template: office-desktop
    paths:
      - Windows\System32\shared.dll
  register: plan
  failed_when: plan.counts.conflicts or plan.counts.outdated or plan.counts.refused

- name: Compare the stored templates with their images in vSphere
  strata.layering.layered_image_plan:
    repository: /srv/layers
    vsphere: true
  register: plan

- name: Show which images would be published and why
  ansible.builtin.debug:
    msg: "{{ plan.summary }}"

- name: Show the effect of a new version of an app layer
  strata.layering.layered_image_plan:
    repository: /srv/layers
    templates:
      - name: office-desktop
        connector: desktops
        os_layer:
          name: Windows 11
          version: 23H2-2026.11
        app_layers:
          - name: Notepad++
            version: latest
    pending_layers:
      - kind: app
        name: Notepad++
        version: "8.7"
        action: create
"""

RETURN = r"""
summary:
  description: The plan as a list of lines to read.
  returned: always
  type: list
  elements: str
  sample:
    - "Would create: app layer Notepad++ 8.7, app layer VPN 5"
    - "Would publish office-desktop: Notepad++ 8.6 -> 8.7, VPN 5 new"
    - "Unchanged: kiosk"
    - "Not known yet: lab (its app layer Reader 11: its software is installed manually)"
images:
  description: The plan of each image template.
  returned: always
  type: list
  elements: dict
  contains:
    template:
      description: Name of the template.
      type: str
    publish:
      description: Whether the image would be published. Null if it is not known yet or if manual action is needed.
      type: bool
    reasons:
      description: Why the image would be published.
      type: list
      elements: str
    changes: &changes
      description: >-
        The differences from the newest published image. C(kind) is V(os), V(app), V(platform), V(setting) or V(connector), C(name) is the layer or the
        setting, C(before) is null for a new layer, and C(after) is null for a removed layer. C(latest) is true if the template asks for the
        newest version.
      type: list
      elements: dict
    unknown:
      description: Why it is not known yet whether the image would be published.
      type: list
      elements: str
    action_required:
      description: The manual action that is needed before the image can be published, null if none is needed.
      type: str
    current:
      description: The newest published image, null if there is none.
      type: dict
      contains: &image
        layers:
          description: The layer versions of the image, each with C(kind), C(name) and C(version).
          type: list
          elements: dict
        image_digest:
          description: The digest of the image, null if layers of the image do not exist yet.
          type: str
        vm:
          description: Name of the VM, null if layers of the image do not exist yet.
          type: str
        published:
          description: When the image was published, null for an image that is not published.
          type: str
    planned:
      description: The image that the template describes, null if that is not known.
      type: dict
      contains: *image
    selected:
      description: Whether the run would publish the template.
      type: bool
    absent:
      description: Whether the template would not exist after the run.
      type: bool
    template_action:
      description: What would happen to the template - V(create), V(change), V(delete) or V(none).
      type: str
    template_changes:
      description: The changed fields of the template.
      type: list
      elements: str
    steps:
      description: The steps of publishing, such as V(create) and V(snapshot). Only known if the plan was compared with vSphere.
      type: list
      elements: str
    remove_vms:
      description: Names of VMs of older images that would be removed.
      type: list
      elements: str
    changes_vsphere:
      description: Whether a run would change VMs or their records.
      type: bool
    error:
      description: The error with which the run would fail for this template, with C(code), C(msg) and C(hint). Null if there is none.
      type: dict
    task:
      description: The publish task as M(strata.layering.layered_image_publish) returns it in check mode, null if vSphere was not looked up.
      type: dict
    image:
      description: The image as M(strata.layering.layered_image_publish) returns it in check mode, null if there is none.
      type: dict
  sample:
    - template: office-desktop
      publish: true
      reasons:
        - Notepad++ 8.6 -> 8.7
      changes:
        - kind: app
          name: Notepad++
          before: "8.6"
          after: "8.7"
          latest: true
      current:
        image_digest: sha256:1f0c22a1
        vm: office-desktop-1f0c22a1
        published: "2026-11-03T09:12:44Z"
        layers:
          - kind: os
            name: Windows 11
            version: 23H2-2026.11
          - kind: app
            name: Notepad++
            version: "8.6"
connectors:
  description: The plan of each of O(connectors) - C(name), C(action) (V(create), V(change), V(delete) or V(none)) and C(error), as in RV(images).
  returned: always
  type: list
  elements: dict
problems:
  description: The connectors and templates for which the run would fail.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: V(connector) or V(image_template).
      type: str
    name:
      description: Name of the connector or template.
      type: str
    code:
      description: The code of the error.
      type: str
    msg:
      description: The message of the error.
      type: str
    hint:
      description: What to do.
      type: str
would_change:
  description: Whether a run would change a connector, a template or an image.
  returned: always
  type: bool
new_repository:
  description: Whether the repository does not exist yet.
  returned: always
  type: bool
compared_with_vsphere:
  description: Whether the plan was compared with the VMs in vSphere.
  returned: always
  type: bool
publish:
  description: As in RV(images), for O(template).
  returned: with O(template)
  type: bool
reasons:
  description: As in RV(images), for O(template).
  returned: with O(template)
  type: list
  elements: str
current:
  description: The newest published image, null if there is none.
  returned: with O(template)
  type: dict
  contains: *image
planned:
  description: The image that the template describes, null if that is not known.
  returned: with O(template)
  type: dict
  contains: *image
counts:
  description: The number of files that the layers contribute to the image, of conflicts, registry findings, outdated files, lost 8.3 names and reasons
    for which composing is refused.
  returned: with O(template)
  type: dict
  contains:
    files:
      description: Number of files that the layers contribute.
      type: int
    conflicts:
      description: Number of RV(conflicts).
      type: int
    registry:
      description: Number of findings in RV(registry).
      type: int
    outdated:
      description: Number of files in RV(outdated).
      type: int
    short_names:
      description: Number of names in RV(short_names).
      type: int
    refused:
      description: Number of errors in RV(refused).
      type: int
  sample:
    files: 1200
    conflicts: 1
    registry: 0
    outdated: 0
    short_names: 0
    refused: 0
conflicts:
  description: Paths on which layers contradict each other.
  returned: with O(template)
  type: list
  elements: dict
  contains:
    path:
      description: The path on drive C.
      type: str
    outcome:
      description: What the winner does with the path, such as V(brings) or V(removes).
      type: str
    winner:
      description: The layer version that wins.
      type: str
    losers:
      description: The other layer versions.
      type: list
      elements: str
  sample:
    - path: Program Files/Common Files/shared.dll
      outcome: brings
      winner: app layer Tool 2.1
      losers:
        - app layer Reader 11.0
registry:
  description: Registry keys and values on which layers contradict each other, and lists and counters that were merged.
  returned: with O(template)
  type: list
  elements: dict
  contains:
    hive:
      description: The hive.
      type: str
    key:
      description: The key in the hive.
      type: str
    value:
      description: The name of the value, null for a key.
      type: str
    layers:
      description: The layer versions whose content the image has.
      type: list
      elements: str
    overruled:
      description: The layer versions whose content the image does not have.
      type: list
      elements: str
outdated:
  description: >-
    Files of layers that the OS layer has changed since the OS layer version for which the layer was built. RV(conflicts), RV(layers) and
    RV(provenance) show the result of the template's option C(outdated_files); with V(fail), they show the files of the layers.
  returned: with O(template)
  type: list
  elements: dict
  contains:
    path:
      description: The path on drive C.
      type: str
    layer:
      description: The layer version that contains the file.
      type: str
    os_layer:
      description: The OS layer version that has changed the file.
      type: str
short_names:
  description: The 8.3 names that files lose because a different file of the same folder (C(holder)) has them.
  returned: with O(template)
  type: list
  elements: dict
  contains:
    path:
      description: The path on drive C.
      type: str
    short_name:
      description: The 8.3 name.
      type: str
    layer:
      description: The layer version that contains the file.
      type: str
    holder:
      description: The name of the file that has the 8.3 name.
      type: str
  sample:
    - path: Program Files/Strata Writer
      short_name: STRATA~1
      layer: app layer Writer 2.1
      holder: Strata Reader
refused:
  description: >-
    The errors for which composing the image would be refused, at most 100 for files. A layer that contradicts itself or a lower layer
    lets this module fail.
  returned: with O(template)
  type: list
  elements: dict
  contains:
    code:
      description: The code of the error.
      type: str
    message:
      description: The error, with the layer and its version.
      type: str
    hint:
      description: How to mend it.
      type: str
    layer:
      description: The layer and its version; null if the error concerns the whole image.
      type: str
    path:
      description: The path on drive C; null if the error concerns the whole image.
      type: str
  sample:
    - code: images.layer_short_name
      message: The path PROGRA~1 of app layer Tool 2.1 is the 8.3 name of Program Files.
      hint: Use the long name Program Files in the layer.
      layer: app layer Tool 2.1
      path: PROGRA~1
layers:
  description: The layers in the order in which they are applied, with the content of each layer and the number of its files that win.
  returned: with O(template)
  type: list
  elements: dict
  contains:
    kind:
      description: V(app) or V(platform).
      type: str
    name:
      description: Name of the layer.
      type: str
    version:
      description: Version of the layer.
      type: str
    digest:
      description: The digest of the layer version.
      type: str
    files:
      description: Number of files of the layer.
      type: int
    removals:
      description: Number of paths that the layer removes.
      type: int
    bytes:
      description: Size of the files in bytes.
      type: int
    files_that_win:
      description: Number of files of the layer that the image contains.
      type: int
provenance:
  description: For each of O(paths), the layers that provide, change or remove it. The last layer wins.
  returned: with O(template)
  type: dict
content_digest:
  description: The digest of all inputs that determine the content of the image.
  returned: with O(template)
  type: str
"""

from ..module_utils.common.arguments import (
    CONNECTOR_REQUIRED_IF,
    TEMPLATE_REQUIRED_IF,
    check_entry,
    connector_arguments,
    horizon_servers_arguments,
    repository_arguments,
    template_arguments,
    vsphere_arguments,
)
from ..module_utils.common.module_runner import LayeringModule, run


def _checked(entries, arguments, required_if):
    return None if entries is None else [check_entry(entry, arguments, required_if) for entry in entries]


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            repository_arguments(),
            **vsphere_arguments(required=False),
            template={"type": "str"},
            paths={"type": "list", "elements": "str", "default": []},
            templates={"type": "list", "elements": "dict"},
            connectors={"type": "list", "elements": "dict"},
            pending_layers={"type": "list", "elements": "dict"},
            publish={"type": "list", "elements": "str"},
            keep={"type": "int"},
            **horizon_servers_arguments(),
            test={"type": "bool", "default": False},
            vsphere={"type": "bool", "default": False},
        ),
        mutually_exclusive=[
            ("template", "templates"),
            ("template", "connectors"),
            ("template", "pending_layers"),
            ("template", "publish"),
        ],
        supports_check_mode=True,
    )
    from ..module_utils.operations.layered_image_plan import LayeredImagePlanOptions, layered_image_plan

    params = dict(
        module.params,
        templates=_checked(module.params["templates"], template_arguments(), TEMPLATE_REQUIRED_IF),
        connectors=_checked(module.params["connectors"], connector_arguments(), CONNECTOR_REQUIRED_IF),
    )
    run(
        module,
        lambda: layered_image_plan(
            LayeredImagePlanOptions.from_params(params, diff_mode=module._diff), check_mode=module.check_mode
        ),
    )


if __name__ == "__main__":
    main()
