#!/usr/bin/python
# -*- coding: utf-8 -*-
# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List connectors."""

from __future__ import annotations

DOCUMENTATION = r"""
module: connector_info
short_description: List connectors
version_added: 0.1.0
author:
  - the strata.layering contributors (@strata)
description:
  - Lists the connectors of a repository.
options:
  name:
    description: List only the connector with this name.
    type: str
extends_documentation_fragment:
  - strata.layering.repository
  - strata.layering.attributes.info
seealso:
  - module: strata.layering.connector
"""

EXAMPLES = r"""
- name: List all connectors
  strata.layering.connector_info:
    repository: /srv/layers
"""

RETURN = r"""
connectors:
  description: The connectors, sorted by name.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the connector.
      type: str
    type:
      description: Type of the target platform.
      type: str
    description:
      description: Purpose of the connector.
      type: str
    datacenter:
      description: Name of the datacenter.
      type: str
    cluster:
      description: Name of the cluster, null if not given.
      type: str
    esxi_host:
      description: Name of the ESXi host, null if not given.
      type: str
    esxi_hostname:
      description: The same value as C(esxi_host).
      type: str
    resource_pool:
      description: Name of the resource pool, null if not given.
      type: str
    datastore:
      description: Name of the datastore.
      type: str
    folder:
      description: VM folder, relative to the VM folder of the datacenter.
      type: str
    network:
      description: Name of the network, null if not given.
      type: str
    storage_policy:
      description: Name or identifier of the storage policy, null if not given.
      type: str
    vtpm:
      description: What happens when a published VM has a virtual TPM.
      type: str
    vm_template:
      description: Name of the VM template.
      type: str
    script:
      description: Path of the program that runs after an image was published, null if not given.
      type: str
    custom_attributes:
      description: Custom attributes of published VMs, by name.
      type: dict
"""

from ..module_utils.common.arguments import repository_arguments
from ..module_utils.common.module_runner import LayeringModule, run


def main() -> None:
    module = LayeringModule(
        argument_spec=dict(
            repository_arguments(),
            name={"type": "str"},
        ),
        supports_check_mode=True,
    )
    from ..module_utils.operations.info import InfoOptions, connector_info

    run(module, lambda: connector_info(InfoOptions.from_params(module.params)))


if __name__ == "__main__":
    main()
