# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the Connection Servers that are asked which images Horizon uses."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  horizon:
    description:
      - The Connection Servers that are asked which pools, farms and machines use the VMs of images, one for each pod that uses this vCenter.
      - They are asked only if VMs would be deleted. The user needs to see all pools and farms of the pod.
      - If a Connection Server does not answer, a publish succeeds, keeps all older VMs, and reports a warning. The next run deletes them.
        Images are not removed.
      - No environment variable is used. By default, Horizon is not asked.
    type: list
    elements: dict
    default: []
    suboptions:
      hostname:
        description: Host name or address of a Connection Server of the pod.
        type: str
        required: true
      username:
        description: The user to log in as, such as C(svc-images), or with its domain C(EXAMPLE\svc-images).
        type: str
        required: true
      domain:
        description: The domain of the user. It is required, unless C(username) has it.
        type: str
      password:
        description: The password of the user. It is never stored.
        type: str
        required: true
      validate_certs:
        description: Whether to check the certificate of the Connection Server.
        type: bool
        default: true
      port:
        description: The port of the Connection Server.
        type: int
        default: 443
      ca_path:
        description: A file of trusted certificates in PEM format, in addition to the certificates of the system.
        type: path
      proxy_host:
        description: An HTTP proxy for the connection to the Connection Server.
        type: str
      proxy_port:
        description: The port of C(proxy_host), by default 3128.
        type: int
      api_log:
        description: A file to which each request to the Connection Server and its answer is appended as a line of JSON, without passwords and tokens.
        type: path
"""
