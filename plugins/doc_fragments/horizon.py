# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the connection to a Horizon Connection Server."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  hostname:
    description:
      - Host name or address of a Connection Server of the pod.
      - Name a single server, not a load balancer. A login is known to the server that granted it, and to no other for certain.
      - If not set, the environment variable E(HORIZON_HOST) is used.
    type: str
    required: true
  username:
    description:
      - The user to log in as, such as C(svc-images), or with its domain C(EXAMPLE\svc-images).
      - Horizon does not accept user principal names (C(svc-images@example.com)).
      - If not set, the environment variable E(HORIZON_USERNAME) is used.
    type: str
    required: true
  domain:
    description:
      - The domain of O(username). It is required, unless O(username) has it.
      - If not set, the environment variable E(HORIZON_DOMAIN) is used.
    type: str
  password:
    description:
      - The password of O(username). It is never stored.
      - A login that Horizon rejects is not repeated, so that a wrong password does not lock the account.
      - If not set, the environment variable E(HORIZON_PASSWORD) is used.
    type: str
    required: true
  validate_certs:
    description:
      - Whether to check the certificate of the Connection Server.
      - If not set, the environment variable E(HORIZON_VALIDATE_CERTS) is used.
    type: bool
    default: true
  port:
    description:
      - The port of the Connection Server.
      - If not set, the environment variable E(HORIZON_PORT) is used.
    type: int
    default: 443
  ca_path:
    description:
      - A file of trusted certificates in PEM format, in addition to the certificates of the system.
      - Connection Servers often have a self-signed certificate. A file with that certificate is enough.
      - If not set, the environment variable E(HORIZON_CA_PATH) is used.
    type: path
  proxy_host:
    description:
      - An HTTP proxy for the connection to the Connection Server.
      - If not set, the environment variable E(HORIZON_PROXY_HOST) is used. No other environment variable sets a proxy.
    type: str
  proxy_port:
    description:
      - The port of O(proxy_host), by default 3128.
      - If not set, the environment variable E(HORIZON_PROXY_PORT) is used.
    type: int
  api_log:
    description:
      - A file to which each request to the Connection Server and its answer is appended as a line of JSON, also in check mode.
      - It does not contain passwords, tokens or cookies. It contains names of pools, VMs, machines and users.
      - Only its owner can read the file. Nothing is appended once it has 16 MiB.
      - Use it to report what your Connection Server answered when a module does not handle it well.
    type: path
"""
