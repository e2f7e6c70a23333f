# Copyright: (c) 2026, the strata.layering contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation of the credentials of a file share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  file_share_username:
    description:
      - The user for a file share at C(//server/share/path). Write a user of a domain as C(DOMAIN\user) or C(user@domain).
      - If not set, the environment variable E(STRATA_FILE_SHARE_USERNAME) is used.
    type: str
  file_share_password:
    description:
      - The password of O(file_share_username). It is never stored.
      - Without a password, a Kerberos ticket is used. Kerberos needs the Python library C(smbprotocol[kerberos]) and the name of the server as
        the domain knows it.
      - If not set, the environment variable E(STRATA_FILE_SHARE_PASSWORD) is used.
    type: str
  file_share_encrypt:
    description:
      - Whether all messages of the SMB connection must be encrypted, which requires SMB 3. If V(false), messages are only signed.
      - If not set, the environment variable E(STRATA_FILE_SHARE_ENCRYPT) is used.
    type: bool
    default: true
requirements:
  - smbprotocol, for a file share at C(//server/share/path)
"""
