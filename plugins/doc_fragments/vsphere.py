# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the connection to vCenter."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  hostname:
    description:
      - Host name or address of the vCenter Server (or of a standalone ESXi host).
      - If not set, the environment variable E(VMWARE_HOST) is used.
    type: str
    required: true
  username:
    description:
      - The user to log in as.
      - If not set, the environment variable E(VMWARE_USER) is used.
    type: str
    required: true
    aliases: [user, admin]
  password:
    description:
      - The password of O(username). It is never stored.
      - If not set, the environment variable E(VMWARE_PASSWORD) is used.
    type: str
    required: true
    aliases: [pass, pwd]
"""

    OPTIONAL = r"""
options:
  hostname:
    description:
      - Host name or address of the vCenter Server. Only used by options that require it.
      - If not set, the environment variable E(VMWARE_HOST) is used.
    type: str
  username:
    description:
      - The user to log in as.
      - If not set, the environment variable E(VMWARE_USER) is used.
    type: str
    aliases: [user, admin]
  password:
    description:
      - The password of O(username). It is never stored.
      - If not set, the environment variable E(VMWARE_PASSWORD) is used.
    type: str
    aliases: [pass, pwd]
"""

    CONNECTION = r"""
options:
  validate_certs:
    description:
      - Whether to check the certificates of vCenter and of the ESXi hosts.
      - The certificate of a host is accepted if a trusted authority signed it, or if its thumbprint is the thumbprint in vCenter.
      - If not set, the environment variable E(VMWARE_VALIDATE_CERTS) is used.
    type: bool
    default: true
  port:
    description:
      - The port of the vCenter Server.
      - If not set, the environment variable E(VMWARE_PORT) is used.
    type: int
    default: 443
  ca_path:
    description:
      - A file of trusted certificates in PEM format, in addition to the certificates of the system.
      - If not set, the environment variable E(VMWARE_CA_PATH) is used.
    type: path
  proxy_host:
    description:
      - A proxy for the connections to vCenter and its hosts.
      - If not set, the environment variable E(VMWARE_PROXY_HOST) is used.
    type: str
  proxy_port:
    description:
      - The port of O(proxy_host).
      - If not set, the environment variable E(VMWARE_PROXY_PORT) is used.
    type: int
requirements:
  - pyvmomi
"""

    TRANSFER = r"""
options:
  stall_timeout:
    description:
      - Maximum time in seconds in which no byte of a disk is transferred. After that, the transfer ends with an error.
      - An ESXi host sends nothing while it reads the empty parts of a disk that is provisioned thick.
      - A host that cannot be reached any more, and a transfer that vCenter has ended, are noticed earlier.
    type: int
    default: 900
"""
